"""What the next run of a thread inherits, whether the run before it is there or not.

A run can be deleted while its thread is paused, and a copy of a thread has no runs at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.records import Inheritance, RunRecord


def inherited(db: Reader, thread_id: str, *, by: str = "") -> Inheritance | None:
    """Returns what the next run of a thread inherits; None if nothing has run on it.

    `by` is the id of that run, where it has begun.
    """
    run, noted = db.last_run(thread_id, but=by), db.inheritance(thread_id)
    if run is None:
        return noted
    last = _of(run)
    return noted if noted is not None and noted.start_time >= last.start_time else last


def keep_inherited(tx: Transaction, run: RunRecord) -> None:
    """Notes on its thread what is inherited from a run that is about to be deleted.

    Also where another one has gone on from it: that may be rolled back.
    """
    if run.start_time is None or run.left_nothing:
        return
    noted, last = tx.inheritance(run.thread_id), _of(run)
    if noted is None or noted.start_time < last.start_time:
        tx.put_inheritance(run.thread_id, without_start(last))


def without_start(inheritance: Inheritance) -> Inheritance:
    """Returns it without its run, and without what that was started with, which is its own."""
    spec = RunSpec.from_json(inheritance.spec)
    rest = replace(spec, value=None, goto=[], answers={}, checkpoint_id="", step=None, run_to="")
    return replace(inheritance, spec=rest.to_json(), run_id="")


def without_webhook(inheritance: Inheritance) -> Inheritance:
    """Returns it without the webhook."""
    spec = RunSpec.from_json(inheritance.spec)
    return replace(inheritance, spec=replace(spec, webhook="").to_json())


def as_user(inheritance: Inheritance, user: Mapping[str, Any]) -> Inheritance:
    """Returns it as if the run had been started by another user, as the graph is told of him."""
    spec = RunSpec.from_json(inheritance.spec)
    return replace(inheritance, spec=replace(spec, user=dict(user)).to_json())


def _of(run: RunRecord) -> Inheritance:
    assert run.start_time is not None
    return Inheritance(
        run.start_time, run.spec, run.breakpoints, run.assistant_id, run_id=run.run_id
    )
