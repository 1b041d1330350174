"""Breakpoints of a run: where it stops, what it says, and how it goes on."""

from __future__ import annotations

import pytest
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc

from tests.e2e.drive import DEADLINE, payload, shapes, value
from tests.e2e.driven import DrivenThread, Events
from tests.e2e.gates import Gate, until

BEFORE_B = ("interrupted", [("BREAKPOINT_BEFORE", "b")], ["b"])
PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


def paused(*pauses: tuple[str, str], following: list[str]) -> list[tuple[object, ...]]:
    """The last events of a run that pauses."""
    return [("interrupted", list(pauses), following), PAUSED]


def test_a_run_stops_before_a_node_and_a_resume_goes_on_from_there(thread: DrivenThread) -> None:
    first = thread.start("linear", interrupt_before=["b"])
    assert shapes(first) == [*ran("a"), BEFORE_B, PAUSED]
    second = thread.resume()
    assert shapes(second) == [*ran("b", "c"), DONE]
    assert second[0].metadata.resumed_run_id == first[0].run_id
    assert thread.stands() == ("IDLE", [], [])
    assert thread.log == ["in", "a", "b", "c"]
    ended, continued = thread.runs()
    assert (ended.run_id, ended.resumed_run_id) == (second[0].run_id, first[0].run_id)
    assert (continued.run_id, continued.resumed_by_run_id) == (first[0].run_id, second[0].run_id)


def test_a_pause_says_why_where_and_what_comes_next_in_every_answer(thread: DrivenThread) -> None:
    events = thread.start("linear", interrupt_before=["b"])
    interrupted, end = events[-2].interrupted, events[-1].end
    (pause,) = interrupted.pauses
    run_id = events[0].run_id
    assert (pause.kind, pause.node, list(pause.namespace)) == (1, "b", [])
    assert (pause.thread_id, pause.run_id) == (thread.thread_id, run_id)
    assert (pause.interrupt_id, pause.HasField("value")) == ("", False)
    assert pause.pause_id
    assert pause.create_time.seconds
    head = thread.now
    assert head.checkpoint_id
    assert {
        pause.checkpoint_id,
        interrupted.checkpoint_id,
        end.checkpoint_id,
        thread.state().checkpoint_id,
    } == {head.checkpoint_id}
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    assert list(head.pauses) == list(thread.state().pauses) == [pause]
    waited = thread.wait(run_id)
    assert list(waited.pauses) == [pause]
    assert waited.run.status == run_pb2.RUN_STATUS_INTERRUPTED
    assert value(waited.values) == {"log": ["in", "a"]}


def test_a_run_stops_after_a_node_once_its_update_is_in_the_state(thread: DrivenThread) -> None:
    events = thread.start("linear", interrupt_after=["a"])
    assert shapes(events) == [*ran("a"), *paused(("BREAKPOINT_AFTER", "a"), following=["b"])]
    assert thread.log == ["in", "a"]
    assert shapes(thread.resume()) == [*ran("b", "c"), DONE]


def test_a_breakpoint_after_the_last_node_pauses_a_graph_at_its_end(thread: DrivenThread) -> None:
    events = thread.start("linear", interrupt_after=["c"])
    assert shapes(events) == [*ran("a", "b", "c"), *paused(("BREAKPOINT_AFTER", "c"), following=[])]
    assert thread.stands() == ("INTERRUPTED", [], [("BREAKPOINT_AFTER", "c")])
    assert shapes(thread.resume()) == [DONE]
    assert thread.stands() == ("IDLE", [], [])
    assert thread.log == ["in", "a", "b", "c"]


def test_a_breakpoint_before_the_entry_node_stops_before_anything_runs(
    thread: DrivenThread,
) -> None:
    events = thread.start("linear", interrupt_before=["a"])
    assert shapes(events) == paused(("BREAKPOINT_BEFORE", "a"), following=["a"])
    assert thread.log == ["in"]
    assert shapes(thread.resume()) == [*ran("a", "b", "c"), DONE]


