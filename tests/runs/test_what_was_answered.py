"""What is said of pauses: as messages, and to whoever comes too late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from graphwire import errors
from graphwire_server.graphs.breakpoints import Breakpoint, BreakpointSource, Met, met_text
from graphwire_server.graphs.tool_calls import Decision
from graphwire_server.runs.answered import Past
from graphwire_server.runs.events import pause_message
from graphwire_server.runs.request import Given, ResumeStart
from graphwire_server.storage.records import PauseKind, PauseRecord, PauseStatus

from tests.storage.builders import a_pause

CALLS = '[{"id":"1","name":"refund","args":{"amount":5}},{"id":"2","name":"look","args":{}}]'
REVIEW = (
    '[{"tool_call_id":"1","decision":"edit","args":{"amount":1},"name":"refund"},'
    '{"tool_call_id":"2","decision":"reject","message":"no"}]'
)
RESUMED = replace(
    a_pause("p"),
    status=PauseStatus.RESUMED,
    resolve_time=1_000_000,
    resolved_by_run_id="run",
    principal="anonymous",
    answered_by="ann",
)


def test_a_pause_with_all_it_can_have_is_told_of() -> None:
    breakpoint_ = Breakpoint(
        "action", breakpoint_id="b", label="l", condition="c", source=BreakpointSource.THREAD
    )
    pause = replace(
        RESUMED,
        assistant_id="agent",
        task_id="task",
        breakpoints=met_text([Met(breakpoint_, "no such key")]),
        tool_calls=CALLS,
        expire_time=2_000_000,
        on_expiry="REJECT",
        review=REVIEW,
        expired=True,
    )
    told = MessageToDict(pause_message(pause), preserving_proto_field_name=True)
    assert told["status"] == "PAUSE_STATUS_RESUMED"
    assert (told["assistant_id"], told["task_id"]) == ("agent", "task")
    assert (told["expire_time"], told["on_expiry"]) == ("1970-01-01T00:00:02Z", "ON_EXPIRY_REJECT")
    assert told["breakpoints"] == [
        {
            "breakpoint_id": "b",
            "label": "l",
            "source": "BREAKPOINT_SOURCE_THREAD",
            "condition": "c",
            "condition_error": "no such key",
        }
    ]
    assert told["tool_calls"] == [
        {"tool_call_id": "1", "name": "refund", "args": {"json": '{"amount":5}'}},
        {"tool_call_id": "2", "name": "look", "args": {"json": "{}"}},
    ]
    assert told["resolution"] == {
        "time": "1970-01-01T00:00:01Z",
        "run_id": "run",
        "principal": "anonymous",
        "answered_by": "ann",
        "expired": True,
        "review": {
            "tool_calls": [
                {"tool_call_id": "1", "edit": {"args": {"json": '{"amount":1}'}, "name": "refund"}},
                {"tool_call_id": "2", "reject": {"message": "no"}},
            ]
        },
    }


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "it was resumed at 1970-01-01T00:00:01Z by ann (anonymous), with run run"),
        ({"answered_by": ""}, "it was resumed at 1970-01-01T00:00:01Z by anonymous, with run run"),
        (
            {"expired": True},
            "its time was over, and run run went on from it at 1970-01-01T00:00:01Z",
        ),
        (
            {"status": PauseStatus.CANCELLED, "answered_by": ""},
            "it was given up at 1970-01-01T00:00:01Z by anonymous",
        ),
        (
            {"status": PauseStatus.CANCELLED, "expired": True},
            "its time was over, and it was given up at 1970-01-01T00:00:01Z",
        ),
        (
            {"status": PauseStatus.SUPERSEDED, "answered_by": "", "resolved_by_run_id": ""},
            "it was superseded at 1970-01-01T00:00:01Z by anonymous, by new input, an edit of the "
            "state, another branch, or since a run was rolled back",
        ),
    ],
)
def test_what_became_of_a_pause_is_said(change: dict[str, Any], text: str) -> None:
    pause = replace(RESUMED, **change)
    error = Past(called=lambda key: pause).not_open("p")
    assert str(error) == f"pause p is not open any more: {text}"
    assert error.metadata["status"] == pause.status
    assert error.metadata["time"] == "1970-01-01T00:00:01Z"


def checked(resume: ResumeStart, *resumed: PauseRecord) -> errors.PauseNotOpenError | None:
    """What whoever comes second is told."""
    past = Past(
        called=lambda key: next((p for p in resumed if p.pause_id == key), None),
        resumed_by=lambda run_id: resumed if run_id == "run" else (),
        last_run_id="run",
    )
    try:
        past.check(resume, ())
    except errors.PauseNotOpenError as error:
        return error
    return None


def test_a_review_or_an_answer_without_an_id_means_what_the_last_run_went_on_from() -> None:
    reviewed = replace(RESUMED, tool_calls=CALLS, review=REVIEW)
    asked = replace(RESUMED, pause_id="q", kind=PauseKind.INTERRUPT, interrupt_id="i")
    decisions = (Decision("1", "approve"),)
    for resume, pause_id in (
        (ResumeStart(review=decisions), "p"),
        (ResumeStart(reviews=(("p", decisions),)), "p"),
        (ResumeStart(answer=Given(1)), "q"),
    ):
        error = checked(resume, reviewed, asked)
        assert error is not None
        assert error.metadata["pause_id"] == pause_id
    assert checked(ResumeStart(review=decisions), asked) is None
    assert checked(ResumeStart(answer=Given(1)), reviewed) is None
    assert checked(ResumeStart(), reviewed, asked) is None


@pytest.mark.parametrize(
    "count, listed",
    [
        (0, ""),
        (1, "; open: p1 (node 'n1')"),
        (2, "; open: p1 (node 'n1'), p2 (node 'n2')"),
        (
            7,
            "; open: p1 (node 'n1'), p2 (node 'n2'), p3 (node 'n3'), p4 (node 'n4'), "
            "p5 (node 'n5'), 2 more",
        ),
    ],
)
def test_who_names_no_pause_is_told_which_there_are(count: int, listed: str) -> None:
    pauses = [replace(a_pause(f"p{i}"), node=f"n{i}") for i in range(1, count + 1)]
    error = Past().not_open("n1", pauses)
    assert str(error) == f"no pause or interrupt 'n1' is open on this thread, and none was{listed}"
    assert error.metadata == {"pause_id": "n1"}
