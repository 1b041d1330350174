"""A review is for the node that runs the tool calls, and for none that hands them on to it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import breakpoint_pb2

from tests.e2e.gates import until
from tests.reviews.reviewed import (
    MAIL,
    REFUND,
    Conversation,
    approve,
    edit,
    ran,
    reject,
    respond,
    waiting,
)

REFUNDED = ["r", "refund", "success", "refunded 5"]
MAILED = ["m", "mail", "success", "mailed ann"]


@pytest.mark.parametrize("node", ["guard", "again"])
@pytest.mark.parametrize(
    "decision",
    [reject("r"), respond("r", "by hand"), edit("r", amount=1)],
    ids=["reject", "respond", "edit"],
)
def test_what_is_only_handed_on_can_not_be_decided_there(
    talk: Conversation, node: str, decision: dict[str, Any]
) -> None:
    (pause,) = talk.ask("guarded", REFUND, MAIL, interrupt_before=[node, "tools"])
    assert (pause.node, waiting(pause)) == (node, [REFUND, MAIL])
    with talk.refused("INVALID_ARGUMENT", "REVIEW_MISMATCH", "resume.review") as refusal:
        talk.review(decision, approve("m"))
    assert f"node {node!r} does not run the tool calls: tools does" in refusal.text
    # Where they run, it holds.
    talk.resume()
    (pause,) = talk.pauses
    if pause.node != "tools":
        talk.resume()
        (pause,) = talk.pauses
    assert (pause.node, waiting(pause)) == ("tools", [REFUND, MAIL])
    assert ran(talk.review(reject("r"), approve("m"))) == [["mail", "ann"]]


def test_they_can_be_approved_there(talk: Conversation) -> None:
    talk.ask("guarded", REFUND, MAIL, interrupt_before=["guard"])
    events = talk.review(approve("r"), approve("m"))
    assert [each for each in ran(events) if each[0] != "looked"] == [["mail", "ann"], ["refund", 5]]


def test_what_expires_there_with_nobody_to_be_told_is_given_up(talk: Conversation) -> None:
    hurried = breakpoint_pb2.Breakpoint(
        node="guard",
        expires_after=Duration(seconds=1),
        on_expiry=breakpoint_pb2.ON_EXPIRY_REJECT,
    )
    talk.ask("guarded", REFUND, interrupt_before=[], breakpoints=[hurried])
    until(lambda: talk.status == "IDLE", "it is given up")
    assert talk.messages() == ["question", [REFUND]]


def test_what_a_tool_node_beside_it_runs_can_not_be_decided_there(talk: Conversation) -> None:
    (pause,) = talk.ask("audited", REFUND, MAIL, interrupt_before=["audit"])
    assert (pause.node, waiting(pause)) == ("audit", [REFUND, MAIL])
    with talk.refused("INVALID_ARGUMENT", "REVIEW_MISMATCH", "resume.review") as refusal:
        talk.review(reject("r"), edit("m", to="bob"))
    assert "node 'audit' does not run the tool calls: tools does" in refusal.text
    talk.resume()
    assert sorted(talk.messages()[2:4]) == [MAILED, REFUNDED]


def test_a_node_of_its_own_that_runs_them_takes_a_review_beside_a_tool_node(
    talk: Conversation,
) -> None:
    (pause,) = talk.ask("of_two_kinds", REFUND, MAIL, interrupt_before=["danger"])
    assert waiting(pause) == [REFUND, MAIL]
    assert ran(talk.review(reject("r"), approve("m"))) == [["mail", "ann"]]


@pytest.mark.parametrize("agent", ["checked_bound", "checked_in_row"])
def test_a_tool_node_is_one_whatever_is_around_it(talk: Conversation, agent: str) -> None:
    talk.ask(agent, REFUND, MAIL, interrupt_before=["check"])
    with talk.refused("INVALID_ARGUMENT", "REVIEW_MISMATCH", "resume.review"):
        talk.review(reject("r"), approve("m"))


@pytest.mark.parametrize("agent", ["checked_child", "checked_by_command"])
def test_where_nobody_can_know_what_was_rejected_before_it_is_run_by_no_tool_node(
    talk: Conversation, agent: str
) -> None:
    talk.ask(agent, REFUND, MAIL, interrupt_before=["check"])
    events = talk.review(reject("r", "No."), approve("m"))
    assert [each for each in ran(events) if each[0] != "looked"] == [["mail", "ann"]]
    assert sorted(talk.messages()[2:4]) == [MAILED, ["r", "refund", "error", "No."]]
    assert talk.status == "IDLE"


def test_what_expires_there_runs_nothing(talk: Conversation) -> None:
    hurried = breakpoint_pb2.Breakpoint(
        node="check",
        expires_after=Duration(seconds=1),
        on_expiry=breakpoint_pb2.ON_EXPIRY_REJECT,
        expiry_message="Too late.",
    )
    talk.ask("checked_child", REFUND, interrupt_before=[], breakpoints=[hurried])
    until(lambda: talk.status == "IDLE", "it has expired")
    late = ["r", "refund", "error", "Too late."]
    assert talk.messages() == ["question", [REFUND], late, {"sees": [[REFUND], [late]]}]


def test_calls_that_the_state_has_a_second_time_are_decided_on_once(talk: Conversation) -> None:
    (pause,) = talk.ask("noting", REFUND, MAIL)
    assert waiting(pause) == [REFUND, MAIL]
    assert ran(talk.review(edit("r", amount=1), reject("m"))) == [["refund", 1]]
