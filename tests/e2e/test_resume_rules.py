"""What a resume is good for: once, for what is open, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.callers import race
from tests.e2e.drive import DEADLINE, pause_shape, payload, reason_of, shapes, value
from tests.e2e.driven import DrivenThread
from tests.e2e.gates import Gate, until

BEFORE_B = ("interrupted", [("BREAKPOINT_BEFORE", "b")], ["b"])
PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")
DISCARD = run_pb2.ON_PAUSE_DISCARD
ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE
DEBUG = run_pb2.STREAM_MODE_DEBUG


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


# --- only for what is open ---


def test_a_resume_is_not_repeated(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    (pause,) = thread.pauses
    thread.resume(pause_ids=[pause.pause_id])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pause.pause_id])
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume()


def test_a_pause_of_the_round_before_is_not_open_in_the_next(thread: DrivenThread) -> None:
    thread.start("loop", interrupt_before=["step"])
    (first,) = thread.pauses
    thread.resume(pause_ids=[first.pause_id])
    (second,) = thread.pauses
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[first.pause_id])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[second.pause_id, first.pause_id])
    assert thread.log == ["in", "step"]


def test_nothing_waits_on_a_thread_that_has_ended_or_never_run(thread: DrivenThread) -> None:
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume()
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume(assistant_id="linear")
    thread.start("linear")
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume()
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(answer=1)


def test_a_resume_makes_no_thread(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    nowhere = DrivenThread(runs, threads, "nowhere-to-resume")
    for fields, reason in (
        ({}, "THREAD_NOT_FOUND"),
        ({"assistant_id": "linear"}, "THREAD_NOT_FOUND"),
        (
            {"assistant_id": "linear", "if_not_exists": run_pb2.IF_NOT_EXISTS_CREATE},
            "NOTHING_TO_RESUME",
        ),
    ):
        (result,) = race(partial(nowhere.create, resume=run_pb2.Resume(), **fields))
        assert result == reason
        with pytest.raises(grpc.RpcError) as caught:
            _ = nowhere.now
        assert reason_of(caught.value) == "THREAD_NOT_FOUND"


def test_a_resume_of_what_the_caller_has_seen_is_refused_once_the_thread_has_moved_on(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b"])
    seen = thread.now.checkpoint_id
    thread.edit({"log": ["edit"]})
    with thread.refused("FAILED_PRECONDITION", "CHECKPOINT_MISMATCH") as refusal:
        thread.resume(expected_checkpoint_id=seen)
    now = thread.now.checkpoint_id
    assert refusal.metadata["checkpoint_id"] == now
    assert shapes(thread.resume(expected_checkpoint_id=now.upper()))[-1] == DONE


def test_a_busy_thread_is_not_resumed_and_a_resume_never_waits(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    with thread.refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        thread.resume()
    assert refusal.metadata == {"thread_id": thread.thread_id, "run_id": run_id}
    field = "multitask_strategy"
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", field):
        thread.resume(multitask_strategy=ENQUEUE)
    gate.open()
    thread.wait(run_id)


def test_a_resume_goes_before_the_runs_that_wait_behind_the_pause(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.create(assistant_id="gated", input=gate.input, interrupt_before=["after"])
    gate.wait_begun()
    queued = thread.create(
        assistant_id="gated",
        input=payload({"log": ["queued"]}),
        multitask_strategy=ENQUEUE,
    )
    gate.open()
    thread.wait(first)
    assert thread.stands() == ("INTERRUPTED", ["after"], [("BREAKPOINT_BEFORE", "after")])
    pending = next(run for run in thread.runs() if run.run_id == queued)
    assert pending.status == run_pb2.RUN_STATUS_PENDING
    resumed = thread.resume()
    assert resumed[0].metadata.resumed_run_id == first
    thread.wait(queued)
    assert thread.log == [
        *["in", "before", "gate", "after"],
        *["queued", "before", "gate", "after"],
    ]


def test_a_run_that_waited_behind_a_pause_is_the_one_that_its_own_resume_continues(
    thread: DrivenThread, gate: Gate
) -> None:
    thread.create(assistant_id="gated", input=gate.input, interrupt_before=["after"])
    gate.wait_begun()
    queued = thread.create(
        assistant_id="gated",
        input=gate.input,
        multitask_strategy=ENQUEUE,
        interrupt_before=["gate"],
        interrupt_after=["gate"],
    )
    gate.open()
    until(lambda: thread.status == "INTERRUPTED", "the first run pauses")
    thread.resume()
    thread.wait(queued)
    assert thread.stands() == ("INTERRUPTED", ["gate"], [("BREAKPOINT_BEFORE", "gate")])
    events = thread.resume()
    assert events[0].metadata.resumed_run_id == queued
    assert thread.stands() == ("INTERRUPTED", ["after"], [("BREAKPOINT_AFTER", "gate")])


def test_approving_what_one_node_did_does_not_approve_what_its_sibling_did(
    thread: DrivenThread,
) -> None:
    thread.start("ask_parallel", interrupt_after=["left", "right"])
    left, right = thread.pauses
    thread.resume(answers={left.pause_id: 1, right.pause_id: 2})
    left, right = thread.pauses
    assert shapes(thread.resume(pause_ids=[left.pause_id])) == [
        ("interrupted", [("BREAKPOINT_AFTER", "right")], ["done"]),
        PAUSED,
    ]
    assert thread.pauses == [right]
    assert shapes(thread.resume(pause_ids=[right.pause_id])) == [*ran("done"), DONE]


def test_a_paused_thread_is_resumed_by_its_own_assistant_only(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.resume(assistant_id="stops")
    assert shapes(thread.resume(assistant_id="linear"))[-1] == DONE


# --- what a resume inherits ---


def test_a_resume_inherits_config_and_context_but_not_metadata(
    thread: DrivenThread, new: Callable[[], DrivenThread]
) -> None:
    config = run_pb2.RunConfig(tags=["x"], configurable=payload({"colour": "red"}))
    thread.start(
        "configured",
        config=config,
        metadata=payload({"team": "one"}),
        interrupt_before=["show"],
    )
    thread.resume(metadata=payload({"team": "two"}))
    shown = thread.log[1:]
    assert shown[0] == "colour=red"
    assert {"x"} <= {*shown[2].removeprefix("tags=").split(",")}
    assert shown[3] == "team=two"

    other = new()
    other.start("contextual", context=payload({"name": "Ada"}), interrupt_before=["greet"])
    other.resume()
    assert other.log == ["in", "Ada speaks en"]


def test_a_resume_may_bring_its_own_config_and_context(
    thread: DrivenThread, new: Callable[[], DrivenThread]
) -> None:
    config = run_pb2.RunConfig(tags=["x"], configurable=payload({"colour": "red"}))
    thread.start("configured", config=config, interrupt_before=["show"])
    thread.resume(config=run_pb2.RunConfig(configurable=payload({"colour": "blue"})))
    assert thread.log[1] == "colour=blue"
    assert "x" not in thread.log[3]

    other = new()
    other.start("contextual", context=payload({"name": "Ada"}), interrupt_before=["greet"])
    other.resume(context=payload({"name": "Eve", "language": "fr"}))
    assert other.log == ["in", "Eve speaks fr"]


def test_a_resume_inherits_what_to_stream(thread: DrivenThread) -> None:
    values, updates = run_pb2.STREAM_MODE_VALUES, run_pb2.STREAM_MODE_UPDATES
    thread.start("ask_in_child", stream_modes=[updates], stream_subgraphs=True)
    inherited = shapes(thread.resume(answer=1))
    assert inherited[0] == ("updates", "child", "ask", {"log": ["child: 1"]})
    thread.start("ask_in_child", stream_modes=[updates], stream_subgraphs=True)
    assert [kind for kind, *_ in shapes(thread.resume(answer=1, stream_modes=[values]))] == [
        *["values"] * 3,
        "end",
    ]


# --- new input on a paused thread ---


@pytest.mark.parametrize(
    ("assistant", "breakpoints", "waits"),
    [
        ("linear", {"interrupt_before": ["b"]}, "b"),
        ("linear", {"interrupt_after": ["c"]}, "its end"),
        ("ask", {}, "ask"),
        ("ask_parallel", {}, "left, right"),
        ("stop_in_child", {}, "child"),
    ],
)
def test_input_for_a_paused_thread_is_refused(
    thread: DrivenThread, assistant: str, breakpoints: dict[str, list[str]], waits: str
) -> None:
    thread.start(assistant, **breakpoints)
    for fields in ({}, {"on_pause": run_pb2.ON_PAUSE_REJECT}, {"multitask_strategy": ENQUEUE}):
        with thread.refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED") as refusal:
            thread.start(assistant, **fields)
        assert f"is paused before or in: {waits};" in refusal.text


def test_input_that_discards_a_breakpoint_drops_the_waiting_node(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    (pause,) = thread.pauses
    events = thread.start("linear", {"log": ["new"]}, on_pause=DISCARD)
    assert shapes(events) == [*ran("a", "b", "c"), DONE]
    assert events[0].metadata.resumed_run_id == ""
    assert thread.log == ["in", "a", "new", "a", "b", "c"]
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pause.pause_id])


def test_input_that_discards_a_question_asks_anew_and_forgets_the_old_pause(
    thread: DrivenThread,
) -> None:
    thread.start("ask")
    (old,) = thread.pauses
    thread.start("ask", {"log": ["new"]}, on_pause=DISCARD)
    (fresh,) = thread.pauses
    assert fresh.pause_id != old.pause_id
    for key in (old.pause_id, old.interrupt_id):
        with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
            thread.resume(answers={key: "stale"})
    thread.resume(answers={fresh.pause_id: "fresh"})
    assert thread.log == ["in", "new", "name: 'fresh'", "after"]


def test_input_that_discards_a_pause_in_a_subgraph_starts_the_subgraph_anew(
    thread: DrivenThread,
) -> None:
    thread.start("stop_in_child")
    (old,) = thread.pauses
    thread.start("stop_in_child", {"log": ["new"]}, on_pause=DISCARD)
    (fresh,) = thread.pauses
    assert pause_shape(fresh) == pause_shape(old)
    assert fresh.namespace != old.namespace
    thread.resume()
    assert thread.log == ["in", "new", "in", "new", "one", "two", "after"]


def test_input_that_discards_takes_its_own_breakpoints(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    events = thread.start("linear", on_pause=DISCARD, interrupt_before=["c"])
    assert shapes(events)[-2] == ("interrupted", [("BREAKPOINT_BEFORE", "c")], ["c"])
    (run, _) = thread.runs()
    assert list(run.interrupt_before) == ["c"]


def test_on_pause_means_nothing_to_a_thread_that_is_not_paused(thread: DrivenThread) -> None:
    assert shapes(thread.start("linear", on_pause=DISCARD))[-1] == DONE


# --- older checkpoints ---


def test_going_on_from_an_older_checkpoint_pauses_again_before_a_gated_node(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b"])
    before_b = thread.now.checkpoint_id
    thread.resume()
    replayed = thread.resume(checkpoint_id=before_b)
    assert shapes(replayed) == [BEFORE_B, PAUSED]
    (pause,) = thread.pauses
    assert pause.run_id == replayed[0].run_id
    assert thread.log == ["in", "a"]
    assert thread.now.checkpoint_id not in {"", before_b}
    assert shapes(thread.resume(pause_ids=[pause.pause_id])) == [*ran("b", "c"), DONE]
    assert thread.log == ["in", "a", "b", "c"]
    assert value(thread.state(checkpoint_id=before_b).values) == {"log": ["in", "a"]}


def test_going_on_from_an_older_checkpoint_without_breakpoints_runs_on(
    thread: DrivenThread,
) -> None:
    thread.start("linear")
    events = thread.resume(checkpoint_id=thread.checkpoint("c"))
    assert shapes(events) == [*ran("c"), DONE]
    assert thread.log == ["in", "a", "b", "c"]


def test_going_on_from_an_older_checkpoint_gives_up_what_is_open_at_the_head(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b", "c"])
    before_b = thread.now.checkpoint_id
    thread.resume()
    (at_c,) = thread.pauses
    thread.resume(checkpoint_id=before_b)
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[at_c.pause_id])


def test_an_older_checkpoint_asks_its_question_anew(thread: DrivenThread) -> None:
    thread.start("ask")
    (old,) = thread.pauses
    asked_at = thread.now.checkpoint_id
    thread.resume(answer="first")
    for fields in (
        {"answer": "x"},
        {"answers": {old.pause_id: "x"}},
        {"pause_ids": [old.pause_id]},
    ):
        with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "resume"):
            thread.resume(checkpoint_id=asked_at, **fields)
    events = thread.resume(checkpoint_id=asked_at)
    assert shapes(events) == [
        ("interrupted", [("INTERRUPT", "ask", {"question": "name"})], ["ask"]),
        PAUSED,
    ]
    (fresh,) = thread.pauses
    assert fresh.pause_id != old.pause_id
    thread.resume(answer="second")
    assert thread.log == ["in", "name: 'second'", "after"]


def test_the_head_itself_is_no_older_checkpoint(thread: DrivenThread) -> None:
    thread.start("ask")
    events = thread.resume(checkpoint_id=thread.now.checkpoint_id, answer=1)
    assert shapes(events)[-1] == DONE


def test_there_is_nothing_to_go_on_with_at_a_checkpoint_where_no_node_waits(
    thread: DrivenThread,
) -> None:
    thread.start("linear")
    end = thread.now.checkpoint_id
    thread.start("linear", interrupt_before=["b"])
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.resume(checkpoint_id=end)


def test_input_at_an_older_checkpoint_starts_a_branch(thread: DrivenThread) -> None:
    thread.start("linear")
    before_b = thread.checkpoint("b")
    events = thread.start(
        "linear", {"log": ["new"]}, checkpoint_id=before_b, interrupt_before=["b"]
    )
    assert shapes(events) == [*ran("a"), BEFORE_B, PAUSED]
    assert thread.log == ["in", "a", "new", "a"]
    thread.resume()
    assert thread.log == ["in", "a", "new", "a", "b", "c"]
    with thread.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        thread.start("linear", checkpoint_id="00000000-0000-0000-0000-000000000000")


# --- after a failure or a cancel ---


def test_a_failed_run_goes_on_where_it_failed_and_repeats_nothing_else(
    thread: DrivenThread,
) -> None:
    failed = thread.start("boom")
    assert shapes(failed) == [*ran("fine"), ("end", "FAILED")]
    again = thread.resume()
    assert shapes(again) == [("end", "FAILED")]
    assert again[0].metadata.resumed_run_id == failed[0].run_id
    thread.edit({"count": 1}, as_node="fine")
    assert shapes(thread.resume()) == [*ran("explode"), DONE]
    assert thread.log == ["in", "fine", "explode"]


def test_what_was_approved_stays_approved_where_the_node_failed(thread: DrivenThread) -> None:
    thread.start("boom", interrupt_before=["explode"])
    assert shapes(thread.resume()) == [("end", "FAILED")]
    assert shapes(thread.resume()) == [("end", "FAILED")]
    assert thread.stands() == ("ERROR", ["explode"], [])


def test_what_was_approved_is_asked_again_once_the_state_was_edited(thread: DrivenThread) -> None:
    thread.start("boom", interrupt_before=["explode"])
    thread.resume()
    thread.edit({"count": 1}, as_node="fine")
    assert thread.stands() == ("INTERRUPTED", ["explode"], [("BREAKPOINT_BEFORE", "explode")])
    assert shapes(thread.resume()) == [*ran("explode"), DONE]


def test_a_cancelled_run_goes_on_with_the_node_that_did_not_finish(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    thread.cancel(run_id)
    assert thread.stands() == ("IDLE", ["gate"], [])
    gate.open()
    events = thread.resume()
    assert shapes(events) == [*ran("gate", "after"), DONE]
    assert events[0].metadata.resumed_run_id == run_id
    assert thread.log == ["in", "before", "gate", "after"]


def test_a_breakpoint_added_after_a_cancel_holds_the_node_that_waits(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    thread.cancel(run_id)
    gate.open()
    events = thread.resume(interrupt_before=["gate"])
    assert shapes(events) == [("interrupted", [("BREAKPOINT_BEFORE", "gate")], ["gate"]), PAUSED]
    assert shapes(thread.resume()) == [*ran("gate", "after"), DONE]


def test_wherever_a_run_is_cancelled_no_node_runs_that_was_not_approved(
    new: Callable[[], DrivenThread],
) -> None:
    for approvals in range(4):
        for cancelled_at in range(1, 8):
            thread, approved = new(), set[str]()
            thread.start("linear", interrupt_before=["*"], stream_modes=[DEBUG])
            for _ in range(approvals):
                if approve(thread, approved):
                    thread.resume()
            if approve(thread, approved):
                cancel_at(thread, cancelled_at)
            while approve(thread, approved):
                thread.resume()
            assert thread.log == ["in", "a", "b", "c"]


def approve(thread: DrivenThread, approved: set[str]) -> bool:
    """Checks that only approved nodes have run, and adds those at whose breakpoints it stands.

    Returns whether there is something to go on with.
    """
    assert {*thread.log} - {"in"} <= approved
    now = thread.now
    approved.update(pause.node for pause in now.pauses)
    return bool(now.next)


def cancel_at(thread: DrivenThread, sequence: int) -> None:
    """Resumes, and cancels the run as soon as an event with this number has come."""
    request = runs_pb2.StreamRunRequest(thread_id=thread.thread_id, resume=run_pb2.Resume())
    for response in thread.runs_stub.StreamRun(request, timeout=DEADLINE):
        if response.event.sequence == sequence:
            try:
                thread.cancel(response.event.run_id)
            except grpc.RpcError as error:
                if reason_of(error) != "RUN_ENDED":
                    raise


# --- forging a resume ---


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("config.configurable", "__pregel_resuming"),
        ("config.configurable", "__pregel_strict_resume"),
        ("config.configurable", "checkpoint_id"),
        ("config.configurable", "checkpoint_ns"),
        ("config.configurable", "thread_id"),
        ("metadata", "run_id"),
        ("metadata", "langgraph_step"),
        ("context", "__pregel_resuming"),
    ],
)
def test_keys_that_would_forge_a_resume_are_refused(
    thread: DrivenThread, field: str, key: str
) -> None:
    run_id = thread.start("linear", interrupt_before=["b"])[0].run_id
    forged = payload({key: run_id if key == "run_id" else True})
    fields: dict[str, Any] = (
        {"config": run_pb2.RunConfig(configurable=forged)}
        if field == "config.configurable"
        else {field: forged}
    )
    with thread.refused("INVALID_ARGUMENT", "RESERVED_KEY", field) as refusal:
        thread.start("linear", on_pause=DISCARD, interrupt_before=["b"], **fields)
    assert refusal.metadata == {"key": key}
    with thread.refused("INVALID_ARGUMENT", "RESERVED_KEY", field):
        thread.resume(**fields)


@pytest.mark.parametrize("nothing", [None, {}])
def test_input_that_langgraph_would_take_for_a_resume_is_refused(
    thread: DrivenThread, nothing: Any
) -> None:
    thread.start("linear", interrupt_before=["b"])
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "input"):
        thread.start("linear", nothing, on_pause=DISCARD)
    with thread.refused("INVALID_ARGUMENT", "MISSING_FIELD", "start"):
        thread.stream(assistant_id="linear", on_pause=DISCARD)
