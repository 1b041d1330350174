"""`SqliteStorage`: one file, one writer, a few readers, and LangGraph's own tables."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.sqlite.connection import Connection
from graphwire_server.storage.sqlite.errors import translating, unusable
from graphwire_server.storage.sqlite.group_commit import GroupCommit
from graphwire_server.storage.sqlite.lock import DatabaseLock
from graphwire_server.storage.sqlite.schema import inspect, load_migrations, migrate
from graphwire_server.storage.sqlite.transaction import SqliteReader

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

    from graphwire_server.storage.sqlite.engine import Saver, Store

T = TypeVar("T")

#: How many reads run at once.
_READERS = 2


class SqliteStorage:
    """`Storage` in one SQLite file, for one server at a time."""

    def __init__(
        self,
        path: Path,
        *,
        writer: GroupCommit,
        readers: asyncio.Queue[Connection],
        saver: Saver,
        store: Store,
        resources: AsyncExitStack,
    ) -> None:
        """Use `open`."""
        self._path = path
        self._writer = writer
        self._readers = readers
        self._saver = saver
        self._store = store
        self._resources = resources
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path | str) -> SqliteStorage:
        """Opens a database file; makes it, and the folders above it, if it is not there.

        Raises:
            StorageError: Another server uses the file, it is not ours, it is newer than
                this program, or it can't be read and written.
        """
        async with AsyncExitStack() as resources:
            path = _claim(Path(path), resources)
            connection = await _connect(path, resources)
            migrations = load_migrations()
            await connection.run(lambda sqlite: migrate(sqlite, path, migrations))
            readers: asyncio.Queue[Connection] = asyncio.Queue()
            for _ in range(_READERS):
                readers.put_nowait(await _connect(path, resources, query_only=True))
            # It takes seconds to import: whoever opens no storage does not pay for it.
            from graphwire_server.storage.sqlite.engine import Saver, Store

            with translating(path):
                saver = await Saver.open(path)
                resources.push_async_callback(saver.close)
                store = await Store.open(path)
                resources.push_async_callback(store.close)
            writer = GroupCommit(connection)
            resources.push_async_callback(writer.close)
            return cls(
                path,
                writer=writer,
                readers=readers,
                saver=saver,
                store=store,
                resources=resources.pop_all(),
            )

    @property
    def checkpointer(self) -> BaseCheckpointSaver[str]:
        return self._saver

    @property
    def store(self) -> BaseStore:
        return self._store

    async def read(self, work: Callable[[Reader], T]) -> T:
        self._check_open()
        connection = await self._readers.get()
        try:
            return await connection.run(lambda sqlite: _read(sqlite, self._path, work))
        finally:
            self._readers.put_nowait(connection)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        self._check_open()
        return await self._writer.submit(work)

    async def delete_checkpoints(self, thread_id: str) -> None:
        self._check_open()
        with translating(self._path):
            await self._saver.adelete_thread(thread_id)

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._resources.aclose(), name="storage-close")
        # Whoever is cancelled while waiting must not leave half of it open.
        await asyncio.shield(self._closing)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise unusable(self._path, "it is closed")


def _claim(path: Path, resources: AsyncExitStack) -> Path:
    """Takes a file for this server; returns the path that all who mean it will use."""
    if str(path) == ":memory:":
        raise unusable(path, "it must be a file, for a database in memory keeps nothing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
    except OSError as error:
        raise unusable(path, f"{error.filename}: {error.strerror}") from error
    inspect(path, newest=load_migrations()[-1].number)
    lock = DatabaseLock.acquire(path)
    resources.callback(lock.release)
    return path


async def _connect(
    path: Path, resources: AsyncExitStack, *, query_only: bool = False
) -> Connection:
    connection = await Connection.open(path, query_only=query_only)
    resources.push_async_callback(connection.close)
    return connection


def _read(sqlite: sqlite3.Connection, path: Path, work: Callable[[Reader], T]) -> T:
    sqlite.execute("BEGIN")
    try:
        return work(SqliteReader(sqlite, path))
    finally:
        if sqlite.in_transaction:
            sqlite.execute("ROLLBACK")
