"""Cancelling runs: what stops when, what stays, and what comes next."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    cancel,
    checked,
    create,
    get_run,
    get_thread,
    join,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    value,
    wait,
)
from tests.e2e.gates import Gate

LOG = payload({"log": ["in"]})
ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE
PENDING, RUNNING, SUCCEEDED, CANCELLED = (
    run_pb2.RUN_STATUS_PENDING,
    run_pb2.RUN_STATUS_RUNNING,
    run_pb2.RUN_STATUS_SUCCEEDED,
    run_pb2.RUN_STATUS_CANCELLED,
)
IDLE, BUSY = threads_pb2.THREAD_STATUS_IDLE, threads_pb2.THREAD_STATUS_BUSY


def join_in_background(runs: runs_pb2_grpc.RunsStub, run_id: str) -> Any:
    """Joins a run; the events are there when it has ended."""
    return runs.JoinRun(runs_pb2.JoinRunRequest(run_id=run_id), timeout=DEADLINE)


# --- runs that have not begun ---


@pytest.mark.parametrize("why", ["delayed", "queued"])
def test_a_run_that_has_not_begun_is_cancelled_at_once(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate, why: str
) -> None:
    thread = new_thread(threads)
    if why == "delayed":
        delay = duration_pb2.Duration(seconds=3600)
        run = create(
            runs, thread_id=thread, assistant_id="gated", input=gate.input, start_delay=delay
        )
    else:
        create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
        run = create(
            runs,
            thread_id=thread,
            assistant_id="gated",
            input=gate.input,
            multitask_strategy=ENQUEUE,
        )
    assert run.status == PENDING
    joined = join_in_background(runs, run.run_id)
    cancelled = cancel(runs, run.run_id)
    assert (cancelled.status, cancelled.cancel_requested) == (CANCELLED, True)
    assert not cancelled.HasField("start_time")
    assert cancelled.HasField("end_time")
    # Those who wait for it learn of it, from its first event to its last.
    events = checked([response.event for response in joined])
    assert shapes(events) == [("end", "CANCELLED")]
    assert events[0].metadata.thread_id == thread
    assert join(runs, run.run_id) == events
    left = get_thread(threads, thread)
    assert left.status == (IDLE if why == "delayed" else BUSY)


# --- runs that execute ---


def test_an_async_node_is_stopped_and_what_had_finished_stays(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
    gate.wait_begun()
    assert cancel(runs, run.run_id).cancel_requested
    ended = wait(runs, run.run_id)
    assert (ended.run.status, ended.run.cancel_requested) == (CANCELLED, True)
    assert not ended.run.HasField("error")
    assert value(ended.values)["log"] == ["in", "before"]
    assert shapes(join(runs, run.run_id)) == [
        ("updates", "before", {"log": ["before"]}),
        ("end", "CANCELLED"),
    ]
    left = get_thread(threads, thread)
    assert (left.status, list(left.next)) == (IDLE, ["gate"])
    assert not left.HasField("error")
    assert left.checkpoint_id == join(runs, run.run_id)[-1].end.checkpoint_id


@pytest.mark.parametrize("graph", ["gated", "gated_sync"])
def test_a_cancelled_thread_can_be_resumed_where_it_was_stopped(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate, graph: str
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id=graph, input=gate.input)
    gate.wait_begun()
    cancel(runs, run.run_id)
    gate.open()
    assert wait(runs, run.run_id).run.status == CANCELLED
    events = stream(runs, thread_id=thread, resume={})
    assert shapes(events) == [
        ("updates", "gate", {"log": ["gate"]}),
        ("updates", "after", {"log": ["after"]}),
        ("end", "SUCCEEDED"),
    ]
    assert events[0].metadata.resumed_run_id == run.run_id
    assert get_thread(threads, thread).status == IDLE


def test_a_cancelled_thread_takes_new_input(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
    gate.wait_begun()
    cancel(runs, run.run_id)
    gate.open()
    wait(runs, run.run_id)
    events = stream(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=payload({"log": ["again"]}),
        stream_modes=[run_pb2.STREAM_MODE_VALUES],
    )
    assert shapes(events)[-2][1]["log"] == ["in", "before", "again", "before", "gate", "after"]


@pytest.mark.parametrize("graph", ["gated_sync", "stubborn"])
def test_a_node_that_cannot_be_stopped_keeps_its_run_running_until_it_returns(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate, graph: str
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id=graph, input=gate.input)
    queued = create(
        runs, thread_id=thread, assistant_id=graph, input=gate.input, multitask_strategy=ENQUEUE
    )
    gate.wait_begun()
    joined = join_in_background(runs, run.run_id)
    for _ in range(2):
        requested = cancel(runs, run.run_id)
        assert (requested.status, requested.cancel_requested) == (RUNNING, True)
    waiting = runs.WaitRun.future(runs_pb2.WaitRunRequest(run_id=run.run_id), timeout=0.5)
    with pytest.raises(grpc.RpcError):
        waiting.result()
    assert not gate.returned
    assert get_run(runs, run.run_id).status == RUNNING
    assert get_run(runs, queued.run_id).status == PENDING
    assert get_thread(threads, thread).status == BUSY
    gate.open()
    assert wait(runs, run.run_id).run.status == CANCELLED
    gate.wait_returned()
    assert shapes(response.event for response in joined)[-1] == ("end", "CANCELLED")
    # Now it is the next one's turn.
    assert wait(runs, queued.run_id).run.status == SUCCEEDED
    first, second = get_run(runs, run.run_id), get_run(runs, queued.run_id)
    assert second.start_time.ToNanoseconds() >= first.end_time.ToNanoseconds()


@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("graph", ["gated_sync", "stubborn"])
def test_with_abandon_the_run_does_not_wait_for_such_a_node(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    gate: Gate,
    graph: str,
    asked_before: bool,
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id=graph, input=gate.input)
    gate.wait_begun()
    if asked_before:
        cancel(runs, run.run_id)
    cancel(runs, run.run_id, abandon=True)
    ended = wait(runs, run.run_id)
    assert ended.run.status == CANCELLED
    assert not gate.returned
    left = get_thread(threads, thread)
    assert (left.status, list(left.next)) == (IDLE, ["gate"])
    # What the node still does counts for nothing.
    gate.open()
    gate.wait_returned()
    assert get_thread(threads, thread) == left
    events = stream(runs, thread_id=thread, resume={})
    assert shapes(events)[-1] == ("end", "SUCCEEDED")


def test_a_run_that_is_cancelled_after_a_pause_needs_no_second_approval(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    stream(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=gate.input,
        interrupt_before=["gate", "after"],
    )
    resumed = create(runs, thread_id=thread, resume={})
    gate.wait_begun()
    cancel(runs, resumed.run_id)
    assert wait(runs, resumed.run_id).run.status == CANCELLED
    left = get_thread(threads, thread)
    assert (left.status, list(left.next), len(left.pauses)) == (IDLE, ["gate"], 0)
    gate.open()
    # `gate` was approved, so it runs; `after` was not.
    assert shapes(stream(runs, thread_id=thread, resume={})) == [
        ("updates", "gate", {"log": ["gate"]}),
        ("interrupted", [("BREAKPOINT_BEFORE", "after")], ["after"]),
        ("end", "INTERRUPTED"),
    ]


def test_cancelling_one_run_leaves_the_others_alone(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    made = []
    for _ in range(6):
        made.append(
            create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
        )
        gate.wait_begun()
    for run in made[::2]:
        cancel(runs, run.run_id)
    for run in made[::2]:
        assert wait(runs, run.run_id).run.status == CANCELLED
    assert {get_run(runs, run.run_id).status for run in made[1::2]} == {RUNNING}
    gate.open()
    assert {wait(runs, run.run_id).run.status for run in made[1::2]} == {SUCCEEDED}


# --- runs that have ended ---


@pytest.mark.parametrize(
    ("graph", "status"),
    [("linear", "SUCCEEDED"), ("boom", "FAILED"), ("gated", "CANCELLED")],
)
def test_a_run_that_has_ended_is_not_cancelled(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    gate: Gate,
    graph: str,
    status: str,
) -> None:
    thread = new_thread(threads)
    run_id = create(runs, thread_id=thread, assistant_id=graph, input=gate.input).run_id
    if graph == "gated":
        cancel(runs, run_id)
    before = wait(runs, run_id)
    left = get_thread(threads, thread)
    for abandon in (False, True):
        with refused("FAILED_PRECONDITION", "RUN_ENDED") as refusal:
            cancel(runs, run_id, abandon=abandon)
        assert refusal.metadata == {"run_id": run_id, "status": status}
    assert wait(runs, run_id) == before
    assert get_thread(threads, thread) == left


# --- races ---


def test_of_an_end_and_a_cancel_that_race_exactly_one_counts(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    def race(number: int) -> tuple[str, bool]:
        thread = new_thread(threads)
        request = runs_pb2.StreamRunRequest(thread_id=thread, assistant_id="linear", input=LOG)
        call = runs.StreamRun(request, timeout=DEADLINE)
        # Cancelled after its first, second, … event; often when it is over already.
        events = [next(call).event for _ in range(1 + number % 5)]
        run_id = events[0].run_id
        cancelling = runs.CancelRun.future(runs_pb2.CancelRunRequest(run_id=run_id))
        refused_late = cancelling.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert refused_late or cancelling.code() is grpc.StatusCode.OK
        events = checked(events + [response.event for response in call])
        run = get_run(runs, run_id)
        assert run.status == events[-1].end.status
        assert run.last_sequence == len(events)
        assert run.cancel_requested != refused_late
        left = get_thread(threads, thread)
        assert left.status == IDLE
        assert left.checkpoint_id == events[-1].end.checkpoint_id
        if run.status == SUCCEEDED:
            assert list(left.next) == []
        # Whatever came of it, the thread goes on.
        steps = [said[1] for said in shapes(events)[:-1]]
        again = stream(runs, thread_id=thread, **_go_on(left))
        assert shapes(again)[-1] == ("end", "SUCCEEDED")
        if left.next:
            assert [*steps, *(said[1] for said in shapes(again)[:-1])][-1] == "c"
        return run_pb2.RunStatus.Name(run.status), refused_late

    with ThreadPoolExecutor(8) as pool:
        outcomes = set(pool.map(race, range(80)))
    assert outcomes <= {
        ("RUN_STATUS_CANCELLED", False),
        ("RUN_STATUS_SUCCEEDED", False),
        ("RUN_STATUS_SUCCEEDED", True),
    }
    assert ("RUN_STATUS_CANCELLED", False) in outcomes


def _go_on(thread: threads_pb2.Thread) -> dict[str, Any]:
    return {"resume": {}} if thread.next else {"assistant_id": "linear", "input": LOG}


def test_many_who_cancel_one_run_all_get_an_answer(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    run = create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
    gate.wait_begun()
    request = runs_pb2.CancelRunRequest(run_id=run.run_id)
    calls = [runs.CancelRun.future(request, timeout=DEADLINE) for _ in range(30)]
    codes = [call.code() for call in calls]
    assert codes[0] is grpc.StatusCode.OK
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION}
    assert shapes(join(runs, run.run_id))[-1] == ("end", "CANCELLED")
