"""The threads that nodes run in which are plain functions, and those for all else.

Such a node can't be stopped. So that a run shows CANCELLED only when its nodes have
returned, the pool knows which run each of its threads works for. And it may never return: so
the server's own work waits for none of these threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: The run that the current task executes; empty for graphs outside of runs; None where the
#: server does work of its own.
current_run: ContextVar[str | None] = ContextVar("graphwire_current_run", default=None)

#: How many calls of libraries that the server itself uses run at once in threads.
_OWN_THREADS = 32


@contextmanager
def graph_code() -> Iterator[None]:
    """Has what the current task calls in threads meanwhile run in those of nodes."""
    if current_run.get() is not None:
        yield
        return
    token = current_run.set("")
    try:
        yield
    finally:
        current_run.reset(token)


async def in_thread(function: Callable[[], T], threads: Executor | None = None) -> T:
    """Calls code of the project in a thread, in a copy of the current context.

    Args:
        function: The call. Raises it StopIteration, that is a RuntimeError here.
        threads: In which; None: the event loop's, see `LoopThreads`.
    """

    def call() -> T:
        try:
            return function()
        except StopIteration as error:
            # No asyncio future can hold one: whoever waits would wait for ever.
            raise RuntimeError("StopIteration") from error

    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, copy_context().run, call)


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


class LoopThreads(ThreadPoolExecutor):
    """The event loop's default executor: where calls run for which no threads are named.

    LangGraph names none for nodes, and libraries that the server uses name none for looking up
    the hosts of databases and issuers. Graphs get the threads of nodes, the server its own.
    """

    def __init__(self, nodes: NodeThreads) -> None:
        """Takes the threads of nodes, which are shut down by themselves."""
        super().__init__(_OWN_THREADS, thread_name_prefix="server")
        self._nodes = nodes

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedules a call, for whomever the current context works."""
        if current_run.get() is None:
            return super().submit(fn, *args, **kwargs)
        return self._nodes.submit(fn, *args, **kwargs)
