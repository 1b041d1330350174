"""What a row of the benchmark comes to: figures, each with what it must reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

from rich.console import RenderableType

if TYPE_CHECKING:
    from benchmarks.bench import Bench


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        what: What it is the figure of.
        value: What was measured.
        limit: What it must reach.
        unit: Of both; "×" for a ratio.
        at_least: Whether the limit is the least that is good, rather than the most.
    """

    what: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether it is what it must be."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of a row, and what else is worth a look."""

    figures: Sequence[Figure]
    details: Sequence[RenderableType] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the benchmark.

    Attributes:
        name: What `--only` calls it.
        title: What it measures.
        how: The stream modes, page sizes, and how the in-process side is driven.
        measure: Measures it.
    """

    name: str
    title: str
    how: str
    measure: Callable[[Bench], Result]


def ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """Returns the median of the ratios of rounds: each side is compared to what ran next to it."""
    return median(a / b for a, b in zip(ours, others, strict=True))


def percentile(values: Sequence[float], percent: int) -> float:
    """Returns a percentile, interpolated: 50 is the median."""
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
