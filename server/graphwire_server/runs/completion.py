"""Work that must not stop in the middle when its caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from graphwire.errors import GraphwireError

_log = structlog.get_logger("graphwire.runs")

T = TypeVar("T")


class CallerGoneError(Exception):
    """Nobody waits any more for what was about to begin."""


class Attendance:
    """Whether somebody waits for work that can be taken back until its transaction begins."""

    def __init__(self) -> None:
        """Begins with somebody who waits."""
        self._gone = False

    def leave(self) -> None:
        """Notes that nobody waits any more."""
        self._gone = True

    def check(self) -> None:
        """Raises CallerGoneError if nobody waits: to be called first in the transaction."""
        if self._gone:
            raise CallerGoneError


class Completion:
    """Carries work on to its end, whatever becomes of those who wait for it.

    A caller that hangs up between two steps (a commit, and what follows from it) would leave
    a run that is RUNNING and that nobody executes.
    """

    def __init__(self) -> None:
        """Starts with nothing under way."""
        # The event loop keeps only weak references to tasks.
        self._under_way: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begins work that nobody may cancel."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def of(self, work: Coroutine[Any, Any, T], attendance: Attendance | None = None) -> T:
        """Awaits work that goes on to its end even if this call is cancelled.

        With an `attendance` that is asked in its transaction it goes on only if that has begun.
        """
        try:
            return await self.wait(self.begin(work))
        except asyncio.CancelledError:
            if attendance is not None:
                attendance.leave()
            raise

    @staticmethod
    async def wait(task: asyncio.Task[T]) -> T:
        """Awaits work that was begun; it goes on to its end even if this call is cancelled."""
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(_left_alone)
            raise


def _left_alone(task: asyncio.Task[Any]) -> None:
    """Looks at what came of work of which nobody wants to know any more.

    asyncio would write an error for each caller who hangs up on a call that is refused.
    """
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, CallerGoneError | GraphwireError):
        _log.error("work_failed", exc_info=error)
