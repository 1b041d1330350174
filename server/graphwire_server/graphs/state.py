"""Reads and edits a thread's state through its graph."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwire import errors
from langchain_core.runnables import RunnableConfig
from langgraph.errors import InvalidUpdateError as GraphRefusedUpdate
from langgraph.types import PregelTask, StateSnapshot, StateUpdate

from graphwire_server import jsontext
from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs import overwrites
from graphwire_server.graphs.checks import check_input, check_node, check_update
from graphwire_server.graphs.commands import with_command_applied
from graphwire_server.graphs.failures import describe
from graphwire_server.graphs.inside import graph_at
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.node_threads import graph_code
from graphwire_server.graphs.places import Namespace, namespace_of, text_of
from graphwire_server.graphs.position import checkpoint_id_of, input_text, next_nodes
from graphwire_server.graphs.stops import STOPPED_AFTER
from graphwire_server.graphs.stored import pending, stored_checkpoint
from graphwire_server.storage.checkpoints.sizes import StateTooLargeError, WritesTooLargeError
from graphwire_server.storage.records import Failure


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task of a state's next step; JSON as text."""

    task_id: str
    node: str
    error: Failure | None
    result: str | None
    interrupts: tuple[tuple[str, str], ...]
    state: StateView | None
    task_input: str | None


@dataclass(frozen=True, slots=True)
class StateView:
    """The state at one checkpoint; JSON as text.

    Attributes:
        values: The state; None if nothing has run yet.
        next: The nodes that come next, one for each task.
        tasks: The tasks of the next step.
        checkpoint_id: The checkpoint; empty if there is none.
        parent_checkpoint_id: The one before it; empty for the first.
        namespace: The subgraph path from the root.
        metadata: LangGraph's metadata of the checkpoint, an object.
        created_at: When it was made, ISO 8601; empty if there is none.
    """

    values: str | None = None
    next: tuple[str, ...] = ()
    tasks: tuple[TaskView, ...] = ()
    checkpoint_id: str = ""
    parent_checkpoint_id: str = ""
    namespace: tuple[str, ...] = ()
    metadata: str = "{}"
    created_at: str = ""


def thread_config(
    thread_id: str, checkpoint_id: str = "", namespace: Namespace = ()
) -> RunnableConfig:
    """Returns LangGraph's config for a thread, or a subgraph of it, at a checkpoint or its head."""
    configurable = {"thread_id": thread_id, "checkpoint_ns": text_of(namespace)}
    if checkpoint_id:
        configurable["checkpoint_id"] = checkpoint_id
    return {"configurable": configurable}


async def read_state(
    graph: AnyPregel,
    thread_id: str,
    *,
    checkpoint_id: str = "",
    subgraphs: bool = False,
    namespace: Namespace = (),
) -> StateView:
    """Returns the state of a thread, or of a subgraph of it, at its head or at a checkpoint.

    Where the graph's own types refuse the state, it comes as it is stored, without tasks.

    Raises:
        InvalidFieldError: There is no subgraph at `namespace`.
        CheckpointNotFoundError: The thread has no such checkpoint, or none of that subgraph.
        GraphUnavailableError: The stored state can't be read with this graph.
    """
    config = thread_config(thread_id, checkpoint_id, namespace)
    at = graph_at(graph, namespace)
    try:
        # Commands are for the root alone.
        applied = graph if namespace else await with_command_applied(graph, config)
        snapshot = await applied.aget_state(config, subgraphs=subgraphs)
    except Exception as error:  # noqa: BLE001  # reducers and types are the user's code
        return await _without_tasks(graph, at, thread_id, config, error)
    # LangGraph answers an unknown checkpoint with an empty state, and no time.
    if snapshot.created_at is None and (checkpoint_id or namespace):
        raise checkpoint_not_found(thread_id, checkpoint_id, namespace)
    return await _view(applied, snapshot)


