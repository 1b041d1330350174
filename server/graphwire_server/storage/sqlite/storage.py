"""`SqliteStorage`: one file, one writer, a few readers, and LangGraph's own tables."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.local_announcements import Listener, LocalAnnouncements
from graphwire_server.storage.records import StorageLoad
from graphwire_server.storage.sql.abandoned import AbandonedReads
from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.group_commit import GroupCommit
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sql.reader import SqlReader
from graphwire_server.storage.sqlite.connection import Connection
from graphwire_server.storage.sqlite.errors import translating
from graphwire_server.storage.sqlite.lease_renewal import LeaseRenewal
from graphwire_server.storage.sqlite.schema import claim, migrate
from graphwire_server.storage.sqlite.session import SqliteSession
from graphwire_server.storage.sqlite.writer import Writer
from graphwire_server.telemetry.instruments import Metrics

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from graphwire_server.storage.checkpoints.saver import Saver
    from graphwire_server.storage.sqlite.engine import Store

T = TypeVar("T")

_KIND = "sqlite"

#: How many reads run at once.
_READERS = 2

#: The most works in one flush; as they run on the event loop, also how long that stands still.
MAX_BATCH = 64


class SqliteStorage:
    """`Storage` in one SQLite file, for one server at a time."""

    def __init__(
        self,
        path: Path,
        *,
        connection: Connection,
        at_hand: Connection,
        readers: asyncio.Queue[Connection],
        store: Store,
        resources: AsyncExitStack,
        metrics: Metrics,
    ) -> None:
        """Use `open`."""
        self._path = path
        self._connection = connection
        self._at_hand = at_hand
        self._readers = readers
        self._abandoned = AbandonedReads()
        self._store = store
        # It takes seconds to import: whoever opens no storage does not pay for it.
        from graphwire_server.storage.checkpoints.saver import Saver

        self._saver = Saver(self)
        self._renewal = LeaseRenewal(path)
        resources.callback(self._renewal.close)
        self._announcements = LocalAnnouncements()
        writer = Writer(
            connection,
            path,
            self._announcements.announce,
            lambda events: metrics.commit_events.observe(events, _KIND),
        )
        self._writer = GroupCommit(
            writer.run, database=path, max_batch=MAX_BATCH, metrics=metrics, kind=_KIND
        )
        resources.push_async_callback(self._writer.close)
        self._resources = resources
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path | str, metrics: Metrics | None = None) -> SqliteStorage:
        """Opens a database file; makes it, and the folders above it, if it is not there.

        `metrics` is where transactions are counted.

        Raises:
            StorageError: Another server uses the file, it is not ours, it is newer than
                this program, or it can't be read and written.
        """
        async with AsyncExitStack() as resources:
            migrations = load_migrations()
            path, lock = claim(Path(path), newest=migrations[-1].number)
            resources.callback(lock.release)
            connection = await _connect(path, resources)
            await connection.run(lambda sqlite: migrate(sqlite, path, migrations))
            # The file is ours alone, so every server that is noted in it is gone: what they
            # held can be claimed at once.
            await connection.run(lambda sqlite: sqlite.execute("DELETE FROM gw_servers"))
            readers: asyncio.Queue[Connection] = asyncio.Queue()
            for _ in range(_READERS):
                readers.put_nowait(await _connect(path, resources, query_only=True))
            from graphwire_server.storage.sqlite.engine import Store

            with translating(path):
                store = await Store.open(path)
                resources.push_async_callback(store.close)
            return cls(
                path,
                connection=connection,
                at_hand=await _connect(path, resources, query_only=True),
                readers=readers,
                store=store,
                resources=resources.pop_all(),
                metrics=metrics or Metrics(),
            )

    @property
    def checkpointer(self) -> Saver:
        return self._saver

    @property
    def store(self) -> BaseStore:
        return self._store

    async def read(self, work: Callable[[Reader], T], *, short: bool = False) -> T:
        self._check_open()
        if short:
            with translating(self._path):
                return _read(self._at_hand.sqlite, self._path, work)
        connection = await self._readers.get()
        try:
            found = await connection.run(lambda sqlite: _read(sqlite, self._path, work))
        except asyncio.CancelledError:
            # Its thread does one thing after the other.
            self._abandoned.see_off(
                connection.run(lambda sqlite: None),
                connection.interrupt,
                lambda: self._readers.put_nowait(connection),
            )
            raise
        except BaseException:
            self._readers.put_nowait(connection)
            raise
        self._readers.put_nowait(connection)
        return found

    async def write(self, work: Callable[[Transaction], T], *, long: bool = False) -> T:
        self._check_open()
        return await self._writer.submit(work, long=long)

    async def answer(self) -> None:
        await self.read(lambda db: db.now(), short=True)

    def renew_server(self, server_id: str, *, ttl: int) -> bool:
        return self._renewal.renew(server_id, ttl=ttl)

    def announce(self, *topics: str) -> None:
        self._announcements.announce(*topics)

    def listen(self, callback: Listener) -> None:
        self._announcements.listen(callback)

    @property
    def refused_at(self) -> float | None:
        return self._writer.refused_at

    def writing_for(self) -> float:
        return self._writer.writing_for()

    def load(self) -> StorageLoad:
        files = {"main": self._path, "wal": self._path.with_name(f"{self._path.name}-wal")}
        return StorageLoad(
            writes_waiting=self._writer.waiting,
            readers=_READERS,
            readers_busy=_READERS - self._readers.qsize(),
            file_bytes={name: _size(file) for name, file in files.items()},
        )

    async def close(self) -> None:
        self._announcements.close()
        if self._closing is None:
            self._closing = asyncio.create_task(self._resources.aclose(), name="storage-close")
        # Whoever is cancelled while waiting must not leave half of it open.
        await asyncio.shield(self._closing)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise unusable(self._path, "it is closed")


async def _connect(
    path: Path, resources: AsyncExitStack, *, query_only: bool = False
) -> Connection:
    connection = await Connection.open(path, query_only=query_only)
    resources.push_async_callback(connection.close)
    return connection


def _read(sqlite: sqlite3.Connection, path: Path, work: Callable[[Reader], T]) -> T:
    sqlite.execute("BEGIN")
    try:
        return work(SqlReader(SqliteSession(sqlite, path)))
    finally:
        if sqlite.in_transaction:
            sqlite.execute("ROLLBACK")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0  # there is none, before the first write
