"""Copies of graphs in which each node has a door, where the run's gate decides.

The graph itself stays as the project made it. In the copy, each node's `bound` is behind a
`Door`, subgraphs that are nodes are copied in the same way, at any depth, and the breakpoints
compiled in are taken out and handed to the gate: the engine decides on none itself. A copy
is shared by concurrent runs, so doors find the gate of their run in a context variable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.cache.base import BaseCache, FullKey
from langgraph.pregel import Pregel

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.langgraph_repairs import GraphAtWork
from graphwire_server.graphs.node_spans import task_span
from graphwire_server.graphs.places import Breakpoints, Namespace, Path, Place, Task
from graphwire_server.graphs.state_messages import StateMessages, state_messages
from graphwire_server.graphs.state_types import state_types
from graphwire_server.graphs.stops import (
    STOPPED_AFTER,
    MetAfter,
    StoppedAfter,
    met_after,
    stored_met,
)
from graphwire_server.graphs.tool_calls import (
    Review,
    Reviewed,
    answered_by_a_reviewer,
    reviewed,
)
from graphwire_server.graphs.tool_nodes import handing_on, runs_tool_calls, tool_nodes


class Doorkeeper(Protocol):
    """What a door asks; `gate.Gate` is it."""

    async def enter(self, task: Task) -> bool:
        """Returns when a task may begin: whether it goes on in a subgraph that had begun.

        Raises:
            GraphInterrupt: It must wait for somebody.
        """

    async def leave(self, namespace: Namespace) -> None:
        """Returns when a subgraph that has ended may be left. Raises GraphInterrupt if not."""

    def review(self, task: Task) -> Review | None:
        """Returns what was decided about the tool calls of a task; None if nothing was."""

    def was_reviewed(self, node: str) -> bool:
        """Returns whether a task of a node of that name had a review."""

    def bars(self, node: str) -> bool:
        """Returns whether some node of that name has a breakpoint before it, or inside it."""

    def meet(self, graph: GraphAtWork, place: Place, after: StoppedAfter | None) -> bool:
        """Hears of a graph that begins; returns whether the code of a node calls it."""

    def stepped(self, namespace: Namespace) -> MetAfter:
        """Notes that a step has ended; returns the breakpoints met after its nodes."""

    def stop_after(self, stopped: StoppedAfter) -> None:
        """Notes the checkpoint in which such a step has ended."""


#: The gate of the run that the current task executes; None outside of runs.
current_doorkeeper: ContextVar[Doorkeeper | None] = ContextVar("graphwire_doorkeeper", default=None)


@dataclass(frozen=True, slots=True)
class DooredGraph:
    """A copy of a graph with doors.

    Attributes:
        graph: The copy; no breakpoints are compiled into it.
        places: What is known of the graph and each of its subgraphs, by path.
    """

    graph: AnyPregel
    places: Mapping[Path, Place]


def with_doors(graph: AnyPregel) -> DooredGraph:
    """Returns a copy of a graph with a door before each node."""
    places: dict[Path, Place] = {}
    return DooredGraph(_copy(graph, (), places, keeps=True), places)


def unreachable_breakpoints(places: Mapping[Path, Place]) -> str:
    """Returns the path of a subgraph with breakpoints at which nobody could resume it.

    Each resume would start a subgraph without checkpoints anew, and stop again. Empty if there
    is none.
    """
    paths = (
        "/".join(path)
        for path, place in places.items()
        if place.compiled and not place.keeps_checkpoints
    )
    return next(paths, "")


def _copy(graph: AnyPregel, path: Path, places: dict[Path, Place], *, keeps: bool) -> AnyPregel:
    places[path] = _place(graph, keeps=keeps, has_doors=True)
    messages = state_messages(graph)
    nodes = {}
    for name, node in graph.nodes.items():
        child = node.bound if isinstance(node.bound, Pregel) else None
        reviewing = Reviewing(
            messages, compat.destinations(graph, name), runs_tool_calls(node.bound)
        )
        if child is not None:
            inner = _copy(
                child, (*path, name), places, keeps=keeps and child.checkpointer is not False
            )
            subgraphs = [inner if s is child else s for s in node.subgraphs]
            nodes[name] = node.copy(
                {"bound": SubgraphDoor(inner, reviewing), "subgraphs": subgraphs}
            )
            continue
        for subgraph in node.subgraphs[:1]:
            # One that the node's own code calls: it can't be copied, but what waits there can
            # be told, and the gate sees each of its steps before it starts.
            if isinstance(subgraph, Pregel):
                _note_called(subgraph, (*path, name), places)
        if name != compat.START_NODE and not compat.does_nothing(node):
            node = node.copy({"bound": compat.wrapped(node.bound, _enter, reviewing, task_span)})
        nodes[name] = node
    update: dict[str, Any] = {
        "nodes": nodes,
        "interrupt_before_nodes": (),
        "interrupt_after_nodes": (),
        "config": compat.without_hiding(graph.config),
    }
    if graph.cache is not None:
        update["cache"] = DoorCache(graph.cache)
    return compat.copy_with(graph, update)


def _note_called(graph: AnyPregel, path: Path, places: dict[Path, Place]) -> None:
    places[path] = _place(graph, keeps=True, has_doors=False)
    for name, child in compat.subgraphs(graph):
        if (*path, name) not in places:
            _note_called(child, (*path, name), places)


def _place(graph: AnyPregel, *, keeps: bool, has_doors: bool) -> Place:
    before, after = compat.static_breakpoints(graph)
    messages = state_messages(graph)
    return Place(
        compiled=Breakpoints(before, after),
        nodes=compat.node_names(graph),
        keeps_checkpoints=keeps,
        has_doors=has_doors,
        messages=messages.channel if messages else "",
        chooses=frozenset(
            name for name in compat.node_names(graph) if len(compat.destinations(graph, name)) > 1
        ),
        tool_nodes=tool_nodes(graph),
        hands_on=handing_on(graph),
        state=state_types(graph),
    )


def take_over(graph: GraphAtWork) -> bool:
    """Tells the gate of the run, if there is one, of a graph that the engine is about to run.

    Returns whether the gate decides on breakpoints that the engine still knows of.
    """
    keeper = current_doorkeeper.get()
    if keeper is None:
        return False
    compiled = Breakpoints(graph.before, graph.after)
    place = Place(compiled, graph.nodes, keeps_checkpoints=True, has_doors=False)
    met = met_after(graph.metadata)
    after = StoppedAfter(graph.namespace, graph.checkpoint_id, met) if met else None
    return keeper.meet(graph, place, after)


def end_step(namespace: Namespace) -> dict[str, str]:
    """Tells the gate of the run, if there is one, of a step that has ended.

    Returns the breakpoints met after its nodes, by node, as they are stored.
    """
    keeper = current_doorkeeper.get()
    return stored_met(keeper.stepped(namespace)) if keeper is not None else {}


def stop_after(namespace: Namespace, checkpoint_id: str, met: Mapping[str, str]) -> None:
    """Tells the gate of the run of the checkpoint in which such a step has ended."""
    keeper = current_doorkeeper.get()
    if keeper is not None:
        keeper.stop_after(StoppedAfter(namespace, checkpoint_id, met_after({STOPPED_AFTER: met})))


async def _enter(config: RunnableConfig | None) -> bool:
    keeper = current_doorkeeper.get()
    task = compat.task_of(config)
    return await keeper.enter(task) if keeper is not None and task is not None else True


@dataclass(frozen=True, slots=True)
class Reviewing:
    """Applies to a node's tasks what was decided about their tool calls.

    Attributes:
        messages: Where the node's graph has its messages; None if nowhere.
        destinations: Where the node alone decides to go, if it does; see `compat.destinations`.
        runs_calls: Whether the node is LangGraph's tool node.
    """

    messages: StateMessages | None
    destinations: tuple[str, ...]
    runs_calls: bool = False

    def __call__(self, input: Any, config: RunnableConfig | None) -> Reviewed | None:
        """Returns what a review makes of a task; None if there is no review."""
        keeper = current_doorkeeper.get()
        task = compat.task_of(config) if keeper is not None else None
        review = keeper.review(task) if keeper is not None and task is not None else None
        sent = compat.was_sent(config)
        if review is None and task is not None and self.runs_calls and not sent:
            review = answered_by_a_reviewer(input, self.messages)
        if review is None or task is None:
            return None
        state = compat.read_channel(config, self.messages.channel) if self.messages else None
        goto = self.destinations[0] if len(self.destinations) == 1 else ""
        return reviewed(
            review, input, self.messages, state, task.task_id, goto=goto, own_input=sent
        )


class SubgraphDoor(Runnable[Any, Any]):
    """A subgraph behind a door, which is also where it is left."""

    def __init__(self, subgraph: AnyPregel, review: compat.Review) -> None:
        self.subgraph = subgraph
        self.name = subgraph.name
        self._review = review

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Not used: the server drives every graph asynchronously."""
        return self.subgraph.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Runs the subgraph once the gate lets its node begin, and again lets it end."""
        if not await _enter(config):
            config = compat.beginning(config)
        with task_span(config):
            reviewed = self._review(input, config)
            if reviewed is not None:
                return await self._run_reviewed(reviewed, config, **kwargs)
            result = await self.subgraph.ainvoke(input, config, **kwargs)
            await self._leave(config)
            return result

    async def _run_reviewed(
        self, task: compat.ReviewedTask, config: RunnableConfig | None, **kwargs: Any
    ) -> Any:
        async def run(given: Any) -> Any:
            result = await self.subgraph.ainvoke(given, config, **kwargs)
            await self._leave(config)
            return result

        return await compat.run_reviewed(task, config, run)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """As `ainvoke`, piece by piece."""
        if not await _enter(config):
            config = compat.beginning(config)
        with task_span(config):
            reviewed = self._review(input, config)
            if reviewed is not None:
                yield await self._run_reviewed(reviewed, config, **kwargs)
                return
            async for piece in self.subgraph.astream(input, config, **kwargs):
                yield piece
            await self._leave(config)

    async def _leave(self, config: RunnableConfig | None) -> None:
        keeper = current_doorkeeper.get()
        if keeper is not None:
            await keeper.leave(compat.subgraph_namespace(self.subgraph, config))


class DoorCache(BaseCache[Any]):
    """A graph's cache of node results, which never answers for a node with a breakpoint.

    The engine skips a node whose result it finds, and with it the door. What a reviewed task has
    led to is not kept: it is found by what the node would have got.
    """

    def __init__(self, cache: BaseCache[Any]) -> None:
        super().__init__(serde=cache.serde)
        self._cache = cache

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return self._cache.get(self._allowed(keys))

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return await self._cache.aget(self._allowed(keys))

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        self._cache.set(self._unreviewed(pairs))

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        await self._cache.aset(self._unreviewed(pairs))

    def clear(self, namespaces: Sequence[tuple[str, ...]] | None = None) -> None:
        self._cache.clear(namespaces)

    async def aclear(self, namespaces: Sequence[tuple[str, ...]] | None = None) -> None:
        await self._cache.aclear(namespaces)

    def _unreviewed(
        self, pairs: Mapping[FullKey, tuple[Any, int | None]]
    ) -> Mapping[FullKey, tuple[Any, int | None]]:
        keeper = current_doorkeeper.get()
        if keeper is None:
            return pairs
        return {key: pair for key, pair in pairs.items() if not keeper.was_reviewed(key[0][-1])}

    def _allowed(self, keys: Sequence[FullKey]) -> list[FullKey]:
        keeper = current_doorkeeper.get()
        # The namespace of a key ends in the name of the node.
        return [key for key in keys if keeper is None or not keeper.bars(key[0][-1])]
