"""Reviews of tool calls: what runs, what the state has afterwards, and what the model sees."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire.v1 import run_pb2, threads_pb2

from tests.e2e.drive import DEADLINE, payload, shapes, value
from tests.reviews.reviewed import (
    MAIL,
    MODES,
    REFUND,
    Conversation,
    approve,
    edit,
    ran,
    reject,
    respond,
    review,
    updates,
    waiting,
)

#: What becomes of the state if the reviewer edits the refund and rejects the mail.
EDITED = [["r", "refund", {"amount": 2}], MAIL]
REFUNDED = ["r", "refund", "success", "refunded 2"]
REJECTED = ["m", "mail", "error", "Not to her."]

#: Agents whose tool node gets the state, with the key of its messages.
AGENTS = {
    "prebuilt": "messages",
    "plain": "messages",
    "typed": "messages",
    "in_dataclass": "messages",
    "listed": "",
    "renamed": "conversation",
    "overwriting": "messages",
    "chosen": "messages",
    "commanding": "messages",
    "in_pairs": "messages",
    "child_as_tools": "messages",
}


@pytest.mark.parametrize(("agent", "key"), AGENTS.items(), ids=AGENTS)
def test_one_call_is_edited_and_another_rejected(talk: Conversation, agent: str, key: str) -> None:
    (pause,) = talk.ask(agent, REFUND, MAIL, key=key)
    assert waiting(pause) == [REFUND, MAIL]
    events = talk.review(edit("r", amount=2), reject("m", "Not to her."))
    assert ran(events) == [["refund", 2]]
    assert talk.status == "IDLE"
    calls, *results, says = talk.messages(key)[1:]
    assert calls == EDITED
    assert sorted(results) == [REJECTED, REFUNDED]
    assert says == {"sees": [EDITED, results]}


@pytest.mark.parametrize(("agent", "key"), AGENTS.items(), ids=AGENTS)
def test_where_no_call_is_left_the_node_does_not_run(
    talk: Conversation, agent: str, key: str
) -> None:
    talk.ask(agent, REFUND, MAIL, key=key)
    events = talk.review(reject("m"), respond("r", "It was done by hand."))
    assert ran(events) == []
    results = [
        ["r", "refund", "success", "It was done by hand."],
        ["m", "mail", "error", "Rejected by a reviewer."],
    ]
    sees = {"sees": [[REFUND, MAIL], results]}
    assert talk.messages(key) == ["question", [REFUND, MAIL], *results, sees]
    assert talk.status == "IDLE"


@pytest.mark.parametrize(("agent", "key"), AGENTS.items(), ids=AGENTS)
def test_what_is_approved_runs_as_it_is(talk: Conversation, agent: str, key: str) -> None:
    talk.ask(agent, REFUND, MAIL, key=key)
    events = talk.review(approve("r"), approve("m"))
    assert ran(events) == [["mail", "ann"], ["refund", 5]]
    results = [["r", "refund", "success", "refunded 5"], ["m", "mail", "success", "mailed ann"]]
    sees = {"sees": [[REFUND, MAIL], results]}
    assert talk.messages(key) == ["question", [REFUND, MAIL], *results, sees]


def test_messages_that_are_only_added_to_keep_the_call_as_it_was(talk: Conversation) -> None:
    talk.ask("appending", REFUND, MAIL)
    events = talk.review(edit("r", amount=2), reject("m", "Not to her."))
    assert ran(events) == [["refund", 2]]
    sees = {"sees": [[REFUND, MAIL], [REJECTED, REFUNDED]]}
    assert talk.messages() == ["question", [REFUND, MAIL], REJECTED, REFUNDED, sees]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("text", "text"),
        ([{"type": "text", "text": "a block"}], [{"type": "text", "text": "a block"}]),
        ({"total": 1.0, "of": [1]}, '{"total":1.0,"of":[1]}'),
        ([1, 2], "[1,2]"),
        (None, "null"),
    ],
)
def test_an_answer_in_the_tools_place_is_its_result(
    talk: Conversation, content: Any, text: Any
) -> None:
    talk.ask("prebuilt", REFUND)
    events = talk.review(respond(content=content))
    assert ran(events) == []
    assert talk.messages()[2] == ["r", "refund", "success", text]


def test_a_call_can_be_turned_into_one_of_another_tool(talk: Conversation) -> None:
    talk.ask("prebuilt", REFUND)
    events = talk.review(edit(name="mail", to="bob"))
    assert ran(events) == [["mail", "bob"]]
    assert talk.messages()[1:3] == [
        [["r", "mail", {"to": "bob"}]],
        ["r", "mail", "success", "mailed bob"],
    ]


def test_what_was_decided_is_in_one_update_with_what_the_node_returned(talk: Conversation) -> None:
    talk.ask("prebuilt", REFUND, MAIL)
    events = talk.review(edit("r", amount=2), reject("m", "Not to her."))
    assert [kind for kind, *_ in shapes(events)] == ["custom", "updates", "updates", "end"]
    (node, update), (after, _) = updates(events)
    assert (node, after) == ("tools", "model")
    assert [(m["type"], m.get("tool_call_id")) for m in update["messages"]] == [
        ("ai", None),
        ("tool", "m"),
        ("tool", "r"),
    ]


def test_a_node_that_does_not_run_tells_of_what_was_decided(talk: Conversation) -> None:
    talk.ask("prebuilt", REFUND)
    modes = [run_pb2.STREAM_MODE_UPDATES, run_pb2.STREAM_MODE_TASKS]
    events = talk.review(reject(message="No."), stream_modes=modes)
    finished = [e.task_finished for e in events if e.WhichOneof("event") == "task_finished"]
    assert [task.node for task in finished] == ["tools", "model"]
    (message,) = value(finished[0].result)["messages"]
    assert (message["content"], message["status"]) == ("No.", "error")
    (node, update), _ = updates(events)
    assert (node, update["messages"]) == ("tools", [message])


SENT = ["sent", "sent_with_context", "sent_in_objects", "agent"]


@pytest.mark.parametrize("agent", SENT)
def test_a_task_for_each_call_has_a_pause_for_each(talk: Conversation, agent: str) -> None:
    pauses = talk.ask(agent, REFUND, MAIL)
    assert [waiting(pause) for pause in pauses] == [[REFUND], [MAIL]]
    refund, mail = (pause.pause_id for pause in pauses)
    events = talk.review_each({refund: [edit(amount=2)], mail: [reject(message="Not to her.")]})
    assert ran(events) == [["refund", 2]]
    sees = {"sees": [EDITED, [REFUNDED, REJECTED]]}
    assert talk.messages() == ["question", EDITED, REFUNDED, REJECTED, sees]


@pytest.mark.parametrize("agent", SENT)
@pytest.mark.parametrize("first", [0, 1])
def test_tasks_of_one_message_can_be_edited_one_after_the_other(
    talk: Conversation, agent: str, first: int
) -> None:
    pauses = [pause.pause_id for pause in talk.ask(agent, REFUND, MAIL)]
    edits = [edit(amount=2), edit(to="bob")]
    events = talk.review_each({pauses[first]: [edits[first]]})
    assert [pause.pause_id for pause in talk.pauses] == [pauses[1 - first]]
    events += talk.review_each({pauses[1 - first]: [edits[1 - first]]})
    assert ran(events) == [["mail", "bob"], ["refund", 2]]
    both = [["r", "refund", {"amount": 2}], ["m", "mail", {"to": "bob"}]]
    results = [REFUNDED, ["m", "mail", "success", "mailed bob"]]
    assert talk.messages() == ["question", both, *results, {"sees": [both, results]}]


@pytest.mark.parametrize("agent", SENT)
def test_tasks_of_one_message_can_all_be_rejected(talk: Conversation, agent: str) -> None:
    pauses = [pause.pause_id for pause in talk.ask(agent, REFUND, MAIL)]
    events = talk.review_each({pause: [reject(message="No.")] for pause in pauses})
    assert ran(events) == []
    results = [["r", "refund", "error", "No."], ["m", "mail", "error", "No."]]
    sees = {"sees": [[REFUND, MAIL], results]}
    assert talk.messages() == ["question", [REFUND, MAIL], *results, sees]


def test_a_call_that_is_sent_can_be_edited_where_the_state_has_no_messages(
    talk: Conversation,
) -> None:
    talk.start(
        "sent_without_messages",
        {"question": '[["r", "refund", {"amount": 5}]]'},
        interrupt_before=["tools"],
        stream_modes=MODES,
    )
    assert waiting(talk.pauses[0]) == [REFUND]
    with talk.refused("INVALID_ARGUMENT", "REVIEW_MISMATCH", "resume.review") as refusal:
        talk.review(reject())
    assert "the state of the graph has no messages" in refusal.text
    events = talk.review(edit(amount=2))
    assert ran(events) == [["refund", 2]]
    assert value(talk.state().values)["done"] == ["refunded 2"]


def test_a_review_in_a_subgraph_is_of_its_own_messages(talk: Conversation) -> None:
    (pause,) = talk.ask("in_child", REFUND, MAIL, interrupt_before=[])
    assert [part.partition(":")[0] for part in pause.namespace] == ["agent"]
    assert waiting(pause) == [REFUND, MAIL]
    events = talk.review(edit("r", amount=2), reject("m", "Not to her."))
    assert ran(events) == [["refund", 2]]
    sees = {"sees": [EDITED, [REJECTED, REFUNDED]]}
    assert talk.messages() == ["question", EDITED, REJECTED, REFUNDED, sees]


def test_a_breakpoint_in_a_subgraph_takes_a_review_wherever_it_was_set(talk: Conversation) -> None:
    (pause,) = talk.ask("in_child_without_stop", REFUND, MAIL, interrupt_before=["agent/tools"])
    assert waiting(pause) == [REFUND, MAIL]
    assert ran(talk.review(respond("r", "by hand"), edit("m", to="bob"))) == [["mail", "bob"]]
    calls = [REFUND, ["m", "mail", {"to": "bob"}]]
    results = [["r", "refund", "success", "by hand"], ["m", "mail", "success", "mailed bob"]]
    assert talk.messages() == ["question", calls, *results, {"sees": [calls, results]}]


def test_a_graph_that_is_a_tool_node_can_be_reviewed_inside_again(talk: Conversation) -> None:
    talk.ask("child_as_tools", REFUND, MAIL, interrupt_before=["tools", "tools/first"])
    assert ran(talk.review(edit("r", amount=2), reject("m", "Not to her."))) == []
    (pause,) = talk.pauses
    # Inside there is only what was left.
    assert waiting(pause) == [["r", "refund", {"amount": 2}]]
    assert ran(talk.review(edit(amount=3))) == [["refund", 3]]
    calls = [["r", "refund", {"amount": 3}], MAIL]
    results = [REJECTED, ["r", "refund", "success", "refunded 3"]]
    assert talk.messages() == ["question", calls, *results, {"sees": [calls, results]}]


def test_what_is_answered_by_a_reviewer_is_streamed_as_a_message(talk: Conversation) -> None:
    talk.ask("prebuilt", REFUND, MAIL)
    modes = [run_pb2.STREAM_MODE_MESSAGES]
    events = talk.review(reject("r", "No."), edit("m", to="bob"), stream_modes=modes)
    texts = [shape[1] for shape in shapes(events) if shape[0] == "message"]
    assert texts[:2] == ["No.", "mailed bob"]
    # What the model says comes as well; its calls, which it has said before, do not.
    assert len(texts) == 3
    assert texts[2].startswith("[")


def test_tool_nodes_beside_each_other_are_reviewed_one_by_one(talk: Conversation) -> None:
    pauses = talk.ask("beside", REFUND, MAIL, interrupt_before=["refund", "mail"])
    assert [(pause.node, waiting(pause)) for pause in pauses] == [
        ("refund", [REFUND, MAIL]),
        ("mail", [REFUND, MAIL]),
    ]
    refund, mail = (pause.pause_id for pause in pauses)
    # Each node gets both calls and runs its own: what one of them is not to run is rejected once.
    events = talk.review_each(
        {refund: [edit("r", amount=2), approve("m")], mail: [approve("r"), approve("m")]}
    )
    assert ran(events) == [["mail", "ann"], ["refund", 2]]
    results = [["m", "mail", "success", "mailed ann"], REFUNDED]
    sees = {"sees": [EDITED, results]}
    assert talk.messages() == ["question", EDITED, *results, sees]


def test_a_review_holds_when_the_tool_asks_and_the_node_runs_again(talk: Conversation) -> None:
    talk.ask("asking", ["c", "confirm", {"what": "launch"}], MAIL)
    talk.review(edit("c", what="test"), reject("m", "Not to her."))
    (question,) = talk.pauses
    assert value(question.value) == "really test?"
    events = talk.resume(answer="yes")
    assert ran(events) == [["confirm", "test", "yes"]]
    calls = [["c", "confirm", {"what": "test"}], MAIL]
    results = [REJECTED, ["c", "confirm", "success", "test: yes"]]
    assert talk.messages() == ["question", calls, *results, {"sees": [calls, results]}]


def found(talk: Conversation, tool: str) -> list[str]:
    """The ids of the thread's open pauses before which a tool waits."""
    which = threads_pb2.PauseFilter(thread_id=talk.thread_id, tool_name=tool)
    request = threads_pb2.ListPausesRequest(filter=which)
    return [p.pause_id for p in talk.threads_stub.ListPauses(request, timeout=DEADLINE).pauses]


