"""The log of what happens to pauses and runs, as its readers see it.

All watchers on a server share one reader of the log, which keeps what came last at hand; one
that is behind that reads the database by itself. A watcher is a place in the log with a wake-up,
never a queue.
"""

from __future__ import annotations

import asyncio
import contextvars
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass

import structlog
from graphwire import errors

from graphwire_server.runs.wake import Wake
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.interface import Reader, Storage
from graphwire_server.storage.records import (
    ChangeKind,
    ChangePlace,
    ChangeRecord,
    PauseRecord,
    RunRecord,
)

_log = structlog.get_logger("graphwire.runs")

#: How many changes are read at once, and how many are kept at hand.
_READ, _AT_HAND = 100, 200
#: How long to wait for a transaction that is under way, at first and at the most, in seconds.
_SOON, _SOONEST_LATER = 0.01, 0.5
#: Beyond every change: where the reader is before it has begun.
_NOWHERE = ChangePlace(1 << 63, 0)
#: How long to wait before the database is tried again, in seconds.
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WatchFilter:
    """Which changes; what is given must all be true.

    Attributes:
        kinds: One of these; empty for any.
        thread_ids: On one of these threads; empty for any.
        assistant_id: On a thread of this assistant; empty for any.
        metadata: On a thread whose metadata contains this JSON object (text); None for any.
        values: On a thread whose state contains this JSON object (text); None for any.
        access: On a thread that the caller may see.
    """

    kinds: frozenset[ChangeKind] = frozenset()
    thread_ids: frozenset[str] = frozenset()
    assistant_id: str = ""
    metadata: str | None = None
    values: str | None = None
    access: Access = ALL


