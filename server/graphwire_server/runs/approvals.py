"""What was approved: the breakpoints that somebody has resumed."""

from __future__ import annotations

from collections.abc import Collection

from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import PauseKind, PauseStatus


def approvals(
    db: Reader, thread_id: str, task_ids: Collection[str], *, head: str
) -> frozenset[str]:
    """Returns which of a thread's tasks, or checkpoints, were approved at a breakpoint.

    Those are `task_ids`, and what was approved while the thread's head was `head`: the position
    says nothing of tasks in graphs that the code of a node calls.

    An approval is for one task, whose id its position gives it: what is reached anew, by
    another branch, a fork or an edit, is another task.
    """
    return frozenset(
        pause.task_id
        for pause in (
            *db.pauses_of_tasks(thread_id, task_ids),
            *db.resumed_pauses(thread_id, head),
        )
        if pause.status is PauseStatus.RESUMED and pause.kind is not PauseKind.INTERRUPT
    )
