"""Breakpoints with conditions: where they hold, and about what they are asked."""

from __future__ import annotations

import pytest
from graphwire.v1 import pause_pb2

from tests.e2e.drive import value
from tests.e2e.driven import INPUT, DrivenThread
from tests.e2e.stopping import (
    DONE,
    after,
    all_the_way,
    at,
    ended,
    met,
    pauses_at,
    pauses_of,
    waits,
)

REFUND = "state.messages[-1].tool_calls.exists(t, t.name == 'refund' && t.args.amount > 100)"


def test_a_false_condition_never_shows(thread: DrivenThread) -> None:
    events = thread.start("linear", breakpoints=[at("b", "size(state.log) > 10")])
    assert ended(events) == DONE
    assert [e.WhichOneof("event") for e in events] == ["metadata", *["updates"] * 3, "end"]
    assert thread.log == ["in", "a", "b", "c"]


def test_a_true_condition_holds_before_the_node_and_the_pause_says_which(
    thread: DrivenThread,
) -> None:
    condition = "state.log[-1] == 'a'"
    given = at("b", condition, breakpoint_id="mine", label="look at b")
    events = thread.start("linear", breakpoints=[given])
    assert ended(events) == ("INTERRUPTED", ["before b"])
    (pause,) = pauses_of(events)
    (found,) = pause.breakpoints
    assert (found.breakpoint_id, found.label, found.condition) == ("mine", "look at b", condition)
    assert (found.condition_error, met(pause)) == ("", [("mine", "RUN")])
    assert thread.log == ["in", "a"]
    assert all_the_way(thread, events) == [["before b"]]


def test_messages_are_what_their_json_is(thread: DrivenThread) -> None:
    amounts = {"messages": [], "amounts": [10, 500, 20, 900]}
    events = thread.start("refunds", amounts, breakpoints=[at("refund", REFUND)])
    assert value(thread.state().values)["refunded"] == [10]
    assert all_the_way(thread, events) == [["before refund"]] * 2
    assert value(thread.state().values)["refunded"] == [10, 500, 20, 900]


def test_a_condition_after_a_node_is_about_the_state_that_it_has_led_to(
    thread: DrivenThread,
) -> None:
    breakpoints = [after("step", "state.count == 2 && node == 'step'")]
    events = thread.start("loop", breakpoints=breakpoints)
    assert ended(events) == ("INTERRUPTED", ["after step"])
    assert value(thread.state().values)["count"] == 2
    assert all_the_way(thread, events) == [["after step"]]
    assert value(thread.state().values)["count"] == 3


def test_a_condition_after_the_last_node_is_about_the_final_state(thread: DrivenThread) -> None:
    events = thread.start("linear", breakpoints=[after("c", "state.log[-1] == 'c'")])
    assert thread.stands() == ("INTERRUPTED", [], [("BREAKPOINT_AFTER", "c")])
    assert thread.log == ["in", "a", "b", "c"]
    assert all_the_way(thread, events) == [["after c"]]
    assert thread.log == ["in", "a", "b", "c"]


def test_only_the_sends_that_are_meant_have_pauses_and_the_whole_step_waits(
    thread: DrivenThread,
) -> None:
    events = thread.start("fanout", breakpoints=[at("work", "task.input.n != 2")])
    assert ended(events) == ("INTERRUPTED", ["before work", "before work"])
    assert list(events[-2].interrupted.next) == ["work", "work", "work"]
    assert thread.log == ["in", "plan"]
    assert [value(pause.task_input) for pause in thread.pauses] == [{"n": 1}, {"n": 3}]
    first, second = (pause.pause_id for pause in thread.pauses)
    events = thread.resume(pause_ids=[first])
    assert ended(events) == ("INTERRUPTED", ["before work"])
    assert [pause.pause_id for pause in thread.pauses] == [second]
    # The one that needs no approval has run with the one that was approved.
    assert [e.updates.node for e in events if e.HasField("updates")] == ["work", "work"]
    assert ended(thread.resume()) == DONE
    assert thread.log == ["in", "plan", "work 1", "work 2", "work 3", "join"]


