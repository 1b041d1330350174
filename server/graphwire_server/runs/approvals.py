"""What was approved and answered: the breakpoints and questions that somebody has resumed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from graphwire_server.graphs.places import after_id
from graphwire_server.graphs.position import BEFORE
from graphwire_server.graphs.tool_calls import Decision, Review, merged, review_in
from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import PauseKind, PauseStatus


def approvals(
    db: Reader, thread_id: str, task_ids: Collection[str], *, head: str
) -> frozenset[str]:
    """Returns which of a thread's tasks, or checkpoints, were approved at a breakpoint.

    Those are `task_ids`, and what was approved while the thread's head was `head`: the position
    says nothing of tasks in graphs that the code of a node calls.

    An approval is for one task, whose id its position gives it: what is reached anew, by
    another branch, a fork or an edit, is another task. Where a step has ended in several
    breakpoints after its nodes, its checkpoint is approved once each of them is: one that was
    given up never was. Those of the nodes that were approved have ids of their own.
    """
    found = (
        *db.pauses_of_tasks(thread_id, task_ids),
        *db.resumed_pauses(thread_id, head),
    )
    after = PauseKind.BREAKPOINT_AFTER
    resumed = [p for p in found if p.status is PauseStatus.RESUMED]
    passed = {(p.task_id, p.node) for p in resumed if p.kind is after}
    waiting = {p.task_id for p in found if p.kind is after and (p.task_id, p.node) not in passed}
    return frozenset(
        (
            *(p.task_id for p in resumed if p.kind in BEFORE),
            *(checkpoint_id for checkpoint_id, _ in passed if checkpoint_id not in waiting),
            *(after_id(*each) for each in passed),
        )
    )


def reviews(db: Reader, thread_id: str, task_ids: Collection[str]) -> dict[str, Review]:
    """Returns what was decided about the tool calls of a thread's tasks, by task id.

    It holds for as long as the task is not finished, however often it begins. Where a task was
    reviewed at several pauses, the later review is about what the earlier one has left.
    """
    decided: dict[str, tuple[Decision, ...]] = {}
    for pause in db.pauses_of_tasks(thread_id, task_ids):
        if pause.status is PauseStatus.RESUMED and pause.review is not None:
            earlier = decided.get(pause.task_id, ())
            decided[pause.task_id] = merged(earlier, review_in(pause.review))
    return {
        task_id: Review(
            decisions,
            tuple(d for other, beside in decided.items() if other != task_id for d in beside),
        )
        for task_id, decisions in decided.items()
    }


def given_answers(db: Reader, thread_id: str, *, head: str) -> dict[str, Any]:
    """Returns the answers given while the thread's head was `head`, by LangGraph's interrupt id.

    A graph that keeps no checkpoints starts anew each time, and needs them all again. Only those
    of runs that went on to the next pause: what a run was given that failed, or was cancelled,
    is asked again.
    """
    return {
        interrupt_id: orjson.loads(answer)
        for interrupt_id, answer in db.standing_answers(thread_id, head)
    }
