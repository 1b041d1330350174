"""What is found for a page of a list, read in portions: little more than the page takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

#: How many are read at first, when nothing is known of their size.
FIRST_PORTION = 4
#: How many times as many the next time, at the most.
_GROWTH = 8


@dataclass(frozen=True, slots=True)
class Found(Generic[Item]):
    """What was found; `more` says that others follow."""

    items: Sequence[Item]
    more: bool = False


def next_portion(count: int, size: int, most_bytes: int) -> int:
    """Returns how many to read after `count` that had `size` bytes, to stay below `most_bytes`."""
    return max(min(count * most_bytes // max(size, 1), count * _GROWTH), 1)
