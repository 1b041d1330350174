"""Second step of a drawing: which lines leave or reach a box at the same point."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from graphwire_server.cli.drawing.layers import Line, Vertex

#: How many columns lie from one port to the next.
SPACING = 3


@dataclass(eq=False, slots=True)
class Port:
    """A point on the border of a box, or a bend, where lines begin or end.

    Attributes:
        vertex: The box or bend.
        lines: The lines there.
        arrow: Whether they lead to the box.
        x: Its column, once it is placed.
    """

    vertex: Vertex
    lines: list[Line]
    arrow: bool
    x: int = 0

    @property
    def label(self) -> str:
        """Returns the label to be written at its arrow; empty if there is none."""
        return self.lines[0].label if self.arrow and self.vertex.name else ""

    @property
    def room(self) -> int:
        """Returns how many columns it needs on its side of a box."""
        return max(SPACING, len(self.label) + 2)


@dataclass(eq=False, slots=True)
class Net:
    """Lines that hang together: one, or several that share a port at one end.

    Attributes:
        upper: The ports at its upper end.
        lower: The ports at its lower end.
        dashed: Whether its edges are conditional.
    """

    upper: list[Port] = field(default_factory=list)
    lower: list[Port] = field(default_factory=list)
    dashed: bool = False


def nets_of(gap: Sequence[Line]) -> list[Net]:
    """Joins the lines between two rows where they can share a port.

    Lines share one at one of their ends only, unless each of the upper boxes is connected
    with each of the lower ones: otherwise it could not be seen which leads to which.
    """
    fans: dict[object, list[list[Line]]] = defaultdict(list)
    for lines in _joinable(gap, upper=True):
        below = frozenset(id(line.lower) for line in lines)
        whole = len(lines) > 1 and not any(line.label for line in lines)
        fans[(below, lines[0].up, lines[0].dashed) if whole else id(lines)].append(lines)
    nets = [_net([line for lines in fan for line in lines]) for fan in fans.values() if _many(fan)]
    single = [fan[0][0] for fan in fans.values() if not _many(fan)]
    nets.extend(_net(lines) for lines in _joinable(single, upper=False))
    return nets


def _many(fan: list[list[Line]]) -> bool:
    return len(fan) > 1 or len(fan[0]) > 1


def _joinable(lines: Iterable[Line], *, upper: bool) -> list[list[Line]]:
    """Groups lines by the port that they can have in common at one end."""
    groups: dict[object, list[Line]] = defaultdict(list)
    for line in lines:
        vertex = line.upper if upper else line.lower
        has_arrow = line.up is upper
        shares = bool(vertex.name) and not (has_arrow and line.label)
        groups[(id(vertex), line.up, line.dashed) if shares else id(line)].append(line)
    return list(groups.values())


def _net(lines: list[Line]) -> Net:
    """Makes one net of lines of one direction and style, with a port for each end."""
    up = lines[0].up
    return Net(
        upper=_ports(lines, [line.upper for line in lines], arrow=up),
        lower=_ports(lines, [line.lower for line in lines], arrow=not up),
        dashed=lines[0].dashed,
    )


def _ports(lines: list[Line], ends: list[Vertex], *, arrow: bool) -> list[Port]:
    by_vertex: dict[int, Port] = {}
    for line, vertex in zip(lines, ends, strict=True):
        port = by_vertex.setdefault(id(vertex), Port(vertex, [], arrow))
        port.lines.append(line)
    return list(by_vertex.values())
