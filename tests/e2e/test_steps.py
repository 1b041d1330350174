"""One step at a time: INTO, OVER, OUT, and to a node."""

from __future__ import annotations

import pytest
from graphwire.v1 import run_pb2

from tests.e2e.drive import refused, value
from tests.e2e.driven import DrivenThread, Events
from tests.e2e.gates import Gate
from tests.e2e.stopping import (
    DONE,
    INTO,
    OUT,
    OVER,
    after,
    at,
    ended,
    pauses_at,
    pauses_of,
    waits,
)


def nodes(events: Events) -> list[str]:
    """The nodes of the root that have run."""
    return [event.updates.node for event in events if event.HasField("updates")]


def stepped(thread: DrivenThread, events: Events, *steps: int) -> list[list[str]]:
    """What a thread waits for: at first, and after each of some steps."""
    return [ended(events)[1], *(ended(thread.resume(step=step))[1] for step in steps)]


def test_a_step_runs_one_node_and_pauses_before_the_next(thread: DrivenThread) -> None:
    events = thread.start("linear", interrupt_before=["a"])
    assert stepped(thread, events, INTO, INTO) == [["before a"], ["pause b"], ["pause c"]]
    (pause,) = thread.pauses
    assert list(pause.breakpoints) == []
    assert thread.log == ["in", "a", "b"]
    assert ended(thread.resume(step=INTO)) == DONE
    assert thread.log == ["in", "a", "b", "c"]


def test_a_step_is_of_one_run_only(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["a"])
    assert ended(thread.resume(step=INTO)) == ("INTERRUPTED", ["pause b"])
    assert ended(thread.resume()) == DONE


def test_steps_go_into_subgraphs_through_all_their_nodes(thread: DrivenThread) -> None:
    events = thread.start("nest", interrupt_before=["begin"])
    assert stepped(thread, events, *[INTO] * 7) == [
        ["before begin"],
        ["pause child"],
        ["pause child/one"],
        ["pause child/low"],
        ["pause child/low/x"],
        ["pause child/low/y"],
        ["pause child/two"],
        ["pause end"],
    ]
    assert ended(thread.resume(step=INTO)) == DONE


def test_a_step_over_a_subgraph_runs_it_to_its_end(thread: DrivenThread) -> None:
    events = thread.start("nest", interrupt_before=["begin"])
    assert stepped(thread, events, OVER, OVER) == [["before begin"], ["pause child"], ["pause end"]]
    assert ended(thread.resume(step=OVER)) == DONE


def test_a_step_over_in_a_subgraph_stays_there_until_it_ends(thread: DrivenThread) -> None:
    events = thread.start("nest", breakpoints=[at("child/one")])
    assert stepped(thread, events, OVER, OVER, OVER) == [
        ["before child/one"],
        ["pause child/low"],
        ["pause child/two"],
        ["pause end"],
    ]


def test_a_step_out_runs_the_graph_that_it_is_in_to_its_end(thread: DrivenThread) -> None:
    events = thread.start("nest", breakpoints=[at("child/low/x")])
    assert stepped(thread, events, OUT, OUT) == [
        ["before child/low/x"],
        ["pause child/two"],
        ["pause end"],
    ]
    assert ended(thread.resume(step=OUT)) == DONE


def test_a_step_out_of_the_root_runs_to_the_end(thread: DrivenThread) -> None:
    thread.start("nest", interrupt_before=["begin"])
    assert ended(thread.resume(step=OUT)) == DONE


@pytest.mark.parametrize("mode", [OVER, OUT])
def test_breakpoints_hold_within_a_step(thread: DrivenThread, mode: int) -> None:
    breakpoints = [at("child/one"), at("child/low/y"), after("child/low/y", "true")]
    thread.start("nest", breakpoints=breakpoints)
    events = thread.resume(step=mode)
    if mode == OVER:
        assert ended(events) == ("INTERRUPTED", ["pause child/low"])
        events = thread.resume(step=mode)
    assert ended(events) == ("INTERRUPTED", ["before child/low/y"])
    assert ended(thread.resume(step=mode)) == ("INTERRUPTED", ["after child/low/y"])
    assert ended(thread.resume(step=mode)) == ("INTERRUPTED", ["pause child/two"])


