"""The one connection that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from graphwire_server.storage.sql.group_commit import Work
from graphwire_server.storage.sql.outcome import Outcome
from graphwire_server.storage.sqlite.batch import begin, begin_at_once, roll_back, run_all
from graphwire_server.storage.sqlite.connection import Connection
from graphwire_server.storage.sqlite.errors import translating


class Writer:
    """Runs batches of works, one after another.

    Only what may wait happens on the connection's thread: the flush, and a batch for which
    another connection holds the lock. The statements of other batches run on the event loop's
    own thread, where each takes some microseconds: on another thread each of them would give up
    Python's lock and wait for it again, behind everything that the event loop is busy with.
    """

    def __init__(
        self,
        connection: Connection,
        path: Path,
        announce: Callable[..., None],
        on_commit: Callable[[int], None],
    ) -> None:
        """Takes what is told, after each commit, what to announce, and how many events it had."""
        self._connection = connection
        self._path = path
        self._announce = announce
        self._on_commit = on_commit

    async def run(self, works: Sequence[Work[Any]], *, long: bool) -> list[Outcome[Any]]:
        """Runs works in one transaction, and returns when it is on the disk.

        Args:
            works: What to run; each can fail alone.
            long: Whether one of them may take long, and is not for the event loop.

        Raises:
            StorageError: SQLite gave up; nothing of any work is kept.
        """
        sqlite = self._connection.sqlite
        # Once it is begun, nothing waits for the event loop, which a node may block: others want
        # the lock, the renewal of the lease among them.
        with translating(self._path):
            at_once = not long and begin_at_once(sqlite)
        if not at_once:
            outcomes, topics, events = await self._connection.run(
                lambda sqlite: self._run_and_commit(sqlite, works)
            )
        else:
            try:
                with translating(self._path):
                    outcomes, topics, events = run_all(sqlite, self._path, works)
            except BaseException:
                roll_back(sqlite)
                raise
            await self._connection.run(_commit)
        self._on_commit(events)
        self._announce(*topics)
        return outcomes

    def _run_and_commit(
        self, sqlite: sqlite3.Connection, works: Sequence[Work[Any]]
    ) -> tuple[list[Outcome[Any]], Collection[str], int]:
        begin(sqlite)
        try:
            result = run_all(sqlite, self._path, works)
        except BaseException:
            roll_back(sqlite)
            raise
        _commit(sqlite)
        return result


def _commit(sqlite: sqlite3.Connection) -> None:
    try:
        # A single work that failed has been taken back with the whole transaction.
        if sqlite.in_transaction:
            sqlite.execute("COMMIT")
    except BaseException:
        roll_back(sqlite)
        raise
