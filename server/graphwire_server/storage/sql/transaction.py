"""The writes of one transaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence

from graphwire_server.storage.checkpoints.tables import CheckpointWrites
from graphwire_server.storage.interface import LeaseLostError, thread_topic
from graphwire_server.storage.records import (
    TRANSITIONS,
    ChangeKind,
    EventRecord,
    Failure,
    Inheritance,
    Lease,
    PauseRecord,
    PauseStatus,
    RequestRecord,
    RunRecord,
    RunStatus,
    TakenOver,
    ThreadRecord,
    ThreadStatus,
)
from graphwire_server.storage.sql import queue, rows
from graphwire_server.storage.sql import statements as sql
from graphwire_server.storage.sql.assistants import AssistantWrites
from graphwire_server.storage.sql.changes import Changes
from graphwire_server.storage.sql.reader import SqlReader, in_parts
from graphwire_server.storage.sql.session import Parameters, Session
from graphwire_server.storage.sql.webhooks import INSERT_WEBHOOK, WebhookWrites, webhook_row
from graphwire_server.storage.webhooks import WEBHOOKS, WebhookRecord

_LOCKED_THREAD = sql.locked(sql.threads.THREAD, "t")
_LOCKED_THREAD_OF_RUN = sql.locked(sql.runs.THREAD_OF_RUN, "t")
_LOCKED_RUN = sql.locked(sql.runs.RUN, "r")
# A thread that somebody is deciding on is left alone: its runs can be claimed afterwards.
_LOCKED_DUE_RUNS = sql.locked(sql.leases.DUE_RUNS, "r, t", skip=True)
_LOCKED_TIMELY_RUNS = sql.locked(sql.waiting.TIMELY_RUNS, "r, t", skip=True)
_LOCKED_LOST_RUNS = sql.locked(sql.leases.LOST_RUNS, "r", skip=True)

#: How many runs a claim puts into the queue at most because their time has come.
_MOST_TIMELY = 2000


class SqlTransaction(SqlReader, CheckpointWrites, AssistantWrites, WebhookWrites):
    """`Transaction` in the transaction of a session.

    Attributes:
        events_added: How many events were added that are kept.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._locks = session.locks_rows
        self._left: set[str] = set()
        self._more_timely = False
        self._changes = Changes()
        self._added = 0
        self.events_added = 0

    def settle(self, *, kept: bool) -> None:
        """Notes that a work is over, and whether what it did is kept."""
        self._changes.settle(kept=kept)
        if kept:
            self.events_added += self._added
        self._added = 0

    def write_changes(self) -> Collection[str]:
        """Adds what all works have changed to the log; returns what is to be announced.

        To be called once, before the commit.
        """
        for changes in self._changes.in_parts():
            parameters = [value for change in changes for value in change]
            self._execute(sql.changes.insert_changes(len(changes)), parameters)
        return self._changes.topics

    def thread(self, thread_id: str, *, values: bool = False) -> ThreadRecord | None:
        select = _LOCKED_THREAD if self._locks else sql.threads.THREAD
        return self._thread(select, thread_id, values=values)

    def run(self, run_id: str) -> RunRecord | None:
        return self._run(_LOCKED_RUN if self._locks else sql.runs.RUN, run_id)

    def join_servers(self, server_id: str, *, ttl: int) -> None:
        now = self.now()
        # Those that have lapsed never come back, so nobody asks for them again.
        self._execute(sql.leases.FORGET_SERVERS, (now,))
        self._execute(sql.leases.JOIN_SERVERS, (server_id, now + ttl))
        if self._locks:
            # Servers before version 14 of the schema may have been at work until now.
            self._execute(sql.waiting.LET_GO_FORGOTTEN)

    def renew_server(self, server_id: str, *, ttl: int) -> bool:
        now = self.now()
        return self._execute(sql.leases.RENEW_SERVER, (now + ttl, server_id, now)).rowcount == 1

    def leave_servers(self, server_id: str) -> None:
        self._execute(sql.leases.LEAVE_SERVERS, (server_id,))

    def claim_due(
        self, server_id: str, *, limit: int, most_of_one: int = 0, after: str = ""
    ) -> list[RunRecord]:
        now = self._now_while_alive(server_id)
        self._see_to_timely(now)
        run_ids = self._due(now, limit=limit, most_of_one=most_of_one, after=after)
        for ids in in_parts(run_ids):
            self._execute(sql.leases.take_due(len(ids)), (server_id, now, now, *ids))
        taken = self._taken(server_id, run_ids)
        for ids in in_parts([run.run_id for run in taken]):
            self._execute(sql.leases.take_threads(len(ids)), ids)
        for run in taken:
            self._changes.note(ChangeKind.RUN_STARTED, run.run_id, now, thread_topic(run.thread_id))
        return taken

    @property
    def claim_is_open(self) -> bool:
        return bool(self._left) or self._more_timely

    def may_run(self, principal: str, *, most: int) -> bool:
        return bool(queue.may_run(self._execute, principal, most=most, locks=self._locks))

    def claim_lost(self, server_id: str, *, limit: int) -> list[TakenOver]:
        now = self._now_while_alive(server_id)
        select = _LOCKED_LOST_RUNS if self._locks else sql.leases.LOST_RUNS
        handed_back = {row[0]: bool(row[1]) for row in self._execute(select, (now, limit))}
        run_ids = list(handed_back)
        for ids in in_parts(run_ids):
            self._execute(sql.leases.take_lost(len(ids)), (server_id, now, *ids))
        taken = self._taken(server_id, run_ids)
        return [TakenOver(run, handed_back[run.run_id]) for run in taken]

    def hold(
        self,
        run_id: str,
        lease: Lease,
        *,
        events: Sequence[EventRecord] = (),
        absorbs: bool = False,
    ) -> None:
        last = events[-1].sequence if events else 0
        parameters = (last, last, absorbs, run_id, lease.server_id, lease.epoch)
        if self._execute(sql.leases.HOLD, parameters).rowcount == 0:
            raise LeaseLostError(
                f"the server {lease.server_id} does not hold the run {run_id} any more, "
                f"which it had as epoch {lease.epoch}"
            )
        self._insert_events(events)

    def forget_losses(self, run_id: str) -> None:
        self._execute(sql.leases.FORGET_LOSSES, (run_id,))

    def hand_back(self, run_id: str, lease: Lease, *, lost: bool = False) -> bool:
        parameters = (int(lost), run_id, lease.server_id, lease.epoch)
        return self._execute(sql.leases.HAND_BACK, parameters).rowcount == 1

    def insert_thread(self, thread: ThreadRecord) -> None:
        self._execute(sql.threads.INSERT_THREAD, rows.thread_row(thread))
        if thread.values is not None:
            self._execute(sql.threads.PUT_THREAD_STATE, (thread.thread_id, thread.values))

    def update_thread(
        self,
        thread_id: str,
        *,
        now: int,
        status: ThreadStatus | None = None,
        metadata: str | None = None,
        assistant_id: str | None = None,
        graph_id: str | None = None,
        head: tuple[str, tuple[str, ...], str | None] | None = None,
        error: Failure | None = None,
        ttl: int | None = None,
        breakpoints: str | None = None,
    ) -> None:
        changes: dict[str, object] = {"update_time": now}
        if status is not None:
            changes |= {"status": status, "error": rows.failure_text(error)}
        if metadata is not None:
            changes["metadata"] = metadata
            # Who follows it may be somebody who may not see it any more.
            self._changes.announce(thread_topic(thread_id))
        if assistant_id is not None:
            changes["assistant_id"] = assistant_id
        if graph_id is not None:
            changes["graph_id"] = graph_id
        if head is not None:
            changes |= {"checkpoint_id": head[0], "next_nodes": rows.names_text(head[1])}
            changes |= {"unpruned": True, "state_update_time": now}
        if ttl is not None:
            changes["ttl"] = ttl
        if breakpoints is not None:
            changes["breakpoints"] = breakpoints
        statement = sql.threads.update_thread(tuple(changes))
        found = self._execute(statement, (*changes.values(), thread_id)).fetchall()
        if not found:
            return
        if head is not None:
            self._put_thread_state(thread_id, head[2])
        if status is ThreadStatus.INTERRUPTED:
            if self._execute(sql.waiting.HOLD_BACK, (thread_id,)).rowcount:
                self._execute(sql.waiting.HOLDS_BACK, (True, thread_id))
        elif status is not None and found[0][0]:
            self._execute(sql.waiting.LET_GO, (thread_id,))
            self._execute(sql.waiting.HOLDS_BACK, (False, thread_id))

    def delete_thread(self, thread_id: str) -> bool:
        self.delete_checkpoints(thread_id)
        self._changes.announce(thread_topic(thread_id))
        found = self.belonging(thread_id=thread_id)
        if found is not None and self.open_pauses(thread_id):
            belonged = rows.belonging_text(found)
            self._changes.note(ChangeKind.PAUSES_DELETED, thread_id, self.now(), belonged=belonged)
        return self._execute(sql.threads.DELETE_THREAD, (thread_id,)).rowcount == 1

    def put_inheritance(self, thread_id: str, inheritance: Inheritance) -> None:
        rest = (inheritance.spec, inheritance.breakpoints, inheritance.assistant_id)
        self._execute(sql.threads.PUT_INHERITANCE, (thread_id, inheritance.start_time, *rest))

    def copy_thread(self, thread_id: str, copy: ThreadRecord, pause_ids: Callable[[], str]) -> None:
        self.insert_thread(copy)
        self._execute(sql.copies.COPY_UNPRUNED, (thread_id, copy.thread_id))
        self._execute(sql.copies.COPY_STATE, (copy.thread_id, thread_id))
        self._execute(sql.copies.COPY_HITS, (copy.thread_id, thread_id))
        self.copy_checkpoints(thread_id, copy.thread_id)
        self._execute(sql.copies.FORGET_MAKERS, (copy.thread_id,))
        resolved = self._execute(sql.copies.RESOLVED_PAUSES, (thread_id,)).fetchall()
        if resolved:
            copies = [(pause_ids(), *(copy.thread_id,) * 2, row[0]) for row in resolved]
            self._execute_many(sql.copies.COPY_PAUSE, copies)

    def mark_pruned(self, thread_id: str) -> None:
        self._execute(sql.threads.MARK_PRUNED, (thread_id,))

    def insert_run(self, run: RunRecord, events: Sequence[EventRecord] = ()) -> None:
        row = rows.run_row(run)
        if run.status is RunStatus.PENDING:
            waiting = (run.due_time, run.thread_id, run.discards)
            ((waits_for,),) = self._execute(sql.runs.INSERT_RUN, (*row, *waiting)).fetchall()
            if waits_for == "THREAD":
                self._execute(sql.waiting.HOLDS_BACK, (True, run.thread_id))
        else:
            self._execute(sql.runs.INSERT_BEGUN_RUN, (*row, run.thread_id, run.thread_id))
        if run.status is RunStatus.RUNNING:
            began = run.start_time or run.create_time
            topic = thread_topic(run.thread_id)
            self._changes.note(ChangeKind.RUN_STARTED, run.run_id, began, topic)
        self._execute(sql.runs.INSERT_RUN_BODY, (run.run_id, run.spec, run.breakpoints))
        self._insert_events(events)

    def change_run(
        self,
        run_id: str,
        to: RunStatus,
        *,
        now: int,
        error: Failure | None = None,
        checkpoint_id: str = "",
        rolled_back: bool = False,
    ) -> bool:
        parameters = (to, rows.failure_text(error), checkpoint_id, rolled_back, now, run_id)
        kind = ChangeKind.RUN_ENDED if to.ended else ChangeKind.RUN_STARTED
        # First what happens nearly always, and needs no place in the thread.
        for origin in (RunStatus.RUNNING, RunStatus.PENDING):
            if to not in TRANSITIONS[origin]:
                continue
            begins = origin is RunStatus.PENDING
            topics = [thread_topic(self._thread_of(run_id))] if begins else []
            statement = sql.runs.change_run(ends=to.ended, begins=begins)
            if self._execute(statement, (*parameters, origin)).rowcount == 1:
                self._changes.note(kind, run_id, now, *topics)
                return True
        return False

    def request_cancel(self, run_id: str, *, abandon: bool = False, rollback: bool = False) -> None:
        self._execute(sql.runs.REQUEST_CANCEL, (abandon, rollback, run_id))

    def let_discard(self, run_id: str) -> None:
        self._execute(sql.runs.LET_DISCARD, (run_id,))

    def change_spec(self, run_id: str, spec: str) -> None:
        self._execute(sql.runs.CHANGE_SPEC, (spec, run_id))

    def request_pause(self, run_id: str) -> None:
        self._execute(sql.runs.REQUEST_PAUSE, (run_id,))

    def set_run_breakpoints(self, run_id: str, breakpoints: str) -> None:
        self._execute(sql.runs.SET_RUN_BREAKPOINTS, (breakpoints, run_id))
        self._execute(sql.runs.RAISE_STEERING, (run_id,))

    def confirm_steering(self, run_id: str, steering: int) -> None:
        self._execute(sql.runs.CONFIRM_STEERING, (steering, run_id, steering))

    def insert_breakpoint_hits(self, thread_id: str, hits: Collection[tuple[str, str]]) -> None:
        if hits:
            self._execute_many(
                sql.threads.INSERT_BREAKPOINT_HIT, [(thread_id, *hit) for hit in hits]
            )

    def forget_breakpoint_hits(self, thread_id: str, *, keep: Collection[str]) -> None:
        prefixes = [f"{each}/" for each in keep]
        parameters = [value for prefix in prefixes for value in (len(prefix), prefix)]
        self._execute(sql.threads.forget_breakpoint_hits(len(prefixes)), (thread_id, *parameters))

    def link_resume(self, run_id: str, *, resumed_by_run_id: str) -> None:
        self._execute(sql.runs.LINK_RESUME, (resumed_by_run_id, run_id))

    def delete_run(self, run_id: str) -> bool:
        self._execute(sql.pauses.LET_ANSWERS_STAND, (run_id, run_id))
        self._execute(sql.runs.NOTE_REMOVED_PLACE, (run_id,))
        return self._execute(sql.runs.DELETE_RUN, (run_id,)).rowcount == 1

    def insert_pauses(self, pauses: Sequence[PauseRecord], *, now: int | None = None) -> None:
        if pauses:
            inserted = [(*rows.pause_row(pause), pause.thread_id) for pause in pauses]
            self._execute_many(sql.pauses.INSERT_PAUSE, inserted)
        for pause in pauses:
            if pause.status is PauseStatus.OPEN:
                time = pause.create_time if now is None else now
                self._changes.note(ChangeKind.PAUSED, pause.pause_id, time)

    def resolve_pause(
        self,
        pause_id: str,
        to: PauseStatus,
        *,
        now: int,
        by_run_id: str = "",
        answer: str | None = None,
        principal: str = "",
        answered_by: str = "",
        expired: bool = False,
        review: str | None = None,
    ) -> bool:
        if to is PauseStatus.OPEN:
            raise ValueError("a pause is resolved to RESUMED, SUPERSEDED or CANCELLED, not to OPEN")
        who = (principal, answered_by, expired, review)
        parameters = (to, now, by_run_id, answer, *who, pause_id)
        resolved = self._execute(sql.pauses.RESOLVE_PAUSE, parameters).rowcount == 1
        if resolved:
            self._changes.note(ChangeKind.PAUSE_RESOLVED, pause_id, now)
        return resolved

    def remove_changes(self, *, before: int, limit: int) -> int:
        found = self._execute(sql.changes.OLDEST_CHANGES, (limit, before)).fetchall()
        if not found:
            return 0
        removed = 0
        for numbers in in_parts([row[1] for row in found]):
            removed += self._execute(sql.changes.remove_changes(len(numbers)), numbers).rowcount
        xid, number = max(tuple(row) for row in found)
        self._execute(sql.changes.FORGET_CHANGES_REMOVED, (xid, number))
        self._execute(sql.changes.NOTE_CHANGES_REMOVED, (xid, number))
        return removed

    def take_back_resumed(self, thread_id: str, run_id: str) -> None:
        now = self.now()
        for pause in self.pauses_resumed_by(thread_id, run_id):
            self._changes.note(ChangeKind.PAUSE_RESOLVED, pause.pause_id, now)
        self._execute(sql.pauses.TAKE_BACK_RESUMED, (thread_id, run_id))

    def append_events(self, events: Sequence[EventRecord]) -> None:
        self._insert_events(events)
        last: dict[str, int] = {}
        for event in events:
            last[event.run_id] = max(event.sequence, last.get(event.run_id, 0))
        for run_id, sequence in last.items():
            self._execute(sql.events.RAISE_LAST_SEQUENCE, (sequence, run_id, sequence))

    def remove_events(self, run_id: str, *, below: int, trimmed: bool) -> None:
        self._execute(sql.events.REMOVE_EVENTS, (run_id, below))
        self._execute(sql.events.NOTE_OLDEST, (below, trimmed, run_id))

    def insert_request(self, request: RequestRecord) -> None:
        self._execute(sql.requests.INSERT_REQUEST, rows.request_row(request))

    def insert_webhook(self, webhook: WebhookRecord) -> None:
        self._execute(INSERT_WEBHOOK, webhook_row(webhook))
        self._changes.announce(WEBHOOKS)

    def forget_requests(self, *, before: int) -> int:
        return self._execute(sql.requests.FORGET_REQUESTS, (before,)).rowcount

    def _see_to_timely(self, now: int) -> None:
        """Puts runs whose time has come into the queue, as far as their threads don't wait."""
        select = _LOCKED_TIMELY_RUNS if self._locks else sql.waiting.TIMELY_RUNS
        found = self._execute(select, (now, _MOST_TIMELY)).fetchall()
        self._more_timely = len(found) == _MOST_TIMELY
        if found:
            waits = [("THREAD" if held else "", number) for number, _, held in found]
            self._execute_many(sql.waiting.WAIT_FOR, waits)
        holding = sorted({thread_id for _, thread_id, held in found if held})
        if holding:
            self._execute_many(sql.waiting.HOLDS_BACK, [(True, thread_id) for thread_id in holding])

    def _due(self, now: int, *, limit: int, most_of_one: int, after: str) -> list[str]:
        """Returns the runs that are to start next."""
        self._left.clear()
        some = self._execute(queue.QUEUED_PRINCIPALS, (2,)).fetchall()
        if len(some) == 1 and not most_of_one:
            # Nobody else waits: in the order of their numbers.
            select = _LOCKED_DUE_RUNS if self._locks else sql.leases.DUE_RUNS
            return [row[0] for row in self._execute(select, (now, limit))]
        running = queue.at_work(self._execute)
        full = {who for who, runs in running.items() if most_of_one and runs >= most_of_one}
        waiting = queue.waiting_principals(self._execute, now=now, after=after, full=full)
        in_turn = queue.next_in_turn(
            self._execute,
            waiting,
            running,
            now=now,
            most=most_of_one,
            locks=self._locks,
            left=self._left,
        )
        taken = list(itertools.islice(in_turn, limit))
        if len(some) > 1:
            self._execute(queue.FORGET_TURNS, (now - queue.TURNS_KEPT,))
            # Also within one claim some come before others: who got the last slot is behind.
            served = {principal: now + place for place, (principal, _) in enumerate(taken)}
            # In one order everywhere, so that nobody waits for somebody who waits for him.
            self._execute_many(queue.NOTE_TURN, sorted(served.items()))
        return [run_id for _, run_id in taken]

    def _thread_of(self, run_id: str) -> str:
        """Returns the thread of a run, and keeps others from giving its runs their places."""
        select = _LOCKED_THREAD_OF_RUN if self._locks else sql.runs.THREAD_OF_RUN
        row = self._execute(select, (run_id,)).fetchone()
        return row[0] if row is not None else ""

    def _insert_events(self, events: Sequence[EventRecord]) -> None:
        if events:
            self._added += len(events)
            self._execute_many(sql.events.INSERT_EVENT, [rows.event_row(event) for event in events])

    def _selected(self, select: str, tables: str) -> str:
        return sql.locked(select, tables, skip=True) if self._locks else select

    def _put_thread_state(self, thread_id: str, values: str | None) -> None:
        if values is None:
            self._execute(sql.threads.DELETE_THREAD_STATE, (thread_id,))
        else:
            self._execute(sql.threads.PUT_THREAD_STATE, (thread_id, values))

    def _execute_many(self, statement: str, rows: Sequence[Parameters]) -> None:
        self._session.execute_many(statement, rows)

    def _now_while_alive(self, server_id: str) -> int:
        now = self.now()
        if self._execute(sql.leases.SERVER_IS_ALIVE, (server_id, now)).fetchone() is None:
            raise LeaseLostError(f"the lease of the server {server_id} has lapsed")
        return now

    def _taken(self, server_id: str, run_ids: Sequence[str]) -> list[RunRecord]:
        return [
            rows.run_record(row)
            for ids in in_parts(run_ids)
            for row in self._execute(sql.leases.taken_runs(len(ids)), (server_id, *ids))
        ]
