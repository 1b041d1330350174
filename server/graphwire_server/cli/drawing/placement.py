"""Third step of a drawing: the column of every box, bend and port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from graphwire_server.cli.drawing.layers import Layers, Vertex
from graphwire_server.cli.drawing.ports import Net, Port

_SWEEPS = 10
_BETWEEN_BOXES = 3
#: How many columns there are at least between a bend and what is beside it.
_BESIDE_BEND = 1
_NARROWEST = 11
#: How far a bend may be moved to make its line straight.
_LITTLE = 4
#: How much more a bend pulls than a box: lines that pass rows should be straight.
_PULL_OF_BEND = 8.0


def set_widths(layers: Layers, gaps: Sequence[Sequence[Net]]) -> None:
    """Sets `width` of all boxes: each has room for its name, and for its ports on either side."""
    above: dict[int, int] = {}
    below: dict[int, int] = {}
    for net in (net for nets in gaps for net in nets):
        for sides, ports in ((above, net.lower), (below, net.upper)):
            for port in ports:
                sides[id(port.vertex)] = sides.get(id(port.vertex), 0) + port.room
    for vertex in (vertex for row in layers.rows for vertex in row):
        if vertex.name:
            room = max(above.get(id(vertex), 0), below.get(id(vertex), 0))
            width = max(_NARROWEST, len(vertex.name) + 4, room + 4)
            # The name stands in the middle.
            vertex.width = width + (width - len(vertex.name)) % 2


def least_width(layers: Layers) -> int:
    """Returns a number of columns below which no drawing of these rows can stay."""
    return max(
        sum(vertex.width for vertex in row)
        + sum(_BETWEEN_BOXES if a.name and b.name else _BESIDE_BEND for a, b in pairwise(row))
        for row in layers.rows
    )


def width_of(layers: Layers) -> int:
    """Returns how many columns are taken by rows that are placed."""
    return max(vertex.right for row in layers.rows for vertex in row) + 1


def place(layers: Layers, gaps: Sequence[Sequence[Net]]) -> None:
    """Sets `x` of all vertices, which have their widths, and of all ports."""
    for row in layers.rows:
        _pack(row)
    neighbours = _neighbours(layers)
    for sweep in range(_SWEEPS):
        for row in layers.rows if sweep % 2 == 0 else reversed(layers.rows):
            _pull(row, neighbours)
    _straighten(layers)
    leftmost = min(vertex.left for row in layers.rows for vertex in row)
    for vertex in (vertex for row in layers.rows for vertex in row):
        vertex.x -= leftmost
    for nets in gaps:
        _place_ports(nets)
    if _follow_ports(layers, gaps):
        for nets in gaps:
            _place_ports(nets)


def _pack(row: Sequence[Vertex]) -> None:
    x = 0
    for vertex in row:
        vertex.x = x + vertex.width // 2
        x += vertex.width + _BETWEEN_BOXES


def _neighbours(layers: Layers) -> dict[int, list[tuple[Vertex, float]]]:
    """Returns, by vertex, those it is connected with, and how much each pulls."""
    neighbours: dict[int, list[tuple[Vertex, float]]] = {
        id(vertex): [] for row in layers.rows for vertex in row
    }
    for line in (line for gap in layers.gaps for line in gap):
        pull = 1.0 if line.upper.name or line.lower.name else _PULL_OF_BEND
        neighbours[id(line.upper)].append((line.lower, pull))
        neighbours[id(line.lower)].append((line.upper, pull))
    return neighbours


def _pull(row: Sequence[Vertex], neighbours: Mapping[int, Sequence[tuple[Vertex, float]]]) -> None:
    """Moves the vertices of a row towards what they are connected with."""
    wanted: list[float] = []
    pull: list[float] = []
    for vertex in row:
        around = [(float(other.x), weight) for other, weight in neighbours[id(vertex)]]
        wanted.append(_median(around) if around else float(vertex.x))
        pull.append(max(sum(weight for _, weight in around), 1.0))
    for vertex, x in zip(row, _spread(wanted, pull, _distances(row)), strict=True):
        vertex.x = x


def _median(weighted: Sequence[tuple[float, float]]) -> float:
    """Returns the value with half of the weight on either side; of two, their mean."""
    ordered = sorted(weighted)
    half = sum(weight for _, weight in ordered) / 2
    passed = 0.0
    for number, (x, weight) in enumerate(ordered):
        passed += weight
        if passed == half:
            return (x + ordered[number + 1][0]) / 2
        if passed > half:
            return x
    return ordered[-1][0]


def _distances(row: Sequence[Vertex]) -> list[int]:
    return [a.right - a.x + b.x - b.left + _BETWEEN_BOXES + 1 for a, b in pairwise(row)]


def _spread(
    wanted: Sequence[float],
    pull: Sequence[float],
    distances: Sequence[int],
    limits: tuple[int, int] | None = None,
) -> list[int]:
    """Returns places as near as possible to those wanted, in order and far enough apart.

    Least squares under these constraints: isotonic regression, by pooling neighbours, and
    cut off at the limits, between which there has to be room for all.
    """
    offsets = [0]
    for distance in distances:
        offsets.append(offsets[-1] + distance)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for x, weight, offset in zip(wanted, pull, offsets, strict=True):
        mean, total, count = x - offset, weight, 1
        while pools and pools[-1][0] >= mean:
            before, before_weight, before_count = pools.pop()
            mean = (mean * total + before * before_weight) / (total + before_weight)
            total, count = total + before_weight, count + before_count
        pools.append((mean, total, count))
    means = [round(mean) for mean, _, count in pools for _ in range(count)]
    if limits is not None:
        low, high = limits[0], limits[1] - offsets[-1]
        means = [min(max(mean, low), high) for mean in means]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _straighten(layers: Layers) -> None:
    """Takes out small steps between the bends of one line, where there is room."""
    for gap, row in zip(layers.gaps, layers.rows[1:], strict=True):
        places = {id(vertex): place for place, vertex in enumerate(row)}
        for line in gap:
            vertex, above = line.lower, line.upper
            if vertex.name or above.name or vertex.x == above.x:
                continue
            if _has_room(row, places[id(vertex)], above.x):
                vertex.x = above.x


def _follow_ports(layers: Layers, gaps: Sequence[Sequence[Net]]) -> bool:
    """Moves bends a little, so that their line goes straight into a box; says if it moved any."""
    places = {id(vertex): (row, place) for row in layers.rows for place, vertex in enumerate(row)}
    chains = _chains(layers)
    moved = False
    for net in (net for nets in gaps for net in nets):
        if len(net.upper) > 1 or len(net.lower) > 1:
            continue
        upper, lower = net.upper[0], net.lower[0]
        bend, port = (upper, lower) if not upper.vertex.name else (lower, upper)
        step = port.x - bend.x
        if bend.vertex.name or not port.vertex.name or not 0 < abs(step) <= _LITTLE:
            continue
        chain = chains[id(bend.vertex)]
        moves = [(vertex, vertex.x + step) for vertex in chain]
        if all(x >= 0 and _has_room(*places[id(vertex)], x) for vertex, x in moves):
            moved = True
            for vertex, x in moves:
                vertex.x = x
    return moved


def _chains(layers: Layers) -> dict[int, list[Vertex]]:
    """Returns, for each bend, all bends of its edge."""
    chains: dict[int, list[Vertex]] = {}
    for gap in layers.gaps:
        for line in gap:
            if not line.lower.name:
                chain = [] if line.upper.name else chains[id(line.upper)]
                chain.append(line.lower)
                chains[id(line.lower)] = chain
    return chains


def _has_room(row: Sequence[Vertex], place: int, x: int) -> bool:
    """Tells whether the vertex at a place of a row can go to a column; the order stays."""
    return (place == 0 or row[place - 1].right + _BESIDE_BEND < x) and (
        place + 1 == len(row) or x < row[place + 1].left - _BESIDE_BEND
    )


def _place_ports(nets: Sequence[Net]) -> None:
    """Chooses columns on the borders so that as many lines as possible go straight down."""
    for net in nets:
        for port in (*net.upper, *net.lower):
            port.x = port.vertex.x
    for _ in range(3):
        _place_side([(port, net.lower) for net in nets for port in net.upper])
        _place_side([(port, net.upper) for net in nets for port in net.lower])
    _part(nets)


def _place_side(ports: Iterable[tuple[Port, Sequence[Port]]]) -> None:
    """Places the ports of one side of boxes, given the ports at the other ends of their lines."""
    by_vertex: dict[int, list[tuple[float, float, Port]]] = {}
    for port, others in ports:
        xs = [other.x for other in others]
        middle = (min(xs) + max(xs)) / 2
        low, high = _limits([port])
        opposite = sorted((abs(x - middle), x) for x in xs if low <= x <= high)
        wanted = opposite[0][1] if opposite else middle
        by_vertex.setdefault(id(port.vertex), []).append((middle, wanted, port))
    for entries in by_vertex.values():
        vertex = entries[0][2].vertex
        if not vertex.name:
            continue
        entries.sort(key=lambda entry: entry[0])
        chosen = [port for _, _, port in entries]
        first, final = _limits(chosen)
        wanted_xs = [min(max(wanted, first), final) for _, wanted, _ in entries]
        if len(entries) == 1 and wanted_xs[0] != entries[0][1]:
            wanted_xs = [float(vertex.x)]  # it has to turn anyway
        distances = [(a.room + b.room) // 2 for a, b in pairwise(chosen)]
        places = _spread(wanted_xs, [1.0] * len(chosen), distances, (first, final))
        for port, x in zip(chosen, places, strict=True):
            port.x = x


def _limits(ports: Sequence[Port]) -> tuple[int, int]:
    """Returns the columns between which the ports of one side of a box have to be."""
    vertex = ports[0].vertex
    return vertex.left + 1 + ports[0].room // 2, vertex.right - 1 - ports[-1].room // 2


def _part(nets: Sequence[Net]) -> None:
    """Moves ports aside that stand in the column of another net's port on the other side.

    The lines of the two would lie on one another there.
    """
    uppers = {port.x: net for net in nets for port in net.upper}
    taken = {port.x for net in nets for port in (*net.upper, *net.lower)}
    for net in nets:
        for port in net.lower:
            if uppers.get(port.x, net) is net or not port.vertex.name:
                continue
            low, high = _limits([port])
            for x in (port.x - 1, port.x + 1):
                if low <= x <= high and x not in taken:
                    taken.add(x)
                    port.x = x
                    break
