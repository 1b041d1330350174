"""The private parts of langgraph that the server relies on, here and in `langgraph_repairs`.

langgraph is pinned to one minor version; `tests/graphs/test_langgraph_internals.py` and
`test_langgraph_assumptions.py` prove each assumption made here against the installed one.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, NamedTuple, Protocol, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph._internal._constants import (
    CONFIG_KEY_READ,
    CONFIG_KEY_RESUMING,
    CONFIG_KEY_SEND,
    ERROR_SOURCE_NODE,
    NULL_TASK_ID,
    PUSH,
    RESUME,
    TASKS,
)
from langgraph._internal._runnable import RunnableCallable
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.channels.delta import DeltaChannel
from langgraph.channels.ephemeral_value import EphemeralValue
from langgraph.channels.last_value import LastValue, LastValueAfterFinish
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    CheckpointTuple,
    PendingWrite,
    copy_checkpoint,
)
from langgraph.config import get_config
from langgraph.constants import TAG_HIDDEN
from langgraph.errors import GraphInterrupt
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.pregel._algo import PregelTaskWrites, apply_writes
from langgraph.pregel._checkpoint import achannels_from_checkpoint, create_checkpoint
from langgraph.pregel._messages import StreamMessagesHandler
from langgraph.pregel._read import DEFAULT_BOUND, PregelNode
from langgraph.pregel._task_status import read_task_statuses
from langgraph.pregel.protocol import StreamProtocol
from langgraph.runtime import Runtime
from langgraph.types import PregelTask, StreamMode, _interrupt_id

from graphwire_server.graphs.failures import error_text, error_type, sendable
from graphwire_server.graphs.places import Namespace, Task, namespace_of
from graphwire_server.storage.records import Failure

AnyPregel = Pregel[Any, Any, Any, Any]

#: The name of the entry pseudo-node, which is in `Pregel.nodes` but is nobody's node.
START_NODE = "__start__"
#: `as_node` values of `update_state` that are not nodes.
END_NODE = "__end__"
COPY_NODE = "__copy__"
INPUT_NODE = "__input__"

# Among the nodes of an `updates` part.
_METADATA = "__metadata__"
_EXCEPTION_REPR = re.compile(r"^(?P<type>[A-Za-z_]\w*)\((?P<arguments>.*?),?\)$", re.DOTALL)
_TASK_NOTE = re.compile(r"^During task with name '(?P<name>.*)' and id '(?P<id>[^']*)'$")


def copy_with(graph: AnyPregel, update: dict[str, Any]) -> AnyPregel:
    """Returns a copy of a graph with some attributes changed.

    `Pregel.copy` forgets which types the graph's state has, and with LANGGRAPH_STRICT_MSGPACK
    those it does not know come back from a checkpoint as strings and dicts.
    """
    copy = graph.copy(update)
    copy._serde_allowlist = graph._serde_allowlist
    return copy


# Channels whose checkpoint is their value.
_PLAIN = frozenset({LastValue, BinaryOperatorAggregate, EphemeralValue})

#: The tag by which the engine hides a task from its stream, and from breakpoints at `*`.
HIDING_TAG = TAG_HIDDEN

#: Among the keys of `updates` and `values`: the graph stops.
INTERRUPT = "__interrupt__"

Enter = Callable[[RunnableConfig | None], Awaitable[object]]

#: What the work of a task is done within.
Within = Callable[[RunnableConfig | None], contextlib.AbstractContextManager[None]]


class ReviewedTask(Protocol):
    """What a review makes of a task; `tool_calls.Reviewed` is it."""

    @property
    def input(self) -> Any:
        """What the node gets."""

    @property
    def runs(self) -> bool:
        """Whether the node runs at all."""

    def result(self) -> Any:
        """Returns what the task returns if it does not."""

    def output(self, returned: Any) -> tuple[Any, list[tuple[str, Any]]]:
        """Returns what it returns if it does, and what it writes besides, before that."""


#: Returns what a review makes of a task with an input; None if there is no review.
Review = Callable[[Any, RunnableConfig | None], ReviewedTask | None]


async def run_reviewed(
    task: ReviewedTask,
    config: RunnableConfig | None,
    run: Callable[[Any], Awaitable[Any]],
) -> Any:
    """Runs the node of a reviewed task, if it is to run; returns what the task returns."""
    if not task.runs:
        return task.result()
    returned, writes = task.output(await run(task.input))
    if writes:
        (config or {})["configurable"][CONFIG_KEY_SEND](writes)
    return returned


def read_channel(config: RunnableConfig | None, channel: str) -> Any:
    """Returns the value of a channel of the graph that a task is of, before its step."""
    return (config or {})["configurable"][CONFIG_KEY_READ](channel, False)


def beginning(config: RunnableConfig | None) -> RunnableConfig | None:
    """Returns the config of a subgraph that begins now.

    In the first step of a run that goes on, the engine has every subgraph go on too. One with
    `checkpointer=True` would do so from where it stood in an earlier step or run, and its input
    would be lost.
    """
    configurable = (config or {}).get("configurable", {})
    if config is None or not configurable.get(CONFIG_KEY_RESUMING):
        return config
    return {**config, "configurable": {**configurable, CONFIG_KEY_RESUMING: False}}


def without_hiding(config: RunnableConfig | None) -> RunnableConfig | None:
    """Returns a graph's own config without the tag by which the engine hides a task.

    It would be every task's, and the engine tells nobody of those that it hides.
    """
    tags = (config or {}).get("tags") or []
    if config is None or HIDING_TAG not in tags:
        return config
    return {**config, "tags": [tag for tag in tags if tag != HIDING_TAG]}


def held() -> GraphInterrupt:
    """Returns what makes the engine stop before a task, and record nothing about it."""
    return GraphInterrupt(())


def wrapped(
    bound: Runnable[Any, Any], enter: Enter, review: Review, within: Within
) -> Runnable[Any, Any]:
    """Returns a node's `bound` that awaits `enter` before it runs, as its `review` says.

    It runs `within` what that returns for its config.

    What the engine knows it by stays: whose function it is (the key of its cached results is
    made from that).
    """
    if isinstance(bound, RunnableCallable):
        return _CallableDoor(bound, enter, review, within)
    return _RunnableDoor(bound, enter, review, within)


class _CallableDoor(RunnableCallable):
    def __init__(
        self, bound: RunnableCallable, enter: Enter, review: Review, within: Within
    ) -> None:
        self.__dict__.update(bound.__dict__)
        self._bound = bound
        self._enter = enter
        self._review = review
        self._within = within

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        await self._enter(config)
        with self._within(config):
            reviewed = self._review(input, config)
            if reviewed is None:
                return await self._bound.ainvoke(input, config, **kwargs)
            return await run_reviewed(
                reviewed, config, lambda given: self._bound.ainvoke(given, config, **kwargs)
            )


class _RunnableDoor(Runnable[Any, Any]):
    def __init__(
        self, bound: Runnable[Any, Any], enter: Enter, review: Review, within: Within
    ) -> None:
        self.name = bound.get_name()
        self._bound = bound
        self._enter = enter
        self._review = review
        self._within = within

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._bound.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        await self._enter(config)
        with self._within(config):
            reviewed = self._review(input, config)
            if reviewed is None:
                return await self._bound.ainvoke(input, config, **kwargs)
            return await run_reviewed(
                reviewed, config, lambda given: self._bound.ainvoke(given, config, **kwargs)
            )

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        await self._enter(config)
        with self._within(config):
            reviewed = self._review(input, config)
            if reviewed is not None:
                yield await run_reviewed(
                    reviewed, config, lambda given: self._bound.ainvoke(given, config, **kwargs)
                )
                return
            async for piece in self._bound.astream(input, config, **kwargs):
                yield piece


def does_nothing(node: PregelNode) -> bool:
    """Returns whether the engine makes no tasks for a node, since it neither runs nor writes."""
    return node.bound is DEFAULT_BOUND and not node.writers


def task_of(config: RunnableConfig | None) -> Task | None:
    """Returns the task that a config was made for; None for that of the entry pseudo-node."""
    configurable = (config or {}).get("configurable", {})
    namespace = namespace_of(configurable["checkpoint_ns"])
    node = namespace[-1].partition(":")[0]
    if node == START_NODE:
        return None
    return Task(configurable["__pregel_task_id"], node, namespace[:-1])


def was_sent(config: RunnableConfig | None) -> bool:
    """Returns whether the task that a config was made for has an input of its own."""
    path = (config or {}).get("metadata", {}).get("langgraph_path") or ("",)
    return bool(path[0] == PUSH)


class TaskWrites(NamedTuple):
    """What the writes of a task of an unfinished step say.

    Attributes:
        finished: Whether it has come to its end, so that its result is kept.
        answers: How many answers it was given.
        asked: The ids of the questions that were noted on it last, its own or of what it runs.
        handled: Whether it has failed, and a handler of its errors is to run, or runs.
    """

    finished: bool = False
    answers: int = 0
    asked: tuple[str, ...] = ()
    handled: bool = False


def task_writes(writes: Iterable[PendingWrite]) -> dict[str, TaskWrites]:
    """Returns what a step's pending writes say of each task, by its id.

    Handlers of errors are among them: tasks of which nothing else tells.
    """
    writes = list(writes)
    answers: dict[str, int] = {}
    handled: set[str] = set()
    for task_id, channel, value in writes:
        if channel == RESUME:
            answers[task_id] = len(value) if isinstance(value, list) else 1
        elif channel == ERROR_SOURCE_NODE:
            handled.add(task_id)
    return {
        task_id: TaskWrites(
            status.finished,
            answers.get(task_id, 0),
            tuple(interrupt.id for interrupt in status.interrupts),
            task_id in handled,
        )
        for task_id, status in read_task_statuses(writes).items()
    }


def command_writes(found: CheckpointTuple) -> list[tuple[str, Any]]:
    """Returns a command's writes beside a checkpoint, which no step has taken in yet."""
    return [
        (channel, value)
        for task_id, channel, value in found.pending_writes or ()
        if task_id == NULL_TASK_ID and channel != RESUME
    ]