@pytest.mark.parametrize("names", [["*"], ["b", "*"], ["*", "c", "*"]], ids=str)
def test_a_star_stops_before_each_node_whatever_names_stand_beside_it(
    thread: DrivenThread, names: list[str]
) -> None:
    seen: list[Events] = [thread.start("linear", interrupt_before=names)]
    seen += [thread.resume() for _ in "abc"]
    assert [shapes(events) for events in seen] == [
        paused(("BREAKPOINT_BEFORE", "a"), following=["a"]),
        [*ran("a"), *paused(("BREAKPOINT_BEFORE", "b"), following=["b"])],
        [*ran("b"), *paused(("BREAKPOINT_BEFORE", "c"), following=["c"])],
        [*ran("c"), DONE],
    ]
    assert {tuple(run.interrupt_before) for run in thread.runs()} == {("*",)}


def test_a_star_stops_after_each_node(thread: DrivenThread) -> None:
    seen = [thread.start("linear", interrupt_after=["*"]), *(thread.resume() for _ in "abc")]
    assert [shapes(events) for events in seen] == [
        [*ran("a"), *paused(("BREAKPOINT_AFTER", "a"), following=["b"])],
        [*ran("b"), *paused(("BREAKPOINT_AFTER", "b"), following=["c"])],
        [*ran("c"), *paused(("BREAKPOINT_AFTER", "c"), following=[])],
        [DONE],
    ]


def test_a_stop_after_one_node_and_before_the_next_is_two_pauses_and_one_resume(
    thread: DrivenThread,
) -> None:
    events = thread.start("linear", interrupt_after=["a"], interrupt_before=["b"])
    assert shapes(events)[-2:] == paused(
        ("BREAKPOINT_AFTER", "a"), ("BREAKPOINT_BEFORE", "b"), following=["b"]
    )
    assert shapes(thread.resume()) == [*ran("b", "c"), DONE]


def test_a_breakpoint_in_a_loop_is_hit_once_in_each_round(thread: DrivenThread) -> None:
    stop = paused(("BREAKPOINT_BEFORE", "step"), following=["step"])

    def step(count: int) -> tuple[object, ...]:
        return ("updates", "step", {"log": ["step"], "count": count})

    seen = [thread.start("loop", interrupt_before=["step"]), *(thread.resume() for _ in range(3))]
    assert [shapes(events) for events in seen] == [
        stop,
        [step(1), *stop],
        [step(2), *stop],
        [step(3), DONE],
    ]
    pause_ids = {e.interrupted.pauses[0].pause_id for events in seen[:-1] for e in events[-2:-1]}
    assert len(pause_ids) == 3


def test_compiled_breakpoints_hold_without_being_asked_for(thread: DrivenThread) -> None:
    seen = [thread.start("stops"), thread.resume(), thread.resume()]
    assert [shapes(events) for events in seen] == [
        [*ran("a"), BEFORE_B, PAUSED],
        [*ran("b", "c"), *paused(("BREAKPOINT_AFTER", "c"), following=[])],
        [DONE],
    ]


def test_naming_other_nodes_switches_no_compiled_breakpoint_off(thread: DrivenThread) -> None:
    seen = [thread.start("stops", interrupt_before=["c"], interrupt_after=["a"])]
    seen += [thread.resume() for _ in range(3)]
    assert [shapes(events) for events in seen] == [
        [
            *ran("a"),
            *paused(("BREAKPOINT_AFTER", "a"), ("BREAKPOINT_BEFORE", "b"), following=["b"]),
        ],
        [*ran("b"), *paused(("BREAKPOINT_BEFORE", "c"), following=["c"])],
        [*ran("c"), *paused(("BREAKPOINT_AFTER", "c"), following=[])],
        [DONE],
    ]
    run = thread.runs()[-1]
    assert (list(run.interrupt_before), list(run.interrupt_after)) == (["b", "c"], ["c", "a"])


