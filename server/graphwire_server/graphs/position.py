"""Where a thread stands: its head checkpoint, what comes next, and what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, StateSnapshot

from graphwire_server import jsontext
from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.stored import stored_checkpoint
from graphwire_server.storage.records import PauseKind

Namespace = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One reason for which a graph has stopped.

    Attributes:
        kind: Why.
        node: The node that is about to run, has run, or asks.
        namespace: Where the node is: the subgraph path from the root.
        interrupt_id: LangGraph's id, for INTERRUPT; else empty.
        value: What the node asks, as JSON text; None unless INTERRUPT.
        response_schema: The JSON Schema of an answer, as JSON text; None if there is none.
    """

    kind: PauseKind
    node: str
    namespace: Namespace = ()
    interrupt_id: str = ""
    value: str | None = None
    response_schema: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a thread stands.

    Attributes:
        checkpoint_id: The root's head; empty if nothing has run yet.
        next: The nodes that come next at the root, one for each task.
        values: The state, as JSON text; None if nothing has run yet.
        waiting: Why it has stopped; empty if it is just at its end, or between steps.
    """

    checkpoint_id: str
    next: tuple[str, ...]
    values: str | None
    waiting: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class Breakpoints:
    """The static breakpoints in force at the root: node names, `*` for all."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Returns whether there are any."""
        return bool(self.before or self.after)


@dataclass(slots=True)
class StepTracker:
    """Follows the parts of a stream: which nodes finished in the latest step.

    That a graph stopped after a node can't be seen in its state, so it is kept here. Tasks are
    told apart by their nodes alone: a result that is kept from an earlier run has no task id.
    """

    _running: dict[Namespace, Counter[str]] = field(default_factory=dict)
    _finished: dict[Namespace, list[str]] = field(default_factory=dict)

    def started(self, namespace: Namespace, node: str) -> None:
        """Notes that a task has started; the first one after a step ended begins a new step."""
        running = self._running.setdefault(namespace, Counter())
        if not running:
            self._finished[namespace] = []
        running[node] += 1

    def finished(self, namespace: Namespace, node: str) -> None:
        """Notes that a task has finished, or that its result was there already."""
        self.stopped(namespace, node)
        self._finished.setdefault(namespace, []).append(node)

    def stopped(self, namespace: Namespace, node: str) -> None:
        """Notes that a task has ended with an error or a question."""
        self._running[namespace] = self._running.get(namespace, Counter()) - Counter([node])

    def last_step(self, namespace: Namespace) -> Collection[str]:
        """Returns the nodes that finished in the latest step of a namespace."""
        return self._finished.get(namespace, ())


async def read_position(
    graph: AnyPregel,
    config: RunnableConfig,
    breakpoints: Breakpoints,
    steps: StepTracker | None = None,
) -> Position:
    """Reads where a thread stands.

    Args:
        graph: The graph, with the server's checkpointer.
        config: Names the thread.
        breakpoints: Those in force at the root; subgraphs have their own compiled in.
        steps: What was seen of the run that just stopped. Without it, stops after a node are
            not found.
    """
    try:
        snapshot = await graph.aget_state(
            config, subgraphs=any(True for _ in compat.subgraphs(graph))
        )
    except Exception:
        # The graph's own types refuse the state that is stored: nobody can say what comes next.
        stored = await stored_checkpoint(graph, config)
        if stored is None:
            raise
        return Position(stored.checkpoint_id, (), stored.values, ())
    checkpoint_id = checkpoint_id_of(snapshot.config)
    return Position(
        checkpoint_id=checkpoint_id,
        next=snapshot.next,
        values=jsontext.dumps(snapshot.values) if checkpoint_id else None,
        waiting=tuple(_waiting(graph, snapshot, (), breakpoints, steps or StepTracker())),
    )


def checkpoint_id_of(config: RunnableConfig | None) -> str:
    """Returns the checkpoint that a config names; empty if none."""
    return str((config or {}).get("configurable", {}).get("checkpoint_id") or "")


def stops(names: Collection[str], node: str) -> bool:
    """Returns whether a list of breakpoints covers a node."""
    return node in names or "*" in names


def _waiting(
    graph: AnyPregel | None,
    snapshot: StateSnapshot,
    namespace: Namespace,
    breakpoints: Breakpoints,
    steps: StepTracker,
) -> Iterator[Waiting]:
    children: Mapping[str, AnyPregel] = dict(compat.subgraphs(graph)) if graph else {}
    standing: list[str] = []
    deeper = False
    for task in snapshot.tasks:
        below = task.state if isinstance(task.state, StateSnapshot) else None
        if below is not None and below.tasks:
            deeper = True
            child = children.get(task.name)
            before, after = compat.static_breakpoints(child) if child else ((), ())
            path = (*namespace, f"{task.name}:{task.id}")
            yield from _waiting(child, below, path, Breakpoints(before, after), steps)
        elif task.interrupts:
            deeper = True
            for interrupt in task.interrupts:
                yield _question(task.name, namespace, interrupt)
        elif task.result is None and task.error is None:
            standing.append(task.name)
    if not deeper:
        for node in dict.fromkeys(steps.last_step(namespace)):
            if stops(breakpoints.after, node):
                yield Waiting(PauseKind.BREAKPOINT_AFTER, node, namespace)
        for node in dict.fromkeys(standing):
            if stops(breakpoints.before, node):
                yield Waiting(PauseKind.BREAKPOINT_BEFORE, node, namespace)


def _question(node: str, namespace: Namespace, interrupt: Interrupt[Any]) -> Waiting:
    schema = interrupt.response_schema
    return Waiting(
        kind=PauseKind.INTERRUPT,
        node=node,
        namespace=namespace,
        interrupt_id=interrupt.id,
        value=jsontext.dumps(interrupt.value),
        response_schema=jsontext.dumps(schema) if isinstance(schema, dict) else None,
    )
