"""Servers that want to know who calls."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.access.guarded import PROJECT, Guests, guests_of, serving, write_tokens
from tests.servers import ServerProcess


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with service tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    write_tokens(folder / "tokens.toml")
    env = {"GRAPHWIRE_AUTH_TOKENS": str(folder / "tokens.toml")}
    with serving(folder, env=env) as process:
        yield process


@pytest.fixture(scope="session")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of a project with rules of its own."""
    with serving(tmp_path_factory.mktemp("ruled"), PROJECT / "with_rules.json") as process:
        yield process


@pytest.fixture
def guest(guarded: ServerProcess) -> Iterator[Guests]:
    """Makes callers of the server with service tokens, by name."""
    with guests_of(guarded) as guests:
        yield guests


@pytest.fixture
def user(ruled: ServerProcess) -> Iterator[Guests]:
    """Makes callers of the server with a project's rules, by name."""
    with guests_of(ruled) as guests:
        yield guests


@pytest.fixture
def once() -> str:
    """A request_id that nobody has used."""
    return f"test {uuid.uuid4()}"