def takes_one_value(channel: object) -> bool:
    """Returns whether a channel refuses a second value in one step."""
    last = isinstance(channel, LastValue | LastValueAfterFinish)
    return last or bool(getattr(channel, "guard", False))


async def command_applied(
    graph: AnyPregel, saver: BaseCheckpointSaver[Any], found: CheckpointTuple
) -> CheckpointTuple:
    """Returns a checkpoint as the engine has it in memory when it goes on from there."""
    checkpoint = copy_checkpoint(found.checkpoint)
    channels, _ = await achannels_from_checkpoint(
        graph.channels, checkpoint, saver=saver, config=found.config
    )
    writes = PregelTaskWrites((), "__input__", command_writes(found), [])
    apply_writes(checkpoint, channels, [writes], saver.get_next_version, graph.trigger_to_nodes)
    whole = {name for name, channel in channels.items() if isinstance(channel, DeltaChannel)}
    applied = create_checkpoint(
        checkpoint,
        channels,
        found.metadata["step"],
        id=checkpoint["id"],
        channels_to_snapshot=whole,
    )
    applied["ts"] = checkpoint["ts"]
    rest = [write for write in found.pending_writes or () if write[0] != NULL_TASK_ID]
    return found._replace(checkpoint=applied, pending_writes=rest)


