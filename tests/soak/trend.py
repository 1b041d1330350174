"""Whether a figure grows: a straight line through its last two thirds.

The line of Theil and Sen: its slope is the median of those between any two points, so that a
machine that is busy for a while bends it little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

#: One measurement: when, in seconds, and what.
Point = tuple[float, float]

#: With fewer points a line says nothing.
FEWEST = 12


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a figure may grow over the time of a trend.

    Attributes:
        share: As a share of its median.
        least: However small that is, by so much.
    """

    share: float
    least: float


@dataclass(frozen=True, slots=True)
class Trend:
    """The trend of a figure.

    Attributes:
        name: The figure.
        median: Of all its points in the last two thirds.
        growth: By how much the line rises over that time.
        allowed: By how much it may.
    """

    name: str
    median: float
    growth: float
    allowed: float

    @property
    def grows(self) -> bool:
        """Whether it rises by more than it may."""
        return self.growth > self.allowed

    def __str__(self) -> str:
        """Says so in one line."""
        return (
            f"{self.name}: median {self.median:,.6g}, trend {self.growth:+,.6g}"
            f" (allowed {self.allowed:,.6g})"
        )


def trend(name: str, points: Sequence[Point], bound: Bound) -> Trend | None:
    """Returns the trend of a figure; None if there are too few points."""
    if not points:
        return None
    first, last = points[0][0], points[-1][0]
    late = [point for point in points if point[0] >= first + (last - first) / 3]
    if len(late) < FEWEST:
        return None
    slope = median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(late, 2))
    typical = median(value for _, value in late)
    growth = slope * (late[-1][0] - late[0][0])
    return Trend(name, typical, growth, max(bound.least, bound.share * typical))
