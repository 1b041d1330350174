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
from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.group_commit import GroupCommit, Work
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sql.outcome import Outcome

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from graphwire_server.storage.checkpoints.saver import Saver
    from graphwire_server.storage.postgres.store import Store

T = TypeVar("T")

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
        announcements: Announcements,
        store: Store,
        resources: AsyncExitStack,
    ) -> None:
        """Use `open`."""
        self._address = address
        self._connection = writer
        self._readers = readers
        self._announcements = announcements
        self._store = store
        # It takes seconds to import: whoever opens no storage does not pay for it.
        from graphwire_server.storage.checkpoints.saver import Saver

        self._saver = Saver(self)
        self._renewal = LeaseRenewal(address)
        resources.callback(self._renewal.close)
        self._writer = GroupCommit(self._run_batch, database=address, max_batch=_MAX_BATCH)
        resources.push_async_callback(self._writer.close)
        self._resources = resources
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, address: PostgresAddress) -> PostgresStorage:
        """Connects to a database, and brings its schema to this program's version.

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
            from graphwire_server.storage.postgres.store import Store, migrate_store

            await writer.run(lambda connection: migrate_store(connection.get(), address))
            store = await Store.open(address)
            resources.push_async_callback(store.close)
            announcements = Announcements(address)
            resources.push_async_callback(announcements.close)
            return cls(
                address,
                writer=writer,
                readers=readers,
                announcements=announcements,
                store=store,
                resources=resources.pop_all(),
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
            return await reader.run(lambda connection: transactions.read(connection, work))
        finally:
            self._readers.put_nowait(reader)

    async def write(self, work: Callable[[Transaction], T], *, long: bool = False) -> T:
        self._check_open()
        return await self._writer.submit(work, long=long)

    def renew_server(self, server_id: str, *, ttl: int) -> bool:
        return self._renewal.renew(server_id, ttl=ttl)

    def announce(self, *topics: str) -> None:
        self._announcements.announce(*topics)

    def listen(self, callback: Listener) -> None:
        self._announcements.listen(callback)

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._resources.aclose(), name="storage-close")
        # Whoever is cancelled while waiting must not leave half of it open.
        await asyncio.shield(self._closing)

    async def _run_batch(self, works: Sequence[Work[Any]], *, long: bool) -> list[Outcome[Any]]:
        # Each batch runs on a thread of its own kind, so that it matters to nobody if it is long.
        topics: set[str] = set()
        outcomes = await self._connection.run(
            lambda connection: transactions.write(connection, works, topics)
        )
        self._announcements.announce(*topics)
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