def question_ids(task: Task, count: int) -> list[str]:
    """Returns the ids of the first so many questions of a task's own."""
    namespace = "|".join((*task.namespace, f"{task.node}:{task.task_id}"))
    return [_interrupt_id(namespace, index) for index in range(count)]


def current_namespace() -> str:
    """Returns the `checkpoint_ns` of the task in whose code this is called."""
    return str(get_config()["configurable"]["checkpoint_ns"])


def subgraph_namespace(subgraph: AnyPregel, config: RunnableConfig | None) -> Namespace:
    """Returns the namespace in which a subgraph ran that is the node of a config."""
    own = subgraph._own_checkpoint_config(config or {})
    return namespace_of(own["configurable"]["checkpoint_ns"])


def tapped(
    graph: AnyPregel,
    config: RunnableConfig,
    stream: Callable[[tuple[Namespace, str, Any]], None],
    modes: Collection[str],
    custom: Callable[[Any], None],
) -> RunnableConfig:
    """Returns a config with which each part of a graph's stream goes to a function at once.

    Parts of subgraphs go there too, at any depth, and those of graphs that a node calls. They
    come while the engine works, before it calls the checkpointer, on whichever thread it
    works on. What the function raises stops the engine where it is.
    """
    engine_modes = cast("set[StreamMode]", {*modes} - {"custom", "messages"})
    tap = {
        "__pregel_stream": StreamProtocol(stream, engine_modes),
        # What the engine takes for the runtime of a graph above; it has the store from there.
        "__pregel_runtime": Runtime(stream_writer=custom, store=graph.store),
    }
    tapped: RunnableConfig = {**config, "configurable": {**config.get("configurable", {}), **tap}}
    if "messages" in modes:
        tapped["callbacks"] = [StreamMessagesHandler(stream, subgraphs=True)]
    return tapped