LAUNCH = ["c", "confirm", {"what": "launch"}]
TEST = ["c", "confirm", {"what": "test"}]


@pytest.mark.parametrize("agent", ["asking", "sent", "sent_with_context", "agent"])
def test_a_question_of_a_reviewed_tool_lists_what_still_waits_as_edited(
    talk: Conversation, agent: str
) -> None:
    calls = [LAUNCH, MAIL, REFUND]
    asked = talk.ask(agent, *calls)
    edits = {
        "c": edit("c", what="test"),
        "m": reject("m", "Not to her."),
        "r": respond("r", "done by hand"),
    }
    if len(asked) == 1:
        talk.review(*edits.values())
    else:
        talk.review_each({p.pause_id: [edits[p.tool_calls[0].tool_call_id]] for p in asked})
    (question,) = talk.pauses
    assert waiting(question) == [TEST]
    # The tool calls are what was sent.
    assert not question.HasField("task_input")
    assert found(talk, "confirm") == [question.pause_id]
    assert found(talk, "mail") == found(talk, "refund") == []
    copy = threads_pb2.CopyThreadRequest(thread_id=talk.thread_id)
    (copied,) = talk.threads_stub.CopyThread(copy, timeout=DEADLINE).thread.pauses
    assert waiting(copied) == [TEST]
    assert ran(talk.resume(answer="yes")) == [["confirm", "test", "yes"]]


