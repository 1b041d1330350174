"""The contract suite runs on every implementation; add the next one to OPENERS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.sqlite import SqliteStorage


async def _open_sqlite(folder: Path) -> Storage:
    return await SqliteStorage.open(folder / "graphwire.db")


OPENERS: dict[str, Callable[[Path], Awaitable[Storage]]] = {"sqlite": _open_sqlite}


@pytest.fixture(params=OPENERS)
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty storage."""
    storage = await OPENERS[request.param](tmp_path)
    yield storage
    await storage.close()


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    """Where a test of SQLite alone keeps its database."""
    return tmp_path / "graphwire.db"


@pytest.fixture
async def sqlite_storage(sqlite_path: Path) -> AsyncIterator[SqliteStorage]:
    """An empty storage in a file."""
    storage = await SqliteStorage.open(sqlite_path)
    yield storage
    await storage.close()
