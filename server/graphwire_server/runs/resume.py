"""Decides what a resume answers and releases, before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import orjson
from graphwire import errors

from graphwire_server.graphs.places import Path, Place, path_of
from graphwire_server.graphs.tool_calls import Decision, review_text
from graphwire_server.runs.answer_checks import Checked
from graphwire_server.runs.answered import Past
from graphwire_server.runs.request import ResumeStart
from graphwire_server.storage.records import PauseKind, PauseRecord

_NO_PAST = Past()


class MovedOnError(Exception):
    """The thread is not where it was when the request was looked at.

    What goes on there now may have another assistant, or other questions: the request has to be
    looked at anew.

    Attributes:
        thread_id: The thread.
    """

    def __init__(self, thread_id: str) -> None:
        """Names the thread."""
        super().__init__(thread_id)
        self.thread_id = thread_id


@dataclass(frozen=True, slots=True)
class ResumePlan:
    """What a resume does.

    Attributes:
        resumed: The pauses that it resumes, each with its answer as JSON text, or None.
        answers: What the engine gets: answers by LangGraph's interrupt id.
        reviews: The reviews, as they are kept, by the id of the pause.
    """

    resumed: tuple[tuple[PauseRecord, str | None], ...]
    answers: dict[str, Any]
    reviews: Mapping[str, str] = field(default_factory=dict)


def plan_resume(
    open_pauses: Sequence[PauseRecord],
    resume: ResumeStart,
    field: str,
    places: Mapping[Path, Place] | None = None,
    past: Past = _NO_PAST,
    beside: Collection[str] = (),
    checked: Checked = MappingProxyType({}),
) -> ResumePlan:
    """Matches a resume against the pauses that are open now.

    Without answers, reviews and pause ids it means everything that is open. With some, it means
    what is answered or reviewed, and the pauses named.

    Args:
        open_pauses: The pauses that are open.
        resume: The resume.
        field: Its path in the request.
        places: What is known of the thread's graph and its subgraphs, for reviews.
        past: What became of the pauses before.
        beside: The nodes of the root that come next.
        checked: What came of checking the answers against their schemas.

    Raises:
        MovedOnError: An answer is to a question of which `checked` knows nothing.
        PauseNotOpenError: It names a pause or interrupt that is not open.
        AmbiguousAnswerError: A plain answer, but several interrupts wait.
        AnswerRequiredError: It resumes an interrupt without answering it.
        AnswerMismatchError: An answer does not fit the interrupt's response schema.
        ReviewMismatchError: A review does not decide on each tool call of its pause, once.
        InvalidFieldError: It answers a breakpoint, or one interrupt twice, or reviews what has
            no tool calls to decide on.
    """
    by_id = {pause.pause_id: pause for pause in open_pauses}
    answered = _answered(open_pauses, by_id, resume, field, past, checked)
    named = {_named(by_id, pause_id, i, field, past) for i, pause_id in enumerate(resume.pause_ids)}
    reviews = _reviewed(open_pauses, by_id, resume, field, places or {}, past, beside)
    meant = named | set(answered) | set(reviews)
    if not meant:
        meant = set(by_id)

    for pause in open_pauses:
        is_question = pause.kind is PauseKind.INTERRUPT
        if is_question and pause.pause_id in meant and pause.pause_id not in answered:
            raise errors.AnswerRequiredError(
                f"node {pause.node!r} asks, and waits for an answer "
                f"(pause {pause.pause_id}); give it in `answers`, or in `answer`; to go on from "
                "other pauses alone, name them in `pause_ids`",
                field=field,
                metadata={"pause_id": pause.pause_id, "node": pause.node},
            )
    return ResumePlan(
        resumed=tuple(
            (pause, orjson.dumps(answered[pause.pause_id]).decode())
            if pause.pause_id in answered
            else (pause, None)
            for pause in open_pauses
            if pause.pause_id in meant
        ),
        answers={by_id[pause_id].interrupt_id: value for pause_id, value in answered.items()},
        reviews=reviews,
    )


def _answered(
    open_pauses: Sequence[PauseRecord],
    by_id: dict[str, PauseRecord],
    resume: ResumeStart,
    field: str,
    past: Past,
    checked: Checked,
) -> dict[str, Any]:
    """Returns the answers by pause id, each checked."""
    questions = [pause for pause in open_pauses if pause.kind is PauseKind.INTERRUPT]
    given: list[tuple[str, str, str, Any]] = [
        (key, key, f"{field}.answers[{key}]", value) for key, value in resume.answers
    ]
    if resume.answer is not None:
        if not questions:
            raise past.nothing_asked()
        if len(questions) > 1:
            raise errors.AmbiguousAnswerError(
                f"{len(questions)} interrupts wait; answer them by id in `answers`: "
                + ", ".join(f"{p.pause_id} (node {p.node!r})" for p in questions),
                field=f"{field}.answer",
            )
        plain = resume.answer.value
        given.append(("", questions[0].pause_id, f"{field}.answer", plain))

    answered: dict[str, Any] = {}
    for given_as, key, path, value in given:
        pause = by_id.get(key) or next((p for p in questions if p.interrupt_id == key), None)
        if pause is None:
            raise past.not_open(key, by_id.values())
        if pause.kind is not PauseKind.INTERRUPT:
            raise errors.InvalidFieldError(
                "this pause is a breakpoint, which takes no answer; name it in `pause_ids`",
                field=path,
            )
        if pause.pause_id in answered:
            raise errors.InvalidFieldError(f"pause {pause.pause_id} is answered twice", field=path)
        _check_fits(checked, given_as, pause, path)
        answered[pause.pause_id] = value
    return answered


def _reviewed(
    open_pauses: Sequence[PauseRecord],
    by_id: Mapping[str, PauseRecord],
    resume: ResumeStart,
    field: str,
    places: Mapping[Path, Place],
    past: Past,
    beside: Collection[str],
) -> dict[str, str]:
    """Returns the reviews by pause id, each checked, as they are kept."""
    given = [(key, f"{field}.reviews[{key}]", decisions) for key, decisions in resume.reviews]
    if resume.review is not None:
        open_to_review = [p for p in open_pauses if _takes_review(p) and p.tool_calls != "[]"]
        if not open_to_review:
            raise past.nothing_to_review(open_pauses)
        if len(open_to_review) > 1:
            raise errors.AmbiguousAnswerError(
                f"{len(open_to_review)} pauses with tool calls are open; review them by id in "
                "`reviews`: "
                + ", ".join(f"{p.pause_id} (node {p.node!r})" for p in open_to_review),
                field=f"{field}.review",
            )
        given.append((open_to_review[0].pause_id, f"{field}.review", resume.review))

    reviews: dict[str, str] = {}
    for key, path, decisions in given:
        pause = by_id.get(key)
        if pause is None:
            raise past.not_open(key, by_id.values())
        if not _takes_review(pause):
            what = "asks a question" if pause.kind is PauseKind.INTERRUPT else "has run already"
            raise errors.InvalidFieldError(
                f"node {pause.node!r} {what}; a review is for a pause before a node",
                field=path,
            )
        place = places.get(path_of(pause.namespace))
        reviews[key] = review_text(_checked(pause, decisions, path, place, beside))
    return reviews


def _takes_review(pause: PauseRecord) -> bool:
    return pause.kind in (PauseKind.BREAKPOINT_BEFORE, PauseKind.PAUSE)


def _checked(
    pause: PauseRecord,
    decisions: Sequence[Decision],
    path: str,
    place: Place | None,
    beside: Collection[str],
) -> list[Decision]:
    """Returns the decisions of a review, each with the id of its tool call."""
    calls = orjson.loads(pause.tool_calls)
    names = {call["id"]: call["name"] for call in calls}
    if not names:
        raise errors.ReviewMismatchError(
            f"no tool calls wait at pause {pause.pause_id}, so there is nothing to decide on; to "
            "resume it, name it in `pause_ids`",
            field=path,
            metadata={"pause_id": pause.pause_id, "tool_calls": ""},
        )
    listed = ", ".join(f"{call_id} ({name})" for call_id, name in names.items())

    def mismatch(text: str, field: str) -> errors.ReviewMismatchError:
        return errors.ReviewMismatchError(
            f"{text}; at pause {pause.pause_id} wait: {listed}",
            field=field,
            metadata={"pause_id": pause.pause_id, "tool_calls": ", ".join(names)},
        )

    if len(names) < len(calls) and any(each.decision != "approve" for each in decisions):
        raise mismatch(
            "several tool calls have one id, and nobody can tell which of them is meant; approve "
            "them, or edit the state",
            path,
        )
    found: dict[str, Decision] = {}
    for index, each in enumerate(decisions):
        field = f"{path}.tool_calls[{index}].tool_call_id"
        call_id = each.tool_call_id or (next(iter(names)) if len(calls) == 1 else "")
        if call_id not in names:
            what = f"there is no tool call {call_id!r}" if call_id else "say which tool call"
            raise mismatch(what, field)
        if call_id in found:
            raise mismatch(f"tool call {call_id!r} is decided on twice", field)
        found[call_id] = replace(each, tool_call_id=call_id)
    missing = ", ".join(call_id for call_id in names if call_id not in found)
    if missing:
        raise mismatch(f"decide on each tool call; missing: {missing}", f"{path}.tool_calls")
    run_in = _run_elsewhere(pause, place, beside) if place is not None else ()
    if run_in and any(decision.decision != "approve" for decision in found.values()):
        raise mismatch(
            f"node {pause.node!r} does not run the tool calls: {', '.join(run_in)} does, whatever "
            "is decided here; approve them, and review them at a breakpoint there",
            path,
        )
    answered = [d for d in found.values() if d.decision in ("reject", "respond")]
    if answered and (place is None or not place.messages):
        raise mismatch(
            "a tool call can only be approved or edited here: the state of the graph has no "
            "messages in which it could be answered",
            path,
        )
    if place is not None and len(answered) == len(found) and pause.node in place.chooses:
        raise mismatch(
            f"node {pause.node!r} alone says where to go next, and would not run; approve or edit "
            "a tool call, or edit the state as a node that leads there",
            path,
        )
    return list(found.values())


def _run_elsewhere(pause: PauseRecord, place: Place, beside: Collection[str]) -> Sequence[str]:
    """Returns the tool nodes that run the tool calls of a pause before another node; () if none.

    Those that come after the node, or that come next beside it.
    """
    if pause.node in place.tool_nodes:
        return ()
    here = () if pause.namespace else sorted(place.tool_nodes & set(beside))
    return place.hands_on.get(pause.node, ()) or here


def _named(by_id: dict[str, PauseRecord], pause_id: str, index: int, field: str, past: Past) -> str:
    if not pause_id:
        raise errors.InvalidFieldError(
            "an empty pause id; leave the list empty to mean all",
            field=f"{field}.pause_ids[{index}]",
        )
    if pause_id not in by_id:
        raise past.not_open(pause_id, by_id.values())
    return pause_id


def _check_fits(checked: Checked, key: str, pause: PauseRecord, path: str) -> None:
    if pause.response_schema is None:
        return
    if (key, pause.pause_id) not in checked:
        raise MovedOnError(pause.thread_id)
    problem = checked[key, pause.pause_id]
    if problem is not None:
        raise errors.AnswerMismatchError(
            f"the answer does not fit the response schema at {problem.json_path}: "
            f"{problem.message}",
            field=path,
            metadata={"pause_id": pause.pause_id, "json_path": problem.json_path},
        )
