"""Why a thread, as it is now, refuses what somebody asks for."""

from __future__ import annotations

from collections.abc import Sequence

from graphwire import errors

from graphwire_server.runs.answered import Past
from graphwire_server.runs.assistants import graph_of_thread
from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import RunRecord, RunStatus, ThreadRecord


def thread_not_found(thread_id: str) -> errors.ThreadNotFoundError:
    """Returns the error for a thread that does not exist."""
    return errors.ThreadNotFoundError(
        f"there is no thread {thread_id}", resource=("thread", thread_id)
    )


def thread_exists(thread_id: str) -> errors.ThreadExistsError:
    """Returns the error for the id of a new thread that is taken."""
    return errors.ThreadExistsError(
        f"thread {thread_id} exists already", resource=("thread", thread_id)
    )


def thread_busy(thread_id: str, active: Sequence[RunRecord]) -> errors.ThreadBusyError:
    """Returns the error for a thread that has an active run."""
    run_id = at_work(active)
    doing = f"is busy with run {run_id}; wait for its end, or cancel it"
    return errors.ThreadBusyError(
        f"thread {thread_id} {doing if active else 'is being changed by others; try again'}",
        metadata={"thread_id": thread_id, "run_id": run_id},
        resource=("thread", thread_id),
    )


def taken_in_batch(thread_id: str, index: int, *, waits: bool) -> errors.ThreadBusyError:
    """Returns the error for a request whose thread an earlier one of its batch has taken.

    It names that request, as nothing is left of its run.

    Args:
        thread_id: The thread.
        index: The place of the earlier request in the batch.
        waits: Whether this one could wait behind it.
    """
    instead = (
        "let this one wait with MULTITASK_STRATEGY_ENQUEUE, or start it when that has ended"
        if waits
        else "what goes on with a thread goes on from where it stands: start this one when that "
        "has ended"
    )
    return errors.ThreadBusyError(
        f"thread {thread_id} is taken by requests[{index}] of this call; {instead}",
        metadata={"thread_id": thread_id, "busy_with_request_index": str(index)},
        resource=("thread", thread_id),
    )


def busy_for_answers(
    thread_id: str, active: Sequence[RunRecord], past: Past
) -> errors.ThreadBusyError:
    """Returns the error for a resume of a thread that has an active run.

    It says who was first, and does not advise to cancel what he has let run.
    """
    run_id = at_work(active)
    doing = (
        f"is busy with run {run_id}; wait for its end"
        if active
        else "is being changed by others; try again"
    )
    told, metadata = past.told()
    resolved_by = {"resolved_by_run_id": metadata.get("run_id", "")}
    return errors.ThreadBusyError(
        f"thread {thread_id} {doing}{told}",
        metadata={**metadata, **resolved_by, "thread_id": thread_id, "run_id": run_id},
        resource=("thread", thread_id),
    )


def at_work(active: Sequence[RunRecord]) -> str:
    """Returns the run that a thread is busy with: one that runs, before those that wait."""
    running = [run for run in active if run.status is RunStatus.RUNNING]
    return next((run.run_id for run in (*running, *active)), "")


def nothing_to_resume(thread_id: str, past: Past) -> errors.NothingToResumeError:
    """Returns the error for a resume of a thread that waits for nothing."""
    told, metadata = past.told()
    return errors.NothingToResumeError(
        f"thread {thread_id} has nothing to go on with: no pause is open, and no node waits{told}",
        metadata={**metadata, "thread_id": thread_id},
        resource=("thread", thread_id),
    )


def check_expected(
    thread: ThreadRecord, expected_checkpoint_id: str, past: Past | None = None
) -> None:
    """Raises CheckpointMismatchError unless the thread is at the expected checkpoint.

    Args:
        thread: The thread.
        expected_checkpoint_id: Where it should be; empty: anywhere.
        past: What is known of its pauses, if somebody wants to resume it.
    """
    if expected_checkpoint_id and expected_checkpoint_id != thread.checkpoint_id:
        told, metadata = past.told() if past is not None else ("", {})
        raise errors.CheckpointMismatchError(
            f"thread {thread.thread_id} is at checkpoint {thread.checkpoint_id or '(none)'}, "
            f"not at {expected_checkpoint_id}{told}",
            metadata={**metadata, "checkpoint_id": thread.checkpoint_id},
            resource=("thread", thread.thread_id),
        )


def check_assistant(thread: ThreadRecord, assistant_id: str) -> None:
    """Raises AssistantMismatchError if the thread's state belongs to another assistant."""
    if thread.assistant_id and thread.assistant_id != assistant_id:
        raise errors.AssistantMismatchError(
            f"thread {thread.thread_id} belongs to assistant {thread.assistant_id!r}, "
            f"its state does not fit {assistant_id!r}; use another thread",
            metadata={"assistant_id": thread.assistant_id},
            resource=("thread", thread.thread_id),
        )


def check_graph(db: Reader, thread: ThreadRecord, assistant_id: str, graph_id: str) -> None:
    """Raises AssistantMismatchError if the thread's state belongs to another graph.

    Of one graph, any assistant may go on with it.
    """
    there = graph_of_thread(db, thread)
    if there and there != graph_id:
        check_assistant(thread, assistant_id)
        raise errors.AssistantMismatchError(
            f"the state of thread {thread.thread_id} belongs to the graph {there!r}, and assistant "
            f"{assistant_id!r} has come to run {graph_id!r} since; use another thread",
            metadata={"assistant_id": thread.assistant_id},
            resource=("thread", thread.thread_id),
        )
