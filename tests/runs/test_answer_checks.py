"""Where answers are checked: on the event loop what is quick, on one thread at a time the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.runs import answer_checks
from graphwire_server.runs.answer_checks import AnswerChecks, check_now
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.request import Given, ResumeStart, RunRequest
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import PauseKind
from graphwire_server.storage.sqlite import SqliteStorage

from tests.storage.builders import a_pause, a_run, a_thread

SCHEMA = '{"items": {"type": "integer"}}'


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    """A storage with a thread that waits at two questions, one of them with a schema."""
    storage = await SqliteStorage.open(tmp_path / "graphwire.db")
    asks = {"kind": PauseKind.INTERRUPT, "thread_id": "thread", "run_id": "run"}
    pauses = [
        a_pause("q", interrupt_id="q-i", response_schema=SCHEMA, **asks),
        a_pause("free", interrupt_id="free-i", **asks),
    ]
    await storage.write(lambda tx: tx.insert_thread(a_thread()))
    await storage.write(lambda tx: tx.insert_run(a_run()))
    await storage.write(lambda tx: tx.insert_pauses(pauses))
    yield storage
    await storage.close()


def answering(**answers: Any) -> RunRequest:
    return RunRequest(
        thread_id="thread",
        assistant_id="",
        start=ResumeStart(answers=tuple(answers.items())),
    )


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads on which something was checked, in turn."""
    found: list[threading.Thread] = []
    checked = answer_checks._checked

    def noted(*args: Any) -> Any:
        found.append(threading.current_thread())
        return checked(*args)

    monkeypatch.setattr(answer_checks, "_checked", noted)
    return found


async def test_only_what_has_a_schema_is_checked_by_either_id(
    storage: Storage, threads: list[threading.Thread]
) -> None:
    checks = AnswerChecks(storage, Completion())
    found = await checks.of(answering(**{"q": [1], "q-i": ["1"], "free": 1, "gone": 1}))
    assert set(found) == {("q", "q"), ("q-i", "q")}
    assert found["q", "q"] is None
    assert found["q-i", "q"] is not None
    assert threads == [threading.main_thread()]
    assert await checks.of(answering(free=1)) == {}
    assert await checks.of(answering()) == {}
    assert len(threads) == 1


async def test_what_takes_long_is_checked_on_a_thread_to_its_limit(
    storage: Storage, threads: list[threading.Thread]
) -> None:
    checks = AnswerChecks(storage, Completion())
    assert await checks.of(answering(q=[1] * 5000)) == {("q", "q"): None}
    assert [thread is threading.main_thread() for thread in threads] == [True, False]
    found = await checks.of(answering(q=[1] * 500_000))
    problem = found["q", "q"]
    assert problem is not None
    assert (problem.json_path, problem.message) == (
        "$",
        "checking it takes more than 300000 steps",
    )


async def test_a_caller_who_has_left_before_his_turn_is_not_served(
    storage: Storage, threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, let_go = AnswerChecks(storage, Completion()), threading.Event()
    at_work, noted = asyncio.Event(), answer_checks._checked
    loop = asyncio.get_running_loop()

    def held(*args: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            loop.call_soon_threadsafe(at_work.set)
            let_go.wait(10)
        return noted(*args)

    monkeypatch.setattr(answer_checks, "_checked", held)
    costly = answering(q=[1] * 5000)
    first = asyncio.create_task(checks.of(costly))
    await at_work.wait()
    second, third = (asyncio.create_task(checks.of(costly)) for _ in range(2))
    while len(threads) < 3:  # Each has tried on the event loop.
        await asyncio.sleep(0)
    second.cancel()
    first.cancel()  # Its thread goes on, and the third waits for it.
    await asyncio.wait([first, second])
    assert not third.done()
    let_go.set()
    assert await third == {("q", "q"): None}
    assert [t is threading.main_thread() for t in threads].count(False) == 2


def test_a_plain_answer_is_for_the_one_question() -> None:
    asked = a_pause("q", kind=PauseKind.INTERRUPT, interrupt_id="i", response_schema=SCHEMA)
    plain = ResumeStart(answer=Given([1]))
    assert check_now([asked, a_pause("b")], plain) == {("", "q"): None}
    other = a_pause("r", kind=PauseKind.INTERRUPT, interrupt_id="j", response_schema=SCHEMA)
    assert check_now([asked, other], plain) == {}
