"""The first fields of a message that is not decoded, or that no message type describes.

Python looks at them one by one, so it looks at so many, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator


def first_fields(data: bytes | memoryview, most: int) -> Iterator[tuple[int, memoryview | None]]:
    """Yields the number of each of the first fields, as far as they can be read.

    With it comes what is in the field if that is a message, a text or bytes; else None.
    """
    data = memoryview(data)
    place, end = 0, len(data)
    for _ in range(most):
        if place >= end:
            return
        tag, place = _varint(data, place)
        number, content = tag >> 3, None
        match tag & 7:
            case 0:
                _, place = _varint(data, place)
            case 1:
                place += 8
            case 2:
                length, place = _varint(data, place)
                content = data[place : place + length]
                place += length
            case 3:
                yield number, None
                return  # a group, whose end would have to be looked for
            case 5:
                place += 4
            case _:
                return  # damaged, which the decoder will say
        yield number, content


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Returns the number at a place, and the place after it."""
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
    return 0, len(data)
