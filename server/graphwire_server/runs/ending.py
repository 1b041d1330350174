"""Ends a run: its status, its pauses, its last events and its thread, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from graphwire.v1 import run_event_pb2 as pb

from graphwire_server.graphs.position import Position, Waiting
from graphwire_server.runs.clock import new_id, now_us
from graphwire_server.runs.events import end_event, interrupted_event
from graphwire_server.runs.execution import Outcome
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import (
    EventRecord,
    PauseKind,
    PauseRecord,
    PauseStatus,
    RunRecord,
    RunStatus,
    ThreadRecord,
    ThreadStatus,
)

#: Numbers and serializes the last events of a run.
Seal = Callable[[Sequence[pb.RunEvent]], list[EventRecord]]


def end_run(tx: Transaction, run: RunRecord, outcome: Outcome, seal: Seal) -> bool:
    """Records the end of a run. Returns False, and changes nothing, if it has ended already."""
    now = now_us()
    position = outcome.position
    checkpoint_id = position.checkpoint_id if position else ""
    if not tx.change_run(
        run.run_id, outcome.status, now=now, error=outcome.error, checkpoint_id=checkpoint_id
    ):
        return False
    thread = tx.thread(run.thread_id)
    if thread is None:
        return True
    if position is not None and outcome.status is not RunStatus.INTERRUPTED:
        position = _without_answered(tx, run.thread_id, position)
    pauses = (
        tx.open_pauses(run.thread_id)
        if position is None
        else settle_pauses(tx, run.thread_id, run.run_id, position, now=now)
    )
    events = [end_event(outcome.status, outcome.error, checkpoint_id)]
    if outcome.status is RunStatus.INTERRUPTED and position is not None:
        events.insert(0, interrupted_event(pauses, position.next, checkpoint_id))
    tx.append_events(seal(events))
    status = _thread_status(tx, thread, outcome, pauses)
    tx.update_thread(
        run.thread_id,
        now=now,
        status=status,
        head=(position.checkpoint_id, position.next, position.values) if position else None,
        error=outcome.error if status is ThreadStatus.ERROR else None,
    )
    return True


def settle_pauses(
    tx: Transaction, thread_id: str, run_id: str, position: Position, *, now: int
) -> list[PauseRecord]:
    """Makes the thread's open pauses those of a position, and returns them.

    A question that is asked still keeps its pause; what is not asked any more is superseded.
    """
    kept: list[PauseRecord] = []
    waiting = list(position.waiting)
    for pause in tx.open_pauses(thread_id):
        same = next((w for w in waiting if _asks_the_same(pause, w)), None)
        if same is None:
            tx.resolve_pause(pause.pause_id, PauseStatus.SUPERSEDED, now=now)
        else:
            waiting.remove(same)
            kept.append(pause)
    made = [
        PauseRecord(
            pause_id=new_id(),
            thread_id=thread_id,
            run_id=run_id,
            kind=reason.kind,
            node=reason.node,
            namespace=reason.namespace,
            checkpoint_id=position.checkpoint_id,
            create_time=now,
            interrupt_id=reason.interrupt_id,
            value=reason.value,
            response_schema=reason.response_schema,
        )
        for reason in waiting
    ]
    tx.insert_pauses(made)
    return kept + made


def _without_answered(tx: Transaction, thread_id: str, position: Position) -> Position:
    """Leaves out the questions that have their answer, after a run that did not come to a pause.

    A node that fails after its question was answered keeps the answer: whoever resumes it
    tries again with that one. Asked anew, a second answer would be taken and not be used.
    """
    answered = {
        (pause.interrupt_id, pause.namespace, pause.value)
        for pause in tx.pauses_at(thread_id, position.checkpoint_id)
        if pause.status is PauseStatus.RESUMED
    }
    waiting = tuple(
        w for w in position.waiting if (w.interrupt_id, w.namespace, w.value) not in answered
    )
    return replace(position, waiting=waiting)


def _asks_the_same(pause: PauseRecord, reason: Waiting) -> bool:
    return (
        pause.kind is PauseKind.INTERRUPT
        and pause.kind is reason.kind
        and pause.interrupt_id == reason.interrupt_id
        and pause.namespace == reason.namespace
        and pause.value == reason.value
    )


def _thread_status(
    tx: Transaction, thread: ThreadRecord, outcome: Outcome, pauses: Sequence[PauseRecord]
) -> ThreadStatus:
    # A thread can be paused without a pause, until what it asked is asked again: a run that
    # has not begun, and ends, changes nothing about that.
    if pauses or (outcome.position is None and thread.status is ThreadStatus.INTERRUPTED):
        return ThreadStatus.INTERRUPTED
    if tx.active_runs(thread.thread_id):
        return ThreadStatus.BUSY
    if outcome.status in (RunStatus.FAILED, RunStatus.TIMED_OUT):
        return ThreadStatus.ERROR
    return ThreadStatus.IDLE
