"""How the value of a channel is kept: `ChannelValueRecord.body`.

A value is encoded as a whole. If the checkpoint before holds nearly the same bytes, only the
difference is written, against the version that it holds; so a list that grows by one message
a step costs one message a step, and bytes are compared, since a node may change an object in
place.

Reading follows the differences back to a value that is whole. Two rules keep that short:

- a whole value is written where the way would be more than about twice the value itself;
- every `_STRIDE` differences one is written against the version `_STRIDE` back, which spans
  those between. So a thread of n steps is read in about n / `_STRIDE` + `_STRIDE` rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import ormsgpack

from graphwire_server.storage.checkpoints import deltas
from graphwire_server.storage.checkpoints.deltas import Kept
from graphwire_server.storage.checkpoints.records import ChannelValueRecord
from graphwire_server.storage.checkpoints.serde import MSGPACK
from graphwire_server.storage.interface import StorageError

#: What a row costs to be read, in bytes that could be read instead.
_ROW = 96

_STRIDE = 32

#: Smaller values are always written whole, and not remembered.
SMALL = 128


class Encoded(NamedTuple):
    """An encoded value.

    Attributes:
        tag: The serializer's word for how it is encoded.
        head: The bytes of its outermost length, which change when anything is added.
        body: The other bytes.
    """

    tag: str
    head: bytes
    body: bytes

    @classmethod
    def of(cls, tag: str, data: bytes) -> Encoded:
        """Splits what the serializer made of a value."""
        length = _HEADS[data[0]] if tag == MSGPACK and data else 0
        return cls(tag, data[:length], data[length:])

    @property
    def data(self) -> bytes:
        """Returns the bytes as the serializer made them."""
        return self.head + self.body

    @property
    def size(self) -> int:
        """Returns how many bytes it has."""
        return len(self.head) + len(self.body)


class _Anchor(NamedTuple):
    """Where the next long difference starts from, what is left of it, and what it costs."""

    version: str
    kept: Kept
    cost: int


@dataclass(frozen=True, slots=True)
class Known:
    """A version of a channel whose bytes are at hand.

    Attributes:
        version: The version.
        value: Its value.
        cost: How much is read to read it, in bytes.
        run: How many differences it is behind its anchor.
        anchor: The version that the next long difference is made against.
    """

    version: str
    value: Encoded
    cost: int
    run: int
    anchor: _Anchor

    @property
    def size(self) -> int:
        """Returns how much memory it takes, roughly, in bytes."""
        return self.value.size + 400


def write(version: str, value: Encoded, base: Known | None) -> tuple[str, bytes, Known]:
    """Returns what to write for a value: the base version (or ""), the body, and what is known.

    Args:
        version: The value's version.
        value: The value.
        base: The version that the parent checkpoint holds, if it may be relied on.
    """
    if base is not None and base.value.tag == value.tag and value.size >= SMALL:
        delta = _difference(version, value, base)
        if delta is not None:
            return delta
    frame = (value.data,) if value.tag == MSGPACK else (value.data, value.tag)
    return "", ormsgpack.packb(frame), _whole(version, value)


def read(records: Mapping[str, ChannelValueRecord], version: str) -> Known | None:
    """Rebuilds a version from its own record and those that it goes back to.

    Args:
        records: Records of one channel, by version.
        version: The version.

    Returns:
        It, or None if there is no record of that version.

    Raises:
        StorageError: A record that it goes back to is missing, or does not fit.
    """
    way: list[ChannelValueRecord] = []
    record = records.get(version)
    if record is None:
        return None
    while record.base_version:
        way.append(record)
        base = records.get(record.base_version)
        if base is None:
            raise _damaged(record, f"goes back to {record.base_version}, which is missing")
        record = base
    data, *tag = ormsgpack.unpackb(record.body)
    whole = Encoded.of(tag[0] if tag else MSGPACK, data)
    if not way:
        return _whole(version, whole)
    return _rebuild(whole, record.version, way)


def _whole(version: str, value: Encoded) -> Known:
    return _at_anchor(version, value, _ROW + value.size)


def _at_anchor(version: str, value: Encoded, cost: int) -> Known:
    return Known(version, value, cost, 0, _Anchor(version, _all(len(value.body)), cost))


def _all(length: int) -> Kept:
    """Returns what two equal values have in common."""
    return Kept(0, length, length)


def _difference(version: str, value: Encoded, base: Known) -> tuple[str, bytes, Known] | None:
    """Returns what to write as a difference; None if the value is better written whole."""
    kept = deltas.kept(base.value.body, value.body)
    spanned = base.anchor._replace(kept=deltas.both(base.anchor.kept, kept))
    stride = base.run + 1 >= _STRIDE
    base_version, base_cost = base.version, base.cost
    if stride:
        base_version, kept, base_cost = spanned
    middle = value.body[kept.first : len(value.body) - kept.last]
    cost = base_cost + _ROW + len(middle)
    if 2 * len(middle) > value.size or cost > 2 * (_ROW + value.size):
        return None
    run = 0 if stride else base.run + 1
    body = ormsgpack.packb((middle, *kept, value.head, run))
    if stride:
        return base_version, body, _at_anchor(version, value, cost)
    return base_version, body, Known(version, value, cost, run, spanned)


def _rebuild(whole: Encoded, version: str, way: list[ChannelValueRecord]) -> Known:
    """Applies differences to a whole value; `way` leads to it, the newest first."""
    buffer = bytearray(whole.body)
    head, run = whole.head, 0
    cost = _ROW + whole.size
    anchor = _Anchor(version, _all(len(buffer)), cost)
    for record in reversed(way):
        middle, skip, first, last, head, run = ormsgpack.unpackb(record.body)
        kept = Kept(skip, first, last)
        try:
            deltas.apply(buffer, kept, middle)
        except ValueError as error:
            raise _damaged(record, str(error)) from error
        cost += _ROW + len(middle)
        if run:
            anchor = anchor._replace(kept=deltas.both(anchor.kept, kept))
        else:
            anchor = _Anchor(record.version, _all(len(buffer)), cost)
    return Known(way[0].version, Encoded(whole.tag, head, bytes(buffer)), cost, run, anchor)


def _damaged(record: ChannelValueRecord, reason: str) -> StorageError:
    return StorageError(
        f"the database is damaged: in thread {record.thread_id!r}, version {record.version} "
        f"of channel {record.channel!r} {reason}"
    )


def _head_length(first: int) -> int:
    """Returns how long the head of a msgpack value is that begins with this byte."""
    if 0x80 <= first <= 0xBF:  # a short map, array or text
        return 1
    # Binary, extension, text, array and map, each with a length of 1, 2 or 4 bytes.
    lengths = {0xC4: 2, 0xC5: 3, 0xC6: 5, 0xC7: 3, 0xC8: 4, 0xC9: 6, 0xD9: 2, 0xDA: 3, 0xDB: 5}
    return (lengths | {0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5}).get(first, 0)


_HEADS = tuple(_head_length(first) for first in range(256))


def decode(serde: Any, value: Encoded) -> Any:
    """Returns the value itself."""
    return serde.loads_typed((value.tag, value.data))
