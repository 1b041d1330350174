"""Contract: what has had its time is found, counted and removed, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graphwire_server.storage.checkpoints.records import CheckpointRecord
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import (
    Expiry,
    Extent,
    RunRecord,
    RunStatus,
    ThreadsKept,
    ThreadStatus,
)

from .builders import a_run, a_thread, add, an_event

OUT_OF_USE = (ThreadStatus.IDLE, ThreadStatus.ERROR)


async def expired(
    storage: Storage, kept: ThreadsKept, before: int, *, limit: int = 99, skip: int = 0
) -> list[str]:
    which = Expiry(kept, before)
    found = await storage.read(lambda r: r.expired_threads(which, limit=limit, skip=skip))
    # A transaction finds the same, and locks it.
    assert found == await storage.write(
        lambda tx: tx.expired_threads(which, limit=limit, skip=skip)
    )
    return found


@pytest.mark.parametrize("kept", ThreadsKept)
async def test_threads_expire_by_what_decides_on_them_once_they_are_out_of_use(
    storage: Storage, kept: ThreadsKept
) -> None:
    threads = {
        ThreadsKept.OWN: a_thread("own", update_time=2, ttl=3),
        ThreadsKept.DEFAULT: a_thread("default", update_time=5),
        ThreadsKept.STATELESS: a_thread("stateless", update_time=5, stateless=True),
    }
    thread = threads[kept]
    await add(storage, *threads.values(), a_thread("for ever", update_time=1, ttl=0))
    await add(
        storage,
        *(replace(thread, thread_id=status.lower(), status=status) for status in ThreadStatus),
    )
    ids = [thread.thread_id, *(status.lower() for status in OUT_OF_USE)]
    assert await expired(storage, kept, before=5) == []
    assert await expired(storage, kept, before=6) == sorted(ids)


async def test_what_expired_first_comes_first(storage: Storage) -> None:
    await add(storage, *(a_thread(f"t{n}", update_time=10 - n) for n in range(5)))
    find = ThreadsKept.DEFAULT
    assert await expired(storage, find, before=10) == ["t4", "t3", "t2", "t1"]
    assert await expired(storage, find, before=10, limit=2) == ["t4", "t3"]
    assert await expired(storage, find, before=10, limit=2, skip=3) == ["t1"]


async def test_any_change_of_a_thread_starts_its_time_anew(storage: Storage) -> None:
    await add(storage, a_thread("t", update_time=1, ttl=10))
    await storage.write(lambda tx: tx.update_thread("t", now=100, metadata="{}"))
    assert await expired(storage, ThreadsKept.OWN, before=110) == []
    assert await expired(storage, ThreadsKept.OWN, before=111) == ["t"]


async def test_a_ttl_is_set_changed_and_taken_as_for_ever(storage: Storage) -> None:
    await add(storage, a_thread("t", update_time=1))
    for ttl, found in ((5, ["t"]), (0, []), (7, ["t"])):
        await storage.write(lambda tx, ttl=ttl: tx.update_thread("t", now=1, ttl=ttl))  # type: ignore[misc]
        thread = await storage.read(lambda r: r.thread("t"))
        assert thread is not None
        assert thread.ttl == ttl
        assert await expired(storage, ThreadsKept.OWN, before=99) == found
        assert await expired(storage, ThreadsKept.DEFAULT, before=99) == []


async def unpruned(storage: Storage) -> list[str]:
    found = await storage.read(lambda r: r.unpruned_threads(limit=9))
    assert found == await storage.write(lambda tx: tx.unpruned_threads(limit=9))
    return found


async def test_a_thread_is_to_be_pruned_when_its_head_has_moved(storage: Storage) -> None:
    await add(storage, a_thread("a"), a_thread("b"))
    assert await unpruned(storage) == []
    await storage.write(lambda tx: tx.update_thread("a", now=1, head=("c1", (), None)))
    await storage.write(lambda tx: tx.update_thread("b", now=1, metadata="{}"))
    assert await unpruned(storage) == ["a"]
    await storage.write(lambda tx: tx.mark_pruned("a"))
    assert await unpruned(storage) == []
    await storage.write(lambda tx: tx.update_thread("a", now=1, head=("c1", (), None)))
    assert await unpruned(storage) == ["a"]


async def test_a_thread_with_a_run_that_is_to_come_or_at_work_is_not_to_be_pruned(
    storage: Storage,
) -> None:
    def moved(tx: Transaction) -> None:
        for name, status in (
            ("busy", ThreadStatus.BUSY),
            ("queued", ThreadStatus.INTERRUPTED),
            ("paused", ThreadStatus.INTERRUPTED),
        ):
            tx.insert_thread(a_thread(name))
            tx.update_thread(name, now=1, status=status, head=("c", (), None))
        tx.insert_run(a_run("run", "queued"))

    await storage.write(moved)
    assert await unpruned(storage) == ["paused"]
    found = await storage.read(lambda r: r.unpruned_threads(limit=9, skip=1))
    assert found == []


async def untrimmed(storage: Storage, before: int, *, skip: int = 0) -> list[str]:
    def find(tx: Transaction) -> list[RunRecord]:
        return tx.untrimmed_runs(before=before, limit=9, skip=skip)

    return [run.run_id for run in await storage.write(find)]


async def test_events_are_removed_of_runs_that_ended_long_ago(storage: Storage) -> None:
    old, new = (a_run(name, status=RunStatus.SUCCEEDED) for name in ("old", "new"))
    await add(storage, a_thread(), replace(old, end_time=5), replace(new, end_time=7))
    await add(storage, a_run("queued"), a_run("running", status=RunStatus.RUNNING))
    await add(storage, *(an_event(number, "old") for number in range(1, 7)))
    assert await untrimmed(storage, before=5) == []
    assert await untrimmed(storage, before=6) == ["old"]
    assert await untrimmed(storage, before=9) == ["old", "new"]
    assert await untrimmed(storage, before=9, skip=1) == ["new"]

    for below, trimmed in ((3, False), (5, True)):
        await storage.write(
            lambda tx, below=below, trimmed=trimmed: tx.remove_events(  # type: ignore[misc]
                "old", below=below, trimmed=trimmed
            )
        )
        run = await storage.read(lambda r: r.run("old"))
        assert run is not None
        assert (run.oldest_sequence, run.last_sequence) == (below, 6)
        events = await storage.read(lambda r: r.events("old", after=0, limit=9))
        assert [event.sequence for event in events] == list(range(below, 7))
        assert ("old" in await untrimmed(storage, before=9)) is not trimmed


async def test_the_extent_of_a_thread_is_all_that_goes_with_it(storage: Storage) -> None:
    assert await storage.read(lambda r: r.extent("nobody")) == Extent()
    await add(storage, a_thread("a"), a_thread("b"), a_run("r1", "a"), a_run("r2", "a"))
    await add(storage, a_run("other", "b"), an_event(1, "other"))
    await add(storage, an_event(1, "r1"), an_event(2, "r1"), an_event(1, "r2"))

    def put(tx: Transaction) -> None:
        for namespace in ("", "child:1"):
            tx.put_checkpoint(CheckpointRecord("a", namespace, "c", "", "", "{}", b""))

    await storage.write(put)
    assert await storage.read(lambda r: r.extent("a")) == Extent(1, 2, 3, 2)
    assert await storage.read(lambda r: r.extent("a") + r.extent("b")) == Extent(2, 3, 4, 2)
    await storage.write(lambda tx: tx.delete_thread("a"))
    assert await storage.read(lambda r: r.extent("a")) == Extent()
