"""Two servers on one Postgres: what each decides, and when, is up to the test."""

from __future__ import annotations

import asyncio
import threading

from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.postgres import PostgresStorage

from .builders import A_DAY

TIMEOUT = 30


async def joined(storage: PostgresStorage, server_id: str) -> PostgresStorage:
    await storage.write(lambda tx: tx.join_servers(server_id, ttl=A_DAY))
    return storage


class Deciding:
    """A work that reads a thread, and ends when it is told to."""

    def __init__(self, storage: Storage, thread_id: str = "thread") -> None:
        self.started = threading.Event()
        self.go_on = threading.Event()
        self._thread_id = thread_id
        self.task = asyncio.create_task(storage.write(self))

    def __call__(self, tx: Transaction) -> None:
        assert tx.thread(self._thread_id) is not None
        self.started.set()
        assert self.go_on.wait(TIMEOUT)
        tx.update_thread(self._thread_id, now=7, metadata='{"decided": 1}', head=("c", (), "{}"))

    async def until_it_has_read(self) -> None:
        assert await asyncio.to_thread(self.started.wait, TIMEOUT)

    async def finish(self) -> None:
        self.go_on.set()
        await self.task


async def waiting_for_locks(storage: Storage, count: int = 1) -> None:
    """Waits until so many backends of the database wait for a lock."""
    statement = (
        "SELECT COUNT(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(TIMEOUT):
        while (
            await storage.read(lambda r: r._execute(statement).fetchone()[0])  # type: ignore[attr-defined]
            != count
        ):
            await asyncio.sleep(0.01)
