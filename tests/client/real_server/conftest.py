"""Clients of real servers: these tests need what a server needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from graphwire import AsyncClient

from tests.client.conftest import Connect
from tests.servers import WEATHER, ServerProcess


@pytest.fixture(scope="session")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on the example project."""
    process = ServerProcess(tmp_path_factory.mktemp("weather") / "graphwire.db", WEATHER).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture
def real(connect: Connect, server: ServerProcess) -> AsyncClient:
    """A client of the server that tests share."""
    return connect(server.address)
