"""A run that ends while another one wants its place: what counts if it ended by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.graphs.position import Position, Waiting
from graphwire_server.runs.ending import end_run
from graphwire_server.runs.events import Sealer
from graphwire_server.runs.execution import Outcome
from graphwire_server.runs.giving_up import give_up
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import (
    Failure,
    PauseKind,
    PauseRecord,
    PauseStatus,
    RunRecord,
    RunStatus,
    ThreadRecord,
    ThreadStatus,
)

from tests.runs.specs import a_spec
from tests.storage.builders import A_DAY, a_pause, a_run, a_thread, add

CANCELLED, INTERRUPTED = RunStatus.CANCELLED, RunStatus.INTERRUPTED
STOP = Waiting(PauseKind.BREAKPOINT_BEFORE, "b", task_id="b-task")
PAUSED = Outcome(
    INTERRUPTED,
    Position(checkpoint_id="c2", next=("b",), values='{"log": []}', tasks=(), stopped_after=()),
    (STOP,),
)


def spec(**given: Any) -> str:
    return a_spec(**given).to_json()


async def make(storage: Storage, *, multitask: str, **given: Any) -> None:
    """A thread with a run that executes, and another one that waits for its end."""
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    await add(
        storage,
        a_thread(status=ThreadStatus.BUSY, checkpoint_id="c1", next=("a",), values='{"n": 1}'),
        a_run("old", status=RunStatus.RUNNING, spec=spec(), last_sequence=1, start_time=1),
        a_run("new", spec=spec(multitask=multitask, **given)),
    )


async def end(storage: Storage, outcome: Outcome, run_id: str = "old") -> bool:
    def work(tx: Transaction) -> bool:
        run = tx.run(run_id)
        assert run is not None
        return end_run(tx, run, outcome, Sealer(run))

    return await storage.write(work)


async def found(storage: Storage) -> tuple[ThreadRecord, RunRecord, list[PauseRecord]]:
    def read(db: Any) -> Any:
        return db.thread("thread", values=True), db.run("old"), db.pauses_of_run("old")

    result: tuple[ThreadRecord, RunRecord, list[PauseRecord]] = await storage.read(read)
    return result


async def claimed(storage: Storage) -> list[str]:
    runs = await storage.write(lambda tx: tx.claim_due("server", limit=9))
    return [run.run_id for run in runs]


async def test_interrupt_waits_behind_a_pause_that_the_run_came_to_by_itself(
    storage: Storage,
) -> None:
    await make(storage, multitask="INTERRUPT")
    await storage.write(lambda tx: tx.request_cancel("old"))
    assert await end(storage, PAUSED)
    thread, run, (pause,) = await found(storage)
    assert (run.status, thread.status, pause.status) == (
        INTERRUPTED,
        ThreadStatus.INTERRUPTED,
        PauseStatus.OPEN,
    )
    assert await claimed(storage) == []


async def test_it_goes_on_to_wait_there_when_another_one_that_waits_is_cancelled(
    storage: Storage,
) -> None:
    await make(storage, multitask="INTERRUPT")
    await add(storage, a_run("third", spec=spec(multitask="ENQUEUE")))
    await storage.write(lambda tx: tx.request_cancel("old"))
    assert await end(storage, PAUSED)
    assert await end(storage, Outcome(CANCELLED), "third")
    thread, _, (pause,) = await found(storage)
    assert (thread.status, pause.status) == (ThreadStatus.INTERRUPTED, PauseStatus.OPEN)
    assert await claimed(storage) == []


@pytest.mark.parametrize("state", [True, False])
async def test_a_run_that_left_nothing_leaves_the_thread_to_whose_it_was(
    storage: Storage, *, state: bool
) -> None:
    await make(storage, multitask="ENQUEUE")
    await storage.write(lambda tx: tx.request_cancel("new"))
    assert await end(storage, Outcome(CANCELLED), "new")
    before = a_run("before", status=RunStatus.SUCCEEDED, assistant_id="first", start_time=0)
    if state:
        await add(storage, before)

    def taken(tx: Transaction) -> None:
        head = ("c1" if state else "", ("a",), None)
        tx.update_thread("thread", now=1, assistant_id="agent", graph_id="g", head=head)

    await storage.write(taken)
    assert not await end(storage, Outcome(RunStatus.FAILED, error=Failure("E", "text")))
    thread, _, _ = await found(storage)
    assert (thread.assistant_id, thread.graph_id) == (("first", "g") if state else ("", ""))


async def test_rollback_rolls_back_one_that_has_paused_or_succeeded_by_itself(
    storage: Storage,
) -> None:
    for outcome in (
        PAUSED,
        replace(PAUSED, status=RunStatus.SUCCEEDED, waiting=()),
        Outcome(RunStatus.FAILED, error=Failure("ValueError", "no")),
    ):
        await storage.write(lambda tx: tx.delete_thread("thread"))
        await storage.write(lambda tx: tx.leave_servers("server"))
        await make(storage, multitask="ROLLBACK")
        await storage.write(lambda tx: tx.request_cancel("old", rollback=True))
        assert await end(storage, outcome)
        thread, run, pauses = await found(storage)
        assert (run.status, run.rolled_back, run.error, run.checkpoint_id) == (
            CANCELLED,
            True,
            None,
            "c1",
        )
        assert (thread.status, thread.checkpoint_id, thread.next, thread.values, pauses) == (
            ThreadStatus.BUSY,
            "c1",
            ("a",),
            '{"n": 1}',
            [],
        )
        (last,) = await storage.read(lambda db: db.events("old", after=1, limit=9))
        event = pb.RunEvent.FromString(last.data)
        assert (event.end.checkpoint_id, event.sequence) == ("c1", 2)
        assert await claimed(storage) == ["new"]


@pytest.mark.parametrize("due", [True, False])
async def test_what_a_rolled_back_run_had_resumed_waits_again_or_is_given_up_for_the_next(
    storage: Storage, due: bool
) -> None:
    await make(storage, multitask="ROLLBACK")
    if not due:
        await storage.write(lambda tx: tx.delete_run("new"))
        later = a_run("new", spec=spec(multitask="ROLLBACK"), due_time=2**53)
        await storage.write(lambda tx: tx.insert_run(later))
    stop = a_pause("p", run_id="before", checkpoint_id="c1", node="a", task_id="a-task")
    await add(storage, stop)
    await storage.write(
        lambda tx: tx.resolve_pause("p", PauseStatus.RESUMED, now=2, by_run_id="old", answer="1")
    )
    await storage.write(lambda tx: tx.request_cancel("old", rollback=True))
    await end(storage, PAUSED)
    thread, _, _ = await found(storage)
    then, again = await storage.read(lambda db: db.pauses_of_run("before"))
    assert (then.pause_id, then.status, then.answer) == ("p", PauseStatus.SUPERSEDED, "1")
    new = await storage.read(lambda db: db.run("new"))
    assert new is not None
    assert new.discards
    if due:
        assert thread.status is ThreadStatus.BUSY
        assert (again.status, again.resolved_by_run_id) == (PauseStatus.SUPERSEDED, "new")
        assert RunSpec.from_json(new.spec).waited
        assert await claimed(storage) == ["new"]
    else:
        assert thread.status is ThreadStatus.INTERRUPTED
        assert again == replace(
            stop, pause_id=again.pause_id, create_time=again.create_time, status=PauseStatus.OPEN
        )
        assert await claimed(storage) == []


async def test_the_time_of_a_rolled_back_runs_beginning_says_whether_its_thread_waited(
    storage: Storage,
) -> None:
    await add(
        storage,
        a_thread(status=ThreadStatus.BUSY, checkpoint_id="c1", next=("a",)),
        a_run("old", status=RunStatus.RUNNING, spec=spec(waited=True), last_sequence=1),
    )
    await storage.write(lambda tx: tx.request_cancel("old", rollback=True))
    assert not await end(storage, Outcome(CANCELLED))
    thread, _, _ = await found(storage)
    assert (thread.status, thread.next) == (ThreadStatus.INTERRUPTED, ("a",))


@pytest.mark.parametrize("queued", [True, False])
async def test_what_is_given_up_is_cancelled_by_whoever_says_so(
    storage: Storage, queued: bool
) -> None:
    thread = a_thread(status=ThreadStatus.INTERRUPTED, checkpoint_id="c1", next=("a",))
    await add(storage, thread, a_pause("p"), a_pause("q"))
    if queued:
        await add(storage, a_run("later"))
    given = await storage.write(
        lambda tx: give_up(tx, thread, now=7, principal="me", answered_by="Ada", expired=True)
    )
    assert given is queued
    for pause in await storage.read(lambda db: db.pauses_of_run("run")):
        assert (pause.status, pause.resolve_time, pause.resolved_by_run_id) == (
            PauseStatus.CANCELLED,
            7,
            "",
        )
        assert (pause.principal, pause.answered_by, pause.expired) == ("me", "Ada", True)
    left = await storage.read(lambda db: db.thread("thread"))
    assert left is not None
    assert left.status is (ThreadStatus.BUSY if queued else ThreadStatus.IDLE)
    assert (left.checkpoint_id, left.next) == ("c1", ("a",))
