"""What a DeltaChannel is rebuilt from: the writes at a checkpoint's ancestors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import DeltaChannelHistory
from langgraph.checkpoint.serde.base import SerializerProtocol

from graphwire_server.storage.checkpoints import body, values, writes
from graphwire_server.storage.checkpoints.interface import CheckpointReader
from graphwire_server.storage.checkpoints.reading import by_channel, large_versions
from graphwire_server.storage.checkpoints.records import CheckpointRecord, WriteRecord
from graphwire_server.storage.checkpoints.values import Known

#: How many ancestors are read at once.
_AT_ONCE = 64


@dataclass(slots=True)
class Path:
    """What was found for one channel.

    Attributes:
        ancestors: The checkpoints whose writes count, the nearest first.
        seed: The value that they start from, encoded; None if it is small, or there is none.
        small_seed: The same if it is small; [] if there is none.
    """

    ancestors: list[str] = field(default_factory=list)
    seed: Known | None = None
    small_seed: list[Any] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Tells whether the start was found."""
        return self.seed is not None or bool(self.small_seed)


@dataclass(frozen=True, slots=True)
class History:
    """What was found: a path for each channel, and what was written at their ancestors."""

    paths: dict[str, Path]
    writes: dict[str, list[WriteRecord]]

    def decode(self, serde: SerializerProtocol) -> dict[str, DeltaChannelHistory]:
        """Returns it as LangGraph wants it, with the writes oldest first."""
        decoded = {
            checkpoint_id: writes.pending(serde, records, self.paths)
            for checkpoint_id, records in self.writes.items()
        }
        return {
            channel: _entry(serde, channel, path, decoded) for channel, path in self.paths.items()
        }


def read_history(
    reader: CheckpointReader,
    thread_id: str,
    namespace: str,
    checkpoint_id: str,
    channels: Sequence[str],
) -> History:
    """Walks from a checkpoint, or the head, to where each channel has a value."""
    paths = {channel: Path() for channel in channels}
    target = reader.checkpoint(thread_id, namespace, checkpoint_id)
    cursor = target.checkpoint_id if target else ""
    while cursor and not all(path.ended for path in paths.values()):
        ancestors = reader.checkpoint_ancestors(thread_id, namespace, cursor, limit=_AT_ONCE)
        _extend(reader, ancestors, paths)
        cursor = ancestors[-1].checkpoint_id if len(ancestors) == _AT_ONCE else ""
    found: defaultdict[str, list[WriteRecord]] = defaultdict(list)
    longest = max((path.ancestors for path in paths.values()), key=len)
    for write in reader.checkpoint_writes(thread_id, namespace, longest):
        found[write.checkpoint_id].append(write)
    return History(paths, found)


def _extend(
    reader: CheckpointReader, ancestors: Sequence[CheckpointRecord], paths: dict[str, Path]
) -> None:
    """Goes along some ancestors, for the channels whose start was not found yet."""
    going = {channel: path for channel, path in paths.items() if not path.ended}
    checkpoints = [body.unpack(record.checkpoint_id, record.body) for record in ancestors]
    versions = [large_versions(checkpoint) for checkpoint in checkpoints]
    wanted = [(c, of[c]) for of in versions for c in going if c in of]
    if not ancestors:
        return
    first = ancestors[0]
    stored = by_channel(reader.channel_values(first.thread_id, first.namespace, wanted))
    for checkpoint, of in zip(checkpoints, versions, strict=True):
        for channel, path in going.items():
            if path.ended:
                continue
            path.ancestors.append(checkpoint["id"])
            small = checkpoint["channel_values"]
            if channel in small:
                path.small_seed.append(small[channel])
            elif channel in of:
                path.seed = values.read(stored[channel], of[channel])


def _entry(
    serde: SerializerProtocol, channel: str, path: Path, decoded: dict[str, list[Any]]
) -> DeltaChannelHistory:
    entry: DeltaChannelHistory = {
        "writes": [
            write
            for checkpoint_id in reversed(path.ancestors)
            for write in decoded.get(checkpoint_id, ())
            if write[1] == channel
        ]
    }
    if path.seed is not None:
        entry["seed"] = values.decode(serde, path.seed.value)
    elif path.small_seed:
        entry["seed"] = path.small_seed[0]
    return entry
