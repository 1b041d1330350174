"""The life of a run as GetRun, WaitRun, ListRuns and DeleteRun show it, and its thread's."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import duration_pb2
from graphwire.v1 import pause_pb2, run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    cancel,
    create,
    get_run,
    get_thread,
    join,
    list_runs,
    new_thread,
    pause_shape,
    payload,
    refused,
    shapes,
    stream,
    value,
    wait,
)
from tests.e2e.gates import Gate

LOG = payload({"log": ["in"]})
LATER = duration_pb2.Duration(seconds=3600)
NOWHERE = "00000000-0000-0000-0000-000000000000"

PENDING, RUNNING, INTERRUPTED, SUCCEEDED, FAILED, CANCELLED = (
    run_pb2.RUN_STATUS_PENDING,
    run_pb2.RUN_STATUS_RUNNING,
    run_pb2.RUN_STATUS_INTERRUPTED,
    run_pb2.RUN_STATUS_SUCCEEDED,
    run_pb2.RUN_STATUS_FAILED,
    run_pb2.RUN_STATUS_CANCELLED,
)
IDLE, BUSY, PAUSED, ERROR = (
    threads_pb2.THREAD_STATUS_IDLE,
    threads_pb2.THREAD_STATUS_BUSY,
    threads_pb2.THREAD_STATUS_INTERRUPTED,
    threads_pb2.THREAD_STATUS_ERROR,
)


def head(threads: threads_pb2_grpc.ThreadsStub, thread_id: str) -> threads_pb2.ThreadState:
    request = threads_pb2.GetThreadStateRequest(thread_id=thread_id)
    return threads.GetThreadState(request, timeout=DEADLINE).state


# --- CreateRun and GetRun ---


def test_a_run_is_created_at_once_and_says_how_it_runs(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    run = create(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=gate.input,
        interrupt_before=["after"],
        interrupt_after=["before"],
        stream_modes=[run_pb2.STREAM_MODE_VALUES, run_pb2.STREAM_MODE_TASKS],
        stream_subgraphs=True,
        metadata=payload({"team": "blue"}),
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    assert (run.thread_id, run.assistant_id, run.status) == (thread, "gated", RUNNING)
    assert list(run.interrupt_before) == ["after"]
    assert list(run.interrupt_after) == ["before"]
    assert list(run.stream_modes) == [run_pb2.STREAM_MODE_VALUES, run_pb2.STREAM_MODE_TASKS]
    assert run.stream_subgraphs
    assert value(run.metadata) == {"team": "blue"}
    assert run.multitask_strategy == run_pb2.MULTITASK_STRATEGY_ENQUEUE
    assert run.durability == run_pb2.DURABILITY_SYNC
    assert (run.resumed_run_id, run.resumed_by_run_id, run.cancel_requested) == ("", "", False)
    assert not run.HasField("end_time")
    assert not run.HasField("error")
    assert get_run(runs, run.run_id).create_time == run.create_time

    ended = wait(runs, run.run_id).run
    assert ended.status == INTERRUPTED
    assert (
        ended.create_time.ToNanoseconds()
        <= ended.start_time.ToNanoseconds()
        <= ended.end_time.ToNanoseconds()
    )
    assert ended.last_sequence == len(join(runs, run.run_id))


def test_what_a_run_is_not_told_has_the_documented_defaults(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    run = create(runs, thread_id=new_thread(threads), assistant_id="linear", input=LOG)
    assert list(run.stream_modes) == [run_pb2.STREAM_MODE_UPDATES]
    assert not run.stream_subgraphs
    assert run.multitask_strategy == run_pb2.MULTITASK_STRATEGY_REJECT
    assert run.durability == run_pb2.DURABILITY_SYNC
    assert list(run.interrupt_before) == list(run.interrupt_after) == []
    assert value(run.metadata) == {}
    wait(runs, run.run_id)


@pytest.mark.parametrize("durability", ["SYNC", "ASYNC", "EXIT"])
def test_a_run_has_the_durability_that_it_asks_for_unless_it_has_breakpoints(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, durability: str
) -> None:
    asked = run_pb2.Durability.Value(f"DURABILITY_{durability}")
    free = create(
        runs,
        thread_id=new_thread(threads),
        assistant_id="linear",
        input=LOG,
        durability=asked,
    )
    held = create(
        runs,
        thread_id=new_thread(threads),
        assistant_id="linear",
        input=LOG,
        durability=asked,
        interrupt_before=["c"],
    )
    assert free.durability == asked
    assert held.durability == run_pb2.DURABILITY_SYNC
    ended = wait(runs, free.run_id)
    assert ended.run.status == SUCCEEDED
    assert value(ended.values) == {"log": ["in", "a", "b", "c"]}
    assert wait(runs, held.run_id).run.status == INTERRUPTED


def test_a_run_that_does_not_exist_is_not_found(runs: runs_pb2_grpc.RunsStub) -> None:
    for call in (get_run, wait, cancel, delete):
        with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
            call(runs, NOWHERE)
        assert refusal.resource == ("run", NOWHERE)


# --- WaitRun ---


def test_waiting_for_a_run_ends_with_its_end_and_brings_the_state(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    run = create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
    waiting = runs.WaitRun.future(runs_pb2.WaitRunRequest(run_id=run.run_id), timeout=DEADLINE)
    gate.wait_begun()
    assert not waiting.done()
    gate.open()
    ended = waiting.result()
    assert ended.run.status == SUCCEEDED
    assert value(ended.values)["log"] == ["in", "before", "gate", "after"]
    assert not ended.pauses
    assert wait(runs, run.run_id) == ended


def test_the_deadline_of_a_wait_ends_the_wait_and_not_the_run(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    run = create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
    with pytest.raises(grpc.RpcError) as caught:
        runs.WaitRun(runs_pb2.WaitRunRequest(run_id=run.run_id), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert get_run(runs, run.run_id).status == RUNNING
    gate.open()
    assert wait(runs, run.run_id).run.status == SUCCEEDED


def test_waiting_for_a_run_that_pauses_brings_its_pauses_as_they_are_by_now(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id="ask_parallel", input=LOG)
    ended = wait(runs, run.run_id)
    assert ended.run.status == INTERRUPTED
    assert value(ended.values) == {"log": ["in"]}
    assert sorted(pause_shape(pause) for pause in ended.pauses) == [
        ("INTERRUPT", "left", {"question": "left"}),
        ("INTERRUPT", "right", {"question": "right"}),
    ]
    assert {pause.run_id for pause in ended.pauses} == {run.run_id}

    def pauses_now() -> list[pause_pb2.Pause]:
        asked = [threads_pb2.GetPauseRequest(pause_id=each.pause_id) for each in ended.pauses]
        return [threads.GetPause(each, timeout=DEADLINE).pause for each in asked]

    assert list(ended.pauses) == pauses_now()
    first, second = ended.pauses
    answers = {first.pause_id: payload("yes")}
    resumed = stream(runs, thread_id=thread, resume={"answers": answers})
    later = wait(runs, run.run_id)
    assert later.run.resumed_by_run_id == resumed[0].run_id
    assert [pause.status for pause in later.pauses] == [
        pause_pb2.PAUSE_STATUS_RESUMED,
        pause_pb2.PAUSE_STATUS_OPEN,
    ]
    assert list(later.pauses) == pauses_now()
    # The second run ended with the one that is left, which the first has made.
    (left,) = wait(runs, resumed[0].run_id).pauses
    assert left == later.pauses[1]
    assert left.pause_id == second.pause_id
    stream(runs, thread_id=thread, resume={"answers": {left.pause_id: payload("no")}})
    last = wait(runs, run.run_id)
    assert list(last.pauses) == pauses_now()
    assert value(last.pauses[1].resolution.answer) == "no"
    assert value(last.values) == {"log": ["in"]}


def test_waiting_for_a_run_that_fails_brings_its_error_and_what_it_had_done(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    run = create(runs, thread_id=new_thread(threads), assistant_id="boom", input=LOG)
    ended = wait(runs, run.run_id)
    assert ended.run.status == FAILED
    error = ended.run.error
    assert (error.type, error.message, error.node, list(error.namespace)) == (
        "ValueError",
        "count must be 1 at least — it's 0",
        "explode",
        [],
    )
    assert value(ended.values) == {"log": ["in", "fine"]}
    assert not ended.pauses


def test_waiting_for_an_older_run_brings_the_state_at_its_own_end(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    first = create(runs, thread_id=thread, assistant_id="linear", input=LOG).run_id
    own = {"log": ["in", "a", "b", "c"]}
    assert value(wait(runs, first).values) == own
    second = create(runs, thread_id=thread, assistant_id="linear", input=LOG).run_id
    both = {"log": [*own["log"], *own["log"]]}
    assert value(wait(runs, second).values) == both
    request = threads_pb2.UpdateThreadStateRequest(
        thread_id=thread, values=payload({"log": ["edited"]}), as_node="c"
    )
    threads.UpdateThreadState(request, timeout=DEADLINE)
    assert value(head(threads, thread).values) == {"log": [*both["log"], "edited"]}
    assert value(wait(runs, first).values) == own
    assert value(wait(runs, second).values) == both


def test_a_run_that_made_no_state_has_none(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    fresh, used = new_thread(threads), new_thread(threads)
    stream(runs, thread_id=used, assistant_id="linear", input=LOG)
    for thread in (fresh, used):
        run = create(runs, thread_id=thread, assistant_id="linear", input=LOG, start_delay=LATER)
        cancel(runs, run.run_id)
        ended = wait(runs, run.run_id)
        assert ended.run.status == CANCELLED
        assert not ended.HasField("values")


# --- ListRuns ---


def test_runs_are_listed_newest_first_by_status_and_in_pages(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    assert list_runs(runs, thread) == []
    made = []
    for count in (0, 1, 0, 1):
        events = stream(
            runs, thread_id=thread, assistant_id="boom", input=payload({"count": count})
        )
        made.append(events[0].run_id)
    newest_first = made[::-1]
    assert [run.run_id for run in list_runs(runs, thread)] == newest_first
    assert [run.run_id for run in list_runs(runs, thread, statuses=[FAILED])] == newest_first[1::2]
    assert list_runs(runs, thread, statuses=[PENDING, RUNNING]) == []
    assert [
        run.run_id for run in list_runs(runs, thread, statuses=[SUCCEEDED, FAILED])
    ] == newest_first

    pages, token = [], ""
    while True:
        request = runs_pb2.ListRunsRequest(thread_id=thread, page_size=3, page_token=token)
        page = runs.ListRuns(request, timeout=DEADLINE)
        pages.append([run.run_id for run in page.runs])
        token = page.next_page_token
        if not token:
            break
    assert pages == [newest_first[:3], newest_first[3:]]
    # They are the same runs as GetRun gives.
    assert list_runs(runs, thread) == [get_run(runs, run_id) for run_id in newest_first]


def test_the_runs_of_a_thread_that_does_not_exist_are_not_listed(
    runs: runs_pb2_grpc.RunsStub,
) -> None:
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        list_runs(runs, "nowhere")


# --- DeleteRun ---


def delete(runs: runs_pb2_grpc.RunsStub, run_id: str) -> None:
    runs.DeleteRun(runs_pb2.DeleteRunRequest(run_id=run_id), timeout=DEADLINE)


def test_an_active_run_is_not_deleted(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    running = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
    queued = create(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=gate.input,
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    for run, status in ((running, "RUNNING"), (queued, "PENDING")):
        with refused("FAILED_PRECONDITION", "RUN_ACTIVE") as refusal:
            delete(runs, run.run_id)
        assert refusal.metadata == {"run_id": run.run_id, "status": status}
        assert get_run(runs, run.run_id).status == run_pb2.RunStatus.Value(f"RUN_STATUS_{status}")
    gate.open()
    assert wait(runs, running.run_id).run.status == SUCCEEDED
    assert wait(runs, queued.run_id).run.status == SUCCEEDED


def test_a_deleted_run_is_gone_with_its_events_and_its_threads_state_stays(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    gone = stream(runs, thread_id=thread, assistant_id="linear", input=LOG)[0].run_id
    kept = stream(runs, thread_id=thread, assistant_id="linear", input=LOG)[0].run_id
    before, state = get_thread(threads, thread), head(threads, thread)
    delete(runs, gone)
    for call in (get_run, wait, join, cancel, delete):
        with refused("NOT_FOUND", "RUN_NOT_FOUND"):
            call(runs, gone)
    assert [run.run_id for run in list_runs(runs, thread)] == [kept]
    assert get_thread(threads, thread) == before
    assert head(threads, thread) == state
    # The last one as well: the thread goes on from its state.
    delete(runs, kept)
    assert list_runs(runs, thread) == []
    assert get_thread(threads, thread) == before
    again = stream(
        runs,
        thread_id=thread,
        assistant_id="linear",
        input=LOG,
        stream_modes=[run_pb2.STREAM_MODE_VALUES],
    )
    assert shapes(again)[-2] == ("values", {"log": [*["in", "a", "b", "c"] * 3]})


def test_a_run_that_is_gone_takes_neither_its_pauses_nor_the_way_on_with_it(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    run_id = stream(runs, thread_id=thread, assistant_id="ask", input=LOG)[0].run_id
    before = get_thread(threads, thread)
    delete(runs, run_id)
    assert get_thread(threads, thread) == before
    assert before.status == PAUSED
    events = stream(runs, thread_id=thread, resume={"answer": payload("Ada")})
    assert shapes(events) == [
        ("updates", "ask", {"log": ["name: 'Ada'"]}),
        ("updates", "after", {"log": ["after"]}),
        ("end", "SUCCEEDED"),
    ]


# --- what becomes of the thread ---


def test_a_thread_is_busy_while_a_run_is_active_and_idle_after(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    assert get_thread(threads, thread).status == IDLE
    assert get_thread(threads, thread).assistant_id == ""
    run = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
    busy = get_thread(threads, thread)
    assert (busy.status, busy.assistant_id) == (BUSY, "gated")
    gate.open()
    ended = join(runs, run.run_id)[-1].end
    idle = get_thread(threads, thread)
    assert (idle.status, list(idle.next), idle.checkpoint_id) == (IDLE, [], ended.checkpoint_id)
    assert not idle.HasField("error")


def test_a_thread_whose_run_failed_says_how_and_can_be_read_and_mended_and_resumed(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    events = stream(runs, thread_id=thread, assistant_id="boom", input=LOG)
    assert shapes(events) == [("updates", "fine", {"log": ["fine"]}), ("end", "FAILED")]
    failed = get_thread(threads, thread)
    assert (failed.status, list(failed.next)) == (ERROR, ["explode"])
    assert failed.error == events[-1].end.error == get_run(runs, events[0].run_id).error
    assert (failed.error.type, failed.error.node) == ("ValueError", "explode")
    state = head(threads, thread)
    assert value(state.values) == {"log": ["in", "fine"]}
    (task,) = state.tasks
    assert (task.node, task.error.type, task.error.message) == (
        "explode",
        "ValueError",
        "count must be 1 at least — it's 0",
    )

    # As it is, it fails again.
    again = stream(runs, thread_id=thread, resume={})
    assert shapes(again) == [("end", "FAILED")]
    assert get_thread(threads, thread).status == ERROR
    request = threads_pb2.UpdateThreadStateRequest(
        thread_id=thread, values=payload({"count": 1}), as_node="fine"
    )
    threads.UpdateThreadState(request, timeout=DEADLINE)
    mended = stream(runs, thread_id=thread, resume={})
    assert shapes(mended) == [
        ("updates", "explode", {"log": ["explode"]}),
        ("end", "SUCCEEDED"),
    ]
    healthy = get_thread(threads, thread)
    assert healthy.status == IDLE
    assert not healthy.HasField("error")


def test_a_thread_whose_run_failed_takes_new_input(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    stream(runs, thread_id=thread, assistant_id="boom", input=LOG)
    events = stream(
        runs, thread_id=thread, assistant_id="boom", input=payload({"log": ["new"], "count": 1})
    )
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    assert get_thread(threads, thread).status == IDLE
    assert value(head(threads, thread).values) == {
        "log": ["in", "fine", "new", "fine", "explode"],
        "count": 1,
    }


def test_the_error_of_a_node_in_a_subgraph_says_where_it_is(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="boom_in_child",
        input=LOG,
        stream_modes=[run_pb2.STREAM_MODE_TASKS],
        stream_subgraphs=True,
    )
    (child,) = {tuple(event.namespace) for event in events if event.namespace}
    error = events[-1].end.error
    assert (error.type, error.node, tuple(error.namespace)) == ("ValueError", "explode", child)
