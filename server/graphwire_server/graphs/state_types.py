"""What the types of a graph's state say of its values as JSON, for the check of conditions.

Only what is sure is said: of unions, of classes, and of channels that hold something else than
what is declared, nothing. LangGraph checks none of it at run time, so a value may be otherwise
all the same; a condition that is asked about it fails then, and holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin

import typing_extensions
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.channels.last_value import LastValue
from langgraph.graph.state import CompiledStateGraph

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.conditions import types
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.schema_hints import schema_hints

#: A number may be an int where a float is declared, and the other way round.
_TYPES: Mapping[Any, types.Type] = {
    int: types.NUMBER,
    float: types.NUMBER,
    str: types.STRING,
    bool: types.BOOL,
    list: types.LIST,
    dict: types.MAP,
}
_QUALIFIERS = (Annotated, Required, NotRequired, typing_extensions.ReadOnly)
#: Channels that hold a value of the type that is declared.
_PLAIN = (LastValue, BinaryOperatorAggregate)


def state_types(graph: AnyPregel) -> dict[str, types.Type] | None:
    """Returns the keys of a graph's state with their types; None if it is no object."""
    keys = compat.state_keys(graph)
    if keys is None:
        return None
    known = _declared(graph) if isinstance(graph, CompiledStateGraph) else {}
    return {key: known.get(key, types.DYN) for key in keys}


def _declared(graph: CompiledStateGraph[Any, Any, Any, Any]) -> dict[str, types.Type]:
    found: dict[str, types.Type] = {}
    for schema in graph.builder.schemas:
        try:
            hints = schema_hints(schema)
        except Exception:  # noqa: BLE001  # langgraph has understood it; here it does not matter
            # What this schema says of a channel might be otherwise than what others say.
            return {}
        for name, hint in hints.items():
            kind = _json_type(hint) if type(graph.channels.get(name)) in _PLAIN else types.DYN
            # Several schemas may have one channel.
            found[name] = kind if found.get(name, kind) == kind else types.DYN
    return found


def _json_type(hint: Any) -> types.Type:
    while get_origin(hint) in _QUALIFIERS:
        hint = get_args(hint)[0]
    kind = _TYPES.get(get_origin(hint) or hint, types.DYN)
    # A node may have written null, whatever is declared.
    return replace(kind, nullable=True)