def test_a_tool_call_of_which_another_tool_was_made_is_found_by_that(talk: Conversation) -> None:
    talk.ask("asking", REFUND)
    talk.review(edit("r", name="confirm", what="refund"))
    (question,) = talk.pauses
    assert waiting(question) == [["r", "confirm", {"what": "refund"}]]
    assert found(talk, "refund") == []


def test_a_step_into_reviewed_tools_that_are_a_graph_lists_what_the_review_has_left(
    talk: Conversation,
) -> None:
    (pause,) = talk.ask("child_as_tools", REFUND, MAIL)
    given = run_pb2.Resume(
        reviews={pause.pause_id: review(edit("r", amount=2), reject("m", "Not to her."))},
        step=run_pb2.STEP_MODE_INTO,
    )
    talk.stream(resume=given)
    (inside,) = talk.pauses
    assert (inside.node, waiting(inside)) == ("first", [["r", "refund", {"amount": 2}]])
    assert found(talk, "mail") == []
    # And one review more, of what is left.
    assert ran(talk.review(edit("r", amount=3))) == [["refund", 3]]
    calls, *results, _ = talk.messages()[1:]
    assert calls == [["r", "refund", {"amount": 3}], MAIL]
    assert sorted(results) == [REJECTED, ["r", "refund", "success", "refunded 3"]]