def test_a_step_round_a_loop_is_one_round(thread: DrivenThread) -> None:
    events = thread.start("loop", interrupt_before=["step"])
    run = thread.resume(step=INTO)
    assert (ended(events), ended(run)) == (("INTERRUPTED", ["before step"]),) * 2
    other = DrivenThread(thread.runs_stub, thread.threads_stub)
    other.start("loop", breakpoints=[at("step", "step == 1")])
    for count in (1, 2):
        assert ended(other.resume(step=INTO)) == ("INTERRUPTED", ["pause step"])
        assert value(other.state().values)["count"] == count
    assert ended(other.resume(step=INTO)) == DONE


def test_a_step_with_sends_runs_those_that_are_resumed(thread: DrivenThread) -> None:
    events = thread.start("fanout", interrupt_before=["plan"])
    assert stepped(thread, events, INTO) == [["before plan"], ["pause work"] * 3]
    first, second, third = (pause.pause_id for pause in thread.pauses)
    events = thread.resume(step=INTO, pause_ids=[second])
    assert (nodes(events), ended(events)[1]) == (["work"], ["pause work"] * 2)
    assert [pause.pause_id for pause in thread.pauses] == [first, third]
    events = thread.resume(step=INTO)
    # What has finished is told again, as in any resume.
    assert (nodes(events), ended(events)[1]) == (["work"] * 3, ["pause join"])
    assert thread.log == ["in", "plan", "work 1", "work 2", "work 3"]


def test_from_a_breakpoint_after_a_node_a_step_runs_what_comes_next(thread: DrivenThread) -> None:
    events = thread.start("linear", interrupt_after=["a"])
    assert stepped(thread, events, INTO) == [["after a"], ["pause c"]]
    assert thread.log == ["in", "a", "b"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(INTO, ["pause child/two"]), (OVER, ["pause child/two"]), (OUT, ["pause end"])],
)
def test_from_a_breakpoint_after_a_node_of_a_subgraph(
    thread: DrivenThread, mode: int, expected: list[str]
) -> None:
    events = thread.start("nest", breakpoints=[after("child/one")])
    if mode == INTO:
        assert stepped(thread, events, INTO) == [["after child/one"], ["pause child/low/x"]]
    else:
        assert stepped(thread, events, mode) == [["after child/one"], expected]


def test_from_a_breakpoint_after_the_last_node_of_a_subgraph_a_step_leaves_it(
    thread: DrivenThread,
) -> None:
    events = thread.start("nest", breakpoints=[after("child/low/y"), after("child/two")])
    assert stepped(thread, events, INTO, INTO, INTO) == [
        ["after child/low/y"],
        ["pause child/two"],
        ["after child/two"],
        ["pause end"],
    ]


def test_a_step_takes_an_answer_along(thread: DrivenThread) -> None:
    thread.start("ask_in_child")
    events = thread.resume(answer="yes", step=INTO)
    assert ended(events) == ("INTERRUPTED", ["pause after"])
    assert "child: 'yes'" in thread.log


def test_a_step_to_the_next_question_of_a_node_stops_at_the_question(
    thread: DrivenThread,
) -> None:
    thread.start("ask_twice")
    assert ended(thread.resume(answer=1, step=INTO)) == ("INTERRUPTED", ["question ask"])
    assert ended(thread.resume(answer=2, step=INTO)) == ("INTERRUPTED", ["pause after"])


