"""Deletes what has had its time: threads of stateless runs, and old request ids."""

from __future__ import annotations

import asyncio

import structlog

from graphwire_server.runs.clock import now_us
from graphwire_server.runs.idempotency import RETENTION
from graphwire_server.storage.interface import Storage, StorageError

_log = structlog.get_logger("graphwire.runs")

_INTERVAL_SECONDS = 60.0
_BATCH = 100


class Housekeeping:
    """Sweeps the database once a minute."""

    def __init__(self, storage: Storage, *, stateless_ttl: float) -> None:
        """Takes how long, in seconds, the thread of a stateless run outlives its end."""
        self._storage = storage
        self._stateless_ttl = stateless_ttl
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to sweep."""
        self._task = asyncio.create_task(self._sweep_for_ever(), name="housekeeping")

    async def stop(self) -> None:
        """Stops sweeping."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> int:
        """Sweeps once; returns how many threads were deleted."""
        now = now_us()
        await self._storage.write(lambda tx: tx.forget_requests(before=now - RETENTION))
        before = now - int(self._stateless_ttl * 1e6)
        deleted = 0
        while True:
            expired = await self._storage.read(
                lambda db: db.expired_stateless_threads(before=before, limit=_BATCH)
            )
            for thread_id in expired:
                await self._storage.write(lambda tx, gone=thread_id: tx.delete_thread(gone))  # type: ignore[misc]
                await self._storage.delete_checkpoints(thread_id)
            deleted += len(expired)
            if len(expired) < _BATCH:
                return deleted

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except StorageError:
                _log.exception("sweep_failed")
            await asyncio.sleep(_INTERVAL_SECONDS)
