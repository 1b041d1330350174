"""CopyThread: the copy stands where the original does, and each goes on without the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import breakpoint_pb2, pause_pb2, run_pb2, runs_pb2, threads_pb2, threads_pb2_grpc

from tests.e2e.callers import at_once
from tests.e2e.drive import DEADLINE, delete_thread, payload, reason_of, refused, shapes, value
from tests.e2e.driven import DrivenThread
from tests.e2e.following import Watched
from tests.e2e.gates import Gate, until

Threads = threads_pb2_grpc.ThreadsStub
Copy = Callable[[DrivenThread], DrivenThread]

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


def copy_of(thread: DrivenThread, **fields: Any) -> DrivenThread:
    """Copies a thread."""
    request = threads_pb2.CopyThreadRequest(thread_id=thread.thread_id, **fields)
    made = thread.threads_stub.CopyThread(request, timeout=DEADLINE).thread
    copy = DrivenThread(thread.runs_stub, thread.threads_stub, made.thread_id)
    assert copy.now == made
    return copy


def plain(pause: pause_pb2.Pause) -> pause_pb2.Pause:
    """A pause without what is its own in a copy."""
    same = pause_pb2.Pause()
    same.CopyFrom(pause)
    same.ClearField("pause_id")
    same.ClearField("thread_id")
    same.ClearField("run_id")
    return same


def answers(thread: DrivenThread, text: str) -> dict[str, Any]:
    """An answer to each question of a thread, by its interrupt id."""
    asked = [pause for pause in thread.pauses if pause.interrupt_id]
    return {pause.interrupt_id: f"{value(pause.value)['question']} {text}" for pause in asked}


@pytest.mark.parametrize(
    ("assistant", "fields"),
    [
        ("linear", {}),
        ("linear", {"interrupt_before": ["b"]}),
        ("linear", {"interrupt_after": ["*"]}),
        ("ask_parallel", {}),
        ("stop_and_ask", {}),
        ("ask_in_child_with_memory", {}),
        ("boom", {}),
    ],
    ids=str,
)
def test_a_copy_stands_where_the_original_does(
    thread: DrivenThread, assistant: str, fields: dict[str, Any]
) -> None:
    thread.start(assistant, **fields)
    original, history = thread.now, thread.history()
    copy = copy_of(thread)
    found = copy.now
    assert copy.stands() == thread.stands()
    assert [plain(pause) for pause in found.pauses] == [plain(p) for p in original.pauses]
    assert {(p.thread_id, p.run_id) for p in found.pauses} <= {(copy.thread_id, "")}
    assert not {p.pause_id for p in found.pauses} & {p.pause_id for p in original.pauses}
    same = ("assistant_id", "checkpoint_id", "next", "error", "metadata", "state_update_time")
    assert {name: getattr(found, name) for name in same} == {
        name: getattr(original, name) for name in same
    }
    assert found.create_time.ToMicroseconds() > original.create_time.ToMicroseconds()
    states = copy.history()
    for state in (*states, *history):
        del state.pauses[:]
    assert states == history
    assert copy.runs() == []
    # Nothing has become of the original.
    assert thread.now == original


def test_a_thread_on_which_nothing_has_run_is_copied(threads: Threads) -> None:
    request = threads_pb2.CreateThreadRequest(metadata=payload({"a": [1, {"b": None}]}))
    request.ttl.FromSeconds(86_400)
    made = threads.CreateThread(request, timeout=DEADLINE).thread
    copy = threads.CopyThread(
        threads_pb2.CopyThreadRequest(thread_id=made.thread_id, new_thread_id=f"{made.thread_id}.2")
    ).thread
    assert copy.thread_id == f"{made.thread_id}.2"
    assert (value(copy.metadata), copy.ttl.seconds) == ({"a": [1, {"b": None}]}, 86_400)
    assert copy.status == threads_pb2.THREAD_STATUS_IDLE


def test_original_and_copy_are_resumed_each_on_its_own(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b", "c"])
    copy = copy_of(thread)
    assert shapes(copy.resume(pause_ids=[copy.pauses[0].pause_id]))[-1] == PAUSED
    assert (copy.log, thread.log) == (["in", "a", "b"], ["in", "a"])
    assert shapes(thread.resume())[-1] == PAUSED
    assert shapes(thread.resume()) == [*ran("c"), DONE]
    assert copy.stands() == ("INTERRUPTED", ["c"], [("BREAKPOINT_BEFORE", "c")])
    assert shapes(copy.resume()) == [*ran("c"), DONE]
    assert copy.log == thread.log == ["in", "a", "b", "c"]


def test_a_pause_of_the_original_is_none_of_the_copy(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    copy = copy_of(thread)
    with copy.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        copy.resume(pause_ids=[thread.pauses[0].pause_id])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[copy.pauses[0].pause_id])


def test_to_give_up_the_pause_of_the_original_leaves_that_of_the_copy(
    thread: DrivenThread,
) -> None:
    run_id = thread.start("linear", interrupt_before=["b"])[0].run_id
    copy = copy_of(thread)
    before = copy.now
    thread.cancel(run_id)
    assert thread.stands() == ("IDLE", ["b"], [])
    assert copy.now == before
    assert shapes(copy.resume()) == [*ran("b", "c"), DONE]


@pytest.mark.parametrize("assistant", ["linear", "ask_parallel", "ask_in_child"])
def test_the_pauses_of_a_copy_are_given_up_by_an_edit_as_its_end(
    thread: DrivenThread, assistant: str
) -> None:
    thread.start(assistant, interrupt_before=["b"] if assistant == "linear" else [])
    copy, before = copy_of(thread), thread.now
    pauses, values = copy.pauses, value(copy.state().values)
    copy.edit(as_node="__end__")
    assert copy.stands() == ("IDLE", [], [])
    assert value(copy.state().values) == values
    for pause in pauses:
        request = threads_pb2.GetPauseRequest(pause_id=pause.pause_id)
        became = thread.threads_stub.GetPause(request, timeout=DEADLINE).pause
        assert became.status == pause_pb2.PAUSE_STATUS_SUPERSEDED
    with copy.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        copy.resume()
    assert thread.now == before


def test_the_pauses_of_a_copy_are_given_up_by_new_input(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    copy, before = copy_of(thread), thread.now
    assert shapes(copy.start("linear", on_pause=run_pb2.ON_PAUSE_DISCARD))[-1] == DONE
    assert copy.log == ["in", "a", "in", "a", "b", "c"]
    assert thread.now == before


def test_what_waits_in_a_copy_is_given_up_with_a_run_of_the_copy(thread: DrivenThread) -> None:
    thread.start("ask_parallel")
    copy, before = copy_of(thread), thread.now
    left, right = sorted(copy.pauses, key=lambda pause: pause.node)
    run_id = copy.resume(answers={left.pause_id: "l"})[0].run_id
    assert [(pause.pause_id, pause.run_id) for pause in copy.pauses] == [(right.pause_id, "")]
    copy.cancel(run_id)
    assert copy.stands() == ("IDLE", ["right"], [])
    assert thread.now == before


def test_what_goes_on_in_a_copy_inherits_from_the_last_run_of_the_original(
    thread: DrivenThread,
) -> None:
    thread.start(
        "linear",
        interrupt_before=["a", "c"],
        stream_modes=[run_pb2.STREAM_MODE_CUSTOM, run_pb2.STREAM_MODE_UPDATES],
        config=run_pb2.RunConfig(recursion_limit=77, tags=["inherited"]),
        recovery_policy=run_pb2.RECOVERY_POLICY_MANUAL,
    )
    copy = copy_of(thread)
    delete_thread(thread.threads_stub, thread.thread_id)
    assert shapes(copy.resume()) == [
        *ran("a", "b"),
        ("interrupted", [("BREAKPOINT_BEFORE", "c")], ["c"]),
        PAUSED,
    ]
    (run,) = copy.runs()
    assert (run.resumed_run_id, list(run.interrupt_before)) == ("", ["a", "c"])
    assert list(run.stream_modes) == [run_pb2.STREAM_MODE_CUSTOM, run_pb2.STREAM_MODE_UPDATES]
    assert run.recovery_policy == run_pb2.RECOVERY_POLICY_MANUAL


def test_a_breakpoint_counts_on_in_the_copy(thread: DrivenThread) -> None:
    skips = breakpoint_pb2.Breakpoint(node="step", skip_first=1, label="from the second on")
    thread.start("loop", breakpoints=[skips])
    assert thread.log == ["in", "step"]
    copy = copy_of(thread)
    delete_thread(thread.threads_stub, thread.thread_id)
    assert shapes(copy.resume())[-1] == PAUSED
    assert copy.log == ["in", "step", "step"]


def test_the_runs_of_the_original_are_not_linked_to_those_of_a_copy(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    copy_of(thread).resume()
    assert [run.resumed_by_run_id for run in thread.runs()] == [""]


def test_a_copy_of_a_copy_inherits_too(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["a", "b"])
    copy = copy_of(copy_of(thread))
    assert shapes(copy.resume())[-1] == PAUSED
    assert copy.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])


def test_a_copy_is_read_with_the_graph_that_the_original_was_run_with(thread: DrivenThread) -> None:
    config = run_pb2.RunConfig(configurable=payload({"nodes": 3}))
    thread.start("by_config", config=config, interrupt_before=["node1"])
    copy = copy_of(thread)
    assert list(copy.state().next) == ["node1"]
    assert list(copy.edit({"log": ["x"]}, as_node="node1").next) == ["node2"]


def test_what_was_approved_stays_approved_and_what_was_not_still_holds(
    thread: DrivenThread,
) -> None:
    thread.start("both_stop")
    first, second = thread.pauses
    thread.resume(pause_ids=[first.pause_id])
    assert [pause.pause_id for pause in thread.pauses] == [second.pause_id]
    copy = copy_of(thread)
    assert copy.stands() == thread.stands()
    (held,) = copy.pauses
    assert plain(held) == plain(second)
    goes_on = shapes(copy.resume(pause_ids=[held.pause_id]))
    assert goes_on == shapes(thread.resume())
    assert goes_on[-1] == DONE


def test_an_answer_given_before_is_not_asked_for_again(thread: DrivenThread) -> None:
    thread.start("ask_parallel")
    left = next(p for p in thread.pauses if p.node == "left")
    thread.resume(answers={left.pause_id: "before"})
    copy = copy_of(thread)
    assert copy.stands() == thread.stands()
    copy.resume(answer="in the copy")
    thread.resume(answer="in the original")
    assert sorted(copy.log) == ["done", "in", "left: 'before'", "right: 'in the copy'"]
    assert sorted(thread.log) == ["done", "in", "left: 'before'", "right: 'in the original'"]


@pytest.mark.parametrize("gone", [False, True], ids=["original there", "original deleted"])
def test_a_graph_that_starts_anew_each_time_gets_the_answers_given_before(
    thread: DrivenThread, gone: bool
) -> None:
    thread.start("ask_twice_without_saver")
    thread.resume(answer="first")
    copy = copy_of(thread)
    if gone:
        delete_thread(thread.threads_stub, thread.thread_id)
    assert shapes(copy.resume(answer="second"))[-1] == DONE
    log = copy.log
    if not gone:
        thread.resume(answer="second")
        assert thread.log == log
    assert any("first" in entry for entry in log)


def test_an_answer_given_to_a_run_that_was_deleted_stands(thread: DrivenThread) -> None:
    thread.start("ask_twice_without_saver")
    thread.resume(answer="first")
    for run in thread.runs():
        request = runs_pb2.DeleteRunRequest(run_id=run.run_id)
        thread.runs_stub.DeleteRun(request, timeout=DEADLINE)
    assert shapes(thread.resume(answer="second"))[-1] == DONE
    assert any("first" in entry for entry in thread.log)


def test_a_copy_goes_back_and_forks_as_the_original_does(thread: DrivenThread) -> None:
    thread.start("linear")
    copy = copy_of(thread)
    there = copy.checkpoint("b")
    copy.resume(checkpoint_id=there)
    assert (copy.log, thread.log) == (["in", "a", "b", "c"], ["in", "a", "b", "c"])
    copy.edit({"log": ["x"]}, as_node="b", checkpoint_id=there)
    assert copy.stands() == ("IDLE", ["c"], [])
    assert thread.stands() == ("IDLE", [], [])


def test_a_busy_thread_is_not_copied(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    with refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        copy_of(thread)
    assert refusal.metadata["run_id"] == run_id
    gate.open()
    thread.wait(run_id)


def test_what_waits_in_the_queue_stays_behind(thread: DrivenThread, gate: Gate) -> None:
    first = thread.create(assistant_id="gated", input=gate.input, interrupt_after=["gate"])
    gate.wait_begun()
    enqueue = run_pb2.MULTITASK_STRATEGY_ENQUEUE
    queued = thread.create(assistant_id="gated", input=gate.input, multitask_strategy=enqueue)
    gate.open()
    thread.wait(first)
    copy = copy_of(thread)
    assert copy.stands() == thread.stands()
    assert (copy.status, copy.runs()) == ("INTERRUPTED", [])
    copy.resume()
    assert copy.status == "IDLE"
    thread.cancel(queued)
    assert thread.status == "INTERRUPTED"


def test_of_a_copy_and_a_resume_at_once_the_copy_is_paused_or_at_the_end_or_refused(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b"])
    turns = itertools.count()

    def either() -> object:
        # One resumes, the others copy.
        if next(turns) == 3:
            return thread.resume()[-1].end.status
        try:
            return copy_of(thread).stands()
        except grpc.RpcError as error:
            return reason_of(error)

    found = at_once(either)
    assert found.count(run_pb2.RUN_STATUS_SUCCEEDED) == 1
    found.remove(run_pb2.RUN_STATUS_SUCCEEDED)
    paused = ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    assert all(each in (paused, ("IDLE", [], []), "THREAD_BUSY") for each in found), found
    assert thread.log == ["in", "a", "b", "c"]


def test_a_request_id_makes_one_copy_for_callers_who_call_at_once(
    thread: DrivenThread, once: str
) -> None:
    thread.start("linear", interrupt_before=["b"])
    copies = at_once(lambda: copy_of(thread, request_id=once).thread_id)
    assert len({*copies}) == 1
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        copy_of(thread, request_id=once, new_thread_id="another")
    delete_thread(thread.threads_stub, copies[0])
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        copy_of(thread, request_id=once)


def test_one_of_those_who_want_the_same_id_gets_it(thread: DrivenThread) -> None:
    thread.start("linear")
    wanted = f"{thread.thread_id}-copy"

    def attempt() -> str:
        try:
            return copy_of(thread, new_thread_id=wanted).thread_id
        except grpc.RpcError as error:
            return reason_of(error)

    assert sorted(at_once(attempt)) == sorted([wanted, *["THREAD_EXISTS"] * 7])
    with refused("ALREADY_EXISTS", "THREAD_EXISTS") as refusal:
        copy_of(thread, new_thread_id=thread.thread_id)
    assert refusal.resource == ("thread", thread.thread_id)


def test_who_watches_is_told_of_the_pauses_of_a_copy_when_it_is_made(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b"])
    new_id, watched = f"copy-of-{thread.thread_id}", threads_pb2.THREAD_CHANGE_KIND_PAUSED
    with Watched(thread.threads_stub, thread_ids=[new_id], kinds=[watched]) as watching:
        copy = copy_of(thread, new_thread_id=new_id)
        change = watching.change()
    (pause,) = copy.pauses
    assert change.pause == pause
    assert change.time == copy.now.create_time
    assert change.time.ToMicroseconds() > pause.create_time.ToMicroseconds()


def test_the_pauses_of_a_copy_are_in_the_inbox(thread: DrivenThread) -> None:
    thread.start("stop_and_ask")
    copy = copy_of(thread)
    which = threads_pb2.PauseFilter(thread_id=copy.thread_id)
    request = threads_pb2.ListPausesRequest(
        filter=which, direction=threads_pb2.SORT_DIRECTION_ASCENDING
    )
    listed = thread.threads_stub.ListPauses(request, timeout=DEADLINE).pauses
    assert list(listed) == copy.pauses
    for pause in listed:
        one = threads_pb2.GetPauseRequest(pause_id=pause.pause_id)
        assert thread.threads_stub.GetPause(one, timeout=DEADLINE).pause == pause


def test_a_copy_does_nothing_by_itself_when_the_time_of_the_original_is_over(
    thread: DrivenThread,
) -> None:
    hurried = breakpoint_pb2.Breakpoint(
        node="b", expires_after=Duration(seconds=1), on_expiry=breakpoint_pb2.ON_EXPIRY_RESUME
    )
    thread.start("linear", breakpoints=[hurried])
    copy = copy_of(thread)
    (pause,) = copy.pauses
    assert (pause.HasField("expire_time"), pause.on_expiry) == (False, 0)
    until(lambda: thread.status == "IDLE")
    assert thread.log == ["in", "a", "b", "c"]
    assert copy.log == ["in", "a"]
    assert copy.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
