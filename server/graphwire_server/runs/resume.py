"""Decides what a resume answers and releases, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
import orjson
from graphwire import errors
from jsonschema.exceptions import SchemaError

from graphwire_server.runs.answered import Past
from graphwire_server.runs.request import ResumeStart
from graphwire_server.storage.records import PauseKind, PauseRecord

_NO_PAST = Past()


@dataclass(frozen=True, slots=True)
class ResumePlan:
    """What a resume does.

    Attributes:
        resumed: The pauses that it resumes, each with its answer as JSON text, or None.
        answers: What the engine gets: answers by LangGraph's interrupt id.
    """

    resumed: tuple[tuple[PauseRecord, str | None], ...]
    answers: dict[str, Any]


def plan_resume(
    open_pauses: Sequence[PauseRecord], resume: ResumeStart, field: str, past: Past = _NO_PAST
) -> ResumePlan:
    """Matches a resume against the pauses that are open now.

    Without answers and without pause ids it means everything that is open. With answers, it
    means what is answered, and the pauses named.

    Raises:
        PauseNotOpenError: It names a pause or interrupt that is not open.
        AmbiguousAnswerError: A plain answer, but several interrupts wait.
        AnswerRequiredError: It resumes an interrupt without answering it.
        AnswerMismatchError: An answer does not fit the interrupt's response schema.
        InvalidFieldError: It answers a breakpoint, or one interrupt twice.
    """
    by_id = {pause.pause_id: pause for pause in open_pauses}
    answered = _answered(open_pauses, by_id, resume, field, past)
    named = {_named(by_id, pause_id, i, field, past) for i, pause_id in enumerate(resume.pause_ids)}
    meant = named | set(answered)
    if not meant:
        meant = set(by_id)

    for pause in open_pauses:
        is_question = pause.kind is PauseKind.INTERRUPT
        if is_question and pause.pause_id in meant and pause.pause_id not in answered:
            raise errors.AnswerRequiredError(
                f"node {pause.node!r} asks, and waits for an answer "
                f"(pause {pause.pause_id}); give it in `answers`, or in `answer`",
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
    )


def _answered(
    open_pauses: Sequence[PauseRecord],
    by_id: dict[str, PauseRecord],
    resume: ResumeStart,
    field: str,
    past: Past,
) -> dict[str, Any]:
    """Returns the answers by pause id, each checked."""
    questions = [pause for pause in open_pauses if pause.kind is PauseKind.INTERRUPT]
    given: list[tuple[str, str, Any]] = [
        (key, f"{field}.answers[{key}]", value) for key, value in resume.answers
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
        given.append((questions[0].pause_id, f"{field}.answer", resume.answer.value))

    answered: dict[str, Any] = {}
    for key, path, value in given:
        pause = by_id.get(key) or next((p for p in questions if p.interrupt_id == key), None)
        if pause is None:
            raise past.not_open(key)
        if pause.kind is not PauseKind.INTERRUPT:
            raise errors.InvalidFieldError(
                "this pause is a breakpoint, which takes no answer; name it in `pause_ids`",
                field=path,
            )
        if pause.pause_id in answered:
            raise errors.InvalidFieldError(f"pause {pause.pause_id} is answered twice", field=path)
        _check_schema(pause, value, path)
        answered[pause.pause_id] = value
    return answered


def _named(by_id: dict[str, PauseRecord], pause_id: str, index: int, field: str, past: Past) -> str:
    if not pause_id:
        raise errors.InvalidFieldError(
            "an empty pause id; leave the list empty to mean all",
            field=f"{field}.pause_ids[{index}]",
        )
    if pause_id not in by_id:
        raise past.not_open(pause_id)
    return pause_id


def _check_schema(pause: PauseRecord, value: Any, path: str) -> None:
    if pause.response_schema is None:
        return
    schema = orjson.loads(pause.response_schema)
    validator = jsonschema.validators.validator_for(schema)
    try:
        validator.check_schema(schema)
    except SchemaError:
        return  # the graph's own mistake; the engine decides
    problem = jsonschema.exceptions.best_match(validator(schema).iter_errors(value))
    if problem is not None:
        raise errors.AnswerMismatchError(
            f"the answer does not fit the response schema at {problem.json_path}: "
            f"{problem.message}",
            field=path,
            metadata={"pause_id": pause.pause_id, "json_path": problem.json_path},
        )
