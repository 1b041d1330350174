"""PruneThreads and GetThreadStorage: what goes, what stays, and how much there is."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire.v1 import run_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, get_thread, payload, refused, shapes, stream
from tests.e2e.driven import INPUT, DrivenThread
from tests.e2e.gates import Gate

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub

DELETE, KEEP = threads_pb2.PRUNE_STRATEGY_DELETE, threads_pb2.PRUNE_STRATEGY_KEEP_LATEST
DONE = ("end", "SUCCEEDED")


def prune(threads: Threads, strategy: threads_pb2.PruneStrategy.ValueType, *ids: str) -> int:
    """Prunes threads and returns how many were."""
    request = threads_pb2.PruneThreadsRequest(thread_ids=ids, strategy=strategy)
    return threads.PruneThreads(request, timeout=DEADLINE).pruned_count


def storage(thread: DrivenThread) -> threads_pb2.GetThreadStorageResponse:
    """How much a thread keeps."""
    request = threads_pb2.GetThreadStorageRequest(thread_id=thread.thread_id)
    return thread.threads_stub.GetThreadStorage(request, timeout=DEADLINE)


@pytest.fixture
def others(runs: Runs, threads: Threads) -> list[DrivenThread]:
    """Two more threads."""
    return [DrivenThread(runs, threads) for _ in range(2)]


def test_threads_are_deleted_and_those_that_are_not_there_not_counted(
    thread: DrivenThread, others: list[DrivenThread], threads: Threads
) -> None:
    thread.start("linear", interrupt_before=["b"])
    others[0].start("linear")
    ids = [thread.thread_id, others[0].thread_id, "nobody", thread.thread_id]
    assert prune(threads, DELETE, *ids) == 2
    for gone in (thread, others[0]):
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            get_thread(threads, gone.thread_id)
    assert others[1].status == "IDLE"
    assert prune(threads, DELETE, *ids) == 0


@pytest.mark.parametrize("strategy", [DELETE, KEEP])
def test_a_thread_with_a_run_that_is_queued_or_running_is_left_as_it_is(
    thread: DrivenThread,
    others: list[DrivenThread],
    threads: Threads,
    gate: Gate,
    strategy: threads_pb2.PruneStrategy.ValueType,
) -> None:
    running = thread.create(assistant_id="gated", input=gate.input, interrupt_after=["gate"])
    gate.wait_begun()
    others[0].start("linear")
    history = thread.history()
    assert prune(threads, strategy, thread.thread_id, others[0].thread_id) == 1
    assert thread.history() == history
    enqueue = run_pb2.MULTITASK_STRATEGY_ENQUEUE
    queued = thread.create(assistant_id="gated", input=gate.input, multitask_strategy=enqueue)
    gate.open()
    thread.wait(running)
    # It is paused, and a run waits behind the pause.
    history = thread.history()
    assert (thread.status, prune(threads, strategy, thread.thread_id)) == ("INTERRUPTED", 0)
    assert thread.history() == history
    thread.cancel(queued)
    assert prune(threads, strategy, thread.thread_id) == 1


@pytest.mark.parametrize(
    ("assistant", "fields", "answer"),
    [
        ("linear", {"interrupt_before": ["c"]}, {}),
        ("ask_in_child", {}, {"answer": "yes"}),
        ("stop_in_child_with_memory", {}, {}),
    ],
    ids=str,
)
def test_what_is_kept_is_gone_on_with(
    thread: DrivenThread,
    others: list[DrivenThread],
    threads: Threads,
    assistant: str,
    fields: dict[str, Any],
    answer: dict[str, Any],
) -> None:
    for each in (thread, others[0]):
        each.start(assistant, **fields)
    before, stands, state = storage(thread), thread.stands(), thread.state(subgraphs=True)
    assert prune(threads, KEEP, thread.thread_id) == 1
    assert (thread.stands(), thread.state(subgraphs=True)) == (stands, state)
    assert [kept.checkpoint_id for kept in thread.history()] == [state.checkpoint_id]
    after = storage(thread)
    assert after.checkpoints.count < before.checkpoints.count
    assert after.checkpoints.bytes < before.checkpoints.bytes
    assert (after.events, after.run_count) == (before.events, before.run_count)
    assert shapes(thread.resume(**answer)) == shapes(others[0].resume(**answer))
    assert thread.log == others[0].log


def test_what_is_kept_is_counted_and_measured(thread: DrivenThread) -> None:
    nothing = threads_pb2.StorageAmount()
    empty = storage(thread)
    assert empty == threads_pb2.GetThreadStorageResponse(
        checkpoints=nothing, channel_values=nothing, writes=nothing, events=nothing
    )
    long = "x" * 50_000
    events = thread.start("linear", {"log": [long]}, interrupt_before=["b"])
    found = storage(thread)
    assert (found.checkpoints.count, found.run_count) == (3, 1)
    assert found.events.count == len(events)
    assert found.events.bytes >= sum(event.ByteSize() for event in events)
    # The log is large, and so each of its versions is a row of its own: once whole, then deltas.
    assert found.channels["log"].count >= 2
    assert 50_000 <= found.channels["log"].bytes < 2 * 50_000 + 10_000
    assert found.channel_values.count == sum(c.count for c in found.channels.values())
    assert found.channel_values.bytes == sum(c.bytes for c in found.channels.values())
    assert found.writes.count > 0
    assert found.writes.bytes > 0
    thread.resume()
    more = storage(thread)
    assert (more.checkpoints.count, more.run_count) == (5, 2)
    assert more.events.count > found.events.count


def test_checkpoints_of_subgraphs_are_counted_too(thread: DrivenThread) -> None:
    thread.start("stop_in_child")
    inside = list(thread.pauses[0].namespace)
    request = threads_pb2.ListThreadHistoryRequest(thread_id=thread.thread_id, namespace=inside)
    inner = thread.threads_stub.ListThreadHistory(request, timeout=DEADLINE).states
    assert storage(thread).checkpoints.count == len(thread.history()) + len(inner)


def test_the_thread_of_a_stateless_run_is_measured_and_deleted_as_well(
    runs: Runs, threads: Threads
) -> None:
    (first, *_) = stream(runs, assistant_id="linear", input=payload(INPUT))
    thread = DrivenThread(runs, threads, first.metadata.thread_id)
    assert storage(thread).run_count == 1
    assert prune(threads, DELETE, thread.thread_id) == 1
