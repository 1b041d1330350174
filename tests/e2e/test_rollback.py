"""Runs that are rolled back: their thread stands where it stood before them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import (
    assistants_pb2,
    assistants_pb2_grpc,
    breakpoint_pb2,
    run_event_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2_grpc,
)

from tests.e2e.drive import (
    DEADLINE,
    cancel,
    checked,
    get_run,
    join,
    new_thread,
    payload,
    refused,
    shapes,
    value,
    wait,
)
from tests.e2e.driven import DrivenThread
from tests.e2e.gates import Gate
from tests.e2e.test_copies import copy_of

ROLLBACK = runs_pb2.CANCEL_ACTION_ROLLBACK
DISCARD = run_pb2.ON_PAUSE_DISCARD
CANCELLED, SUCCEEDED, INTERRUPTED = (
    run_pb2.RUN_STATUS_CANCELLED,
    run_pb2.RUN_STATUS_SUCCEEDED,
    run_pb2.RUN_STATUS_INTERRUPTED,
)
DURABILITIES = [run_pb2.DURABILITY_SYNC, run_pb2.DURABILITY_ASYNC, run_pb2.DURABILITY_EXIT]


def roll_back(thread: DrivenThread, run_id: str) -> run_pb2.Run:
    """Rolls a run back and returns it when it has ended."""
    return cancel(thread.runs_stub, run_id, action=ROLLBACK, wait=True)


def where(thread: DrivenThread) -> tuple[Any, ...]:
    """All that is kept of where a thread stands."""
    now = thread.now
    state = thread.state(subgraphs=True)
    del state.pauses[:]
    history = [(s.checkpoint_id, list(s.next), value(s.values)) for s in thread.history()]
    return thread.stands(), now.checkpoint_id, now.assistant_id, state, history


# --- input ---


@pytest.mark.parametrize("durability", DURABILITIES, ids=run_pb2.Durability.Name)
@pytest.mark.parametrize("graph", ["gated", "gated_sync"])
def test_the_thread_is_put_back_and_the_run_and_its_events_stay(
    thread: DrivenThread, gate: Gate, graph: str, durability: run_pb2.Durability.ValueType
) -> None:
    gate.open()
    thread.stream(assistant_id=graph, input=gate.input)
    before = where(thread)
    gate.close()
    run_id = thread.create(
        assistant_id=graph, input=payload({"log": ["second"]}), durability=durability
    )
    gate.wait_begun()
    if durability == run_pb2.DURABILITY_SYNC:
        assert where(thread) != before
    asked = cancel(thread.runs_stub, run_id, action=ROLLBACK)
    assert (asked.cancel_requested, asked.rolled_back) == (True, False)
    gate.open()
    ended = wait(thread.runs_stub, run_id)
    assert (ended.run.status, ended.run.rolled_back) == (CANCELLED, True)
    assert value(ended.values)["log"] == ["in", "before", "gate", "after"]
    assert where(thread) == before
    events = join(thread.runs_stub, run_id)
    assert shapes(events) == [("updates", "before", {"log": ["before"]}), ("end", "CANCELLED")]
    assert events[-1].end.checkpoint_id == thread.now.checkpoint_id
    assert ended.run.last_sequence == len(events)
    # And goes on from there.
    thread.stream(assistant_id=graph, input=payload({"log": ["third"]}))
    assert thread.log == ["in", "before", "gate", "after", "third", "before", "gate", "after"]
    assert thread.status == "IDLE"


def test_of_the_first_run_of_a_thread_nothing_stays(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    assert len(thread.history()) > 0
    assert roll_back(thread, run_id).rolled_back
    assert (thread.stands(), thread.history()) == (("IDLE", [], []), [])
    assert (thread.now.checkpoint_id, thread.now.assistant_id) == ("", "")
    assert not wait(thread.runs_stub, run_id).HasField("values")
    with refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume()
    # It belongs to no assistant yet.
    thread.start("linear")
    assert thread.log == ["in", "a", "b", "c"]


def test_the_thread_belongs_to_the_assistant_that_it_belonged_to(
    thread: DrivenThread, gate: Gate, assistants: assistants_pb2_grpc.AssistantsStub
) -> None:
    gate.open()
    thread.stream(assistant_id="gated", input=gate.input)
    gate.close()
    request = assistants_pb2.CreateAssistantRequest(graph_id="gated", name="other")
    other = assistants.CreateAssistant(request, timeout=DEADLINE).assistant.assistant_id
    run_id = thread.create(assistant_id=other, input=gate.input)
    gate.wait_begun()
    assert thread.now.assistant_id == other
    roll_back(thread, run_id)
    assert thread.now.assistant_id == "gated"


def test_the_first_run_of_a_copy_leaves_it_to_the_assistant_of_the_original(
    thread: DrivenThread, gate: Gate, assistants: assistants_pb2_grpc.AssistantsStub
) -> None:
    gate.open()
    thread.stream(assistant_id="gated", input=gate.input, interrupt_before=["after"])
    gate.close()
    copy = copy_of(thread)
    request = assistants_pb2.CreateAssistantRequest(graph_id="gated", name="other")
    other = assistants.CreateAssistant(request, timeout=DEADLINE).assistant.assistant_id
    run_id = copy.create(assistant_id=other, input=gate.input, on_pause=DISCARD)
    gate.wait_begun()
    roll_back(copy, run_id)
    assert copy.now.assistant_id == "gated"
    assert copy.stands() == thread.stands()
    copy.resume()
    assert copy.log == ["in", "before", "gate", "after"]


@pytest.mark.parametrize("queued", [False, True])
def test_a_thread_that_was_created_for_an_assistant_still_belongs_to_it(
    thread: DrivenThread, gate: Gate, *, queued: bool
) -> None:
    thread_id = new_thread(thread.threads_stub, assistant_id="gated")
    thread = DrivenThread(thread.runs_stub, thread.threads_stub, thread_id)
    before = where(thread)
    run_ids = [thread.create(assistant_id="gated", input=gate.input)]
    gate.wait_begun()
    if queued:
        strategy = run_pb2.MULTITASK_STRATEGY_ENQUEUE
        fields = {"input": gate.input, "multitask_strategy": strategy}
        run_ids.append(thread.create(assistant_id="gated", **fields))
    for run_id in run_ids:
        roll_back(thread, run_id)
    assert where(thread) == before
    with refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.start("linear")


def test_what_is_inherited_of_a_run_that_was_deleted_meanwhile_is_inherited_again(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.stream(
        assistant_id="gated", input=gate.input, interrupt_before=["gate", "after"]
    )[0].run_id
    run_id = thread.create(resume={})
    gate.wait_begun()
    thread.runs_stub.DeleteRun(runs_pb2.DeleteRunRequest(run_id=first), timeout=DEADLINE)
    roll_back(thread, run_id)
    assert thread.stands() == ("INTERRUPTED", ["gate"], [("BREAKPOINT_BEFORE", "gate")])
    gate.open()
    thread.resume()
    assert thread.stands() == ("INTERRUPTED", ["after"], [("BREAKPOINT_BEFORE", "after")])


def test_a_thread_whose_run_has_failed_says_so_again(thread: DrivenThread) -> None:
    thread.start("boom")
    before = thread.now
    assert thread.status == "ERROR"
    delay = {"seconds": 3600}
    run_id = thread.create(assistant_id="boom", input=payload({"log": ["in"]}), start_delay=delay)
    assert roll_back(thread, run_id).rolled_back
    after = thread.now
    after.ClearField("update_time")
    before.ClearField("update_time")
    assert after == before


def test_of_what_had_expired_the_time_begins_anew(thread: DrivenThread, gate: Gate) -> None:
    """Else it would go on at once, by itself, with what somebody has just taken back."""
    stop = breakpoint_pb2.Breakpoint(
        node="gate", expires_after=Duration(seconds=1), on_expiry=breakpoint_pb2.ON_EXPIRY_RESUME
    )
    thread.stream(assistant_id="gated", input=gate.input, breakpoints=[stop])
    gate.wait_begun()
    roll_back(thread, thread.runs()[0].run_id)
    (again,) = thread.pauses
    assert again.expire_time.ToMicroseconds() == again.create_time.ToMicroseconds() + 10**6
    gate.wait_begun()


def test_a_run_that_is_only_queued_can_be_rolled_back(thread: DrivenThread, gate: Gate) -> None:
    first = thread.create(assistant_id="gated", input=gate.input)
    queued = thread.create(
        assistant_id="gated",
        input=gate.input,
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    run = cancel(thread.runs_stub, queued, action=ROLLBACK)
    assert (run.status, run.rolled_back) == (CANCELLED, True)
    assert thread.status == "BUSY"
    gate.open()
    assert thread.wait(first).run.status == SUCCEEDED


def test_a_run_that_has_moved_the_thread_leaves_the_old_head(
    thread: DrivenThread, gate: Gate
) -> None:
    gate.open()
    thread.stream(assistant_id="gated", input=gate.input)
    before, old = where(thread), thread.checkpoint("gate")
    gate.close()
    starts: list[dict[str, Any]] = [{"input": payload({"log": ["branch"]})}, {"resume": {}}]
    for start in starts:
        run_id = thread.create(assistant_id="gated", checkpoint_id=old, **start)
        gate.wait_begun()
        assert where(thread) != before
        assert roll_back(thread, run_id).rolled_back
        assert where(thread) == before


def test_a_run_that_has_ended_is_not_rolled_back(thread: DrivenThread) -> None:
    done = thread.start("linear")[0].run_id
    with thread.refused("FAILED_PRECONDITION", "RUN_ENDED") as refusal:
        cancel(thread.runs_stub, done, action=ROLLBACK)
    assert "only an active run is rolled back" in refusal.text
    paused = thread.start("linear", interrupt_before=["b"])[0].run_id
    with thread.refused("FAILED_PRECONDITION", "RUN_ENDED"):
        cancel(thread.runs_stub, paused, action=ROLLBACK)


def test_asked_once_it_stays_asked(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated_sync", input=gate.input)
    gate.wait_begun()
    cancel(thread.runs_stub, run_id)
    cancel(thread.runs_stub, run_id, action=ROLLBACK)
    cancel(thread.runs_stub, run_id, action=runs_pb2.CANCEL_ACTION_KEEP)
    assert get_run(thread.runs_stub, run_id).status == run_pb2.RUN_STATUS_RUNNING
    gate.open()
    assert thread.wait(run_id).run.rolled_back
    assert thread.history() == []


# --- resumes: what waited waits again ---


def test_an_approval_given_to_a_run_that_is_rolled_back_never_counts(
    thread: DrivenThread, gate: Gate
) -> None:
    paused = thread.stream(
        assistant_id="gated", input=gate.input, interrupt_before=["gate", "after"]
    )[0].run_id
    before, (pause,) = where(thread), thread.pauses
    run_id = thread.create(resume={})
    gate.wait_begun()
    assert get_run(thread.runs_stub, paused).resumed_by_run_id == run_id
    roll_back(thread, run_id)
    assert where(thread) == before
    (again,) = thread.pauses
    assert again.pause_id != pause.pause_id
    again_as_it_was = type(pause)()
    again_as_it_was.CopyFrom(again)
    again_as_it_was.pause_id = pause.pause_id
    again_as_it_was.create_time.CopyFrom(pause.create_time)
    assert again_as_it_was == pause
    assert get_run(thread.runs_stub, paused).resumed_by_run_id == ""
    assert get_run(thread.runs_stub, run_id).resumed_run_id == paused
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pause.pause_id])
    # Whoever goes on without having approved anew pauses there again.
    cancel(thread.runs_stub, paused)
    assert shapes(thread.resume()) == [
        ("interrupted", [("BREAKPOINT_BEFORE", "gate")], ["gate"]),
        ("end", "INTERRUPTED"),
    ]
    gate.open()
    # What goes on inherits from the run before, whose breakpoints hold.
    assert shapes(thread.resume())[-2:] == [
        ("interrupted", [("BREAKPOINT_BEFORE", "after")], ["after"]),
        ("end", "INTERRUPTED"),
    ]


def test_a_question_is_asked_again_and_its_old_answer_is_gone(
    thread: DrivenThread, gate: Gate, gates: Any
) -> None:
    first, second, third = (Gate(gate.path.with_name(f"{gate.path.name} {n}")) for n in range(3))
    first.open()
    thread.stream(assistant_id="ask_at_gates", input=gate.input)
    before, (pause,) = where(thread), thread.pauses
    run_id = thread.create(resume={"answer": payload("old")})
    second.wait_begun()
    assert roll_back(thread, run_id).rolled_back
    assert where(thread) == before
    (again,) = thread.pauses
    assert (again.interrupt_id, value(again.value)) == (pause.interrupt_id, "first?")
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(answers={pause.pause_id: "late"})
    second.open()
    third.open()
    thread.resume(answer="new")
    thread.resume(answer="newer")
    assert thread.log == ["in", "new, newer", "after"]


def test_a_subgraph_stands_where_it_stood(thread: DrivenThread, gate: Gate) -> None:
    thread.stream(assistant_id="ask_before_gate", input=gate.input, stream_subgraphs=True)
    before = where(thread)
    for answer in ("a", "b"):
        run_id = thread.create(resume={"answer": payload(answer)})
        gate.wait_begun()
        assert where(thread) != before
        roll_back(thread, run_id)
        assert where(thread) == before
    gate.open()
    said = shapes(thread.resume(answer="c"))
    assert said[:2] == [
        ("updates", "child", "ask", {"log": ["child: 'c'"]}),
        ("updates", "child", "gate", {"log": ["gate"]}),
    ]
    assert [step[1] for step in said[2:]] == ["child", "after", "SUCCEEDED"]


def test_what_still_waited_beside_the_run_keeps_its_pause(thread: DrivenThread, gate: Gate) -> None:
    """One branch asks; the other one was let go on, and is taken back."""
    thread.stream(assistant_id="ask_beside_gate", input=gate.input, interrupt_before=["*"])
    question, stop = sorted(thread.pauses, key=lambda pause: pause.node)
    assert (question.node, stop.node) == ("ask", "gate")
    run_id = thread.create(resume={"pause_ids": [stop.pause_id]})
    gate.wait_begun()
    roll_back(thread, run_id)
    left = {pause.node: pause.pause_id for pause in thread.pauses}
    assert left["ask"] == question.pause_id
    assert left.keys() == {"ask", "gate"}
    assert left["gate"] != stop.pause_id


def test_a_pause_that_was_given_up_for_new_input_is_back(thread: DrivenThread, gate: Gate) -> None:
    thread.stream(assistant_id="gated", input=gate.input, interrupt_before=["gate"])
    before, (pause,) = where(thread), thread.pauses
    run_id = thread.create(
        assistant_id="gated", input=payload({"log": ["other"]}), on_pause=DISCARD
    )
    gate.wait_begun()
    roll_back(thread, run_id)
    assert where(thread) == before
    assert thread.pauses[0].pause_id != pause.pause_id
    gate.open()
    thread.resume()
    assert thread.log == ["in", "before", "gate", "after"]


def test_what_an_edit_has_left_waiting_waits_again(thread: DrivenThread) -> None:
    thread.start("ask")
    thread.edit({"log": ["edited"]}, as_node="__start__")
    assert thread.stands() == ("INTERRUPTED", ["ask"], [("PAUSE", "ask")])
    run_id = thread.create(
        assistant_id="ask",
        input=payload({"log": ["other"]}),
        on_pause=DISCARD,
        start_delay={"seconds": 3600},
    )
    assert cancel(thread.runs_stub, run_id, action=ROLLBACK).rolled_back
    assert thread.stands() == ("INTERRUPTED", ["ask"], [("PAUSE", "ask")])


# --- races ---


def test_of_an_end_and_a_rollback_that_race_exactly_one_counts(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    def race(number: int) -> tuple[bool, bool]:
        thread = DrivenThread(runs, threads)
        thread.start("linear", {"log": ["first"]})
        before = where(thread)
        request = runs_pb2.StreamRunRequest(
            thread_id=thread.thread_id, assistant_id="linear", input=payload({"log": ["in"]})
        )
        call = runs.StreamRun(request, timeout=DEADLINE)
        events: list[run_event_pb2.RunEvent] = [next(call).event for _ in range(1 + number % 5)]
        asking = runs.CancelRun.future(
            runs_pb2.CancelRunRequest(run_id=events[0].run_id, action=ROLLBACK)
        )
        late = asking.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert late or asking.code() is grpc.StatusCode.OK
        events = checked(events + [response.event for response in call])
        run = get_run(runs, events[0].run_id)
        assert (run.status, run.rolled_back) == ((SUCCEEDED, False) if late else (CANCELLED, True))
        assert events[-1].end.checkpoint_id == thread.now.checkpoint_id
        if not late:
            assert where(thread) == before
        return late, run.rolled_back

    with ThreadPoolExecutor(8) as pool:
        outcomes = set(pool.map(race, range(60)))
    assert (False, True) in outcomes


# --- from a checkpoint that goes with the run that is rolled back ---


def begun(thread: DrivenThread, gate: Gate) -> tuple[str, str, str]:
    """Has a run begin on a thread with a state.

    Returns it, a checkpoint that it has made, and the one that was there before.
    """
    gate.open()
    thread.stream(assistant_id="gated", input=gate.input)
    gate.close()
    stood = thread.now.checkpoint_id
    run_id = thread.create(assistant_id="gated", input=payload({"log": ["second"]}))
    gate.wait_begun()
    return run_id, thread.checkpoint("gate"), stood


def test_a_run_that_rolls_back_starts_from_nothing_that_goes_with_it(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id, its_own, earlier = begun(thread, gate)
    strategy = run_pb2.MULTITASK_STRATEGY_ROLLBACK
    again = {"assistant_id": "gated", "input": payload({"log": ["x"]})}
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND") as refusal:
        thread.create(**again, checkpoint_id=its_own, multitask_strategy=strategy)
    assert f"was made by run {run_id}, which is rolled back for this one" in refusal.text
    gate.open()
    ended = thread.wait(thread.create(**again, checkpoint_id=earlier, multitask_strategy=strategy))
    assert ended.run.status == SUCCEEDED


@pytest.mark.parametrize("start", ["input", "command"])
def test_a_queued_run_whose_checkpoint_went_with_another_run_fails_and_changes_nothing(
    thread: DrivenThread, gate: Gate, start: str
) -> None:
    run_id, its_own, _ = begun(thread, gate)
    given: dict[str, Any] = {"input": payload({"log": ["x"]}), "assistant_id": "gated"}
    if start == "command":
        given = {"command": run_pb2.Command(goto=[run_pb2.Goto(node="gate")])}
    queued = thread.create(
        **given, checkpoint_id=its_own, multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE
    )
    roll_back(thread, run_id)
    ended = thread.wait(queued)
    assert (ended.run.status, ended.run.error.type) == (
        run_pb2.RUN_STATUS_FAILED,
        "CheckpointNotFound",
    )
    assert ended.run.error.message == (
        f"checkpoint {its_own}, from which the run was to start, is not there any more: it was "
        "pruned, or went with a run that was rolled back"
    )
    assert (thread.status, thread.log) == ("ERROR", ["in", "before", "gate", "after"])
