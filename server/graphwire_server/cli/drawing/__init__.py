"""Draws a graph in text: boxes in rows, lines between them, arrows on the boxes."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphwire.values import AssistantGraph, GraphNode
from rich.text import Text

from graphwire_server.cli.drawing.canvas import DOWN, HORIZONTAL, LEFT, RIGHT, UP, VERTICAL, Canvas
from graphwire_server.cli.drawing.layers import Edge, layers_of, order, ranking_of
from graphwire_server.cli.drawing.placement import place, set_widths
from graphwire_server.cli.drawing.ports import Net, Port, nets_of
from graphwire_server.cli.drawing.tracks import Track, tracks_of

_ENDS = ("__start__", "__end__")
_BOX_LINES = 3
_BREAKPOINT = "◆"
_REPEATS = "↺"
#: Where a line leaves or enters the bold frame of a marked node.
_BOLD_ENDS = {"┴": "┷", "┬": "┯"}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn graph.

    Attributes:
        text: The drawing.
        width: How many columns it takes.
        legend: What its signs mean; empty if it has none that need words.
    """

    text: Text
    width: int
    legend: str


def draw_graph(graph: AssistantGraph, marks: Mapping[str, str] | None = None) -> Drawing:
    """Draws a graph from the top to the bottom.

    Args:
        graph: The graph.
        marks: By node id, the captions of nodes to be marked with a bold frame.
    """
    marks = marks or {}
    captions = {
        node.node_id: marks.get(node.node_id) or _caption(node, graph) for node in graph.nodes
    }
    marked = {captions[node_id] for node_id in marks if node_id in captions}
    ends = {captions[name] for name in _ENDS if name in captions}
    edges = _edges(graph, captions)
    layers = layers_of(ranking_of(list(captions.values()), edges, last=captions.get("__end__", "")))
    gaps = [nets_of(gap) for gap in layers.gaps]
    set_widths(layers, gaps)
    order(layers)
    place(layers, gaps)
    passing = {id(port.vertex): net for nets in gaps for net, port in _lower(nets)}
    canvas = Canvas()
    line = 0
    for row, nets, nets_above in zip(layers.rows, [*gaps, []], [[], *gaps], strict=True):
        for vertex in row:
            if vertex.name:
                is_marked = vertex.name in marked
                style = "bold yellow" if is_marked else "dim" if vertex.name in ends else "bold"
                left, right = vertex.left, vertex.right
                canvas.box(line, left, right, vertex.name, style, marked=is_marked)
            else:
                _draw_down(canvas, vertex.x, line, line + _BOX_LINES, passing[id(vertex)])
        for _, port in _lower(nets_above):
            _draw_end(canvas, line, port, "▼" if port.arrow else "┴", marked)
        line += _BOX_LINES
        for _, port in _upper(nets):
            _draw_end(canvas, line - 1, port, "▲" if port.arrow else "┬", marked)
        line += _draw_gap(canvas, line, nets)
    return Drawing(canvas.text(), canvas.width, _legend(graph, edges))


def node_path(node_id: str) -> str:
    """Returns a node of a drawing as breakpoints name it: `child/ask` for `child:ask`."""
    return node_id.replace(":", "/")


def _caption(node: GraphNode, graph: AssistantGraph) -> str:
    before = f"{_BREAKPOINT} " if node.interrupt_before else ""
    after = f" {_BREAKPOINT}" if node.interrupt_after else ""
    repeats = any(e.source == e.target == node.node_id for e in graph.edges)
    return f"{before}{node_path(node.node_id)}{f' {_REPEATS}' if repeats else ''}{after}"


def _edges(graph: AssistantGraph, captions: dict[str, str]) -> list[Edge]:
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


def _upper(nets: Sequence[Net]) -> Iterator[tuple[Net, Port]]:
    return ((net, port) for net in nets for port in net.upper)


def _lower(nets: Sequence[Net]) -> Iterator[tuple[Net, Port]]:
    return ((net, port) for net in nets for port in net.lower)


def _draw_gap(canvas: Canvas, line: int, nets: Sequence[Net]) -> int:
    """Draws what lies between two rows of boxes; returns how many lines of text it takes."""
    if not nets:
        return 0
    tracks = tracks_of(nets)
    labels_above = any(port.label for _, port in _upper(nets))
    first = line + (1 if labels_above else 0)
    below = first + 2 + max((track.row for track in tracks if track.row is not None), default=-1)
    for track in tracks:
        _draw_track(canvas, track, line, first, below)
    for _, port in _upper(nets):
        _draw_label(canvas, line, port)
    for _, port in _lower(nets):
        _draw_label(canvas, below - 1, port)
    return below - line


def _draw_track(canvas: Canvas, track: Track, top: int, first: int, below: int) -> None:
    if track.row is None:
        _draw_down(canvas, track.left, top, below, track.net)
        return
    turn = first + track.row
    for x in track.tops:
        _draw_down(canvas, x, top, turn, track.net)
    for x in track.bottoms:
        _draw_down(canvas, x, turn + 1, below, track.net)
    sides = dict.fromkeys(range(track.left, track.right + 1), HORIZONTAL)
    sides[track.left] ^= LEFT
    sides[track.right] ^= RIGHT
    for x in track.tops:
        sides[x] |= UP
    for x in track.bottoms:
        sides[x] |= DOWN
    for x, touched in sides.items():
        canvas.draw(turn, x, touched, net=track.net, dashed=track.net.dashed)


def _draw_down(canvas: Canvas, x: int, top: int, below: int, net: Net) -> None:
    for line in range(top, below):
        canvas.draw(line, x, VERTICAL, net=net, dashed=net.dashed)


def _draw_end(canvas: Canvas, line: int, port: Port, sign: str, marked: Container[str]) -> None:
    if port.vertex.name in marked:
        canvas.write(line, port.x, _BOLD_ENDS.get(sign, sign), "" if port.arrow else "bold yellow")
    elif port.vertex.name:
        canvas.write(line, port.x, sign, "" if port.arrow else "dim")


def _draw_label(canvas: Canvas, line: int, port: Port) -> None:
    if port.label:
        canvas.write(line, port.x - len(port.label) // 2, port.label, "italic cyan")


def _legend(graph: AssistantGraph, edges: Sequence[Edge]) -> str:
    parts = []
    if any(edge.dashed for edge in edges):
        parts.append("╌ conditional")
    if any(node.interrupt_before or node.interrupt_after for node in graph.nodes):
        parts.append(f"{_BREAKPOINT} breakpoint before or after the node")
    if any(edge.source == edge.target for edge in graph.edges):
        parts.append(f"{_REPEATS} may run again")
    connected = {end for edge in graph.edges for end in (edge.source, edge.target)}
    if any(node.node_id not in connected for node in graph.nodes):
        parts.append("no line: reached by a Send or a Command")
    return "   ".join(parts)
