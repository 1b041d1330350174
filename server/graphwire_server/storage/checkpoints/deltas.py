"""The difference between two byte strings: what they begin and end with alike, and the rest.

A list that grew by one element, encoded, begins as it began before; one that lost its first
elements ends as it ended; one with a changed element does both.
"""

from __future__ import annotations


def kept(old: bytes, new: bytes) -> tuple[int, int]:
    """Returns how many of its first and of its last bytes `new` has from `old`.

    The two parts overlap neither in `old` nor in `new`.
    """
    first = _common_start(old, new)
    return first, _common_end(old, new, min(len(old), len(new)) - first)


def apply(buffer: bytearray, first: int, last: int, middle: bytes) -> None:
    """Turns `old` into `new`, in place.

    Raises:
        ValueError: It is not the `old` that the difference was made against.
    """
    end = len(buffer) - last
    if not 0 <= first <= end <= len(buffer):
        raise ValueError(f"keeps {first} and {last} bytes of {len(buffer)}")
    buffer[first:end] = middle


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
