"""Checks what a caller says against the graph it is for, before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from graphwire import errors
from langgraph.graph.state import CompiledStateGraph

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.breakpoints import Breakpoint, Located, OnExpiry, locate
from graphwire_server.graphs.conditions import ConditionError, compile_condition
from graphwire_server.graphs.contexts import context_misfit
from graphwire_server.graphs.field_types import misfit
from graphwire_server.graphs.langgraph_compat import AnyPregel, node_names
from graphwire_server.graphs.places import Path, Place

_ROOT_CHANNEL = "__root__"


def check_node(graph: AnyPregel, name: str, field: str) -> None:
    """Raises UnknownNodeError for a name that is no node of the graph; it lists those there are."""
    nodes = node_names(graph)
    if name in nodes:
        return
    close = difflib.get_close_matches(name, nodes, n=1)
    hint = f"; did you mean {close[0]!r}? It has:" if close else "; it has:"
    raise errors.UnknownNodeError(
        f"the graph has no node {name!r}{hint} {', '.join(nodes)}",
        field=field,
        metadata={"node": name, "nodes": ", ".join(nodes)},
    )


def check_breakpoints(
    places: Mapping[Path, Place], breakpoints: Sequence[Breakpoint], field: str
) -> None:
    """Refuses breakpoints that can't be honoured in a graph.

    Args:
        places: What is known of the graph and its subgraphs, by path.
        breakpoints: The breakpoints, in the order of the field.
        field: The field of the request that they are in.

    Raises:
        UnknownNodeError: There is no such node; the error lists those that there are.
        UnsupportedBreakpointError: A pause there could never be resumed.
        InvalidConditionError: Its condition can't be used in the graph of its node.
    """
    for index, each in enumerate(breakpoints):
        path = f"{field}[{index}]"
        located = check_place(places, each.node, f"{path}.node")
        if each.condition:
            _check_condition(places[located.path], each.condition, f"{path}.condition")
        if each.on_expiry == OnExpiry.REJECT:
            _check_rejectable(places[located.path], located, f"{path}.on_expiry")


def check_names(places: Mapping[Path, Place], names: Sequence[str], field: str) -> None:
    """Refuses plain names of breakpoints that can't be honoured; as `check_breakpoints`."""
    for index, name in enumerate(names):
        check_place(places, name, f"{field}[{index}]")


def check_place(places: Mapping[Path, Place], name: str, field: str) -> Located:
    """Returns where a breakpoint at a name is. Raises as `check_breakpoints`."""
    located = locate(name, places)
    if located is None:
        raise _no_such_place(places, name, field)
    place, path = places[located.path], "/".join(located.path)
    if not place.has_doors:
        raise errors.UnsupportedBreakpointError(
            f"{field}: the graph {path} is called by the code of a node, which would take a "
            "pause in it for a failure; set the breakpoint at the node that calls it, or make "
            "the graph a node",
            metadata={"path": path, "field": field},
        )
    if not place.keeps_checkpoints:
        raise errors.UnsupportedBreakpointError(
            f"{field}: the subgraph {path} keeps no checkpoints (checkpointer=False), so a pause "
            "in it could never be resumed; compile it with checkpointer=None, or set the "
            "breakpoint at the node that it is",
            metadata={"path": path, "field": field},
        )
    return located


def _check_rejectable(place: Place, located: Located, field: str) -> None:
    """Raises UnsupportedBreakpointError where tool calls could not be rejected."""
    path = "/".join(located.path)
    where = f"the subgraph {path}" if path else "the graph"
    if not place.messages:
        raise errors.UnsupportedBreakpointError(
            f"{field}: the state of {where} has no messages in which a tool call could be "
            "rejected; use ON_EXPIRY_RESUME or ON_EXPIRY_CANCEL",
            metadata={"path": path, "field": field},
        )
    if located.node in place.chooses:
        raise errors.UnsupportedBreakpointError(
            f"{field}: the node {located.node} alone says where to go next, and would not run; "
            "use ON_EXPIRY_RESUME or ON_EXPIRY_CANCEL",
            metadata={"path": path, "field": field},
        )


