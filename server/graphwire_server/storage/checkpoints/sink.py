"""Where what LangGraph saves goes, if it is to be committed together with other things.

While a run executes, or a state is edited, `current_sink` holds its sink, and the saver hands
everything to it; otherwise it writes to the storage itself. Nodes, and the graphs that they
call, see the same sink, since a context goes with each task and thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

from langgraph.checkpoint.base import CheckpointTuple

from graphwire_server.storage.checkpoints.interface import CheckpointKeeper, CheckpointReader
from graphwire_server.storage.checkpoints.overlay import Overlay
from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointRecord,
    WriteRecord,
)


class Sink(Protocol):
    """Takes what is saved, on the event loop, in order.

    Both methods that put record what they get when they are called, before what they return is
    awaited: LangGraph saves in the background, and an event that follows must not be committed
    without it. What they return is for those who wait until it is safe, or for nothing.

    Deltas go back to what was put earlier: if something that was put is not committed, nothing
    that is put after it in the same sink may be.
    """

    def put_checkpoint(
        self, checkpoint: CheckpointRecord, values: Sequence[ChannelValueRecord]
    ) -> Awaitable[None]:
        """Takes a checkpoint and the values that came with it."""

    def put_writes(self, writes: Sequence[WriteRecord]) -> Awaitable[None]:
        """Takes what a task wrote."""

    def promised(self, checkpoint_id: str) -> None:
        """Hears that a checkpoint is about to be put. It may have been told of by then."""
        return

    def annotations(
        self,
        thread_id: str,
        namespace: str,
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Returns what to add to the metadata of a checkpoint, which is put right after this.

        `checkpoint` is LangGraph's, with the values of all channels.

        The values must be JSON.
        """
        return {}

    def knows_none(self, thread_id: str, namespace: str) -> bool:
        """Returns whether it is certain, without a look, that a namespace has no checkpoint."""
        return False

    def amended(self, found: CheckpointTuple) -> CheckpointTuple:
        """Returns a checkpoint that was read, as whoever has this sink is to see it."""
        return found

    def refused(self, task_id: str) -> None:
        """Hears of a task that wrote what can't be kept."""
        return

    async def settled(self) -> None:
        """Waits until all that was put can be read, by way of `over`."""

    def over(self, stored: CheckpointReader) -> CheckpointReader:
        """Returns what the database holds together with what only the sink holds yet."""
        return stored


#: The sink of the run, or of the edit, that is under way.
current_sink: ContextVar[Sink | None] = ContextVar("graphwire_checkpoint_sink", default=None)


class Done:
    """An awaitable with nothing to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        """Returns at once."""
        yield from ()


class EditBatch(Sink):
    """Keeps everything until `apply` adds it to a transaction. Reads see it all the while."""

    def __init__(self, annotations: Mapping[str, Any] | None = None) -> None:
        """Makes an empty one; `annotations` go into the metadata of every checkpoint."""
        self._annotations = dict(annotations or {})
        self._checkpoints: list[tuple[CheckpointRecord, Sequence[ChannelValueRecord]]] = []
        self._writes: list[WriteRecord] = []

    @property
    def checkpoints(self) -> list[CheckpointRecord]:
        """Returns the checkpoints that were put, in their order."""
        return [checkpoint for checkpoint, _ in self._checkpoints]

    def copy(self) -> EditBatch:
        """Returns one that keeps the same, and what is put into it from now on."""
        copy = EditBatch(self._annotations)
        copy._checkpoints, copy._writes = [*self._checkpoints], [*self._writes]
        return copy

    def put_checkpoint(
        self, checkpoint: CheckpointRecord, values: Sequence[ChannelValueRecord]
    ) -> Awaitable[None]:
        self._checkpoints.append((checkpoint, values))
        return Done()

    def put_writes(self, writes: Sequence[WriteRecord]) -> Awaitable[None]:
        self._writes.extend(writes)
        return Done()

    def annotations(
        self,
        thread_id: str,
        namespace: str,
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        return self._annotations

    async def settled(self) -> None:
        return

    def over(self, stored: CheckpointReader) -> CheckpointReader:
        values = [value for _, values in self._checkpoints for value in values]
        return Overlay(stored, self.checkpoints, values, self._writes)

    def apply(self, transaction: CheckpointKeeper, *, run_id: str = "") -> None:
        """Writes everything. It changes nothing here, so a transaction may be tried again.

        `run_id` is the run whose beginning it is. Without one, a checkpoint belongs to the run
        that its metadata names, which may be that of the one it was copied from.
        """
        for checkpoint, values in self._checkpoints:
            made = replace(checkpoint, run_id=run_id) if run_id else checkpoint
            transaction.put_checkpoint(made, values)
        transaction.put_checkpoint_writes(self._writes, run_id=run_id)
