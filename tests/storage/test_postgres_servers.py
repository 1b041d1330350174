"""Postgres: two servers on one database decide one after the other, and tell each other."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from graphwire_server.storage.interface import IntegrityError, LeaseLostError, Storage, Transaction
from graphwire_server.storage.postgres import PostgresStorage, announcements
from graphwire_server.storage.records import (
    Lease,
    PauseStatus,
    RunStatus,
    TakenOver,
    ThreadStatus,
)

from .builders import A_DAY, a_pause, a_run, a_thread, add, an_event
from .conftest import OpenPostgres
from .test_announcements import Heard
from .two_servers import TIMEOUT, Deciding, joined, waiting_for_locks

RUNNING = RunStatus.RUNNING


async def test_who_decides_on_a_thread_sees_what_was_decided_before(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add(a, a_thread(values='{"old": 1}'))
    first = Deciding(a)
    await first.until_it_has_read()
    second = asyncio.create_task(b.write(lambda tx: tx.thread("thread", values=True)))
    await waiting_for_locks(b)
    await first.finish()
    seen = await second
    assert seen == a_thread(
        update_time=7,
        state_update_time=7,
        metadata='{"decided": 1}',
        checkpoint_id="c",
        values="{}",
    )


async def test_what_is_only_read_waits_for_nobody(a: PostgresStorage, b: PostgresStorage) -> None:
    await add(a, a_thread())
    deciding = Deciding(a)
    await deciding.until_it_has_read()
    assert await b.read(lambda r: r.thread("thread")) == a_thread()
    await deciding.finish()


async def test_rows_can_be_added_to_a_thread_that_somebody_decides_on(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add(a, a_thread())
    deciding = Deciding(a)
    await deciding.until_it_has_read()
    await add(b, a_run(), a_pause(), an_event(1))
    await deciding.finish()


async def test_a_run_that_was_read_is_not_changed_by_others(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add(a, a_thread(), a_run(status=RUNNING, lease=Lease("a", 1)))
    started, go_on = threading.Event(), threading.Event()

    def deciding(tx: Transaction) -> RunStatus | None:
        tx.run("run")
        started.set()
        assert go_on.wait(TIMEOUT)
        run = tx.run("run")
        return run.status if run else None

    first = asyncio.create_task(a.write(deciding))
    assert await asyncio.to_thread(started.wait, TIMEOUT)
    second = asyncio.create_task(b.write(lambda tx: tx.change_run("run", RunStatus.FAILED, now=1)))
    await waiting_for_locks(b)
    go_on.set()
    assert await first is RUNNING
    assert await second is True


async def test_of_two_servers_that_answer_a_pause_one_wins(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    names = [f"{number}" for number in range(40)]
    await add(a, *(a_thread(name) for name in names), *(a_pause(name, name) for name in names))

    def answer(name: str, by: str, tx: Transaction) -> bool:
        thread = tx.thread(name)
        assert thread is not None
        if not tx.open_pauses(name):
            return False
        assert tx.resolve_pause(name, PauseStatus.RESUMED, now=1, by_run_id=by)
        tx.update_thread(name, now=1, status=ThreadStatus.BUSY)
        tx.insert_run(a_run(f"{name}-{by}", name, status=RUNNING, lease=Lease(by, 1)))
        return True

    won = await asyncio.gather(
        *(
            storage.write(partial(answer, name, by))
            for name in names
            for storage, by in ((a, "a"), (b, "b"))
        )
    )
    assert [sum(pair) for pair in zip(won[::2], won[1::2], strict=True)] == [1] * len(names)


async def test_of_two_servers_that_claim_each_gets_others(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    names = [f"{number:03}" for number in range(60)]
    await add(a, *(a_thread(name) for name in names))
    await add(a, *(a_run(f"{name}-{number}", name) for number in (1, 2) for name in names))

    async def claim(storage: Storage, server_id: str) -> list[str]:
        found: list[str] = []
        while runs := await storage.write(lambda tx: tx.claim_due(server_id, limit=3)):
            assert {run.lease for run in runs} == {Lease(server_id, 1)}
            found += [run.run_id for run in runs]
        return found

    claimed = await asyncio.gather(claim(a, "a"), claim(b, "b"))
    # Of those that were locked just then the last ones may be left.
    rest = await claim(a, "a")
    assert sorted([*claimed[0], *claimed[1], *rest]) == [f"{name}-1" for name in names]


async def test_a_run_of_a_thread_that_somebody_decides_on_is_not_claimed(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    await add(a, a_thread(), a_thread("free"), a_run(), a_run("free", "free"))
    deciding = Deciding(a)
    await deciding.until_it_has_read()
    claimed = await b.write(lambda tx: tx.claim_due("b", limit=9))
    assert [run.run_id for run in claimed] == ["free"]
    await deciding.finish()
    claimed = await b.write(lambda tx: tx.claim_due("b", limit=9))
    assert [run.run_id for run in claimed] == ["run"]


async def test_claims_never_start_a_second_run_of_a_thread(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    names = [f"{number:02}" for number in range(30)]
    await add(a, *(a_thread(name) for name in names))
    await add(a, *(a_run(f"{name}-queued", name) for name in names))

    def start(name: str, tx: Transaction) -> bool:
        tx.thread(name)
        if any(run.status is RUNNING for run in tx.active_runs(name)):
            return False
        tx.insert_run(a_run(f"{name}-now", name, status=RUNNING, lease=Lease("a", 1)))
        return True

    async def claim() -> int:
        count = 0
        for _ in names:
            count += len(await b.write(lambda tx: tx.claim_due("b", limit=4)))
        return count

    *started, claimed = await asyncio.gather(*(a.write(partial(start, n)) for n in names), claim())
    assert sum(started) + claimed == len(names)
    for name in names:
        runs = await a.read(lambda r, name=name: r.active_runs(name))  # type: ignore[misc]
        assert [run.status for run in runs].count(RUNNING) == 1


async def test_a_run_that_is_held_is_not_claimed_before_the_commit(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    lease = Lease("a", 1)
    await add(a, a_thread(), a_run(status=RUNNING, lease=lease, attempt=1))
    held, go_on = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        tx.hold("run", lease)
        held.set()
        assert go_on.wait(TIMEOUT)
        tx.append_events([an_event(1)])

    writing = asyncio.create_task(a.write(work))
    assert await asyncio.to_thread(held.wait, TIMEOUT)
    # The lease ends while the write is under way.
    await b.write(lambda tx: tx.leave_servers("a"))
    assert await b.write(lambda tx: tx.claim_lost("b", limit=9)) == []
    go_on.set()
    await writing

    (claimed,) = await b.write(lambda tx: tx.claim_lost("b", limit=9))
    assert claimed.run == a_run(
        status=RUNNING, lease=Lease("b", 2), attempt=2, losses=1, last_sequence=1
    )
    with pytest.raises(LeaseLostError):
        await a.write(lambda tx: tx.hold("run", lease))


async def test_who_waits_for_a_run_that_is_claimed_meanwhile_does_not_hold_it(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    lease = Lease("a", 1)
    await add(a, a_thread(), a_run(status=RUNNING, lease=lease))
    await b.write(lambda tx: tx.leave_servers("a"))
    claimed, go_on = threading.Event(), threading.Event()

    def claim(tx: Transaction) -> int:
        runs = tx.claim_lost("b", limit=9)
        claimed.set()
        assert go_on.wait(TIMEOUT)
        return len(runs)

    claiming = asyncio.create_task(b.write(claim))
    assert await asyncio.to_thread(claimed.wait, TIMEOUT)
    await joined(a, "a")
    holding = asyncio.create_task(a.write(lambda tx: tx.hold("run", lease)))
    await waiting_for_locks(b)
    go_on.set()
    assert await claiming == 1
    with pytest.raises(LeaseLostError):
        await holding


async def test_a_server_that_dies_loses_its_runs_when_its_lease_lapses(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    run = a_run(status=RUNNING, lease=Lease("a", 1), attempt=1)
    await add(a, a_thread(), run)
    assert await b.write(lambda tx: tx.claim_lost("b", limit=9)) == []
    assert a.renew_server("a", ttl=300_000) is True

    async with asyncio.timeout(TIMEOUT):
        while not (claimed := await b.write(lambda tx: tx.claim_lost("b", limit=9))):
            await asyncio.sleep(0.02)
    taken = replace(run, lease=Lease("b", 2), attempt=2, losses=1)
    assert claimed == [TakenOver(taken, handed_back=False)]
    assert a.renew_server("a", ttl=A_DAY) is False


async def test_an_id_must_be_new_to_every_server(a: PostgresStorage, b: PostgresStorage) -> None:
    results = await asyncio.gather(
        *(add(storage, a_thread(f"{n}")) for n in range(30) for storage in (a, b)),
        return_exceptions=True,
    )
    failed = [result for result in results if result is not None]
    assert len(failed) == 30
    assert all(isinstance(error, IntegrityError) for error in failed)


async def test_what_one_server_announces_the_other_hears(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    heard = Heard(b)
    own = Heard(a)
    await heard.until_called()
    await own.until_called()
    a.announce("x", "y")
    a.announce("z")
    await heard.until("x", "y", "z")
    await own.until("x", "y", "z")
    b.announce("back")
    await own.until("back")
    assert Counter(heard.topics) == Counter(["x", "y", "z", "back"])
    assert Counter(own.topics) == Counter(["x", "y", "z", "back"])


async def test_very_many_topics_are_announced_in_parts(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    topics = [f"run:{number:05}" for number in range(3000)]
    heard = Heard(b)
    await heard.until_called()
    a.announce(*topics)
    await heard.until(*topics)
    assert sorted(heard.topics) == topics


async def test_a_topic_that_is_too_long_means_look_at_everything(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    heard = Heard(b)
    await heard.until_called()
    heard.calls.clear()
    a.announce("x" * 10_000, "short")
    await heard.until("short")
    assert [tuple(topics) for topics in heard.calls] == [(), ("short",)]


async def test_what_was_announced_before_closing_is_still_sent(
    a: PostgresStorage, open_postgres: OpenPostgres
) -> None:
    heard = Heard(a)
    await heard.until_called()
    other = await open_postgres()
    other.announce("last words")
    await other.close()
    await heard.until("last words")


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has those that miss notifications look at short intervals."""
    monkeypatch.setattr(announcements, "_POLL", 0.05)


@pytest.mark.usefixtures("quick_polls")
async def test_who_lost_the_connection_is_told_to_look_and_hears_again(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    heard = Heard(b)
    await heard.until_called()
    a.announce("before")
    await heard.until("before")
    heard.calls.clear()
    await a.write(
        lambda tx: tx._execute(  # type: ignore[attr-defined]
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
    )
    await heard.until_called()
    assert () in [tuple(topics) for topics in heard.calls]
    async with asyncio.timeout(TIMEOUT):
        while "after" not in heard.topics:
            a.announce("after")
            await asyncio.sleep(0.05)
