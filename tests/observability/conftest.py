"""A server that tells all it can, and those who listen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.observability.collector import Collector
from tests.observability.told import Told
from tests.servers import ServerProcess

PROJECT = Path(__file__).parent / "project"

#: A token that a caller sends, which nobody must ever see.
TOKEN = "Bearer eyJ-very-secret"


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """A collector, for all servers of these tests."""
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture(scope="session")
def telling(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A server that logs all, exports its traces, and lets its metrics be read."""
    database = tmp_path_factory.mktemp("telling") / "graphwire.db"
    env = {
        **collector.env,
        "GRAPHWIRE_LOG_LEVEL": "debug",
        "GRAPHWIRE_LOG_FORMAT": "json",
        "GRAPHWIRE_METRICS_LISTEN": "127.0.0.1:0",
    }
    process = ServerProcess(database, PROJECT, env=env).start()
    told = Told(process)
    yield told
    told.close()
    assert process.stop() == 0, process.log


@pytest.fixture
def own_telling(tmp_path: Path) -> Iterator[Callable[..., Told]]:
    """Starts servers on the project that belong to one test: `own_telling(env={...})`."""
    started: list[Told] = []

    def start(env: dict[str, str]) -> Told:
        database = tmp_path / f"graphwire-{len(started)}.db"
        started.append(Told(ServerProcess(database, PROJECT, env=env).start()))
        return started[-1]

    yield start
    for told in started:
        told.close()
        told.process.stop()
