"""LangGraph's own store, made fit to share the file.

It writes step by step on a connection of its own, so whatever stops it half-way (a
cancelled run, an error) would leave a transaction open that keeps every other writer
out. Here each write ends whole, or is rolled back.

Importing this module imports LangGraph.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from langgraph.store.base import GetOp, Op, PutOp, Result
from langgraph.store.sqlite.aio import AsyncSqliteStore

from graphwire_server.storage.sqlite.connection import Connection
from graphwire_server.storage.sqlite.schema import run_script

T = TypeVar("T")


class _Writes:
    """The writes under way on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks: set[asyncio.Task[Any]] = set()

    async def whole(self, write: Coroutine[Any, Any, T]) -> T:
        """Runs a write to its end, even if the caller is cancelled."""
        task = asyncio.create_task(self._or_rolled_back(write))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def finish(self) -> None:
        """Waits for the writes under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _or_rolled_back(self, write: Coroutine[Any, Any, T]) -> T:
        try:
            return await write
        except BaseException:
            # Whoever waits for LangGraph's lock gets it in a later turn of the loop, so
            # nothing of theirs is on the connection's queue before this.
            await self._connection.aiosqlite.rollback()
            raise


class Store(AsyncSqliteStore):
    """LangGraph's store on a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.aiosqlite)
        self._connection = connection
        self._writes = _Writes(connection)

    @classmethod
    async def open(cls, path: Path) -> Store:
        """Opens it on a database file, and makes its tables."""
        store = cls(await Connection.open(path))
        try:
            await store._connection.run(_migrate_store)
            await store.setup()
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Finishes the operations under way, and closes the connection."""
        try:
            if self.is_setup:
                # They are done in order: when this one is, so are those before it.
                await self.aget(("graphwire",), "closing", refresh_ttl=False)
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            await self._writes.finish()
        finally:
            await self._connection.close()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        ops = list(ops)
        results: list[Result] = [None] * len(ops)
        # A transaction that reads first and then writes fails at once, busy_timeout or
        # not, if another connection wrote in between: so those that write go apart.
        for writing in (False, True):
            chosen = [index for index, op in enumerate(ops) if _writes(op) is writing]
            if chosen:
                batch = super().abatch([ops[index] for index in chosen])
                for index, result in zip(chosen, await self._writes.whole(batch), strict=True):
                    results[index] = result
        return results


def _writes(op: Op) -> bool:
    """Says whether an operation writes, and does so first of all it does."""
    return isinstance(op, PutOp) or (isinstance(op, GetOp) and bool(op.refresh_ttl))


def _migrate_store(sqlite: sqlite3.Connection) -> None:
    """Makes the store's tables, as its `setup` would, but in one transaction.

    `setup` commits a migration and its number one after the other; killed in between, it
    would stumble over its own columns at each later start.
    """
    sqlite.execute("CREATE TABLE IF NOT EXISTS store_migrations (v INTEGER PRIMARY KEY)")
    newest = sqlite.execute("SELECT MAX(v) FROM store_migrations").fetchone()[0]
    done = 0 if newest is None else newest + 1
    steps = list(enumerate(AsyncSqliteStore.MIGRATIONS))[done:]
    run_script(
        sqlite,
        *(f"{script};\nINSERT INTO store_migrations (v) VALUES ({v});" for v, script in steps),
    )