def failed_task(error: BaseException) -> tuple[str, tuple[str, ...]]:
    """Returns the node that raised `error` and its namespace, from langgraph's notes.

    langgraph adds a note at each level, the innermost first, and at each attempt. They are
    taken off: a node may raise the same object again, in another run. ("", ()) if there is
    none.
    """
    notes = getattr(error, "__notes__", [])
    matches = {note: match for note in notes if (match := _TASK_NOTE.match(note))}
    if not matches:
        return "", ()
    notes[:] = [note for note in notes if note not in matches]
    (node, _), *above = ((match["name"], match["id"]) for match in matches.values())
    return node, tuple(f"{name}:{task_id}" for name, task_id in reversed(above))


def task_failure(error: object, node: str) -> Failure:
    """Returns what a task's stored error says.

    langgraph keeps the exception while the run goes on, and its repr in the checkpoint.
    """
    if isinstance(error, BaseException):
        return Failure(error_type(error), error_text(error), node)
    text = sendable(str(error))
    match = _EXCEPTION_REPR.match(text)
    if match is None:
        return Failure("Exception", text, node)
    message = match["arguments"]
    with contextlib.suppress(ValueError, SyntaxError):  # else: the arguments as written
        message = sendable(str(ast.literal_eval(message)))
    return Failure(match["type"], message, node)


