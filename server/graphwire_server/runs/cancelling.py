"""Cancels runs: what is decided when somebody asks for it, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from graphwire import errors

from graphwire_server.runs.clock import now_us
from graphwire_server.runs.ending import end_run
from graphwire_server.runs.event_log import run_not_found
from graphwire_server.runs.events import Sealer
from graphwire_server.runs.execution import Outcome
from graphwire_server.runs.giving_up import give_up
from graphwire_server.runs.inheritance import inherited
from graphwire_server.runs.refusals import thread_not_found
from graphwire_server.storage.access import Access
from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.records import RunRecord, RunStatus, ThreadStatus


def cancel_run(
    tx: Transaction, run_id: str, *, abandon: bool, rollback: bool, principal: str
) -> RunRecord:
    """Cancels a run, or gives up what it is paused at; returns it as it is then.

    Raises:
        RunNotFoundError: There is no such run.
        RunEndedError: There is nothing to cancel any more.
    """
    run = tx.run(run_id)
    if run is None:
        raise run_not_found(run_id)
    if not run.status.ended:
        return _cancel(tx, run, abandon=abandon, rollback=rollback)
    if rollback:
        text = f"run {run_id} has ended already: {run.status}; only an active run is rolled back"
        raise _ended(run, text)
    if run.status is not RunStatus.INTERRUPTED:
        raise _ended(run, f"run {run_id} has ended already: {run.status}")
    thread, last = tx.thread(run.thread_id), inherited(tx, run.thread_id)
    waits = thread is not None and thread.status is ThreadStatus.INTERRUPTED
    if thread is None or not waits or last is None or last.run_id != run_id:
        raise _ended(run, f"run {run_id} has ended already: {run.status}, and is paused no more")
    give_up(tx, thread, now=now_us(), principal=principal)
    return run


def cancel_active(
    tx: Transaction, run_id: str, *, abandon: bool, rollback: bool
) -> RunRecord | None:
    """Cancels a run and returns it; None, and nothing is changed, if it has ended or is gone."""
    run = tx.run(run_id)
    if run is None or run.status.ended:
        return None
    return _cancel(tx, run, abandon=abandon, rollback=rollback)


def find_active(
    db: Reader,
    run_ids: Sequence[str],
    *,
    thread_id: str,
    statuses: Sequence[RunStatus],
    access: Access,
) -> list[str]:
    """Returns which runs to cancel, those that are queued before those that they wait for.

    Raises:
        RunNotFoundError: One that is named is not there.
        ThreadNotFoundError: There is no such thread.
    """
    if run_ids:
        named = db.runs_named(run_ids)
        for run_id in run_ids:
            if run_id not in named:
                raise run_not_found(run_id)
        # As they were named, where nothing else tells them apart.
        runs = [named[run_id] for run_id in dict.fromkeys(run_ids)]
        runs.sort(key=lambda run: (run.status is RunStatus.RUNNING, -run.create_time))
        return [run.run_id for run in runs]
    if thread_id:
        if db.thread(thread_id) is None:
            raise thread_not_found(thread_id)
        active = reversed(db.active_runs(thread_id))
        wanted = [run for run in active if run.status in statuses]
        wanted.sort(key=lambda run: run.status is RunStatus.RUNNING)
        return [run.run_id for run in wanted]
    # PENDING first.
    return [
        run_id for status in sorted(set(statuses)) for run_id in db.active_run_ids(status, access)
    ]


def _cancel(tx: Transaction, run: RunRecord, *, abandon: bool, rollback: bool) -> RunRecord:
    tx.request_cancel(run.run_id, abandon=abandon, rollback=rollback)
    if run.status is RunStatus.PENDING:
        end_run(tx, run, Outcome(RunStatus.CANCELLED), Sealer(run))
    cancelled = tx.run(run.run_id)
    assert cancelled is not None
    return cancelled


def _ended(run: RunRecord, text: str) -> errors.RunEndedError:
    return errors.RunEndedError(
        text,
        metadata={"run_id": run.run_id, "status": run.status},
        resource=("run", run.run_id),
    )
