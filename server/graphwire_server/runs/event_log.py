"""The log of events: written in groups, shown once committed, read through cursors.

Commit, then show: an event reaches a reader only when it is on the disk. A reader is a
cursor (run, sequence) with a wake-up, not a queue: one that is slow costs no memory, and
one that comes late is served from the database.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from graphwire import errors
from graphwire.v1 import run_event_pb2 as pb

from graphwire_server.graphs.messages import join
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.events import sealed, timestamp
from graphwire_server.storage.interface import Reader, Storage
from graphwire_server.storage.records import EventRecord, RunRecord

#: A run that is this many events ahead of the disk waits for it.
_MAX_PENDING = 1000
#: How many of a live run's latest events are kept at hand for its readers.
_TAIL_EVENTS = 256
#: How many events a reader takes from the database at once.
_READ_EVENTS = 500


class RunRecorder:
    """Records the events of one run while it executes."""

    def __init__(self, log: EventLog, run_id: str, *, attempt: int, last_sequence: int) -> None:
        """Goes on after `last_sequence`. Made by `EventLog.recorder`."""
        self.run_id = run_id
        self._log = log
        self._attempt = attempt
        self._sequence = last_sequence
        self._pending: list[pb.RunEvent] = []
        self._failure: BaseException | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._tail: deque[EventRecord] = deque(maxlen=_TAIL_EVENTS)
        self._closed = False

    def append(self, event: pb.RunEvent) -> None:
        """Adds an event; it is committed and shown a moment later.

        A piece of a message may be joined to the one before it, if that is not committed yet.
        What comes after the run's end, from nodes that were not waited for, is dropped.
        """
        if self._closed:
            return
        if self._pending and event.WhichOneof("event") == "message":
            last = self._pending[-1]
            if (
                last.WhichOneof("event") == "message"
                and last.namespace == event.namespace
                and join(last.message, event.message)
            ):
                return
        event.event_time.CopyFrom(timestamp(now_us()))
        self._pending.append(event)
        self._idle.clear()
        self._log._wake(self)

    async def keep_pace(self) -> None:
        """Waits while too many events are pending. Raises StorageError if they can't be kept."""
        if len(self._pending) >= _MAX_PENDING:
            await self.flushed()
        elif self._failure is not None:
            raise self._failure

    async def flushed(self) -> None:
        """Waits until every event is committed. Raises StorageError if they can't be."""
        await self._idle.wait()
        if self._failure is not None:
            raise self._failure

    def seal(self, events: Sequence[pb.RunEvent]) -> list[EventRecord]:
        """Numbers the last events of the run, to be committed by the caller.

        To be called after `flushed`, when no more events come; again, if the commit failed.
        """
        for event in events:
            event.event_time.CopyFrom(timestamp(now_us()))
        first = self._sequence + 1
        return [
            sealed(event, self.run_id, sequence, attempt=self._attempt)
            for sequence, event in enumerate(events, start=first)
        ]

    def since(self, after: int) -> list[EventRecord] | None:
        """Returns the committed events after a sequence; None if they are not at hand."""
        if not self._tail or self._tail[0].sequence > after + 1:
            return None
        return [record for record in self._tail if record.sequence > after]

    def _take(self) -> list[EventRecord]:
        records = [self._record(event) for event in self._pending]
        self._pending.clear()
        return records

    def _record(self, event: pb.RunEvent) -> EventRecord:
        self._sequence += 1
        return sealed(event, self.run_id, self._sequence, attempt=self._attempt)

    def _committed(self, records: Sequence[EventRecord]) -> None:
        self._tail.extend(records)
        if not self._pending:
            self._idle.set()

    def _failed(self, error: BaseException) -> None:
        self._failure = error
        self._pending.clear()
        self._idle.set()


