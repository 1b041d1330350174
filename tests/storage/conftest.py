"""The contract suite runs on every implementation, see `storage` in tests/conftest.py; what is
one's own has files of its own, and its fixtures here."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import PostgresStorage
from graphwire_server.storage.sqlite import SqliteStorage
from graphwire_server.storage.sqlite.connection import Connection
from graphwire_server.storage.sqlite.writer import Writer

from .two_servers import joined

OpenSqlite = Callable[[Path | str], Coroutine[Any, Any, SqliteStorage]]
OpenPostgres = Callable[..., Coroutine[Any, Any, PostgresStorage]]


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
    no_thread_is_left(before)


@pytest.fixture
async def sqlite_storage(sqlite_path: Path, open_sqlite: OpenSqlite) -> SqliteStorage:
    """An empty storage in a file."""
    return await open_sqlite(sqlite_path)


def writers_connection(storage: SqliteStorage) -> Connection:
    """Returns the one connection that writes."""
    writer: Writer = storage._writer._run_batch.__self__  # type: ignore[attr-defined]
    return writer._connection


@pytest.fixture
async def open_postgres(postgres_address: PostgresAddress) -> AsyncIterator[OpenPostgres]:
    """Opens storages, on the test's database unless told otherwise, and closes them after it.

    Sees to it that no thread is left.
    """
    before = set(threading.enumerate())
    async with AsyncExitStack() as opened:

        async def open_postgres(address: PostgresAddress = postgres_address) -> PostgresStorage:
            storage = await PostgresStorage.open(address)
            opened.push_async_callback(storage.close)
            return storage

        yield open_postgres
    no_thread_is_left(before)


@pytest.fixture
async def a(open_postgres: OpenPostgres) -> PostgresStorage:
    """One server's storage."""
    return await joined(await open_postgres(), "a")


@pytest.fixture
async def b(open_postgres: OpenPostgres, a: PostgresStorage) -> PostgresStorage:
    """Another server's storage, on the same database."""
    return await joined(await open_postgres(), "b")


def no_thread_is_left(before: set[threading.Thread]) -> None:
    """Waits for the threads that a test has started."""
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("asyncio_"):
            thread.join(10)
            assert not thread.is_alive(), thread
