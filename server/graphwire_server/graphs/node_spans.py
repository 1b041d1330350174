"""The spans of tasks: from when the gate lets one begin to when its node has returned."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.failures import ContainedError
from graphwire_server.graphs.places import text_of
from graphwire_server.telemetry.tracing import (
    NodeEnd,
    TaskSpan,
    TracedTask,
    Tracing,
    current_tracing,
)

_NOTHING: AbstractContextManager[None] = nullcontext()


def task_span(config: RunnableConfig | None) -> AbstractContextManager[None]:
    """Returns what a task is to run in, to be traced: nothing, where nothing is."""
    tracing = current_tracing.get()
    if tracing is None or config is None:
        return _NOTHING
    task = compat.task_of(config)
    if task is None:
        return _NOTHING
    step = config.get("metadata", {}).get("langgraph_step")
    return _Traced(tracing, TracedTask(task.task_id, task.node, text_of(task.namespace), step))


class _Traced(AbstractContextManager[None]):
    def __init__(self, tracing: Tracing, task: TracedTask) -> None:
        self._tracing = tracing
        self._task = task
        self._span: TaskSpan

    def __enter__(self) -> None:
        self._span = self._tracing.task(self._task)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        how = _how(error)
        if isinstance(error, ContainedError):
            error = error.original
        self._span.end(how, error if how == "failed" else None)


def _how(error: BaseException | None) -> NodeEnd:
    match error:
        case None | GeneratorExit():
            return "finished"
        case GraphBubbleUp():
            # A question, a breakpoint inside; or a command to the graph around it.
            return "interrupted"
        case asyncio.CancelledError():
            return "cancelled"
        case _:
            return "failed"
