"""Makes a state out of steps, as if nodes had run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphwire import errors
from langgraph.errors import InvalidUpdateError as GraphRefusedUpdate
from langgraph.types import StateUpdate

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.checks import check_input, check_node, check_update
from graphwire_server.graphs.failures import describe
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.state import state_too_large, thread_config
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from graphwire_server.storage.checkpoints.sizes import StateTooLargeError


@dataclass(frozen=True, slots=True)
class NodeUpdate:
    """What a node is taken to have returned; of `__input__`, what is taken as new input.

    None as values of a node writes nothing.
    """

    values: Any
    as_node: str


Superstep = Sequence[NodeUpdate]


async def apply_supersteps(
    graph: AnyPregel, thread_id: str, supersteps: Sequence[Superstep], batch: EditBatch
) -> None:
    """Puts the checkpoints of some steps, one after the other, into a batch. Nothing is executed.

    Raises:
        UnknownNodeError: A step names a node that the graph does not have.
        InvalidFieldError: New input that the graph can't take, or beside other updates.
        InvalidUpdateError: The graph refused the values of an update.
        LimitReachedError: The state would be too large.
    """
    for index, updates in enumerate(supersteps):
        _check(graph, updates, f"supersteps[{index}]")
    for index, updates in enumerate(supersteps):
        try:
            await _apply(graph, thread_id, updates, batch)
        except StateTooLargeError as error:
            raise state_too_large(error) from error
        except Exception as error:  # reducers and writers are the user's code
            field = await _culprit(graph, thread_id, updates, batch, f"supersteps[{index}]")
            refused = isinstance(error, GraphRefusedUpdate)
            text = str(error) if refused else f"the graph refused the update: {describe(error)}"
            raise errors.InvalidUpdateError(text, field=field) from error


def _check(graph: AnyPregel, updates: Superstep, step: str) -> None:
    for index, update in enumerate(updates):
        field = f"{step}.updates[{index}]"
        if update.as_node == compat.INPUT_NODE:
            if len(updates) > 1:
                text = f"{compat.INPUT_NODE!r} is alone in its step; give it one of its own"
                raise errors.InvalidFieldError(text, field=f"{field}.as_node")
            check_input(graph, update.values, f"{field}.values")
            continue
        if update.as_node == compat.START_NODE:
            nodes = ", ".join(compat.node_names(graph))
            raise errors.UnknownNodeError(
                f"{compat.START_NODE!r} is a part of {compat.INPUT_NODE!r}, which takes new input; "
                f"otherwise name a node: {nodes}",
                field=f"{field}.as_node",
                metadata={"node": update.as_node, "nodes": nodes},
            )
        check_node(graph, update.as_node, f"{field}.as_node")
        if update.values is not None:
            check_update(graph, update.values, f"{field}.values", errors.InvalidUpdateError)


async def _apply(graph: AnyPregel, thread_id: str, updates: Superstep, batch: EditBatch) -> None:
    steps = [[StateUpdate(update.values, update.as_node) for update in updates]]
    if updates[0].as_node == compat.INPUT_NODE and compat.START_NODE in graph.nodes:
        # As in a run: what comes in is one checkpoint, and what the state takes from it the next.
        steps.append([StateUpdate(updates[0].values, compat.START_NODE)])
    sink = current_sink.set(batch)
    try:
        await graph.abulk_update_state(thread_config(thread_id), steps)
    finally:
        current_sink.reset(sink)


async def _culprit(
    graph: AnyPregel, thread_id: str, updates: Superstep, batch: EditBatch, step: str
) -> str:
    """Returns the field of the update that the graph refuses by itself, or that of the step."""
    if len(updates) == 1:
        return f"{step}.updates[0].values"
    for index, update in enumerate(updates):
        try:
            await _apply(graph, thread_id, [update], batch.copy())
        except Exception:  # noqa: BLE001  # whatever it was: it is this one
            return f"{step}.updates[{index}].values"
    return f"{step}.updates"
