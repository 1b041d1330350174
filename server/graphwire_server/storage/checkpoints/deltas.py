"""The difference between two byte strings: what one has from the other, and the rest.

A list that grew by one element, encoded, begins as it began before; one that lost its first
elements ends as it ended; one with a changed element does both; and one that only ever holds
the last few goes on as it went on before, from a later start.
"""

from __future__ import annotations

from typing import NamedTuple

#: How many bytes are looked for where a later start is, and how often.
_PROBE, _TRIES = 48, 4


class Kept(NamedTuple):
    """What a byte string has from another one.

    Attributes:
        skip: How many bytes of the other one come before that.
        first: How many bytes from there on are what it begins with.
        last: How many of the other one's last bytes are what it ends with.
    """

    skip: int
    first: int
    last: int


def kept(old: bytes, new: bytes) -> Kept:
    """Returns what `new` has from `old`. The two parts overlap neither in `old` nor in `new`."""
    best = _from(old, new, 0)
    if 2 * (best.first + best.last) >= len(new):
        return best
    # What comes after the part that all elements may begin with tells one from another.
    start = place = best.first
    probe = new[start : start + _PROBE]
    for _ in range(_TRIES):
        place = old.find(probe, place + 1)
        if place < 0:
            break
        best = max(best, _from(old, new, place - start), key=_length)
    return best


def both(earlier: Kept, later: Kept) -> Kept:
    """Returns what is left of the first of three byte strings in the third.

    Args:
        earlier: What the second has from the first.
        later: What the third has from the second.
    """
    first = min(earlier.first - later.skip, later.first)
    last = min(earlier.last, later.last)
    return Kept(earlier.skip + later.skip, first, last) if first > 0 else Kept(0, 0, last)


def apply(buffer: bytearray, what: Kept, middle: bytes) -> None:
    """Turns `old` into `new`, in place.

    Raises:
        ValueError: It is not the `old` that the difference was made against.
    """
    start, end = what.skip + what.first, len(buffer) - what.last
    if not 0 <= what.skip <= start <= end <= len(buffer):
        raise ValueError(f"keeps more than it has: {what} of {len(buffer)} bytes")
    buffer[start:end] = middle
    del buffer[: what.skip]


def _length(what: Kept) -> int:
    return what.first + what.last


def _from(old: bytes, new: bytes, skip: int) -> Kept:
    rest = old[skip:] if skip else old
    first = _common_start(rest, new)
    return Kept(skip, first, _common_end(rest, new, min(len(rest), len(new)) - first))


def _common_start(old: bytes, new: bytes) -> int:
    if new.startswith(old):
        return len(old)
    # old[:low] is common, old[:high] is not.
    low, high = 0, min(len(old), len(new)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _common_end(old: bytes, new: bytes, limit: int) -> int:
    low, high = 0, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        if old[len(old) - middle : len(old) - low] == new[len(new) - middle : len(new) - low]:
            low = middle
        else:
            high = middle
    return low
