"""Contract: which runs are active, which may be claimed, and when the next is due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import Lease, RunRecord, RunStatus, ThreadStatus
from graphwire_server.storage.sql.queue import MOST_PRINCIPALS
from graphwire_server.storage.sql.reader import SqlReader

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


async def waits_for(storage: Storage, *run_ids: str) -> list[str]:
    """What runs wait for, as the queue has it; empty: for their turn."""
    statement = "SELECT waits_for FROM gw_runs WHERE run_id = ?"
    return [
        await storage.read(
            lambda r, run_id=run_id: r._execute(statement, (run_id,)).fetchone()[0]  # type: ignore[misc]
        )
        for run_id in run_ids
    ]


async def test_what_waits_on_a_paused_thread_is_not_in_the_queue(storage: Storage) -> None:
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    await add(
        storage,
        a_thread("t", status=ThreadStatus.BUSY),
        a_run("at-work", "t", status=RUNNING),
        a_run("before", "t"),
        a_run("gives-up", "t", discards=True),
    )
    assert await waits_for(storage, "before", "gives-up") == ["", ""]
    await storage.write(lambda tx: tx.update_thread("t", now=5, status=ThreadStatus.INTERRUPTED))
    await add(storage, a_run("after", "t"))
    names = ("at-work", "before", "gives-up", "after")
    assert await waits_for(storage, *names) == ["", "THREAD", "", "THREAD"]
    await storage.write(lambda tx: tx.let_discard("after"))
    assert await waits_for(storage, "after") == [""]
    # What is changed of the thread besides leaves them where they are.
    await storage.write(lambda tx: tx.update_thread("t", now=6, metadata="{}"))
    assert await waits_for(storage, "before") == ["THREAD"]
    await storage.write(lambda tx: tx.update_thread("t", now=7, status=ThreadStatus.IDLE))
    assert await waits_for(storage, *names) == ["", "", "", ""]
    await end(storage, "at-work")
    assert await claim(storage) == ["before"]


async def test_a_run_whose_time_comes_gets_into_the_queue_unless_its_thread_is_paused(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = await storage.read(lambda r: r.now())
    await storage.write(lambda tx: tx.join_servers("server", ttl=9 * A_DAY))
    await add(
        storage,
        *(a_thread(name) for name in ("free", "paused")),
        *(a_run(name, name, due_time=now + A_DAY) for name in ("free", "paused")),
    )
    await storage.write(
        lambda tx: tx.update_thread("paused", now=5, status=ThreadStatus.INTERRUPTED)
    )
    assert await waits_for(storage, "free", "paused") == ["TIME", "TIME"]
    assert await claim(storage) == []

    monkeypatch.setattr(SqlReader, "now", lambda self: now + 2 * A_DAY)
    assert await claim(storage) == ["free"]
    assert await waits_for(storage, "paused") == ["THREAD"]
    assert await claim(storage) == []
    await storage.write(lambda tx: tx.update_thread("paused", now=6, status=ThreadStatus.IDLE))
    assert await claim(storage) == ["paused"]


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


# --- fairness between principals ---


async def add_queued(storage: Storage, *runs: tuple[str, str]) -> None:
    """Adds PENDING runs, (run_id, principal), each on a thread of its own."""
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    for run_id, principal in runs:
        await add(storage, a_thread(run_id), a_run(run_id, run_id, principal=principal))


async def claim_one(storage: Storage, **how: Any) -> str:
    (claimed,) = await storage.write(lambda tx: tx.claim_due("server", limit=1, **how))
    return claimed.run_id


async def test_a_single_run_waits_for_no_more_than_one_of_a_long_queue(storage: Storage) -> None:
    many = [(f"many-{i}", "many") for i in range(20)]
    await add_queued(storage, *many[:10], ("single", "single"), *many[10:])
    assert [await claim_one(storage) for _ in range(4)] == ["many-0", "single", "many-1", "many-2"]


async def test_who_has_the_fewest_at_work_is_served_first(storage: Storage) -> None:
    await add_queued(
        storage,
        *((f"{who}-{i}", who) for i in range(4) for who in ("a", "b", "c")),
    )
    for done in ("a-0", "a-1", "b-0"):
        assert await storage.write(
            lambda tx, done=done: tx.change_run(done, RUNNING, now=1)  # type: ignore[misc]
        )
    order = [await claim_one(storage) for _ in range(6)]
    assert order == ["c-0", "b-1", "c-1", "a-2", "b-2", "c-2"]


async def test_several_slots_are_shared_out_in_one_claim(storage: Storage) -> None:
    await add_queued(
        storage, *((f"a-{i}", "a") for i in range(9)), *((f"b-{i}", "b") for i in range(2))
    )
    assert await claim(storage, limit=6) == ["a-0", "a-1", "a-2", "a-3", "b-0", "b-1"]


async def test_nobody_gets_more_than_the_most_of_one(storage: Storage) -> None:
    await add_queued(
        storage, *((f"a-{i}", "a") for i in range(5)), *((f"b-{i}", "b") for i in range(2))
    )
    first = await storage.write(lambda tx: tx.claim_due("server", limit=9, most_of_one=2))
    assert [run.run_id for run in first] == ["a-0", "a-1", "b-0", "b-1"]
    assert await storage.write(lambda tx: tx.claim_due("server", limit=9, most_of_one=2)) == []
    assert await storage.read(lambda r: r.running_runs("a")) == 2
    await end(storage, "a-1")
    assert await claim_one(storage, most_of_one=2) == "a-2"
    # Alone in the queue, too.
    assert await storage.write(lambda tx: tx.claim_due("server", limit=9, most_of_one=2)) == []


async def test_fairness_changes_nothing_about_what_may_start(storage: Storage) -> None:
    later = await storage.read(lambda r: r.now()) + A_DAY
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    await add(
        storage,
        *(a_thread(name) for name in ("mine", "late", "busy", "other")),
        a_thread("paused", status=ThreadStatus.INTERRUPTED),
        a_run("mine-1", "mine", principal="a"),
        # Whoever it belongs to, it comes after the one before it on its thread.
        a_run("mine-2", "mine", principal="b"),
        a_run("late", "late", principal="b", due_time=later),
        a_run("at-work", "busy", principal="c", status=RUNNING),
        a_run("busy", "busy", principal="b"),
        a_run("paused", "paused", principal="b"),
        a_run("other", "other", principal="a"),
    )
    assert await claim(storage) == ["mine-1", "other"]
    await end(storage, "mine-1")
    assert await claim(storage) == ["mine-2"]


async def test_short_runs_give_way_to_others_as_well(storage: Storage) -> None:
    many = [(f"many-{i}", "many") for i in range(6)]
    await add_queued(storage, *many, ("single-0", "single"), ("single-1", "single"))
    order = []
    for _ in range(8):
        order.append(await claim_one(storage))
        await end(storage, order[-1])
    assert order == [
        "many-0",
        "single-0",
        "many-1",
        "single-1",
        *(f"many-{i}" for i in range(2, 6)),
    ]


async def test_who_got_one_slot_less_of_a_claim_gets_one_more_of_the_next(storage: Storage) -> None:
    await add_queued(
        storage,
        *((f"many-{i}", "many") for i in range(10)),
        *((f"some-{i}", "some") for i in range(5)),
    )
    order = []
    for _ in range(5):
        order.append(await claim(storage, limit=3))
        for run_id in order[-1]:
            await end(storage, run_id)
    assert order == [
        ["many-0", "many-1", "some-0"],
        ["many-2", "some-1", "some-2"],
        ["many-3", "many-4", "some-3"],
        ["many-5", "many-6", "some-4"],
        ["many-7", "many-8", "many-9"],
    ]


async def test_very_many_principals_are_looked_at_in_turns(storage: Storage) -> None:
    names = [f"p{i:04}" for i in range(MOST_PRINCIPALS + 10)]

    def insert(tx: Transaction) -> None:
        tx.join_servers("server", ttl=A_DAY)
        for name in names:
            tx.insert_thread(a_thread(name))
            tx.insert_run(a_run(name, name, principal=name))

    await storage.write(insert)
    served: list[str] = []
    for after in ("", names[5], names[-1]):
        (run,) = await storage.write(
            lambda tx, after=after: tx.claim_due("server", limit=1, after=after)  # type: ignore[misc]
        )
        served.append(run.principal)
    # The oldest among those who follow, round to the beginning.
    assert served == [names[0], names[6], names[1]]


@pytest.mark.parametrize("after", ["", "p0100"])
@pytest.mark.parametrize("most", [0, 1], ids=["behind others", "enough at work"])
async def test_very_many_principals_who_can_begin_nothing_are_in_nobodys_way(
    storage: Storage, most: int, after: str
) -> None:
    def insert(tx: Transaction) -> None:
        tx.join_servers("server", ttl=A_DAY)
        for name in [f"p{i:04}" for i in range(MOST_PRINCIPALS + 10)]:
            tx.insert_thread(a_thread(name))
            lease = Lease("other", 1)
            tx.insert_run(a_run(f"{name}-0", name, status=RUNNING, lease=lease, principal=name))
            tx.insert_thread(a_thread(f"{name}-idle"))
            place = f"{name}-idle" if most else name
            tx.insert_run(a_run(f"{name}-1", place, principal=name))
        tx.insert_thread(a_thread("z"))
        tx.insert_run(a_run("z", "z", principal="zed"))

    await storage.write(insert)
    claimed = await storage.write(
        lambda tx: tx.claim_due("server", limit=9, most_of_one=most, after=after)
    )
    assert [run.run_id for run in claimed] == ["z"]


async def test_what_is_queued_is_counted_up_to_a_number(storage: Storage) -> None:
    await add_queued(storage, ("1", "a"), ("2", "a"), ("3", "b"))
    assert await storage.read(lambda r: r.queued_runs(most=9)) == 3
    assert await storage.read(lambda r: r.queued_runs("a", most=9)) == 2
    assert await storage.read(lambda r: r.queued_runs("a", most=1)) == 1
    assert await storage.read(lambda r: r.queued_runs("nobody", most=9)) == 0
