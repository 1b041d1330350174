"""First step of a drawing: which node stands in which row, and in which order.

Edges that close a loop are turned round for this step, so that all lines go down; each
line remembers where its arrow belongs. A line that passes rows bends there, at an unnamed
vertex.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
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


@dataclass(frozen=True, slots=True)
class Ranking:
    """In which row each node stands, and which edges lead upwards then.

    Attributes:
        names: The nodes, in the order in which a row has them at first.
        edges: The edges between them.
        closing: Those of them that lead upwards.
        depth: By node, its row; 0 is the topmost.
        pieces: Of how many lines the drawing consists: an edge has one for each row that it
            goes down or up.
    """

    names: Sequence[str]
    edges: Sequence[Edge]
    closing: Set[Edge]
    depth: Mapping[str, int]
    pieces: int


def ranking_of(names: Sequence[str], edges: Sequence[Edge], *, last: str = "") -> Ranking:
    """Gives each node a row; those without edges one of their own, at the bottom.

    Args:
        names: The nodes; the first is the one to begin with.
        edges: The edges between them, without those from a node to itself.
        last: A node that belongs in the last row, to the right; empty: none.
    """
    leaving: dict[str, list[Edge]] = {name: [] for name in names}
    for edge in edges:
        leaving[edge.source].append(edge)
    closing = _closing_edges(leaving)
    depth = _depths(
        names, [(e.target, e.source) if e in closing else (e.source, e.target) for e in edges]
    )
    if last in depth:
        depth[last] = max(depth.values())
    connected = {name for edge in edges for name in (edge.source, edge.target)}
    depth.update(dict.fromkeys(set(names) - connected, max(depth.values()) + bool(connected)))
    return Ranking(
        names=sorted(_discovered(leaving), key=lambda name: name == last),
        edges=edges,
        closing=closing,
        depth=depth,
        pieces=sum(abs(depth[edge.target] - depth[edge.source]) for edge in edges),
    )


def layers_of(ranking: Ranking) -> Layers:
    """Puts nodes into their rows, and bends between them."""
    depth = ranking.depth
    vertices = {name: Vertex(name) for name in ranking.names}
    rows: list[list[Vertex]] = [[] for _ in range(max(depth.values()) + 1)]
    gaps: list[list[Line]] = [[] for _ in rows[1:]]
    for name in ranking.names:
        rows[depth[name]].append(vertices[name])
    for edge in ranking.edges:
        up = edge in ranking.closing
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
    return Layers(rows, gaps)


def _closing_edges(leaving: Mapping[str, Sequence[Edge]]) -> set[Edge]:
    """Returns the edges that lead back to where their path came from."""
    closing: set[Edge] = set()
    done: set[str] = set()
    on_path: dict[str, int] = {}
    for root in leaving:
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


def _depths(names: Sequence[str], downward: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Returns each node's row: one below the lowest of those that lead to it."""
    below: dict[str, list[str]] = {name: [] for name in names}
    waits_for = dict.fromkeys(names, 0)
    for upper, lower in downward:
        below[upper].append(lower)
        waits_for[lower] += 1
    depth = dict.fromkeys(names, 0)
    ready = [name for name in names if not waits_for[name]]
    while ready:
        upper = ready.pop()
        for lower in below[upper]:
            depth[lower] = max(depth[lower], depth[upper] + 1)
            waits_for[lower] -= 1
            if not waits_for[lower]:
                ready.append(lower)
    return depth


def _discovered(leaving: Mapping[str, Sequence[Edge]]) -> list[str]:
    """Returns the nodes in the order in which a walk along the edges meets them."""
    order: dict[str, None] = {}
    for root in leaving:
        queue = deque([root])
        while queue:
            here = queue.popleft()
            if here in order:
                continue
            order[here] = None
            queue.extend(edge.target for edge in leaving[here])
    return list(order)


def order(layers: Layers) -> None:
    """Orders each row so that lines cross little: sweeps down and up, the best one stays."""
    above = [_beside(gap, of_upper=False) for gap in layers.gaps]
    below = [_beside(gap, of_upper=True) for gap in layers.gaps]
    best = [list(row) for row in layers.rows]
    fewest = _all_crossings(layers)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        if sweep % 2 == 0:
            for number in range(1, len(layers.rows)):
                _sort_row(layers.rows[number], layers.rows[number - 1], above[number - 1])
        else:
            for number in range(len(layers.rows) - 2, -1, -1):
                _sort_row(layers.rows[number], layers.rows[number + 1], below[number])
        crossings = _all_crossings(layers)
        if crossings < fewest:
            fewest, best = crossings, [list(row) for row in layers.rows]
    layers.rows[:] = best


def _beside(gap: Sequence[Line], *, of_upper: bool) -> dict[int, list[int]]:
    """Returns, by vertex of one side of a gap, those that it is connected with on the other."""
    beside: dict[int, list[int]] = {}
    for line in gap:
        vertex, other = (line.upper, line.lower) if of_upper else (line.lower, line.upper)
        beside.setdefault(id(vertex), []).append(id(other))
    return beside


def _sort_row(row: list[Vertex], beside: Sequence[Vertex], ends: Mapping[int, list[int]]) -> None:
    """Sorts a row by where, on the average, the ends of its lines are in the row beside it."""
    places = {id(vertex): place for place, vertex in enumerate(beside)}
    means: dict[int, float] = {}
    for place, vertex in enumerate(row):
        found = [places[end] for end in ends.get(id(vertex), ())]
        means[id(vertex)] = sum(found) / len(found) if found else place
    row.sort(key=lambda vertex: means[id(vertex)])


def _all_crossings(layers: Layers) -> int:
    places = {id(vertex): place for row in layers.rows for place, vertex in enumerate(row)}
    return sum(
        _crossings((places[id(line.upper)], places[id(line.lower)]) for line in gap)
        for gap in layers.gaps
    )


def _crossings(lines: Iterable[tuple[int, int]]) -> int:
    """Counts the pairs of lines, given by their places above and below, that cross."""
    total = 0
    seen: list[int] = []  # the places below of the lines further left above, in order
    for _, below in sorted(lines):
        total += len(seen) - bisect_right(seen, below)
        insort(seen, below)
    return total