def test_a_resume_inherits_the_breakpoints_of_the_run_before_it(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b", "c"])
    assert shapes(thread.resume()) == [
        *ran("b"),
        *paused(("BREAKPOINT_BEFORE", "c"), following=["c"]),
    ]
    assert [list(run.interrupt_before) for run in thread.runs()] == [["b", "c"]] * 2
    assert shapes(thread.resume()) == [*ran("c"), DONE]


def test_a_resume_adds_breakpoints_to_those_that_it_inherits(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["a"])
    events = thread.resume(interrupt_before=["c"], interrupt_after=["a"])
    assert shapes(events) == [*ran("a"), *paused(("BREAKPOINT_AFTER", "a"), following=["b"])]
    run = thread.runs()[0]
    assert (list(run.interrupt_before), list(run.interrupt_after)) == (["a", "c"], ["a"])
    assert shapes(thread.resume())[-2:] == paused(("BREAKPOINT_BEFORE", "c"), following=["c"])


def test_clear_breakpoints_drops_those_inherited_and_keeps_those_compiled_in(
    thread: DrivenThread,
) -> None:
    thread.start("stops", interrupt_before=["a"], interrupt_after=["b"])
    events = thread.resume(clear_breakpoints=True)
    assert shapes(events) == [*ran("a"), BEFORE_B, PAUSED]
    run = thread.runs()[0]
    assert (list(run.interrupt_before), list(run.interrupt_after)) == (["b"], ["c"])
    assert shapes(thread.resume()) == [
        *ran("b", "c"),
        *paused(("BREAKPOINT_AFTER", "c"), following=[]),
    ]


def test_clear_breakpoints_keeps_those_that_the_resume_itself_names(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["*"])
    events = thread.resume(clear_breakpoints=True, interrupt_before=["c"])
    assert shapes(events) == [
        *ran("a", "b"),
        *paused(("BREAKPOINT_BEFORE", "c"), following=["c"]),
    ]


def test_new_input_inherits_no_breakpoints(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    thread.resume()
    assert shapes(thread.start("linear")) == [*ran("a", "b", "c"), DONE]


def test_each_send_of_a_fan_out_is_a_pause_of_its_own_and_runs_once(thread: DrivenThread) -> None:
    first = thread.start("fanout", interrupt_before=["work"], interrupt_after=["work"])
    waiting = ["work", "work", "work"]
    stop = ("BREAKPOINT_BEFORE", "work")
    assert shapes(first) == [*ran("plan"), *paused(stop, stop, stop, following=waiting)]
    assert thread.stands() == ("INTERRUPTED", waiting, [stop, stop, stop])
    second = shapes(thread.resume())
    assert sorted(map(str, second[:3])) == [
        str(("updates", "work", {"log": [f"work {n}"]})) for n in (1, 2, 3)
    ]
    # After them it is one step that has ended.
    assert second[3:] == paused(("BREAKPOINT_AFTER", "work"), following=["join"])
    assert shapes(thread.resume()) == [*ran("join"), DONE]
    assert thread.log == ["in", "plan", "work 1", "work 2", "work 3", "join"]


def test_a_breakpoint_at_one_of_two_parallel_nodes_holds_the_whole_step(
    thread: DrivenThread,
) -> None:
    events = thread.start("ask_parallel", interrupt_before=["left"])
    assert shapes(events) == paused(("BREAKPOINT_BEFORE", "left"), following=["left", "right"])


def test_a_breakpoint_compiled_into_a_subgraph_pauses_the_thread_with_its_path(
    thread: DrivenThread,
) -> None:
    events = thread.start("stop_in_child")
    assert shapes(events) == [
        ("interrupted", [("BREAKPOINT_BEFORE", "child/two")], ["child"]),
        PAUSED,
    ]
    (pause,) = events[-2].interrupted.pauses
    (task,) = thread.state().tasks
    assert list(pause.namespace) == [f"child:{task.task_id}"]
    assert shapes(thread.resume()) == [
        ("updates", "child", {"log": ["in", "one", "two"]}),
        *ran("after"),
        DONE,
    ]


def test_approving_a_node_of_a_subgraph_approves_it_for_one_round_only(
    thread: DrivenThread, gate: Gate
) -> None:
    def child_is_at_round(number: int) -> bool:
        states = [task.state for task in thread.state(subgraphs=True).tasks if task.node == "child"]
        return any(
            list(state.next) == ["step"] and value(state.values).get("count", 0) == number
            for state in states
        )

    def cancel_at_round(number: int, run_id: str) -> None:
        gate.wait_begun()
        until(lambda: child_is_at_round(number), f"the child is at round {number}")
        thread.cancel(run_id)

    stop = ("BREAKPOINT_BEFORE", "child/step")
    cancel_at_round(0, thread.create(assistant_id="loop_beside_gate", input=gate.input))
    # It waits at no pause yet: whoever goes on here lets the node beside it run, and only that.
    cancel_at_round(0, thread.create(resume=run_pb2.Resume()))
    gate.open()
    assert shapes(thread.resume()) == [*ran("gate"), *paused(stop, following=["child"])]
    assert child_is_at_round(0)
    (pause,) = thread.pauses
    assert shapes(thread.resume(pause_ids=[pause.pause_id]))[1:] == paused(
        stop, following=["child"]
    )
    assert child_is_at_round(1)
    assert thread.pauses[0].pause_id != pause.pause_id


def test_an_unknown_node_is_refused_with_the_nodes_there_are(thread: DrivenThread) -> None:
    for field in ("interrupt_before", "interrupt_after"):
        with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", f"{field}[1]") as refusal:
            thread.start("linear", **{field: ["a", "B"]})
        assert refusal.metadata == {"node": "B", "nodes": "a, b, c"}
    thread.start("linear", interrupt_before=["b"])
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_before[0]"):
        thread.resume(interrupt_before=["d"])


def test_a_resume_is_checked_against_the_graph_that_its_run_will_have(
    thread: DrivenThread,
) -> None:
    config = run_pb2.RunConfig(configurable=payload({"nodes": 3}))
    thread.start("by_config", config=config, interrupt_before=["node1"])
    assert shapes(thread.resume(interrupt_before=["node2"])) == [
        *ran("node1"),
        *paused(("BREAKPOINT_BEFORE", "node2"), following=["node2"]),
    ]
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_before[0]"):
        thread.resume(interrupt_before=["node3"])


def test_a_breakpoint_after_a_node_holds_when_its_result_was_kept_from_an_earlier_run(
    thread: DrivenThread,
) -> None:
    thread.start("ask_parallel", interrupt_after=["left", "done"])
    left, right = thread.pauses
    thread.resume(answers={left.pause_id: 1})
    events = thread.resume(answers={right.pause_id: 2})
    assert shapes(events)[-2:] == paused(("BREAKPOINT_AFTER", "left"), following=["done"])
    # What finished in an earlier step is not told again.
    assert shapes(thread.resume()) == [
        *ran("done"),
        *paused(("BREAKPOINT_AFTER", "done"), following=[]),
    ]


@pytest.mark.parametrize("asked", [run_pb2.DURABILITY_ASYNC, run_pb2.DURABILITY_EXIT])
@pytest.mark.parametrize(
    ("assistant", "breakpoints"),
    [
        ("linear", {"interrupt_before": ["b"]}),
        ("linear", {"interrupt_after": ["*"]}),
        ("stops", {}),
        ("stop_in_child", {}),
    ],
)
def test_where_there_are_breakpoints_durability_is_raised_to_sync(
    thread: DrivenThread,
    asked: run_pb2.Durability.ValueType,
    assistant: str,
    breakpoints: dict[str, list[str]],
) -> None:
    events = thread.start(assistant, durability=asked, **breakpoints)
    assert shapes(events)[-1] == PAUSED
    (run,) = thread.runs()
    assert run.durability == run_pb2.DURABILITY_SYNC


@pytest.mark.parametrize("asked", [run_pb2.DURABILITY_ASYNC, run_pb2.DURABILITY_EXIT])
def test_where_there_are_no_breakpoints_durability_is_what_was_asked_and_is_inherited(
    thread: DrivenThread, asked: run_pb2.Durability.ValueType
) -> None:
    thread.start("ask", durability=asked)
    thread.resume(answer="x")
    assert [run.durability for run in thread.runs()] == [asked, asked]
    assert thread.log == ["in", "name: 'x'", "after"]


def test_a_resume_inherits_the_breakpoints_of_a_run_that_was_deleted(
    thread: DrivenThread, runs: runs_pb2_grpc.RunsStub
) -> None:
    thread.start("linear", interrupt_before=["a"])
    thread.resume(interrupt_before=["b", "c"])
    last, first = thread.runs()
    for run in (last, first):
        runs.DeleteRun(runs_pb2.DeleteRunRequest(run_id=run.run_id), timeout=DEADLINE)
    assert thread.runs() == []
    assert shapes(thread.resume())[-2:] == [
        ("interrupted", [("BREAKPOINT_BEFORE", "c")], ["c"]),
        PAUSED,
    ]
    # What goes on inherits from the run that is there, now that there is one again.
    assert shapes(thread.resume(clear_breakpoints=True)) == [*ran("c"), DONE]
    resumed, cleared = reversed(thread.runs())
    assert (resumed.resumed_run_id, cleared.resumed_run_id) == ("", resumed.run_id)
