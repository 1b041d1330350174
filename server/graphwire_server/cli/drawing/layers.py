"""First step of a drawing: which node stands in which row, and in which order.

Edges that close a loop are turned round for this step, so that all lines go down; each
line remembers where its arrow belongs. A line that passes rows bends there, at an unnamed
vertex.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_SWEEPS = 12


@dataclass(eq=False, slots=True)
class Vertex:
    """A node, or a bend of a line on its way past a row.

    Attributes:
        name: The node's id; empty for a bend.
        width: How many columns its box takes; 1 for a bend.
        x: The column of its middle, once it is placed.
    """

    name: str = ""
    width: int = 1
    x: int = 0

    @property
    def left(self) -> int:
        """Returns the first column of its box."""
        return self.x - self.width // 2

    @property
    def right(self) -> int:
        """Returns the last column of its box."""
        return self.left + self.width - 1


@dataclass(eq=False, slots=True)
class Line:
    """The part of an edge that lies between two neighbouring rows.

    Attributes:
        upper: Its end in the upper row.
        lower: Its end in the lower row.
        up: Whether the edge leads upwards.
        dashed: Whether the edge is conditional.
        label: The edge's label; only on the part with the arrow.
    """

    upper: Vertex
    lower: Vertex
    up: bool
    dashed: bool
    label: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge to be drawn; there is one at the most from a node to another."""

    source: str
    target: str
    label: str = ""
    dashed: bool = False


@dataclass(slots=True)
class Layers:
    """The rows of a drawing.

    Attributes:
        rows: The vertices of each row, from left to right.
        gaps: The lines between each row and the next: one fewer than rows.
    """

    rows: list[list[Vertex]]
    gaps: list[list[Line]] = field(default_factory=list)


def layers_of(names: Sequence[str], edges: Sequence[Edge], *, last: str = "") -> Layers:
    """Puts nodes into rows; those without edges into one of their own, at the bottom.

    Args:
        names: The nodes; the first is the one to begin with.
        edges: The edges between them, without those from a node to itself.
        last: A node that belongs in the last row, to the right; empty: none.
    """
    closing = _closing_edges(names, edges)
    downward = {(e.target, e.source) if e in closing else (e.source, e.target): e for e in edges}
    depth = _depths(names, downward.keys())
    if last in depth:
        depth[last] = max(depth.values())
    connected = {name for pair in downward for name in pair}
    depth.update(dict.fromkeys(set(names) - connected, max(depth.values()) + bool(connected)))
    vertices = {name: Vertex(name) for name in names}
    rows: list[list[Vertex]] = [[] for _ in range(max(depth.values()) + 1)]
    gaps: list[list[Line]] = [[] for _ in rows[1:]]
    for name in sorted(_discovered(names, edges), key=lambda name: name == last):
        rows[depth[name]].append(vertices[name])
    for edge in edges:
        up = edge in closing
        top, bottom = (edge.target, edge.source) if up else (edge.source, edge.target)
        upper = vertices[top]
        for row in range(depth[top], depth[bottom]):
            arrives = row + 1 == depth[bottom]
            lower = vertices[bottom] if arrives else Vertex()
            if not arrives:
                rows[row + 1].append(lower)
            has_arrow = row == depth[top] if up else arrives
            label = edge.label if has_arrow else ""
            gaps[row].append(Line(upper, lower, up, edge.dashed, label))
            upper = lower
    found = Layers(rows, gaps)
    _order(found)
    return found


def _closing_edges(names: Sequence[str], edges: Sequence[Edge]) -> set[Edge]:
    """Returns the edges that lead back to where their path came from."""
    leaving: dict[str, list[Edge]] = {name: [] for name in names}
    for edge in edges:
        leaving[edge.source].append(edge)
    closing: set[Edge] = set()
    done: set[str] = set()
    on_path: dict[str, int] = {}
    for root in names:
        path = [] if root in done else [root]
        while path:
            here = path[-1]
            position = on_path.setdefault(here, 0)
            if position == len(leaving[here]):
                done.add(here)
                del on_path[here]
                path.pop()
                continue
            on_path[here] += 1
            edge = leaving[here][position]
            if edge.target in on_path:
                closing.add(edge)
            elif edge.target not in done:
                path.append(edge.target)
    return closing


def _depths(names: Sequence[str], downward: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Returns each node's row: one below the lowest of those that lead to it."""
    pairs = list(downward)
    depth = dict.fromkeys(names, 0)
    for _ in names:
        moved = False
        for upper, lower in pairs:
            if depth[lower] <= depth[upper]:
                depth[lower] = depth[upper] + 1
                moved = True
        if not moved:
            break
    return depth


def _discovered(names: Sequence[str], edges: Sequence[Edge]) -> list[str]:
    """Returns the nodes in the order in which a walk along the edges meets them."""
    order: dict[str, None] = {}
    for root in names:
        queue = [root]
        while queue:
            here = queue.pop(0)
            if here in order:
                continue
            order[here] = None
            queue.extend(e.target for e in edges if e.source == here)
    return list(order)


def _order(layers: Layers) -> None:
    """Orders each row so that lines cross little: sweeps down and up, the best one stays."""
    best = [list(row) for row in layers.rows]
    fewest = _all_crossings(layers)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        numbers = range(1, len(layers.rows)) if downwards else range(len(layers.rows) - 2, -1, -1)
        for number in numbers:
            gap = layers.gaps[number - 1 if downwards else number]
            beside = layers.rows[number - 1 if downwards else number + 1]
            _sort_row(layers.rows[number], beside, gap)
        crossings = _all_crossings(layers)
        if crossings < fewest:
            fewest, best = crossings, [list(row) for row in layers.rows]
    layers.rows[:] = best


def _sort_row(row: list[Vertex], beside: list[Vertex], gap: list[Line]) -> None:
    places = {id(vertex): place for place, vertex in enumerate(beside)}
    means: Mapping[int, float] = {
        id(vertex): _mean(
            [
                places[id(_other(line, vertex))]
                for line in gap
                if vertex in (line.upper, line.lower)
            ],
            default=place,
        )
        for place, vertex in enumerate(row)
    }
    row.sort(key=lambda vertex: means[id(vertex)])


def _other(line: Line, vertex: Vertex) -> Vertex:
    return line.lower if line.upper is vertex else line.upper


def _mean(values: Sequence[float], *, default: float) -> float:
    return sum(values) / len(values) if values else default


def _all_crossings(layers: Layers) -> int:
    total = 0
    for upper, lower, gap in zip(layers.rows, layers.rows[1:], layers.gaps, strict=False):
        above = {id(vertex): place for place, vertex in enumerate(upper)}
        below = {id(vertex): place for place, vertex in enumerate(lower)}
        ends = [(above[id(line.upper)], below[id(line.lower)]) for line in gap]
        total += sum(
            (a - c) * (b - d) < 0 for i, (a, b) in enumerate(ends) for c, d in ends[i + 1 :]
        )
    return total
