"""Fourth step of a drawing: the line of text in which each net runs sideways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from graphwire_server.cli.drawing.ports import Net

#: Up to so many nets, every order is tried.
_TRY_ALL = 6
_OVERLAP = 1000


@dataclass(frozen=True, slots=True)
class Track:
    """How a net runs between two rows.

    Attributes:
        net: The net.
        tops: The columns where it comes from above.
        bottoms: The columns where it goes on below.
        left: Its first column.
        right: Its last column.
        row: The line of the gap, from 0, in which it runs sideways; None if it goes
            straight down.
    """

    net: Net
    tops: tuple[int, ...]
    bottoms: tuple[int, ...]
    left: int
    right: int
    row: int | None = None


def tracks_of(nets: Sequence[Net]) -> list[Track]:
    """Gives each net of a gap its line, so that they do not touch and cross little."""
    tracks = [_track(net) for net in nets]
    straight = [track for track in tracks if track.left == track.right]
    turning = [track for track in tracks if track.left < track.right]
    # By column, and one more on the right, the first row that is free there.
    free = [0] * (max((track.right for track in turning), default=0) + 2)
    rows: list[Track] = []
    for track in (turning[number] for number in _ordered(_costs(turning))):
        row = max(free[max(track.left - 1, 0) : track.right + 2])
        free[track.left : track.right + 1] = [row + 1] * (track.right + 1 - track.left)
        rows.append(replace(track, row=row))
    return [*straight, *rows]


def _track(net: Net) -> Track:
    tops, bottoms = tuple(p.x for p in net.upper), tuple(p.x for p in net.lower)
    return Track(net, tops, bottoms, min(*tops, *bottoms), max(*tops, *bottoms))


def _costs(tracks: Sequence[Track]) -> list[list[int]]:
    """Returns what it costs if the one track, by number, runs above the other.

    It counts their crossings, and lines that would lie on one another.
    """
    # A set of columns is a number here, with a bit for each: intersections are quick.
    tops = [_bits(track.tops) for track in tracks]
    bottoms = [_bits(track.bottoms) for track in tracks]
    inside = [(1 << track.right) - (2 << track.left) for track in tracks]
    columns = list(zip(tops, inside, strict=True))
    return [
        [
            (within & top).bit_count()
            + (other & bottom).bit_count()
            + _OVERLAP * (bottom & top).bit_count()
            for top, other in columns
        ]
        for bottom, within in zip(bottoms, inside, strict=True)
    ]


def _bits(columns: Sequence[int]) -> int:
    return sum({1 << column for column in columns})


def _ordered(costs: Sequence[Sequence[int]]) -> list[int]:
    """Returns in which order tracks cost little, from the top to the bottom."""
    if len(costs) <= _TRY_ALL:
        return _cheapest(costs)
    ordered: list[int] = []
    for number, as_upper in enumerate(costs):
        # What it costs at each place, less what it costs at the top.
        steps = (costs[other][number] - as_upper[other] for other in ordered)
        places = list(accumulate(steps, initial=0))
        ordered.insert(places.index(min(places)), number)
    return ordered


def _cheapest(costs: Sequence[Sequence[int]]) -> list[int]:
    """Returns the order that costs least; of several, the first by the tracks' numbers."""
    everything = (1 << len(costs)) - 1
    # By the set of the tracks that are still to come, as bits: the cost, and which comes first.
    best = {0: (0, 0)}
    for rest in range(1, everything + 1):
        members = [number for number in range(len(costs)) if rest >> number & 1]
        best[rest] = min(
            (
                best[rest ^ 1 << first][0] + sum(costs[first][o] for o in members if o != first),
                first,
            )
            for first in members
        )
    order: list[int] = []
    rest = everything
    while rest:
        order.append(best[rest][1])
        rest ^= 1 << order[-1]
    return order
