"""What health says while everything that reads is busy with something slow."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import pytest
from graphwire_server.runs.vitals import Condition, Vitals
from graphwire_server.storage.interface import Reader, Storage, Transaction

#: How long, in seconds, what is waited for may take on a busy machine.
PATIENCE = 30


class Alive:
    """A lease that is held, and an executor that claims runs."""

    alive = True

    def silent_for(self) -> float:
        """As `Membership`."""
        return 0.0


async def test_the_database_answers_while_all_that_read_are_busy(storage: Storage) -> None:
    go_on, reading = threading.Event(), threading.Semaphore(0)

    def slow(db: Reader) -> int:
        reading.release()
        assert go_on.wait(PATIENCE)
        return db.now()

    count = storage.load().readers
    reads = [asyncio.create_task(storage.read(slow)) for _ in range(count)]
    try:
        for _ in reads:
            assert await asyncio.to_thread(reading.acquire, timeout=PATIENCE)
        assert storage.load().readers_busy == count
        told: list[Condition] = []
        alive = cast("Any", Alive())
        vitals = Vitals(storage, alive, alive, told.append, lease_seconds=2 * PATIENCE)
        for _ in range(3):
            vitals._ask()
            assert vitals._asking is not None
            async with asyncio.timeout(PATIENCE / 3):
                await vitals._asking
        vitals._look()
        assert told == [Condition(database=True, executor=True, serving=True)]
        assert storage.load().readers_busy == count
    finally:
        go_on.set()
        await asyncio.gather(*reads)


async def test_a_write_that_waits_for_long_is_as_good_as_none(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, writing = threading.Event(), threading.Event()

    def wait(tx: Transaction) -> None:
        writing.set()
        assert go_on.wait(PATIENCE)

    told: list[Condition] = []
    alive = cast("Any", Alive())
    vitals = Vitals(storage, alive, alive, told.append, lease_seconds=2 * PATIENCE)
    vitals._look()
    held = asyncio.create_task(storage.write(wait, long=True))
    try:
        assert await asyncio.to_thread(writing.wait, PATIENCE)
        vitals._look()
        monkeypatch.setattr("graphwire_server.runs.vitals._STUCK", 0.0)
        vitals._look()
    finally:
        go_on.set()
        await held
    vitals._look()
    assert [condition.database for condition in told] == [True, False, True]


async def test_a_question_that_nobody_waits_for_is_ended_and_the_next_is_answered(
    storage: Storage,
) -> None:
    for _ in range(5):
        asking = asyncio.create_task(storage.answer())
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
    async with asyncio.timeout(PATIENCE):
        await storage.answer()