def test_a_review_does_not_hold_for_what_is_called_next(talk: Conversation) -> None:
    talk.ask("prebuilt", REFUND)
    talk.review(reject())
    question = {"role": "user", "content": "[]", "id": "again"}
    call = {"id": "r", "name": "refund", "args": {"amount": 7}, "type": "tool_call"}
    said = {"type": "ai", "content": "", "id": "more", "tool_calls": [call]}
    talk.edit({"messages": [question, said]}, as_node="model")
    (pause,) = talk.pauses
    assert waiting(pause) == [["r", "refund", {"amount": 7}]]
    assert ran(talk.resume()) == [["refund", 7]]


def test_the_result_of_a_reviewed_task_is_not_cached(talk: Conversation) -> None:
    talk.ask("cached", REFUND)
    assert ran(talk.review(edit(amount=2))) == [["refund", 2]]
    other = Conversation(talk.runs_stub, talk.threads_stub)
    events = other.start(
        "cached",
        {"messages": [{"role": "user", "content": '[["r", "refund", {"amount": 5}]]'}]},
        stream_modes=MODES,
    )
    assert ran(events) == [["refund", 5]]


def test_a_command_can_review(talk: Conversation) -> None:
    talk.ask("commanding", REFUND)
    command = run_pb2.Command(
        update=payload({"notes": ["by hand"]}),
        resume=run_pb2.Resume(review=review(edit(amount=2))),
    )
    assert ran(talk.stream(command=command)) == [["refund", 2]]
    assert value(talk.state().values)["notes"] == ["by hand", "seen"]
    assert talk.messages()[2] == REFUNDED


def test_a_pause_of_any_kind_lists_the_calls_that_wait(talk: Conversation) -> None:
    (after,) = talk.ask("prebuilt", REFUND, interrupt_before=[], interrupt_after=["model"])
    assert waiting(after) == [REFUND]
    (asking,) = Conversation(talk.runs_stub, talk.threads_stub).ask(
        "asking", ["c", "confirm", {"what": "launch"}], interrupt_before=[]
    )
    assert waiting(asking) == [["c", "confirm", {"what": "launch"}]]


@pytest.mark.parametrize("decisions", [[edit(amount=1)], [reject("r")], [edit("r", amount=1)]])
def test_calls_with_one_id_can_only_be_approved(
    talk: Conversation, decisions: list[dict[str, Any]]
) -> None:
    (pause,) = talk.ask("prebuilt", REFUND, ["r", "refund", {"amount": 7}])
    assert len(waiting(pause)) == 2
    with talk.refused("INVALID_ARGUMENT", "REVIEW_MISMATCH", "resume.review") as refusal:
        talk.review(*decisions)
    assert "several tool calls have one id" in refusal.text
    assert ran(talk.review(approve("r"))) == [["refund", 5], ["refund", 7]]
