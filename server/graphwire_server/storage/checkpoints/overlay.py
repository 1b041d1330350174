"""Checkpoints of the database together with some that are not in it yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from graphwire_server.storage.checkpoints.interface import CheckpointReader
from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointFilter,
    CheckpointRecord,
    WriteRecord,
)


class Overlay(CheckpointReader):
    """A `CheckpointReader` of the database and of records that will be written after it.

    Their `number` is 0, and all of them come on the first page of a list, whatever its limit.
    """

    def __init__(
        self,
        stored: CheckpointReader,
        checkpoints: Sequence[CheckpointRecord],
        values: Sequence[ChannelValueRecord],
        writes: Sequence[WriteRecord],
    ) -> None:
        """Makes it from what is stored, and records in the order of their putting."""
        self._stored = stored
        self._checkpoints = {(c.thread_id, c.namespace, c.checkpoint_id): c for c in checkpoints}
        self._values = {
            (v.thread_id, v.namespace, v.channel, v.version): v for v in reversed(values)
        }
        self._writes = writes

    def checkpoint(
        self, thread_id: str, namespace: str, checkpoint_id: str = ""
    ) -> CheckpointRecord | None:
        if checkpoint_id:
            held = self._checkpoints.get((thread_id, namespace, checkpoint_id))
        else:
            held = next(iter(self._held(CheckpointFilter(thread_id, namespace))), None)
        return held or self._stored.checkpoint(thread_id, namespace, checkpoint_id)

    def checkpoints(
        self, which: CheckpointFilter, *, limit: int, after: int | None = None
    ) -> list[CheckpointRecord]:
        held = self._held(which) if after is None else []
        if any(c.checkpoint_id == which.before for c in self._checkpoints.values()):
            which = replace(which, before="")
        stored = self._stored.checkpoints(which, limit=limit, after=after)
        return held + [c for c in stored if _key(c) not in self._checkpoints]

    def checkpoint_ancestors(
        self, thread_id: str, namespace: str, checkpoint_id: str, *, limit: int
    ) -> list[CheckpointRecord]:
        found: list[CheckpointRecord] = []
        while held := self._checkpoints.get((thread_id, namespace, checkpoint_id)):
            checkpoint_id = held.parent_checkpoint_id
            parent = self.checkpoint(thread_id, namespace, checkpoint_id) if checkpoint_id else None
            if parent is None or len(found) >= limit:
                return found
            found.append(parent)
        return found + self._stored.checkpoint_ancestors(
            thread_id, namespace, checkpoint_id, limit=limit - len(found)
        )

    def channel_values(
        self, thread_id: str, namespace: str, versions: Iterable[tuple[str, str]]
    ) -> list[ChannelValueRecord]:
        found: list[ChannelValueRecord] = []
        elsewhere: list[tuple[str, str]] = []
        for channel, version in versions:
            held = self._values.get((thread_id, namespace, channel, version))
            while held is not None:
                found.append(held)
                version = held.base_version
                held = self._values.get((thread_id, namespace, channel, version))
            if version:
                elsewhere.append((channel, version))
        return found + self._stored.channel_values(thread_id, namespace, elsewhere)

    def checkpoint_writes(
        self, thread_id: str, namespace: str, checkpoint_ids: Sequence[str]
    ) -> list[WriteRecord]:
        held = [
            write
            for write in self._writes
            if (write.thread_id, write.namespace) == (thread_id, namespace)
            and write.checkpoint_id in checkpoint_ids
        ]
        return self._stored.checkpoint_writes(thread_id, namespace, checkpoint_ids) + held

    def _held(self, which: CheckpointFilter) -> list[CheckpointRecord]:
        """Returns those that match and are not in the database, the latest first."""
        latest_first = list(reversed(self._checkpoints.values()))
        if which.before:
            # One that is not among them is in the database, where all are earlier than these.
            ids = [c.checkpoint_id for c in latest_first]
            start = ids.index(which.before) + 1 if which.before in ids else len(ids)
            latest_first = latest_first[start:]
        return [
            c
            for c in latest_first
            if which.thread_id in (None, c.thread_id)
            and which.namespace in (None, c.namespace)
            and which.checkpoint_id in (None, c.checkpoint_id)
        ]


def _key(checkpoint: CheckpointRecord) -> tuple[str, str, str]:
    return checkpoint.thread_id, checkpoint.namespace, checkpoint.checkpoint_id
