"""Deletes what has had its time: threads of stateless runs, and old request ids."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from graphwire_server.runs.clock import now_us
from graphwire_server.runs.idempotency import RETENTION
from graphwire_server.storage.interface import Storage, StorageError, Transaction

_log = structlog.get_logger("graphwire.runs")

#: Between two sweeps, in seconds: as long as a stateless thread lives, within these bounds.
_SHORTEST, _LONGEST = 0.5, 60.0
_BATCH = 100


class Housekeeping:
    """Sweeps the database once a minute; more often where threads are kept for less."""

    def __init__(self, storage: Storage, *, stateless_ttl: float) -> None:
        """Takes how long, in seconds, the thread of a stateless run outlives its end."""
        self._storage = storage
        self._stateless_ttl = stateless_ttl
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begins to sweep."""
        self._task = asyncio.create_task(self._sweep_for_ever(), name="housekeeping")

    async def stop(self) -> None:
        """Stops sweeping, with no thread half deleted."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def sweep(self) -> int:
        """Sweeps once; returns how many threads were deleted."""
        now = now_us()
        await self._storage.write(lambda tx: tx.forget_requests(before=now - RETENTION), long=True)
        before = now - int(self._stateless_ttl * 1e6)
        deleted = 0
        while True:
            gone = await self._storage.write(lambda tx: _delete_expired(tx, before), long=True)
            deleted += gone
            if gone < _BATCH or self._stopping.is_set():
                return deleted

    async def _sweep_for_ever(self) -> None:
        interval = min(max(self._stateless_ttl, _SHORTEST), _LONGEST)
        while not self._stopping.is_set():
            try:
                await self.sweep()
            except StorageError:
                _log.exception("sweep_failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), interval)


def _delete_expired(tx: Transaction, before: int) -> int:
    """Deletes threads that are not in use, and returns how many; it is one step."""
    expired = tx.expired_stateless_threads(before=before, limit=_BATCH)
    for thread_id in expired:
        tx.delete_thread(thread_id)
    return len(expired)
