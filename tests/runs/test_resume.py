"""What a resume answers and releases: every way to say it, and every way to get it wrong."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from graphwire import errors
from graphwire_server.runs.answer_checks import check_now
from graphwire_server.runs.request import Given, ResumeStart
from graphwire_server.runs.resume import MovedOnError, ResumePlan, plan_resume
from graphwire_server.storage.records import PauseKind, PauseRecord
from hypothesis import given
from hypothesis import strategies as st

from tests.storage.builders import a_pause

BEFORE, AFTER = PauseKind.BREAKPOINT_BEFORE, PauseKind.BREAKPOINT_AFTER


def question(name: str, **fields: Any) -> PauseRecord:
    """An open question with the pause id `name` and the interrupt id `name`-i."""
    return a_pause(
        name, kind=PauseKind.INTERRUPT, node=name, interrupt_id=f"{name}-i", value="1", **fields
    )


def breakpoint_at(name: str, kind: PauseKind = BEFORE) -> PauseRecord:
    return a_pause(name, kind=kind, node=name)


def plan(pauses: list[PauseRecord], resume: ResumeStart) -> ResumePlan:
    return plan_resume(pauses, resume, "resume", checked=check_now(pauses, resume))


def answering(**answers: Any) -> ResumeStart:
    return ResumeStart(answers=tuple(sorted(answers.items())))


def test_an_empty_resume_means_every_breakpoint() -> None:
    pauses = [breakpoint_at("a", AFTER), breakpoint_at("b")]
    assert plan(pauses, ResumeStart()) == ResumePlan(tuple((p, None) for p in pauses), {})


def test_an_empty_resume_of_nothing_resumes_nothing() -> None:
    assert plan([], ResumeStart()) == ResumePlan((), {})


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, {"a": [1]}])
def test_a_plain_answer_goes_to_the_one_question(value: Any) -> None:
    asked = question("q")
    expected = ResumePlan(((asked, orjson.dumps(value).decode()),), {"q-i": value})
    assert plan([asked], ResumeStart(answer=Given(value))) == expected
    assert plan([asked], ResumeStart(pause_ids=("q",), answer=Given(value))) == expected
    assert plan([asked], answering(q=value)) == expected
    assert plan([asked], ResumeStart(answers=(("q-i", value),))) == expected


def test_questions_that_are_not_answered_go_on_waiting() -> None:
    left, right = question("left"), question("right")
    assert plan([left, right], answering(right=2)) == ResumePlan(((right, "2"),), {"right-i": 2})


def test_a_breakpoint_can_be_released_while_a_question_waits() -> None:
    stop, asked = breakpoint_at("stop"), question("q")
    assert plan([stop, asked], ResumeStart(pause_ids=("stop",))) == ResumePlan(((stop, None),), {})


def test_an_answer_and_a_named_breakpoint_are_resumed_in_the_order_of_the_pauses() -> None:
    asked, stop = question("q"), breakpoint_at("stop")
    resume = ResumeStart(pause_ids=("stop",), answer=Given(1))
    assert plan([asked, stop], resume) == ResumePlan(((asked, "1"), (stop, None)), {"q-i": 1})


@pytest.mark.parametrize("kind", [BEFORE, AFTER])
@pytest.mark.parametrize(
    ("resume", "named"),
    [
        (answering(q=1), {"q"}),
        (ResumeStart(answer=Given(1)), {"q"}),
        (ResumeStart(pause_ids=("other",), answer=Given(1)), {"q", "other"}),
    ],
)
def test_an_answer_releases_no_breakpoint_that_is_not_named(
    kind: PauseKind, resume: ResumeStart, named: set[str]
) -> None:
    pauses = [question("q"), breakpoint_at("other"), breakpoint_at("stop", kind)]
    made = plan(pauses, resume)
    assert {pause.pause_id for pause, _ in made.resumed} == named
    assert made.answers == {"q-i": 1}


def test_naming_one_breakpoint_releases_no_other() -> None:
    a, b = breakpoint_at("a"), breakpoint_at("b")
    assert plan([a, b], ResumeStart(pause_ids=("a",))) == ResumePlan(((a, None),), {})


@pytest.mark.parametrize(
    ("resume", "key"),
    [
        (ResumeStart(pause_ids=("gone",)), "gone"),
        (ResumeStart(pause_ids=("q", "gone"), answer=Given(1)), "gone"),
        (ResumeStart(pause_ids=("q-i",), answer=Given(1)), "q-i"),
        (answering(gone=1), "gone"),
        (answering(q=1, gone=1), "gone"),
        (ResumeStart(answers=(("", 1),)), ""),
    ],
)
def test_what_is_not_open_is_refused(resume: ResumeStart, key: str) -> None:
    with pytest.raises(errors.PauseNotOpenError) as caught:
        plan([question("q")], resume)
    assert caught.value.metadata == {"pause_id": key}


@pytest.mark.parametrize("pauses", [[], [breakpoint_at("stop")]])
def test_an_answer_without_a_question_is_refused(pauses: list[PauseRecord]) -> None:
    with pytest.raises(errors.PauseNotOpenError):
        plan(pauses, ResumeStart(answer=Given(None)))


def test_a_plain_answer_to_several_questions_names_them_all() -> None:
    with pytest.raises(errors.AmbiguousAnswerError) as caught:
        plan([question("left"), question("right")], ResumeStart(answer=Given(1)))
    assert caught.value.message == (
        "2 interrupts wait; answer them by id in `answers`: "
        "left (node 'left'), right (node 'right')"
    )
    assert [v.field for v in caught.value.violations] == ["resume.answer"]


@pytest.mark.parametrize("resume", [ResumeStart(), ResumeStart(pause_ids=("q",))])
def test_a_question_that_is_meant_needs_its_answer(resume: ResumeStart) -> None:
    with pytest.raises(errors.AnswerRequiredError) as caught:
        plan([question("q")], resume)
    assert caught.value.metadata == {"pause_id": "q", "node": "q"}
    assert [v.field for v in caught.value.violations] == ["resume"]


def test_a_question_is_answered_once() -> None:
    with pytest.raises(errors.InvalidFieldError) as caught:
        plan([question("q")], ResumeStart(answers=(("q", 1), ("q-i", 1))))
    assert [v.field for v in caught.value.violations] == ["resume.answers[q-i]"]


def test_a_breakpoint_takes_no_answer() -> None:
    with pytest.raises(errors.InvalidFieldError) as caught:
        plan([breakpoint_at("stop"), question("q")], answering(stop=1))
    assert [v.field for v in caught.value.violations] == ["resume.answers[stop]"]


@pytest.mark.parametrize(
    ("schema", "value", "path"),
    [
        ({"type": "integer"}, "1", "$"),
        ({"type": "boolean"}, None, "$"),
        ({"properties": {"a": {"items": {"minimum": 1}}}}, {"a": [1, 0]}, "$.a[1]"),
        ({"required": ["a"]}, {}, "$"),
        ({"enum": ["yes", "no"]}, "maybe", "$"),
        ({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}, 1.5, "$"),
    ],
)
def test_an_answer_must_fit_the_response_schema(
    schema: dict[str, Any], value: Any, path: str
) -> None:
    asked = question("q", response_schema=orjson.dumps(schema).decode())
    for resume, field in (
        (ResumeStart(answer=Given(value)), "resume.answer"),
        (ResumeStart(answers=(("q-i", value),)), "resume.answers[q-i]"),
    ):
        with pytest.raises(errors.AnswerMismatchError) as caught:
            plan([asked], resume)
        assert caught.value.metadata == {"pause_id": "q", "json_path": path}
        assert [v.field for v in caught.value.violations] == [field]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 1),
        ({"type": ["string", "null"]}, None),
        ({}, {"any": "thing"}),
        ({"type": "no such type"}, 1),  # the graph's own mistake
    ],
)
def test_an_answer_that_fits_is_taken(schema: dict[str, Any], value: Any) -> None:
    asked = question("q", response_schema=orjson.dumps(schema).decode())
    assert plan([asked], ResumeStart(answer=Given(value))).answers == {"q-i": value}


def test_an_answer_that_nobody_has_checked_is_looked_at_anew() -> None:
    asked, other = question("q", response_schema="{}"), question("other", response_schema="{}")
    resume = answering(q=1)
    assert plan([asked, other], resume).answers == {"q-i": 1}
    for checked in ({}, check_now([other], answering(other=1)), check_now([other], resume)):
        with pytest.raises(MovedOnError):
            plan_resume([asked, other], resume, "resume", checked=checked)


NAMES = ["a", "b", "c", "d"]
KEYS = [*NAMES, *(f"{name}-i" for name in NAMES), "gone"]


@st.composite
def open_pauses(draw: st.DrawFn) -> list[PauseRecord]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    return [question(n) if draw(st.booleans()) else breakpoint_at(n) for n in names]


#: What a request may contain.
NUMBERS = st.integers(-(2**63), 2**63 - 1)

RESUMES = st.builds(
    ResumeStart,
    pause_ids=st.lists(st.sampled_from(KEYS), unique=True, max_size=4).map(tuple),
    answers=st.dictionaries(st.sampled_from(KEYS), NUMBERS, max_size=3).map(
        lambda answers: tuple(sorted(answers.items()))
    ),
    answer=st.none() | st.builds(Given, NUMBERS),
)


@given(open_pauses(), RESUMES)
def test_a_plan_never_releases_or_answers_what_was_not_meant(
    pauses: list[PauseRecord], resume: ResumeStart
) -> None:
    try:
        made = plan(pauses, resume)
    except errors.GraphwireError:
        return
    resumed = {pause.pause_id for pause, _ in made.resumed}
    questions = {p.pause_id for p in pauses if p.kind is PauseKind.INTERRUPT}
    breakpoints = {p.pause_id for p in pauses} - questions
    meant = {key.removesuffix("-i") for key in (*resume.pause_ids, *dict(resume.answers))}

    assert resumed <= questions | breakpoints
    assert meant <= resumed
    if meant or resume.answer:
        assert resumed <= meant | (questions if resume.answer else set())
    else:
        assert resumed == breakpoints
    for pause, answer in made.resumed:
        assert (answer is not None) == (pause.pause_id in questions)
    assert made.answers == {
        pause.interrupt_id: orjson.loads(answer) for pause, answer in made.resumed if answer
    }
