"""Fixtures for tests of faults: a server on graphs of their own, and a proxy in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from graphwire import AsyncClient
from graphwire.v1 import runs_pb2_grpc

from tests.faults.proxy import Proxy, running_proxy
from tests.servers import ServerProcess

PROJECT = Path(__file__).parent / "project"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that the tests of a file share; its log has no error at the end."""
    process = ServerProcess(tmp_path_factory.mktemp("faults") / "graphwire.db", PROJECT).start()
    yield process
    assert process.stop() == 0, process.log
    assert [line for line in process.log.splitlines() if "[error" in line] == []


@pytest.fixture(scope="module")
def runs(server: ServerProcess) -> Iterator[runs_pb2_grpc.RunsStub]:
    """The stub of Runs, past the proxy."""
    with grpc.insecure_channel(server.address) as channel:
        yield runs_pb2_grpc.RunsStub(channel)


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with running_proxy(server.address) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[AsyncClient]:
    """A client behind the proxy."""
    async with AsyncClient(proxy.address) as client:
        yield client
