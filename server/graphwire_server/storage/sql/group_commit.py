"""The one writer: it runs what is waiting, and flushes it to the disk together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from graphwire_server.storage.interface import (
    StorageError,
    StorageRefused,
    StorageTimeout,
    Transaction,
)
from graphwire_server.storage.sql.errors import alike, unusable
from graphwire_server.storage.sql.outcome import Outcome
from graphwire_server.telemetry.instruments import Metrics

#: From how many seconds on a work that is given up has kept all others waiting.
_LONG = 5.0

T = TypeVar("T")
Work = Callable[[Transaction], T]


class RunBatch(Protocol):
    """Runs works in one transaction."""

    def __call__(
        self, works: Sequence[Work[Any]], *, long: bool
    ) -> Awaitable[Sequence[Outcome[Any]]]:
        """Returns what came of each work, once they are committed; `long`: one may take long.

        If it raises, nothing of any work is kept, or a `StorageError` says what.
        """


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Work[Any]
    long: bool
    outcome: asyncio.Future[Outcome[Any]]

    def __call__(self, transaction: Transaction) -> Any:
        """Does the work, unless its caller has left while the batch waited for its turn."""
        if self.outcome.cancelled():
            raise _TakenBack
        return self.work(transaction)


class _TakenBack(Exception):
    """Nobody waits for the work any more, and it had not begun."""


class GroupCommit:
    """Runs works in the order of their arrival, as many as wait in one transaction.

    While one batch is on its way to the disk the next one gathers, so that under load
    many share a flush, and a lone work never waits for others.
    """

    def __init__(
        self,
        run_batch: RunBatch,
        *,
        database: object,
        max_batch: int,
        metrics: Metrics | None = None,
        kind: str = "",
    ) -> None:
        """Begins to serve.

        Args:
            run_batch: Runs works in one transaction and commits it.
            database: What errors call the database.
            max_batch: The most works in one flush: a bound on how long the first of them
                waits for it.
            metrics: Where transactions are counted.
            kind: What the metrics call the database.
        """
        self._metrics = metrics or Metrics()
        self._kind = kind
        self._metrics.commit_failures.begin(kind)
        self._run_batch = run_batch
        self._database = database
        self._max_batch = max_batch
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._refused_at: float | None = None
        self._began: float | None = None
        self._task = asyncio.create_task(self._serve(), name="storage-writer")

    async def submit(self, work: Work[T], *, long: bool = False) -> T:
        """Runs a work, and returns once it is on the disk.

        `long` says that it may take more than some milliseconds.

        A caller that is cancelled before the work has begun takes it back; after that it is
        done wholly, and only its result is lost.

        Raises:
            StorageError: It is closed, or the batch could not be committed.
            IntegrityError: The database refuses a row.
            Exception: Whatever the work raises.
        """
        if self._closed or self._task.done():
            raise unusable(self._database, "it is closed")
        waiting = _Waiting(work, long, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._wake.set()
        return cast("Outcome[T]", await waiting.outcome).get()

    @property
    def waiting(self) -> int:
        """How many works wait for the next transaction."""
        return len(self._queue)

    @property
    def refused_at(self) -> float | None:
        """When the database last took a work not, for want of room, say; by `time.monotonic`.

        A work that was given up soon does not count: another may well be taken.
        """
        return self._refused_at

    def writing_for(self) -> float:
        """Returns for how long the transaction under way has been so, in seconds; 0: there is none.

        All others wait for it.
        """
        return 0.0 if self._began is None else time.perf_counter() - self._began

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
                elif not self._closed:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            # Left in this way only when the event loop is being torn down.
            for waiting in (*batch, *self._queue):
                waiting.outcome.cancel()

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self._max_batch:
            waiting = self._queue.popleft()
            if not waiting.outcome.cancelled():
                batch.append(waiting)
        return batch

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        outcomes: Sequence[Outcome[Any]]
        metrics, kind = self._metrics, self._kind
        began = self._began = time.perf_counter()
        try:
            outcomes = await self._run_batch(
                batch,
                long=any(waiting.long for waiting in batch),
            )
        except StorageError as error:
            metrics.commit_failures.add(kind)
            # One of its own for each, of whose traceback nobody else is a part.
            outcomes = [Outcome(error=alike(error)) for _ in batch]
        except Exception as error:  # noqa: BLE001 (all of its callers are told)
            metrics.commit_failures.add(kind)
            outcomes = [Outcome(error=unusable(self._database, error)) for _ in batch]
        else:
            metrics.commit_seconds.observe(time.perf_counter() - began, kind)
            metrics.commit_writes.observe(len(batch), kind)
        self._began = None
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome.error, StorageRefused):
                self._note(outcome.error, took=time.perf_counter() - began)
            if not waiting.outcome.cancelled():
                waiting.outcome.set_result(outcome)

    def _note(self, refused: StorageRefused, *, took: float) -> None:
        # One that was given up soon may be too large; one that took long has waited for a lock.
        if took >= _LONG or not isinstance(refused, StorageTimeout):
            self._refused_at = time.monotonic()