async def read_history(
    graph: AnyPregel, thread_id: str, checkpoint_ids: Iterable[str], *, namespace: Namespace = ()
) -> AsyncGenerator[StateView]:
    """Yields the states of a thread, or of a subgraph of it, at those checkpoints that are there.

    Raises:
        GraphUnavailableError: A stored state can't be read with this graph.
    """
    # One by one: a state that the graph can't take must not hide the others.
    for checkpoint_id in checkpoint_ids:
        try:
            yield await read_state(
                graph, thread_id, checkpoint_id=checkpoint_id, namespace=namespace
            )
        except errors.CheckpointNotFoundError:
            continue  # pruned in this moment


async def edit_state(
    graph: AnyPregel,
    thread_id: str,
    values: Any,
    *,
    as_node: str = "",
    checkpoint_id: str = "",
    namespace: Namespace = (),
) -> None:
    """Makes a new head checkpoint, as if a node had returned `values`.

    With `namespace` it is that of a subgraph, of which the node is one. None as values writes
    nothing: what comes next follows from the node all the same. `{"__overwrite__": value}` for a
    channel is what it is to hold.

    Raises:
        UnknownNodeError: `as_node` is not a node of the graph.
        InvalidFieldError: The graph can't take the values as input, with `__input__`.
        AmbiguousNodeError: `as_node` is empty, and which node ran last is not clear.
        InvalidUpdateError: The graph refused the values.
        LimitReachedError: The state would be too large.
    """
    at = graph_at(graph, namespace)
    node = _writer(at, as_node)
    if node == compat.END_NODE and values is not None:
        text = f"as_node {as_node!r} takes none: it drops what waits; leave them out"
        raise errors.InvalidUpdateError(text, field="values")
    given, values = values, overwrites.without_needless(at, values)
    if as_node == compat.INPUT_NODE:
        check_input(at, values, "values")
    elif values is not None:
        check_update(at, values, "values", errors.InvalidUpdateError)
    try:
        config = thread_config(thread_id, checkpoint_id, namespace)
        # LangGraph would drop the update of a command that waits there.
        applied = graph if namespace else await with_command_applied(graph, config)
        values = await overwrites.with_messages(applied, config, values, given)
        # As in a run: what comes in is one checkpoint, what the state takes from it the next.
        steps = [StateUpdate(values, node)]
        if as_node == compat.INPUT_NODE and compat.START_NODE in at.nodes:
            steps.append(StateUpdate(values, compat.START_NODE))
        with graph_code():  # where the writers ask what comes next
            head = await applied.abulk_update_state(config, [[step] for step in steps])
            if node == compat.END_NODE and (await graph.aget_state(head)).next:
                # What had finished already leads to nodes that wait only now.
                await graph.aupdate_state(thread_config(thread_id, "", namespace), None, node)
    except GraphRefusedUpdate as error:
        if "Ambiguous update" in str(error):
            raise errors.AmbiguousNodeError(
                "which node ran last is not clear; name one of: "
                + ", ".join(compat.node_names(at))
                + ". Only what follows it comes next then: what waits in other branches does not "
                "wait any more",
                field="as_node",
            ) from error
        raise errors.InvalidUpdateError(str(error), field="values") from error
    except StateTooLargeError as error:
        raise state_too_large(error) from error
    except Exception as error:  # reducers and writers are the user's code
        text = f"the graph refused the update: {describe(error)}"
        raise errors.InvalidUpdateError(text, field="values") from error


def state_too_large(error: StateTooLargeError) -> errors.LimitReachedError:
    """Returns what is said of an edit with which a state would be too large."""
    text = str(error)
    if isinstance(error, WritesTooLargeError):
        # It was no node that wrote this.
        text = (
            f"the values have {error.size} bytes; the server keeps {error.limit} (max_state_bytes)"
        )
    return errors.LimitReachedError(
        text,
        metadata={
            "limit": "max_state_bytes",
            "value": str(error.size),
            "maximum": str(error.limit),
        },
    )


