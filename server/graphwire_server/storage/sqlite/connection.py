"""One SQLite connection with a thread of its own, on aiosqlite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiosqlite

from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.outcome import Outcome
from graphwire_server.storage.sqlite.errors import translating
from graphwire_server.storage.sqlite.session import add_functions

T = TypeVar("T")

#: How long, in seconds, a connection waits for another one's write before it gives up.
BUSY_TIMEOUT = 10.0

#: What the write-ahead log is cut back to after a burst, in bytes.
_LOG_SIZE = 64 * 1024 * 1024


class Connection:
    """A connection whose every use runs on its own thread, one after another."""

    def __init__(self, path: Path, *, query_only: bool) -> None:
        self.path = path
        self._query_only = query_only
        self._sqlite: sqlite3.Connection
        self._aiosqlite = aiosqlite.Connection(self._connect, iter_chunk_size=64)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        query_only: bool = False,
    ) -> Connection:
        """Opens a database file, and makes it if it is not there.

        Args:
            path: The file.
            query_only: Whether writes are refused.

        Raises:
            StorageError: It can't be opened.
        """
        connection = cls(path, query_only=query_only)
        with translating(path):
            await connection._aiosqlite
        return connection

    @property
    def sqlite(self) -> sqlite3.Connection:
        """The connection itself, for use on any thread while nothing runs on its own."""
        return self._sqlite

    @property
    def aiosqlite(self) -> aiosqlite.Connection:
        """The connection as LangGraph's own classes want it."""
        return self._aiosqlite

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs a function on the connection's thread, in one hop.

        If the caller is cancelled, the function runs to its end all the same.

        Raises:
            StorageError: The connection is closed, or SQLite can't do it.
            IntegrityError: SQLite refuses a row.
        """
        try:
            # The public methods hop once a statement. tests/storage pins this private one.
            outcome: Outcome[T] = await self._aiosqlite._execute(  # type: ignore[no-untyped-call]
                Outcome.of, work, self._sqlite
            )
        except ValueError as error:
            raise unusable(self.path, "it is closed") from error
        with translating(self.path):
            return outcome.get()

    async def interrupt(self) -> None:
        """Ends the statement that runs, if one does, with an error."""
        self._sqlite.interrupt()

    async def close(self) -> None:
        """Finishes what is queued, and closes."""
        await self._aiosqlite.close()

    def _connect(self) -> sqlite3.Connection:
        self._sqlite = connect(self.path, query_only=self._query_only, check_same_thread=False)
        return self._sqlite


def connect(
    path: Path,
    *,
    query_only: bool = False,
    check_same_thread: bool = True,
) -> sqlite3.Connection:
    """Opens a plain connection that is set up to be safe.

    Args:
        path: The file.
        query_only: Whether writes are refused.
        check_same_thread: Whether it is for the calling thread alone.

    Raises:
        sqlite3.Error: It can't be opened.
    """
    sqlite = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,  # transactions are begun by us
        check_same_thread=check_same_thread,
    )
    try:
        _configure(sqlite, query_only=query_only)
    except BaseException:
        sqlite.close()
        raise
    return sqlite


def _configure(sqlite: sqlite3.Connection, *, query_only: bool) -> None:
    mode = sqlite.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(
            f"its journal mode is {mode}, and its file system does not allow WAL"
        )
    sqlite.execute("PRAGMA synchronous = FULL")
    sqlite.execute("PRAGMA foreign_keys = ON")
    sqlite.execute(f"PRAGMA journal_size_limit = {_LOG_SIZE}")
    add_functions(sqlite)
    if query_only:
        sqlite.execute("PRAGMA query_only = ON")
