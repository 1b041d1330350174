"""Puts a thread back to where it stood before a run.

The thread's row says that already: its head, what comes next and its values change only when a
run has ended. What has to go is what the run has made below it: checkpoints, writes, and its
approvals. What waited before waits again, in pauses of new ids: an answer that was given to the
run must never count again, nor one that somebody is about to give to a pause he saw then. Where
a pause expires, its time begins anew: it may be over, and the run that is rolled back may be what
came of that.
"""

from __future__ import annotations

from dataclasses import replace

from graphwire_server.runs.clock import new_id
from graphwire_server.storage.checkpoints import pruning
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import PauseRecord, PauseStatus, RunRecord


def roll_back(tx: Transaction, run: RunRecord, *, now: int) -> list[PauseRecord]:
    """Undoes what a run has done to its thread; returns the pauses that are open then."""
    thread_id = run.thread_id
    pruning.roll_back(tx, thread_id, run.run_id)
    waited = [
        replace(
            pause,
            pause_id=new_id(),
            create_time=now,
            expire_time=_anew(pause, now),
            status=PauseStatus.OPEN,
            resolved_by_run_id="",
            resolve_time=None,
            answer=None,
            principal="",
            answered_by="",
            expired=False,
            review=None,
        )
        for pause in tx.pauses_resolved_by(thread_id, run.run_id)
    ]
    tx.take_back_resumed(thread_id, run.run_id)
    tx.insert_pauses(waited)
    resumed = tx.run(run.resumed_run_id) if run.resumed_run_id else None
    if resumed is not None and resumed.resumed_by_run_id == run.run_id:
        tx.link_resume(resumed.run_id, resumed_by_run_id="")
    return tx.open_pauses(thread_id)


def _anew(pause: PauseRecord, now: int) -> int | None:
    """Returns when the time of a pause that is made anew is over; None if it does not expire."""
    return None if pause.expire_time is None else now + pause.expire_time - pause.create_time
