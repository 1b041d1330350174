"""The one writer: it runs what is waiting, and flushes it to the disk together."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from graphwire_server.storage.interface import StorageError, Transaction
from graphwire_server.storage.sqlite.connection import Connection, Outcome
from graphwire_server.storage.sqlite.errors import translating, unusable
from graphwire_server.storage.sqlite.transaction import SqliteTransaction

T = TypeVar("T")
Work = Callable[[Transaction], T]

#: The most works in one flush: a bound on how long the first of them waits for it.
MAX_BATCH = 256


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Work[Any]
    outcome: asyncio.Future[Outcome[Any]]


class GroupCommit:
    """Runs works in the order of their arrival, as many as wait in one transaction.

    While one batch is on its way to the disk the next one gathers, so that under load
    many share a flush, and a lone work never waits for others.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._serve(), name="storage-writer")

    async def submit(self, work: Work[T]) -> T:
        """Runs a work, and returns once it is on the disk.

        A caller that is cancelled before the work's batch has begun takes the work back;
        after that it is done wholly, and only its result is lost.

        Raises:
            StorageError: It is closed, or the batch could not be committed.
            IntegrityError: SQLite refuses a row.
            Exception: Whatever the work raises.
        """
        if self._closed or self._task.done():
            raise unusable(self._connection.path, "it is closed")
        waiting = _Waiting(work, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._wake.set()
        outcome = cast("Outcome[T]", await waiting.outcome)
        with translating(self._connection.path):
            return outcome.get()

    async def close(self) -> None:
        """Finishes what is queued, and takes no more."""
        self._closed = True
        self._wake.set()
        await asyncio.wait([self._task])

    async def _serve(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._queue or not self._closed:
                batch = self._next_batch()
                if batch:
                    await self._commit(batch)
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            # Left in this way only when the event loop is being torn down.
            for waiting in (*batch, *self._queue):
                waiting.outcome.cancel()

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue and len(batch) < MAX_BATCH:
            waiting = self._queue.popleft()
            if not waiting.outcome.cancelled():
                batch.append(waiting)
        return batch

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        works = [waiting.work for waiting in batch]
        path = self._connection.path
        outcomes: Sequence[Outcome[Any]]
        try:
            outcomes = await self._connection.run(
                lambda sqlite: _run_together(sqlite, SqliteTransaction(sqlite, path), works)
            )
        except StorageError as error:
            outcomes = [Outcome(error=StorageError(str(error))) for _ in batch]
        except Exception as error:  # noqa: BLE001 (all of its callers are told)
            outcomes = [Outcome(error=unusable(path, error)) for _ in batch]
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not waiting.outcome.cancelled():
                waiting.outcome.set_result(outcome)


def _run_together(
    sqlite: sqlite3.Connection, transaction: Transaction, works: Sequence[Work[Any]]
) -> list[Outcome[Any]]:
    """Runs works in one transaction, each of which can fail alone.

    Raises:
        sqlite3.Error: SQLite gave up; nothing of any work is kept.
    """
    try:
        sqlite.execute("BEGIN IMMEDIATE")
        outcomes = [
            _run_alone(sqlite, transaction, work, savepoint=len(works) > 1) for work in works
        ]
        if sqlite.in_transaction:
            sqlite.execute("COMMIT")
    except BaseException:
        if sqlite.in_transaction:
            sqlite.execute("ROLLBACK")
        raise
    return outcomes


def _run_alone(
    sqlite: sqlite3.Connection,
    transaction: Transaction,
    work: Work[T],
    *,
    savepoint: bool,
) -> Outcome[T]:
    """Runs one work, and takes back what it did if it raises."""
    if savepoint:
        sqlite.execute("SAVEPOINT work")
    outcome = Outcome.of(work, transaction)
    if not sqlite.in_transaction:
        # When the disk is full, for one, SQLite takes back the whole transaction.
        raise sqlite3.OperationalError(f"SQLite gave the transaction up: {outcome.error}")
    if outcome.error is not None:
        sqlite.execute("ROLLBACK TO work" if savepoint else "ROLLBACK")
    if savepoint:
        sqlite.execute("RELEASE work")
    return outcome
