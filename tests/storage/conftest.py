"""The contract suite runs on every implementation; add the next one to OPENERS."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.sqlite import SqliteStorage


async def _open_sqlite(folder: Path) -> Storage:
    return await SqliteStorage.open(folder / "graphwire.db")


OpenSqlite = Callable[[Path | str], Coroutine[Any, Any, SqliteStorage]]

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
async def open_sqlite() -> AsyncIterator[OpenSqlite]:
    """Opens storages, closes them after the test, and sees to it that no thread is left."""
    before = set(threading.enumerate())
    opened: list[SqliteStorage] = []

    async def open_sqlite(path: Path | str) -> SqliteStorage:
        opened.append(await SqliteStorage.open(path))
        return opened[-1]

    yield open_sqlite
    for storage in opened:
        await storage.close()
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("asyncio_"):
            thread.join(10)
            assert not thread.is_alive(), thread


@pytest.fixture
async def sqlite_storage(sqlite_path: Path, open_sqlite: OpenSqlite) -> SqliteStorage:
    """An empty storage in a file."""
    return await open_sqlite(sqlite_path)
