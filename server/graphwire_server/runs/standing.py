"""Where a thread stands once its state was written without a run, and for what it waits then."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from graphwire_server.graphs.breakpoints import Breakpoint
from graphwire_server.graphs.places import Namespace, Path, Place, path_of
from graphwire_server.graphs.position import Position, Waiting
from graphwire_server.runs.approvals import approvals
from graphwire_server.runs.ending import settle_pauses
from graphwire_server.runs.judging import judge_at_rest
from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.records import (
    Inheritance,
    PauseKind,
    PauseRecord,
    ThreadRecord,
    ThreadStatus,
)


def stand(
    tx: Transaction,
    thread: ThreadRecord,
    places: Mapping[Path, Place],
    position: Position,
    last_run: Inheritance | None,
    *,
    now: int,
    inside: Namespace = (),
    principal: str = "",
    of_assistant: Collection[Breakpoint] = (),
) -> list[PauseRecord]:
    """Notes where a thread stands after an edit, and returns the pauses at which it does.

    After one `inside` a subgraph, what waits elsewhere goes on to wait. A thread that was paused
    stays so, whatever the edit has done to its breakpoints and questions. Where nothing has run
    yet, the breakpoints hold that the assistant has now.
    """
    thread_id, head = thread.thread_id, position.checkpoint_id
    opened = tx.open_pauses(thread_id)
    keep = {p.task_id for p in opened if not is_in(p, inside)}
    approved = approvals(tx, thread_id, position.approvable(), head=head)
    judge = judge_at_rest(tx, places, thread, last_run, of_assistant=of_assistant)
    waiting = position.waiting(judge, approved)
    if thread.status is ThreadStatus.INTERRUPTED:
        waiting = (*waiting, *_left_waiting(position, waiting, approved, opened, inside))
    run_id = last_run.run_id if last_run else ""
    pauses = settle_pauses(
        tx,
        thread_id,
        run_id,
        head,
        waiting,
        now=now,
        keep=keep,
        assistant_id=thread.assistant_id,
        principal=principal,
    )
    tx.update_thread(
        thread_id,
        now=now,
        status=_status_after_edit(tx, thread, position, pauses),
        assistant_id=thread.assistant_id,
        graph_id=thread.graph_id,
        head=(head, position.next, position.values),
    )
    return pauses


def is_in(pause: PauseRecord | Waiting, namespace: Namespace) -> bool:
    """Returns whether a pause is in a subgraph, or in one below it; all are in the root."""
    return pause.namespace[: len(namespace)] == namespace


def _left_waiting(
    position: Position,
    waiting: Sequence[Waiting],
    approved: Collection[str],
    opened: Sequence[PauseRecord],
    inside: Namespace,
) -> list[Waiting]:
    """Returns what is to wait besides on a thread that was paused before an edit.

    Where nothing else does, all that comes next. Else the nodes that had a pause themselves, or
    inside them: what only waits beside a breakpoint needs no approval.

    Args:
        position: Where the thread stands now.
        waiting: The breakpoints and questions that hold something there.
        approved: What was approved there.
        opened: The pauses that were open before the edit.
        inside: The subgraph that was edited; this is about it, and what is below it.
    """
    held = {reason.task_id for reason in waiting if is_in(reason, inside)}
    left = [each for each in position.left_waiting(held, approved) if is_in(each, inside)]
    if not held:
        return left or position.left_inside(inside)
    lost: set[tuple[Path, str]] = set()
    for pause in opened:
        if is_in(pause, inside) and pause.task_id not in held:
            names = (*path_of(pause.namespace), pause.node)
            # A node that has a pause after it has run itself.
            levels = len(names) - (pause.kind is PauseKind.BREAKPOINT_AFTER)
            lost.update((names[:level], names[level]) for level in range(levels))
    return [each for each in left if (path_of(each.namespace), each.node) in lost]


def _status_after_edit(
    db: Reader, thread: ThreadRecord, position: Position, pauses: Sequence[PauseRecord]
) -> ThreadStatus:
    # What waited still waits, if only to ask again: the thread stays paused.
    if pauses or (thread.status is ThreadStatus.INTERRUPTED and position.next):
        return ThreadStatus.INTERRUPTED
    return ThreadStatus.BUSY if db.has_active_run(thread.thread_id) else ThreadStatus.IDLE
