"""Executes a graph on a thread: what the engine gets, and what it streams."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Send, StreamMode

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.messages import messages_in
from graphwire_server.graphs.position import Breakpoints, Namespace, StepTracker

__all__ = [
    "Beginning",
    "Execution",
    "ExecutionOptions",
    "Fresh",
    "GoOn",
    "RunnableConfig",
    "Steer",
    "StreamPart",
    "open_config",
    "run_config",
]

StreamPart = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fresh:
    """Starts with new input."""

    value: Any


@dataclass(frozen=True, slots=True)
class GoOn:
    """Goes on from where the thread stands; `answers` by LangGraph's interrupt id."""

    answers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Steer:
    """Updates the state, goes to nodes (each with an input of its own, or None), answers."""

    update: Any = None
    goto: Sequence[tuple[str, Any]] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)


Beginning = Fresh | GoOn | Steer


@dataclass(frozen=True, slots=True)
class ExecutionOptions:
    """How to execute.

    Attributes:
        config: LangGraph's config: thread, recursion limit, tags, configurable, metadata.
        context: The run's context; None for none.
        breakpoints: All static breakpoints of the root, those compiled in among them.
        stream_modes: LangGraph's names of the modes whose parts are wanted.
        subgraphs: Whether parts of subgraphs are wanted.
        durability: LangGraph's durability.
    """

    config: RunnableConfig
    context: Mapping[str, Any] | None
    breakpoints: Breakpoints
    stream_modes: frozenset[str]
    subgraphs: bool
    durability: Literal["sync", "async", "exit"]


class Execution:
    """One execution of a graph.

    Attributes:
        paused: After the stream has ended: whether the graph stopped at a breakpoint or an
            interrupt(), rather than at its end.
        steps: Which nodes finished in the latest step.
        failed: The first task that failed, (node, namespace); empty if none has.
    """

    def __init__(self, graph: AnyPregel, beginning: Beginning, options: ExecutionOptions) -> None:
        """Prepares an execution; nothing runs yet."""
        self.paused = False
        self.steps = StepTracker()
        self.failed: tuple[str, Namespace] = ("", ())
        self._graph = graph
        self._beginning = beginning
        self._options = options
        self._has_subgraphs = any(True for _ in compat.subgraphs(graph))
        self._inner_messages: set[str | None] = set()

    async def parts(self) -> AsyncGenerator[StreamPart]:
        """Runs the graph and yields its stream parts `{type, ns, data}` of the wanted modes.

        Raises what the graph raises. Parts of modes that are not wanted are kept back.
        """
        options = self._options
        # `updates` carry the sign of a stop, `tasks` tell what ran last; see StepTracker.
        modes = {*options.stream_modes, "updates", "tasks"}
        parts = self._graph.astream(
            self._input(),
            self._config(),
            context=cast(Any, options.context),
            stream_mode=cast(Sequence[StreamMode], sorted(modes)),
            interrupt_before=_nodes(options.breakpoints.before),
            interrupt_after=_nodes(options.breakpoints.after),
            durability=options.durability,
            subgraphs=options.subgraphs or self._has_subgraphs,
            version="v2",
        )
        # Whoever stops listening wants the nodes to stop, now and not at some later time.
        async with aclosing(cast(AsyncGenerator[StreamPart], parts)) as stream:
            async for part in _without_updates_of_failures(stream):
                for shown in self._shown(part):
                    yield shown

    def _shown(self, part: StreamPart) -> Iterator[StreamPart]:
        """Yields what the caller sees of a part.

        A message of a subgraph is streamed by LangGraph from there, piece by piece, or where
        subgraphs are not wanted, whole from the node of the root that returns it. It is asked
        for subgraphs in any case, so the latter is made up for here.
        """
        kind, wanted = part["type"], self._note(part)
        if part["ns"] and not self._options.subgraphs:
            if kind == "messages":
                self._inner_messages.add(part["data"][0].id)
            return
        if kind == "updates" and self._inner_messages:
            for node, update in part["data"].items():
                for message in messages_in(update):
                    if message.id in self._inner_messages:
                        self._inner_messages.discard(message.id)
                        origin = {"langgraph_node": node}
                        yield {"type": "messages", "ns": (), "data": (message, origin)}
        if wanted:
            yield part

    def _note(self, part: StreamPart) -> bool:
        kind, namespace, data = part["type"], part["ns"], part["data"]
        if kind == "tasks":
            if "input" in data:
                self.steps.started(namespace, data["name"])
            elif data["error"] or data["interrupts"]:
                self.steps.stopped(namespace, data["name"])
                if data["error"] and not self.failed[0]:
                    self.failed = data["name"], namespace
            else:
                self.steps.finished(namespace, data["name"])
        elif kind == "updates" and "__interrupt__" in data:
            self.paused = self.paused or not namespace
            return False
        elif kind == "updates":
            updates, cached = compat.node_updates(data)
            for node in updates if cached else ():
                self.steps.finished(namespace, node)
        elif kind == "values" and part["interrupts"]:
            # Says that the graph waits; the state is the one that was streamed before.
            return False
        return kind in self._options.stream_modes

    def _input(self) -> Any:
        match self._beginning:
            case Fresh(value):
                return value
            case GoOn(answers):
                return Command(resume=dict(answers)) if answers else None
            case Steer(update, goto, answers):
                nodes = [node if arg is None else Send(node, arg) for node, arg in goto]
                return Command(update=update, goto=nodes, resume=dict(answers) or None)

    def _config(self) -> RunnableConfig:
        config = self._options.config
        if isinstance(self._beginning, Fresh) or not self._beginning.answers:
            return config
        configurable = {**config.get("configurable", {}), compat.STRICT_RESUME: True}
        return {**config, "configurable": configurable}


async def _without_updates_of_failures(
    parts: AsyncIterator[StreamPart],
) -> AsyncIterator[StreamPart]:
    """Leaves out the empty update that LangGraph streams for a node that raised after a resume.

    It comes right before the task's result, which says that the node failed.
    """
    held: StreamPart | None = None
    async for part in parts:
        if held is not None:
            data = part["data"]
            failed = part["type"] == "tasks" and part["ns"] == held["ns"] and data.get("error")
            if not (failed and list(held["data"]) == [data["name"]]):
                yield held
            held = None
        if part["type"] == "updates" and all(v is None for v in part["data"].values()):
            held = part
        else:
            yield part
    if held is not None:
        yield held


def open_config(configurable: Mapping[str, Any] | None = None) -> RunnableConfig:
    """Returns the config with which a graph is opened to be looked at, not run."""
    return {"configurable": dict(configurable)} if configurable else {}


def run_config(
    *,
    run_id: str,
    thread_id: str,
    assistant_id: str,
    checkpoint_id: str,
    recursion_limit: int,
    tags: Sequence[str],
    configurable: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> RunnableConfig:
    """Returns LangGraph's config of a run; `checkpoint_id` is empty for the thread's head."""
    own = {"thread_id": thread_id, "assistant_id": assistant_id, "graph_id": assistant_id}
    at = {"checkpoint_id": checkpoint_id} if checkpoint_id else {}
    return {
        "run_id": uuid.UUID(run_id),
        "recursion_limit": recursion_limit,
        "tags": list(tags),
        "configurable": {**configurable, **own, **at, "checkpoint_ns": ""},
        "metadata": {**metadata, **own, "run_id": run_id},
    }


def _nodes(names: Sequence[str]) -> Any:
    return "*" if "*" in names else list(names)
