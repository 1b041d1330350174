"""Contract: runs are kept, and move only as TRANSITIONS allows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from graphwire_server.storage.interface import IntegrityError, Reader, Storage, Transaction
from graphwire_server.storage.records import (
    TRANSITIONS,
    Failure,
    Lease,
    Position,
    RunRecord,
    RunStatus,
)

from .builders import a_pause, a_run, a_thread, add, an_event

FULL = RunRecord(
    run_id="full",
    thread_id="thread",
    assistant_id="agent",
    status=RunStatus.FAILED,
    spec='{"input": {"π": 3.0}}',
    metadata='{"k": [1, 1.0]}',
    create_time=1_700_000_000_000_001,
    due_time=1_700_000_000_000_002,
    start_time=1_700_000_000_000_003,
    end_time=1_700_000_000_000_004,
    error=Failure("ToolError", "boom\x00!", "action", ("sub:1",)),
    resumed_run_id="before",
    resumed_by_run_id="after",
    last_sequence=17,
    cancel_requested=True,
    checkpoint_id="c1",
    lease=Lease("server", 3),
    attempt=4,
    absorbed=True,
    oldest_sequence=15,
)


@pytest.mark.parametrize("run", [a_run(), FULL], ids=["least", "full"])
async def test_a_run_comes_back_as_it_was_put(storage: Storage, run: RunRecord) -> None:
    await add(storage, a_thread(), run)
    assert await storage.read(lambda r: r.run(run.run_id)) == run


async def test_an_unknown_run_is_none(storage: Storage) -> None:
    assert await storage.read(lambda r: r.run("nobody")) is None


async def test_a_run_id_must_be_new(storage: Storage) -> None:
    await add(storage, a_thread("a"), a_thread("b"), a_run("run", "a"))
    with pytest.raises(IntegrityError):
        await add(storage, a_run("run", "b"))
    assert await storage.read(lambda r: r.run("run")) == a_run("run", "a")


@pytest.mark.parametrize("origin", RunStatus)
async def test_a_run_moves_only_along_the_transitions(storage: Storage, origin: RunStatus) -> None:
    failure = Failure("E", "text")
    for to in RunStatus:
        before = a_run(f"run-{to}", f"thread-{to}", status=origin)
        await add(storage, a_thread(before.thread_id), before)
        change = partial(_change, before.run_id, to, failure)
        assert await storage.write(change) is (to in TRANSITIONS[origin])
        after = before
        if to in TRANSITIONS[origin]:
            after = replace(before, status=to, error=failure, checkpoint_id="c7")
            if to is RunStatus.RUNNING:
                after = replace(after, start_time=7)
            else:
                after = replace(after, end_time=7)
        (found,) = await storage.read(partial(_runs_of, before.thread_id))
        assert found == after


def _change(run_id: str, to: RunStatus, failure: Failure, tx: Transaction) -> bool:
    return tx.change_run(run_id, to, now=7, error=failure, checkpoint_id="c7")


def _runs_of(thread_id: str, reader: Reader) -> list[RunRecord | None]:
    return [reader.run(run.run_id) for run in reader.runs(thread_id, limit=9)]


async def test_a_run_that_ends_well_keeps_its_start_time(storage: Storage) -> None:
    await add(storage, a_thread(), a_run())
    assert await storage.write(lambda tx: tx.change_run("run", RunStatus.RUNNING, now=5))
    assert await storage.write(
        lambda tx: tx.change_run("run", RunStatus.SUCCEEDED, now=6, checkpoint_id="c6")
    )
    want = a_run(status=RunStatus.SUCCEEDED, start_time=5, end_time=6, checkpoint_id="c6")
    assert await storage.read(lambda r: r.run("run")) == want


async def test_changing_an_unknown_run_says_so(storage: Storage) -> None:
    assert await storage.write(lambda tx: tx.change_run("x", RunStatus.RUNNING, now=1)) is False


async def test_a_thread_has_one_running_run_at_the_most(storage: Storage) -> None:
    await add(
        storage,
        a_thread("a"),
        a_thread("b"),
        a_run("a1", "a", status=RunStatus.RUNNING),
        a_run("a2", "a"),
        a_run("b1", "b"),
    )
    with pytest.raises(IntegrityError):
        await storage.write(lambda tx: tx.change_run("a2", RunStatus.RUNNING, now=2))
    with pytest.raises(IntegrityError):
        await add(storage, a_run("a3", "a", status=RunStatus.RUNNING))
    assert await storage.read(lambda r: r.run("a2")) == a_run("a2", "a")
    assert await storage.read(lambda r: r.run("a3")) is None

    assert await storage.write(lambda tx: tx.change_run("b1", RunStatus.RUNNING, now=2))
    assert await storage.write(lambda tx: tx.change_run("a1", RunStatus.SUCCEEDED, now=3))
    assert await storage.write(lambda tx: tx.change_run("a2", RunStatus.RUNNING, now=4))


async def test_a_cancel_and_a_resume_are_noted(storage: Storage) -> None:
    await add(storage, a_thread(), a_run("run"), a_run("other"))
    await storage.write(lambda tx: tx.request_cancel("run"))
    await storage.write(lambda tx: tx.link_resume("run", resumed_by_run_id="next"))
    want = a_run("run", cancel_requested=True, resumed_by_run_id="next")
    assert await storage.read(lambda r: r.run("run")) == want
    assert await storage.read(lambda r: r.run("other")) == a_run("other")


async def test_noting_on_an_unknown_run_changes_nothing(storage: Storage) -> None:
    await storage.write(lambda tx: tx.request_cancel("run"))
    await storage.write(lambda tx: tx.link_resume("run", resumed_by_run_id="next"))
    assert await storage.read(lambda r: r.run("run")) is None


async def test_runs_are_listed_newest_first_without_values(storage: Storage) -> None:
    runs = [
        a_run("b", create_time=5, status=RunStatus.SUCCEEDED),
        a_run("c", create_time=5),
        a_run("a", create_time=5),
        a_run("d", create_time=4, status=RunStatus.FAILED),
        a_run("e", create_time=6, status=RunStatus.RUNNING),
    ]
    await add(storage, a_thread(), a_thread("x"), *runs, a_run("foreign", "x", create_time=9))
    found = await storage.read(lambda r: r.runs("thread", limit=9))
    by_id = {run.run_id: run for run in runs}
    assert found == [by_id[name] for name in "ecbad"]

    statuses = (RunStatus.SUCCEEDED, RunStatus.FAILED)
    found = await storage.read(lambda r: r.runs("thread", statuses=statuses, limit=9))
    assert found == [by_id[name] for name in "bd"]
    assert await storage.read(lambda r: r.runs("nobody", limit=9)) == []


@pytest.mark.parametrize("size", [1, 2, 3, 9])
async def test_pages_of_runs_join_up(storage: Storage, size: int) -> None:
    names = [f"{number:02}" for number in range(9)]
    await add(storage, a_thread(), *(a_run(name, create_time=int(name) // 4) for name in names))

    async def page(after: Position | None) -> list[RunRecord]:
        return await storage.read(lambda r: r.runs("thread", limit=size, after=after))

    seen: list[str] = []
    found = await page(None)
    while found:
        assert len(found) <= size
        seen += [run.run_id for run in found]
        found = await page(Position(found[-1].create_time, found[-1].run_id))
    assert seen == names[::-1]


async def test_deleting_a_run_leaves_its_pauses(storage: Storage) -> None:
    await add(storage, a_thread(), a_run("run"), a_run("other"), a_pause(run_id="run"))
    await add(storage, an_event(1), an_event(1, "other"))

    assert await storage.write(lambda tx: tx.delete_run("run")) is True

    assert await storage.read(lambda r: r.run("run")) is None
    assert await storage.read(lambda r: r.events("run", after=0, limit=9)) == []
    assert await storage.read(lambda r: r.pauses_of_run("run")) == [a_pause(run_id="run")]
    assert await storage.read(lambda r: r.events("other", after=0, limit=9)) == [
        an_event(1, "other")
    ]
    assert await storage.write(lambda tx: tx.delete_run("run")) is False
