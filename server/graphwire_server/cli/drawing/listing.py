"""A graph that is too large for a drawing: its nodes, and where each leads."""

from __future__ import annotations

from dataclasses import dataclass

from graphwire.values import AssistantGraph
from rich.text import Text

from graphwire_server.cli.drawing.layers import Edge
from graphwire_server.cli.drawing.signs import captions_of, edges_of, legend_of, node_path

_ARROW = "─▶"
_CONDITIONAL = "╌▶"


@dataclass(frozen=True, slots=True)
class Listing:
    """A graph in words.

    Attributes:
        rows: Nodes, and the arrow and the nodes that follow. A node whose edges are partly
            conditional has two rows, the second without its name.
        legend: What the signs mean; empty if there are none that need words.
    """

    rows: list[tuple[str, Text]]
    legend: str


def list_graph(graph: AssistantGraph) -> Listing:
    """Lists a graph's nodes, in the graph's order, with where each leads."""
    captions = captions_of(graph)
    edges = edges_of(graph, {node_id: node_path(node_id) for node_id in captions})
    leaving: dict[str, list[Edge]] = {}
    for edge in edges:
        leaving.setdefault(edge.source, []).append(edge)
    rows: list[tuple[str, Text]] = []
    for node_id, caption in captions.items():
        found = leaving.get(node_path(node_id), [])
        ways = [
            Text.assemble((arrow, "dim"), " ", ", ".join(_target(edge) for edge in chosen))
            for arrow, chosen in (
                (_ARROW, [edge for edge in found if not edge.dashed]),
                (_CONDITIONAL, [edge for edge in found if edge.dashed]),
            )
            if chosen
        ]
        names = [caption, *[""] * len(ways)]
        rows.extend(zip(names, ways or [Text()], strict=False))
    return Listing(rows, legend_of(graph, edges))


def _target(edge: Edge) -> str:
    return f"{edge.target} ({edge.label})" if edge.label else edge.target
