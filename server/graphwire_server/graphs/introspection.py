"""Draws graphs, and describes what they take and give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphwire import errors
from langgraph.graph.state import CompiledStateGraph
from pydantic import TypeAdapter

from graphwire_server import jsontext
from graphwire_server.graphs.langgraph_compat import AnyPregel, static_breakpoints
from graphwire_server.graphs.position import stops


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node of a drawing."""

    node_id: str
    name: str
    interrupt_before: bool
    interrupt_after: bool


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """An edge of a drawing."""

    source: str
    target: str
    label: str
    conditional: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph's nodes, edges and Mermaid text."""

    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    mermaid: str


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON Schemas as text; None where the graph defines none."""

    input: str | None
    output: str | None
    state: str | None
    context: str | None
    config: str | None


async def draw(graph: AnyPregel, *, depth: int) -> Drawing:
    """Draws a graph, with `depth` levels of subgraphs opened.

    Raises:
        GraphUnavailableError: The graph can't be drawn.
    """
    try:
        drawable = await graph.aget_graph(xray=depth)
        mermaid = drawable.draw_mermaid()
    except Exception as error:
        text = f"the graph can't be drawn: {type(error).__name__}: {error}"
        raise errors.GraphUnavailableError(text) from error
    before, after = static_breakpoints(graph)
    own = set(graph.nodes) - {"__start__"}
    return Drawing(
        nodes=tuple(
            DrawnNode(
                node_id=node_id,
                name=node.name,
                interrupt_before=node_id in own and stops(before, node_id),
                interrupt_after=node_id in own and stops(after, node_id),
            )
            for node_id, node in drawable.nodes.items()
        ),
        edges=tuple(
            DrawnEdge(
                source=edge.source,
                target=edge.target,
                label="" if edge.data is None else str(edge.data),
                conditional=edge.conditional,
            )
            for edge in drawable.edges
        ),
        mermaid=mermaid,
    )


def describe(graph: AnyPregel) -> Schemas:
    """Returns a graph's schemas. One that pydantic can't express is None."""
    return Schemas(
        input=_schema(graph.get_input_jsonschema),
        output=_schema(graph.get_output_jsonschema),
        state=_schema(lambda: _state_schema(graph)),
        context=_schema(graph.get_context_jsonschema),
        config=_schema(lambda: _configurable_schema(graph)),
    )


def _schema(make: Callable[[], dict[str, Any] | None]) -> str | None:
    try:
        schema = make()
    except Exception:  # noqa: BLE001  # types of the user's that have no JSON Schema
        return None
    return None if schema is None else jsontext.dumps(schema)


def _state_schema(graph: AnyPregel) -> dict[str, Any] | None:
    if not isinstance(graph, CompiledStateGraph):
        return None
    return TypeAdapter(graph.builder.state_schema).json_schema()


def _configurable_schema(graph: AnyPregel) -> dict[str, Any] | None:
    schema = graph.get_config_jsonschema()
    configurable = schema.get("properties", {}).get("configurable")
    if configurable is None:
        return None
    # The definition is referred to: keep what it refers to with it.
    return {**configurable, "$defs": schema["$defs"]} if "$defs" in schema else configurable
