"""What a drawing or a list says of a graph: the names of nodes, edges, the signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphwire.values import AssistantGraph, GraphNode

from graphwire_server.cli.drawing.layers import Edge

BREAKPOINT = "◆"
REPEATS = "↺"


def node_path(node_id: str) -> str:
    """Returns a node of a drawing as breakpoints name it: `child/ask` for `child:ask`."""
    return node_id.replace(":", "/")


def captions_of(graph: AssistantGraph) -> dict[str, str]:
    """Returns by node id what stands for a node: its path, and signs."""
    repeating = {edge.source for edge in graph.edges if edge.source == edge.target}
    return {node.node_id: _caption(node, node.node_id in repeating) for node in graph.nodes}


def _caption(node: GraphNode, repeats: bool) -> str:
    before = f"{BREAKPOINT} " if node.interrupt_before else ""
    after = f" {BREAKPOINT}" if node.interrupt_after else ""
    return f"{before}{node_path(node.node_id)}{f' {REPEATS}' if repeats else ''}{after}"


def edges_of(graph: AssistantGraph, captions: Mapping[str, str]) -> list[Edge]:
    """Returns the edges, each pair of nodes once; labels that only repeat a name are left out."""
    labels: dict[tuple[str, str], list[str]] = {}
    solid: set[tuple[str, str]] = set()
    for edge in graph.edges:
        if edge.source == edge.target:
            continue
        pair = (captions[edge.source], captions[edge.target])
        known = labels.setdefault(pair, [])
        if edge.label and edge.label != edge.target and edge.label not in known:
            known.append(edge.label)
        if not edge.conditional:
            solid.add(pair)
    return [Edge(*pair, ", ".join(known), pair not in solid) for pair, known in labels.items()]


def legend_of(graph: AssistantGraph, edges: Sequence[Edge]) -> str:
    """Returns what the signs mean; empty if there are none that need words."""
    parts = []
    if any(edge.dashed for edge in edges):
        parts.append("╌ conditional")
    if any(node.interrupt_before or node.interrupt_after for node in graph.nodes):
        parts.append(f"{BREAKPOINT} breakpoint before or after the node")
    if any(edge.source == edge.target for edge in graph.edges):
        parts.append(f"{REPEATS} may run again")
    connected = {end for edge in graph.edges for end in (edge.source, edge.target)}
    if any(node.node_id not in connected for node in graph.nodes):
        parts.append("no line: reached by a Send or a Command")
    return "   ".join(parts)