def node_updates(data: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Returns what an `updates` part says: updates by node, and whether they are from before.

    A result from before comes without the `tasks` part that tells of a task's end.
    """
    cached = bool(data.get(_METADATA, {}).get("cached"))
    return {node: update for node, update in data.items() if node != _METADATA}, cached


def state_values(graph: AnyPregel, channel_values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the state that a checkpoint's values are.

    None where a value may be another thing than the channel's, as with a DeltaChannel, or the
    state is no object.
    """
    names = graph.stream_channels_asis
    if isinstance(names, str) or any(type(graph.channels[name]) not in _PLAIN for name in names):
        return None
    return {name: channel_values[name] for name in names if name in channel_values}


def state_keys(graph: AnyPregel) -> tuple[str, ...] | None:
    """Returns the keys of a graph's state; None if it is no object."""
    names = graph.stream_channels_asis
    return None if isinstance(names, str) else tuple(names)


def sends(found: CheckpointTuple) -> tuple[Any, ...]:
    """Returns what was sent to the step after a checkpoint: LangGraph's Send, in order."""
    return tuple(found.checkpoint["channel_values"].get(TASKS) or ())


def is_sent(task: PregelTask) -> bool:
    """Returns whether a task has an input of its own, and does not get the state."""
    return bool(task.path) and task.path[0] == PUSH


def sent_input(task: PregelTask, sent: Sequence[Any]) -> tuple[Any, ...]:
    """Returns what a Send gave to a task, as the one element; () if it is none of a Send.

    Functions that code calls as tasks have inputs of their own as well, which nobody has sent.
    """
    index = task.path[1] if is_sent(task) else None
    return (sent[index].arg,) if isinstance(index, int) and index < len(sent) else ()


def task_input(graph: AnyPregel, task: PregelTask, sent: Sequence[Any], values: Any) -> Any:
    """Returns what a task of a step gets that has not begun.

    Args:
        graph: The graph that it belongs to.
        task: The task.
        sent: What was sent to the step.
        values: The state before it.
    """
    if is_sent(task):
        return next(iter(sent_input(task, sent)), None)
    node = graph.nodes.get(task.name)
    if node is None or isinstance(node.channels, str) or not isinstance(values, Mapping):
        return values
    return {name: values[name] for name in node.channels if name in values}


def node_names(graph: AnyPregel) -> tuple[str, ...]:
    """Returns the names of a graph's nodes, in the order of their definition."""
    return nodes_of(graph.nodes)


def nodes_of(nodes: Mapping[str, PregelNode]) -> tuple[str, ...]:
    """Returns the names of those among an engine's nodes that are somebody's."""
    return tuple(
        name
        for name, node in nodes.items()
        # A handler of errors runs as a part of the node that failed: the engine stops at none,
        # nor at a node that is hidden.
        if name != START_NODE and not node.is_error_handler and HIDING_TAG not in (node.tags or ())
    )


def destinations(graph: AnyPregel, node: str) -> tuple[str, ...]:
    """Returns where a node may go by the Command that it returns, if nothing else says it.

    () where the graph has an edge or a branch from the node, or it comes to an end there.
    """
    if not isinstance(graph, CompiledStateGraph) or node not in graph.builder.nodes:
        return ()
    builder = graph.builder
    if (
        any(start == node for start, _ in builder.edges)
        or any(node in starts for starts, _ in builder.waiting_edges)
        or builder.branches.get(node)
    ):
        return ()
    ends = builder.nodes[node].ends or ()
    return tuple(end for end in ends if end != END_NODE)


def declared_nodes(graph: AnyPregel) -> tuple[str, ...]:
    """Returns a StateGraph's nodes; () for other graphs, whose tasks have names of their own."""
    return node_names(graph) if isinstance(graph, CompiledStateGraph) else ()


def static_breakpoints(
    graph: AnyPregel,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the breakpoints compiled into a graph, before and after; `*` for all."""
    return names_of(graph.interrupt_before_nodes), names_of(graph.interrupt_after_nodes)


def subgraphs(
    graph: AnyPregel,
) -> Iterator[tuple[str, AnyPregel]]:
    """Yields the nodes that are graphs themselves, each with its graph."""
    for name, child in graph.get_subgraphs():
        if isinstance(child, Pregel):
            yield name, child


def subgraph(graph: AnyPregel, node: str) -> AnyPregel:
    """Returns the graph that a node is, or calls, of which there is a state."""
    return dict(subgraphs(graph))[node]


def is_subgraph(graph: AnyPregel, node: str) -> bool:
    """Returns whether a node is a graph itself, behind a door or not, and calls none."""
    bound = graph.nodes[node].bound
    return isinstance(getattr(bound, "subgraph", bound), Pregel)


def names_of(nodes: Any) -> tuple[str, ...]:
    """Returns a list of breakpoints; `*` for all."""
    return ("*",) if nodes == "*" else tuple(nodes)
