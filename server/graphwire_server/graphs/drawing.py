"""Draws graphs."""

from __future__ import annotations

from dataclasses import dataclass

from graphwire import errors

from graphwire_server.graphs.failures import describe
from graphwire_server.graphs.langgraph_compat import (
    AnyPregel,
    node_names,
    static_breakpoints,
    subgraphs,
)
from graphwire_server.graphs.places import stops


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


async def draw(graph: AnyPregel, *, depth: int) -> Drawing:
    """Draws a graph, with `depth` levels of subgraphs opened.

    Raises:
        GraphUnavailableError: The graph can't be drawn.
    """
    try:
        drawable = await graph.aget_graph(xray=depth)
        mermaid = drawable.draw_mermaid()
    except Exception as error:
        text = f"the graph can't be drawn: {describe(error)}"
        raise errors.GraphUnavailableError(text) from error
    compiled = _breakpoints(graph)
    return Drawing(
        nodes=tuple(
            DrawnNode(node_id, node.name, *compiled.get(node_id, (False, False)))
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


def _breakpoints(graph: AnyPregel) -> dict[str, tuple[bool, bool]]:
    """Returns by id whether a graph was compiled to pause before and after a node.

    The ids are those of the drawing: a node of a subgraph is "parent:node".
    """
    before, after = static_breakpoints(graph)
    found = {name: (stops(before, name), stops(after, name)) for name in node_names(graph)}
    for parent, child in subgraphs(graph):
        found |= {f"{parent}:{node_id}": both for node_id, both in _breakpoints(child).items()}
    return found
