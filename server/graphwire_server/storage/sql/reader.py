"""The reads of one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import orjson

from graphwire_server.storage.access import ALL, Access, Belonging
from graphwire_server.storage.checkpoints.tables import CheckpointReads
from graphwire_server.storage.interface import NEWEST_FIRST
from graphwire_server.storage.records import (
    Amount,
    Backlog,
    ChangePage,
    ChangePlace,
    EventRecord,
    Expiry,
    Extent,
    Inheritance,
    Lease,
    LogEnd,
    PauseFilter,
    PausePosition,
    PauseRecord,
    Place,
    Position,
    RequestRecord,
    RunRecord,
    RunStatus,
    ThreadFilter,
    ThreadPosition,
    ThreadRecord,
    ThreadSort,
    ThreadStorage,
)
from graphwire_server.storage.sql import queue, rows
from graphwire_server.storage.sql import statements as sql
from graphwire_server.storage.sql.assistants import AssistantReads
from graphwire_server.storage.sql.session import Cursor, Parameters, Row, Session
from graphwire_server.storage.sql.webhooks import WebhookReads

#: The most ids in one statement; SQLite allows some thousands.
_IDS_AT_ONCE = 500


class SqlReader(CheckpointReads, AssistantReads, WebhookReads):
    """`Reader` in the transaction of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def now(self) -> int:
        return int(self._execute(sql.leases.NOW).fetchone()[0])

    def thread(self, thread_id: str, *, values: bool = False) -> ThreadRecord | None:
        return self._thread(sql.threads.THREAD, thread_id, values=values)

    def threads(
        self,
        which: ThreadFilter,
        *,
        limit: int,
        sort: ThreadSort = NEWEST_FIRST,
        after: ThreadPosition | None = None,
    ) -> list[ThreadRecord]:
        if not _can_match(which):
            return []
        found: list[ThreadRecord] = []
        for part in sql.threads.parts_of(sort, after):
            if len(found) < limit:
                cursor = self._execute(
                    *sql.threads.list_threads(which, part, limit=limit - len(found))
                )
                found += (rows.thread_record(row) for row in cursor)
        return found

    def values_of(self, thread_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        for ids in in_parts(thread_ids):
            for row in self._execute(sql.threads.thread_states(len(ids)), ids):
                yield row[0], row[1]

    def count_threads(self, which: ThreadFilter) -> int:
        if not _can_match(which):
            return 0
        return int(self._execute(*sql.threads.count_threads(which)).fetchone()[0])

    def run(self, run_id: str) -> RunRecord | None:
        return self._run(sql.runs.RUN, run_id)

    def runs_named(self, run_ids: Collection[str]) -> dict[str, RunRecord]:
        return {
            row[0]: rows.run_record(row)
            for ids in in_parts(tuple(dict.fromkeys(run_ids)))
            for row in self._execute(sql.runs.runs_named(len(ids)), ids)
        }

    def runs(
        self,
        thread_id: str,
        *,
        statuses: Sequence[RunStatus] = (),
        limit: int,
        after: Position | None = None,
    ) -> list[RunRecord]:
        cursor = self._execute(*sql.runs.list_runs(thread_id, statuses, limit=limit, after=after))
        return [rows.run_record(row) for row in cursor]

    def active_runs(self, thread_id: str) -> list[RunRecord]:
        cursor = self._execute(sql.runs.ACTIVE_RUNS, (thread_id, thread_id))
        return [rows.run_record(row) for row in cursor]

    def has_active_run(self, thread_id: str) -> bool:
        parameters = (thread_id, thread_id)
        return self._execute(sql.runs.HAS_ACTIVE_RUN, parameters).fetchone() is not None

    def last_run(self, thread_id: str, *, but: str = "") -> RunRecord | None:
        row = self._execute(sql.runs.LAST_RUN, (thread_id, but)).fetchone()
        return None if row is None else rows.run_record(row)

    def inheritance(self, thread_id: str) -> Inheritance | None:
        row = self._execute(sql.threads.INHERITANCE, (thread_id,)).fetchone()
        return None if row is None else Inheritance(*row)

    def active_run_ids(self, status: RunStatus, access: Access = ALL) -> list[str]:
        return [row[0] for row in self._execute(*sql.runs.active_run_ids(status, access))]

    def rollback_requested(self, run_id: str) -> bool:
        row = self._execute(sql.runs.ROLLBACK_REQUESTED, (run_id,)).fetchone()
        return row is not None and bool(row[0])

    def cancelled_runs(self, server_id: str) -> dict[str, bool]:
        rows = self._execute(sql.leases.CANCELLED_RUNS, (server_id,))
        return {run_id: bool(abandon) for run_id, abandon in rows}

    def held_runs(self, server_id: str) -> dict[str, Lease]:
        rows = self._execute(sql.leases.HELD_RUNS, (server_id,))
        return {run_id: Lease(server_id, epoch) for run_id, epoch in rows}

    def expired_pauses(self, *, now: int, limit: int, skip: int = 0) -> list[PauseRecord]:
        found = self._execute(sql.pauses.EXPIRED_PAUSES, (now, limit, skip))
        return [rows.pause_record(row) for row in found]

    def backlog(self) -> Backlog:
        queued, open_, oldest = self._execute(sql.pauses.BACKLOG).fetchone()
        return Backlog(queued, open_, oldest, self.now())

    def next_expiry(self, *, now: int) -> int | None:
        found: int | None = self._execute(sql.pauses.NEXT_EXPIRY, (now,)).fetchone()[0]
        return found

    def breakpoint_hits(self, thread_id: str) -> dict[str, set[str]]:
        hits: defaultdict[str, set[str]] = defaultdict(set)
        for breakpoint_id, task_id in self._execute(sql.threads.BREAKPOINT_HITS, (thread_id,)):
            hits[breakpoint_id].add(task_id)
        return dict(hits)

    def unsteered_runs(self, server_id: str) -> list[RunRecord]:
        return [
            rows.run_record(row) for row in self._execute(sql.runs.UNSTEERED_RUNS, (server_id,))
        ]

    def is_steered(self, run_id: str) -> bool:
        return self._execute(sql.runs.IS_STEERED, (run_id,)).fetchone() is not None

    def has_lost_run(self) -> bool:
        return self._execute(sql.leases.LOST_RUNS, (self.now(), 1)).fetchone() is not None

    def has_due_run(self) -> bool:
        now = self.now()
        return self._execute(sql.waiting.HAS_DUE_RUN, (now, now)).fetchone()[0] is not None

    def queued_runs(self, principal: str | None = None, *, most: int) -> int:
        if principal is None:
            found = self._execute(queue.COUNT_QUEUED, (most,))
        else:
            found = self._execute(queue.COUNT_QUEUED_OF, (principal, most))
        return int(found.fetchone()[0])

    def running_runs(self, principal: str) -> int:
        return int(self._execute(queue.COUNT_RUNNING_OF, (principal,)).fetchone()[0])

    def next_due_time(self, *, now: int) -> int | None:
        due: int | None = self._execute(sql.leases.NEXT_DUE_TIME, (now,)).fetchone()[0]
        return due

    def expired_threads(self, which: Expiry, *, limit: int, skip: int = 0) -> list[str]:
        select = self._selected(sql.threads.EXPIRED_THREADS[which.kept], "t")
        return [row[0] for row in self._execute(select, (which.before, limit, skip))]

    def unpruned_threads(self, *, limit: int, skip: int = 0) -> list[str]:
        select = self._selected(sql.threads.UNPRUNED_THREADS, "t")
        return [row[0] for row in self._execute(select, (limit, skip))]

    def untrimmed_runs(self, *, before: int, limit: int, skip: int = 0) -> list[RunRecord]:
        select = self._selected(sql.events.UNTRIMMED_RUNS, "r")
        return [rows.run_record(row) for row in self._execute(select, (before, limit, skip))]

    def extent(self, thread_id: str) -> Extent:
        return Extent(*self._execute(sql.threads.EXTENT, (thread_id,) * 4).fetchone())

    def thread_storage(self, thread_id: str) -> ThreadStorage:
        channels = self._execute(sql.threads.CHANNEL_AMOUNTS, (thread_id,))
        return ThreadStorage(
            checkpoints=self._amount(sql.threads.CHECKPOINT_AMOUNT, thread_id),
            channels={row[0]: Amount(int(row[1]), int(row[2])) for row in channels},
            writes=self._amount(sql.threads.WRITE_AMOUNT, thread_id),
            events=self._amount(sql.threads.EVENT_AMOUNT, thread_id),
            runs=int(self._execute(sql.threads.RUN_COUNT, (thread_id,)).fetchone()[0]),
        )

    def _amount(self, select: str, thread_id: str) -> Amount:
        count, size = self._execute(select, (thread_id,)).fetchone()
        return Amount(int(count), int(size))

    def open_pauses(self, thread_id: str) -> list[PauseRecord]:
        return self.pauses((thread_id,)).get(thread_id, [])

    def pauses(self, thread_ids: Sequence[str]) -> dict[str, list[PauseRecord]]:
        found: defaultdict[str, list[PauseRecord]] = defaultdict(list)
        for ids in in_parts(thread_ids):
            for row in self._execute(sql.pauses.open_pauses(len(ids)), ids):
                pause = rows.pause_record(row)
                found[pause.thread_id].append(pause)
        return dict(found)

    def pauses_of_tasks(self, thread_id: str, task_ids: Collection[str]) -> list[PauseRecord]:
        found: list[Row] = []
        for ids in in_parts(tuple(task_ids)):
            found += self._execute(sql.pauses.pauses_of_tasks(len(ids)), (thread_id, *ids))
        return [rows.pause_record(row) for row in found]

    def resumed_pauses(self, thread_id: str, checkpoint_id: str) -> list[PauseRecord]:
        cursor = self._execute(sql.pauses.RESUMED_PAUSES, (thread_id, checkpoint_id))
        return [rows.pause_record(row) for row in cursor]

    def standing_answers(self, thread_id: str, checkpoint_id: str) -> list[tuple[str, str]]:
        cursor = self._execute(sql.pauses.STANDING_ANSWERS, (thread_id, checkpoint_id))
        return [(row[0], row[1]) for row in cursor]

    def pauses_resolved_by(self, thread_id: str, run_id: str) -> list[PauseRecord]:
        rows_found = self._execute(sql.pauses.PAUSES_RESOLVED_BY, (thread_id, run_id))
        return [rows.pause_record(row) for row in rows_found]

    def pauses_of_run(self, run_id: str) -> list[PauseRecord]:
        cursor = self._execute(sql.pauses.PAUSES_OF_RUN, (run_id,))
        return [rows.pause_record(row) for row in cursor]

    def pause(self, pause_id: str) -> PauseRecord | None:
        row = self._execute(sql.pauses.PAUSE, (pause_id,)).fetchone()
        return None if row is None else rows.pause_record(row)

    def pause_called(self, thread_id: str, key: str) -> PauseRecord | None:
        # Postgres can't even be asked for such a key.
        if "\0" in key:
            return None
        row = self._execute(sql.pauses.PAUSE_CALLED, (thread_id, key, key)).fetchone()
        return None if row is None else rows.pause_record(row)

    def pauses_resumed_by(self, thread_id: str, run_id: str) -> list[PauseRecord]:
        cursor = self._execute(sql.pauses.PAUSES_RESUMED_BY, (thread_id, run_id))
        return [rows.pause_record(row) for row in cursor]

    def last_resolved_pause(self, thread_id: str) -> PauseRecord | None:
        row = self._execute(sql.pauses.LAST_RESOLVED_PAUSE, (thread_id,)).fetchone()
        return None if row is None else rows.pause_record(row)

    def list_pauses(
        self,
        which: PauseFilter,
        *,
        limit: int,
        after: PausePosition | None = None,
        ascending: bool = False,
    ) -> list[tuple[PausePosition, PauseRecord]]:
        wanted = (which.thread_id, which.assistant_id, which.node)
        if any("\0" in text for text in wanted):
            return []
        _check_objects(thread_metadata=which.thread_metadata)
        cursor = self._execute(
            *sql.pauses.list_pauses(which, limit=limit, after=after, ascending=ascending)
        )
        return [
            (PausePosition(pause.create_time, row[-1]), pause)
            for row in cursor
            for pause in (rows.pause_record(row),)
        ]

    def changes(self, *, after: ChangePlace, limit: int) -> ChangePage:
        parameters = (after.xid, after.number, limit, after.xid, limit, limit)
        cursor = self._execute(sql.changes.CHANGES, parameters)
        changes = tuple(rows.change_record(row) for row in cursor)
        removed = ChangePlace(*(self._execute(sql.changes.CHANGES_REMOVED).fetchone() or (0, 0)))
        ahead = self._execute(f"{sql.changes.CHANGES_AHEAD} LIMIT 1").fetchone()
        return ChangePage(changes, removed, more_soon=ahead is not None)

    def end_of_changes(self) -> LogEnd:
        last = self._execute(sql.changes.LAST_CHANGE).fetchone()
        removed = self._execute(sql.changes.CHANGES_REMOVED).fetchone()
        ahead = self._execute(sql.changes.CHANGES_AHEAD)
        place = max(ChangePlace(*(found or (0, 0))) for found in (last, removed))
        return LogEnd(place, frozenset(row[0] for row in ahead))

    def pauses_by_id(self, pause_ids: Sequence[str]) -> dict[str, PauseRecord]:
        return {
            row[0]: rows.pause_record(row)
            for ids in in_parts(pause_ids)
            for row in self._execute(sql.pauses.pauses_by_id(len(ids)), ids)
        }

    def runs_by_id(self, run_ids: Sequence[str]) -> dict[str, RunRecord]:
        return {
            row[0]: rows.run_record(row)
            for ids in in_parts(run_ids)
            for row in self._execute(sql.runs.runs_by_id(len(ids)), ids)
        }

    def threads_containing(
        self,
        thread_ids: Sequence[str],
        *,
        metadata: str | None,
        values: str | None,
        access: Access = ALL,
    ) -> set[str]:
        _check_objects(metadata=metadata, values=values)
        found: set[str] = set()
        for ids in in_parts(thread_ids):
            select = sql.threads.threads_containing(
                ids, metadata=metadata, values=values, access=access
            )
            found.update(row[0] for row in self._execute(*select))
        return found

    def belonging(
        self, *, thread_id: str = "", run_id: str = "", pause_id: str = ""
    ) -> Belonging | None:
        select, subject = sql.threads.THREAD_BELONGS, thread_id
        if run_id or pause_id:
            select, subject = (
                (sql.threads.RUN_BELONGS, run_id)
                if run_id
                else (sql.threads.PAUSE_BELONGS, pause_id)
            )
        row = self._execute(select, (subject,)).fetchone()
        return None if row is None else Belonging(*row)

    def belongings(
        self, *, thread_ids: Collection[str] = (), run_ids: Collection[str] = ()
    ) -> dict[str, Belonging]:
        found: dict[str, Belonging] = {}
        for ids in in_parts(tuple(dict.fromkeys(thread_ids))):
            for row in self._execute(sql.threads.threads_belong(len(ids)), ids):
                found[row[0]] = Belonging(*row)
        for ids in in_parts(tuple(dict.fromkeys(run_ids))):
            for *belonging, run_id in self._execute(sql.threads.runs_belong(len(ids)), ids):
                found[run_id] = Belonging(*belonging)
        return found

    def next_run(self, thread_id: str, *, after: int) -> Place | None:
        row = self._execute(sql.runs.NEXT_RUN, (thread_id, after)).fetchone()
        return None if row is None else Place(row[-1], rows.run_record(row))

    def last_place(self, thread_id: str) -> int:
        place: int | None = self._execute(sql.runs.LAST_PLACE, (thread_id, thread_id)).fetchone()[0]
        return place or 0

    def place_of(self, run_id: str) -> int:
        row = self._execute(sql.runs.PLACE_OF, (run_id,)).fetchone()
        return (row[0] or 0) if row is not None else 0

    def last_trimmed_place(self, thread_id: str) -> int:
        row = self._execute(sql.runs.LAST_TRIMMED_PLACE, (thread_id,)).fetchone()
        return row[0] if row is not None else 0

    def run_at(self, thread_id: str, place: int) -> RunRecord | None:
        row = self._execute(sql.runs.RUN_AT, (thread_id, place)).fetchone()
        return None if row is None else rows.run_record(row)

    def events(
        self, run_id: str, *, after: int, limit: int, max_bytes: int | None = None
    ) -> list[EventRecord]:
        if max_bytes is None:
            cursor = self._execute(sql.events.EVENTS, (run_id, after, limit))
        else:
            cursor = self._execute(sql.events.SOME_EVENTS, (run_id, after, limit, max_bytes))
        return [rows.event_record(row) for row in cursor]

    def request(self, principal: str, method: str, request_id: str) -> RequestRecord | None:
        row = self._execute(sql.requests.REQUEST, (principal, method, request_id)).fetchone()
        return None if row is None else rows.request_record(row)

    def _execute(self, statement: str, parameters: Parameters = ()) -> Cursor:
        return self._session.execute(statement, parameters)

    def _selected(self, select: str, tables: str) -> str:
        """Returns a SELECT of what is to be swept away; a transaction locks what it finds."""
        return select

    def _thread(self, select: str, thread_id: str, *, values: bool) -> ThreadRecord | None:
        row = self._execute(select, (thread_id,)).fetchone()
        if row is None:
            return None
        if not values:
            return rows.thread_record(row)
        # Apart, so that it is read after the thread is locked, where `select` locks it.
        state = self._execute(sql.threads.THREAD_STATE, (thread_id,)).fetchone()
        return rows.thread_record(row, values=None if state is None else state[0])

    def _run(self, select: str, run_id: str) -> RunRecord | None:
        row = self._execute(select, (run_id,)).fetchone()
        return None if row is None else rows.run_record(row)


def in_parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields ids in parts, each few enough for one statement."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[start : start + _IDS_AT_ONCE]


def _can_match(which: ThreadFilter) -> bool:
    """Keeps filters from the database that it would fail on, in the middle of a scan or at once.

    Raises:
        ValueError: What JSON is to contain is no JSON object.
    """
    _check_objects(**{"ThreadFilter.metadata": which.metadata, "ThreadFilter.values": which.values})
    # None is called so, and Postgres can't even be asked.
    return not any("\0" in name for name in (which.assistant_id, *which.thread_ids))


def _check_objects(**texts: str | None) -> None:
    """Raises ValueError if what JSON is to contain is no JSON object."""
    for name, text in texts.items():
        if text is not None and not isinstance(_parsed(text), dict):
            raise ValueError(f"{name} must be a JSON object, not {text!r:.80}")


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
