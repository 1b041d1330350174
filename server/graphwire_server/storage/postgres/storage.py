"""`PostgresStorage`: one database for any number of servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.local_announcements import Listener
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import transactions
from graphwire_server.storage.postgres.announcements import Announcements
from graphwire_server.storage.postgres.connection import ConnectionThread
from graphwire_server.storage.postgres.lease_renewal import LeaseRenewal
from graphwire_server.storage.postgres.schema import migrate
from graphwire_server.storage.postgres.silence import Reach
from graphwire_server.storage.records import StorageLoad
from graphwire_server.storage.sql.abandoned import AbandonedReads
from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.group_commit import GroupCommit, Work
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sql.outcome import Outcome
from graphwire_server.telemetry.instruments import Metrics

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from graphwire_server.storage.checkpoints.saver import Saver
    from graphwire_server.storage.postgres.store import Store

T = TypeVar("T")

_KIND = "postgres"

#: How many reads run at once.
_READERS = 3

#: The most works in one transaction. Postgres is slow with more than 64 savepoints.
_MAX_BATCH = 64


class PostgresStorage:
    """`Storage` in one Postgres database."""

    def __init__(
        self,
        address: PostgresAddress,
        *,
        writer: ConnectionThread,
        readers: asyncio.Queue[ConnectionThread],
        pulse: ConnectionThread,
        announcements: Announcements,
        store: Store,
        resources: AsyncExitStack,
        metrics: Metrics,
    ) -> None:
        """Use `open`."""
        self._metrics = metrics
        self._address = address
        self._connection = writer
        self._readers = readers
        self._pulse = pulse
        self._abandoned = AbandonedReads()
        self._announcements = announcements
        self._store = store
        # It takes seconds to import: whoever opens no storage does not pay for it.
        from graphwire_server.storage.checkpoints.saver import Saver

        self._saver = Saver(self)
        self._renewal = LeaseRenewal(address)
        resources.callback(self._renewal.close)
        self._writer = GroupCommit(
            self._run_batch, database=address, max_batch=_MAX_BATCH, metrics=metrics, kind=_KIND
        )
        resources.push_async_callback(self._writer.close)
        self._resources = resources
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, address: PostgresAddress, metrics: Metrics | None = None
    ) -> PostgresStorage:
        """Connects to a database, and brings its schema to this program's version.

        `metrics` is where transactions are counted.

        Raises:
            StorageError: It can't be reached or used, or is newer than this program.
        """
        async with AsyncExitStack() as resources:
            reach = Reach()
            writer = await _connect(address, reach, resources)
            migrations = load_migrations()
            await writer.run(lambda connection: migrate(connection.get(), address, migrations))
            readers: asyncio.Queue[ConnectionThread] = asyncio.Queue()
            for _ in range(_READERS):
                readers.put_nowait(await _connect(address, reach, resources))
            pulse = await _connect(address, reach, resources)
            from graphwire_server.storage.postgres.store import Store, migrate_store

            await writer.run(lambda connection: migrate_store(connection.get(), address))
            await writer.run(transactions.forget_writers)
            store = await Store.open(address)
            resources.push_async_callback(store.close)
            announcements = Announcements(address)
            resources.push_async_callback(announcements.close)
            return cls(
                address,
                writer=writer,
                readers=readers,
                pulse=pulse,
                announcements=announcements,
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
        # However short: what takes its time is the way to the server and back.
        self._check_open()
        reader = await self._readers.get()
        try:
            found = await reader.run(lambda connection: transactions.read(connection, work))
        except asyncio.CancelledError:
            # Its thread does one thing after the other.
            self._abandoned.see_off(
                reader.run(lambda connection: connection.resume()),
                reader.interrupt,
                lambda: self._readers.put_nowait(reader),
            )
            raise
        except BaseException:
            self._readers.put_nowait(reader)
            raise
        self._readers.put_nowait(reader)
        return found

    async def write(self, work: Callable[[Transaction], T], *, long: bool = False) -> T:
        self._check_open()
        return await self._writer.submit(work, long=long)

    async def answer(self) -> None:
        self._check_open()
        pulse = self._pulse
        try:
            await pulse.run(lambda connection: transactions.read(connection, lambda db: db.now()))
        except asyncio.CancelledError:
            self._abandoned.see_off(
                pulse.run(lambda connection: connection.resume()), pulse.interrupt, lambda: None
            )
            raise

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
        return StorageLoad(
            writes_waiting=self._writer.waiting,
            readers=_READERS,
            readers_busy=_READERS - self._readers.qsize(),
            file_bytes={},
        )

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._resources.aclose(), name="storage-close")
        # Whoever is cancelled while waiting must not leave half of it open.
        await asyncio.shield(self._closing)

    async def _run_batch(self, works: Sequence[Work[Any]], *, long: bool) -> list[Outcome[Any]]:
        # Each batch runs on a thread of its own kind, so that it matters to nobody if it is long.
        told = transactions.Told()
        outcomes = await self._connection.run(
            lambda connection: transactions.write(connection, works, told)
        )
        self._metrics.commit_events.observe(told.events, _KIND)
        self._announcements.announce(*told.topics)
        return outcomes

    def _check_open(self) -> None:
        if self._closing is not None:
            raise unusable(self._address, "it is closed")


async def _connect(
    address: PostgresAddress, reach: Reach, resources: AsyncExitStack
) -> ConnectionThread:
    thread = await ConnectionThread.open(address, reach)
    resources.push_async_callback(thread.close)
    return thread
