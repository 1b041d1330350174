"""Who goes back to a checkpoint has approved nothing of it, also where the thread stands there."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire.v1 import run_pb2

from tests.e2e.drive import shapes
from tests.e2e.driven import DrivenThread
from tests.e2e.made import PAUSED, Driver, breakpoint_

BEFORE_B = ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])


@pytest.mark.parametrize(
    "more",
    [{}, {"interrupt_before": ["b"]}, {"step": run_pb2.STEP_MODE_INTO}, {"expected": True}],
    ids=["alone", "with the breakpoint again", "a step", "expecting it"],
)
def test_a_resume_that_names_the_head_pauses_there_again(
    thread: DrivenThread, more: dict[str, Any]
) -> None:
    thread.start("linear", interrupt_before=["b"])
    head, [old] = thread.now.checkpoint_id, thread.pauses
    fields = dict(more)
    if fields.pop("expected", False):
        fields["expected_checkpoint_id"] = head
    events = thread.resume(checkpoint_id=head, **fields)
    assert shapes(events)[-1] == PAUSED
    assert not [shape for shape in shapes(events) if shape[0] == "updates"]
    assert thread.stands() == BEFORE_B
    [new] = thread.pauses
    assert (new.pause_id != old.pause_id, thread.now.checkpoint_id != head) == (True, True)
    assert thread.log == ["in", "a"]
    thread.resume()
    assert thread.log == ["in", "a", "b", "c"]


def test_what_an_assistant_asks_is_asked_again_whatever_is_cleared(
    thread: DrivenThread, made: Driver
) -> None:
    assistant = made.create(breakpoints=[breakpoint_("b")]).assistant_id
    thread.start(assistant)
    head = thread.now.checkpoint_id
    thread.resume(checkpoint_id=head, clear_breakpoints=True)
    assert thread.stands() == BEFORE_B


def test_so_does_a_command_that_resumes(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    head = thread.now.checkpoint_id
    thread.command(update={"log": ["said"]}, resumes={}, checkpoint_id=head)
    assert thread.stands() == BEFORE_B
    assert thread.log == ["in", "a", "said"]


def test_whoever_names_the_pause_has_approved_it(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    [pause] = thread.pauses
    thread.resume(checkpoint_id=thread.now.checkpoint_id, pause_ids=[pause.pause_id])
    assert thread.log == ["in", "a", "b", "c"]


def test_whoever_answers_the_question_has_answered_it(thread: DrivenThread) -> None:
    thread.start("ask")
    thread.resume(checkpoint_id=thread.now.checkpoint_id, answer="Ann")
    assert thread.log == ["in", "name: 'Ann'", "after"]


def test_a_question_is_asked_again_on_the_new_branch(thread: DrivenThread) -> None:
    thread.start("ask")
    [old] = thread.pauses
    thread.resume(checkpoint_id=thread.now.checkpoint_id)
    [new] = thread.pauses
    assert (thread.status, new.node) == ("INTERRUPTED", "ask")
    assert new.pause_id != old.pause_id
    thread.resume(answer="Bob")
    assert thread.log == ["in", "name: 'Bob'", "after"]


def test_what_has_failed_goes_on_where_it_is(thread: DrivenThread) -> None:
    """Nothing waits for anybody there, and what was done is kept."""
    thread.start("fails")
    stood, history = thread.stands(), thread.history()
    thread.resume(checkpoint_id=thread.now.checkpoint_id)
    assert (thread.stands(), thread.history()) == (stood, history)
