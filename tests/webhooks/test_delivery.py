"""When webhooks are sent, how many at once, and what is recorded of each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from graphwire_server.storage.interface import Storage, StorageError
from graphwire_server.storage.sql import webhooks as statements
from graphwire_server.storage.sqlite import SqliteStorage
from graphwire_server.storage.webhooks import WEBHOOKS, WebhookRecord, WebhookStatus
from graphwire_server.webhooks.delivery import Deliverer, Schedule
from graphwire_server.webhooks.sender import Answer, Result, Sender
from structlog.testing import capture_logs

DELIVERED, REFUSED = Answer(Result.DELIVERED, 200), Answer(Result.REFUSED, 410, "HTTP 410")
FAILED = Answer(Result.RETRY, 503, "HTTP 503")
QUICK = Schedule(attempts=3, first_seconds=0.01, longest_seconds=0.02, age_seconds=3600)


class Scripted:
    """Takes the place of a sender.

    Attributes:
        sent: What was to be sent, as (id, attempt).
        most: How many were under way at once.
        closed: Whether it was closed.
    """

    def __init__(self, answer: Callable[[str, int], Any]) -> None:
        """Takes what gives the answer to an attempt; what it raises is raised."""
        self.sent: list[tuple[str, int]] = []
        self.most: dict[str, int] = {}
        self.closed = False
        self._answer = answer
        self._now: dict[str, int] = {}

    async def send(self, url: str, *, webhook_id: str, attempt: int, body: bytes) -> Answer:
        """Notes an attempt, and answers."""
        self.sent.append((webhook_id, attempt))
        self._now[url] = self._now.get(url, 0) + 1
        self.most[url] = max(self.most.get(url, 0), self._now[url])
        try:
            answer = self._answer(webhook_id, attempt)
            if asyncio.iscoroutine(answer):
                answer = await answer
            return cast("Answer", answer)
        finally:
            self._now[url] -= 1

    async def close(self) -> None:
        """Notes that it is closed."""
        self.closed = True


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Storage]:
    """A storage of the test's own."""
    storage = await SqliteStorage.open(tmp_path / "graphwire.db")
    yield storage
    await storage.close()


async def add(storage: Storage, *names: str, host: str = "example.com") -> None:
    now = await storage.read(lambda db: db.now())
    for name in names:
        webhook = WebhookRecord(
            webhook_id=name,
            run_id=name,
            thread_id="thread",
            kind="run.succeeded",
            url=f"https://{host}/",
            host=host,
            body="{}",
            create_time=now,
            due_time=now,
        )
        await storage.write(lambda tx, webhook=webhook: tx.insert_webhook(webhook))  # type: ignore[misc]


async def record(storage: Storage, name: str) -> WebhookRecord:
    return (await storage.read(lambda db: db.webhooks_of([name])))[name]


@asynccontextmanager
async def delivering(
    storage: Storage,
    sender: Scripted,
    schedule: Schedule = QUICK,
    *,
    concurrency: int = 16,
) -> AsyncIterator[list[str]]:
    """Delivers; yields the outcomes, and stops at the end."""
    outcomes: list[str] = []
    deliverer = Deliverer(
        storage,
        cast("Sender", sender),
        schedule,
        timeout_seconds=60,
        concurrency=concurrency,
        on_delivered=outcomes.append,
        luck=lambda: 0.5,
    )

    def on_announced(topics: Sequence[str]) -> None:
        if WEBHOOKS in topics:
            deliverer.wake()

    storage.listen(on_announced)
    deliverer.start()
    try:
        yield outcomes
    finally:
        await deliverer.stop(0.1)
        assert sender.closed


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_outcome_is_told_after_each_attempt(kept: Storage) -> None:
    answers = {1: FAILED, 2: FAILED, 3: DELIVERED}
    sender = Scripted(lambda name, attempt: answers[attempt])
    async with delivering(kept, sender) as outcomes:
        await add(kept, "a")
        await until(lambda: len(outcomes) == 3)
    assert outcomes == ["retry", "retry", "delivered"]
    assert sender.sent == [("a", 1), ("a", 2), ("a", 3)]
    assert (await record(kept, "a")).status is WebhookStatus.DELIVERED


@pytest.mark.parametrize(
    "answer, outcomes", [(FAILED, ["retry", "retry", "failed"]), (REFUSED, ["failed"])]
)
async def test_what_is_given_up(kept: Storage, answer: Answer, outcomes: list[str]) -> None:
    sender = Scripted(lambda name, attempt: answer)
    async with delivering(kept, sender) as told:
        await add(kept, "a")
        await until(lambda: len(told) == len(outcomes))
    assert told == outcomes
    ended = await record(kept, "a")
    assert (ended.status, ended.error) == (WebhookStatus.FAILED, answer.error)


async def test_it_is_given_up_when_the_next_attempt_would_come_too_late(kept: Storage) -> None:
    schedule = Schedule(attempts=99, first_seconds=10, longest_seconds=99, age_seconds=5)
    sender = Scripted(lambda name, attempt: FAILED)
    async with delivering(kept, sender, schedule) as outcomes:
        await add(kept, "a")
        await until(lambda: outcomes)
    assert outcomes == ["failed"]


