"""Ends a run: its status, its pauses, its last events and its thread, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import structlog
from graphwire.v1 import run_event_pb2 as pb

from graphwire_server.graphs.breakpoints import Met, OnExpiry, met_text
from graphwire_server.graphs.position import BEFORE, Waiting
from graphwire_server.graphs.tool_calls import calls_left
from graphwire_server.runs.approvals import reviews
from graphwire_server.runs.clock import new_id, now_us
from graphwire_server.runs.events import end_event, interrupted_event, schema_error
from graphwire_server.runs.execution import Outcome
from graphwire_server.runs.giving_up import discard
from graphwire_server.runs.inheritance import inherited
from graphwire_server.runs.request import RunSpec
from graphwire_server.runs.rollback import roll_back
from graphwire_server.runs.webhook_body import KINDS, webhook_body
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import (
    MAY_LEAVE_NOTHING,
    EventRecord,
    PauseKind,
    PauseRecord,
    PauseStatus,
    RunRecord,
    RunStatus,
    ThreadRecord,
    ThreadStatus,
)
from graphwire_server.storage.webhooks import WebhookRecord
from graphwire_server.webhooks.policy import host_of

_log = structlog.get_logger("graphwire.runs")

#: Numbers and serializes the last events of a run.
Seal = Callable[[Sequence[pb.RunEvent]], list[EventRecord]]


def end_run(tx: Transaction, run: RunRecord, outcome: Outcome, seal: Seal) -> bool:
    """Records the end of a run.

    One that somebody asked to roll back is rolled back, however it has ended.

    Returns whether another run of the thread waits for that. If the run has ended already,
    nothing is changed.
    """
    now = now_us()
    if tx.rollback_requested(run.run_id):
        return _end_rolled_back(tx, run, seal, now=now)
    position = outcome.position
    checkpoint_id = position.checkpoint_id if position else ""
    assert outcome.status is not None
    if not tx.change_run(
        run.run_id, outcome.status, now=now, error=outcome.error, checkpoint_id=checkpoint_id
    ):
        return False
    thread = tx.thread(run.thread_id)
    if thread is None:
        return False
    interrupted = outcome.status is RunStatus.INTERRUPTED
    if position is None:
        pauses = tx.open_pauses(run.thread_id)
    else:
        # A run that did not stop by itself leaves the questions that were asked, and the
        # breakpoints that waited before it. That it stands before another one is found when
        # somebody goes on there.
        waiting = outcome.waiting if interrupted else position.questions()
        keep = () if interrupted else position.unfinished()
        pauses = settle_pauses(
            tx,
            run.thread_id,
            run.run_id,
            checkpoint_id,
            waiting,
            now=now,
            keep=keep,
            assistant_id=run.assistant_id,
            by_run_id=run.run_id,
        )
    events = [end_event(outcome.status, outcome.error, checkpoint_id)]
    if interrupted and position is not None:
        events.insert(0, interrupted_event(pauses, position.next, checkpoint_id))
    tx.append_events(seal(events))
    queued = tx.has_active_run(thread.thread_id)
    status = _thread_status(thread, outcome, pauses, queued=queued)
    # One that had not begun was in nobody's place.
    cancelled = outcome.status is RunStatus.CANCELLED and run.status is RunStatus.RUNNING
    if queued and _is_given_up(tx, thread, status, cancelled=cancelled, now=now):
        status = ThreadStatus.BUSY
    assistant_id = graph_id = None
    if outcome.status in MAY_LEAVE_NOTHING:
        assistant_id, graph_id = _left_to(tx, thread, run)
    tx.update_thread(
        run.thread_id,
        now=now,
        status=status,
        assistant_id=assistant_id,
        graph_id=graph_id,
        head=(position.checkpoint_id, position.next, position.values) if position else None,
        error=outcome.error if status is ThreadStatus.ERROR or outcome.holds else None,
    )
    _call_webhook(
        tx, run, pauses if interrupted else (), position.values if position else None, now=now
    )
    return queued


def _end_rolled_back(tx: Transaction, run: RunRecord, seal: Seal, *, now: int) -> bool:
    thread = tx.thread(run.thread_id)
    if thread is None:
        return False
    status, head = RunStatus.CANCELLED, thread.checkpoint_id
    if not tx.change_run(run.run_id, status, now=now, checkpoint_id=head, rolled_back=True):
        return False
    pauses = roll_back(tx, run, now=now)
    tx.append_events(seal([end_event(status, None, head)]))
    queued = tx.has_active_run(thread.thread_id)
    spec = RunSpec.from_json(run.spec)
    found = spec.found
    left = ThreadStatus.ERROR if found.error is not None else ThreadStatus.IDLE
    if pauses or spec.waited:
        left = ThreadStatus.INTERRUPTED
    elif queued:
        left = ThreadStatus.BUSY
    began = run.status is RunStatus.RUNNING
    if queued and _is_given_up(tx, thread, left, cancelled=began, now=now):
        left = ThreadStatus.BUSY
    assistant_id, graph_id = _left_to(tx, thread, run)
    tx.update_thread(
        thread.thread_id,
        now=now,
        status=left,
        assistant_id=assistant_id,
        graph_id=graph_id,
        error=None if left is ThreadStatus.BUSY else found.error,
    )
    _call_webhook(tx, run, (), None, now=now)
    return queued


def _left_to(
    tx: Transaction, thread: ThreadRecord, run: RunRecord
) -> tuple[str | None, str | None]:
    """Returns whose a thread is after a run that may have left nothing; None: as it is.

    That is its assistant, and its graph: those of its state, or without one, of what is queued.

    Args:
        tx: The transaction, in which the run has ended.
        thread: Its thread, as it was before that.
        run: The run; it may have ended since nothing can be made of its spec.
    """
    last = inherited(tx, thread.thread_id)
    if last is not None:
        # All of one thread are of one graph.
        return last.assistant_id, None
    found = RunSpec.found_in(run.spec)
    if found.assistant_id:
        return found.assistant_id, found.graph_id
    if thread.checkpoint_id or thread.breakpoints != "[]":
        # There is something that was checked against the graph.
        return None, None
    queued = tx.active_runs(thread.thread_id)
    if not queued:
        return "", ""
    # Before there were others, an assistant was the graph of its name.
    return queued[0].assistant_id, RunSpec.graph_in(queued[0].spec) or queued[0].assistant_id


def _call_webhook(
    tx: Transaction,
    run: RunRecord,
    pauses: Sequence[PauseRecord],
    values: str | None,
    *,
    now: int,
) -> None:
    """Has the webhook sent of a run that has ended, if it has one: in the same commit.

    `pauses` are those with which it has ended, `values` the state to which it has led.
    """
    url, max_values = RunSpec.webhook_in(run.spec)
    ended = tx.run(run.run_id) if url else None
    if ended is None:
        return
    webhook_id = f"msg_{new_id()}"
    body = webhook_body(webhook_id, ended, pauses, values, now=now, max_values=max_values)
    tx.insert_webhook(
        WebhookRecord(
            webhook_id=webhook_id,
            run_id=run.run_id,
            thread_id=run.thread_id,
            kind=KINDS[ended.status],
            url=url,
            host=host_of(url),
            body=body,
            create_time=now,
            due_time=tx.now(),
        )
    )


def _is_given_up(
    tx: Transaction, thread: ThreadRecord, status: ThreadStatus, *, cancelled: bool, now: int
) -> bool:
    """Returns whether what the thread waits for is given up, for the run whose turn it is.

    Such a run was started with ON_PAUSE_DISCARD; or it has cancelled the one that has ended.
    """
    if status is not ThreadStatus.INTERRUPTED:
        return False
    first = tx.active_runs(thread.thread_id)[0]
    interrupts = RunSpec.from_json(first.spec).multitask in ("INTERRUPT", "ROLLBACK")
    if not first.discards:
        if not (cancelled and interrupts):
            return False
        tx.let_discard(first.run_id)
    if first.due_time > tx.now():
        return False  # what waits is given up when it begins
    discard(tx, first, now=now)
    return True


def settle_pauses(
    tx: Transaction,
    thread_id: str,
    run_id: str,
    checkpoint_id: str,
    waiting: Sequence[Waiting],
    *,
    now: int,
    keep: Collection[str] = (),
    assistant_id: str = "",
    by_run_id: str = "",
    principal: str = "",
) -> list[PauseRecord]:
    """Makes the thread's open pauses those that it waits for, and returns them.

    What still waits keeps its pause, as does a breakpoint at one of the tasks `keep`; what
    does not wait any more is superseded, by a run or by an edit (`by_run_id` empty, and the
    `principal` who made it).
    """
    kept: list[PauseRecord] = []
    new = list(waiting)
    for pause in tx.open_pauses(thread_id):
        same = next((reason for reason in new if _is_about(pause, reason)), None)
        if same is not None:
            new.remove(same)
            kept.append(pause)
        elif pause.kind is not PauseKind.INTERRUPT and pause.task_id in keep:
            kept.append(pause)
        else:
            tx.resolve_pause(
                pause.pause_id,
                PauseStatus.SUPERSEDED,
                now=now,
                by_run_id=by_run_id,
                principal=principal,
            )
    # What waits at a task that was reviewed is what the review has left to it.
    with_calls = [reason.task_id for reason in new if reason.tool_calls != "[]"]
    reviewed = reviews(tx, thread_id, with_calls) if with_calls else {}
    new = [
        replace(reason, tool_calls=calls_left(reason.tool_calls, review.decisions))
        if (review := reviewed.get(reason.task_id)) is not None
        else reason
        for reason in new
    ]
    made = [
        PauseRecord(
            pause_id=new_id(),
            thread_id=thread_id,
            run_id=run_id,
            kind=reason.kind,
            node=reason.node,
            namespace=reason.namespace,
            checkpoint_id=checkpoint_id,
            create_time=now,
            interrupt_id=reason.interrupt_id,
            value=reason.value,
            response_schema=reason.response_schema,
            task_id=reason.task_id,
            assistant_id=assistant_id,
            tool_calls=reason.tool_calls,
            task_input=reason.task_input,
            breakpoints=met_text(reason.met),
            **_expiry(reason.met, now),
        )
        for reason in new
    ]
    tx.insert_pauses(made)
    for pause in made:
        if schema_error(pause):
            # Not what is wrong with it: that may have values in it, and is told by the pause.
            _log.warning(
                "response_schema_unusable",
                pause_id=pause.pause_id,
                thread_id=thread_id,
                run_id=run_id,
                node=pause.node,
            )
    return kept + made


def _expiry(met: Sequence[Met], now: int) -> dict[str, Any]:
    """Returns when the time of a pause is over, and what happens then.

    What keeps the node from running happens as soon as one of the breakpoints says so; the node
    runs by itself only when all of them let it, and the last has waited its time.
    """
    limits = [(each.breakpoint.expires_after, each.breakpoint) for each in met]
    timed = [(after, each) for after, each in limits if after]
    stops = [(after, each) for after, each in timed if each.on_expiry != OnExpiry.RESUME]
    if stops:
        after, which = min(stops, key=lambda pair: pair[0])
    elif timed and len(timed) == len(limits):
        after, which = max(timed, key=lambda pair: pair[0])
    else:
        return {}
    return {
        "expire_time": now + after,
        "on_expiry": which.on_expiry,
        "expiry_message": which.expiry_message,
    }


def _is_about(pause: PauseRecord, reason: Waiting) -> bool:
    # A task that waits to begin has one pause, whatever it is by now that holds it.
    same_kind = pause.kind is reason.kind or {pause.kind, reason.kind} == set(BEFORE)
    return (
        same_kind
        and pause.task_id == reason.task_id
        and pause.node == reason.node
        and pause.interrupt_id == reason.interrupt_id
        and pause.value == reason.value
    )


def _thread_status(
    thread: ThreadRecord, outcome: Outcome, pauses: Sequence[PauseRecord], *, queued: bool
) -> ThreadStatus:
    # A thread can be paused without a pause, after the loss of a server: a run that has not
    # begun, and ends, changes nothing about that.
    if pauses or (outcome.position is None and thread.status is ThreadStatus.INTERRUPTED):
        return ThreadStatus.INTERRUPTED
    if outcome.holds and outcome.position is not None and outcome.position.next:
        return ThreadStatus.INTERRUPTED
    if queued:
        return ThreadStatus.BUSY
    if outcome.status in (RunStatus.FAILED, RunStatus.TIMED_OUT):
        return ThreadStatus.ERROR
    return ThreadStatus.IDLE
