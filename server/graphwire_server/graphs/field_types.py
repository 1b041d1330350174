"""Checks values against the types of a graph's state, before they are stored.

A graph with a pydantic state validates it each time a node is about to run. By then the
value is in a checkpoint, and neither a run nor a reader gets past it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any

from langgraph.channels import LastValue
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError

from graphwire_server.graphs.langgraph_compat import AnyPregel


def misfit(graph: AnyPregel, values: Mapping[str, Any], *, update: bool) -> str:
    """Returns which value does not fit the graph's state, and why; "" if all fit.

    Channels with a reducer are left out: what they take need not be what they hold.
    """
    if not isinstance(graph, CompiledStateGraph):
        return ""
    builder = graph.builder
    schema: Any = builder.state_schema if update else builder.input_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return ""
    for key, value in values.items():
        if not isinstance(builder.channels.get(key), LastValue):
            continue
        adapter = _adapter(schema, key)
        if adapter is None:
            continue
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False)[0]
            path = ".".join([key, *(str(part) for part in problem["loc"])])
            return f"{path}: {problem['msg']}"
    return ""


@functools.lru_cache(maxsize=1000)
def _adapter(schema: type[BaseModel], key: str) -> TypeAdapter[Any] | None:
    field = schema.model_fields.get(key)
    if field is None:
        return None
    kind: Any = field.annotation
    try:
        return TypeAdapter(Annotated[(kind, *field.metadata)] if field.metadata else kind)
    except PydanticUserError:
        return None  # a type that only the model's own configuration allows
