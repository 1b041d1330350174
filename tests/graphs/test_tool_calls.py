"""Which tool calls wait, and what a review makes of a task: every form of state and result."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

import orjson
import pytest
from graphwire import errors
from graphwire_server.graphs.breakpoints import Breakpoint, OnExpiry
from graphwire_server.graphs.checks import check_breakpoints
from graphwire_server.graphs.doors import with_doors
from graphwire_server.graphs.state_messages import (
    Keeping,
    StateMessages,
    messages_channel,
    state_messages,
)
from graphwire_server.graphs.tool_calls import (
    Decision,
    Review,
    amendment,
    answered_by_a_reviewer,
    calls_left,
    merged,
    pending_tool_calls,
    rejecting,
    review_in,
    review_text,
    reviewed,
)
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command
from pydantic import BaseModel

from tests.graphs.small import Log


def call(call_id: str, name: str = "tool", **args: Any) -> dict[str, Any]:
    return {"id": call_id, "name": name, "args": args, "type": "tool_call"}


A, B = call("a", n=1), call("b", n=2)
QUESTION = HumanMessage("question", id="q")
ASKS = AIMessage("", id="asks", tool_calls=[A, B])
STATE = [QUESTION, ASKS]
MERGED = StateMessages("messages", Keeping.MERGED)
ROOT = StateMessages("__root__", Keeping.MERGED)

EDIT_A = Decision("a", "edit", args={"n": 9})
APPROVE_B = Decision("b", "approve")
REJECT_B = Decision("b", "reject", message="no")
EDITED_A = call("a", n=9)


def plain(waiting: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(each["id"], each["args"]) for each in waiting]


# --- what waits ---


@pytest.mark.parametrize(
    ("values", "channel", "ids"),
    [
        ({"messages": STATE}, "messages", ["a", "b"]),
        ({"messages": [*STATE, ToolMessage("x", tool_call_id="a")]}, "messages", ["b"]),
        ({"messages": [*STATE, HumanMessage("and?")]}, "messages", ["a", "b"]),
        ({"messages": [*STATE, AIMessage("that's it")]}, "messages", []),
        ({"messages": [ToolMessage("x", tool_call_id="a"), *STATE]}, "messages", ["a", "b"]),
        ({"messages": []}, "messages", []),
        ({}, "messages", []),
        ({"talk": STATE}, "talk", ["a", "b"]),
        ({"messages": STATE}, "", []),
        ({"messages": [{"role": "assistant"}]}, "messages", []),
        (STATE, "__root__", ["a", "b"]),
        (None, "__root__", []),
    ],
)
def test_the_calls_of_the_last_message_wait_until_they_are_answered(
    values: Any, channel: str, ids: list[str]
) -> None:
    assert [each["id"] for each in pending_tool_calls(values, channel)] == ids


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ([A], ["a"]),
        ([A, B], ["a", "b"]),
        (A, ["a"]),
        ({"__type": "tool_call_with_context", "tool_call": B, "state": {}}, ["b"]),
        ({"tool_call": B}, ["b"]),
        ({"call": B, "attempt": 1}, ["b"]),
        ({"calls": [A, B], "messages": STATE}, ["a", "b"]),
        ({"one": A, "other": B}, []),
        ({"calls": []}, []),
        ({"id": "a", "name": "t", "args": {}}, ["a"]),
        ({"messages": STATE}, ["a", "b"]),
        ({"item": 1}, []),
        ([], []),
        ({"id": "a", "name": "t", "args": {}, "price": 1}, []),
        ({"id": "a", "name": "t", "args": [1]}, []),
        (None, []),
    ],
)
def test_of_a_task_that_was_sent_its_input_only_the_calls_in_it_wait(
    given: Any, ids: list[str]
) -> None:
    state = {"messages": [AIMessage("", tool_calls=[call("state")])]}
    waiting = pending_tool_calls(state, "messages", given, own_input=True)
    assert [each["id"] for each in waiting] == ids


def test_a_call_is_told_with_its_arguments_and_nothing_else() -> None:
    unnamed = AIMessage("", tool_calls=[{"id": None, "name": "t", "args": {}}])
    assert pending_tool_calls({"m": [unnamed]}, "m") == [{"id": "", "name": "t", "args": {}}]
    assert pending_tool_calls({"m": STATE}, "m")[0] == {"id": "a", "name": "tool", "args": {"n": 1}}


def test_a_review_is_kept_with_what_each_decision_needs() -> None:
    decisions = (
        Decision("a", "approve"),
        Decision("b", "edit", args={"n": 1}),
        Decision("c", "edit", args={}, name="other"),
        Decision("d", "reject", message="no"),
        Decision("e", "respond", content=None),
    )
    text = review_text(decisions)
    assert text == (
        '[{"tool_call_id":"a","decision":"approve"},'
        '{"tool_call_id":"b","decision":"edit","args":{"n":1}},'
        '{"tool_call_id":"c","decision":"edit","args":{},"name":"other"},'
        '{"tool_call_id":"d","decision":"reject","message":"no"},'
        '{"tool_call_id":"e","decision":"respond","content":null}]'
    )
    assert review_in(text) == decisions


def test_all_calls_of_a_pause_can_be_rejected_at_once() -> None:
    text = '[{"id":"a","name":"t","args":{}},{"id":"b","name":"t","args":{}}]'
    assert rejecting(text, "too late") == (
        Decision("a", "reject", message="too late"),
        Decision("b", "reject", message="too late"),
    )


# --- what the node gets ---


class Typed(BaseModel):
    messages: list[Any]
    other: int = 1


@dataclass(frozen=True)
class Frozen:
    messages: list[Any]
    other: int = 1


@pytest.mark.parametrize(
    "given", [{"messages": STATE, "other": 1}, Typed(messages=STATE), Frozen(STATE)]
)
def test_the_node_gets_the_last_message_with_what_is_left(given: Any) -> None:
    review = Review((EDIT_A, REJECT_B))
    task = reviewed(review, given, MERGED, STATE, "task")
    assert type(task.input) is type(given)
    values = task.input if isinstance(given, dict) else vars(task.input)
    question, asks = values["messages"]
    assert values["other"] == 1
    assert (question, asks.id, asks.tool_calls) == (QUESTION, "asks", [EDITED_A])
    assert task.runs
    # What was given stays as it was: the task may run again.
    assert ASKS.tool_calls == [A, B]


def test_a_list_of_messages_is_a_state_too() -> None:
    task = reviewed(Review((EDIT_A, REJECT_B)), STATE, ROOT, STATE, "task")
    assert [m.id for m in task.input] == ["q", "asks"]
    assert task.input[1].tool_calls == [EDITED_A]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ([A, B], [EDITED_A]),
        (A, EDITED_A),
        ({"tool_call": A, "state": 1}, {"tool_call": EDITED_A, "state": 1}),
        ({"call": A, "n": 1}, {"call": EDITED_A, "n": 1}),
        ({"calls": [A, B], "n": 1}, {"calls": [EDITED_A], "n": 1}),
    ],
)
def test_a_task_that_was_sent_calls_gets_those_that_are_left(given: Any, left: Any) -> None:
    task = reviewed(Review((EDIT_A, REJECT_B)), given, MERGED, STATE, "task", own_input=True)
    assert (task.input, task.runs) == (left, True)


def test_a_call_that_nobody_has_decided_on_does_not_run() -> None:
    more = AIMessage("", id="asks", tool_calls=[A, B, call("c")])
    task = reviewed(Review((EDIT_A, REJECT_B)), {"messages": [more]}, MERGED, [more], "task")
    assert task.input["messages"][0].tool_calls == [EDITED_A]


def test_a_node_that_gets_no_messages_runs_if_a_call_is_left() -> None:
    task = reviewed(Review((EDIT_A, REJECT_B)), {"other": 1}, MERGED, STATE, "task")
    assert (task.input, task.runs) == ({"other": 1}, True)
    task = reviewed(Review((Decision("a", "reject"), REJECT_B)), {}, MERGED, STATE, "task")
    assert not task.runs


def test_where_a_provider_has_the_calls_again_they_are_changed_too() -> None:
    blocks: list[Any] = [
        {"type": "text", "text": "I'll do both"},
        {"type": "tool_use", "id": "a", "name": "tool", "input": {"n": 1}},
        {"type": "function_call", "call_id": "b", "id": "fc", "name": "tool", "arguments": "{}"},
    ]
    raw = [
        {"id": each["id"], "type": "function", "function": {"name": "tool", "arguments": "{}"}}
        for each in (A, B)
    ]
    asks = AIMessage(
        blocks, id="asks", tool_calls=[A, B], additional_kwargs={"tool_calls": raw, "x": 1}
    )
    task = reviewed(Review((EDIT_A, REJECT_B)), {"messages": [asks]}, MERGED, [asks], "task")
    got = task.input["messages"][0]
    assert got.content == [blocks[0], {**blocks[1], "input": {"n": 9}}]
    changed = {"id": "a", "type": "function", "function": {"name": "tool", "arguments": '{"n":9}'}}
    assert got.additional_kwargs == {"tool_calls": [changed], "x": 1}
    whole = task.written[0]
    assert whole.content == [
        blocks[0],
        {**blocks[1], "input": {"n": 9}},
        {**blocks[2], "arguments": '{"n":2}'},
    ]
    assert whole.additional_kwargs["tool_calls"][0] == changed


# --- what the task writes ---


def said(message: Any) -> Any:
    """A message in short."""
    match message:
        case AIMessage():
            return [(c["id"], c["args"]["n"]) for c in message.tool_calls]
        case ToolMessage():
            return message.tool_call_id, message.status, message.content
        case _:
            return message


WHOLE = [("a", 9), ("b", 2)]
NO = ("b", "error", "no")
DONE = ToolMessage("done", tool_call_id="a")
RESULT = ("a", "success", "done")


def mixed(given: Any = None, kept: StateMessages = MERGED) -> Any:
    """A task whose first call is edited, and whose second one is rejected."""
    return reviewed(Review((EDIT_A, REJECT_B)), given or {"messages": STATE}, kept, STATE, "task")


def shown(task: Any) -> list[Any]:
    """All messages, as the node gets them."""
    return list(task.input["messages"] if isinstance(task.input, dict) else task.input)


def of(update: Any) -> list[Any]:
    return [said(message) for message in update["messages"]]


def test_what_is_decided_comes_before_what_the_node_returns() -> None:
    returned, besides = mixed().output({"messages": [DONE], "other": 2})
    assert (of(returned), returned["other"], besides) == ([WHOLE, NO, RESULT], 2, [])


@pytest.mark.parametrize("returned", [None, {}, Command(), {"other": 2}])
def test_it_is_written_where_the_node_returns_no_messages(returned: Any) -> None:
    result, besides = mixed().output(returned)
    update = result.update if isinstance(result, Command) else result
    assert (of(update), besides) == ([WHOLE, NO], [])


def test_one_message_is_a_list_of_one() -> None:
    returned, _ = mixed().output({"messages": DONE})
    assert of(returned) == [WHOLE, NO, RESULT]


def test_it_goes_into_the_update_of_a_command() -> None:
    command = Command(update={"messages": [DONE]}, goto="next")
    returned, besides = mixed().output(command)
    assert (of(returned.update), returned.goto, besides) == ([WHOLE, NO, RESULT], "next", [])


def test_of_several_updates_it_is_in_the_first_that_has_room() -> None:
    up = Command(graph=Command.PARENT, goto="there")
    here: Command[Any] = Command(update={"messages": [DONE]})
    returned, besides = mixed().output([up, here, {"other": 1}])
    assert (returned[0], of(returned[1].update), returned[2]) == (
        up,
        [WHOLE, NO, RESULT],
        {"other": 1},
    )
    assert besides == []
    returned, _ = mixed().output([up])
    assert (of(returned[0]), returned[1:]) == ([WHOLE, NO], [up])


def test_what_has_no_room_is_written_besides() -> None:
    up = Command(graph=Command.PARENT, goto="there")
    returned, [(channel, messages)] = mixed().output(up)
    assert (returned, channel, [said(m) for m in messages]) == (up, "messages", [WHOLE, NO])


def test_a_graph_above_that_is_given_the_message_gets_all_of_it() -> None:
    task = mixed()
    up = Command(graph=Command.PARENT, update={"messages": [*shown(task), DONE]}, goto="there")
    for returned in (task.output(up)[0], *task.output([up])[0]):
        assert (of(returned.update), returned.goto) == ([QUESTION, WHOLE, NO, RESULT], "there")


@pytest.mark.parametrize("kind", [Typed, Frozen])
def test_it_goes_into_a_state_that_is_an_object(kind: Any) -> None:
    returned, besides = mixed().output(kind(messages=[DONE], other=2))
    assert isinstance(returned, kind)
    assert (of(vars(returned)), returned.other, besides) == ([WHOLE, NO, RESULT], 2, [])


def test_a_list_is_the_update_of_a_state_that_is_a_list() -> None:
    task = mixed(STATE, ROOT)
    for returned, expected in (
        ([DONE], [WHOLE, NO, RESULT]),
        (DONE, [WHOLE, NO, RESULT]),
        (None, [WHOLE, NO]),
    ):
        messages, besides = task.output(returned)
        assert ([said(message) for message in messages], besides) == (expected, [])


def test_a_message_that_the_node_returns_as_it_got_it_is_whole_again() -> None:
    task = mixed()
    returned, _ = task.output({"messages": [*shown(task), DONE]})
    assert of(returned) == [QUESTION, WHOLE, NO, RESULT]


def test_it_is_whole_again_also_where_nothing_else_is_written() -> None:
    appended = StateMessages("messages", Keeping.APPENDED)
    task = reviewed(Review((EDIT_A, APPROVE_B)), {"messages": STATE}, appended, STATE, "task")
    assert task.written == ()
    returned, besides = task.output({"messages": [DONE]})
    assert (of(returned), besides) == ([RESULT], [])


def test_messages_that_are_written_as_a_whole_are_complete() -> None:
    last = StateMessages("messages", Keeping.LAST)
    task = mixed(kept=last)
    returned, _ = task.output({"messages": [*shown(task), DONE]})
    assert of(returned) == [QUESTION, WHOLE, NO, RESULT]
    assert of(task.output(None)[0]) == [QUESTION, WHOLE, NO]
    assert of(task.result()) == [QUESTION, WHOLE, NO]


def test_a_node_that_does_not_run_says_where_to_go_if_it_alone_would() -> None:
    review = Review((Decision("a", "reject"), REJECT_B))
    task = reviewed(review, {"messages": STATE}, MERGED, STATE, "task", goto="model")
    assert not task.runs
    result = task.result()
    assert (result.goto, of(result.update)) == (
        "model",
        [("a", "error", "Rejected by a reviewer."), NO],
    )


def test_what_is_approved_changes_nothing() -> None:
    given = {"messages": STATE}
    task = reviewed(Review((Decision("a", "approve"), APPROVE_B)), given, MERGED, STATE, "task")
    assert task.input is given
    returned = {"messages": [DONE]}
    assert task.output(returned) == (returned, [])


def test_an_answer_is_the_same_message_however_often_it_is_written() -> None:
    first, second = mixed(), mixed()
    assert first.written == second.written
    assert add_messages(list(first.written), list(second.written)) == list(first.written)


def test_each_task_of_one_message_writes_what_is_edited_in_all_of_them() -> None:
    edit_b = Decision("b", "edit", args={"n": 8})
    task = reviewed(Review((EDIT_A,), beside=(edit_b,)), [A], MERGED, STATE, "task")
    assert [said(message) for message in task.written] == [[("a", 9), ("b", 8)]]


def test_the_results_of_finished_tasks_get_what_was_edited_since() -> None:
    older = ASKS.model_copy(update={"tool_calls": [A, call("b", n=8)]})
    reviews = {"one": Review((EDIT_A,)), "two": Review((Decision("b", "edit", args={"n": 8}),))}
    amend = amendment(reviews)
    assert amend is not None
    found = CheckpointTuple(
        {},
        empty_checkpoint(),
        {},
        pending_writes=[
            ("two", "messages", [older, DONE]),
            ("two", "branch:to:model", None),
            ("other", "messages", [older]),
        ],
    )
    writes = amend(found).pending_writes
    assert writes is not None
    assert [said(message) for message in writes[0][2]] == [[("a", 9), ("b", 8)], RESULT]
    assert writes[1:] == [("two", "branch:to:model", None), ("other", "messages", [older])]
    assert amendment({"one": Review((APPROVE_B, REJECT_B))}) is None


# --- where messages are ---


class Renamed(TypedDict):
    names: list[str]
    talk: NotRequired[Annotated[list[AnyMessage], add_messages]]


class Two(TypedDict):
    left: Annotated[list[AnyMessage], add_messages]
    right: Annotated[list[AnyMessage], add_messages]


class OneOfTwo(TypedDict):
    messages: Annotated[list[Any], add_messages]
    drafts: Annotated[list[AnyMessage], add_messages]


class Untyped(TypedDict):
    messages: Annotated[list[Any], operator.add]


class ByKey(TypedDict):
    talks: dict[str, list[AnyMessage]]
    last: AIMessage


class Formatted(TypedDict):
    talk: Annotated[list[Any], add_messages(format="langchain-openai")]


def _fold(state: list[Any], writes: Any) -> list[Any]:
    for each in writes:
        state = add_messages(state, each)  # type: ignore[assignment]
    return state


class Delta(TypedDict):
    messages: Annotated[list[AnyMessage], DeltaChannel(_fold)]


class TextAlone(TypedDict):
    messages: str


@dataclass
class InDataclass:
    talk: Annotated[list[AnyMessage], add_messages]


class InModel(BaseModel):
    talk: list[AnyMessage] | None = None


def graph_of(schema: Any) -> Any:
    builder: Any = StateGraph(schema)
    builder.add_node("node", lambda state: state)
    builder.add_edge(START, "node")
    return builder.compile()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (MessagesState, MERGED),
        (Renamed, StateMessages("talk", Keeping.MERGED)),
        (Two, None),
        (OneOfTwo, MERGED),
        (Untyped, StateMessages("messages", Keeping.APPENDED)),
        (ByKey, None),
        (Formatted, StateMessages("talk", Keeping.MERGED)),
        (Delta, MERGED),
        (TextAlone, None),
        (InDataclass, StateMessages("talk", Keeping.MERGED)),
        (InModel, StateMessages("talk", Keeping.LAST)),
        (Annotated[list[AnyMessage], add_messages], ROOT),
        (Log, None),
    ],
)
def test_a_graph_has_its_messages_where_its_types_say(
    schema: Any, expected: StateMessages | None
) -> None:
    graph = graph_of(schema)
    assert state_messages(graph) == expected
    assert messages_channel(graph) == (expected.channel if expected else "")


def test_what_is_no_state_graph_has_no_messages() -> None:
    @entrypoint()
    def work(value: Any) -> Any:
        return value

    assert state_messages(work) is None


# --- breakpoints that reject ---


def rejects_at(node: str) -> list[Breakpoint]:
    return [Breakpoint(node, expires_after=1_000_000, on_expiry=OnExpiry.REJECT)]


def test_a_breakpoint_that_rejects_needs_messages() -> None:
    check_breakpoints(with_doors(graph_of(MessagesState)).places, rejects_at("node"), "breakpoints")
    with pytest.raises(errors.UnsupportedBreakpointError) as refusal:
        check_breakpoints(with_doors(graph_of(Log)).places, rejects_at("node"), "breakpoints")
    assert "breakpoints[0].on_expiry: the state of the graph has no messages" in str(refusal.value)
    assert refusal.value.metadata == {"path": "", "field": "breakpoints[0].on_expiry"}


def test_a_breakpoint_that_rejects_needs_a_node_that_can_be_passed_over() -> None:
    builder: Any = StateGraph(MessagesState)
    for name in ("one", "two"):
        builder.add_node(name, lambda state: {})
    builder.add_node("chooser", lambda state: Command(goto="one"), destinations=("one", "two"))
    builder.add_node("leaver", lambda state: Command(goto="one"), destinations=("one", "__end__"))
    builder.add_edge(START, "chooser")
    places = with_doors(builder.compile()).places
    assert places[()].chooses == {"chooser"}
    check_breakpoints(places, rejects_at("leaver"), "breakpoints")
    with pytest.raises(errors.UnsupportedBreakpointError, match="alone says where to go next"):
        check_breakpoints(places, rejects_at("chooser"), "breakpoints")


def test_of_two_reviews_of_one_task_the_later_is_about_what_the_earlier_has_left() -> None:
    a, b, c, d = (Decision(f"{n}", "edit", args={"n": n}) for n in range(4))
    rejected = Decision("4", "reject", message="no")
    later = (
        Decision("0", "approve"),
        Decision("1", "edit", args={"n": 9}),
        Decision("2", "reject", message="not now"),
        Decision("5", "approve"),
    )
    assert merged((a, b, c, d, rejected), later) == (a, *later[1:3], d, rejected, later[3])
    calls = [{"id": f"{n}", "name": "t", "args": {}} for n in range(7)]
    left = orjson.loads(calls_left(orjson.dumps(calls).decode(), (a, later[2], d, rejected)))
    edited = [{**calls[n], "args": {"n": n}} for n in (0, 3)]
    assert left == [edited[0], calls[1], edited[1], calls[5], calls[6]]


def test_a_tool_node_is_held_back_from_what_a_reviewer_has_answered_and_from_nothing_else() -> None:
    task = reviewed(
        Review((Decision("a", "reject"), Decision("b", "approve"))), STATE, ROOT, STATE, "t"
    )
    (answer,) = [message for message in task.written if isinstance(message, ToolMessage)]
    by_a_tool = ToolMessage("done", tool_call_id="a", id="of the tool")
    assert answered_by_a_reviewer([*STATE, by_a_tool], ROOT) is None
    assert answered_by_a_reviewer([*STATE, answer], ROOT) == Review((Decision("b", "approve"),))
    # What is said later is another message.
    later = AIMessage("", id="later", tool_calls=[A])
    assert answered_by_a_reviewer([*STATE, answer, later], ROOT) is None


def test_calls_that_a_part_of_the_state_has_are_not_those_of_a_task_that_was_sent_nothing() -> None:
    given = {"pending": [call("of an earlier turn")]}
    task = reviewed(Review((EDIT_A, REJECT_B)), given, MERGED, STATE, "task")
    assert (task.input, task.runs) == (given, True)
