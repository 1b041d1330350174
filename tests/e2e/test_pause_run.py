"""PauseRun: what is at work ends, what would begin next waits."""

from __future__ import annotations

import pytest
from google.protobuf import duration_pb2
from graphwire.v1 import run_pb2

from tests.e2e.drive import get_run, join, payload, refused
from tests.e2e.driven import DrivenThread, Events, resume
from tests.e2e.gates import Gate
from tests.e2e.stopping import DONE, at, ended, pause_run, pauses_at, pauses_of, waits

INTERRUPTED = run_pb2.RUN_STATUS_INTERRUPTED


def end_of(thread: DrivenThread, run_id: str) -> Events:
    """The events of a run, to its end."""
    return join(thread.runs_stub, run_id)


@pytest.mark.parametrize("assistant", ["gated", "gated_sync"])
def test_what_is_at_work_ends_and_what_comes_next_waits(
    thread: DrivenThread, gate: Gate, assistant: str
) -> None:
    run_id = thread.create(assistant_id=assistant, input=gate.input)
    gate.wait_begun()
    run = pause_run(thread.runs_stub, run_id)
    assert (run.run_id, run.status, run.pause_requested) == (
        run_id,
        run_pb2.RUN_STATUS_RUNNING,
        True,
    )
    assert thread.status == "BUSY"
    gate.open()
    events = end_of(thread, run_id)
    assert ended(events) == ("INTERRUPTED", ["pause after"])
    (pause,) = pauses_of(events)
    assert (list(pause.breakpoints), bool(pause.pause_id)) == ([], True)
    assert thread.log == ["in", "before", "gate"]
    assert ended(thread.resume()) == DONE
    assert thread.log == ["in", "before", "gate", "after"]


def test_pausing_twice_is_no_error(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    first, second = (pause_run(thread.runs_stub, run_id) for _ in "12")
    assert first == second
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["pause after"])


def test_a_run_that_has_ended_can_t_be_paused(thread: DrivenThread) -> None:
    run_id = thread.start("linear")[0].run_id
    with refused("FAILED_PRECONDITION", "RUN_ENDED") as no:
        pause_run(thread.runs_stub, run_id)
    assert no.metadata == {"run_id": run_id, "status": "SUCCEEDED"}
    paused = thread.start("linear", interrupt_before=["b"])[0].run_id
    with refused("FAILED_PRECONDITION", "RUN_ENDED"):
        pause_run(thread.runs_stub, paused)


def test_no_such_run(thread: DrivenThread) -> None:
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        pause_run(thread.runs_stub, thread.thread_id)


def test_a_run_that_is_about_to_end_ends_as_it_would_have(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="ask_beside_gate", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    # Beside it somebody asks: that is all that it waits for.
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["question ask"])
    assert ended(thread.resume(answer="yes")) == DONE


def test_the_last_node_s_run_succeeds(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="stairs", input=gate.input)
    for name in ("0", "1", "2"):
        step = Gate(gate.path.with_name(f"{gate.path.name} {name}"))
        step.wait_begun()
        if name == "2":
            pause_run(thread.runs_stub, run_id)
        step.open()
    assert ended(end_of(thread, run_id)) == DONE
    assert get_run(thread.runs_stub, run_id).pause_requested


