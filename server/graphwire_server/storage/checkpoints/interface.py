"""What the storage's `Reader` and `Transaction` do with checkpoints.

Rows go in and come out as they are. Which rows belong together, and which may go, is decided
by those who know what is in them: `saver` and `pruning`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointFilter,
    CheckpointRecord,
    WriteRecord,
)


class CheckpointReader(Protocol):
    """Reads of checkpoints."""

    def checkpoint(
        self, thread_id: str, namespace: str, checkpoint_id: str = ""
    ) -> CheckpointRecord | None:
        """Returns a checkpoint, or None. Without an id: the head, the one written last."""

    def checkpoints(
        self, which: CheckpointFilter, *, limit: int, after: int | None = None
    ) -> list[CheckpointRecord]:
        """Returns at most `limit` checkpoints, the one written last first.

        `after` is the `number` of the last one of the page before.
        """

    def checkpoint_ancestors(
        self, thread_id: str, namespace: str, checkpoint_id: str, *, limit: int
    ) -> list[CheckpointRecord]:
        """Returns at most `limit` of a checkpoint's ancestors, its parent first.

        They end where one is missing, and at one that has no parent.
        """

    def channel_values(
        self, thread_id: str, namespace: str, versions: Iterable[tuple[str, str]]
    ) -> list[ChannelValueRecord]:
        """Returns the values of (channel, version) pairs, and all that those go back to.

        Pairs of which there is no value are left out. No order.
        """

    def checkpoint_writes(
        self, thread_id: str, namespace: str, checkpoint_ids: Sequence[str]
    ) -> list[WriteRecord]:
        """Returns what was written at some checkpoints; for each, in the order of writing."""


class CheckpointKeeper(CheckpointReader, Protocol):
    """Writes of checkpoints, and the reads that they need."""

    def put_checkpoint(
        self, checkpoint: CheckpointRecord, values: Sequence[ChannelValueRecord] = ()
    ) -> None:
        """Adds a checkpoint, and values that are not there yet.

        A checkpoint that is there already is replaced, in its old place in the order, and stays
        that of the run that made it. A value
        that is there already is left as it is: it can only be the same.

        Raises:
            IntegrityError: The version that a delta is against is not there.
        """

    def put_checkpoint_writes(self, writes: Iterable[WriteRecord], *, run_id: str = "") -> None:
        """Adds what tasks wrote, in a run or in none. Their checkpoints need not be there yet."""

    def all_checkpoints(self, thread_id: str, namespace: str) -> list[CheckpointRecord]:
        """Returns every checkpoint of a namespace, those kept as history too. No order."""

    def checkpoint_namespaces(self, thread_id: str) -> list[str]:
        """Returns the namespaces in which a thread has checkpoints."""

    def checkpoint_places(self, run_ids: Iterable[str]) -> list[tuple[str, str]]:
        """Returns the (thread_id, namespace) pairs in which runs have checkpoints."""

    def channel_versions(self, thread_id: str, namespace: str) -> list[tuple[str, str, str]]:
        """Returns (channel, version, base_version) of every value in a namespace."""

    def checkpoints_of_run(self, thread_id: str, run_id: str) -> list[CheckpointRecord]:
        """Returns a thread's checkpoints that a run has made. No order."""

    def drop_writes_of_run(self, thread_id: str, run_id: str) -> None:
        """Deletes what was written in a run, at whichever of the thread's checkpoints."""

    def delete_checkpoints(self, thread_id: str) -> None:
        """Deletes all that is kept of a thread's checkpoints."""

    def make_history(self, thread_id: str, namespace: str, checkpoint_ids: Iterable[str]) -> None:
        """Leaves of some checkpoints only what others need as their ancestors.

        `checkpoint` and `checkpoints` don't show them any more; `checkpoint_ancestors` and
        `checkpoint_writes` do.
        """

    def drop_checkpoints(
        self, thread_id: str, namespace: str, checkpoint_ids: Iterable[str]
    ) -> None:
        """Deletes some checkpoints with what was written at them, but no values."""

    def drop_channel_values(
        self, thread_id: str, namespace: str, versions: Iterable[tuple[str, str]]
    ) -> None:
        """Deletes the values of (channel, version) pairs.

        It is for the caller to know that nothing goes back to them.
        """

    def copy_checkpoints(self, source_thread_id: str, target_thread_id: str) -> None:
        """Adds a copy of all that is kept of a thread's checkpoints to another, in their order.

        Raises:
            IntegrityError: The other one has some of them already.
        """