def test_after_sends_one_that_is_meant_holds_and_its_input_is_as_it_was(
    thread: DrivenThread,
) -> None:
    events = thread.start("fanout", breakpoints=[after("work", "task.input.n == 3")])
    assert ended(events) == ("INTERRUPTED", ["after work"])
    assert thread.log == ["in", "plan", "work 1", "work 2", "work 3"]
    assert all_the_way(thread, events) == [["after work"]]
    none = DrivenThread(thread.runs_stub, thread.threads_stub)
    assert ended(none.start("fanout", breakpoints=[after("work", "task.input.n == 4")])) == DONE


def test_parallel_tasks_are_asked_each_on_its_own(thread: DrivenThread) -> None:
    breakpoints = [at("left", "'in' in state.log"), at("right", "'left' in state.log")]
    events = thread.start("pair", breakpoints=breakpoints)
    assert ended(events) == ("INTERRUPTED", ["before left"])
    assert thread.stands() == (
        "INTERRUPTED",
        ["left", "right"],
        [("BREAKPOINT_BEFORE", "left")],
    )
    assert thread.log == ["in"]
    assert all_the_way(thread, events) == [["before left"]]


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("state.count > 1", "count"),
        ("state.log[700] == 'x'", "700"),
        ("state.log[-1]", "not true or false"),
        ("metadata.team == 'red'", "team"),
        ("task.input.nothing == 1", "nothing"),
        ("state.log.all(a, state.log.all(b, state.log.all(c, true)))", "steps"),
    ],
)
def test_a_condition_that_fails_holds_and_says_why(
    thread: DrivenThread, condition: str, error: str
) -> None:
    given = {"log": ["in"] * 60}
    events = thread.start("linear", given, breakpoints=[at("b", condition)])
    assert ended(events) == ("INTERRUPTED", ["before b"])
    (found,) = pauses_of(events)[0].breakpoints
    assert error in found.condition_error
    assert found.condition == condition
    assert thread.log == ["in"] * 60 + ["a"]
    assert ended(thread.resume()) == DONE


def test_conditions_of_one_step_have_a_budget_together(thread: DrivenThread) -> None:
    """Each is false and within its own budget; of those without a turn nobody can say so."""
    eight = "[1,2,3,4,5,6,7,8]"
    costly = "a + b + c + d < 0 && task.input.n > 0"
    for name in "dcba":
        costly = f"{eight}.exists({name}, {costly})"
    events = thread.start("fanout", breakpoints=[at("work", costly) for _ in range(12)])
    status, where = ended(events)
    assert (status, set(where)) == ("INTERRUPTED", {"before work"})
    found = [met for pause in pauses_of(events) for met in pause.breakpoints]
    together = "the conditions of this step cost more than 1000000 steps together"
    assert {met.condition_error for met in found} == {together}
    # Some had their turn, and were false.
    assert 0 < len(found) < 3 * 12
    # Each step has a budget of its own, and what was approved is not asked again.
    assert all_the_way(thread, events) == [where]
    assert thread.log[-1] != "plan"


def test_a_condition_that_fails_after_a_node_holds_there(thread: DrivenThread) -> None:
    events = thread.start("linear", breakpoints=[after("b", "state.count > 1")])
    assert ended(events) == ("INTERRUPTED", ["after b"])
    (found,) = pauses_of(events)[0].breakpoints
    assert "count" in found.condition_error
    assert ended(thread.resume()) == DONE


def test_a_condition_that_fails_is_not_skipped(thread: DrivenThread) -> None:
    breakpoints = [at("b", "state.count > 1", skip_first=5)]
    assert ended(thread.start("linear", breakpoints=breakpoints)) == ("INTERRUPTED", ["before b"])


def test_conditions_are_over_pydantic_states(thread: DrivenThread) -> None:
    order = {"amount": 5, "customer": {"name": "Ada"}}
    breakpoints = [
        at("again", "state.amount == 6 && state.customer.name == 'Ada' && task.input.amount == 6")
    ]
    events = thread.start("typed", order, breakpoints=breakpoints)
    assert ended(events) == ("INTERRUPTED", ["before again"])
    (found,) = pauses_of(events)[0].breakpoints
    assert found.condition_error == ""
    assert ended(thread.resume()) == DONE


