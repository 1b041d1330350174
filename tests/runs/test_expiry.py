"""Pauses whose time is over, beside others that can't be seen to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from graphwire import errors
from graphwire_server.graphs.breakpoints import OnExpiry
from graphwire_server.runs.expiry import Expiry
from graphwire_server.runs.request import RunRequest
from graphwire_server.storage.records import PauseKind, PauseRecord, ThreadStatus
from graphwire_server.storage.sqlite import SqliteStorage
from structlog.testing import capture_logs

from tests.storage.builders import a_pause, a_thread, add


class Runs:
    """Starts no runs: notes on which threads some are wanted, and raises for some of these."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.broken: dict[str, type[Exception]] = {}
        self.slow: set[str] = set()
        self.go_on = asyncio.Event()
        self.at_once = self.most = 0

    async def start(self, request: RunRequest, **_: Any) -> Any:
        self.wanted.append(request.thread_id)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if request.thread_id in self.slow:
            await self.go_on.wait()
        self.at_once -= 1
        raise self.broken.get(request.thread_id, errors.PauseNotOpenError)("not now")


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    storage = await SqliteStorage.open(tmp_path / "graphwire.db")
    yield storage
    await storage.close()


def expired(thread_id: str, on_expiry: str, name: str = "p") -> PauseRecord:
    return a_pause(
        f"{thread_id} {name}",
        thread_id=thread_id,
        kind=PauseKind.BREAKPOINT_BEFORE,
        expire_time=1,
        on_expiry=on_expiry,
    )


async def paused(storage: SqliteStorage, thread_id: str, *pauses: PauseRecord) -> None:
    await add(storage, a_thread(thread_id, status=ThreadStatus.INTERRUPTED), *pauses)


@pytest.mark.parametrize("error", [errors.GraphUnavailableError, RuntimeError])
async def test_those_that_fail_keep_no_others_waiting(
    sqlite: SqliteStorage, error: type[Exception]
) -> None:
    runs = Runs()
    names = [f"{number:03}" for number in range(250)]
    for name in names:
        await paused(sqlite, name, expired(name, OnExpiry.RESUME))
    await paused(sqlite, "last", expired("last", OnExpiry.CANCEL))
    runs.broken = dict.fromkeys(names, error)
    expiry = Expiry(sqlite, runs, poll_seconds=60)  # type: ignore[arg-type]  # all that it uses
    assert await expiry.act() == 60
    assert runs.wanted == names
    assert await sqlite.read(lambda db: db.open_pauses("last")) == []
    # They are tried again, but not at once.
    await expiry.act()
    assert runs.wanted == names


async def test_those_that_take_long_keep_no_others_waiting(sqlite: SqliteStorage) -> None:
    runs = Runs()
    runs.slow = {f"slow {number}" for number in range(7)}
    names = [*sorted(runs.slow), *(f"{number:03}" for number in range(150))]
    for name in names:
        await paused(sqlite, name, expired(name, OnExpiry.RESUME))
    await paused(sqlite, "last", expired("last", OnExpiry.CANCEL))
    expiry = Expiry(sqlite, runs, poll_seconds=60)  # type: ignore[arg-type]  # all that it uses
    # It looks again soon; those that take long are not begun again meanwhile.
    assert await expiry.act() == 1
    assert runs.wanted == names
    assert await sqlite.read(lambda db: db.open_pauses("last")) == []
    await expiry.act()
    assert [name for name in runs.wanted if name in runs.slow] == sorted(runs.slow)
    assert runs.most == 8
    runs.go_on.set()
    await expiry.stop()
    assert runs.at_once == 0


async def test_what_never_comes_to_an_end_does_not_keep_it_from_stopping(
    sqlite: SqliteStorage,
) -> None:
    runs = Runs()
    names = [f"{number:02}" for number in range(10)]  # more than are seen to at once
    runs.slow = set(names)
    for name in names:
        await paused(sqlite, name, expired(name, OnExpiry.RESUME))
    expiry = Expiry(sqlite, runs, poll_seconds=60)  # type: ignore[arg-type]  # all that it uses
    expiry.start()
    async with asyncio.timeout(30):
        while len(runs.wanted) < 8:
            await asyncio.sleep(0.001)
        await expiry.stop()
    assert len(runs.wanted) == 8
    assert len(await sqlite.read(lambda db: db.open_pauses("00"))) == 1


async def test_only_so_many_are_seen_to_at_once(sqlite: SqliteStorage) -> None:
    runs = Runs()
    names = [f"{number:02}" for number in range(20)]
    runs.slow = set(names)
    for name in names:
        await paused(sqlite, name, expired(name, OnExpiry.RESUME))
    expiry = Expiry(sqlite, runs, poll_seconds=60)  # type: ignore[arg-type]  # all that it uses
    acting = asyncio.create_task(expiry.act())
    async with asyncio.timeout(30):
        while len(runs.wanted) < 8:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert runs.wanted == names[:8]
        runs.go_on.set()
        assert await acting == 60
    assert (runs.wanted, runs.most) == (names, 8)


async def test_of_those_that_expire_together_one_may_be_seen_to_by_somebody_else(
    sqlite: SqliteStorage,
) -> None:
    """What gave the thread up is gone; what would go on by itself does not give it up."""
    both = [expired("t", OnExpiry.CANCEL, "a"), expired("t", OnExpiry.RESUME, "b")]
    await paused(sqlite, "t", both[1])
    expiry = Expiry(sqlite, Runs(), poll_seconds=60)  # type: ignore[arg-type]  # all that it uses
    assert not await expiry._act_on("t", both)  # as they were read a moment ago
    assert await sqlite.read(lambda db: db.open_pauses("t")) == [both[1]]


async def test_a_fault_of_the_server_ends_nothing(
    sqlite: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, failed = Runs(), asyncio.Event()
    await paused(sqlite, "late", expired("late", OnExpiry.RESUME))

    async def fail(*args: Any, **options: Any) -> Any:
        monkeypatch.undo()
        failed.set()
        raise ValueError("a fault of ours")

    monkeypatch.setattr(sqlite, "read", fail)
    expiry = Expiry(sqlite, runs, poll_seconds=0.01)  # type: ignore[arg-type]  # all that it uses
    with capture_logs() as lines:
        expiry.start()
        async with asyncio.timeout(30):
            await failed.wait()
            while not runs.wanted:
                await asyncio.sleep(0.001)
        await expiry.stop()
    assert runs.wanted == ["late"]
    assert [line["log_level"] for line in lines if line["event"] == "expiry_not_looked_for"] == [
        "error"
    ]
