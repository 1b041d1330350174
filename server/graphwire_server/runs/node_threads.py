"""The threads that nodes run in which are plain functions.

Such a node can't be stopped. So that a run shows CANCELLED only when its nodes have
returned, the pool knows which run each of its threads works for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: The run that the current task executes; empty outside of runs.
current_run: ContextVar[str] = ContextVar("graphwire_current_run", default="")


class NodeThreads(ThreadPoolExecutor):
    """A thread pool that knows for which run each call was submitted."""

    def __init__(self, max_workers: int) -> None:
        """Makes a pool of at most `max_workers` threads."""
        super().__init__(max_workers, thread_name_prefix="node")
        self._calls: dict[str, set[Future[object]]] = {}
        self._calls_lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedules a call, on behalf of the run of the current context."""
        future = super().submit(fn, *args, **kwargs)
        run_id = current_run.get()
        if run_id:
            with self._calls_lock:
                self._calls.setdefault(run_id, set()).add(future)  # type: ignore[arg-type]
            future.add_done_callback(lambda done: self._forget(run_id, done))
        return future

    @property
    def at_work(self) -> int:
        """How many calls of runs have not returned yet; on any thread."""
        with self._calls_lock:
            return sum(map(len, self._calls.values()))

    def busy(self, run_id: str) -> bool:
        """Returns whether calls of a run have not returned yet."""
        return run_id in self._calls

    async def returned(self, run_id: str) -> None:
        """Waits until every call of a run has returned. Calls not yet begun are dropped."""
        with self._calls_lock:
            calls = list(self._calls.get(run_id, ()))
        for call in calls:
            if not call.cancel():
                await asyncio.wait([asyncio.wrap_future(call)])

    def _forget(self, run_id: str, call: Future[T]) -> None:
        # In the thread that ran the call, while others are submitted in the event loop's.
        with self._calls_lock:
            calls = self._calls[run_id]
            calls.discard(call)
            if not calls:
                del self._calls[run_id]
