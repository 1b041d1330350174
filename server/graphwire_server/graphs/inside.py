"""The subgraphs of a thread: which graph a namespace is of, and in which of them it stands."""

from __future__ import annotations

from graphwire import errors

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.places import Namespace, path_of
from graphwire_server.graphs.position import Position


def graph_at(graph: AnyPregel, namespace: Namespace) -> AnyPregel:
    """Returns the graph that a namespace is of; the graph itself for the root.

    Raises:
        InvalidFieldError: There is no such subgraph.
    """
    at = graph
    path = path_of(namespace)
    for depth, name in enumerate(path):
        below = dict(compat.subgraphs(at))
        if name not in below:
            where = "/".join(path[:depth]) or "the graph"
            raise errors.InvalidFieldError(
                f"there is no subgraph {name!r} in {where}, which has: "
                f"{', '.join(below) or '(none)'}",
                field="namespace",
            )
        at = below[name]
    return at


def may_have_none(graph: AnyPregel, namespace: Namespace) -> bool:
    """Returns whether a namespace may be one of the graph's though there is no checkpoint of it.

    A subgraph with a memory has the same one in all of its tasks, and before the first.

    Raises:
        InvalidFieldError: There is no such subgraph, or it keeps no checkpoints.
    """
    return graph_at(graph, namespace).checkpointer is True and namespace == path_of(namespace)


def check_stands_in(position: Position, namespace: Namespace, *, has_state: bool) -> None:
    """Refuses a subgraph in which a thread does not stand: nothing would come of an edit there.

    Args:
        position: Where the thread stands.
        namespace: The subgraph.
        has_state: Whether there is a state of it at all.

    Raises:
        InvalidFieldError: It stands elsewhere; the error says where.
    """
    inner = [
        (*standing.task.namespace, f"{standing.task.node}:{standing.task.task_id}")
        for standing in position.tasks
        if standing.inside and not standing.finished
    ]
    # One with `checkpointer=True` has its namespace without task ids.
    if not has_state or namespace not in (*inner, *map(path_of, inner)):
        known = " and ".join(str(list(each)) for each in inner) or "the root alone"
        raise errors.InvalidFieldError(
            f"the thread does not stand in this subgraph; it stands in {known}",
            field="namespace",
        )