async def fork(graph: AnyPregel, thread_id: str, checkpoint_id: str) -> None:
    """Copies a checkpoint and makes the copy the thread's head."""
    await graph.aupdate_state(thread_config(thread_id, checkpoint_id), None, compat.COPY_NODE)


async def _view(graph: AnyPregel, snapshot: StateSnapshot) -> StateView:
    """Returns the plain form of LangGraph's snapshot, which a graph has given."""
    sent: tuple[Any, ...] = ()
    if any(map(compat.is_sent, snapshot.tasks)):
        _, sent = await pending(graph, snapshot.config)
    checkpoint_id = checkpoint_id_of(snapshot.config)
    exists = snapshot.created_at is not None
    namespace = str(snapshot.config.get("configurable", {}).get("checkpoint_ns") or "")
    return StateView(
        values=jsontext.dumps(snapshot.values) if exists else None,
        next=next_nodes(snapshot),
        tasks=tuple([await _task(graph, task, sent) for task in snapshot.tasks]),
        checkpoint_id=checkpoint_id if exists else "",
        parent_checkpoint_id=checkpoint_id_of(snapshot.parent_config),
        namespace=tuple(namespace.split("|")) if namespace else (),
        metadata=jsontext.dumps(_shown(snapshot.metadata)),
        created_at=snapshot.created_at or "",
    )


def _shown(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns LangGraph's metadata without what the server has added."""
    return {key: value for key, value in (metadata or {}).items() if key != STOPPED_AFTER}


def checkpoint_not_found(
    thread_id: str, checkpoint_id: str, namespace: Namespace = ()
) -> errors.CheckpointNotFoundError:
    """Returns the error for a checkpoint that a thread, or a subgraph of it, does not have."""
    what = f"checkpoint {checkpoint_id}" if checkpoint_id else "checkpoint"
    where = f" of the subgraph {list(namespace)}" if namespace else ""
    return errors.CheckpointNotFoundError(
        f"thread {thread_id} has no {what}{where}",
        resource=("checkpoint", checkpoint_id or text_of(namespace)),
    )


async def _task(graph: AnyPregel, task: PregelTask, sent: Sequence[Any]) -> TaskView:
    return TaskView(
        task_id=task.id,
        node=task.name,
        error=None if task.error is None else compat.task_failure(task.error, task.name),
        result=None if task.result is None else jsontext.dumps(task.result),
        interrupts=tuple((i.id, jsontext.dumps(i.value)) for i in task.interrupts),
        state=await _view(graph, task.state) if isinstance(task.state, StateSnapshot) else None,
        task_input=input_text(task, sent),
    )


def _writer(graph: AnyPregel, as_node: str) -> str | None:
    if not as_node:
        return None
    if as_node in (compat.END_NODE, compat.INPUT_NODE):
        return as_node
    if as_node == compat.START_NODE:
        # The functional API's graphs have no entry node, only a channel for the input.
        return compat.START_NODE if compat.START_NODE in graph.nodes else compat.INPUT_NODE
    check_node(graph, as_node, "as_node")
    return as_node


async def _without_tasks(
    graph: AnyPregel, at: AnyPregel, thread_id: str, config: RunnableConfig, error: Exception
) -> StateView:
    """Returns the state as it is stored, where the graph can't say what comes next."""
    try:
        stored = await stored_checkpoint(graph, config, shown=at.stream_channels_list)
    except Exception:  # noqa: BLE001  # a state that can't be read at all: say why at first
        raise _unreadable(thread_id, error) from error
    if stored is None:
        raise _unreadable(thread_id, error) from error
    return StateView(
        values=stored.values,
        checkpoint_id=stored.checkpoint_id,
        parent_checkpoint_id=stored.parent_checkpoint_id,
        namespace=namespace_of(config["configurable"]["checkpoint_ns"]),
        metadata=stored.metadata,
        created_at=stored.created_at,
    )


def _unreadable(thread_id: str, error: Exception) -> errors.GraphUnavailableError:
    return errors.GraphUnavailableError(
        f"the state of thread {thread_id} can't be read: {describe(error)}"
    )
