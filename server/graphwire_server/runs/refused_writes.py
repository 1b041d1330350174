"""Writes that a database does not take at present: nothing of them is lost, so they wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from graphwire_server.storage.interface import (
    Storage,
    StorageRefused,
    StorageTimeout,
    Transaction,
)

_log = structlog.get_logger("graphwire.runs")

#: After how many seconds a write is tried again: the first time, and later at the most.
_FIRST, _LATEST = 0.1, 5.0
#: How long a write is tried that takes too long for the database, in seconds: it may be of a
#: size that it never takes.
_PATIENCE = 300.0


class PatientWrites:
    """The writes of one run."""

    def __init__(self, storage: Storage, run_id: str) -> None:
        """Takes where to write, and of which run the log speaks."""
        self._storage = storage
        self._run_id = run_id
        self._hurries = asyncio.Event()

    def hurry(self) -> None:
        """Waits no longer, now and later."""
        self._hurries.set()

    async def write(self, work: Callable[[Transaction], None]) -> None:
        """Writes, as `Storage.write`; waits while the database is full, locked or read-only.

        Raises:
            StorageRefused: It must not wait any longer, or the work takes too long.
            StorageError, LeaseLostError: As `Storage.write`.
        """
        loop = asyncio.get_running_loop()
        delay, give_up = _FIRST, loop.time() + _PATIENCE
        while True:
            try:
                return await self._storage.write(work)
            except StorageRefused as error:
                too_long = isinstance(error, StorageTimeout) and loop.time() > give_up
                if too_long or self._hurries.is_set():
                    raise
                if delay == _FIRST:
                    _log.warning(
                        "database_refuses",
                        run_id=self._run_id,
                        reason=str(error),
                        hint="the run goes on when the database takes what it has made",
                    )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurries.wait(), delay)
            delay = min(2 * delay, _LATEST)