def test_defaults_are_in_the_input_of_a_task_and_not_in_the_state(thread: DrivenThread) -> None:
    breakpoints = [at("charge", "!has(state.amount) && task.input.amount == 0")]
    events = thread.start("typed", {"customer": {"name": "Ada"}}, breakpoints=breakpoints)
    assert ended(events) == ("INTERRUPTED", ["before charge"])
    (found,) = pauses_of(events)[0].breakpoints
    assert found.condition_error == ""


def test_a_number_may_be_compared_with_a_text_of_one_and_is_never_equal(
    thread: DrivenThread,
) -> None:
    order = {"amount": 5, "customer": {"name": "Ada"}}
    events = thread.start("typed", order, breakpoints=[at("again", "state.amount == '6'")])
    assert ended(events) == DONE


def test_conditions_are_over_dataclass_states(thread: DrivenThread) -> None:
    account = {"balance": 5, "owners": ["Ada"]}
    condition = "state.balance == 105 && task.input.owners[0] == 'Ada'"
    events = thread.start("account", account, breakpoints=[at("second", condition)])
    assert ended(events) == ("INTERRUPTED", ["before second"])
    assert pauses_of(events)[0].breakpoints[0].condition_error == ""
    assert ended(thread.resume()) == DONE


def test_conditions_are_over_states_that_are_lists(thread: DrivenThread) -> None:
    breakpoints = [at("second", "state[-1] == 2"), after("second", "size(state) == 4")]
    events = thread.start("listed", [7, 8], breakpoints=breakpoints)
    assert ended(events) == ("INTERRUPTED", ["before second"])
    assert pauses_of(events)[0].breakpoints[0].condition_error == ""
    events = thread.resume()
    assert ended(events) == ("INTERRUPTED", ["after second"])
    assert pauses_of(events)[0].breakpoints[0].condition_error == ""


def test_a_condition_in_a_subgraph_is_about_the_state_there(thread: DrivenThread) -> None:
    breakpoints = [
        at("child/two", "state.log[-1] == 'y' && node == 'two' && step == 3"),
        at("child/low/y", "state.log[-1] == 'one'"),
        after("child/low/y", "state.log[-1] == 'y'"),
    ]
    events = thread.start("nest", breakpoints=breakpoints)
    assert all_the_way(thread, events) == [["after child/low/y"], ["before child/two"]]


def test_the_step_is_langgraph_s_number_of_it(thread: DrivenThread) -> None:
    events = thread.start("loop", breakpoints=[at("*", "step == 2"), after("*", "step == 3")])
    assert all_the_way(thread, events) == [["before step"], ["after step"]]
    assert value(thread.state().values)["count"] == 3


def test_a_resume_has_the_metadata_of_the_runs_it_continues(thread: DrivenThread) -> None:
    breakpoints = [at("*", "metadata.team == 'red' && !has(metadata.approved)")]
    thread.start("linear", breakpoints=breakpoints, metadata={"json": '{"team": "red"}'})
    assert [pause.node for pause in thread.pauses] == ["a"]
    thread.resume()
    (pause,) = thread.pauses
    assert (pause.node, pause.breakpoints[0].condition_error) == ("b", "")
    thread.resume(metadata={"json": '{"approved": true}'})
    assert thread.stands() == ("IDLE", [], [])


def test_metadata_is_the_run_s(thread: DrivenThread) -> None:
    condition = "metadata.team == 'red'"
    breakpoints = [at("b", condition)]
    red = thread.start("linear", breakpoints=breakpoints, metadata={"json": '{"team": "red"}'})
    assert ended(red) == ("INTERRUPTED", ["before b"])
    other = DrivenThread(thread.runs_stub, thread.threads_stub)
    blue = other.start("linear", breakpoints=breakpoints, metadata={"json": '{"team": "blue"}'})
    assert ended(blue) == DONE