@dataclass(frozen=True, slots=True)
class Change:
    """Something that has happened, with the pause or run as it is now.

    Attributes:
        record: What has happened.
        subject: The pause or run; None for a thread, which is gone.
    """

    record: ChangeRecord
    subject: PauseRecord | RunRecord | None

    @property
    def thread_id(self) -> str:
        """The thread on which it has happened."""
        return self.record.subject if self.subject is None else self.subject.thread_id


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watcher gets.

    Attributes:
        place: Where it stands.
        change: The change; None for a heartbeat.
    """

    place: ChangePlace
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """A part of the log: changes to what is still there, and how far it goes."""

    changes: Sequence[Change]
    end: ChangePlace
    full: bool
    removed: ChangePlace
    more_soon: bool


class ChangeLog:
    """The log of changes, of this server and of all others on its database."""

    def __init__(self, storage: Storage, *, heartbeat_seconds: float, poll_seconds: float) -> None:
        """Makes the log.

        Args:
            storage: Where it is kept.
            heartbeat_seconds: How long a stream may be quiet.
            poll_seconds: How often the database is asked for changes that were not announced.
        """
        self._storage = storage
        self._heartbeat = heartbeat_seconds
        self._poll = poll_seconds
        self._watchers: set[Wake] = set()
        self._wake = Wake()
        self._reading: asyncio.Task[None] | None = None
        self._at_hand: deque[Change] = deque()
        self._from = self._upto = _NOWHERE
        self._closing = False

    def notify(self) -> None:
        """Looks for changes: some were announced, or may have been."""
        self._wake.set()

    def end_streams(self) -> None:
        """Ends every watcher with ShuttingDownError; new ones end at once."""
        self._closing = True
        self._wake_watchers()

    async def close(self) -> None:
        """Stops reading."""
        self.end_streams()
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])

    async def watch(self, place: ChangePlace | None, which: WatchFilter) -> AsyncIterator[Watched]:
        """Yields the changes after a place, those to come included; None: only those.

        First it yields where it stands.

        Raises:
            CursorExpiredError: What comes after the place is kept no more, or it is none of this
                database.
            ShuttingDownError: The server is shutting down.
        """
        if self._closing:
            raise _shutting_down()
        wake, loop = Wake(), asyncio.get_running_loop()
        self._watchers.add(wake)
        try:
            self._be_reading()
            end = await self._storage.read(lambda db: db.end_of_changes(), short=True)
            seen: Collection[int] = ()
            if place is None:
                place, seen = end.place, end.ahead
            elif place > end.place:
                raise _expired()
            else:
                await self._read(place, limit=1)  # raises if it has expired
            yield Watched(place)
            quiet_since = loop.time()
            while True:
                wake.clear()
                read = self._since(place) or await self._read(place)
                for change in await self._matching(read.changes, which):
                    place = change.record.place
                    if place.number not in seen:
                        yield Watched(place, change)
                        quiet_since = loop.time()
                place = max(place, read.end)
                if read.full:
                    continue
                if self._closing:
                    raise _shutting_down()
                if not await wake.wait(quiet_since + self._heartbeat - loop.time()):
                    yield Watched(place)
                    quiet_since = loop.time()
        finally:
            self._watchers.discard(wake)

    # --- what one watcher reads ---

    def _since(self, place: ChangePlace) -> _Read | None:
        """Returns what comes after a place, from what is at hand; None if that is too late."""
        if place < self._from:
            return None
        changes = list(self._at_hand)
        start = bisect_right(changes, place, key=lambda change: change.record.place)
        found = changes[start : start + _READ]
        full = len(found) == _READ
        end = found[-1].record.place if full else max(place, self._upto)
        return _Read(found, end, full, self._from, more_soon=False)

    async def _read(self, place: ChangePlace, limit: int = _READ) -> _Read:
        """Reads what comes after a place. Raises CursorExpiredError if that is gone."""

        def read(db: Reader) -> _Read:
            page = db.changes(after=place, limit=limit)
            records = page.changes
            pauses = db.pauses_by_id(_subjects(r for r in records if r.kind.of_pause))
            runs = db.runs_by_id(_subjects(r for r in records if r.kind.of_run))
            changes: list[Change] = []
            for record in records:
                if record.kind.of_pause or record.kind.of_run:
                    found = (pauses if record.kind.of_pause else runs).get(record.subject)
                    if found is None:
                        continue  # it was deleted meanwhile
                    changes.append(Change(record, found))
                else:
                    changes.append(Change(record, None))
            end = records[-1].place if records else place
            return _Read(changes, end, len(records) == limit, page.removed, page.more_soon)

        found = await self._storage.read(read, short=True)
        if place < found.removed:
            raise _expired()
        return found

    async def _matching(self, changes: Sequence[Change], which: WatchFilter) -> Sequence[Change]:
        """Returns those of some changes that a filter lets pass."""
        found = [change for change in changes if _matches(change, which)]
        looks = which.metadata is not None or which.values is not None or which.access != ALL
        if not found or not looks:
            return found
        ids = list(dict.fromkeys(change.thread_id for change in found if change.subject))
        threads = await self._storage.read(
            lambda db: db.threads_containing(
                ids, metadata=which.metadata, values=which.values, access=which.access
            )
        )
        return [
            change
            for change in found
            if (change.thread_id in threads if change.subject else _may_hear(change, which.access))
        ]

    # --- the one reader ---

    def _be_reading(self) -> None:
        """Starts the reader, unless it is reading."""
        if self._reading is None or self._reading.done():
            self._have_nothing()
            # It serves all watchers, so it is no part of the call that happened to start it.
            self._reading = asyncio.create_task(
                self._read_on(), name="changes", context=contextvars.Context()
            )

    def _have_nothing(self) -> None:
        self._at_hand.clear()
        self._from = self._upto = _NOWHERE

    async def _read_on(self) -> None:
        """Reads the log as it grows, as long as somebody watches it."""
        delay = _SOON
        while self._watchers:
            self._wake.clear()
            try:
                if self._upto == _NOWHERE:
                    end = await self._storage.read(lambda db: db.end_of_changes(), short=True)
                    self._from = self._upto = end.place
                    # They have read the log as it was before.
                    self._wake_watchers()
                read = await self._read(self._upto)
            except errors.CursorExpiredError:
                # It has not come to read for longer than the log is kept.
                self._have_nothing()
                continue
            except Exception:  # noqa: BLE001  # the watchers rely on it
                _log.warning("changes_not_read", exc_info=True)
                await self._wake.wait(_RETRY_SECONDS)
                continue
            self._keep(read)
            if read.full:
                continue
            # What was announced may be read when transactions have ended that began before.
            delay = min(delay * 2, _SOONEST_LATER) if read.more_soon else _SOON
            await self._wake.wait(min(delay, self._poll) if read.more_soon else self._poll)

    def _keep(self, read: _Read) -> None:
        """Keeps what was read at hand, and wakes the watchers if that is something."""
        self._at_hand += read.changes
        self._upto = read.end
        while len(self._at_hand) > _AT_HAND:
            self._from = self._at_hand.popleft().record.place
        if read.changes:
            self._wake_watchers()

    def _wake_watchers(self) -> None:
        for wake in self._watchers:
            wake.set()


def _subjects(records: Iterable[ChangeRecord]) -> list[str]:
    return list(dict.fromkeys(record.subject for record in records))


def _matches(change: Change, which: WatchFilter) -> bool:
    subject = change.subject
    return (
        (not which.kinds or change.record.kind in which.kinds)
        and (not which.thread_ids or change.thread_id in which.thread_ids)
        # Of a thread that is gone nobody can say whose it was.
        and (not which.assistant_id or not subject or subject.assistant_id == which.assistant_id)
    )


def _may_hear(change: Change, access: Access) -> bool:
    """Says whether somebody may hear of a thread that is gone."""
    belonged = change.record.belonged
    return belonged is not None and access.admits(belonged.owner, belonged.metadata)


def _shutting_down() -> errors.ShuttingDownError:
    return errors.ShuttingDownError(
        "the server is shutting down; watch again after this cursor", retry_after=1.0
    )


def _expired() -> errors.CursorExpiredError:
    return errors.CursorExpiredError(
        "what comes after this cursor is kept no more; watch without a cursor, and list what "
        "waits meanwhile",
        field="cursor",
    )
