"""Resumes, answers, edits and input for one pause at the same time: one of them is carried out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from graphwire.v1 import run_pb2

from tests.e2e.callers import race
from tests.e2e.drive import payload
from tests.e2e.driven import DrivenThread, resume

DISCARD = run_pb2.ON_PAUSE_DISCARD

ROUNDS = 15
AT_ONCE = 8


def go_on(thread: DrivenThread, **fields: Any) -> str:
    """Starts a resume in the background and returns the id of its run."""
    return thread.create(resume=resume(fields))


def edit_at(thread: DrivenThread, checkpoint_id: str) -> str:
    """Edits the state, if it is still at a checkpoint, and returns the new one."""
    return thread.edit({"log": ["edit"]}, expected_checkpoint_id=checkpoint_id).checkpoint_id


def is_run(result: str) -> bool:
    return not result.isupper()


@pytest.mark.parametrize("how", ["everything", "pause_ids", "expected_checkpoint_id", "together"])
def test_of_many_resumes_of_a_breakpoint_at_once_exactly_one_is_carried_out(
    new: Callable[[], DrivenThread], how: str
) -> None:
    refusals: Counter[str] = Counter()
    for _ in range(ROUNDS):
        thread = new()
        thread.start("linear", interrupt_before=["b"])
        (pause,) = thread.pauses
        ways: dict[str, dict[str, Any]] = {
            "everything": {},
            "pause_ids": {"pause_ids": [pause.pause_id]},
            "expected_checkpoint_id": {"expected_checkpoint_id": pause.checkpoint_id},
        }
        chosen = [ways[how]] * AT_ONCE if how in ways else [*ways.values()] * 3
        results = race(*(partial(go_on, thread, **way) for way in chosen))
        (winner,) = filter(is_run, results)
        thread.wait(winner)
        refusals.update(result for result in results if result != winner)
        # What ran twice would be twice in the log.
        assert thread.log == ["in", "a", "b", "c"]
        assert [run.run_id for run in thread.runs()][:-1] == [winner]
    late = {
        "everything": {"NOTHING_TO_RESUME"},
        "pause_ids": {"PAUSE_NOT_OPEN"},
        "expected_checkpoint_id": {"PAUSE_NOT_OPEN"},
    }
    busy = {"THREAD_BUSY"} if how in ("everything", "together") else set()
    assert set(refusals) <= busy | late.get(how, set().union(*late.values()))


@pytest.mark.parametrize("by", ["pause_id", "interrupt_id", "answer"])
def test_of_many_answers_at_once_exactly_one_reaches_the_question(
    new: Callable[[], DrivenThread], by: str
) -> None:
    for _ in range(ROUNDS):
        thread = new()
        thread.start("ask")
        (pause,) = thread.pauses
        key = getattr(pause, by, "")
        answers = [{"answers": {key: n}} if key else {"answer": n} for n in range(AT_ONCE)]
        results = race(*(partial(go_on, thread, **answer) for answer in answers))
        (winner,) = filter(is_run, results)
        thread.wait(winner)
        assert thread.log == ["in", f"name: {results.index(winner)}", "after"]
        assert {*results} - {winner} <= {"THREAD_BUSY", "PAUSE_NOT_OPEN"}


def test_answers_at_once_to_different_questions_are_never_mixed_up(
    new: Callable[[], DrivenThread],
) -> None:
    for _ in range(ROUNDS):
        thread = new()
        thread.start("ask_parallel")
        waiting = {pause.pause_id: pause.node for pause in thread.pauses}
        while waiting:
            results = race(
                *(partial(go_on, thread, answers={key: node}) for key, node in waiting.items())
            )
            for key, result in zip(list(waiting), results, strict=True):
                if is_run(result):
                    thread.wait(result)
                    del waiting[key]
                else:
                    assert result == "THREAD_BUSY"
        assert sorted(thread.log) == ["done", "in", "left: 'left'", "right: 'right'"]
        assert thread.status == "IDLE"


def test_a_resume_and_an_edit_at_once_leave_no_mixture(new: Callable[[], DrivenThread]) -> None:
    for _ in range(ROUNDS):
        thread = new()
        thread.start("linear", interrupt_before=["b"])
        (pause,) = thread.pauses
        edited, resumed = race(
            partial(edit_at, thread, pause.checkpoint_id),
            partial(go_on, thread, pause_ids=[pause.pause_id]),
        )
        if is_run(edited):
            assert resumed == "PAUSE_NOT_OPEN"
            assert thread.log == ["in", "a", "edit"]
            assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
            assert thread.pauses[0].pause_id != pause.pause_id
        else:
            assert edited in {"THREAD_BUSY", "CHECKPOINT_MISMATCH"}
            thread.wait(resumed)
            assert thread.log == ["in", "a", "b", "c"]


def test_a_resume_and_input_that_discards_the_pause_at_once_leave_no_mixture(
    new: Callable[[], DrivenThread],
) -> None:
    for _ in range(ROUNDS):
        thread = new()
        thread.start("linear", interrupt_before=["b"])
        (pause,) = thread.pauses
        given = payload({"log": ["new"]})
        discarded, resumed = race(
            partial(thread.create, assistant_id="linear", input=given, on_pause=DISCARD),
            partial(go_on, thread, pause_ids=[pause.pause_id]),
        )
        for result in filter(is_run, (discarded, resumed)):
            thread.wait(result)
        log = thread.log
        if not is_run(resumed):
            assert resumed in {"THREAD_BUSY", "PAUSE_NOT_OPEN"}
            assert log == ["in", "a", "new", "a", "b", "c"]
        elif not is_run(discarded):
            assert discarded == "THREAD_BUSY"
            assert log == ["in", "a", "b", "c"]
        else:  # the resume was over before the input came
            assert log == ["in", "a", "b", "c", "new", "a", "b", "c"]