class EventLog:
    """The events of all runs."""

    def __init__(self, storage: Storage, *, heartbeat_seconds: float) -> None:
        """Makes the log; `start` sets it going."""
        self._storage = storage
        self._heartbeat = heartbeat_seconds
        self._recorders: dict[str, RunRecorder] = {}
        self._dirty: dict[str, RunRecorder] = {}
        self._work = asyncio.Event()
        self._readers: dict[str, set[asyncio.Event]] = {}
        self._closing = False
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the task that commits events."""
        self._writer = asyncio.create_task(self._write(), name="event-log")

    async def stop(self) -> None:
        """Stops that task. Recorders must have been closed before."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    def end_streams(self) -> None:
        """Ends every reader with ShuttingDownError; new ones end at once."""
        self._closing = True
        for run_id in list(self._readers):
            self.notify(run_id)

    def recorder(self, run: RunRecord, *, attempt: int = 1) -> RunRecorder:
        """Opens the recorder of a run that begins to execute."""
        recorder = RunRecorder(self, run.run_id, attempt=attempt, last_sequence=run.last_sequence)
        self._recorders[run.run_id] = recorder
        return recorder

    def close(self, recorder: RunRecorder) -> None:
        """Closes a run's recorder, once its last events are committed."""
        recorder._closed = True
        self._recorders.pop(recorder.run_id, None)
        self.notify(recorder.run_id)

    def notify(self, run_id: str) -> None:
        """Wakes a run's readers."""
        for event in self._readers.get(run_id, ()):
            event.set()

    async def follow(self, run_id: str, *, after: int) -> AsyncIterator[EventRecord | None]:
        """Yields a run's events after a sequence, those to come included, to its end.

        None stands for a heartbeat.

        Raises:
            RunNotFoundError: There is no such run, or it was deleted meanwhile.
            SequenceOutOfRangeError: `after` lies beyond the run's last event.
            ShuttingDownError: The server is shutting down.
        """
        wake = asyncio.Event()
        self._readers.setdefault(run_id, set()).add(wake)
        try:
            first = True
            while True:
                wake.clear()
                records, ended = await self._next(run_id, after, check_range=first)
                first = False
                for record in records:
                    yield record
                    after = record.sequence
                if ended:
                    return
                if records:
                    continue
                if self._closing:
                    raise errors.ShuttingDownError(
                        "the server is shutting down; join the run again after this sequence",
                        metadata={"run_id": run_id, "last_sequence": str(after)},
                        retry_after=1.0,
                    )
                if not await _wait(wake, self._heartbeat):
                    yield None
        finally:
            readers = self._readers[run_id]
            readers.discard(wake)
            if not readers:
                del self._readers[run_id]

    async def _next(
        self, run_id: str, after: int, *, check_range: bool
    ) -> tuple[list[EventRecord], bool]:
        """Returns the next events, and whether the run's last one is among or before them."""
        recorder = self._recorders.get(run_id)
        if recorder is not None and not check_range:
            at_hand = recorder.since(after)
            if at_hand is not None:
                return at_hand, False

        def read(db: Reader) -> tuple[RunRecord | None, list[EventRecord]]:
            return db.run(run_id), db.events(run_id, after=after, limit=_READ_EVENTS)

        run, records = await self._storage.read(read)
        if run is None:
            raise run_not_found(run_id)
        if check_range and after > run.last_sequence:
            raise errors.SequenceOutOfRangeError(
                f"run {run_id} has {run.last_sequence} events so far, none after {after}",
                field="after_sequence",
                metadata={"last_sequence": str(run.last_sequence)},
            )
        last = records[-1].sequence if records else after
        return records, run.status.ended and last >= run.last_sequence

    def _wake(self, recorder: RunRecorder) -> None:
        self._dirty[recorder.run_id] = recorder
        self._work.set()

    async def _write(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            dirty = list(self._dirty.values())
            self._dirty.clear()
            batches = [(recorder, recorder._take()) for recorder in dirty]
            records = [record for _, batch in batches for record in batch]
            try:
                await self._storage.write(lambda tx, rows=records: tx.append_events(rows))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001  # each run concerned fails with it
                for recorder, _ in batches:
                    recorder._failed(error)
                continue
            for recorder, batch in batches:
                recorder._committed(batch)
                self.notify(recorder.run_id)


def run_not_found(run_id: str) -> errors.RunNotFoundError:
    """Returns the error for a run that does not exist."""
    return errors.RunNotFoundError(f"there is no run {run_id}", resource=("run", run_id))


async def _wait(event: asyncio.Event, timeout: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), timeout)
    except TimeoutError:
        return False
    return True