def test_all_that_are_met_are_in_one_pause_and_one_approval_is_for_all(
    thread: DrivenThread,
) -> None:
    breakpoints = [
        at("b", "true", breakpoint_id="one"),
        at("*", "node == 'b'", breakpoint_id="two"),
        at("b", "false", breakpoint_id="never"),
    ]
    events = thread.start("stops", breakpoints=breakpoints, interrupt_before=["b"])
    (pause,) = pauses_of(events)
    assert met(pause) == [("", "COMPILED"), ("one", "RUN"), ("two", "RUN")]
    events = thread.resume()
    assert ended(events) == ("INTERRUPTED", ["after c"])
    assert met(pauses_of(events)[0]) == [("", "COMPILED")]


def test_a_condition_with_an_error_is_refused_with_its_place(thread: DrivenThread) -> None:
    with thread.refused("INVALID_ARGUMENT", "INVALID_CONDITION", "breakpoints[1].condition") as no:
        thread.start("linear", breakpoints=[at("a"), at("b", "state.log.size() >\n  'x' +")])
    assert (no.metadata["line"], no.metadata["column"]) == ("2", "8")


@pytest.mark.parametrize(
    ("node", "condition", "line", "column"),
    [
        ("b", "state.lgo.size() > 1", "1", "7"),
        ("b", "nodes == 'b'", "1", "1"),
        ("b", "state.log.size()", "1", "1"),
        ("b", "true &&\n\nfoo(1)", "3", "1"),
        ("*", "has(state.lgo)", "1", "11"),
        ("b", "!state.log", "1", "1"),
        ("b", "true && state.log > 1", "1", "19"),
    ],
)
def test_what_can_be_known_to_be_wrong_is_refused(
    thread: DrivenThread, node: str, condition: str, line: str, column: str
) -> None:
    with thread.refused("INVALID_ARGUMENT", "INVALID_CONDITION", "breakpoints[0].condition") as no:
        thread.start("linear", breakpoints=[at(node, condition)])
    assert (no.metadata["line"], no.metadata["column"]) == (line, column)


def test_skip_first_lets_the_first_pass_over_loops_and_resumes(thread: DrivenThread) -> None:
    breakpoints = [at("refund", REFUND, skip_first=2)]
    amounts = {"messages": [], "amounts": [500, 1, 600, 2, 700, 800]}
    events = thread.start("refunds", amounts, breakpoints=breakpoints)
    assert value(thread.state().values)["refunded"] == [500, 1, 600, 2]
    assert all_the_way(thread, events) == [["before refund"], ["before refund"]]


def test_skip_first_counts_on_across_resumes_and_from_new_input_anew(
    thread: DrivenThread,
) -> None:
    breakpoints = [at("step", skip_first=2)]
    stops = ["step"]
    events = thread.start("loop", breakpoints=breakpoints, interrupt_after=stops)
    assert all_the_way(thread, events) == [
        ["after step"],
        ["after step", "before step"],
        ["after step"],
    ]
    events = thread.start(
        "loop", {"log": ["in"], "count": 0}, breakpoints=breakpoints, interrupt_after=stops
    )
    assert all_the_way(thread, events) == [
        ["after step"],
        ["after step", "before step"],
        ["after step"],
    ]


def test_skip_first_counts_tasks_of_one_step_in_their_order(thread: DrivenThread) -> None:
    events = thread.start("fanout", breakpoints=[at("work", skip_first=1)])
    assert ended(events) == ("INTERRUPTED", ["before work", "before work"])
    assert ended(thread.resume(pause_ids=[thread.pauses[0].pause_id])) == (
        "INTERRUPTED",
        ["before work"],
    )
    assert ended(thread.resume()) == DONE
    assert thread.log == ["in", "plan", "work 1", "work 2", "work 3", "join"]


