"""Postgres: transactions of several servers commit in any order, and the log loses nothing."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable

from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.postgres import PostgresStorage
from graphwire_server.storage.records import LOG_START, ChangePlace, RunStatus

from .builders import a_pause, a_run, a_thread, add

TIMEOUT = 30


class Slow:
    """A write that has begun, and is committed when it is told to."""

    def __init__(self, storage: PostgresStorage, work: Callable[[Transaction], None]) -> None:
        self._begun, self._go_on = threading.Event(), threading.Event()
        self._work = work
        self.task = asyncio.create_task(storage.write(self))

    def __call__(self, tx: Transaction) -> None:
        tx.now()
        self._begun.set()
        assert self._go_on.wait(TIMEOUT)
        self._work(tx)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, TIMEOUT)

    async def commit(self) -> None:
        self._go_on.set()
        await self.task


async def subjects(storage: PostgresStorage, after: ChangePlace = LOG_START) -> list[str]:
    page = await storage.read(lambda db: db.changes(after=after, limit=99))
    return [change.subject for change in page.changes]


async def test_what_is_committed_out_of_order_is_read_in_order(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add(a, a_thread(), a_pause("before"))
    slow = Slow(a, lambda tx: tx.insert_pauses([a_pause("slow")]))
    await slow.begun()
    await add(b, a_pause("fast"))
    # It began later and ended earlier: who read it now would never see the other.
    page = await b.read(lambda db: db.changes(after=LOG_START, limit=99))
    assert [change.subject for change in page.changes] == ["before"]
    assert page.more_soon
    cursor = page.changes[-1].place
    end = await b.read(lambda db: db.end_of_changes())
    assert (end.place, len(end.ahead)) == (cursor, 1)

    await slow.commit()
    page = await b.read(lambda db: db.changes(after=cursor, limit=99))
    assert [change.subject for change in page.changes] == ["slow", "fast"]
    assert not page.more_soon
    assert page.changes[1].place.number in end.ahead


async def test_a_reader_that_goes_on_from_what_it_has_read_misses_nothing(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add(a, a_thread())
    names = [f"{number}" for number in range(120)]
    done = asyncio.Event()

    async def write(storage: PostgresStorage, mine: list[str]) -> None:
        for name in mine:
            await add(storage, a_pause(name))
            await asyncio.sleep(random.uniform(0, 0.002))

    async def read() -> list[str]:
        seen: list[str] = []
        place = LOG_START
        while True:
            over = done.is_set()
            page = await b.read(lambda db, p=place: db.changes(after=p, limit=7))  # type: ignore[misc]
            seen += [change.subject for change in page.changes]
            place = page.changes[-1].place if page.changes else place
            if over and not page.changes and not page.more_soon:
                return seen

    reading = asyncio.create_task(read())
    await asyncio.gather(write(a, names[::2]), write(b, names[1::2]))
    done.set()
    async with asyncio.timeout(TIMEOUT):
        seen = await reading
    assert len(seen) == len(names)
    assert set(seen) == set(names)
    assert [name for name in seen if int(name) % 2 == 0] == names[::2]
    assert [name for name in seen if int(name) % 2] == names[1::2]


async def test_two_servers_that_clear_up_remove_each_change_once(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add(a, a_thread(), *(a_pause(f"{n}", create_time=n) for n in range(100)))
    last = (await a.read(lambda db: db.changes(after=LOG_START, limit=999))).changes[89].place
    removed = await asyncio.gather(
        *(s.write(lambda tx: tx.remove_changes(before=90, limit=999)) for s in (a, b, a, b))
    )
    assert sum(removed) == 90
    assert len(await subjects(b)) == 10
    page = await b.read(lambda db: db.changes(after=LOG_START, limit=1))
    assert page.removed == last


async def test_runs_of_one_thread_that_begin_and_end_on_two_servers_get_places_of_their_own(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    names = [f"{number:02}" for number in range(40)]
    await add(a, a_thread(), *(a_run(name) for name in names))

    async def claim_and_end(storage: PostgresStorage, server_id: str) -> None:
        def work(tx: Transaction) -> bool:
            for run in tx.claim_due(server_id, limit=1):
                assert tx.change_run(run.run_id, RunStatus.SUCCEEDED, now=5)
            return tx.has_active_run("thread")

        while await storage.write(work):
            await asyncio.sleep(0)

    async def cancel(storage: PostgresStorage, mine: list[str]) -> None:
        for name in mine:
            await storage.write(
                lambda tx, name=name: tx.change_run(name, RunStatus.CANCELLED, now=6)  # type: ignore[misc]
            )

    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(
            claim_and_end(a, "a"),
            claim_and_end(b, "b"),
            cancel(a, names[:4:-2]),
            cancel(b, names[:4:-3]),
        )
    places = await a.read(lambda db: [db.place_of(name) for name in names])
    assert sorted(places) == list(range(1, 41))
