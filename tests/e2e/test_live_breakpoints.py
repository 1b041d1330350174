"""Breakpoints of a run that is there already: added, removed and listed."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from graphwire.v1 import breakpoint_pb2, run_pb2, runs_pb2, threads_pb2

from tests.e2e.drive import DEADLINE, join, payload, refused, value
from tests.e2e.driven import DrivenThread, Events, command, resume
from tests.e2e.gates import Gate
from tests.e2e.stopping import (
    DONE,
    add,
    after,
    all_the_way,
    at,
    described,
    ended,
    in_force,
    met,
    pauses_at,
    pauses_of,
    remove,
)

ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE


def at_gate(thread: DrivenThread, gate: Gate, assistant: str = "gated", **fields: Any) -> str:
    """Starts a run, and returns its id once its node waits at the gate."""
    run_id = thread.create(assistant_id=assistant, input=gate.input, **fields)
    gate.wait_begun()
    return run_id


def end_of(thread: DrivenThread, run_id: str) -> Events:
    """The events of a run, to its end."""
    return join(thread.runs_stub, run_id)


def test_one_that_is_added_holds_the_very_next_node(thread: DrivenThread, gate: Gate) -> None:
    run_id = at_gate(thread, gate)
    (added,) = add(thread.runs_stub, run_id, at("after", label="live"))
    gate.open()
    events = end_of(thread, run_id)
    assert ended(events) == ("INTERRUPTED", ["before after"])
    assert added.breakpoint_id
    assert met(pauses_of(events)[0]) == [(added.breakpoint_id, "RUN")]
    assert pauses_of(events)[0].breakpoints[0].label == "live"
    assert ended(thread.resume()) == DONE


def test_one_after_the_node_that_is_at_work_holds_at_its_end(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = at_gate(thread, gate)
    add(thread.runs_stub, run_id, after("gate", "state.log[-1] == 'gate'"))
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["after gate"])
    assert thread.log == ["in", "before", "gate"]


def test_one_before_the_node_that_is_at_work_comes_too_late(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = at_gate(thread, gate)
    add(thread.runs_stub, run_id, at("gate"), at("before"))
    gate.open()
    assert ended(end_of(thread, run_id)) == DONE


def test_one_in_the_subgraph_that_is_at_work(thread: DrivenThread, gate: Gate) -> None:
    run_id = at_gate(thread, gate, "gated_child")
    add(thread.runs_stub, run_id, at("child/two", "state.log[-1] == 'gate'"))
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before child/two"])


@pytest.mark.parametrize("durability", [1, 2, 3], ids=["SYNC", "ASYNC", "EXIT"])
def test_it_holds_with_each_durability(thread: DrivenThread, gate: Gate, durability: int) -> None:
    run_id = at_gate(thread, gate, "gated_child", durability=durability)
    add(thread.runs_stub, run_id, at("end"))
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before end"])
    assert ended(thread.resume()) == DONE


def test_one_that_is_added_and_removed_holds_nothing(thread: DrivenThread, gate: Gate) -> None:
    run_id = at_gate(thread, gate)
    (added,) = add(thread.runs_stub, run_id, at("after"))
    assert remove(thread.runs_stub, run_id, added.breakpoint_id) == []
    gate.open()
    assert ended(end_of(thread, run_id)) == DONE


def test_one_that_the_run_began_with_can_be_removed(thread: DrivenThread, gate: Gate) -> None:
    run_id = at_gate(
        thread, gate, breakpoints=[at("after", breakpoint_id="x"), at("gate", "false")]
    )
    (left,) = remove(thread.runs_stub, run_id, "x")
    assert left.node == "gate"
    gate.open()
    assert ended(end_of(thread, run_id)) == DONE


def test_one_on_a_queued_run_holds_once_it_begins(thread: DrivenThread, gate: Gate) -> None:
    at_gate(thread, gate)
    queued = thread.create(
        assistant_id="gated",
        input=gate.input,
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    add(thread.runs_stub, queued, at("before", breakpoint_id="soon"))
    assert in_force(thread.runs_stub, queued) == [("before", "soon", "RUN")]
    gate.open()
    assert ended(end_of(thread, queued)) == ("INTERRUPTED", ["before before"])


def test_one_on_a_delayed_run(thread: DrivenThread) -> None:
    run_id = thread.create(
        assistant_id="linear",
        input=payload({"log": ["in"]}),
        start_delay=duration_pb2.Duration(nanos=300_000_000),
    )
    add(thread.runs_stub, run_id, at("a"))
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before a"])


def test_one_on_a_paused_run_holds_in_the_run_that_goes_on(thread: DrivenThread) -> None:
    run_id = thread.start("linear", interrupt_before=["a"])[0].run_id
    add(thread.runs_stub, run_id, at("c", breakpoint_id="late"))
    events = thread.resume()
    assert ended(events) == ("INTERRUPTED", ["before c"])
    assert in_force(thread.runs_stub, events[0].run_id) == [
        ("a", "", "RUN"),
        ("c", "late", "RUN"),
    ]
    remove(thread.runs_stub, events[0].run_id, "late")
    # What has paused waits for its answer, and then it is gone.
    assert pauses_at(thread, "c") != []
    events = thread.resume()
    assert ended(events) == DONE
    assert in_force(thread.runs_stub, events[0].run_id) == [("a", "", "RUN")]


def test_a_pause_whose_breakpoint_was_removed_waits_while_others_are_resumed(
    thread: DrivenThread,
) -> None:
    breakpoints = [at("left/b", breakpoint_id="l"), at("right/d", breakpoint_id="r")]
    run_id = thread.start("pair", breakpoints=breakpoints)[0].run_id
    (right,) = pauses_at(thread, "d")
    remove(thread.runs_stub, run_id, "r")
    events = thread.resume(pause_ids=pauses_at(thread, "b"))
    assert ended(events) == ("INTERRUPTED", ["before right/d"])
    assert pauses_at(thread, "d") == [right]
    assert ended(thread.resume()) == DONE


def test_a_pause_of_a_cached_node_whose_breakpoint_was_removed_waits(
    thread: DrivenThread,
) -> None:
    assert ended(thread.start("cached")) == DONE  # its result is in the cache
    breakpoints = [at("number", breakpoint_id="n")]
    run_id = thread.start("cached", breakpoints=breakpoints)[0].run_id
    remove(thread.runs_stub, run_id, "n")
    events = thread.resume(pause_ids=[], breakpoints=[at("after")])
    assert ended(events) == ("INTERRUPTED", ["before after"])


def test_all_that_are_in_force_are_listed_with_who_has_set_them(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.start(
        "stops",
        interrupt_before=["b", "c"],
        interrupt_after=["a"],
        breakpoints=[at("a", "false", breakpoint_id="mine")],
    )[0].run_id
    found = runs_pb2.ListRunBreakpointsRequest(run_id=run_id)
    listed = thread.runs_stub.ListRunBreakpoints(found, timeout=DEADLINE).breakpoints
    assert [(each.position, *described(each)) for each in listed] == [
        (1, "b", "", "COMPILED"),
        (2, "c", "", "COMPILED"),
        (1, "c", "", "RUN"),
        (2, "a", "", "RUN"),
        (1, "a", "mine", "RUN"),
    ]


def test_those_compiled_into_subgraphs_are_listed_by_path(thread: DrivenThread) -> None:
    run_id = thread.start("deep")[0].run_id
    assert in_force(thread.runs_stub, run_id) == [("middle/low/two", "", "COMPILED")] * 2


def test_what_was_given_comes_back_whole(thread: DrivenThread, gate: Gate) -> None:
    run_id = at_gate(thread, gate)
    given = at(
        "after",
        "size(state.log) > 1",
        breakpoint_id="whole",
        label="a label",
        skip_first=3,
        expires_after=duration_pb2.Duration(seconds=90),
        on_expiry=3,
        position=2,
    )
    (added,) = add(thread.runs_stub, run_id, given)
    given.source = breakpoint_pb2.BREAKPOINT_SOURCE_RUN
    assert added == given
    request = runs_pb2.ListRunBreakpointsRequest(run_id=run_id)
    assert list(thread.runs_stub.ListRunBreakpoints(request, timeout=DEADLINE).breakpoints) == [
        given
    ]


def test_an_id_is_taken_once(thread: DrivenThread, gate: Gate) -> None:
    run_id = at_gate(thread, gate, breakpoints=[at("after", "false", breakpoint_id="x")])
    with refused("ALREADY_EXISTS", "BREAKPOINT_EXISTS") as no:
        add(thread.runs_stub, run_id, at("gate", breakpoint_id="y"), at("after", breakpoint_id="x"))
    assert no.resource == ("breakpoint", "x")
    assert in_force(thread.runs_stub, run_id) == [("after", "x", "RUN")]
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "breakpoints[1].breakpoint_id"):
        add(thread.runs_stub, run_id, at("a", breakpoint_id="z"), at("b", breakpoint_id="z"))


def test_one_that_is_not_there_is_not_removed_nor_any_other(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = at_gate(thread, gate, breakpoints=[at("after", breakpoint_id="x")])
    with refused("NOT_FOUND", "BREAKPOINT_NOT_FOUND") as no:
        remove(thread.runs_stub, run_id, "x", "y")
    assert no.resource == ("breakpoint", "y")
    assert in_force(thread.runs_stub, run_id) == [("after", "x", "RUN")]
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before after"])


def test_what_can_t_be_honoured_is_refused(thread: DrivenThread, gate: Gate) -> None:
    run_id = at_gate(thread, gate)
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "breakpoints[0].node"):
        add(thread.runs_stub, run_id, at("aftr"))
    with refused("INVALID_ARGUMENT", "INVALID_CONDITION", "breakpoints[0].condition"):
        add(thread.runs_stub, run_id, at("after", "state.nothing"))
    with refused("INVALID_ARGUMENT", "MISSING_FIELD", "breakpoints"):
        add(thread.runs_stub, run_id)
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        add(thread.runs_stub, thread.thread_id, at("after"))
    assert in_force(thread.runs_stub, run_id) == []


def test_a_run_has_at_most_a_thousand_and_keeps_those_that_it_has(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = at_gate(thread, gate, breakpoints=[at("after", "1 > 2") for _ in range(99)])
    for _ in range(9):
        add(thread.runs_stub, run_id, *(at("after", "1 > 2") for _ in range(100)))
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "breakpoints") as refusal:
        add(thread.runs_stub, run_id, at("after"), at("after"))
    assert "has 999 breakpoints of its own" in refusal.text
    assert len(in_force(thread.runs_stub, run_id)) == 999
    add(thread.runs_stub, run_id, at("after", "1 > 2"))
    gate.open()
    assert ended(end_of(thread, run_id)) == DONE


def test_a_run_that_nothing_goes_on_from_takes_none(thread: DrivenThread) -> None:
    run_id = thread.start("linear")[0].run_id
    with refused("FAILED_PRECONDITION", "RUN_ENDED") as no:
        add(thread.runs_stub, run_id, at("b"))
    assert no.metadata == {"run_id": run_id, "status": "SUCCEEDED"}
    with refused("FAILED_PRECONDITION", "RUN_ENDED"):
        remove(thread.runs_stub, run_id, "x")
    paused = thread.start("linear", interrupt_before=["b"])[0].run_id
    assert ended(thread.resume()) == DONE
    with refused("FAILED_PRECONDITION", "RUN_ENDED"):
        add(thread.runs_stub, paused, at("b"))


def test_adding_again_with_the_same_request_id_adds_nothing(
    thread: DrivenThread, gate: Gate, once: str
) -> None:
    run_id = at_gate(thread, gate)
    first = add(thread.runs_stub, run_id, at("after"), at("gate", "false"), request_id=once)
    again = add(thread.runs_stub, run_id, at("after"), at("gate", "false"), request_id=once)
    assert again == first
    assert len(in_force(thread.runs_stub, run_id)) == 2
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        add(thread.runs_stub, run_id, at("after"), request_id=once)
    gate.open()
    end_of(thread, run_id)
    # Also when the run has ended meanwhile.
    assert add(thread.runs_stub, run_id, at("after"), at("gate", "false"), request_id=once) == first


def test_a_run_with_the_same_request_id_has_the_ids_that_were_chosen_first(
    thread: DrivenThread, once: str
) -> None:
    first = thread.start("linear", breakpoints=[at("b")], request_id=once)
    again = thread.start("linear", breakpoints=[at("b")], request_id=once)
    assert again == first
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        thread.start("linear", breakpoints=[at("b", breakpoint_id="x")], request_id=once)


def test_a_resume_inherits_with_ids_adds_and_clears(thread: DrivenThread) -> None:
    thread.start("linear", breakpoints=[at("a", breakpoint_id="x"), at("b", breakpoint_id="y")])
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "breakpoints[1].breakpoint_id"):
        thread.resume(breakpoints=[at("c"), at("c", breakpoint_id="y")])
    events = thread.resume(breakpoints=[at("c", breakpoint_id="z")])
    assert met(pauses_of(events)[0]) == [("y", "RUN")]
    run_id = events[0].run_id
    assert [name for _, name, _ in in_force(thread.runs_stub, run_id)] == ["x", "y", "z"]
    events = thread.resume(clear_breakpoints=True, breakpoints=[at("c", breakpoint_id="y")])
    assert met(pauses_of(events)[0]) == [("y", "RUN")]
    assert in_force(thread.runs_stub, events[0].run_id) == [("c", "y", "RUN")]


def test_a_run_that_is_deleted_leaves_its_breakpoints_and_their_counts(
    thread: DrivenThread,
) -> None:
    given = [at("step", skip_first=2, breakpoint_id="x"), after("step", "step == 1")]
    run_id = thread.start("loop", breakpoints=given)[0].run_id
    thread.runs_stub.DeleteRun(runs_pb2.DeleteRunRequest(run_id=run_id), timeout=DEADLINE)
    events = thread.resume()
    assert ended(events) == ("INTERRUPTED", ["before step"])
    assert met(pauses_of(events)[0]) == [("x", "RUN")]
    assert value(thread.state().values)["count"] == 2
    assert ended(thread.resume()) == DONE


def test_one_with_skip_first_counts_from_when_it_was_added(
    thread: DrivenThread, gate: Gate
) -> None:
    first = Gate(gate.path.with_name(f"{gate.path.name} 0"))
    run_id = thread.create(assistant_id="stairs", input=gate.input)
    first.wait_begun()
    add(thread.runs_stub, run_id, at("step", skip_first=1))
    first.open()
    Gate(gate.path.with_name(f"{gate.path.name} 1")).open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before step"])
    assert value(thread.state().values)["count"] == 2


def test_adding_while_steps_fly_by_is_in_force_when_it_returns(thread: DrivenThread) -> None:
    """Whatever began before the call returned may run; nothing begins after it."""
    for _ in range(5):
        one = DrivenThread(thread.runs_stub, thread.threads_stub)
        run_id = one.create(
            assistant_id="endless",
            input=payload({"log": ["in"]}),
            config=run_pb2.RunConfig(recursion_limit=1000),
        )
        add(one.runs_stub, run_id, at("again"))
        assert ended(end_of(one, run_id)) == ("INTERRUPTED", ["before again"])
        one.resume(clear_breakpoints=True, config=run_pb2.RunConfig(recursion_limit=5))


def test_many_who_add_and_remove_at_once_lose_nothing(thread: DrivenThread, gate: Gate) -> None:
    run_id = at_gate(thread, gate)

    def change(number: int) -> None:
        for turn in range(5):
            (one,) = add(thread.runs_stub, run_id, at("before", breakpoint_id=f"{number}.{turn}"))
            if turn % 2:
                remove(thread.runs_stub, run_id, one.breakpoint_id)

    workers = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    left = {name for _, name, _ in in_force(thread.runs_stub, run_id)}
    assert left == {f"{number}.{turn}" for number in range(4) for turn in (0, 2, 4)}


def test_removing_while_it_holds_leaves_a_pause_or_lets_the_run_go_on(
    thread: DrivenThread,
) -> None:
    """A run never ends otherwise than held, or to its end."""
    for _ in range(10):
        one = DrivenThread(thread.runs_stub, thread.threads_stub)
        given = at("c", "state.log[-1] == 'b'", breakpoint_id="x")
        run_id = one.create(
            assistant_id="linear", input=payload({"log": ["in"]}), breakpoints=[given]
        )
        with suppress(grpc.RpcError):  # the run may be over
            remove(one.runs_stub, run_id, "x")
        events = end_of(one, run_id)
        assert ended(events) in (DONE, ("INTERRUPTED", ["before c"]))
        assert all_the_way(one, events) in ([], [["before c"]])


def test_a_resumed_run_takes_them_too(thread: DrivenThread, gate: Gate) -> None:
    thread.start("gated", {"log": ["in"], "path": str(gate.path)}, interrupt_before=["gate"])
    run_id = thread.create(resume=resume({}))
    gate.wait_begun()
    add(thread.runs_stub, run_id, at("after", breakpoint_id="x"))
    assert in_force(thread.runs_stub, run_id) == [("gate", "", "RUN"), ("after", "x", "RUN")]
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before after"])


def test_input_that_is_queued_does_not_begin_the_count_anew(
    thread: DrivenThread, gate: Gate
) -> None:
    gates = [Gate(gate.path.with_name(f"{gate.path.name} {number}")) for number in range(4)]
    run_id = thread.create(
        assistant_id="stairs", input=gate.input, breakpoints=[at("step", skip_first=2)]
    )
    gates[0].wait_begun()
    queued = thread.create(
        assistant_id="stairs",
        input=gate.input,
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    add(thread.runs_stub, run_id, after("step", "step == 1"))
    for each in gates:
        each.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["after step"])
    events = thread.resume()
    assert ended(events) == ("INTERRUPTED", ["before step"])
    assert value(thread.state().values)["count"] == 2
    assert ended(thread.resume()) == DONE
    assert ended(end_of(thread, queued)) == DONE


def test_what_is_rolled_back_does_not_begin_the_count_anew(
    thread: DrivenThread, gate: Gate
) -> None:
    breakpoints = [at("step", skip_first=1)]
    gates = [Gate(gate.path.with_name(f"{gate.path.name} {number}")) for number in range(3)]
    gates[0].open()
    gates[1].open()
    given = {"log": ["in"], "path": str(gate.path)}
    thread.start("stairs", given, breakpoints=breakpoints)
    other = {"log": ["in"], "path": str(gate.path), "count": 2}
    run_id = thread.create(
        assistant_id="stairs",
        input=payload(other),
        on_pause=run_pb2.ON_PAUSE_DISCARD,
        breakpoints=breakpoints,
    )
    gates[2].wait_begun()
    request = runs_pb2.CancelRunRequest(
        run_id=run_id, action=runs_pb2.CANCEL_ACTION_ROLLBACK, wait=True
    )
    thread.runs_stub.CancelRun(request, timeout=DEADLINE)
    assert thread.stands() == ("INTERRUPTED", ["step"], [("BREAKPOINT_BEFORE", "step")])
    assert ended(thread.resume()) == ("INTERRUPTED", ["before step"])


# --- runs that wait in the queue meanwhile ---


def test_a_queued_command_has_what_was_added_to_the_run_before_it(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = at_gate(thread, gate)
    queued = thread.create(command=command({"goto": ["after"]}), multitask_strategy=ENQUEUE)
    add(thread.runs_stub, run_id, at("after", breakpoint_id="late"))
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before after"])
    # The queued one waits behind that, and pauses at the same place when its turn comes.
    assert ended(thread.resume()) == DONE
    events = end_of(thread, queued)
    assert ended(events) == ("INTERRUPTED", ["before after"])
    assert met(pauses_of(events)[0]) == [("late", "RUN")]
    assert in_force(thread.runs_stub, queued) == [("after", "late", "RUN")]


def test_a_queued_command_that_clears_breakpoints_has_none_of_them(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = at_gate(thread, gate)
    queued = thread.create(
        command=command({"goto": ["after"]}), multitask_strategy=ENQUEUE, clear_breakpoints=True
    )
    add(thread.runs_stub, run_id, at("after", breakpoint_id="late"))
    gate.open()
    assert ended(end_of(thread, run_id)) == ("INTERRUPTED", ["before after"])
    thread.resume()
    assert ended(end_of(thread, queued)) == DONE


def test_a_queued_run_has_the_breakpoints_that_its_thread_has_when_its_turn_comes(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = at_gate(thread, gate)
    queued = thread.create(assistant_id="gated", input=gate.input, multitask_strategy=ENQUEUE)
    breakpoints = breakpoint_pb2.BreakpointList(breakpoints=[at("after", breakpoint_id="mine")])
    change = threads_pb2.UpdateThreadRequest(thread_id=thread.thread_id, breakpoints=breakpoints)
    thread.threads_stub.UpdateThread(change, timeout=DEADLINE)
    gate.open()
    # The one that executes began without them.
    assert ended(end_of(thread, run_id)) == DONE
    events = end_of(thread, queued)
    assert ended(events) == ("INTERRUPTED", ["before after"])
    assert met(pauses_of(events)[0]) == [("mine", "THREAD")]