def test_a_run_pauses_in_the_subgraph_in_which_it_is(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated_child", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["pause child/two"])
    assert thread.stands() == ("INTERRUPTED", ["child"], [("PAUSE", "child/two")])
    assert ended(thread.resume()) == DONE


def test_a_graph_in_which_nobody_could_resume_goes_on_to_its_end(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="forgets_where", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["pause after"])
    assert thread.log == ["in", "in", "one", "gate", "two"]
    assert ended(thread.resume()) == DONE


def test_parallel_branches_pause_each_where_it_is(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="loop_beside_gate", input=gate.input)
    # The loop stands at the breakpoint compiled into it; the gate is at work beside it.
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before child/step"])
    assert ended(thread.resume()) == ("INTERRUPTED", ["before child/step"])


def test_with_a_question_open_the_rest_pauses(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gate_beside_ask", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    events = end_of(thread, run_id)
    assert sorted(ended(events)[1]) == ["pause left/two", "question right"]
    # To answer one branch lets the other one stand, though nobody asks for a pause any more.
    events = thread.resume(answer="yes")
    assert ended(events) == ("INTERRUPTED", ["pause left/two"])
    assert ended(thread.resume()) == DONE
    assert thread.log[-1] == "done"


def test_what_pausing_held_is_resumed_branch_by_branch(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gate_beside_ask", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    end_of(thread, run_id)
    (question,) = pauses_at(thread, "right")
    events = thread.resume(pause_ids=pauses_at(thread, "two"))
    assert ended(events) == ("INTERRUPTED", ["question right"])
    assert pauses_at(thread, "right") == [question]
    assert ended(thread.resume(answer=1)) == DONE


def test_a_queued_run_pauses_before_its_first_node(thread: DrivenThread, gate: Gate) -> None:
    running = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    queued = thread.create(
        assistant_id="gated",
        input=gate.input,
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    assert pause_run(thread.runs_stub, queued).status == run_pb2.RUN_STATUS_PENDING
    gate.open()
    assert ended(end_of(thread, running)) == DONE
    assert ended(end_of(thread, queued)) == ("INTERRUPTED", ["pause before"])
    assert thread.log == ["in", "before", "gate", "after", "in"]
    assert ended(thread.resume()) == DONE


def test_a_delayed_run_pauses_before_its_first_node(thread: DrivenThread) -> None:
    run_id = thread.create(
        assistant_id="linear",
        input=payload({"log": ["in"]}),
        start_delay=duration_pb2.Duration(nanos=300_000_000),
    )
    pause_run(thread.runs_stub, run_id)
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["pause a"])


def test_a_resume_s_run_pauses_too_but_not_what_was_approved(
    thread: DrivenThread, gate: Gate
) -> None:
    thread.start("gated", {"log": ["in"], "path": str(gate.path)}, interrupt_before=["gate"])
    run_id = thread.create(resume=resume({}))
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["pause after"])
    # The next run is not asked to.
    assert ended(thread.resume()) == DONE


def test_pausing_where_a_breakpoint_is_names_the_breakpoint(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(
        assistant_id="gated", input=gate.input, breakpoints=[at("after", "size(state.log) == 3")]
    )
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before after"])


@pytest.mark.parametrize("durability", [1, 2, 3], ids=["SYNC", "ASYNC", "EXIT"])
def test_runs_pause_with_each_durability(thread: DrivenThread, gate: Gate, durability: int) -> None:
    run_id = thread.create(assistant_id="gated_child", input=gate.input, durability=durability)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["pause child/two"])
    assert ended(thread.resume()) == DONE
    assert thread.log[-3:] == ["gate", "two", "end"]


def test_an_edit_where_a_run_was_paused_keeps_the_thread_paused(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    end_of(thread, run_id)
    thread.edit({"log": ["edited"]})
    assert thread.stands() == ("INTERRUPTED", ["after"], [("PAUSE", "after")])
    assert ended(thread.resume()) == DONE
    assert thread.log == ["in", "before", "gate", "edited", "after"]


def test_new_input_where_a_run_was_paused_is_refused_or_gives_it_up(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    end_of(thread, run_id)
    with thread.refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED"):
        thread.start("gated")
    given = {"log": ["new"], "path": str(gate.path)}
    assert ended(thread.start("gated", given, on_pause=run_pb2.ON_PAUSE_DISCARD)) == DONE


def test_a_cancel_comes_before_a_pause(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    thread.cancel(run_id)
    assert ended(end_of(thread, run_id)) == ("CANCELLED", [])
    assert thread.stands() == ("IDLE", ["gate"], [])


def test_whoever_waits_for_the_run_hears_of_its_pause(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    pause_run(thread.runs_stub, run_id)
    gate.open()
    waited = thread.wait(run_id)
    assert (waited.run.status, waited.run.pause_requested) == (INTERRUPTED, True)
    assert waits(waited.pauses) == ["pause after"]
