"""Fixtures for all tests: one real server on the zoo of graphs, and stubs to call it.

The stubs come from pytest-grpc; its server fixture, which knows only the synchronous
server of grpcio, is overridden with ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from graphwire.v1 import (
    assistants_pb2_grpc,
    runs_pb2_grpc,
    server_pb2_grpc,
    threads_pb2_grpc,
)

from tests.postgres import PostgresServer, running_postgres
from tests.servers import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that tests share. Those that kill or fill one start their own."""
    process = ServerProcess(tmp_path_factory.mktemp("server") / "graphwire.db").start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real Postgres. Without one its tests fail; they are never skipped."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of a fresh database."""
    with postgres.fresh_database() as name:
        yield postgres.url(name)


@pytest.fixture(scope="session")
def grpc_addr(server: ServerProcess) -> str:
    """Where the shared server listens."""
    return server.address


@pytest.fixture(scope="session")
def grpc_server(server: ServerProcess) -> ServerProcess:
    """The shared server, in the place of pytest-grpc's own."""
    return server


@pytest.fixture(scope="module")
def runs(grpc_channel: grpc.Channel) -> runs_pb2_grpc.RunsStub:
    """The stub of Runs."""
    return runs_pb2_grpc.RunsStub(grpc_channel)


@pytest.fixture(scope="module")
def threads(grpc_channel: grpc.Channel) -> threads_pb2_grpc.ThreadsStub:
    """The stub of Threads."""
    return threads_pb2_grpc.ThreadsStub(grpc_channel)


@pytest.fixture(scope="module")
def assistants(grpc_channel: grpc.Channel) -> assistants_pb2_grpc.AssistantsStub:
    """The stub of Assistants."""
    return assistants_pb2_grpc.AssistantsStub(grpc_channel)


@pytest.fixture(scope="module")
def server_stub(grpc_channel: grpc.Channel) -> server_pb2_grpc.ServerStub:
    """The stub of Server."""
    return server_pb2_grpc.ServerStub(grpc_channel)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers that belong to one test: `own_server(env={...})`."""
    started: list[ServerProcess] = []

    def start(project: Path | None = None, env: dict[str, str] | None = None) -> ServerProcess:
        database = tmp_path / f"graphwire-{len(started)}.db"
        process = ServerProcess(database, *([project] if project else []), env=env)
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.stop()
