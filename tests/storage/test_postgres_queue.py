"""Postgres: two servers claim from one queue, fairly, nothing twice, and never too much of one."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from functools import partial

from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.postgres import PostgresStorage
from graphwire_server.storage.records import RunStatus, ThreadStatus

from .builders import a_run, a_thread
from .two_servers import TIMEOUT, Deciding, joined, waiting_for_locks

RUNNING = RunStatus.RUNNING


async def add_queued(storage: Storage, **runs: int) -> None:
    """Adds so many PENDING runs of each principal, each on a thread of its own."""

    def insert(tx: Transaction) -> None:
        for principal, count in runs.items():
            for name in (f"{principal}-{i}" for i in range(count)):
                tx.insert_thread(a_thread(name))
                tx.insert_run(a_run(name, name, principal=principal))

    await storage.write(insert)


def claim_three(server: str, tx: Transaction) -> list[str]:
    return [run.run_id for run in tx.claim_due(server, limit=3, most_of_one=2)]


def succeed(run_id: str, tx: Transaction) -> bool:
    return bool(tx.change_run(run_id, RunStatus.SUCCEEDED, now=5))


class Starting:
    """A work that starts a run of "me" if it may, and is committed when it is told to be."""

    def __init__(self, storage: Storage, run_id: str) -> None:
        self.started = threading.Event()
        self.go_on = threading.Event()
        self._run_id = run_id
        self.task = asyncio.create_task(storage.write(self))

    def __call__(self, tx: Transaction) -> bool:
        may = tx.may_run("me", most=1)
        if may:
            tx.insert_thread(a_thread(self._run_id))
            tx.insert_run(a_run(self._run_id, self._run_id, principal="me", status=RUNNING))
        self.started.set()
        assert self.go_on.wait(TIMEOUT)
        return may

    async def until_it_has_decided(self) -> None:
        assert await asyncio.to_thread(self.started.wait, TIMEOUT)


async def test_of_two_servers_that_start_a_run_of_one_only_one_may(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    def may(tx: Transaction) -> bool:
        return tx.may_run("me", most=1)

    await add_queued(b, me=1, you=1)
    starting = Starting(a, "first")
    await starting.until_it_has_decided()
    # It is not committed yet, so that nobody else can count it; and nobody waits for that.
    assert not await b.write(may)
    assert await b.write(lambda tx: tx.may_run("you", most=1))

    def claim(tx: Transaction) -> tuple[list[str], bool]:
        claimed = tx.claim_due("b", limit=5, most_of_one=1)
        return [run.run_id for run in claimed], tx.claim_is_open

    assert await b.write(claim) == (["you-0"], True)
    starting.go_on.set()
    assert await starting.task
    assert not await b.write(may)
    assert await b.write(claim) == ([], False)
    assert await a.write(lambda tx: tx.change_run("first", RunStatus.SUCCEEDED, now=5))
    assert await b.write(may)
    assert await b.write(claim) == (["me-0"], False)


async def test_two_servers_claim_nothing_twice_and_no_more_than_the_most_of_one(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add_queued(a, many=60, some=20, single=1)
    at_work: Counter[str] = Counter()

    def claim(server: str, tx: Transaction) -> tuple[list[str], dict[str, int]]:
        claimed = claim_three(server, tx)
        return claimed, {who: tx.running_runs(who) for who in ("many", "some", "single")}

    async def serve(storage: Storage, server: str) -> None:
        while len(at_work) < 81:
            claimed, counts = await storage.write(partial(claim, server))
            assert max(counts.values()) <= 2, counts
            at_work.update(claimed)
            for run_id in claimed:
                assert await storage.write(partial(succeed, run_id))

    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(serve(a, "a"), serve(b, "b"))
    assert set(at_work.values()) == {1}
    assert len(at_work) == 81


async def test_two_servers_share_their_slots_out_fairly(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add_queued(a, many=60, some=20, single=1)
    names: list[str] = []
    by: Counter[str] = Counter()
    servers = itertools.cycle([(a, "a"), (b, "b")])
    while len(names) < 81:
        storage, server = next(servers)
        claimed = await storage.write(partial(claim_three, server))
        assert claimed
        by[server] += len(claimed)
        names.extend(claimed)
        for run_id in claimed:
            assert await storage.write(partial(succeed, run_id))
    assert len(set(names)) == 81
    assert min(by.values()) > 35
    # Whoever has one run, or twenty, does not wait for the sixty of another.
    assert names.index("single-0") < 3
    assert max(names.index(f"some-{i}") for i in range(20)) < 45
    for who, count in {"many": 60, "some": 20}.items():
        of_one = [name for name in names if name.startswith(who)]
        assert sorted(of_one) == sorted(f"{who}-{i}" for i in range(count))


async def test_a_run_added_while_its_thread_goes_on_is_not_left_behind(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    paused = a_thread("t", status=ThreadStatus.INTERRUPTED)
    await a.write(lambda tx: tx.insert_thread(paused))
    added, go_on = threading.Event(), threading.Event()

    def insert(tx: Transaction) -> None:
        assert tx.thread("t") == paused
        tx.insert_run(a_run("waits", "t"))
        added.set()
        assert go_on.wait(TIMEOUT)

    inserting = asyncio.create_task(a.write(insert))
    assert await asyncio.to_thread(added.wait, TIMEOUT)
    going_on = asyncio.create_task(
        b.write(lambda tx: tx.update_thread("t", now=5, status=ThreadStatus.IDLE))
    )
    await waiting_for_locks(a)
    go_on.set()
    await asyncio.gather(inserting, going_on)
    claimed = await a.write(lambda tx: tx.claim_due("a", limit=5))
    assert [run.run_id for run in claimed] == ["waits"]


async def test_a_run_whose_time_comes_while_its_thread_goes_on_is_not_left_behind(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    late = "UPDATE gw_runs SET waits_for = 'TIME'"

    def insert(tx: Transaction) -> None:
        tx.insert_thread(a_thread("t", status=ThreadStatus.INTERRUPTED))
        tx.insert_run(a_run("waits", "t"))
        tx._execute(late)  # type: ignore[attr-defined]

    await a.write(insert)
    deciding = Deciding(b, "t")
    await deciding.until_it_has_read()
    # Who decides on the thread may let it go on: what the run waits for is open.
    assert await a.write(lambda tx: tx.claim_due("a", limit=5)) == []
    assert await a.read(lambda r: r.has_due_run())
    await deciding.finish()
    assert await a.write(lambda tx: tx.claim_due("a", limit=5)) == []
    assert not await a.read(lambda r: r.has_due_run())
    await b.write(lambda tx: tx.update_thread("t", now=5, status=ThreadStatus.IDLE))
    claimed = await a.write(lambda tx: tx.claim_due("a", limit=5))
    assert [run.run_id for run in claimed] == ["waits"]


async def test_what_an_older_server_has_left_behind_is_found_when_one_joins(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add_queued(a, me=2)
    left = "UPDATE gw_runs SET waits_for = 'THREAD' WHERE run_id = 'me-0'"
    await a.write(lambda tx: tx._execute(left))  # type: ignore[attr-defined]
    assert len(await a.write(lambda tx: tx.claim_due("a", limit=5))) == 1
    await joined(b, "another")
    claimed = await a.write(lambda tx: tx.claim_due("a", limit=5))
    assert [run.run_id for run in claimed] == ["me-0"]


async def test_servers_without_a_limit_lock_nobody(a: PostgresStorage, b: PostgresStorage) -> None:
    await add_queued(a, me=2, you=2)
    claimed = await b.write(lambda tx: tx.claim_due("b", limit=9))
    assert len(claimed) == 4
    held = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'"

    def claim(tx: Transaction) -> int:
        tx.claim_due("a", limit=9)
        return int(tx._execute(held).fetchone()[0])  # type: ignore[attr-defined]

    assert await a.write(claim) == 0
