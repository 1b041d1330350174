"""Retention as a server does it: what goes, what stays, and what those are told who still read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from graphwire import errors
from graphwire_server.runs import retention
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.housekeeping import Housekeeping, RetentionPolicy
from graphwire_server.storage.interface import Storage, StorageError, Transaction
from graphwire_server.storage.records import (
    EventRecord,
    Expiry,
    Extent,
    RunRecord,
    RunStatus,
    ThreadsKept,
    ThreadStatus,
)
from structlog.testing import capture_logs

from tests.storage.builders import a_run, a_thread, add, an_event

T = TypeVar("T")

SECOND = 1_000_000
KEPT = RetentionPolicy(stateless_ttl=3600)


def ended(run_id: str = "run", thread_id: str = "thread", *, ago: float = 100) -> RunRecord:
    """A run that ended so many seconds ago."""
    end_time = now_us() - int(ago * SECOND)
    return a_run(run_id, thread_id, status=RunStatus.SUCCEEDED, end_time=end_time)


async def sequences(storage: Storage, run_id: str = "run") -> list[int]:
    found = await storage.read(lambda r: r.events(run_id, after=0, limit=10_000))
    return [event.sequence for event in found]


async def put(storage: Storage, run: RunRecord, events: int) -> None:
    await add(storage, run, *(an_event(n, run.run_id) for n in range(1, events + 1)))


# --- sweeps ---


@pytest.mark.parametrize("error", [StorageError("it is away"), ValueError("a fault of ours")])
async def test_a_sweep_that_fails_does_not_end_the_sweeping(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failed = asyncio.Event()

    async def fail(*args: Any, **options: Any) -> Any:
        failed.set()
        raise error

    housekeeping = Housekeeping(storage, KEPT)
    with monkeypatch.context() as patched, capture_logs() as lines:
        patched.setattr(storage, "write", fail)
        housekeeping.start()
        await asyncio.wait_for(failed.wait(), 30)
        await housekeeping.stop()
    assert [line["event"] for line in lines] == ["sweep_failed"]


async def test_a_sweep_deletes_threads_that_have_had_their_time(storage: Storage) -> None:
    now = now_us()
    ages = {"young": 10, "old": 100}
    for age, seconds in ages.items():
        then = now - seconds * SECOND
        await add(
            storage,
            a_thread(age, update_time=then),
            a_thread(f"{age}, for ever", update_time=then, ttl=0),
            a_thread(f"{age}, its own", update_time=then, ttl=5 * SECOND),
            a_thread(f"{age}, stateless", update_time=then, stateless=True),
            a_thread(f"{age}, paused", update_time=then, status=ThreadStatus.INTERRUPTED),
            a_thread(f"{age}, busy", update_time=then, status=ThreadStatus.BUSY),
        )

    async def left() -> set[str]:
        ids = [f"{age}{kind}" for age in ages for kind in KINDS]
        found = [await storage.read(lambda r, one=one: r.thread(one)) for one in ids]  # type: ignore[misc]
        return {thread.thread_id for thread in found if thread is not None}

    own_time = {"young, its own", "old, its own"}
    everything = {f"{age}{kind}" for age in ages for kind in KINDS}
    assert await Housekeeping(storage, KEPT).sweep() == Extent(threads=2)
    assert await left() == everything - own_time
    policy = RetentionPolicy(stateless_ttl=50, thread_ttl=50)
    assert await Housekeeping(storage, policy).sweep() == Extent(threads=2)
    assert await left() == everything - own_time - {"old", "old, stateless"}


KINDS = ("", ", for ever", ", its own", ", stateless", ", paused", ", busy")


async def test_a_sweep_removes_old_events_but_for_the_last_two_of_each_run(
    storage: Storage,
) -> None:
    await add(storage, a_thread())
    await put(storage, ended("old"), 5000)
    await put(storage, ended("short"), 2)
    await put(storage, ended("none"), 0)
    await put(storage, ended("new", ago=10), 5)
    await put(storage, a_run("running", status=RunStatus.RUNNING), 5)
    assert await Housekeeping(storage, KEPT).sweep() == Extent()
    housekeeping = Housekeeping(storage, replace(KEPT, event_ttl=50))
    assert await housekeeping.sweep() == Extent(events=4998)
    assert await housekeeping.sweep() == Extent()
    assert await sequences(storage, "old") == [4999, 5000]
    assert await sequences(storage, "short") == [1, 2]
    assert await sequences(storage, "new") == [1, 2, 3, 4, 5]
    assert await sequences(storage, "running") == [1, 2, 3, 4, 5]
    run = await storage.read(lambda r: r.run("old"))
    assert run is not None
    assert (run.status, run.oldest_sequence, run.last_sequence) == (
        RunStatus.SUCCEEDED,
        4999,
        5000,
    )


async def test_many_go_in_many_steps(storage: Storage) -> None:
    await add(storage, *(a_thread(f"t{n}", stateless=True) for n in range(120)))
    which = Expiry(ThreadsKept.STATELESS, now_us())
    first = await storage.write(lambda tx: retention.delete_threads(tx, which))
    assert first.more
    assert 1 <= first.extent.threads <= 50
    swept = await Housekeeping(storage, KEPT).sweep()
    assert swept.threads == 120 - first.extent.threads


async def test_sweeps_at_once_do_each_thing_once(storage: Storage) -> None:
    await add(storage, *(a_thread(f"t{n}", stateless=True) for n in range(200)))
    sweeps = [Housekeeping(storage, KEPT).sweep() for _ in range(3)]
    assert sum(swept.threads for swept in await asyncio.gather(*sweeps)) == 200


async def test_a_thread_that_is_used_again_is_not_deleted(storage: Storage) -> None:
    await add(storage, a_thread("t", stateless=True), a_thread("u", stateless=True))

    def use_again(tx: Transaction) -> None:
        tx.update_thread("t", now=now_us(), status=ThreadStatus.BUSY)

    sweep = asyncio.create_task(Housekeeping(storage, KEPT).sweep())
    await storage.write(use_again)
    await sweep
    thread = await storage.read(lambda r: r.thread("t"))
    # It was used first, or was gone before.
    assert thread is None or thread.status is ThreadStatus.BUSY
    assert await storage.read(lambda r: r.thread("u")) is None


# --- readers ---


@pytest.fixture
def log(storage: Storage) -> EventLog:
    """A log on the storage, of which no run executes here."""
    return EventLog(storage, heartbeat_seconds=60, poll_seconds=0.01)


async def rest(reader: AsyncIterator[EventRecord | None]) -> list[int]:
    return [record.sequence async for record in reader if record is not None]


async def trim(storage: Storage) -> None:
    await storage.write(lambda tx: retention.trim_events(tx, before=now_us()))


async def test_who_joins_before_the_oldest_event_is_told_which_are_kept(
    storage: Storage, log: EventLog
) -> None:
    await add(storage, a_thread())
    await put(storage, ended(), 9)
    assert await rest(log.follow("run", after=0)) == list(range(1, 10))
    await trim(storage)
    for after in (0, 3, 6):
        with pytest.raises(errors.SequenceOutOfRangeError) as caught:
            await rest(log.follow("run", after=after))
        assert caught.value.metadata == {
            "oldest_sequence": "8",
            "last_sequence": "9",
            "after_sequence": "7",
        }
        assert caught.value.message == (
            "the first 7 events of run run were removed, as it ended long enough ago; those from "
            "8 to 9 are kept: join with after_sequence 7 to get them"
        )
    assert await rest(log.follow("run", after=7)) == [8, 9]
    assert await rest(log.follow("run", after=8)) == [9]
    assert await rest(log.follow("run", after=9)) == []


async def test_what_is_said_of_one_event(storage: Storage, log: EventLog) -> None:
    await add(storage, a_thread())
    await put(storage, ended(), 3)
    await trim(storage)
    with pytest.raises(errors.SequenceOutOfRangeError) as removed:
        await rest(log.follow("run", after=0))
    assert removed.value.message == (
        "the first event of run run was removed, as it ended long enough ago; those from 2 to 3 "
        "are kept: join with after_sequence 1 to get them"
    )
    await put(storage, ended("new"), 1)
    with pytest.raises(errors.SequenceOutOfRangeError) as beyond:
        await rest(log.follow("new", after=2))
    assert beyond.value.message == "run new has 1 event so far, none after 2"


async def test_who_reads_while_events_go_is_told_so_at_the_gap(
    storage: Storage, log: EventLog
) -> None:
    await add(storage, a_thread())
    await put(storage, ended(), 400)
    reader = log.follow("run", after=0)
    first = await anext(reader)
    assert first is not None
    await trim(storage)
    read: list[int] = []

    async def read_on() -> None:
        async for record in reader:
            assert record is not None
            read.append(record.sequence)

    with pytest.raises(errors.SequenceOutOfRangeError) as caught:
        await read_on()
    # What was read with the first event is shown, without a gap.
    assert read == list(range(2, len(read) + 2))
    assert len(read) < 398
    assert caught.value.metadata["oldest_sequence"] == "399"


async def test_who_reads_while_the_thread_goes_is_told_that_there_is_no_run(
    storage: Storage, log: EventLog
) -> None:
    await add(storage, a_thread(stateless=True))
    await put(storage, ended(), 400)
    reader = log.follow("run", after=0)
    await anext(reader)
    assert (await Housekeeping(storage, KEPT).sweep()).events == 400
    with pytest.raises(errors.RunNotFoundError):
        await rest(reader)
