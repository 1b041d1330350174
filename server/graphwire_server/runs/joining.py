"""The events of a thread: those of its runs, one after the other, in the order in which they began.

A reader follows one run at a time, in the event log, and then waits for the next. It is a place in
the thread with a wake-up, and goes on from there on any server. Whether he may still see the thread
is looked at before each run, and within one as the event log does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from graphwire import errors

from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.refusals import thread_not_found
from graphwire_server.runs.wake import Wake
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.interface import Reader, Storage
from graphwire_server.storage.records import (
    EventRecord,
    Place,
    RunRecord,
    RunStatus,
    ThreadRecord,
)

_CURSOR = re.compile(r"([0-9]{1,10})\.([0-9]{1,12})\.([0-9]{1,10})\.([0-9]{1,17})")


@dataclass(frozen=True, slots=True)
class JoinCursor:
    """A place among the events of a thread.

    Attributes:
        place: The place of a run in the thread; 0: before the first.
        sequence: The last event of it that was read.
        trimmed: Up to this place there were runs without their first events when the thread was
            joined without a cursor: they are read from the oldest one that is kept.
        create_time: When the thread was created: an id may be used again.
    """

    place: int
    sequence: int
    trimmed: int
    create_time: int

    def __str__(self) -> str:
        """Returns it as text, for the caller to keep."""
        return f"{self.place}.{self.sequence}.{self.trimmed}.{self.create_time}"

    @classmethod
    def parse(cls, text: str) -> JoinCursor:
        """Reads it back. Raises ValueError."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise ValueError(f"no cursor: {text!r:.80}")
        return cls(*map(int, match.groups()))


@dataclass(frozen=True, slots=True)
class Joined:
    """What a reader gets.

    Attributes:
        cursor: Where it stands.
        event: The event; None for a heartbeat.
    """

    cursor: JoinCursor
    event: EventRecord | None = None


class ThreadStreams:
    """The streams of the events of threads."""

    def __init__(
        self, storage: Storage, log: EventLog, *, heartbeat_seconds: float, poll_seconds: float
    ) -> None:
        """Takes the log of events.

        Args:
            storage: Where threads are kept.
            log: Where the events of a run are read.
            heartbeat_seconds: How long a stream may be quiet.
            poll_seconds: How often readers look for a run of which nothing was announced.
        """
        self._storage = storage
        self._log = log
        self._heartbeat = heartbeat_seconds
        self._poll = poll_seconds
        self._readers: dict[str, set[Wake]] = {}
        self._closing = False

    def end_streams(self) -> None:
        """Ends every reader with ShuttingDownError; new ones end at once."""
        self._closing = True
        self.notify_all()

    def notify_all(self) -> None:
        """Wakes every reader."""
        for thread_id in list(self._readers):
            self.notify(thread_id)

    def notify(self, thread_id: str) -> None:
        """Wakes a thread's readers."""
        for wake in self._readers.get(thread_id, ()):
            wake.set()

    async def join(
        self,
        thread_id: str,
        cursor: JoinCursor | None,
        *,
        only_new: bool = False,
        access: Access = ALL,
    ) -> AsyncGenerator[Joined, None]:
        """Yields a thread's events after a cursor, those to come included, until it is deleted.

        First it yields where it stands. Without a cursor it begins with the first event that is
        kept, or with `only_new` with what comes from now on.

        Raises:
            ThreadNotFoundError: There is no such thread, or it was deleted meanwhile, or it is
                none, or none any more, that `access` admits.
            CursorExpiredError: Events after the cursor were removed, or it is none of this thread.
            ShuttingDownError: The server is shutting down.
        """
        wake = Wake()
        self._readers.setdefault(thread_id, set()).add(wake)
        try:
            at = await self._storage.read(
                lambda db: _begin(db, thread_id, cursor, access, only_new=only_new), short=True
            )
            yield Joined(at)
            run = await self._storage.read(lambda db: db.run_at(thread_id, at.place), short=True)
            while True:
                if run is not None:
                    async with aclosing(self._follow(run, at, access)) as events:
                        async for event in events:
                            if event is not None:
                                at = replace(at, sequence=event.sequence)
                            yield Joined(at, event)
                following: Place | None = None
                async with aclosing(self._next(thread_id, at, access, wake)) as awaited:
                    async for following in awaited:
                        if following is None:
                            yield Joined(at)
                assert following is not None
                run = following.run
                kept_from = run.oldest_sequence if following.number <= at.trimmed else 1
                at = replace(at, place=following.number, sequence=kept_from - 1)
        finally:
            readers = self._readers[thread_id]
            readers.discard(wake)
            if not readers:
                del self._readers[thread_id]

    async def _follow(
        self, run: RunRecord, at: JoinCursor, access: Access
    ) -> AsyncGenerator[EventRecord | None, None]:
        """Yields the rest of a run's events; see `EventLog.follow`."""
        after = at.sequence
        while True:
            try:
                following = self._log.follow(run.run_id, after=after, access=access)
                async with aclosing(following) as events:
                    async for event in events:
                        yield event
                        if event is not None:
                            after = event.sequence
                return
            except errors.RunNotFoundError:
                return  # it was deleted, or is not to be seen any more: `_next` looks at the thread
            except errors.SequenceOutOfRangeError as error:
                oldest = int(error.metadata.get("oldest_sequence", "0"))
                unread = after == at.sequence and after == run.oldest_sequence - 1
                if not oldest or not unread or at.place > at.trimmed:
                    raise _expired() from error
                after = oldest - 1  # they were removed just now
            except errors.ShuttingDownError as error:
                raise _shutting_down() from error

    async def _next(
        self, thread_id: str, at: JoinCursor, access: Access, wake: Wake
    ) -> AsyncGenerator[Place | None, None]:
        """Yields the run that begins after a place, and before it None for each heartbeat."""

        def read(db: Reader) -> Place | None:
            if _thread(db, thread_id, access).create_time != at.create_time:
                raise thread_not_found(thread_id)
            return db.next_run(thread_id, after=at.place)

        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + self._heartbeat
        while True:
            wake.clear()
            found = await self._storage.read(read, short=True)
            if found is not None:
                yield found
                return
            if self._closing:
                raise _shutting_down()
            left = heartbeat_at - loop.time()
            if not await wake.wait(min(left, self._poll)) and left <= self._poll:
                yield None
                heartbeat_at = loop.time() + self._heartbeat


