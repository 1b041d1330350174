"""Checks the answers of a resume against the schemas of their questions, before it is decided on.

A check may take a second, which neither the event loop nor the one transaction that writes has to
spare. So it is made before, about the pauses that are open then. A pause keeps its schema, so
what was found is right for as long as it is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from graphwire_server.runs.answer_schema import (
    Steps,
    TooCostlyError,
    Unfit,
    UnusableSchemaError,
    read_schema,
    unfit,
)
from graphwire_server.runs.completion import Attendance, Completion
from graphwire_server.runs.request import ResumeStart, RunRequest
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import PauseKind, PauseRecord

#: What all checks of one request may cost, in steps: at worst a second or two, for some ten
#: thousand objects of three members each.
MAX_STEPS = 300_000
#: What they may cost on the event loop, in steps: some milliseconds, and most take less.
_STEPS_ON_LOOP = 1000

#: By the key of an answer (empty for the plain one) and the id of the pause that it is for: why it
#: does not fit, None if it does. Of pauses with a schema only.
Checked = Mapping[tuple[str, str], Unfit | None]


class AnswerChecks:
    """Checks answers, those that take long on a thread, one request after the other."""

    def __init__(self, storage: Storage, completion: Completion) -> None:
        """Takes where pauses are, and who carries on what its caller has left."""
        self._storage = storage
        self._completion = completion
        # Python runs one thread at a time: several checks would leave the event loop less.
        self._turn = asyncio.Lock()

    async def of(self, request: RunRequest) -> Checked:
        """Returns what came of checking the answers of a request."""
        resume = request.resume
        if resume is None or (resume.answer is None and not resume.answers):
            return {}
        thread_id = request.thread_id
        pauses = await self._storage.read(lambda db: db.open_pauses(thread_id), short=True)
        given = _given(pauses, resume)
        if not given:
            return {}
        try:
            return _checked(given, Steps(_STEPS_ON_LOOP))
        except TooCostlyError:
            return await self._on_thread(given)

    async def _on_thread(self, given: Sequence[tuple[str, PauseRecord, Any]]) -> Checked:
        attendance = Attendance()

        async def check() -> Checked:
            async with self._turn:
                attendance.check()
                try:
                    return await asyncio.to_thread(_checked, given, Steps(MAX_STEPS))
                except TooCostlyError:
                    too_much = Unfit("$", f"checking it takes more than {MAX_STEPS} steps")
                    return {(key, pause.pause_id): too_much for key, pause, _ in given}

        # A thread can't be stopped: the next one waits for it, also if this caller does not.
        return await self._completion.of(check(), attendance)


def check_now(pauses: Sequence[PauseRecord], resume: ResumeStart) -> Checked:
    """Returns what comes of checking the answers of a resume to pauses that are open.

    Raises:
        TooCostlyError: It costs too much.
    """
    return _checked(_given(pauses, resume), Steps(MAX_STEPS))


def _given(
    pauses: Sequence[PauseRecord], resume: ResumeStart
) -> list[tuple[str, PauseRecord, Any]]:
    """Returns the answers to questions with a schema: the key of each, its pause, its value."""
    questions = [pause for pause in pauses if pause.kind is PauseKind.INTERRUPT]
    by_key = {pause.interrupt_id: pause for pause in reversed(questions)}
    by_key |= {pause.pause_id: pause for pause in questions}
    found = [(key, by_key[key], value) for key, value in resume.answers if key in by_key]
    if resume.answer is not None and len(questions) == 1:
        found.append(("", questions[0], resume.answer.value))
    return [each for each in found if each[1].response_schema is not None]


def _checked(given: Sequence[tuple[str, PauseRecord, Any]], steps: Steps) -> Checked:
    return {
        (key, pause.pause_id): _problem(pause.response_schema or "", value, steps)
        for key, pause, value in given
    }


def _problem(schema: str, value: Any, steps: Steps) -> Unfit | None:
    try:
        return unfit(read_schema(schema), value, steps)
    except UnusableSchemaError:
        return None  # As the pause says; the engine decides.
