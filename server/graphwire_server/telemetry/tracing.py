"""Traces, as the server sees them. `otel` makes them; without it there is None in its place."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

#: A trace context as headers, such as `traceparent`, by their names in lower case.
Carrier = Mapping[str, str]

#: How the work of a node ended.
NodeEnd = Literal["finished", "failed", "interrupted", "cancelled"]


class TracingError(Exception):
    """Traces can't be made as they were asked for; its text says what to change."""


@dataclass(frozen=True, slots=True)
class TracedAttempt:
    """Which attempt at which run: what the ids of its span are made from.

    Attributes:
        run_id: The run.
        attempt: From 1.
        carrier: The trace context of the call that started the run; empty if it has none.
    """

    run_id: str
    attempt: int
    carrier: Carrier


@dataclass(frozen=True, slots=True)
class TracedRun:
    """An attempt at a run, as its span tells of it.

    Attributes:
        it: Which one.
        thread_id: The run's thread.
        assistant_id: Its assistant.
        graph_id: Its graph.
        continues: The last attempt at the run that it resumes; None if it resumes none, or that
            one is gone.
    """

    it: TracedAttempt
    thread_id: str
    assistant_id: str
    graph_id: str
    continues: TracedAttempt | None


@dataclass(frozen=True, slots=True)
class TracedTask:
    """A task of a graph, as its span tells of it.

    Attributes:
        task_id: LangGraph's id of the task.
        node: The node.
        namespace: Where: the subgraph, as LangGraph writes it; empty for the root.
        step: The step; None if it is not known.
    """

    task_id: str
    node: str
    namespace: str
    step: int | None


class CallSpan(Protocol):
    """The span of an RPC.

    Attributes:
        trace_id: In hexadecimal.
    """

    trace_id: str

    def end(self, code: str, fields: Mapping[str, str], messages: int | None) -> None:
        """Ends it.

        Args:
            code: The name of the status code.
            fields: What the log says of the call: its request id, thread and run.
            messages: Of a stream: how many messages were sent.
        """


class RunSpan(Protocol):
    """The span of an attempt at a run.

    Attributes:
        trace_id: In hexadecimal.
    """

    trace_id: str

    def end(self, status: str, error_type: str, error: str) -> None:
        """Ends it; `error` says why it failed, and is empty if it did not."""


class TaskSpan(Protocol):
    """The span of a task."""

    def end(self, how: NodeEnd, error: BaseException | None) -> None:
        """Ends it, in the task that began it."""


class Tracing(Protocol):
    """Makes spans. Each is the current one of the task that begins it, and of what that starts."""

    def become_default(self) -> None:
        """Takes what nodes trace by themselves, unless the project has said where that goes.

        To be called when its graphs are loaded.
        """

    def call(self, method: str, metadata: Carrier) -> CallSpan:
        """Begins the span of an RPC, a child of what the caller's metadata says."""

    def carrier(self) -> dict[str, str]:
        """Returns the current trace context, to be kept."""

    def run(self, run: TracedRun) -> RunSpan:
        """Begins the span of an attempt at a run, a child of the call that started it."""

    def task(self, task: TracedTask) -> TaskSpan:
        """Begins the span of a task, a child of the current one."""

    def stop(self) -> None:
        """Exports what is left, and closes; blocks for some seconds at the most."""


#: What makes spans for the tasks of the run that the current task executes; None: nothing.
current_tracing: ContextVar[Tracing | None] = ContextVar("graphwire_tracing", default=None)
