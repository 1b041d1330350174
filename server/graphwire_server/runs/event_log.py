"""The log of events, as its readers see it.

An event reaches a reader only when it is committed; see `journal`. A reader is a cursor (run,
sequence) with a wake-up, not a queue: one that is slow costs no memory, and one that comes
late is served from the database. A run may execute here, on another server, or on none.

Whose thread it is may change meanwhile: whoever follows a run by what its thread's metadata says
is looked at again, and follows no further once it does not say so any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from graphwire import errors

from graphwire_server.runs.journal import Journal
from graphwire_server.runs.tail import within
from graphwire_server.runs.wake import Wake
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.interface import Reader, Storage
from graphwire_server.storage.records import EventRecord, RunRecord
from graphwire_server.telemetry.instruments import Metrics
from graphwire_server.wording import counted

#: How many events a reader takes at once, and how many bytes of them: what a slow one holds.
_READ_EVENTS = 128
_READ_BYTES = 64 * 1024


@dataclass(eq=False, slots=True)
class _Look:
    """When to look again whether a reader may still see the thread of his run.

    Attributes:
        access: What he may see.
        wake: Wakes him.
        at: When it was looked last, by the event loop's clock.
        due: Whether something may have changed since.
    """

    access: Access
    wake: Wake
    at: float = 0.0
    due: bool = True


class EventLog:
    """The events of all runs."""

    def __init__(
        self,
        storage: Storage,
        *,
        heartbeat_seconds: float,
        poll_seconds: float,
        metrics: Metrics | None = None,
    ) -> None:
        """Makes the log.

        Args:
            storage: Where events are kept.
            heartbeat_seconds: How long a stream may be quiet.
            poll_seconds: How often readers of a run that does not execute here look for events
                of which they were not told.
            metrics: Where it is counted how long events take to their readers.
        """
        self._metrics = metrics or Metrics()
        self._storage = storage
        self._heartbeat = heartbeat_seconds
        self._poll = poll_seconds
        self._journals: dict[str, Journal] = {}
        self._readers: dict[str, set[Wake]] = {}
        self._looks: dict[str, set[_Look]] = {}
        self._closing = False

    def end_streams(self) -> None:
        """Ends every reader with ShuttingDownError; new ones end at once."""
        self._closing = True
        self.notify_all()

    def open(self, journal: Journal) -> None:
        """Serves readers of a run from its journal, while it executes here."""
        self._journals[journal.run.run_id] = journal

    def close(self, journal: Journal) -> None:
        """Serves them from the database again."""
        run_id = journal.run.run_id
        if self._journals.get(run_id) is journal:
            del self._journals[run_id]
        self.notify(run_id)

    def notify_all(self) -> None:
        """Wakes every reader."""
        for thread_id in list(self._looks):
            self.look_again(thread_id)
        for run_id in list(self._readers):
            self.notify(run_id)

    def look_again(self, thread_id: str) -> None:
        """Has it looked at again who may follow the runs of a thread: its metadata has changed."""
        for look in self._looks.get(thread_id, ()):
            look.due = True
            look.wake.set()

    def notify(self, run_id: str) -> None:
        """Wakes a run's readers."""
        for event in self._readers.get(run_id, ()):
            event.set()

    async def follow(
        self, run_id: str, *, after: int, access: Access = ALL
    ) -> AsyncGenerator[EventRecord | None, None]:
        """Yields a run's events after a sequence, those to come included, to its end.

        None stands for a heartbeat.

        Raises:
            RunNotFoundError: There is no such run, or it was deleted meanwhile, or its thread is
                none, or none any more, that `access` admits.
            SequenceOutOfRangeError: `after` lies beyond the run's last event, or events after
                it were removed, be it while they were waited for.
            ShuttingDownError: The server is shutting down.
        """
        wake, loop = Wake(), asyncio.get_running_loop()
        quiet_since = last_commit = loop.time()
        look, thread_id = None, ""
        if access.may_end:
            look = _Look(access, wake)
            # From now on it is told of changes; what has changed before is seen at the first look.
            thread_id = await self._thread_of(run_id)
            self._looks.setdefault(thread_id, set()).add(look)
        self._readers.setdefault(run_id, set()).add(wake)
        try:
            first, journal = True, None
            while True:
                wake.clear()
                if look is not None and (look.due or loop.time() - look.at >= self._poll):
                    await self._look(run_id, look)
                if journal is None or not journal.ended:
                    # One that was closed before the run's end knows nothing of what follows.
                    journal = self._journals.get(run_id)
                records, ended = self._at_hand(journal, after, first=first) or await self._read(
                    run_id, after, check_range=first
                )
                first = False
                newest, committed_at = journal.committed if journal is not None else (0, 0.0)
                for record in records:
                    yield record
                    after = record.sequence
                # Not of one that came later, or is behind: that is how long the reader takes.
                if records and committed_at > last_commit and after >= newest:
                    last_commit = committed_at
                    self._metrics.event_lag_seconds.observe(loop.time() - committed_at)
                if ended:
                    return
                if records:
                    quiet_since = loop.time()
                    continue
                if self._closing:
                    raise errors.ShuttingDownError(
                        "the server is shutting down; join the run again after this sequence",
                        metadata={"run_id": run_id, "last_sequence": str(after)},
                        retry_after=1.0,
                    )
                if not await self._changed(run_id, wake, quiet_since):
                    yield None
                    quiet_since = loop.time()
        finally:
            readers = self._readers[run_id]
            readers.discard(wake)
            if not readers:
                del self._readers[run_id]
            if look is not None:
                looks = self._looks[thread_id]
                looks.discard(look)
                if not looks:
                    del self._looks[thread_id]

    async def _thread_of(self, run_id: str) -> str:
        found = await self._storage.read(lambda db: db.belonging(run_id=run_id), short=True)
        if found is None:
            raise run_not_found(run_id)
        return found.thread_id

    async def _look(self, run_id: str, look: _Look) -> None:
        """Raises RunNotFoundError if a reader may not see the thread of his run any more."""
        look.due = False
        look.at = asyncio.get_running_loop().time()
        await self._storage.read(lambda db: check_access(db, look.access, run_id), short=True)

    def _at_hand(
        self, journal: Journal | None, after: int, *, first: bool
    ) -> tuple[Sequence[EventRecord], bool] | None:
        """Returns what `_read` does, from the journal of the run; None if it does not say."""
        if journal is None or (first and not journal.reaches(after)):
            return None
        # Others may have gone on with its run.
        told = journal.ended or self._journals.get(journal.run.run_id) is journal
        events = journal.since(after)
        if events is None or not (events or told):
            return None
        some = within(events, _READ_BYTES)
        return some, journal.ended and len(some) == len(events)

    async def _read(
        self, run_id: str, after: int, *, check_range: bool
    ) -> tuple[Sequence[EventRecord], bool]:
        """Returns the next events, and whether the run's last one is among or before them."""

        def read(db: Reader) -> tuple[RunRecord | None, list[EventRecord]]:
            events = db.events(run_id, after=after, limit=_READ_EVENTS, max_bytes=_READ_BYTES)
            return db.run(run_id), events

        run, records = await self._storage.read(read, short=True)
        if run is None:
            raise run_not_found(run_id)
        if check_range and after > run.last_sequence:
            raise errors.SequenceOutOfRangeError(
                f"run {run_id} has {counted(run.last_sequence, 'event')} so far, none after "
                f"{after}",
                field="after_sequence",
                metadata={"last_sequence": str(run.last_sequence)},
            )
        if after + 1 < run.oldest_sequence:
            raise _events_removed(run)
        last = records[-1].sequence if records else after
        return records, run.status.ended and last >= run.last_sequence

    async def _changed(self, run_id: str, wake: Wake, quiet_since: float) -> bool:
        """Waits until there may be news; returns False when it is time for a heartbeat."""
        left = quiet_since + self._heartbeat - asyncio.get_running_loop().time()
        if run_id in self._journals:
            return await wake.wait(left)
        # Whoever executes it announces events, but nobody vouches that this arrives.
        return await wake.wait(min(left, self._poll)) or left > self._poll


def run_not_found(run_id: str) -> errors.RunNotFoundError:
    """Returns the error for a run that does not exist."""
    return errors.RunNotFoundError(f"there is no run {run_id}", resource=("run", run_id))


def check_access(db: Reader, access: Access, *run_ids: str) -> None:
    """Raises RunNotFoundError for the first run that is of no thread that `access` admits."""
    if access == ALL:
        return
    there = db.belongings(run_ids=run_ids)
    for run_id in run_ids:
        found = there.get(run_id)
        if found is None or not access.admits(found.owner, found.metadata):
            raise run_not_found(run_id)


def _events_removed(run: RunRecord) -> errors.SequenceOutOfRangeError:
    oldest = run.oldest_sequence
    removed = oldest - 1
    events = "event" if removed == 1 else f"{removed} events"
    were = "was" if removed == 1 else "were"
    return errors.SequenceOutOfRangeError(
        f"the first {events} of run {run.run_id} {were} removed, as it ended long enough ago; "
        f"those from {oldest} to {run.last_sequence} are kept: join with after_sequence {removed} "
        "to get them",
        metadata={
            "oldest_sequence": str(oldest),
            "last_sequence": str(run.last_sequence),
            "after_sequence": str(removed),
        },
    )
