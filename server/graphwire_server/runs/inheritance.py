"""What the next run of a thread inherits, whether the run before it is there or not.

A run can be deleted while its thread is paused, and a copy of a thread has no runs at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from graphwire import errors

from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.checkpoints.records import CheckpointRecord
from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.records import Inheritance, RunRecord, ThreadRecord


def inherited(db: Reader, thread_id: str, *, by: str = "") -> Inheritance | None:
    """Returns what the next run of a thread inherits; None if nothing has run on it.

    `by` is the id of that run, where it has begun.
    """
    run, noted = db.last_run(thread_id, but=by), db.inheritance(thread_id)
    if run is None:
        return noted
    last = _of(run)
    return noted if noted is not None and noted.start_time >= last.start_time else last


def inherited_at(db: Reader, thread: ThreadRecord, checkpoint_id: str) -> Inheritance | None:
    """Returns what is inherited by what goes on from a checkpoint; empty: from the head.

    That is what the next run of the thread inherits, unless the checkpoint was made as another
    assistant, whose breakpoints hold there: then it is that of the run that made it.

    Raises:
        AssistantMismatchError: The run that made it, as another assistant, is not there any more.
    """
    last = inherited(db, thread.thread_id)
    if last is None or checkpoint_id in ("", thread.checkpoint_id):
        return last
    made = _made_in_a_run(db, thread.thread_id, checkpoint_id)
    made_as = orjson.loads(made.metadata)[_MADE_AS] if made is not None else last.assistant_id
    if made is None or made_as == last.assistant_id:
        return last
    maker = db.run(made.run_id) if made.run_id else None
    if maker is None or maker.start_time is None:
        raise errors.AssistantMismatchError(
            f"checkpoint {checkpoint_id} was made as assistant {made_as!r}, by a run that is not "
            "there any more, so nobody knows which breakpoints hold there; the thread has gone on "
            f"as {last.assistant_id!r}. Begin there with new input",
            metadata={"assistant_id": made_as},
            resource=("thread", thread.thread_id),
        )
    return _of(maker)


#: Which assistant a run has that makes a checkpoint, in LangGraph's metadata.
_MADE_AS = "assistant_id"


def _made_in_a_run(db: Reader, thread_id: str, checkpoint_id: str) -> CheckpointRecord | None:
    """Returns the checkpoint itself, or the nearest one before it that a run has made.

    Edits and forks stand on what was there, and belong to whoever made that.
    """
    seen: set[str] = set()
    while checkpoint_id and checkpoint_id not in seen:
        seen.add(checkpoint_id)
        found = db.checkpoint(thread_id, "", checkpoint_id)
        if found is None or orjson.loads(found.metadata).get(_MADE_AS):
            return found
        checkpoint_id = found.parent_checkpoint_id
    return None


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
