"""A second run on a thread: refused or queued; runs that start later; threads made on the way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import grpc
from google.protobuf import duration_pb2
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    cancel,
    create,
    get_run,
    get_thread,
    join,
    list_runs,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    value,
    wait,
)
from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})
ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE
DISCARD = run_pb2.ON_PAUSE_DISCARD
CREATE = run_pb2.IF_NOT_EXISTS_CREATE
PENDING, RUNNING, INTERRUPTED, SUCCEEDED, FAILED, CANCELLED = (
    run_pb2.RUN_STATUS_PENDING,
    run_pb2.RUN_STATUS_RUNNING,
    run_pb2.RUN_STATUS_INTERRUPTED,
    run_pb2.RUN_STATUS_SUCCEEDED,
    run_pb2.RUN_STATUS_FAILED,
    run_pb2.RUN_STATUS_CANCELLED,
)
IDLE, BUSY, PAUSED = (
    threads_pb2.THREAD_STATUS_IDLE,
    threads_pb2.THREAD_STATUS_BUSY,
    threads_pb2.THREAD_STATUS_INTERRUPTED,
)


def delay(seconds: float) -> duration_pb2.Duration:
    result = duration_pb2.Duration()
    result.FromMicroseconds(int(seconds * 1e6))
    return result


def log(threads: threads_pb2_grpc.ThreadsStub, thread_id: str) -> list[str]:
    request = threads_pb2.GetThreadStateRequest(thread_id=thread_id)
    state = threads.GetThreadState(request, timeout=DEADLINE).state
    entries: list[str] = value(state.values)["log"]
    return entries


def status(runs: runs_pb2_grpc.RunsStub, run: run_pb2.Run) -> run_pb2.RunStatus.ValueType:
    return get_run(runs, run.run_id).status


def in_turn(finished: list[run_pb2.Run]) -> bool:
    """Whether each run began only when the one before it had ended."""
    return all(
        earlier.end_time.ToNanoseconds() <= later.start_time.ToNanoseconds()
        for earlier, later in pairwise(finished)
    )


# --- REJECT ---


def test_a_second_run_on_a_busy_thread_is_refused_and_told_which_run_it_is(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    first = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
    gate.wait_begun()
    before = get_thread(threads, thread)
    for strategy in (
        run_pb2.MULTITASK_STRATEGY_UNSPECIFIED,
        run_pb2.MULTITASK_STRATEGY_REJECT,
    ):
        for start in (create, stream):
            with refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
                start(
                    runs,
                    thread_id=thread,
                    assistant_id="gated",
                    input=gate.input,
                    multitask_strategy=strategy,
                )
            assert refusal.metadata == {"thread_id": thread, "run_id": first.run_id}
    with refused("FAILED_PRECONDITION", "THREAD_BUSY"):
        stream(runs, thread_id=thread, resume={})
    assert [run.run_id for run in list_runs(runs, thread)] == [first.run_id]
    assert get_thread(threads, thread) == before
    gate.open()
    assert wait(runs, first.run_id).run.status == SUCCEEDED
    events = stream(runs, thread_id=thread, assistant_id="gated", input=gate.input)
    assert shapes(events)[-1] == ("end", "SUCCEEDED")


# --- ENQUEUE ---


def test_queued_runs_start_one_by_one_in_the_order_of_their_acceptance(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    made = [
        create(
            runs,
            thread_id=thread,
            assistant_id="linear",
            input=payload({"log": [f"input {number}"]}),
            multitask_strategy=ENQUEUE,
        )
        for number in range(25)
    ]
    finished = [wait(runs, run.run_id).run for run in made]
    assert {run.status for run in finished} == {SUCCEEDED}
    assert in_turn(finished)
    assert log(threads, thread) == [
        entry for number in range(25) for entry in (f"input {number}", "a", "b", "c")
    ]
    assert get_thread(threads, thread).status == IDLE


def test_runs_that_many_enqueue_at_once_are_all_executed_never_two_together(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    with ThreadPoolExecutor(10) as pool:
        made = list(
            pool.map(
                lambda number: create(
                    runs,
                    thread_id=thread,
                    assistant_id="linear",
                    input=payload({"log": [str(number)]}),
                    multitask_strategy=ENQUEUE,
                ),
                range(30),
            )
        )
    finished = [wait(runs, run.run_id).run for run in made]
    assert {run.status for run in finished} == {SUCCEEDED}
    by_acceptance = [run.run_id for run in list_runs(runs, thread)][::-1]
    assert sorted(by_acceptance) == sorted(run.run_id for run in made)
    finished.sort(key=lambda run: by_acceptance.index(run.run_id))
    assert in_turn(finished)
    inputs = log(threads, thread)[::4]
    numbers = {run.run_id: str(number) for number, run in enumerate(made)}
    assert inputs == [numbers[run_id] for run_id in by_acceptance]


def test_the_queue_waits_while_the_thread_is_paused_and_goes_on_after_the_resume(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    first = create(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=gate.input,
        interrupt_before=["after"],
    )
    queued = [
        create(
            runs,
            thread_id=thread,
            assistant_id="gated",
            input=payload({"log": [name]}),
            multitask_strategy=ENQUEUE,
        )
        for name in ("second", "third")
    ]
    gate.open()
    assert wait(runs, first.run_id).run.status == INTERRUPTED
    paused = get_thread(threads, thread)
    assert (paused.status, list(paused.next)) == (PAUSED, ["after"])
    # Nothing that anybody does elsewhere starts them.
    stream(runs, thread_id=new_thread(threads), assistant_id="linear", input=LOG)
    assert [status(runs, run) for run in queued] == [PENDING, PENDING]

    # More input may not be queued behind the pause, but the pause can be answered.
    with refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED"):
        create(
            runs,
            thread_id=thread,
            assistant_id="gated",
            input=gate.input,
            multitask_strategy=ENQUEUE,
        )
    resumed = stream(runs, thread_id=thread, resume={})
    assert shapes(resumed) == [("updates", "after", {"log": ["after"]}), ("end", "SUCCEEDED")]
    finished = [wait(runs, run.run_id).run for run in queued]
    assert {run.status for run in finished} == {SUCCEEDED}
    assert in_turn([get_run(runs, resumed[0].run_id), *finished])
    steps = ["before", "gate", "after"]
    assert log(threads, thread) == ["in", *steps, "second", *steps, "third", *steps]
    assert get_thread(threads, thread).status == IDLE


def test_a_queued_run_that_pauses_holds_up_those_behind_it(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    made = [
        create(
            runs,
            thread_id=thread,
            assistant_id="ask",
            input=payload({"log": [f"input {number}"]}),
            multitask_strategy=ENQUEUE,
            start_delay=delay(2 if number == 0 else 0),
        )
        for number in range(3)
    ]
    for number, run in enumerate(made):
        assert wait(runs, run.run_id).run.status == INTERRUPTED
        assert [status(runs, later) for later in made[number + 1 :]] == [PENDING] * (2 - number)
        assert get_thread(threads, thread).status == PAUSED
        stream(runs, thread_id=thread, resume={"answer": payload(number)})
    assert log(threads, thread) == [
        entry for n in range(3) for entry in (f"input {n}", f"name: {n}", "after")
    ]


def test_giving_up_a_pause_lets_the_queue_go_on_in_order(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    first = create(
        runs, thread_id=thread, assistant_id="gated", input=gate.input, interrupt_before=["after"]
    )
    gate.wait_begun()
    queued = create(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=payload({"log": ["second"]}),
        multitask_strategy=ENQUEUE,
    )
    gate.open()
    assert wait(runs, first.run_id).run.status == INTERRUPTED
    with refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        create(runs, thread_id=thread, assistant_id="gated", input=gate.input, on_pause=DISCARD)
    assert refusal.metadata["run_id"] == queued.run_id
    assert get_thread(threads, thread).status == PAUSED
    last = create(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=payload({"log": ["third"]}),
        on_pause=DISCARD,
        multitask_strategy=ENQUEUE,
    )
    finished = [wait(runs, run.run_id).run for run in (queued, last)]
    assert {run.status for run in finished} == {SUCCEEDED}
    assert in_turn(finished)
    steps = ["before", "gate", "after"]
    begun = ["in", "before", "gate"]
    assert log(threads, thread) == [*begun, "second", *steps, "third", *steps]


def test_the_queue_goes_on_after_a_run_that_failed_or_was_cancelled(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    made = [
        create(
            runs,
            thread_id=thread,
            assistant_id="boom",
            input=payload({"log": [f"input {count}"], "count": count}),
            multitask_strategy=ENQUEUE,
            start_delay=delay(2 if not number else 0),
        )
        for number, count in enumerate((0, 0, 1))
    ]
    cancel(runs, made[1].run_id)
    assert [wait(runs, run.run_id).run.status for run in made] == [FAILED, CANCELLED, SUCCEEDED]
    assert get_thread(threads, thread).status == IDLE
    assert log(threads, thread) == ["input 0", "fine", "input 1", "fine", "explode"]


def test_cancelling_a_queued_run_does_not_end_the_pause_that_it_waits_behind(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    first = create(runs, thread_id=thread, assistant_id="ask", input=LOG, start_delay=delay(2))
    queued = [
        create(runs, thread_id=thread, assistant_id="ask", input=LOG, multitask_strategy=ENQUEUE)
        for _ in range(2)
    ]
    assert wait(runs, first.run_id).run.status == INTERRUPTED
    before = get_thread(threads, thread)
    cancel(runs, queued[0].run_id)
    after = get_thread(threads, thread)
    assert (after.status, list(after.pauses)) == (PAUSED, list(before.pauses))

    # Nor when the node waits to ask again.
    edit = threads_pb2.UpdateThreadStateRequest(
        thread_id=thread, values=payload({"log": ["edited"]}), as_node="__start__"
    )
    threads.UpdateThreadState(edit, timeout=DEADLINE)
    edited = get_thread(threads, thread)
    assert (edited.status, list(edited.next), len(edited.pauses)) == (PAUSED, ["ask"], 1)
    assert status(runs, queued[1]) == PENDING
    cancel(runs, queued[1].run_id)
    left = get_thread(threads, thread)
    assert (left.status, list(left.next)) == (PAUSED, ["ask"])
    with refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED"):
        stream(runs, thread_id=thread, assistant_id="ask", input=LOG)


def test_a_thread_with_queued_runs_is_not_deleted(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id="linear", input=LOG, start_delay=delay(3600))
    request = threads_pb2.DeleteThreadRequest(thread_id=thread)
    with refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        threads.DeleteThread(request, timeout=DEADLINE)
    assert refusal.metadata["run_id"] == run.run_id
    cancel(runs, run.run_id)
    threads.DeleteThread(request, timeout=DEADLINE)
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        get_run(runs, run.run_id)


# --- start_delay ---


def test_a_delayed_run_starts_when_its_time_has_come_and_not_before(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id="linear", input=LOG, start_delay=delay(0.6))
    assert run.status == PENDING
    assert get_thread(threads, thread).status == BUSY
    with refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        create(runs, thread_id=thread, assistant_id="linear", input=LOG)
    assert refusal.metadata["run_id"] == run.run_id
    ended = wait(runs, run.run_id).run
    assert ended.status == SUCCEEDED
    waited = ended.start_time.ToMicroseconds() - ended.create_time.ToMicroseconds()
    assert 600_000 <= waited < 3_000_000


def test_a_stream_of_a_delayed_run_names_it_at_once_and_goes_on_when_the_run_begins(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="linear",
        input=LOG,
        start_delay=delay(0.3),
    )
    run = get_run(runs, events[0].run_id)
    assert events[0].event_time == run.create_time
    assert events[1].event_time.ToNanoseconds() >= run.start_time.ToNanoseconds()
    assert shapes(events)[-1] == ("end", "SUCCEEDED")


def test_a_delay_of_nothing_is_no_delay(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    run = create(
        runs,
        thread_id=new_thread(threads),
        assistant_id="gated",
        input=gate.input,
        start_delay=delay(0),
    )
    assert run.status == RUNNING


def test_runs_queued_behind_a_delayed_one_wait_for_it(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    made = [
        create(
            runs,
            thread_id=thread,
            assistant_id="linear",
            input=LOG,
            start_delay=delay(seconds),
            multitask_strategy=ENQUEUE,
        )
        for seconds in (0.5, 0)
    ]
    finished = [wait(runs, run.run_id).run for run in made]
    assert in_turn(finished)
    # With the delayed one out of the way they start at once.
    made = [
        create(
            runs,
            thread_id=thread,
            assistant_id="linear",
            input=LOG,
            start_delay=delay(seconds),
            multitask_strategy=ENQUEUE,
        )
        for seconds in (3600, 0)
    ]
    cancel(runs, made[0].run_id)
    assert wait(runs, made[1].run_id).run.status == SUCCEEDED


def test_queued_and_delayed_runs_outlive_their_server(
    own_server: Callable[..., ServerProcess], gate: Gate
) -> None:
    process = own_server()
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        thread, other = new_thread(threads), new_thread(threads)
        lost = create(
            runs,
            thread_id=thread,
            assistant_id="gated",
            input=gate.input,
            recovery_policy=run_pb2.RECOVERY_POLICY_MANUAL,
        )
        queued = create(
            runs,
            thread_id=thread,
            assistant_id="gated",
            input=payload({"log": ["second"]}),
            multitask_strategy=ENQUEUE,
        )
        delayed = create(
            runs, thread_id=other, assistant_id="linear", input=LOG, start_delay=delay(0.5)
        )
        gate.wait_begun()
        process.kill()
    gate.open()
    process.start()
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        assert wait(runs, lost.run_id).run.error.type == "ServerLost"
        assert wait(runs, delayed.run_id).run.status == SUCCEEDED
        # Nobody has looked yet: what is queued behind it waits, as behind a pause.
        assert get_thread(threads, thread).status == PAUSED
        assert get_run(runs, queued.run_id).status == PENDING
        resumed = create(runs, thread_id=thread, resume={})
        assert wait(runs, resumed.run_id).run.status == SUCCEEDED
        assert wait(runs, queued.run_id).run.status == SUCCEEDED
        ran = ["before", "gate", "after"]
        assert log(threads, thread) == ["in", *ran, "second", *ran]
        assert get_thread(threads, thread).status == IDLE
        assert get_thread(threads, other).status == IDLE


# --- if_not_exists ---


def test_a_thread_that_does_not_exist_is_not_made_unless_one_says_so(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    for choice in (run_pb2.IF_NOT_EXISTS_UNSPECIFIED, run_pb2.IF_NOT_EXISTS_REJECT):
        with refused("NOT_FOUND", "THREAD_NOT_FOUND") as refusal:
            stream(runs, thread_id="absent", assistant_id="linear", input=LOG, if_not_exists=choice)
        assert refusal.resource == ("thread", "absent")
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            get_thread(threads, "absent")


def test_a_run_can_make_its_thread(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    for _ in range(2):
        events = stream(
            runs, thread_id="made-by-run", assistant_id="linear", input=LOG, if_not_exists=CREATE
        )
        assert events[0].metadata.thread_id == "made-by-run"
    made = get_thread(threads, "made-by-run")
    assert (made.status, made.assistant_id, made.stateless) == (IDLE, "linear", False)
    assert log(threads, "made-by-run") == ["in", "a", "b", "c"] * 2
    listed = threads.ListThreads(threads_pb2.ListThreadsRequest(), timeout=DEADLINE).threads
    assert "made-by-run" in [thread.thread_id for thread in listed]


def test_a_run_that_is_refused_makes_no_thread(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    refusals: list[tuple[str, str, tuple[str, ...], dict[str, Any]]] = [
        (
            "INVALID_ARGUMENT",
            "UNKNOWN_NODE",
            ("interrupt_before[0]",),
            {"assistant_id": "linear", "input": LOG, "interrupt_before": ["nowhere"]},
        ),
        (
            "FAILED_PRECONDITION",
            "NOTHING_TO_RESUME",
            (),
            {"assistant_id": "linear", "resume": {}},
        ),
        (
            "NOT_FOUND",
            "CHECKPOINT_NOT_FOUND",
            (),
            {
                "assistant_id": "linear",
                "input": LOG,
                "checkpoint_id": "00000000-0000-0000-0000-000000000000",
            },
        ),
    ]
    for code, reason, fields, request in refusals:
        with refused(code, reason, *fields):
            stream(runs, thread_id="never-made", if_not_exists=CREATE, **request)
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            get_thread(threads, "never-made")


def test_of_many_who_make_one_thread_at_once_one_runs_and_the_others_are_told(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    request = runs_pb2.CreateRunRequest(
        thread_id="made-by-many", assistant_id="gated", input=gate.input, if_not_exists=CREATE
    )
    calls = [runs.CreateRun.future(request, timeout=DEADLINE) for _ in range(20)]
    codes = [call.code() for call in calls]
    assert codes.count(grpc.StatusCode.OK) == 1
    assert codes.count(grpc.StatusCode.FAILED_PRECONDITION) == 19
    (run,) = list_runs(runs, "made-by-many")
    gate.open()
    assert shapes(join(runs, run.run_id))[-1] == ("end", "SUCCEEDED")
    until(lambda: get_thread(threads, "made-by-many").status == IDLE)
