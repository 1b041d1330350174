"""Counters, gauges and histograms that cost next to nothing to count.

They are written on the event loop, and may be read on any thread: each value is one item of a
dict, which Python reads and writes whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: The values of a metric's labels, in the order of their names.
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram has seen under one key.

    Attributes:
        counts: How many values fell into each bucket (not added up); the last one has no bound.
        total: Their sum.
    """

    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric as it is at one moment.

    Attributes:
        name: Its name, without a suffix such as `_total`.
        kind: What it is.
        help: What it means, in a line.
        labels: The names of its labels.
        values: Its values; of a histogram `Distribution`s.
        bounds: Of a histogram: the upper bounds of its buckets.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Sequence[str]
    values: Sequence[tuple[Key, float | Distribution]]
    bounds: Sequence[float] = ()


class Counter:
    """Counts what has happened since the server began."""

    __slots__ = ("_values", "help", "labels", "name")

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        """Names it, without `_total`."""
        self.name, self.help, self.labels = name, help, tuple(labels)
        self._values: dict[Key, float] = {} if labels else {(): 0}

    def begin(self, *key: str) -> None:
        """Shows 0 under the values of its labels, so that the first of them is seen to be more."""
        self.add(*key, by=0)

    def add(self, *key: str, by: float = 1) -> None:
        """Counts something, under the values of its labels."""
        values = self._values
        values[key] = values.get(key, 0) + by

    def family(self) -> Family:
        """Returns it as it is now."""
        return Family(self.name, "counter", self.help, self.labels, list(self._values.items()))


class Gauge:
    """Something that rises and falls: counted up and down, or asked for when somebody reads it."""

    __slots__ = ("_read", "_values", "help", "labels", "name")

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        """Names it."""
        self.name, self.help, self.labels = name, help, tuple(labels)
        self._values: dict[Key, float] = {}
        self._read: Callable[[], Mapping[Key, float]] | None = None

    def add(self, *key: str, by: float = 1) -> None:
        """Counts up, or with a negative `by` down."""
        self._values[key] = self._values.get(key, 0) + by

    def set(self, value: float, *key: str) -> None:
        """Sets a value."""
        self._values[key] = value

    def clear(self) -> None:
        """Forgets all values: nobody knows them."""
        self._values.clear()

    def read_from(self, read: Callable[[], float]) -> None:
        """Has its one value asked for from now on; on any thread."""
        self._read = lambda: {(): read()}

    def family(self) -> Family:
        """Returns it as it is now."""
        values = self._values if self._read is None else self._read()
        return Family(self.name, "gauge", self.help, self.labels, list(values.items()))


class Histogram:
    """How values are distributed."""

    __slots__ = ("_bounds", "_values", "help", "labels", "name")

    def __init__(
        self, name: str, help: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        """Names it; `bounds` are the upper bounds of its buckets, in order."""
        self.name, self.help, self.labels = name, help, tuple(labels)
        self._bounds = tuple(bounds)
        self._values: dict[Key, list[float]] = {}
        if not labels:
            self._row(())

    def observe(self, value: float, *key: str) -> None:
        """Counts a value, under the values of its labels."""
        row = self._values.get(key) or self._row(key)
        row[bisect_left(self._bounds, value)] += 1
        row[-1] += value

    def family(self) -> Family:
        """Returns it as it is now."""
        values: list[tuple[Key, float | Distribution]] = []
        for key, row in list(self._values.items()):
            *counts, total = tuple(row)
            values.append((key, Distribution(tuple(map(int, counts)), total)))
        return Family(self.name, "histogram", self.help, self.labels, values, self._bounds)

    def _row(self, key: Key) -> list[float]:
        # A count for each bucket, one for what is above them all, and the sum.
        row = self._values[key] = [0] * (len(self._bounds) + 2)
        return row


Metric = Counter | Gauge | Histogram


def families(metrics: Iterable[Metric]) -> list[Family]:
    """Returns metrics as they are now."""
    return [metric.family() for metric in metrics]