async def test_a_fault_of_the_server_is_an_attempt_that_failed(kept: Storage) -> None:
    def fail(name: str, attempt: int) -> Answer:
        raise RuntimeError("a bug")

    async with delivering(kept, Scripted(fail)) as outcomes:
        await add(kept, "a")
        await until(lambda: len(outcomes) == 3)
    assert outcomes == ["retry", "retry", "failed"]
    assert (await record(kept, "a")).error == "an error inside the server"


async def test_a_slow_receiver_holds_up_nobody_else(kept: Storage) -> None:
    go_on = asyncio.Event()

    async def answer(name: str, attempt: int) -> Answer:
        if name.startswith("slow"):
            await go_on.wait()
        return DELIVERED

    sender = Scripted(answer)
    await add(kept, *(f"slow {number}" for number in range(20)), host="slow")
    await add(kept, *(f"quick {number}" for number in range(20)), host="quick")
    async with delivering(kept, sender, concurrency=8) as outcomes:
        await until(lambda: len(outcomes) == 20)
        assert len(sender.sent) == 22
        go_on.set()
        await until(lambda: len(outcomes) == 40)
    assert sender.most["https://slow/"] == 2
    assert sender.most["https://quick/"] <= 2
    assert len(set(sender.sent)) == 40


async def test_behind_the_backlog_of_a_slow_receiver_others_have_their_turn(
    kept: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "MOST_LOOKED_AT", 1)
    go_on = asyncio.Event()

    async def answer(name: str, attempt: int) -> Answer:
        if name.startswith("slow"):
            await go_on.wait()
        return DELIVERED

    sender = Scripted(answer)
    await add(kept, "slow 1", "slow 2", "slow 3", host="a")
    async with delivering(kept, sender, concurrency=4) as outcomes:
        await until(lambda: sender.sent == [("slow 1", 1)])
        await add(kept, "quick 1", "quick 2", host="b")
        await until(lambda: len(outcomes) == 2)
        assert sender.sent == [("slow 1", 1), ("quick 1", 1), ("quick 2", 1)]
        go_on.set()
        await until(lambda: len(outcomes) == 5)


async def test_what_cannot_be_sent_in_time_is_given_back(kept: Storage) -> None:
    async def never(name: str, attempt: int) -> Answer:
        await asyncio.Event().wait()
        return DELIVERED

    async with delivering(kept, Scripted(never)) as outcomes:
        await add(kept, "a")
        sender = Scripted(lambda name, attempt: DELIVERED)
        while (await record(kept, "a")).attempt == 0:
            await asyncio.sleep(0.001)
    assert outcomes == []
    left = await record(kept, "a")
    assert (left.status, left.error) == (
        WebhookStatus.PENDING,
        "the server stopped during the attempt",
    )
    async with delivering(kept, sender) as outcomes:
        await until(lambda: outcomes)
    assert sender.sent == [("a", 2)]


async def test_what_is_under_way_may_end(kept: Storage) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def answer(name: str, attempt: int) -> Answer:
        began.set()
        await go_on.wait()
        return DELIVERED

    async with delivering(kept, Scripted(answer)) as outcomes:
        await add(kept, "a")
        await began.wait()
        asyncio.get_running_loop().call_soon(go_on.set)
    assert outcomes == ["delivered"]


@pytest.mark.parametrize(
    ("error", "level"),
    [(StorageError("it is away"), "warning"), (ValueError("a fault of ours"), "error")],
)
async def test_neither_an_outage_of_the_database_nor_a_fault_ends_it(
    kept: Storage, monkeypatch: pytest.MonkeyPatch, error: Exception, level: str
) -> None:
    read, failures = kept.read, 0

    async def fail_first(*args: Any, **options: Any) -> Any:
        nonlocal failures
        if not failures:
            failures += 1
            raise error
        return await read(*args, **options)

    monkeypatch.setattr(kept, "read", fail_first)
    sender = Scripted(lambda name, attempt: DELIVERED)
    with capture_logs() as lines:
        async with delivering(kept, sender) as outcomes:
            await until(lambda: failures)
            monkeypatch.undo()
            await add(kept, "a")
            await until(lambda: outcomes)
    assert outcomes == ["delivered"]
    said = [line for line in lines if line["event"] == "webhooks_not_looked_for"]
    assert [(line["log_level"], line["exc_info"]) for line in said] == [(level, True)]


def test_waits_are_three_times_as_long_each_time_up_to_the_longest() -> None:
    schedule = Schedule(attempts=20, first_seconds=2, longest_seconds=3600, age_seconds=86400)
    assert [schedule.wait(attempt, None, 0) for attempt in range(1, 9)] == [
        2, 6, 18, 54, 162, 486, 1458, 3600,
    ]  # fmt: skip
    assert schedule.wait(10_000, None, 0) == 3600
    assert [schedule.wait(2, None, luck) for luck in (0, 0.5, 1)] == [6, 4.5, 3]


def test_a_receiver_may_ask_for_more_time_within_bounds() -> None:
    schedule = Schedule(attempts=20, first_seconds=2, longest_seconds=3600, age_seconds=86400)
    assert schedule.wait(1, 60, 0) == 60
    assert schedule.wait(1, 0, 0) == 2
    assert schedule.wait(1, 1e9, 0) == 3600
    assert schedule.wait(1, 1e9, 1) == 3600