def _thread(db: Reader, thread_id: str, access: Access) -> ThreadRecord:
    """Returns a thread. Raises ThreadNotFoundError, also for one that is not to be seen."""
    thread = db.thread(thread_id)
    if thread is None or not access.admits(thread.owner, thread.metadata):
        raise thread_not_found(thread_id)
    return thread


def _begin(
    db: Reader, thread_id: str, cursor: JoinCursor | None, access: Access, *, only_new: bool
) -> JoinCursor:
    """Returns where a stream begins. Raises what `ThreadStreams.join` raises."""
    thread = _thread(db, thread_id, access)
    last = db.last_place(thread_id)
    if cursor is not None:
        run = db.run_at(thread_id, cursor.place)
        beyond = run is not None and cursor.sequence > run.last_sequence
        if cursor.create_time != thread.create_time or cursor.place > last or beyond:
            raise errors.CursorExpiredError(
                f"the cursor is none of thread {thread_id}, or of one with this id that was "
                "deleted; join without a cursor",
                field="cursor",
            )
        if run is not None and cursor.sequence + 1 < run.oldest_sequence:
            raise _expired()
        return cursor
    if not only_new:
        return JoinCursor(0, 0, db.last_trimmed_place(thread_id), thread.create_time)
    running = [run for run in db.active_runs(thread_id) if run.status is RunStatus.RUNNING]
    place = db.place_of(running[0].run_id) if running else last
    run = running[0] if running else db.run_at(thread_id, last)
    return JoinCursor(place, run.last_sequence if run else 0, 0, thread.create_time)


def _expired() -> errors.CursorExpiredError:
    return errors.CursorExpiredError(
        "events after this cursor were removed, as their run ended long enough ago; join without "
        "a cursor to get those that are kept",
        field="cursor",
    )


def _shutting_down() -> errors.ShuttingDownError:
    return errors.ShuttingDownError(
        "the server is shutting down; join the thread again after this cursor", retry_after=1.0
    )
