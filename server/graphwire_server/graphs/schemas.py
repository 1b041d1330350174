"""Describes what graphs take and give, as JSON Schemas."""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions
from langgraph.graph.state import CompiledStateGraph
from pydantic import TypeAdapter

from graphwire_server import jsontext
from graphwire_server.graphs.langgraph_compat import AnyPregel


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON Schemas as text; None where the graph defines none, or none can be made."""

    input: str | None
    output: str | None
    state: str | None
    context: str | None


def describe(graph: AnyPregel) -> Schemas:
    """Returns a graph's schemas."""
    context = graph.context_schema
    if isinstance(graph, CompiledStateGraph):
        builder = graph.builder
        return Schemas(
            input=_text(lambda: _schema_of(builder.input_schema)),
            output=_text(lambda: _schema_of(builder.output_schema)),
            state=_text(lambda: _schema_of(builder.state_schema)),
            context=_text(lambda: _schema_of(context)),
        )
    return Schemas(
        input=_text(graph.get_input_jsonschema),
        output=_text(graph.get_output_jsonschema),
        state=None,
        context=_text(lambda: _schema_of(context)),
    )


def _text(make: Callable[[], dict[str, Any] | None]) -> str | None:
    try:
        schema = make()
    except Exception:  # noqa: BLE001  # types of the user's that have no JSON Schema
        return None
    return None if schema is None else jsontext.dumps(schema)


def _schema_of(kind: Any) -> dict[str, Any] | None:
    return None if kind is None else TypeAdapter(readable(kind)).json_schema()


def readable(kind: Any) -> Any:
    """Returns a type in which every TypedDict is one that pydantic reads.

    Below Python 3.12 it refuses those of `typing`, which most LangGraph projects use; the
    same made with `typing_extensions` it takes.
    """
    if is_typeddict(kind):
        return _readable_typed_dict(kind)
    arguments = get_args(kind)
    if not arguments:
        return kind
    parts = tuple(readable(argument) for argument in arguments)
    if parts == arguments:
        return kind
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, parts)
    if hasattr(kind, "__metadata__"):  # Annotated: the type, with what is said of it
        return typing_extensions.Annotated[(readable(kind.__origin__), *kind.__metadata__)]
    return origin[parts] if origin is not None else kind


@functools.cache
def _readable_typed_dict(kind: Any) -> Any:
    fields = {
        name: typing_extensions.NotRequired[readable(hint)]
        if name in kind.__optional_keys__
        else typing_extensions.Required[readable(hint)]
        for name, hint in get_type_hints(kind, include_extras=True).items()
    }
    # Type checkers know only TypedDicts that are written out.
    make: Any = typing_extensions.TypedDict
    made = make(kind.__name__, fields)
    made.__doc__ = kind.__doc__
    made.__module__ = kind.__module__
    return made
