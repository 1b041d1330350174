"""Servers that want to know who calls."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.access.guarded import PROJECT, Guest, write_tokens
from tests.servers import ServerProcess

Guests = Callable[..., Guest]


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with service tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    write_tokens(folder / "tokens.toml")
    env = {"GRAPHWIRE_AUTH_TOKENS": str(folder / "tokens.toml")}
    process = ServerProcess(folder / "graphwire.db", PROJECT, env=env).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="session")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of a project with rules of its own."""
    folder = tmp_path_factory.mktemp("ruled")
    process = ServerProcess(folder / "graphwire.db", PROJECT / "with_rules.json").start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture
def guest(guarded: ServerProcess) -> Iterator[Guests]:
    """Makes callers of the server with service tokens, by name."""
    with ExitStack() as stack:
        yield lambda name, **more: stack.enter_context(closing(Guest(guarded, name, **more)))


@pytest.fixture
def user(ruled: ServerProcess) -> Iterator[Guests]:
    """Makes callers of the server with a project's rules, by name."""
    with ExitStack() as stack:
        yield lambda name, **more: stack.enter_context(closing(Guest(ruled, name, **more)))


@pytest.fixture
def once() -> str:
    """A request_id that nobody has used."""
    return f"test {uuid.uuid4()}"
