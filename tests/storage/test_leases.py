"""Contract: servers hold leases, runs are held under them, and what is lost is claimed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from graphwire_server.storage.interface import (
    IntegrityError,
    LeaseLostError,
    Storage,
    StorageError,
    Transaction,
)
from graphwire_server.storage.records import Lease, RunRecord, RunStatus, TakenOver

from .builders import A_DAY, a_run, a_thread, add, an_event

RUNNING = RunStatus.RUNNING
FIRST = Lease("server", 1)


async def join(storage: Storage, *servers: str, ttl: int = A_DAY) -> None:
    for server in servers:
        await storage.write(lambda tx, server=server: tx.join_servers(server, ttl=ttl))  # type: ignore[misc]


async def take_over(storage: Storage, server: str = "other", *, limit: int = 9) -> list[TakenOver]:
    foretold = await storage.read(lambda r: r.has_lost_run())
    taken = await storage.write(lambda tx: tx.claim_lost(server, limit=limit))
    assert foretold is bool(taken)
    return taken


async def claim_lost(storage: Storage, server: str = "other", *, limit: int = 9) -> list[RunRecord]:
    return [each.run for each in await take_over(storage, server, limit=limit)]


async def hold(storage: Storage, lease: Lease = FIRST, run_id: str = "run") -> None:
    await storage.write(lambda tx: tx.hold(run_id, lease))


async def test_now_is_the_time_of_day_and_goes_on(storage: Storage) -> None:
    before = await storage.read(lambda r: r.now())
    assert abs(before - time.time_ns() // 1000) < 60_000_000
    assert before < await storage.write(lambda tx: tx.now())


async def test_a_lease_is_renewed_until_it_lapses_and_then_never(storage: Storage) -> None:
    await join(storage, "long")
    await join(storage, "short", "over", ttl=0)

    assert await storage.write(lambda tx: tx.renew_server("long", ttl=A_DAY)) is True
    assert await storage.write(lambda tx: tx.renew_server("over", ttl=A_DAY)) is False
    assert await storage.write(lambda tx: tx.renew_server("over", ttl=A_DAY)) is False
    assert await storage.write(lambda tx: tx.renew_server("nobody", ttl=A_DAY)) is False

    assert await storage.write(lambda tx: tx.renew_server("long", ttl=0)) is True
    assert await storage.write(lambda tx: tx.renew_server("long", ttl=A_DAY)) is False


async def test_a_lease_is_renewed_without_the_event_loop(storage: Storage) -> None:
    await join(storage, "server")
    await join(storage, "over", ttl=0)
    await add(storage, a_thread(), a_run(status=RUNNING, lease=FIRST))

    # Called on the loop's own thread, which therefore stands still.
    assert storage.renew_server("server", ttl=A_DAY) is True
    assert storage.renew_server("over", ttl=A_DAY) is False
    assert storage.renew_server("nobody", ttl=A_DAY) is False
    await hold(storage)

    assert await asyncio.to_thread(storage.renew_server, "server", ttl=0) is True
    with pytest.raises(LeaseLostError):
        await hold(storage)


async def test_leases_are_renewed_between_writes(storage: Storage) -> None:
    await join(storage, "server")
    writes = [asyncio.create_task(add(storage, a_thread(f"{number}"))) for number in range(50)]
    renewals = [asyncio.to_thread(storage.renew_server, "server", ttl=A_DAY) for _ in range(5)]
    assert await asyncio.gather(*renewals) == [True] * 5
    await asyncio.gather(*writes)


async def test_a_server_id_must_be_new(storage: Storage) -> None:
    await join(storage, "server")
    with pytest.raises(IntegrityError):
        await join(storage, "server")


async def test_a_run_is_held_by_its_server_and_epoch_alone(storage: Storage) -> None:
    await join(storage, "server", "other")
    await add(storage, a_thread(), a_run(status=RUNNING, lease=Lease("server", 2)))

    await hold(storage, Lease("server", 2))
    for lease in (Lease("server", 1), Lease("server", 3), Lease("other", 2)):
        with pytest.raises(LeaseLostError, match="does not hold the run run"):
            await hold(storage, lease)
    with pytest.raises(LeaseLostError):
        await hold(storage, Lease("server", 2), "nobody")


async def test_what_has_come_of_a_held_run_is_added_with_it(storage: Storage) -> None:
    await join(storage, "server")
    run = a_run(status=RUNNING, lease=FIRST)
    await add(storage, a_thread(), run)
    events = [an_event(1), an_event(2)]
    await storage.write(lambda tx: tx.hold("run", FIRST, events=events))
    assert await storage.read(lambda r: r.events("run", after=0, limit=9)) == events
    assert await storage.read(lambda r: r.run("run")) == replace(run, last_sequence=2)

    await storage.write(lambda tx: tx.hold("run", FIRST, absorbs=True))
    await hold(storage)
    want = replace(run, last_sequence=2, absorbed=True)
    assert await storage.read(lambda r: r.run("run")) == want

    with pytest.raises(LeaseLostError):
        await storage.write(lambda tx: tx.hold("run", Lease("server", 2), events=[an_event(3)]))
    assert await storage.read(lambda r: r.run("run")) == want


@pytest.mark.parametrize("status", [status for status in RunStatus if status is not RUNNING])
async def test_only_a_running_run_is_held(storage: Storage, status: RunStatus) -> None:
    await join(storage, "server")
    await add(storage, a_thread(), a_run(status=status, lease=FIRST))
    with pytest.raises(LeaseLostError):
        await hold(storage)


async def test_nothing_is_kept_of_a_write_that_lost_its_run(storage: Storage) -> None:
    await join(storage, "server")
    await add(storage, a_thread(), a_run(status=RUNNING, lease=Lease("server", 2)))

    def work(tx: Transaction) -> None:
        tx.append_events([an_event(1)])
        tx.hold("run", FIRST)

    with pytest.raises(LeaseLostError):
        await storage.write(work)
    assert await storage.read(lambda r: r.events("run", after=0, limit=9)) == []


async def test_who_lost_the_own_lease_can_neither_hold_nor_claim(storage: Storage) -> None:
    await join(storage, "server", ttl=0)
    lost = a_run("lost", "t", status=RUNNING)
    await add(storage, a_thread(), a_thread("t"), a_thread("u"), lost, a_run("due", "u"))
    await add(storage, a_run(status=RUNNING, lease=FIRST))

    with pytest.raises(LeaseLostError):
        await hold(storage)
    for server in ("server", "nobody"):
        with pytest.raises(LeaseLostError, match=f"the server {server} has lapsed"):
            await claim_lost(storage, server)
        with pytest.raises(LeaseLostError, match=f"the server {server} has lapsed"):
            await storage.write(lambda tx, server=server: tx.claim_due(server, limit=9))  # type: ignore[misc]
    assert await storage.read(lambda r: r.run("lost")) == lost


async def test_what_nobody_holds_is_claimed_oldest_first(storage: Storage) -> None:
    await join(storage, "server", "other")
    await join(storage, "dead", ttl=0)
    await add(storage, *(a_thread(name) for name in "abcdef"))
    runs = [
        a_run("gone", "f", status=RUNNING, lease=Lease("long gone", 7), attempt=3, losses=2),
        a_run("held", "a", status=RUNNING, lease=FIRST),
        a_run("dead", "b", status=RUNNING, lease=Lease("dead", 1), attempt=1, start_time=5),
        a_run("free", "c", status=RUNNING, absorbed=True, last_sequence=8),
        a_run("due", "d"),
        a_run("over", "e", status=RunStatus.FAILED, lease=Lease("dead", 1)),
    ]
    await add(storage, *runs)

    assert await claim_lost(storage, limit=1) == [
        replace(runs[0], lease=Lease("other", 8), attempt=4, losses=3)
    ]
    assert await claim_lost(storage) == [
        replace(runs[2], lease=Lease("other", 2), attempt=2, losses=1),
        replace(runs[3], lease=Lease("other", 1), attempt=1),
    ]
    assert await claim_lost(storage) == []
    assert await storage.read(lambda r: r.run("held")) == runs[1]


async def test_who_had_a_run_that_was_claimed_can_not_hold_it(storage: Storage) -> None:
    await join(storage, "server", "other")
    await add(storage, a_thread(), a_run(status=RUNNING, lease=FIRST))
    await storage.write(lambda tx: tx.leave_servers("server"))
    with pytest.raises(LeaseLostError):
        await hold(storage)

    (claimed,) = await claim_lost(storage)
    assert claimed.lease == Lease("other", 2)
    await hold(storage, Lease("other", 2))
    await join(storage, "server")
    with pytest.raises(LeaseLostError):
        await hold(storage)


async def test_leaving_twice_or_as_a_stranger_changes_nothing(storage: Storage) -> None:
    await join(storage, "server")
    for name in ("gone", "gone", "stranger"):
        await storage.write(lambda tx, name=name: tx.leave_servers(name))  # type: ignore[misc]
    assert await storage.write(lambda tx: tx.renew_server("server", ttl=A_DAY)) is True


async def test_a_run_that_is_handed_back_goes_to_whoever_claims_it_and_is_no_loss(
    storage: Storage,
) -> None:
    await join(storage, "server", "other")
    run = a_run(status=RUNNING, lease=FIRST, attempt=1)
    await add(storage, a_thread(), run)

    assert await storage.write(lambda tx: tx.hand_back("run", Lease("server", 2))) is False
    assert await storage.write(lambda tx: tx.hand_back("run", Lease("other", 1))) is False
    assert await storage.write(lambda tx: tx.hand_back("nobody", FIRST)) is False
    assert await storage.read(lambda r: r.run("run")) == run

    assert await storage.write(lambda tx: tx.hand_back("run", FIRST)) is True
    assert await storage.read(lambda r: r.run("run")) == replace(run, lease=None)
    assert await storage.write(lambda tx: tx.hand_back("run", FIRST)) is False
    with pytest.raises(LeaseLostError):
        await hold(storage)

    claimed = replace(run, lease=Lease("other", 2), attempt=2)
    assert await take_over(storage) == [TakenOver(claimed, handed_back=True)]
    await storage.write(lambda tx: tx.leave_servers("other"))
    lost = replace(claimed, lease=Lease("server", 3), attempt=3, losses=1)
    assert await take_over(storage, "server") == [TakenOver(lost, handed_back=False)]


async def test_a_run_that_has_ended_is_let_go(storage: Storage) -> None:
    await join(storage, "server")
    await add(storage, a_thread(), a_run(status=RUNNING, lease=FIRST, attempt=1))
    await storage.write(lambda tx: tx.change_run("run", RunStatus.SUCCEEDED, now=7))
    want = a_run(status=RunStatus.SUCCEEDED, attempt=1, end_time=7)
    assert await storage.read(lambda r: r.run("run")) == want
    assert await storage.write(lambda tx: tx.hand_back("run", FIRST)) is False


async def test_a_server_sees_which_of_its_runs_are_to_be_cancelled(storage: Storage) -> None:
    other = Lease("other", 1)
    await add(storage, *(a_thread(name) for name in "abcdef"))
    await add(
        storage,
        a_run("b", "b", status=RUNNING, lease=FIRST, cancel_requested=True),
        a_run("a", "a", status=RUNNING, lease=FIRST, cancel_requested=True),
        a_run("goes on", "c", status=RUNNING, lease=FIRST),
        a_run("other", "d", status=RUNNING, lease=other, cancel_requested=True),
        a_run("free", "e", status=RUNNING, cancel_requested=True),
        a_run("over", "f", status=RunStatus.CANCELLED, cancel_requested=True),
    )
    assert await storage.read(lambda r: list(r.cancelled_runs("server"))) == ["b", "a"]
    assert await storage.read(lambda r: r.cancelled_runs("other")) == {"other": False}
    assert await storage.read(lambda r: r.cancelled_runs("nobody")) == {}


async def test_who_asks_for_it_once_has_a_cancelled_run_abandoned(storage: Storage) -> None:
    await add(storage, a_thread(), a_run(status=RUNNING, lease=FIRST))
    for abandon, seen in ((False, False), (True, True), (False, True)):
        await storage.write(lambda tx, abandon=abandon: tx.request_cancel("run", abandon=abandon))  # type: ignore[misc]
        assert await storage.read(lambda r: r.cancelled_runs("server")) == {"run": seen}


async def test_the_runs_that_a_server_holds(storage: Storage) -> None:
    await add(storage, *(a_thread(thread_id) for thread_id in "abcd"))
    await add(
        storage,
        a_run("b", "b", status=RUNNING, lease=FIRST),
        a_run("a", "a", status=RUNNING, lease=Lease("server", 7)),
        a_run("other", "c", status=RUNNING, lease=Lease("other", 1)),
        a_run("free", "d", status=RUNNING),
    )
    held = await storage.read(lambda r: r.held_runs("server"))
    assert held == {"b": FIRST, "a": Lease("server", 7)}
    assert await storage.read(lambda r: r.held_runs("nobody")) == {}


async def test_very_many_lost_runs_are_claimed_at_once(storage: Storage) -> None:
    await join(storage, "other")
    names = [f"{number:04}" for number in range(1200)]
    await add(storage, *(a_thread(name) for name in names))
    await add(storage, *(a_run(name, name, status=RUNNING) for name in names))
    claimed = await claim_lost(storage, limit=1100)
    assert [run.run_id for run in claimed] == names[:1100]
    assert len(await claim_lost(storage, limit=1100)) == 100


async def test_a_closed_storage_renews_nothing(storage: Storage) -> None:
    await join(storage, "server")
    assert storage.renew_server("server", ttl=A_DAY) is True
    await storage.close()
    with pytest.raises(StorageError, match="closed"):
        storage.renew_server("server", ttl=A_DAY)
