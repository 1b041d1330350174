"""Makes a state out of steps, as if nodes had run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from graphwire import errors
from langgraph.errors import InvalidUpdateError as GraphRefusedUpdate
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateUpdate

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.checks import check_input, check_node, check_update
from graphwire_server.graphs.execution import Steer, command_of
from graphwire_server.graphs.failures import describe
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.overwrites import without_needless
from graphwire_server.graphs.state import state_too_large, thread_config
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from graphwire_server.storage.checkpoints.sizes import StateTooLargeError


@dataclass(frozen=True, slots=True)
class NodeUpdate:
    """What a node is taken to have returned; of `__input__`, what is taken as new input.

    None as values of a node writes nothing. With a command, there are no values.
    """

    values: Any
    as_node: str
    command: Steer | None = None

    def meaning(self) -> dict[str, Any]:
        """Returns it as a JSON object, to compare requests by meaning."""
        meaning = {"values": self.values, "as_node": self.as_node}
        return {**meaning, "command": asdict(self.command)} if self.command else meaning


Superstep = Sequence[NodeUpdate]

#: What no other update can stand beside, in one step.
_ALONE = (compat.INPUT_NODE, compat.END_NODE)


async def apply_supersteps(
    graph: AnyPregel, thread_id: str, supersteps: Sequence[Superstep], batch: EditBatch
) -> None:
    """Puts the checkpoints of some steps, one after the other, into a batch. Nothing is executed.

    Raises:
        UnknownNodeError: A step names a node that the graph does not have.
        InvalidFieldError: New input that the graph can't take; what must be alone in its step and
            is not; a command for what takes none.
        InvalidUpdateError: The graph refused the values of an update.
        LimitReachedError: The state would be too large.
    """
    steps = [[_read(graph, update) for update in updates] for updates in supersteps]
    for index, updates in enumerate(steps):
        _check(graph, updates, f"supersteps[{index}]")
    for index, updates in enumerate(steps):
        following = steps[index + 1] if index + 1 < len(steps) else ()
        starts = any(update.as_node == compat.START_NODE for update in following)
        try:
            await _apply(graph, thread_id, updates, batch, started=starts)
        except StateTooLargeError as error:
            raise state_too_large(error) from error
        except Exception as error:  # reducers and writers are the user's code
            field = await _culprit(graph, thread_id, updates, batch, f"supersteps[{index}]")
            refused = isinstance(error, GraphRefusedUpdate)
            text = str(error) if refused else f"the graph refused the update: {describe(error)}"
            raise errors.InvalidUpdateError(text, field=field) from error


def _read(graph: AnyPregel, update: NodeUpdate) -> NodeUpdate:
    """Returns an update as the graph takes it."""
    update = replace(update, values=without_needless(graph, update.values))
    if update.as_node == compat.START_NODE and compat.START_NODE not in graph.nodes:
        # The functional API's graphs have no entry node, only a channel for the input.
        return replace(update, as_node=compat.INPUT_NODE)
    return update


def _check(graph: AnyPregel, updates: Superstep, step: str) -> None:
    for index, update in enumerate(updates):
        field = f"{step}.updates[{index}]"
        if update.as_node in _ALONE and len(updates) > 1:
            text = f"{update.as_node!r} is alone in its step; give it one of its own"
            raise errors.InvalidFieldError(text, field=f"{field}.as_node")
        if update.as_node not in (*_ALONE, compat.START_NODE):
            check_node(graph, update.as_node, f"{field}.as_node")
        if update.command is not None:
            _check_command(graph, update, f"{field}.command", update.command)
        elif update.as_node == compat.INPUT_NODE:
            check_input(graph, update.values, f"{field}.values")
        elif update.as_node == compat.END_NODE:
            if update.values is not None:
                text = f"as_node {update.as_node!r} takes none: it drops what waits; leave them out"
                raise errors.InvalidUpdateError(text, field=f"{field}.values")
        elif update.values is not None:
            check_update(graph, update.values, f"{field}.values", errors.InvalidUpdateError)


def _check_command(graph: AnyPregel, update: NodeUpdate, field: str, command: Steer) -> None:
    if update.as_node in _ALONE or not isinstance(graph, CompiledStateGraph):
        kind = f"as_node {update.as_node!r}" if update.as_node in _ALONE else "this graph"
        text = f"{kind} takes none: only a node of a StateGraph returns one; give values"
        raise errors.InvalidFieldError(text, field=field)
    for index, (node, _) in enumerate(command.goto):
        check_node(graph, node, f"{field}.goto[{index}].node")
    if command.update is not None:
        check_update(graph, command.update, f"{field}.update", errors.InvalidUpdateError)


async def _apply(
    graph: AnyPregel,
    thread_id: str,
    updates: Superstep,
    batch: EditBatch,
    *,
    started: bool = False,
) -> None:
    """Puts the checkpoints of a step into a batch; of input, the first of two if `started`.

    The step that follows is the second then.
    """
    steps = [[StateUpdate(_returned(update), update.as_node) for update in updates]]
    if updates[0].as_node == compat.INPUT_NODE and compat.START_NODE in graph.nodes and not started:
        # As in a run: what comes in is one checkpoint, and what the state takes from it the next.
        steps.append([StateUpdate(updates[0].values, compat.START_NODE)])
    sink = current_sink.set(batch)
    try:
        await graph.abulk_update_state(thread_config(thread_id), steps)
    finally:
        current_sink.reset(sink)


def _returned(update: NodeUpdate) -> Any:
    """Returns what a node is taken to have returned, for LangGraph."""
    return update.values if update.command is None else command_of(update.command)


async def _culprit(
    graph: AnyPregel, thread_id: str, updates: Superstep, batch: EditBatch, step: str
) -> str:
    """Returns the field of the update that the graph refuses by itself, or that of the step."""
    fields = [
        f"{step}.updates[{index}].{'command' if update.command else 'values'}"
        for index, update in enumerate(updates)
    ]
    if len(updates) == 1:
        return fields[0]
    for field, update in zip(fields, updates, strict=True):
        try:
            await _apply(graph, thread_id, [update], batch.copy())
        except Exception:  # noqa: BLE001  # whatever it was: it is this one
            return field
    return f"{step}.updates"
