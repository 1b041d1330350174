"""A storage of checkpoints alone, on one SQLite connection."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import graphwire_server.storage.sqlite
from graphwire_server.storage.checkpoints.tables import CheckpointWrites

T = TypeVar("T")

MIGRATION = (
    Path(graphwire_server.storage.sqlite.__file__).with_name("migrations") / "0002_checkpoints.sql"
)


class SqliteCheckpoints(CheckpointWrites):
    """Reads and writes in the transaction that its connection has open."""

    def __init__(self, sqlite: sqlite3.Connection) -> None:
        self.sqlite = sqlite

    def _execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        return self.sqlite.execute(statement, parameters)

    def _execute_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self.sqlite.executemany(statement, rows)


class SqliteStorage:
    """Runs each piece of work in the default executor, in a transaction of its own."""

    def __init__(self, path: Path) -> None:
        self.sqlite = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.sqlite.execute("PRAGMA journal_mode = WAL")
        self.sqlite.executescript(MIGRATION.read_text())
        self._lock = asyncio.Lock()

    async def read(self, work: Callable[[SqliteCheckpoints], T]) -> T:
        return await self._run(work)

    async def write(self, work: Callable[[SqliteCheckpoints], T]) -> T:
        return await self._run(work)

    async def _run(self, work: Callable[[SqliteCheckpoints], T]) -> T:
        async with self._lock:
            return await asyncio.get_running_loop().run_in_executor(
                None, self._in_transaction, work
            )

    def _in_transaction(self, work: Callable[[SqliteCheckpoints], T]) -> T:
        self.sqlite.execute("BEGIN IMMEDIATE")
        try:
            result = work(SqliteCheckpoints(self.sqlite))
        except BaseException:
            self.sqlite.execute("ROLLBACK")
            raise
        self.sqlite.execute("COMMIT")
        return result