def _check_condition(place: Place, condition: str, field: str) -> None:
    try:
        compile_condition(condition, place.state)
    except ConditionError as error:
        raise errors.InvalidConditionError(
            str(error),
            field=field,
            metadata={"line": str(error.position.line), "column": str(error.position.column)},
        ) from error


def _no_such_place(places: Mapping[Path, Place], name: str, field: str) -> errors.UnknownNodeError:
    """Returns the error for a name that is nowhere, with what there is nearest to it."""
    known = [
        "/".join((*path, node))
        for path, place in places.items()
        if place.has_doors and place.keeps_checkpoints
        for node in place.nodes
    ]
    inside = max(
        (path for path in places if path and name.startswith("/".join(path) + "/")),
        key=len,
        default=(),
    )
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}? It has:" if close else "; it has:"
    where = f"the subgraph {'/'.join(inside)}" if inside else "the graph"
    nodes = ["/".join((*inside, node)) for node in places[inside].nodes]
    return errors.UnknownNodeError(
        f"{where} has no node {name!r}{hint} {', '.join(nodes)}",
        field=field,
        metadata={"node": name, "nodes": ", ".join(nodes)},
    )


def check_input(graph: AnyPregel, value: Any, field: str) -> None:
    """Raises InvalidFieldError for input that the graph can't take.

    LangGraph refuses input without a single key that it knows, and values that do not fit a
    pydantic state, only when the run has begun.
    """
    keys = _keys(graph, update=False)
    if keys and (not isinstance(value, Mapping) or not any(key in keys for key in value)):
        raise errors.InvalidFieldError(_misfit("input", keys, value), field=field)
    _check_types(graph, value, field, errors.InvalidFieldError, update=False)


def check_update(
    graph: AnyPregel,
    value: Any,
    field: str,
    error: type[errors.InvalidArgumentError] = errors.InvalidFieldError,
) -> None:
    """Raises `error` for an update with a key that is no channel of the graph.

    LangGraph drops such keys without a word.
    """
    keys = _keys(graph, update=True)
    if keys and (not isinstance(value, Mapping) or not all(key in keys for key in value)):
        raise error(_misfit("update", keys, value), field=field)
    _check_types(graph, value, field, error, update=True)


def check_context(graph: AnyPregel, context: Mapping[str, Any], field: str) -> None:
    """Raises InvalidFieldError if a context does not fit the graph's context schema."""
    problem = context_misfit(graph.context_schema, context)
    if problem:
        text = f"does not fit the graph's context schema: {problem}"
        raise errors.InvalidFieldError(text, field=field)


def _check_types(
    graph: AnyPregel,
    value: Any,
    field: str,
    error: type[errors.InvalidArgumentError],
    *,
    update: bool,
) -> None:
    problem = misfit(graph, value, update=update) if isinstance(value, Mapping) else ""
    if problem:
        raise error(f"does not fit the graph's state: {problem}", field=field)


def _keys(graph: AnyPregel, *, update: bool) -> Collection[str]:
    """Returns the keys that a graph's input or updates may have; none if they are no objects."""
    if not isinstance(graph, CompiledStateGraph):
        return ()
    builder = graph.builder
    keys = list(builder.channels if update else builder.schemas[builder.input_schema])
    return () if _ROOT_CHANNEL in keys else keys


def _misfit(kind: str, keys: Collection[str], value: Any) -> str:
    known = ", ".join(keys)
    if not isinstance(value, Mapping):
        return f"the graph's {kind} is an object with the keys {known}, not {_json_kind(value)}"
    unknown = ", ".join(repr(key) for key in value if key not in keys)
    return (
        f"the graph has no {'channel' if kind == 'update' else 'input'} {unknown}; it has: {known}"
    )


def _json_kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case _:
            return "an array"


def check_tags(tags: Collection[str], field: str) -> None:
    """Refuses the tag by which LangGraph hides nodes, from breakpoints too.

    Raises:
        InvalidFieldError: It is among them.
    """
    if compat.HIDING_TAG in tags:
        raise errors.InvalidFieldError(
            f"the tag {compat.HIDING_TAG!r} steers LangGraph from inside: it hides nodes",
            field=field,
        )