def test_skip_first_counts_tasks_that_wait_for_others_of_their_step(thread: DrivenThread) -> None:
    """Each pause of a step is told when it is first reached, not once others are resumed."""
    breakpoints = [at("work", "task.input.n == 1"), at("work", "task.input.n > 1", skip_first=1)]
    events = thread.start("fanout", breakpoints=breakpoints)
    assert ended(events) == ("INTERRUPTED", ["before work", "before work"])
    assert ended(thread.resume()) == DONE


def test_skip_first_after_a_node_counts_as_well(thread: DrivenThread) -> None:
    events = thread.start("loop", breakpoints=[after("step", skip_first=1)])
    assert ended(events) == ("INTERRUPTED", ["after step"])
    assert value(thread.state().values)["count"] == 2
    assert all_the_way(thread, events) == [["after step"], ["after step"]]


def test_an_approval_of_one_send_is_for_no_other(thread: DrivenThread) -> None:
    thread.start("fanout", breakpoints=[at("work", "task.input.n < 3")])
    ids = pauses_at(thread, "work")
    assert len(ids) == 2
    events = thread.resume(pause_ids=ids[1:])
    assert waits(pauses_of(events)) == ["before work"]
    assert [e.updates.node for e in events if e.HasField("updates")] == ["work", "work"]


def test_an_edit_at_a_conditional_pause_asks_it_anew(thread: DrivenThread) -> None:
    breakpoints = [at("refund", REFUND)]
    thread.start("refunds", {"messages": [], "amounts": [500]}, breakpoints=breakpoints)
    (old,) = thread.pauses
    message = {
        "type": "ai",
        "id": "message 500",
        "content": "",
        "tool_calls": [{"name": "refund", "args": {"amount": 600}, "id": "call 500"}],
    }
    thread.edit({"messages": [message]}, as_node="decide")
    (new,) = thread.pauses
    assert (new.kind, new.node) == (old.kind, old.node)
    assert new.pause_id != old.pause_id
    message["tool_calls"][0]["args"]["amount"] = 5  # type: ignore[index]
    thread.edit({"messages": [message]}, as_node="decide")
    (left,) = thread.pauses
    assert (left.kind, left.node) == (pause_pb2.PAUSE_KIND_PAUSE, "refund")
    assert not left.breakpoints
    assert [value(call.args) for call in left.tool_calls] == [{"amount": 5}]
    assert ended(thread.resume(pause_ids=[left.pause_id])) == DONE
    assert value(thread.state().values)["refunded"] == [5]


def test_a_fork_before_a_conditional_breakpoint_asks_it_anew(thread: DrivenThread) -> None:
    events = thread.start("linear", breakpoints=[at("b", "state.log[-1] == 'a'")])
    assert all_the_way(thread, events) == [["before b"]]
    assert ended(thread.resume(checkpoint_id=thread.checkpoint("b"))) == (
        "INTERRUPTED",
        ["before b"],
    )


@pytest.mark.parametrize("durability", [1, 2, 3], ids=["SYNC", "ASYNC", "EXIT"])
def test_conditions_hold_with_each_durability(thread: DrivenThread, durability: int) -> None:
    events = thread.start(
        "linear", INPUT, breakpoints=[at("c", "state.log[-1] == 'b'")], durability=durability
    )
    assert ended(events) == ("INTERRUPTED", ["before c"])
    assert thread.log == ["in", "a", "b"]


def test_a_condition_is_asked_again_of_a_cached_node(thread: DrivenThread) -> None:
    for _ in range(2):
        one = DrivenThread(thread.runs_stub, thread.threads_stub)
        events = one.start("cached", breakpoints=[at("number", "'in' in state.log")])
        assert ended(events) == ("INTERRUPTED", ["before number"])
        assert one.log == ["in"]
        assert ended(one.resume()) == DONE


def test_an_entrypoint_has_one_node(thread: DrivenThread) -> None:
    breakpoints = [at("*", "task.input == 5"), after("triples", "true")]
    events = thread.start("triples", 5, breakpoints=breakpoints)
    assert ended(events) == ("INTERRUPTED", ["before triples"])
    assert pauses_of(events)[0].breakpoints[0].condition_error == ""
    assert all_the_way(thread, events) == [["before triples"], ["after triples"]]
