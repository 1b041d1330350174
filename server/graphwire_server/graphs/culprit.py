"""Finds out, from another thread, which code of the project holds the event loop.

The way from a running coroutine to its node relies on private parts of langgraph and of
asyncio; tests/graphs/test_blocking.py proves them. If they change, no node is found, and
nothing worse happens.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, FrameType
from typing import Any, NamedTuple

from graphwire_server.graphs.sources import display_path, is_project_file, is_standard_file

#: The coroutine in which langgraph runs each task of a step; its local `task` is the task.
_RUNNER_NAME, _RUNNER_FILE = "arun_with_retry", str(Path("langgraph", "pregel", "_retry.py"))
_SUSPENDED = (CoroutineType, AsyncGeneratorType)


class Culprit(NamedTuple):
    """Who holds the event loop.

    Attributes:
        where: `file:line`, from the project's root if it lies there; empty if unknown.
        function: The function there; empty if unknown.
        node: The node that runs; empty if it is none, or unknown.
        task_id: The id of that node's task; empty if there is none.
    """

    where: str = ""
    function: str = ""
    node: str = ""
    task_id: str = ""


def find_culprit(loop: asyncio.AbstractEventLoop, thread_id: int, roots: Sequence[Path]) -> Culprit:
    """Looks at the stack of the loop's thread.

    Args:
        loop: The event loop.
        thread_id: `threading.get_ident()` of the thread that runs it.
        roots: The folders with the project's code, its root first.

    Returns:
        The innermost place in the project; if there is none, the innermost outside of the
        standard library.
    """
    innermost = sys._current_frames().get(thread_id)
    stack = list(_outward(innermost))
    task = _task_in(stack) or _task_that_waits(loop)
    names = {} if task is None else {"node": str(task.name), "task_id": str(task.id)}
    frame = next((f for f in stack if is_project_file(f.f_code.co_filename, roots)), None) or next(
        (f for f in stack if not is_standard_file(f.f_code.co_filename)), None
    )
    if frame is None:
        return Culprit(**names)
    where = f"{display_path(frame.f_code.co_filename, roots[0])}:{frame.f_lineno}"
    return Culprit(where, frame.f_code.co_qualname, **names)


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _task_in(stack: Sequence[FrameType]) -> Any:
    """Returns the langgraph task of the innermost runner in a stack (innermost first)."""
    for frame in stack:
        code = frame.f_code
        if code.co_name == _RUNNER_NAME and code.co_filename.endswith(_RUNNER_FILE):
            return frame.f_locals.get("task")
    return None


def _task_that_waits(loop: asyncio.AbstractEventLoop) -> Any:
    """Returns the langgraph task that waits, in asyncio, for the one that runs now."""
    waiters: dict[int, asyncio.Task[Any]] = {}
    for candidate in asyncio.all_tasks(loop):
        awaited = getattr(candidate, "_fut_waiter", None)
        # gather() waits through a future of its own, which knows its children.
        for future in (awaited, *getattr(awaited, "_children", ())):
            waiters[id(future)] = candidate
    task = waiters.get(id(asyncio.current_task(loop)))
    while task is not None:
        if (found := _task_in(list(_inward(task.get_coro()))[::-1])) is not None:
            return found
        task = waiters.get(id(task))
    return None


def _inward(awaited: object) -> Iterator[FrameType]:
    """Yields the frames of a suspended coroutine and of what it awaits, the outermost first."""
    seen: set[int] = set()
    while awaited is not None and id(awaited) not in seen:
        seen.add(id(awaited))
        match awaited:
            case CoroutineType():
                frame, awaited = awaited.cr_frame, awaited.cr_await
            case AsyncGeneratorType():
                frame, awaited = awaited.ag_frame, awaited.ag_await
            case _:
                # What wraps one of the two, such as the awaitable of __anext__(), does not
                # show it to anyone but the garbage collector.
                inner = gc.get_referents(awaited)
                frame = None
                awaited = next((i for i in inner if isinstance(i, _SUSPENDED)), None)
        if frame is not None:
            yield frame
