"""Contract: which runs are active, which may be claimed, and when the next is due."""

from __future__ import annotations

from dataclasses import replace

from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import Lease, RunRecord, RunStatus, ThreadStatus

from .builders import A_DAY, a_run, a_thread, add

RUNNING = RunStatus.RUNNING


async def claim(storage: Storage, *, limit: int = 100) -> list[str]:
    """Claims what is due, for a server that lives for a day, and returns the ids."""
    foretold = await storage.read(lambda r: r.has_due_run())
    runs = await storage.write(lambda tx: tx.claim_due("server", limit=limit))
    assert foretold is bool(runs)
    return [run.run_id for run in runs]


async def end(storage: Storage, run_id: str, to: RunStatus = RunStatus.SUCCEEDED) -> None:
    assert await storage.write(lambda tx: tx.change_run(run_id, to, now=2))


async def test_active_runs_come_in_the_order_of_acceptance(storage: Storage) -> None:
    # The clock may be set back, and ids say nothing: what was accepted first goes first.
    runs = [
        a_run("d", create_time=5, status=RUNNING),
        a_run("b", create_time=5),
        a_run("c", create_time=3),
        a_run("a", create_time=4),
    ]
    await add(
        storage,
        a_thread(),
        a_thread("x"),
        a_run("over", create_time=1, status=RunStatus.SUCCEEDED),
        *runs,
        a_run("foreign", "x"),
    )
    assert await storage.read(lambda r: r.active_runs("thread")) == runs
    assert await storage.read(lambda r: r.active_runs("nobody")) == []


async def test_the_last_run_is_the_one_that_began_last(storage: Storage) -> None:
    await add(storage, a_thread(), a_thread("x"))
    assert await storage.read(lambda r: r.last_run("thread")) is None
    # A resume goes before runs that were accepted earlier, and wait.
    last = a_run("b", create_time=5, status=RunStatus.SUCCEEDED, start_time=9, checkpoint_id="c1")
    first = a_run("a", create_time=9, status=RunStatus.FAILED, start_time=6, checkpoint_id="c2")
    await add(
        storage,
        last,
        first,
        a_run("never", status=RunStatus.CANCELLED, end_time=7),
        a_run("waits"),
        a_run("foreign", "x", start_time=8),
    )
    assert await storage.read(lambda r: r.last_run("thread")) == last


async def test_the_oldest_pending_run_of_each_free_thread_may_start(storage: Storage) -> None:
    later = await storage.read(lambda r: r.now()) + A_DAY
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    await add(storage, *(a_thread(name) for name in ("free", "busy", "late", "done")))
    await add(
        storage,
        a_run("free-1", "free"),
        a_run("busy-1", "busy", status=RUNNING),
        a_run("late-1", "late", due_time=later),
        a_run("done-1", "done", status=RunStatus.SUCCEEDED),
        a_run("free-2", "free"),
        a_run("busy-2", "busy"),
        a_run("late-2", "late"),
        a_run("done-2", "done"),
    )
    assert await claim(storage, limit=1) == ["free-1"]
    assert await claim(storage) == ["done-2"]
    assert await claim(storage) == []

    await end(storage, "free-1")
    assert await claim(storage) == ["free-2"]
    await end(storage, "late-1", RunStatus.CANCELLED)
    await end(storage, "busy-1", RunStatus.FAILED)
    assert await claim(storage) == ["busy-2", "late-2"]


async def test_nothing_starts_on_a_paused_thread(storage: Storage) -> None:
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    await add(storage, a_thread("t", status=ThreadStatus.INTERRUPTED), a_run("waits", "t"))
    assert await claim(storage) == []
    await storage.write(lambda tx: tx.update_thread("t", now=5, status=ThreadStatus.BUSY))
    assert await claim(storage) == ["waits"]


async def test_a_run_that_is_claimed_is_running_under_a_lease(storage: Storage) -> None:
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    fresh = a_run("fresh", "a")
    begun = a_run("begun", "b", start_time=5, attempt=2, spec='{"begun": 1}')
    await add(storage, a_thread("a"), a_thread("b"), fresh, begun)

    before = await storage.read(lambda r: r.now())
    claimed = await storage.write(lambda tx: tx.claim_due("server", limit=9))
    after = await storage.read(lambda r: r.now())

    found: list[RunRecord] = []
    for name in ("fresh", "begun"):
        run = await storage.read(lambda r, name=name: r.run(name))  # type: ignore[misc]
        assert run is not None
        found.append(run)
    assert claimed == found
    start_time = found[0].start_time
    assert start_time is not None
    assert before <= start_time <= after
    lease = Lease("server", 1)
    assert found == [
        replace(fresh, status=RUNNING, lease=lease, attempt=1, start_time=start_time),
        replace(begun, status=RUNNING, lease=lease, attempt=3),
    ]


async def test_the_next_due_time_is_the_earliest_after_now(storage: Storage) -> None:
    await add(storage, a_thread())

    async def due(now: int) -> int | None:
        return await storage.read(lambda r: r.next_due_time(now=now))

    assert await due(0) is None
    await add(
        storage,
        a_run("1", due_time=10),
        a_run("2", due_time=30),
        a_run("3", due_time=20),
        a_run("over", due_time=15, status=RunStatus.CANCELLED),
    )
    assert await due(9) == 10
    assert await due(10) == 20
    assert await due(25) == 30
    assert await due(30) is None
