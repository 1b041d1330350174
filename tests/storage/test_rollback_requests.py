"""Contract: what is noted of runs that are to be rolled back, and of those that may discard."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import PauseStatus, RunRecord, RunStatus, ThreadStatus

from .builders import A_DAY, a_pause, a_run, a_thread, add

PENDING, RUNNING = RunStatus.PENDING, RunStatus.RUNNING


async def run(storage: Storage, run_id: str = "run") -> RunRecord:
    found = await storage.read(lambda db: db.run(run_id))
    assert found is not None
    return found


async def test_a_rollback_that_was_asked_for_once_stays_asked_for(storage: Storage) -> None:
    await add(storage, a_thread(), a_run())

    async def asked() -> tuple[bool, bool]:
        wanted = await storage.read(lambda db: db.rollback_requested("run"))
        return (await run(storage)).cancel_requested, wanted

    assert await asked() == (False, False)
    await storage.write(lambda tx: tx.request_cancel("run"))
    assert await asked() == (True, False)
    await storage.write(lambda tx: tx.request_cancel("run", rollback=True))
    await storage.write(lambda tx: tx.request_cancel("run", abandon=True))
    assert await asked() == (True, True)
    assert not await storage.read(lambda db: db.rollback_requested("nobody"))


async def test_a_run_that_was_rolled_back_is_not_the_last_one(storage: Storage) -> None:
    first = a_run("a", status=RunStatus.INTERRUPTED, start_time=3)
    await add(storage, a_thread(), first, a_run("b", status=RUNNING, start_time=5))
    assert await storage.write(
        lambda tx: tx.change_run(
            "b", RunStatus.CANCELLED, now=6, checkpoint_id="c", rolled_back=True
        )
    )
    ended = await run(storage, "b")
    assert (ended.rolled_back, ended.checkpoint_id, ended.end_time) == (True, "c", 6)
    assert await storage.read(lambda db: db.last_run("thread")) == first


@pytest.mark.parametrize("status", [ThreadStatus.INTERRUPTED, ThreadStatus.BUSY])
@pytest.mark.parametrize("discards", [False, True])
async def test_on_a_paused_thread_only_a_run_that_discards_begins(
    storage: Storage, status: ThreadStatus, discards: bool
) -> None:
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    await add(storage, a_thread(status=status), a_run("a", discards=discards), a_run("b"))
    begins = discards or status is ThreadStatus.BUSY
    assert await storage.read(lambda db: db.has_due_run()) is begins
    claimed = await storage.write(lambda tx: tx.claim_due("server", limit=9))
    assert [found.run_id for found in claimed] == (["a"] if begins else [])


async def test_a_run_is_let_discard_and_its_spec_changed_while_it_waits(storage: Storage) -> None:
    await add(storage, a_thread(status=ThreadStatus.INTERRUPTED), a_run())
    await storage.write(lambda tx: tx.let_discard("run"))
    await storage.write(lambda tx: tx.change_spec("run", '{"other": 2}'))
    assert await run(storage) == replace(a_run(), discards=True, spec='{"other": 2}')


async def test_active_runs_are_found_by_their_status_the_latest_first(storage: Storage) -> None:
    await add(
        storage,
        a_thread("x"),
        a_thread("y"),
        a_run("a", "x"),
        a_run("b", "x", status=RUNNING),
        a_run("c", "y", status=RUNNING),
        a_run("d", "y"),
        a_run("over", "y", status=RunStatus.SUCCEEDED),
    )
    assert await storage.read(lambda db: db.active_run_ids(PENDING)) == ["d", "a"]
    assert await storage.read(lambda db: db.active_run_ids(RUNNING)) == ["c", "b"]


async def test_what_a_run_has_resumed_is_taken_back_and_what_it_left_behind_stays_so(
    storage: Storage,
) -> None:
    await add(
        storage,
        a_thread(),
        a_thread("x"),
        *(a_pause(pause_id) for pause_id in ("resumed", "left", "other", "open")),
        a_pause("foreign", "x"),
    )

    async def resolve(pause_id: str, to: PauseStatus, run_id: str) -> None:
        assert await storage.write(
            lambda tx: tx.resolve_pause(pause_id, to, now=5, by_run_id=run_id, answer="1")
        )

    await resolve("resumed", PauseStatus.RESUMED, "r")
    await resolve("left", PauseStatus.SUPERSEDED, "r")
    await resolve("other", PauseStatus.RESUMED, "q")
    await resolve("foreign", PauseStatus.RESUMED, "r")
    resolved = await storage.read(lambda db: db.pauses_resolved_by("thread", "r"))
    assert [(p.pause_id, p.status) for p in resolved] == [
        ("resumed", PauseStatus.RESUMED),
        ("left", PauseStatus.SUPERSEDED),
    ]
    await storage.write(lambda tx: tx.take_back_resumed("thread", "r"))
    again = await storage.read(lambda db: db.pauses_resolved_by("thread", "r"))
    assert again == [replace(resolved[0], status=PauseStatus.SUPERSEDED), resolved[1]]
    assert again[0].answer == "1"
    kept = await storage.read(lambda db: db.pauses_of_run("run"))
    assert {p.pause_id: p.status.value for p in kept} == {
        "resumed": "SUPERSEDED",
        "left": "SUPERSEDED",
        "other": "RESUMED",
        "open": "OPEN",
        "foreign": "RESUMED",
    }
