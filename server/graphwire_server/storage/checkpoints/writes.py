"""How what a task wrote is kept: `WriteRecord.body`.

A record is what was written in one go. LangGraph writes for a task more than once (a question,
then an answer, then the results), and some of that again; each write has a place in its list,
and `pending` says what holds.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import ormsgpack
from langgraph._internal._constants import ERROR, ERROR_SOURCE_NODE, NULL_TASK_ID
from langgraph.checkpoint.base import WRITES_IDX_MAP, PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol

from graphwire_server.storage.checkpoints.records import WriteRecord
from graphwire_server.storage.checkpoints.serde import MSGPACK, dumps


def pack(serde: SerializerProtocol, writes: Iterable[tuple[str, Any]]) -> bytes:
    """Returns the body of a list of (channel, value).

    Raises:
        UnserializableError: A value can't be encoded.
    """
    return ormsgpack.packb([_frame(serde, channel, value) for channel, value in writes])


def that_hold(pairs: Sequence[tuple[str, Any]]) -> Sequence[tuple[str, Any]]:
    """Returns which of a task's writes are to be kept.

    A task that failed has no result, though LangGraph hands over what it had written before,
    and would take it for one. Where an error handler goes on, it stays.
    """
    channels = {channel for channel, _ in pairs}
    if ERROR not in channels or ERROR_SOURCE_NODE in channels:
        return pairs
    return [pair for pair in pairs if pair[0] in WRITES_IDX_MAP]


def pending(
    serde: SerializerProtocol,
    records: Iterable[WriteRecord],
    channels: Container[str] | None = None,
) -> list[PendingWrite]:
    """Returns what holds of the writes at one checkpoint, as (task_id, channel, value).

    They come in the order in which a step applies them. Of two regular writes in one place the
    first holds, of two special ones (a question, an answer, an error) the last. What commands
    wrote (the null task's) is written again as a whole with each command: of that the last holds.

    Args:
        serde: The serializer.
        records: Everything that was written, in the order of writing.
        channels: Only those to these channels; None for all.
    """
    found: dict[tuple[str, int], tuple[str, Sequence[Any]]] = {}
    for record in records:
        if record.task_id == NULL_TASK_ID:
            found = {
                key: value for key, value in found.items() if key[0] != NULL_TASK_ID or key[1] < 0
            }
        for index, frame in enumerate(ormsgpack.unpackb(record.body)):
            place = WRITES_IDX_MAP.get(frame[0], index)
            key = (record.task_id, place)
            if place < 0 or key not in found:
                found[key] = (record.task_path, frame)
    ordered = sorted(found.items(), key=lambda item: writes_sort_key(item[1][0], *item[0]))
    return [
        (task_id, frame[0], _value(serde, *frame[1:]))
        for (task_id, _), (_, frame) in ordered
        if channels is None or frame[0] in channels
    ]


def _frame(serde: SerializerProtocol, channel: str, value: Any) -> Sequence[Any]:
    if value is None:
        return (channel,)
    tag, data = dumps(serde, channel, value)
    return (channel, data) if tag == MSGPACK else (channel, data, tag)


def _value(serde: SerializerProtocol, *encoded: Any) -> Any:
    if not encoded:
        return None
    data, *tag = encoded
    return serde.loads_typed((tag[0] if tag else MSGPACK, data))
