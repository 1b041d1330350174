"""Draws a graph in text: boxes in rows, lines between them, arrows on the boxes."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphwire.values import AssistantGraph
from rich.text import Text

from graphwire_server.cli.drawing.canvas import DOWN, HORIZONTAL, LEFT, RIGHT, UP, VERTICAL, Canvas
from graphwire_server.cli.drawing.layers import Edge, Layers, layers_of, order, ranking_of
from graphwire_server.cli.drawing.placement import least_width, place, set_widths, width_of
from graphwire_server.cli.drawing.ports import Net, Port, nets_of
from graphwire_server.cli.drawing.signs import captions_of, edges_of, legend_of
from graphwire_server.cli.drawing.tracks import Track, tracks_of

#: Of how many lines from one row to the next a drawing consists at the most. Nobody can follow
#: more of them, and the time for a drawing grows with their number: at this one it is a second.
MOST_PIECES = 5000
#: How many columns a drawing takes at the most: no terminal shows more.
MOST_COLUMNS = 1000
_ENDS = ("__start__", "__end__")
_BOX_LINES = 3
#: Where a line leaves or enters the bold frame of a marked node.
_BOLD_ENDS = {"┴": "┷", "┬": "┯"}


class TooLargeError(Exception):
    """A graph has no drawing of use; the text says why, in words for people."""


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


def draw_graph(
    graph: AssistantGraph,
    marks: Mapping[str, str] | None = None,
    *,
    columns: int = MOST_COLUMNS,
    height: int | None = None,
) -> Drawing:
    """Draws a graph from the top to the bottom.

    Args:
        graph: The graph.
        marks: By node id, the captions of nodes to be marked with a bold frame.
        columns: How many columns there are for it.
        height: How many lines of text there are for it; None: any number.

    Raises:
        TooLargeError: There is not enough room, or it would consist of too many lines. What
            is far too large is known before anything is arranged.
    """
    marks = marks or {}
    captions = captions_of(graph)
    captions |= {node_id: marks[node_id] for node_id in captions if node_id in marks}
    marked = {captions[node_id] for node_id in marks if node_id in captions}
    ends = {captions[name] for name in _ENDS if name in captions}
    edges = edges_of(graph, captions)
    last = captions.get("__end__", "")
    layers, gaps = _arranged(list(captions.values()), edges, last, columns, height)
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
    _check_height(line, height)
    return Drawing(canvas.text(), canvas.width, legend_of(graph, edges))


def _arranged(
    names: Sequence[str], edges: Sequence[Edge], last: str, columns: int, height: int | None
) -> tuple[Layers, list[list[Net]]]:
    """Returns where everything stands; refuses what is too large as soon as that is known."""
    ranking = ranking_of(names, edges, last=last)
    if ranking.pieces > MOST_PIECES:
        raise TooLargeError(
            f"the drawing would have {ranking.pieces} lines from one row to the next, "
            f"no more than {MOST_PIECES} are drawn"
        )
    layers = layers_of(ranking)
    gaps = [nets_of(gap) for gap in layers.gaps]
    set_widths(layers, gaps)
    _check_width(least_width(layers), columns)
    # Between two rows there is a line of text at least.
    _check_height(len(layers.rows) * _BOX_LINES + sum(map(bool, gaps)), height)
    order(layers)
    place(layers, gaps)
    _check_width(width_of(layers), columns)
    return layers, gaps


def _check_width(width: int, columns: int) -> None:
    if width > columns:
        raise TooLargeError(
            f"the drawing would take {width} columns or more, no more than {columns} are drawn"
        )


def _check_height(lines: int, height: int | None) -> None:
    if height is not None and lines > height:
        raise TooLargeError(
            f"the drawing would take {lines} lines of text or more, there is room for {height}"
        )


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
