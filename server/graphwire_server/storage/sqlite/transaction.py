"""The reads and writes of one transaction, over a sqlite3 connection."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from graphwire_server.storage.records import (
    TRANSITIONS,
    EventRecord,
    Failure,
    PauseRecord,
    PauseStatus,
    Position,
    RequestRecord,
    RunRecord,
    RunStatus,
    ThreadFilter,
    ThreadRecord,
    ThreadStatus,
)
from graphwire_server.storage.sqlite import rows
from graphwire_server.storage.sqlite import statements as sql
from graphwire_server.storage.sqlite.errors import unusable

#: The most ids in one statement; SQLite allows some thousands.
_IDS_AT_ONCE = 500


class SqliteReader:
    """`Reader` in the transaction that its connection has open."""

    def __init__(self, sqlite: sqlite3.Connection, path: Path) -> None:
        self._sqlite = sqlite
        self._path = path

    def thread(self, thread_id: str) -> ThreadRecord | None:
        row = self._execute(sql.THREAD, (thread_id,)).fetchone()
        return None if row is None else rows.thread_record(row)

    def threads(
        self, which: ThreadFilter, *, limit: int, after: Position | None = None
    ) -> list[ThreadRecord]:
        _check(which)
        cursor = self._execute(*sql.list_threads(which, limit=limit, after=after))
        return [rows.thread_record(row) for row in cursor]

    def count_threads(self, which: ThreadFilter) -> int:
        _check(which)
        return int(self._execute(*sql.count_threads(which)).fetchone()[0])

    def run(self, run_id: str) -> RunRecord | None:
        row = self._execute(sql.RUN, (run_id,)).fetchone()
        return None if row is None else rows.run_record(row)

    def runs(
        self,
        thread_id: str,
        *,
        statuses: Sequence[RunStatus] = (),
        limit: int,
        after: Position | None = None,
    ) -> list[RunRecord]:
        cursor = self._execute(*sql.list_runs(thread_id, statuses, limit=limit, after=after))
        return [rows.run_record(row) for row in cursor]

    def active_runs(self, thread_id: str) -> list[RunRecord]:
        cursor = self._execute(sql.ACTIVE_RUNS, (thread_id, thread_id))
        return [rows.run_record(row) for row in cursor]

    def last_run(self, thread_id: str) -> RunRecord | None:
        row = self._execute(sql.LAST_RUN, (thread_id,)).fetchone()
        return None if row is None else rows.run_record(row)

    def running_runs(self) -> list[RunRecord]:
        return [rows.run_record(row) for row in self._execute(sql.RUNNING_RUNS)]

    def startable_runs(self, *, now: int, limit: int) -> list[str]:
        return [row[0] for row in self._execute(sql.STARTABLE_RUNS, (now, limit))]

    def next_due_time(self, *, now: int) -> int | None:
        due: int | None = self._execute(sql.NEXT_DUE_TIME, (now,)).fetchone()[0]
        return due

    def expired_stateless_threads(self, *, before: int, limit: int) -> list[str]:
        cursor = self._execute(sql.EXPIRED_STATELESS_THREADS, (before, limit))
        return [row[0] for row in cursor]

    def open_pauses(self, thread_id: str) -> list[PauseRecord]:
        return self.pauses((thread_id,)).get(thread_id, [])

    def pauses(self, thread_ids: Sequence[str]) -> dict[str, list[PauseRecord]]:
        found: defaultdict[str, list[PauseRecord]] = defaultdict(list)
        for start in range(0, len(thread_ids), _IDS_AT_ONCE):
            ids = thread_ids[start : start + _IDS_AT_ONCE]
            for row in self._execute(sql.open_pauses(len(ids)), ids):
                pause = rows.pause_record(row)
                found[pause.thread_id].append(pause)
        return dict(found)

    def pauses_at(self, thread_id: str, checkpoint_id: str) -> list[PauseRecord]:
        cursor = self._execute(sql.PAUSES_AT, (thread_id, checkpoint_id))
        return [rows.pause_record(row) for row in cursor]

    def pauses_of_run(self, run_id: str) -> list[PauseRecord]:
        cursor = self._execute(sql.PAUSES_OF_RUN, (run_id,))
        return [rows.pause_record(row) for row in cursor]

    def events(self, run_id: str, *, after: int, limit: int) -> list[EventRecord]:
        cursor = self._execute(sql.EVENTS, (run_id, after, limit))
        return [rows.event_record(row) for row in cursor]

    def request(self, principal: str, method: str, request_id: str) -> RequestRecord | None:
        row = self._execute(sql.REQUEST, (principal, method, request_id)).fetchone()
        return None if row is None else rows.request_record(row)

    def _execute(self, statement: str, parameters: sql.Parameters = ()) -> sqlite3.Cursor:
        self._check_transaction()
        return self._sqlite.execute(statement, parameters)

    def _check_transaction(self) -> None:
        """Refuses to go on outside a transaction, where each statement would be kept.

        SQLite ends a transaction by itself when the disk is full, for one.
        """
        if not self._sqlite.in_transaction:
            raise unusable(self._path, "the transaction is over")


class SqliteTransaction(SqliteReader):
    """`Transaction` in the transaction that its connection has open."""

    def insert_thread(self, thread: ThreadRecord) -> None:
        self._execute(sql.INSERT_THREAD, rows.thread_row(thread))
        if thread.values is not None:
            self._execute(sql.PUT_THREAD_STATE, (thread.thread_id, thread.values))

    def update_thread(
        self,
        thread_id: str,
        *,
        now: int,
        status: ThreadStatus | None = None,
        metadata: str | None = None,
        assistant_id: str | None = None,
        head: tuple[str, tuple[str, ...], str | None] | None = None,
        error: Failure | None = None,
    ) -> None:
        changes: dict[str, object] = {"update_time": now}
        if status is not None:
            changes |= {"status": status, "error": rows.failure_text(error)}
        if metadata is not None:
            changes["metadata"] = metadata
        if assistant_id is not None:
            changes["assistant_id"] = assistant_id
        if head is not None:
            changes |= {"checkpoint_id": head[0], "next_nodes": rows.names_text(head[1])}
        statement = sql.update_thread(tuple(changes))
        found = self._execute(statement, (*changes.values(), thread_id)).rowcount
        if found and head is not None:
            self._put_thread_state(thread_id, head[2])

    def delete_thread(self, thread_id: str) -> bool:
        return self._execute(sql.DELETE_THREAD, (thread_id,)).rowcount == 1

    def insert_run(self, run: RunRecord) -> None:
        self._execute(sql.INSERT_RUN, rows.run_row(run))
        self._execute(sql.INSERT_RUN_BODY, (run.run_id, run.spec))

    def change_run(
        self,
        run_id: str,
        to: RunStatus,
        *,
        now: int,
        error: Failure | None = None,
        checkpoint_id: str = "",
    ) -> bool:
        origins = [status for status, targets in TRANSITIONS.items() if to in targets]
        if not origins:
            return False
        statement = sql.change_run("end_time" if to.ended else "start_time", origins=len(origins))
        parameters = (to, rows.failure_text(error), checkpoint_id, now, run_id, *origins)
        return self._execute(statement, parameters).rowcount == 1

    def request_cancel(self, run_id: str) -> None:
        self._execute(sql.REQUEST_CANCEL, (run_id,))

    def link_resume(self, run_id: str, *, resumed_by_run_id: str) -> None:
        self._execute(sql.LINK_RESUME, (resumed_by_run_id, run_id))

    def delete_run(self, run_id: str) -> bool:
        return self._execute(sql.DELETE_RUN, (run_id,)).rowcount == 1

    def insert_pauses(self, pauses: Iterable[PauseRecord]) -> None:
        for pause in pauses:
            self._execute(sql.INSERT_PAUSE, rows.pause_row(pause))

    def resolve_pause(
        self,
        pause_id: str,
        to: PauseStatus,
        *,
        now: int,
        by_run_id: str = "",
        answer: str | None = None,
    ) -> bool:
        if to is PauseStatus.OPEN:
            raise ValueError("a pause is resolved to RESUMED or SUPERSEDED, not to OPEN")
        parameters = (to, now, by_run_id, answer, pause_id)
        return self._execute(sql.RESOLVE_PAUSE, parameters).rowcount == 1

    def append_events(self, events: Iterable[EventRecord]) -> None:
        last: dict[str, int] = {}
        batch: list[rows.Row] = []
        for event in events:
            batch.append(rows.event_row(event))
            last[event.run_id] = max(event.sequence, last.get(event.run_id, 0))
        self._check_transaction()
        self._sqlite.executemany(sql.INSERT_EVENT, batch)
        for run_id, sequence in last.items():
            self._execute(sql.RAISE_LAST_SEQUENCE, (sequence, run_id, sequence))

    def insert_request(self, request: RequestRecord) -> None:
        self._execute(sql.INSERT_REQUEST, rows.request_row(request))

    def forget_requests(self, *, before: int) -> int:
        return self._execute(sql.FORGET_REQUESTS, (before,)).rowcount

    def _put_thread_state(self, thread_id: str, values: str | None) -> None:
        if values is None:
            self._execute(sql.DELETE_THREAD_STATE, (thread_id,))
        else:
            self._execute(sql.PUT_THREAD_STATE, (thread_id, values))


def _check(which: ThreadFilter) -> None:
    """Refuses filters that the database would fail on in the middle of a scan."""
    for name, text in (("metadata", which.metadata), ("values", which.values)):
        if text is not None and not isinstance(_parsed(text), dict):
            raise ValueError(f"ThreadFilter.{name} must be a JSON object, not {text!r:.80}")


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
