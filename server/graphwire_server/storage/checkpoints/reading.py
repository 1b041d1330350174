"""Reads checkpoints with all that belongs to them, in one piece of work on the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwire_server.storage.checkpoints import body, values
from graphwire_server.storage.checkpoints import metadata as metadata_json
from graphwire_server.storage.checkpoints.cache import Key
from graphwire_server.storage.checkpoints.interface import CheckpointReader
from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointFilter,
    CheckpointRecord,
    WriteRecord,
)
from graphwire_server.storage.checkpoints.values import Known

#: What is at hand of a checkpoint's values, by channel.
AtHand = Callable[[Key], Mapping[str, Known]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint as it is stored.

    Attributes:
        record: Its row.
        checkpoint: LangGraph's `Checkpoint`, with the small ones of its values.
        values: The other ones, encoded, by channel.
        writes: What was written at it, in the order of writing.
    """

    record: CheckpointRecord
    checkpoint: dict[str, Any]
    values: Mapping[str, Known]
    writes: Sequence[WriteRecord]

    @property
    def key(self) -> Key:
        """Returns what the cache knows it by."""
        return key(self.record)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        found: Those that match.
        after: Where the next part begins; None if this was the last.
    """

    found: list[Loaded]
    after: int | None


def key(record: CheckpointRecord) -> Key:
    """Returns what the cache knows a checkpoint by."""
    return record.thread_id, record.namespace, record.checkpoint_id


def load(
    reader: CheckpointReader, thread_id: str, namespace: str, checkpoint_id: str, at_hand: AtHand
) -> Loaded | None:
    """Reads one checkpoint, or the head if `checkpoint_id` is empty; None if it is not there."""
    record = reader.checkpoint(thread_id, namespace, checkpoint_id)
    return None if record is None else _complete(reader, [record], at_hand)[0]


def load_page(
    reader: CheckpointReader,
    which: CheckpointFilter,
    metadata: Mapping[str, Any],
    *,
    size: int,
    limit: int | None,
    after: int | None,
) -> Page:
    """Looks at the next `size` checkpoints, and reads at most `limit` of those that match.

    Args:
        reader: What is read from.
        which: Which ones.
        metadata: Keys that their metadata must have, with these values.
        size: How many to look at.
        limit: How many to read; None for all.
        after: Where the part before ended; None for the first.
    """
    records = reader.checkpoints(which, limit=size, after=after)
    chosen = [record for record in records if _matches(record, which, metadata)]
    ended = len(records) < size or not records[-1].number
    found = _complete(reader, chosen if limit is None else chosen[:limit], lambda _: {})
    return Page(found, None if ended else records[-1].number)


def _matches(record: CheckpointRecord, which: CheckpointFilter, wanted: Mapping[str, Any]) -> bool:
    if not wanted and not which.before:
        return True
    metadata = metadata_json.loads(record.metadata)
    if which.before in metadata.get("parents", {}).values():
        # It was made under the checkpoint that it must be before. With EXIT durability
        # a subgraph's checkpoints are written first all the same.
        return False
    return all(metadata.get(name) == value for name, value in wanted.items())


def _complete(
    reader: CheckpointReader, records: Iterable[CheckpointRecord], at_hand: AtHand
) -> list[Loaded]:
    """Reads the values and writes of some checkpoints."""
    unpacked = [(record, body.unpack(record.checkpoint_id, record.body)) for record in records]
    places: defaultdict[tuple[str, str], list[tuple[CheckpointRecord, dict[str, Any]]]]
    places = defaultdict(list)
    for record, checkpoint in unpacked:
        places[record.thread_id, record.namespace].append((record, checkpoint))
    complete: dict[int, Loaded] = {}
    for place, of_place in places.items():
        for loaded in _complete_place(reader, place, of_place, at_hand):
            complete[id(loaded.record)] = loaded
    return [complete[id(record)] for record, _ in unpacked]


def _complete_place(
    reader: CheckpointReader,
    place: tuple[str, str],
    checkpoints: Sequence[tuple[CheckpointRecord, dict[str, Any]]],
    at_hand: AtHand,
) -> list[Loaded]:
    """Does so for checkpoints of one thread and namespace."""
    known: list[dict[str, Known]] = []
    missing: list[dict[str, str]] = []
    for record, checkpoint in checkpoints:
        versions = large_versions(checkpoint)
        cached = at_hand(key(record))
        have = {
            channel: cached[channel]
            for channel, version in versions.items()
            if channel in cached and cached[channel].version == version
        }
        known.append(have)
        missing.append({c: version for c, version in versions.items() if c not in have})
    wanted = [pair for versions in missing for pair in versions.items()]
    stored = by_channel(reader.channel_values(*place, wanted) if wanted else ())
    writes: defaultdict[str, list[WriteRecord]] = defaultdict(list)
    ids = [record.checkpoint_id for record, _ in checkpoints]
    for write in reader.checkpoint_writes(*place, ids):
        writes[write.checkpoint_id].append(write)
    for have, versions in zip(known, missing, strict=True):
        for channel, version in versions.items():
            value = values.read(stored[channel], version)
            if value is not None:
                have[channel] = value
    return [
        Loaded(record, checkpoint, have, writes[record.checkpoint_id])
        for (record, checkpoint), have in zip(checkpoints, known, strict=True)
    ]


def large_versions(checkpoint: Mapping[str, Any]) -> dict[str, str]:
    """Returns the versions of the channels whose values, if they have any, have rows."""
    small = checkpoint["channel_values"]
    versions = checkpoint["channel_versions"]
    return {channel: str(v) for channel, v in versions.items() if channel not in small}


def by_channel(
    records: Iterable[ChannelValueRecord],
) -> defaultdict[str, dict[str, ChannelValueRecord]]:
    """Returns records by channel and version."""
    found: defaultdict[str, dict[str, ChannelValueRecord]] = defaultdict(dict)
    for record in records:
        found[record.channel][record.version] = record
    return found
