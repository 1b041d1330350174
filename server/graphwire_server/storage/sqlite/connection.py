"""One SQLite connection with a thread of its own, on aiosqlite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast

import aiosqlite

from graphwire_server.storage.sqlite.containment import Containment
from graphwire_server.storage.sqlite.errors import translating, unusable

T = TypeVar("T")
S = TypeVar("S")

#: How long, in seconds, a connection waits for another one's write before it gives up.
BUSY_TIMEOUT = 10.0

#: What the write-ahead log is cut back to after a burst, in bytes.
_LOG_SIZE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a function returned or raised.

    It travels between threads as a plain result: handed to a future as an exception,
    StopIteration would be refused, and its caller would wait for ever.
    """

    value: T | None = None
    error: BaseException | None = None

    @classmethod
    def of(cls, function: Callable[[S], T], argument: S) -> Outcome[T]:
        """Calls a function and keeps what came of it."""
        try:
            return cls(value=function(argument))
        except BaseException as error:  # noqa: BLE001 (raised again by `get`)
            return cls(error=error)

    def get(self) -> T:
        """Returns the value, or raises the error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


class Connection:
    """A connection whose every use runs on its own thread, one after another."""

    def __init__(
        self, path: Path, *, isolation: Literal["IMMEDIATE"] | None, query_only: bool
    ) -> None:
        self.path = path
        self._isolation: Literal["IMMEDIATE"] | None = isolation
        self._query_only = query_only
        self._sqlite: sqlite3.Connection
        self._aiosqlite = aiosqlite.Connection(self._connect, iter_chunk_size=64)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        isolation: Literal["IMMEDIATE"] | None = None,
        query_only: bool = False,
    ) -> Connection:
        """Opens a database file, and makes it if it is not there.

        Args:
            path: The file.
            isolation: How the sqlite3 module begins transactions by itself; None if it
                shall not.
            query_only: Whether writes are refused.

        Raises:
            StorageError: It can't be opened.
        """
        connection = cls(path, isolation=isolation, query_only=query_only)
        with translating(path):
            await connection._aiosqlite
        return connection

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

    async def close(self) -> None:
        """Finishes what is queued, and closes."""
        await self._aiosqlite.close()

    def _connect(self) -> sqlite3.Connection:
        self._sqlite = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=self._isolation
        )
        try:
            self._configure(self._sqlite)
        except BaseException:
            self._sqlite.close()
            raise
        return self._sqlite

    def _configure(self, sqlite: sqlite3.Connection) -> None:
        mode = sqlite.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise sqlite3.OperationalError(
                f"its journal mode is {mode}, and its file system does not allow WAL"
            )
        sqlite.execute("PRAGMA synchronous = FULL")
        sqlite.execute("PRAGMA foreign_keys = ON")
        sqlite.execute(f"PRAGMA journal_size_limit = {_LOG_SIZE}")
        sqlite.create_function("graphwire_contains", 2, Containment(), deterministic=True)
        if self._query_only:
            sqlite.execute("PRAGMA query_only = ON")
