"""Looks regularly how late the event loop is."""

from __future__ import annotations

import asyncio

from graphwire_server.telemetry.metrics import Histogram

#: How often, in seconds.
_EVERY = 0.1


class LoopLag:
    """Measures how much later than asked for the event loop calls something."""

    def __init__(self, into: Histogram) -> None:
        """Begins at once, on the running event loop."""
        self._into = into
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    def stop(self) -> None:
        """Measures no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        self._due = self._loop.time() + _EVERY
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._into.observe(max(self._loop.time() - self._due, 0))
        self._wait()
