"""Fourth step of a drawing: the line of text in which each net runs sideways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

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
        row: The line of the gap, from 0, in which it runs sideways; None if it goes
            straight down.
    """

    net: Net
    tops: tuple[int, ...]
    bottoms: tuple[int, ...]
    row: int | None = None

    @property
    def left(self) -> int:
        """Returns its first column."""
        return min(*self.tops, *self.bottoms)

    @property
    def right(self) -> int:
        """Returns its last column."""
        return max(*self.tops, *self.bottoms)


def tracks_of(nets: Sequence[Net]) -> list[Track]:
    """Gives each net of a gap its line, so that they do not touch and cross little."""
    tracks = [
        Track(net, tuple(p.x for p in net.upper), tuple(p.x for p in net.lower)) for net in nets
    ]
    straight = [track for track in tracks if track.left == track.right]
    rows: list[Track] = []
    for track in _ordered([track for track in tracks if track.left < track.right]):
        below = [t.row + 1 for t in rows if t.row is not None and _meet(t, track)]
        rows.append(Track(track.net, track.tops, track.bottoms, max(below, default=0)))
    return [*straight, *rows]


def _meet(a: Track, b: Track) -> bool:
    return a.left <= b.right + 1 and b.left <= a.right + 1


def _ordered(tracks: list[Track]) -> list[Track]:
    if len(tracks) <= _TRY_ALL:
        return list(min(permutations(tracks), key=_cost))
    ordered: list[Track] = []
    for track in tracks:
        places = range(len(ordered) + 1)
        best = min(places, key=lambda at: _cost([*ordered[:at], track, *ordered[at:]]))
        ordered.insert(best, track)
    return ordered


def _cost(tracks: Iterable[Track]) -> int:
    """Counts crossings, and lines that would lie on one another, from top to bottom."""
    cost = 0
    order = list(tracks)
    for number, above in enumerate(order):
        for below in order[number + 1 :]:
            cost += sum(above.left < x < above.right for x in below.tops)
            cost += sum(below.left < x < below.right for x in above.bottoms)
            cost += _OVERLAP * len(set(above.bottoms) & set(below.tops))
    return cost
