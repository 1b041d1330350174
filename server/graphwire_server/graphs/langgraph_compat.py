"""The private parts of langgraph that the server relies on, all in this file.

langgraph is pinned to one minor version; `tests/graphs/test_langgraph_assumptions.py`
proves each assumption made here against the installed one.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.pregel._loop import AsyncPregelLoop, SyncPregelLoop

from graphwire_server.graphs.failures import error_text, error_type, sendable
from graphwire_server.storage.records import Failure

AnyPregel = Pregel[Any, Any, Any, Any]

#: Set in `configurable`: an answer to an interrupt that does not wait is refused, not
#: given to whichever question comes next.
STRICT_RESUME = "__pregel_strict_resume"

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


class _NothingToWaitFor:
    """Stands for the future of a checkpoint that was never written."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield

    def result(self) -> None:
        return None


def make_sync_durability_total() -> None:
    """Makes `durability="sync"` work for graphs that write no checkpoints.

    A subgraph compiled with `checkpointer=False` never sets the attribute that sync
    durability waits for, and ends in an AttributeError. With a default on the class there
    is nothing to wait for, which is true.
    """
    for loop in (AsyncPregelLoop, SyncPregelLoop):
        if not hasattr(loop, "_put_checkpoint_fut"):
            loop._put_checkpoint_fut = _NothingToWaitFor()  # type: ignore[assignment]


def copy_with(graph: AnyPregel, update: dict[str, Any]) -> AnyPregel:
    """Returns a copy of a graph with some attributes changed.

    `Pregel.copy` forgets which types the graph's state has, and with LANGGRAPH_STRICT_MSGPACK
    those it does not know come back from a checkpoint as strings and dicts.
    """
    copy = graph.copy(update)
    copy._serde_allowlist = graph._serde_allowlist
    return copy


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


def node_names(graph: AnyPregel) -> tuple[str, ...]:
    """Returns the names of a graph's nodes, in the order of their definition."""
    return tuple(name for name in graph.nodes if name != START_NODE)


def declared_nodes(graph: AnyPregel) -> tuple[str, ...]:
    """Returns a StateGraph's nodes; () for other graphs, whose tasks have names of their own."""
    return node_names(graph) if isinstance(graph, CompiledStateGraph) else ()


def static_breakpoints(
    graph: AnyPregel,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the breakpoints compiled into a graph, before and after; `*` for all."""
    return _names(graph.interrupt_before_nodes), _names(graph.interrupt_after_nodes)


def stops_inside(graph: AnyPregel) -> bool:
    """Returns whether a subgraph, at any depth, has breakpoints compiled in."""
    children = (child for _, child in graph.get_subgraphs(recurse=True))
    return any(any(static_breakpoints(c)) for c in children if isinstance(c, Pregel))


def subgraphs(
    graph: AnyPregel,
) -> Iterator[tuple[str, AnyPregel]]:
    """Yields the nodes that are graphs themselves, each with its graph."""
    for name, child in graph.get_subgraphs():
        if isinstance(child, Pregel):
            yield name, child


def _names(nodes: Any) -> tuple[str, ...]:
    return ("*",) if nodes == "*" else tuple(nodes)