def test_with_two_paused_branches_a_step_moves_those_that_are_resumed(
    thread: DrivenThread,
) -> None:
    thread.start("pair", breakpoints=[at("left/a"), at("right/c")])
    (left,), (right,) = pauses_at(thread, "a"), pauses_at(thread, "c")
    events = thread.resume(step=INTO, pause_ids=[left])
    assert ended(events) == ("INTERRUPTED", ["before right/c", "pause left/b"])
    assert pauses_at(thread, "c") == [right]
    # The left branch comes to its end, and waits for the other one there.
    events = thread.resume(step=INTO, pause_ids=pauses_at(thread, "b"))
    assert ended(events) == ("INTERRUPTED", ["before right/c"])
    assert pauses_at(thread, "c") == [right]
    events = thread.resume(step=OUT)
    assert ended(events) == ("INTERRUPTED", ["pause done"])


def test_in_one_graph_a_step_of_one_branch_ends_when_the_other_has(thread: DrivenThread) -> None:
    thread.start("pair", interrupt_before=["left", "right"])
    (left,), (right,) = pauses_at(thread, "left"), pauses_at(thread, "right")
    events = thread.resume(step=OVER, pause_ids=[left])
    assert ended(events) == ("INTERRUPTED", ["before right"])
    assert pauses_at(thread, "right") == [right]
    assert ended(thread.resume(step=OVER)) == ("INTERRUPTED", ["pause done"])


def test_a_step_from_two_branches_moves_both(thread: DrivenThread) -> None:
    events = thread.start("pair", interrupt_before=["left", "right"])
    assert stepped(thread, events, INTO, INTO, INTO) == [
        ["before left", "before right"],
        ["pause left/a", "pause right/c"],
        ["pause left/b", "pause right/d"],
        ["pause done"],
    ]


def test_a_command_may_take_a_step(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    events = thread.command(update={"log": ["update"]}, resumes={"step": INTO})
    assert ended(events) == ("INTERRUPTED", ["pause c"])
    assert thread.log == ["in", "a", "update", "b"]


def test_a_step_in_a_command_that_goes_to_a_node_waits_there(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    events = thread.command(goto=["c"], resumes={"step": INTO})
    assert waits(pauses_of(events)) == ["pause c"]


def test_a_step_may_begin_where_nothing_was_paused(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    thread.cancel(run_id)
    assert thread.stands() == ("IDLE", ["gate"], [])
    gate.open()
    assert ended(thread.resume(step=INTO)) == ("INTERRUPTED", ["pause after"])


def test_a_step_over_may_begin_in_a_subgraph_where_nothing_was_paused(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="gated_child", input=gate.input)
    gate.wait_begun()
    thread.cancel(run_id)
    gate.open()
    assert ended(thread.resume(step=OVER)) == ("INTERRUPTED", ["pause child/two"])
    assert ended(thread.resume(step=OVER)) == ("INTERRUPTED", ["pause end"])


def test_steps_go_on_in_a_fork(thread: DrivenThread) -> None:
    events = thread.start("linear", interrupt_before=["b"])
    assert ended(thread.resume()) == DONE
    assert ended(events)[1] == ["before b"]
    (point,) = [s.checkpoint_id for s in thread.history() if list(s.next) == ["b"]]
    # The fork is held at the breakpoint first: its tasks are new ones.
    assert ended(thread.resume(checkpoint_id=point, step=INTO)) == ("INTERRUPTED", ["before b"])
    assert ended(thread.resume(step=INTO)) == ("INTERRUPTED", ["pause c"])


def test_steps_pass_graphs_in_which_nobody_could_resume(thread: DrivenThread, gate: Gate) -> None:
    gate.open()
    given = {"log": ["in"], "path": str(gate.path)}
    thread.start("forgets_where", given, interrupt_before=["child"])
    assert ended(thread.resume(step=INTO)) == ("INTERRUPTED", ["pause after"])
    assert ended(thread.resume(step=INTO)) == DONE


def test_steps_pass_graphs_that_the_code_of_a_node_calls(thread: DrivenThread) -> None:
    thread.start("calls_twice", interrupt_before=["call"])
    events = thread.resume(step=INTO)
    # What they ask, and what is compiled into them, holds as ever.
    assert ended(events) == ("INTERRUPTED", ["question call"])


def test_steps_in_a_subgraph_with_a_memory(thread: DrivenThread) -> None:
    for _ in range(2):
        events = thread.start("remembers_where", interrupt_before=["child"])
        assert stepped(thread, events, INTO, OVER, OVER) == [
            ["before child"],
            ["pause child/one"],
            ["pause child/two"],
            ["pause after"],
        ]
        assert ended(thread.resume()) == DONE


def test_a_step_over_a_subgraph_with_a_memory(thread: DrivenThread) -> None:
    events = thread.start("remembers_where", interrupt_before=["child"])
    assert stepped(thread, events, OVER) == [["before child"], ["pause after"]]


def test_a_run_goes_to_a_node_and_no_other_holds(thread: DrivenThread) -> None:
    thread.start("nest", interrupt_before=["begin"])
    assert ended(thread.resume(run_to="end")) == ("INTERRUPTED", ["pause end"])
    assert thread.log[-1] == "two"
    assert ended(thread.resume()) == DONE


def test_a_run_to_a_node_holds_at_breakpoints_on_the_way(thread: DrivenThread) -> None:
    thread.start("nest", interrupt_before=["begin"], breakpoints=[at("child/two")])
    assert ended(thread.resume(run_to="end")) == ("INTERRUPTED", ["before child/two"])
    # It was for that run only.
    assert ended(thread.resume()) == DONE


def test_a_run_to_the_node_that_is_resumed_goes_one_round(thread: DrivenThread) -> None:
    thread.start("loop", breakpoints=[at("step", "step == 1")])
    assert ended(thread.resume(run_to="step")) == ("INTERRUPTED", ["pause step"])
    assert value(thread.state().values)["count"] == 1


def test_a_run_to_a_node_that_does_not_come_ends(thread: DrivenThread) -> None:
    thread.start("router", interrupt_before=["start"])
    assert ended(thread.resume(run_to="right")) == DONE


def test_a_run_to_no_node_is_refused(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "resume.run_to") as no:
        thread.resume(run_to="d")
    assert no.metadata == {"node": "d", "nodes": "a, b, c"}
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "command.resume.run_to"):
        thread.command(resumes={"run_to": "d"})
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "resume.run_to"):
        thread.resume(run_to="c", step=INTO)
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "resume.step"):
        thread.resume(step=17)


