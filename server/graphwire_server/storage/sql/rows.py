"""Rows to records, and back: the order of their columns is that of the statements."""

from __future__ import annotations

import orjson

from graphwire_server.storage.access import Belonging
from graphwire_server.storage.records import (
    ChangeKind,
    ChangePlace,
    ChangeRecord,
    EventRecord,
    Failure,
    Lease,
    PauseKind,
    PauseRecord,
    PauseStatus,
    RequestRecord,
    RunRecord,
    RunStatus,
    ThreadRecord,
    ThreadStatus,
)
from graphwire_server.storage.sql.session import Row


def thread_row(thread: ThreadRecord) -> Row:
    """Returns a thread as a row of THREAD_COLUMNS."""
    return (
        thread.thread_id,
        thread.status,
        thread.assistant_id,
        thread.checkpoint_id,
        names_text(thread.next),
        thread.stateless,
        thread.create_time,
        thread.update_time,
        failure_text(thread.error),
        thread.metadata,
        thread.ttl,
        thread.breakpoints,
        thread.state_update_time,
        thread.graph_id,
        thread.owner,
    )


def thread_record(row: Row, values: str | None = None) -> ThreadRecord:
    """Returns the thread in a row of THREAD_COLUMNS."""
    return ThreadRecord(
        thread_id=row[0],
        status=ThreadStatus(row[1]),
        assistant_id=row[2],
        checkpoint_id=row[3],
        next=_names(row[4]),
        stateless=bool(row[5]),
        create_time=row[6],
        update_time=row[7],
        error=_failure(row[8]),
        metadata=row[9],
        ttl=row[10],
        breakpoints=row[11],
        state_update_time=row[12],
        graph_id=row[13],
        owner=row[14],
        values=values,
    )


def run_row(run: RunRecord) -> Row:
    """Returns a run as a row of RUN_COLUMNS."""
    return (
        run.run_id,
        run.thread_id,
        run.assistant_id,
        run.status,
        run.create_time,
        run.due_time,
        run.start_time,
        run.end_time,
        run.resumed_run_id,
        run.resumed_by_run_id,
        run.last_sequence,
        run.cancel_requested,
        run.checkpoint_id,
        run.lease.server_id if run.lease else "",
        run.lease.epoch if run.lease else 0,
        run.attempt,
        run.losses,
        run.absorbed,
        failure_text(run.error),
        run.metadata,
        run.oldest_sequence,
        run.pause_requested,
        run.steering,
        run.rolled_back,
        run.discards,
        run.principal,
    )


def run_record(row: Row) -> RunRecord:
    """Returns the run in a row of RUN_COLUMNS and BODY_COLUMNS."""
    return RunRecord(
        run_id=row[0],
        thread_id=row[1],
        assistant_id=row[2],
        status=RunStatus(row[3]),
        create_time=row[4],
        due_time=row[5],
        start_time=row[6],
        end_time=row[7],
        resumed_run_id=row[8],
        resumed_by_run_id=row[9],
        last_sequence=row[10],
        cancel_requested=bool(row[11]),
        checkpoint_id=row[12],
        lease=Lease(row[13], row[14]) if row[13] else None,
        attempt=row[15],
        losses=row[16],
        absorbed=bool(row[17]),
        error=_failure(row[18]),
        metadata=row[19],
        oldest_sequence=row[20],
        pause_requested=bool(row[21]),
        steering=row[22],
        rolled_back=bool(row[23]),
        discards=bool(row[24]),
        principal=row[25],
        spec=row[26],
        breakpoints=row[27],
    )


def event_row(event: EventRecord) -> Row:
    """Returns an event as a row."""
    return (event.run_id, event.sequence, event.data)


def event_record(row: Row) -> EventRecord:
    """Returns the event in a row."""
    return EventRecord(run_id=row[0], sequence=row[1], data=row[2])


def pause_row(pause: PauseRecord) -> Row:
    """Returns a pause as a row of PAUSE_COLUMNS."""
    return (
        pause.pause_id,
        pause.thread_id,
        pause.run_id,
        pause.kind,
        pause.node,
        names_text(pause.namespace),
        pause.checkpoint_id,
        pause.create_time,
        pause.interrupt_id,
        pause.task_id,
        pause.status,
        pause.resolved_by_run_id,
        pause.resolve_time,
        pause.value,
        pause.response_schema,
        pause.answer,
        pause.assistant_id,
        pause.breakpoints,
        pause.tool_calls,
        pause.expire_time,
        pause.on_expiry,
        pause.expiry_message,
        pause.principal,
        pause.answered_by,
        pause.expired,
        pause.review,
        pause.task_input,
    )


def pause_record(row: Row) -> PauseRecord:
    """Returns the pause in a row of PAUSE_COLUMNS."""
    return PauseRecord(
        pause_id=row[0],
        thread_id=row[1],
        run_id=row[2],
        kind=PauseKind(row[3]),
        node=row[4],
        namespace=_names(row[5]),
        checkpoint_id=row[6],
        create_time=row[7],
        interrupt_id=row[8],
        task_id=row[9],
        status=PauseStatus(row[10]),
        resolved_by_run_id=row[11],
        resolve_time=row[12],
        value=row[13],
        response_schema=row[14],
        answer=row[15],
        assistant_id=row[16],
        breakpoints=row[17],
        tool_calls=row[18],
        expire_time=row[19],
        on_expiry=row[20],
        expiry_message=row[21],
        principal=row[22],
        answered_by=row[23],
        expired=bool(row[24]),
        review=row[25],
        task_input=row[26],
    )


def change_record(row: Row) -> ChangeRecord:
    """Returns the change in a row."""
    xid, number, time, kind, subject, belonged = row
    belonging = Belonging(subject, *orjson.loads(belonged)) if belonged else None
    return ChangeRecord(ChangePlace(xid, number), ChangeKind(kind), time, subject, belonging)


def belonging_text(belonging: Belonging) -> str:
    """Returns whose a thread was, as it is kept with a change."""
    return orjson.dumps([belonging.owner, belonging.metadata]).decode()


def request_row(request: RequestRecord) -> Row:
    """Returns a request_id as a row of REQUEST_COLUMNS."""
    return (
        request.principal,
        request.method,
        request.request_id,
        request.fingerprint,
        request.subject,
        request.create_time,
    )


def request_record(row: Row) -> RequestRecord:
    """Returns the request_id in a row of REQUEST_COLUMNS."""
    return RequestRecord(
        principal=row[0],
        method=row[1],
        request_id=row[2],
        fingerprint=row[3],
        subject=row[4],
        create_time=row[5],
    )


def names_text(names: tuple[str, ...]) -> str:
    """Returns names as the JSON array that is stored."""
    return orjson.dumps(names).decode()


def failure_text(failure: Failure | None) -> str | None:
    """Returns a failure as the JSON object that is stored: its attributes by name."""
    return None if failure is None else orjson.dumps(failure).decode()


def _names(text: str) -> tuple[str, ...]:
    return tuple(orjson.loads(text))


def _failure(text: str | None) -> Failure | None:
    if text is None:
        return None
    fields = orjson.loads(text)
    return Failure(
        type=fields["type"],
        message=fields["message"],
        node=fields["node"],
        namespace=tuple(fields["namespace"]),
    )
