"""Gives up what a thread is paused at, without going on from there."""

from __future__ import annotations

from dataclasses import replace

from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import (
    PauseStatus,
    RunRecord,
    ThreadRecord,
    ThreadStatus,
)


def give_up(
    tx: Transaction,
    thread: ThreadRecord,
    *,
    now: int,
    principal: str = "",
    answered_by: str = "",
    expired: bool = False,
) -> bool:
    """Gives up all that a paused thread waits for; nothing is executed.

    Its open pauses are CANCELLED, and it is IDLE, or BUSY with what is queued. Nothing was
    approved: a resume pauses again where it stands, and asks again, in new pauses.

    Args:
        tx: The transaction, in which the thread was read.
        thread: The thread, which is INTERRUPTED.
        now: The time, in microseconds.
        principal: Who gives it up, by his credentials; empty if nobody does.
        answered_by: For whom, as the caller said.
        expired: Whether it is since the time of a pause was over.

    Returns:
        Whether a queued run may begin for that.
    """
    for pause in tx.open_pauses(thread.thread_id):
        tx.resolve_pause(
            pause.pause_id,
            PauseStatus.CANCELLED,
            now=now,
            principal=principal,
            answered_by=answered_by,
            expired=expired,
        )
    queued = tx.has_active_run(thread.thread_id)
    status = ThreadStatus.BUSY if queued else ThreadStatus.IDLE
    tx.update_thread(thread.thread_id, now=now, status=status)
    return queued


def discard(tx: Transaction, run: RunRecord, *, now: int) -> RunRecord:
    """Gives up what a thread waits for, in favour of a queued run whose turn it is.

    Returns the run as it is to be executed. The thread's status is for the caller to set.
    """
    for pause in tx.open_pauses(run.thread_id):
        tx.resolve_pause(pause.pause_id, PauseStatus.SUPERSEDED, now=now, by_run_id=run.run_id)
    spec = RunSpec.from_json(run.spec)
    # New input drops the nodes that wait anyway; a command does so only if it is told to.
    spec = replace(spec, discards=spec.kind == "command", waited=True)
    tx.change_spec(run.run_id, spec.to_json())
    return replace(run, spec=spec.to_json())
