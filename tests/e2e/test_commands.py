"""Commands: an update of the state, nodes to go to, an answer, or several of these at once."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire.v1 import run_pb2

from tests.e2e.drive import shapes, value
from tests.e2e.driven import DrivenThread, command
from tests.e2e.gates import Gate, until

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")
DISCARD = run_pb2.ON_PAUSE_DISCARD
ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


def before(node: str, *following: str) -> list[tuple[object, ...]]:
    """The last events of a run that pauses before a node."""
    return [("interrupted", [("BREAKPOINT_BEFORE", node)], list(following or [node])), PAUSED]


# --- what a command does ---


def test_an_update_goes_through_the_reducers_and_runs_nothing_on_a_thread_at_its_end(
    thread: DrivenThread,
) -> None:
    thread.start("linear")
    assert shapes(thread.command(update={"log": ["u"], "count": 3})) == [DONE]
    assert value(thread.state().values) == {"log": ["in", "a", "b", "c", "u"], "count": 3}


def test_of_two_updates_at_its_end_the_later_one_holds(thread: DrivenThread) -> None:
    # LangGraph alone takes both as one step: such a thread can't be used any more.
    thread.start("linear")
    for count in (1, 2, 3):
        assert shapes(thread.command(update={"log": [f"u{count}"], "count": count})) == [DONE]
    log = ["in", "a", "b", "c", "u1", "u2", "u3"]
    assert value(thread.state().values) == {"log": log, "count": 3}
    thread.start("linear", {"log": ["again"]})
    assert value(thread.state().values) == {"log": [*log, "again", "a", "b", "c"], "count": 3}


def test_an_update_before_a_node_gone_to_gives_way_to_that_of_the_command_that_goes_on(
    thread: DrivenThread,
) -> None:
    thread.start("linear")
    paused = thread.command(update={"count": 1}, goto=["c"], interrupt_before=["c"])
    assert shapes(paused) == before("c")
    assert shapes(thread.command(update={"count": 2}, resumes={})) == [*ran("c"), DONE]
    assert value(thread.state().values)["count"] == 2


def test_goto_runs_a_node_and_what_follows_it(thread: DrivenThread) -> None:
    thread.start("linear")
    assert shapes(thread.command(goto=["b"])) == [*ran("b", "c"), DONE]
    assert thread.log == ["in", "a", "b", "c", "b", "c"]


def test_goto_several_nodes_runs_them_in_one_step(thread: DrivenThread) -> None:
    thread.start("router")
    events = shapes(thread.command(goto=["left", "right"]))
    assert sorted(events[:-1]) == ran("left", "right")
    assert thread.log == ["in", "start", "left", "left", "right"]


def test_goto_with_input_gives_the_node_that_instead_of_the_state(thread: DrivenThread) -> None:
    thread.start("fanout")
    events = shapes(thread.command(goto=[("work", {"n": 7}), ("work", {"n": 8})]))
    assert sorted(map(str, events[:2])) == [
        str(("updates", "work", {"log": [f"work {n}"]})) for n in (7, 8)
    ]
    assert events[2:] == [*ran("join"), DONE]
    assert thread.log[-3:] == ["work 7", "work 8", "join"]


def test_the_update_is_in_the_state_before_the_waiting_node_runs(thread: DrivenThread) -> None:
    thread.start("boom")
    assert shapes(thread.command(update={"count": 1}, resumes={})) == [*ran("explode"), DONE]


def test_a_command_at_a_breakpoint_updates_and_goes_on(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    (pause,) = thread.pauses
    events = thread.command(update={"log": ["u"]}, resumes={"pause_ids": [pause.pause_id]})
    assert shapes(events) == [*ran("b", "c"), DONE]
    assert thread.log == ["in", "a", "u", "b", "c"]
    assert events[0].metadata.resumed_run_id == pause.run_id


def test_commands_that_only_resume_go_from_breakpoint_to_breakpoint(thread: DrivenThread) -> None:
    thread.start("stops")
    assert shapes(thread.command(resumes={})) == [
        *ran("b", "c"),
        ("interrupted", [("BREAKPOINT_AFTER", "c")], []),
        PAUSED,
    ]
    assert shapes(thread.command(resumes={})) == [DONE]
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        thread.command(resumes={})
    assert thread.log == ["in", "a", "b", "c"]


def test_a_command_may_answer_and_update_and_go_elsewhere_at_once(thread: DrivenThread) -> None:
    thread.start("ask")
    events = thread.command(update={"count": 2}, goto=["after"], resumes={"answer": None})
    assert sorted(shapes(events)[:2]) == [
        *ran("after"),
        ("updates", "ask", {"log": ["name: None"]}),
    ]
    assert value(thread.state().values)["count"] == 2
    assert thread.status == "IDLE"


def test_a_command_may_answer_one_of_several_questions(thread: DrivenThread) -> None:
    thread.start("ask_parallel")
    left, right = thread.pauses
    thread.command(update={"count": 2}, resumes={"answers": {left.pause_id: 1}})
    assert thread.pauses == [right]
    thread.resume(answer=2)
    assert value(thread.state().values) == {
        "log": ["in", "left: 1", "right: 2", "done"],
        "count": 2,
    }


def test_a_command_inherits_breakpoints_and_stream_modes(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["c"], stream_modes=[run_pb2.STREAM_MODE_VALUES])
    thread.resume()
    assert shapes(thread.command(goto=["b"])) == [
        ("values", {"log": ["in", "a", "b", "c"]}),
        ("values", {"log": ["in", "a", "b", "c", "b"]}),
        *before("c"),
    ]


def test_a_command_may_be_the_first_run_of_a_thread(thread: DrivenThread) -> None:
    events = thread.command(assistant_id="linear", update={"log": ["u"]}, interrupt_before=["*"])
    assert shapes(events) == before("a")


def test_a_command_may_start_from_an_older_checkpoint(thread: DrivenThread) -> None:
    thread.start("linear")
    events = thread.command(update={"log": ["u"]}, checkpoint_id=thread.checkpoint("c"))
    assert shapes(events) == [*ran("c"), DONE]
    assert thread.log == ["in", "a", "b", "u", "c"]


def test_a_command_waits_its_turn_in_the_queue(thread: DrivenThread, gate: Gate) -> None:
    thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    fields = {"update": {"log": ["u"]}, "goto": ["after"]}
    queued = thread.create(command=command(fields), multitask_strategy=ENQUEUE)
    gate.open()
    thread.wait(queued)
    assert thread.log == ["in", "before", "gate", "after", "u", "after"]


# --- on a paused thread ---


@pytest.mark.parametrize("assistant", ["stops", "ask"])
def test_a_command_without_a_resume_is_refused_on_a_paused_thread(
    thread: DrivenThread, assistant: str
) -> None:
    thread.start(assistant)
    with thread.refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED"):
        thread.command(update={"log": ["u"]})


def test_a_command_that_discards_a_breakpoint_drops_the_waiting_node(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b"])
    (pause,) = thread.pauses
    events = thread.command(update={"log": ["u"]}, goto=["c"], on_pause=DISCARD)
    assert shapes(events) == [*ran("c"), DONE]
    assert events[0].metadata.resumed_run_id == ""
    assert thread.log == ["in", "a", "u", "c"]
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pause.pause_id])


def test_a_command_that_discards_a_question_drops_the_node_that_asked(
    thread: DrivenThread,
) -> None:
    thread.start("ask_parallel")
    assert shapes(thread.command(goto=["done"], on_pause=DISCARD)) == [*ran("done"), DONE]
    assert thread.stands() == ("IDLE", [], [])
    assert thread.log == ["in", "done"]


def test_a_command_that_discards_without_going_anywhere_ends_the_graph(
    thread: DrivenThread,
) -> None:
    thread.start("ask")
    assert shapes(thread.command(update={"log": ["u"]}, on_pause=DISCARD)) == [DONE]
    assert thread.stands() == ("IDLE", [], [])
    assert thread.log == ["in", "u"]


def test_a_command_that_discards_a_pause_after_the_last_node_goes_where_it_says(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_after=["c"])
    events = thread.command(goto=["b"], on_pause=DISCARD, clear_breakpoints=True)
    assert shapes(events) == [*ran("b", "c"), DONE]
    assert thread.stands() == ("IDLE", [], [])


@pytest.mark.parametrize("as_node", ["a", "b"])
def test_what_a_command_updated_is_still_there_after_an_edit(
    thread: DrivenThread, as_node: str
) -> None:
    thread.start("linear")
    thread.command(update={"log": ["u"], "count": 3})
    thread.edit({"log": ["x"]}, as_node=as_node)
    assert value(thread.state().values) == {"log": ["in", "a", "b", "c", "u", "x"], "count": 3}
    thread.resume()
    assert value(thread.state().values)["count"] == 3


def test_what_a_node_returned_to_which_a_command_went_is_still_there_when_the_rest_is_dropped(
    thread: DrivenThread,
) -> None:
    thread.start("ask")
    thread.command(goto=["after"], resumes={"answer": 1}, interrupt_before=["ask"])
    thread.command(goto=["ask"])
    thread.edit(as_node="__end__")
    assert thread.log[:3] == ["in", "after", "name: 1"]


# --- never past a breakpoint ---


@pytest.mark.parametrize(
    ("assistant", "given"),
    [("linear", {"interrupt_before": ["b"]}), ("stops", {})],
    ids=str,
)
@pytest.mark.parametrize("step", ["b", ("b", {"log": []})], ids=["b", "b with input"])
def test_goto_a_node_with_a_breakpoint_pauses_before_it(
    thread: DrivenThread, assistant: str, given: dict[str, Any], step: Any
) -> None:
    thread.start(assistant)
    while thread.status == "INTERRUPTED":
        thread.resume()
    assert shapes(thread.command(goto=[step], update={"log": ["u"]}, **given)) == before("b")
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    assert list(thread.state().next) == ["b"]
    assert thread.log == ["in", "a", "b", "c", "u"]
    assert shapes(thread.resume())[:2] == ran("b", "c")
    assert thread.log == ["in", "a", "b", "c", "u", "b", "c"]


def test_goto_several_nodes_waits_as_a_whole_for_the_one_with_a_breakpoint(
    thread: DrivenThread,
) -> None:
    thread.start("linear")
    assert shapes(thread.command(goto=["c", "b"], interrupt_before=["b"])) == before("b", "b", "c")
    assert shapes(thread.resume()) == [*ran("b", "c", "c"), DONE]


def test_goto_past_an_inherited_breakpoint_pauses_unless_it_is_cleared(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b"])
    thread.resume()
    assert shapes(thread.command(goto=["b"])) == before("b")
    thread.resume()
    assert shapes(thread.command(goto=["b"], clear_breakpoints=True))[-1] == DONE


def test_clear_breakpoints_lets_no_command_past_a_compiled_breakpoint(
    thread: DrivenThread,
) -> None:
    thread.start("stops")
    while thread.status == "INTERRUPTED":
        thread.resume()
    assert shapes(thread.command(goto=["b"], clear_breakpoints=True)) == before("b")


def test_approving_the_node_that_waits_approves_no_second_visit_by_goto(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b"])
    assert shapes(thread.command(goto=[("b", {"log": []})], resumes={})) == [
        *ran("b"),
        *before("b"),
    ]
    # What has run is told again as a cached update.
    assert shapes(thread.resume()) == [*ran("b", "b", "c"), DONE]
    assert thread.log == ["in", "a", "b", "b", "c"]


def test_going_to_the_node_that_waits_is_no_second_visit(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    assert shapes(thread.command(goto=["b"], resumes={})) == [*ran("b", "c"), DONE]
    assert thread.log == ["in", "a", "b", "c"]


def test_an_answer_is_taken_while_the_node_gone_to_waits_at_its_breakpoint(
    thread: DrivenThread,
) -> None:
    thread.start("ask", interrupt_before=["after"])
    assert shapes(thread.command(goto=["after"], resumes={"answer": 1})) == [
        ("updates", "ask", {"log": ["name: 1"]}),
        *before("after"),
    ]
    assert thread.stands() == ("INTERRUPTED", ["after"], [("BREAKPOINT_BEFORE", "after")])


def test_the_question_of_a_node_gone_to_is_asked(thread: DrivenThread) -> None:
    thread.start("ask")
    thread.resume(answer=1)
    asked = ("INTERRUPT", "ask", {"question": "name"})
    assert shapes(thread.command(goto=["ask"])) == [("interrupted", [asked], ["ask"]), PAUSED]
    assert thread.stands() == ("INTERRUPTED", ["ask"], [asked])
    thread.resume(answer=2)
    assert thread.log == ["in", "name: 1", "after", "name: 2", "after"]


def test_a_node_gone_to_that_waits_can_be_given_up(thread: DrivenThread) -> None:
    thread.start("linear")
    thread.command(goto=["b"], interrupt_before=["b"])
    (pause,) = thread.pauses
    events = thread.command(goto=["c"], on_pause=DISCARD, clear_breakpoints=True)
    assert shapes(events) == [*ran("c"), DONE]
    assert thread.log == ["in", "a", "b", "c", "c"]
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pause.pause_id])

    thread.command(goto=["b"], interrupt_before=["b"])
    thread.edit(as_node="__end__")
    assert thread.stands() == ("IDLE", [], [])

    thread.command(goto=["b"], interrupt_before=["b"])
    thread.start("linear", {"log": ["new"]}, on_pause=DISCARD)
    assert thread.log == ["in", "a", "b", "c", "c", "new", "a", "b", "c"]


def test_an_edit_gives_up_a_node_gone_to_as_in_langgraph(thread: DrivenThread) -> None:
    thread.start("linear")
    thread.command(goto=["b"], interrupt_before=["b"])
    (pause,) = thread.pauses
    # It was as if the node that ran last had returned this: what comes next follows from that.
    thread.edit({"log": ["edit"]})
    assert thread.stands() == ("IDLE", [], [])
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[pause.pause_id])
    thread.command(goto=["b"], interrupt_before=["b"])
    thread.edit({"log": ["edit"]}, as_node="a")
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])


@pytest.mark.parametrize(
    ("given", "waiting"),
    [
        ({"update": {"count": 1}}, ["gate"]),
        ({"goto": ["after"]}, ["gate", "after"]),
        ({"update": {"count": 1}, "resumes": {}}, ["gate"]),
    ],
    ids=str,
)
def test_a_command_does_not_carry_a_waiting_node_past_its_breakpoint(
    thread: DrivenThread, gate: Gate, given: dict[str, Any], waiting: list[str]
) -> None:
    thread.cancel(_begun(thread, gate))
    events = thread.command(interrupt_before=["gate"], **given)
    assert shapes(events) == before("gate", *waiting)
    assert thread.log == ["in", "before"]
    assert value(thread.state().values).get("count") == given.get("update", {}).get("count")
    gate.open()
    assert shapes(thread.resume())[-1] == DONE


@pytest.mark.parametrize(
    ("given", "waiting"),
    [({"goto": ["c"]}, ["b", "c"]), ({"update": {"log": ["u"]}}, ["b"])],
    ids=str,
)
def test_a_command_at_an_older_checkpoint_runs_no_node_past_a_breakpoint(
    thread: DrivenThread, given: dict[str, Any], waiting: list[str]
) -> None:
    thread.start("linear", interrupt_before=["b"])
    before_b = thread.now.checkpoint_id
    thread.resume()
    assert shapes(thread.command(checkpoint_id=before_b, **given)) == before("b", *waiting)
    assert thread.log == ["in", "a", *given.get("update", {}).get("log", [])]


def test_a_queued_command_that_finds_a_node_before_a_breakpoint_pauses_there(
    thread: DrivenThread, gate: Gate
) -> None:
    first = _begun(thread, gate)
    queued = thread.create(
        command=command({"update": {"log": ["u"]}}),
        multitask_strategy=ENQUEUE,
        interrupt_before=["gate"],
    )
    thread.cancel(first)
    assert thread.wait(queued).run.status == run_pb2.RUN_STATUS_INTERRUPTED
    assert thread.log == ["in", "before", "u"]
    assert thread.stands() == ("INTERRUPTED", ["gate"], [("BREAKPOINT_BEFORE", "gate")])
    gate.open()
    assert shapes(thread.resume()) == [*ran("gate", "after"), DONE]
    assert thread.log == ["in", "before", "u", "gate", "after"]


def test_a_command_that_finds_a_subgraph_before_its_breakpoint_does_not_pass_it(
    thread: DrivenThread, gate: Gate
) -> None:
    run_id = thread.create(assistant_id="loop_beside_gate", input=gate.input)
    gate.wait_begun()
    until(lambda: _inside(thread) == ["step"], "the child stands before its breakpoint")
    thread.cancel(run_id)
    assert thread.stands() == ("IDLE", ["child", "gate"], [])
    gate.open()
    assert shapes(thread.command(update={"log": ["u"]})) == [
        ("updates", "gate", {"log": ["gate"]}),
        ("interrupted", [("BREAKPOINT_BEFORE", "child/step")], ["child"]),
        PAUSED,
    ]
    assert _inside(thread) == ["step"]


def test_the_state_that_a_command_updates_is_an_object_of_known_channels(
    thread: DrivenThread,
) -> None:
    thread.start("linear")
    for update in ({"lgo": ["u"]}, {"log": ["u"], "lgo": []}, ["u"], "u"):
        with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "command.update"):
            thread.command(update=update)
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "command.goto[1].node") as refusal:
        thread.command(goto=["a", "d"])
    assert refusal.metadata == {"node": "d", "nodes": "a, b, c"}


def _begun(thread: DrivenThread, gate: Gate) -> str:
    """Starts a run that waits at a gate, and returns its id."""
    run_id = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    return run_id


def _inside(thread: DrivenThread) -> list[str]:
    """Returns the nodes that come next in the subgraph at `child`."""
    tasks = thread.state(subgraphs=True).tasks
    return [node for task in tasks if task.node == "child" for node in task.state.next]
