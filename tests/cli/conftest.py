"""The servers that the command's tests talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import WEATHER, ServerProcess


@pytest.fixture(scope="session")
def weather_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of the weather agent: it has one assistant."""
    process = ServerProcess(tmp_path_factory.mktemp("weather") / "weather.db", WEATHER).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="session")
def weather(weather_server: ServerProcess) -> str:
    """Where the server of the weather agent listens."""
    return weather_server.address


@pytest.fixture(scope="session")
def zoo(server: ServerProcess) -> str:
    """Where the shared server of the zoo listens."""
    return server.address
