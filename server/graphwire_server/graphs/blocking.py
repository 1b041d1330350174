"""Notices when the event loop stands still, and names the node that is to blame."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from graphwire_server.graphs.culprit import Culprit, find_culprit

_MEANWHILE = "Nothing else is served meanwhile"
_ADVICE = (
    f"{_MEANWHILE}: use an async library here, or make the node a plain `def`, which runs in a "
    "thread."
)

_log = structlog.stdlib.get_logger("graphwire.blocking")


class BlockingWatch:
    """A thread that logs `event_loop_blocked`, once for each time the loop stands still.

    The warning's fields: `blocked_for` (seconds so far), `where` and `function` (of the
    project's code, if it is that), `node` and `task_id` (empty if it is no node), `advice`.
    """

    def __init__(self, roots: Sequence[Path], *, threshold: float = 0.5) -> None:
        """Makes it; `start` starts it.

        Args:
            roots: The folders with the project's code, its root first.
            threshold: How long the loop may stand still, in seconds; above 0.
        """
        if threshold <= 0:
            raise ValueError(f"threshold has to be above 0, not {threshold}")
        self._roots = tuple(roots)
        self._threshold = threshold
        self._tick = threshold / 5
        self._stopping = threading.Event()
        # Set when the loop has answered, or the watch is to stop.
        self._signal = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts to watch a loop; call it in the loop's own thread, once."""
        self._thread = threading.Thread(
            target=self._watch,
            args=(loop, threading.get_ident()),
            name="graphwire-blocking-watch",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stops the watch; returns when its thread has ended."""
        self._stopping.set()
        self._signal.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        while not self._stopping.is_set():
            self._signal.clear()
            try:
                loop.call_soon_threadsafe(self._signal.set)
            except RuntimeError:  # the loop is closed
                return
            self._await_answer(loop, thread_id)
            self._stopping.wait(self._tick)

    def _await_answer(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        since = time.monotonic()
        reported = False
        while True:
            asleep_at = time.monotonic()
            if self._signal.wait(self._tick) or self._stopping.is_set():
                return
            now = time.monotonic()
            if now - asleep_at > self._tick + self._threshold / 2:
                # This thread stood still as well: the process was stopped, or had no CPU.
                since = now
            elif not reported and now - since >= self._threshold:
                self._report(loop, thread_id, now - since)
                reported = True

    def _report(self, loop: asyncio.AbstractEventLoop, thread_id: int, blocked_for: float) -> None:
        try:
            culprit = find_culprit(loop, thread_id, self._roots)
        except Exception:  # noqa: BLE001  # it reads what other threads change
            culprit = Culprit()
        _log.warning(
            "event_loop_blocked",
            blocked_for=round(blocked_for, 3),
            **culprit._asdict(),
            advice=_ADVICE if culprit.node else f"{_MEANWHILE}.",
        )