def test_a_step_with_a_weak_durability_is_kept_step_by_step(thread: DrivenThread) -> None:
    thread.start("nest", interrupt_before=["begin"])
    events = thread.resume(step=INTO, clear_breakpoints=True, durability=run_pb2.DURABILITY_EXIT)
    assert ended(events) == ("INTERRUPTED", ["pause child"])
    (run, _) = thread.runs()
    assert run.durability == run_pb2.DURABILITY_SYNC


def test_what_needs_no_approval_steps_with_what_it_waited_beside(thread: DrivenThread) -> None:
    breakpoints = [at("work", "task.input.n == 2")]
    thread.start("fanout", breakpoints=breakpoints)
    events = thread.resume(step=INTO)
    assert (nodes(events), ended(events)[1]) == (["work"] * 3, ["pause join"])


def test_what_needs_no_approval_gets_no_pause_while_another_branch_steps(
    thread: DrivenThread,
) -> None:
    breakpoints = [at("left/a"), at("sends/work", "task.input.n == 2")]
    thread.start("sends_beside", breakpoints=breakpoints)
    assert waits(thread.pauses) == ["before left/a", "before sends/work"]
    events = thread.resume(step=INTO, pause_ids=pauses_at(thread, "a"))
    assert ended(events) == ("INTERRUPTED", ["before sends/work", "pause left/b"])
    events = thread.resume(pause_ids=pauses_at(thread, "work"))
    assert ended(events) == ("INTERRUPTED", ["pause left/b"])
    assert ended(thread.resume()) == DONE
