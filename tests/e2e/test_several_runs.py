"""Several runs in one call: CreateRuns, all or none, and CancelRuns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    create,
    get_run,
    get_thread,
    list_runs,
    new_thread,
    payload,
    refused,
    value,
    wait,
)
from tests.e2e.driven import DrivenThread, command, resume
from tests.e2e.gates import Gate
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})
ENQUEUE, INTERRUPT = run_pb2.MULTITASK_STRATEGY_ENQUEUE, run_pb2.MULTITASK_STRATEGY_INTERRUPT
PENDING, RUNNING, SUCCEEDED, CANCELLED = (
    run_pb2.RUN_STATUS_PENDING,
    run_pb2.RUN_STATUS_RUNNING,
    run_pb2.RUN_STATUS_SUCCEEDED,
    run_pb2.RUN_STATUS_CANCELLED,
)


def create_all(
    runs: runs_pb2_grpc.RunsStub, *requests: dict[str, Any], request_id: str = ""
) -> list[run_pb2.Run]:
    """Starts runs together and returns them."""
    request = runs_pb2.CreateRunsRequest(
        requests=[runs_pb2.CreateRunRequest(**fields) for fields in requests],
        request_id=request_id,
    )
    return list(runs.CreateRuns(request, timeout=DEADLINE).runs)


def cancel_all(runs: runs_pb2_grpc.RunsStub, **fields: Any) -> list[run_pb2.Run]:
    """Cancels runs together and returns those that were active."""
    request = runs_pb2.CancelRunsRequest(**fields)
    return list(runs.CancelRuns(request, timeout=DEADLINE).runs)


def ids(runs: list[run_pb2.Run]) -> list[str]:
    return [run.run_id for run in runs]


# --- CreateRuns ---


def test_they_start_together_in_the_order_of_the_requests(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    made = create_all(
        runs,
        {"assistant_id": "linear", "input": LOG},
        {
            "thread_id": thread,
            "assistant_id": "linear",
            "input": LOG,
            "metadata": payload({"n": 1}),
        },
        {
            "thread_id": thread,
            "assistant_id": "linear",
            "input": payload({"log": ["second"]}),
            "multitask_strategy": ENQUEUE,
        },
        *({"assistant_id": "linear", "input": LOG} for _ in range(97)),
    )
    assert len(made) == len(set(ids(made))) == 100
    assert (made[1].thread_id, made[2].thread_id) == (thread, thread)
    assert (made[1].status, made[2].status) == (RUNNING, PENDING)
    assert value(made[1].metadata) == {"n": 1}
    assert {wait(runs, run.run_id).run.status for run in made} == {SUCCEEDED}
    assert value(wait(runs, made[2].run_id).values)["log"] == [
        *("in", "a", "b", "c"),
        *("second", "a", "b", "c"),
    ]


@pytest.mark.parametrize(
    ("bad", "code", "reason", "fields"),
    [
        ({"assistant_id": "liner"}, "NOT_FOUND", "ASSISTANT_NOT_FOUND", ()),
        (
            {"interrupt_before": ["a", "z"]},
            "INVALID_ARGUMENT",
            "UNKNOWN_NODE",
            ("requests[1].interrupt_before[1]",),
        ),
        ({"thread_id": "nowhere"}, "NOT_FOUND", "THREAD_NOT_FOUND", ()),
        ({"thread_id": "busy"}, "FAILED_PRECONDITION", "THREAD_BUSY", ()),
    ],
    ids=lambda given: str(given),
)
def test_where_one_is_refused_none_is_started(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    gate: Gate,
    bad: dict[str, Any],
    code: str,
    reason: str,
    fields: tuple[str, ...],
) -> None:
    thread, busy = new_thread(threads), new_thread(threads)
    create(runs, thread_id=busy, assistant_id="gated", input=gate.input)
    if bad.get("thread_id") == "busy":
        bad = {"thread_id": busy, "assistant_id": "gated"}
    with refused(code, reason, *fields) as refusal:
        create_all(
            runs,
            {"thread_id": thread, "assistant_id": "linear", "input": LOG},
            {"assistant_id": "linear", "input": LOG, **bad},
        )
    assert refusal.metadata["request_index"] == "1"
    if not fields:
        assert refusal.text.startswith("requests[1]: ")
    assert list_runs(runs, thread) == []
    assert get_thread(threads, thread).status == threads_pb2.THREAD_STATUS_IDLE


def test_of_two_on_one_thread_the_second_finds_the_first(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    on_thread = {"thread_id": thread, "assistant_id": "gated", "input": gate.input}
    elsewhere = {"assistant_id": "linear", "input": LOG}
    with refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        create_all(runs, elsewhere, on_thread, on_thread)
    assert refusal.metadata == {
        "thread_id": thread,
        "request_index": "2",
        "busy_with_request_index": "1",
    }
    assert refusal.text == (
        f"requests[2]: thread {thread} is taken by requests[1] of this call; let this one wait "
        "with MULTITASK_STRATEGY_ENQUEUE, or start it when that has ended"
    )
    assert list_runs(runs, thread) == []
    # It can even take its place.
    first, second = create_all(runs, on_thread, {**on_thread, "multitask_strategy": INTERRUPT})
    assert (first.status, first.cancel_requested, second.status) == (RUNNING, True, PENDING)
    gate.open()
    assert wait(runs, first.run_id).run.status == CANCELLED
    assert wait(runs, second.run_id).run.status == SUCCEEDED


@pytest.mark.parametrize("second", ["resume", "named", "seen", "command", "queued", "input"])
def test_of_two_that_go_on_with_a_thread_the_second_is_told_of_the_first(
    thread: DrivenThread, second: str
) -> None:
    thread.start("ask")
    (pause,) = thread.pauses
    seen = {"answer": "two", "expected_checkpoint_id": thread.now.checkpoint_id}
    go_on: dict[str, dict[str, Any]] = {
        "resume": {"resume": resume({"answer": "two"})},
        "named": {"resume": resume({"answers": {pause.pause_id: "two"}})},
        "seen": {"resume": resume(seen)},
        "command": {"command": command({"goto": ["after"]})},
        "queued": {"command": command({"goto": ["after"]}), "multitask_strategy": ENQUEUE},
        "input": {"assistant_id": "ask", "input": LOG},
    }
    with thread.refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        create_all(
            thread.runs_stub,
            {"thread_id": thread.thread_id, "resume": resume({"answer": "one"})},
            {"thread_id": thread.thread_id, **go_on[second]},
        )
    assert refusal.metadata == {
        "thread_id": thread.thread_id,
        "request_index": "1",
        "busy_with_request_index": "0",
    }
    assert refusal.text.startswith(
        f"requests[1]: thread {thread.thread_id} is taken by requests[0] of this call; "
    )
    assert thread.pauses == [pause]


def test_of_two_behind_a_run_that_is_at_work_the_second_is_told_of_that_run(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    on_thread = {"thread_id": thread.thread_id, "assistant_id": "gated", "input": gate.input}
    with refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        create_all(thread.runs_stub, {**on_thread, "multitask_strategy": ENQUEUE}, on_thread)
    assert refusal.metadata == {
        "thread_id": thread.thread_id,
        "run_id": run_id,
        "request_index": "1",
    }
    gate.open()


def test_a_batch_is_repeated_by_its_request_id(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, once: str
) -> None:
    thread = new_thread(threads)
    batch = [
        {"thread_id": thread, "assistant_id": "linear", "input": LOG},
        {"assistant_id": "linear", "input": LOG},
    ]
    made = create_all(runs, *batch, request_id=once)
    for run in made:
        wait(runs, run.run_id)
    again = create_all(runs, *batch, request_id=once)
    assert ids(again) == ids(made)
    assert {run.status for run in again} == {SUCCEEDED}
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        create_all(runs, *reversed(batch), request_id=once)
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        create_all(runs, batch[0], request_id=once)
    assert ids(list_runs(runs, thread)) == [made[0].run_id]
    runs.DeleteRun(runs_pb2.DeleteRunRequest(run_id=made[1].run_id), timeout=DEADLINE)
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        create_all(runs, *batch, request_id=once)


def test_of_calls_with_one_request_id_at_once_one_starts_the_runs(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, once: str
) -> None:
    thread = new_thread(threads)
    one = runs_pb2.CreateRunRequest(thread_id=thread, assistant_id="linear", input=LOG)
    request = runs_pb2.CreateRunsRequest(requests=[one], request_id=once)
    calls = [runs.CreateRuns.future(request, timeout=DEADLINE) for _ in range(10)]
    assert len({call.result().runs[0].run_id for call in calls}) == 1
    assert len(list_runs(runs, thread)) == 1


def test_those_that_find_no_room_wait_their_turn(
    own_server: Callable[..., ServerProcess], gate: Gate
) -> None:
    process = own_server(env={"GRAPHWIRE_MAX_CONCURRENT_RUNS": "3"})
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        made = create_all(runs, *({"assistant_id": "gated", "input": gate.input},) * 5)
        assert [run.status for run in made] == [RUNNING] * 3 + [PENDING] * 2
        gate.open()
        assert {wait(runs, run.run_id).run.status for run in made} == {SUCCEEDED}


# --- CancelRuns ---


def test_those_that_are_named_are_cancelled_and_those_that_have_ended_left(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    done = create(runs, assistant_id="linear", input=LOG)
    ended = wait(runs, done.run_id).run
    paused = wait(runs, create(runs, assistant_id="ask", input=LOG).run_id).run
    on_thread = {"thread_id": thread, "assistant_id": "gated", "input": gate.input}
    under_way = create(runs, **on_thread)
    gate.wait_begun()
    queued = create(runs, **on_thread, multitask_strategy=ENQUEUE)
    other = create(runs, assistant_id="gated", input=gate.input)
    named = [done.run_id, under_way.run_id, queued.run_id, paused.run_id, queued.run_id]
    cancelled = cancel_all(runs, run_ids=named)
    assert {run.run_id: run.status for run in cancelled} == {
        queued.run_id: CANCELLED,
        under_way.run_id: RUNNING,
    }
    assert all(run.cancel_requested for run in cancelled)
    assert wait(runs, under_way.run_id).run.status == CANCELLED
    assert (get_run(runs, done.run_id), get_run(runs, paused.run_id)) == (ended, paused)
    # What it is paused at is not given up.
    assert get_thread(threads, paused.thread_id).status == threads_pb2.THREAD_STATUS_INTERRUPTED
    assert get_run(runs, other.run_id).status == RUNNING
    assert cancel_all(runs, run_ids=named) == []


def test_where_one_is_not_there_none_is_cancelled(runs: runs_pb2_grpc.RunsStub, gate: Gate) -> None:
    run = create(runs, assistant_id="gated", input=gate.input)
    nobody = "00000000-0000-4000-8000-000000000000"
    with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
        cancel_all(runs, run_ids=[run.run_id, nobody])
    assert refusal.resource == ("run", nobody)
    assert not get_run(runs, run.run_id).cancel_requested


def test_those_of_a_thread_are_cancelled_by_their_status(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread, elsewhere = new_thread(threads), new_thread(threads)
    on_thread = {"thread_id": thread, "assistant_id": "gated", "input": gate.input}
    first = create(runs, **on_thread)
    gate.wait_begun()
    queued = [create(runs, **on_thread, multitask_strategy=ENQUEUE) for _ in range(2)]
    other = create(runs, thread_id=elsewhere, assistant_id="gated", input=gate.input)
    assert cancel_all(runs, thread_id=elsewhere, statuses=[PENDING]) == []
    cancelled = cancel_all(runs, thread_id=thread, statuses=[PENDING])
    assert ids(cancelled) == ids(queued[::-1])
    assert get_run(runs, first.run_id).status == RUNNING
    action = runs_pb2.CANCEL_ACTION_ROLLBACK
    assert ids(cancel_all(runs, thread_id=thread, statuses=[PENDING, RUNNING], action=action)) == [
        first.run_id
    ]
    assert wait(runs, first.run_id).run.rolled_back
    assert get_run(runs, other.run_id).status == RUNNING
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        cancel_all(runs, thread_id="nowhere", statuses=[RUNNING])


def test_all_that_are_active_are_cancelled_and_nothing_starts_meanwhile(
    own_server: Callable[..., ServerProcess], gate: Gate
) -> None:
    process = own_server(env={"GRAPHWIRE_MAX_CONCURRENT_RUNS": "10"})
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        made: list[run_pb2.Run] = []
        for _ in range(5):
            on_thread = {
                "thread_id": new_thread(threads),
                "assistant_id": "gated_sync",
                "input": gate.input,
                "multitask_strategy": ENQUEUE,
            }
            made += create_all(runs, *([on_thread] * 50))
        assert sorted(ids(cancel_all(runs, statuses=[RUNNING, PENDING]))) == sorted(ids(made))
        # Nodes that can't be stopped are not waited for if one says so.
        assert len(cancel_all(runs, statuses=[RUNNING], abandon=True)) <= 5
        ended = [wait(runs, run.run_id).run for run in made]
        assert {run.status for run in ended} == {CANCELLED}
        assert sum(run.HasField("start_time") for run in ended) == 5
        assert cancel_all(runs, statuses=[RUNNING, PENDING]) == []
