"""Which pauses stay open, which are made and which are given up when a thread stops anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from graphwire import errors
from graphwire_server.graphs.breakpoints import Breakpoint, Met
from graphwire_server.graphs.position import Waiting
from graphwire_server.runs.answered import check_in_time
from graphwire_server.runs.ending import settle_pauses
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import PauseKind, PauseRecord, PauseStatus
from graphwire_server.storage.sqlite import SqliteStorage
from structlog.testing import capture_logs

from tests.storage.builders import a_run, a_thread

NOW = 7
BEFORE, AFTER = PauseKind.BREAKPOINT_BEFORE, PauseKind.BREAKPOINT_AFTER


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    """A storage with one thread and its run."""
    storage = await SqliteStorage.open(tmp_path / "graphwire.db")
    await storage.write(lambda tx: tx.insert_thread(a_thread()))
    await storage.write(lambda tx: tx.insert_run(a_run()))
    yield storage
    await storage.close()


def asks(node: str, **given: Any) -> Waiting:
    filled: dict[str, Any] = {
        "interrupt_id": f"{node}-i",
        "value": '"?"',
        "task_id": f"{node}-t",
    }
    return Waiting(PauseKind.INTERRUPT, node, **(filled | given))


def stops(node: str, task_id: str = "", kind: PauseKind = BEFORE) -> Waiting:
    return Waiting(kind, node, task_id=task_id or f"{node}-t")


async def settle(
    storage: Storage,
    *waiting: Waiting,
    run_id: str = "run",
    checkpoint_id: str = "c1",
    keep: tuple[str, ...] = (),
) -> list[PauseRecord]:
    return await storage.write(
        lambda tx: settle_pauses(tx, "thread", run_id, checkpoint_id, waiting, now=NOW, keep=keep)
    )


async def all_pauses(storage: Storage) -> list[PauseRecord]:
    return await storage.read(lambda db: db.pauses_of_run("run"))


async def test_what_waits_becomes_pauses_in_its_order(storage: Storage) -> None:
    made = await settle(storage, asks("q", response_schema="{}", namespace=("n:1",)), stops("b"))
    assert [(p.kind, p.node, p.namespace) for p in made] == [
        (PauseKind.INTERRUPT, "q", ("n:1",)),
        (PauseKind.BREAKPOINT_BEFORE, "b", ()),
    ]
    assert (made[0].interrupt_id, made[0].value, made[0].response_schema) == ("q-i", '"?"', "{}")
    assert {(p.run_id, p.checkpoint_id, p.create_time) for p in made} == {("run", "c1", NOW)}
    assert await storage.read(lambda db: db.open_pauses("thread")) == made


async def test_a_schema_that_can_t_be_used_is_logged_once(storage: Storage) -> None:
    usable, unusable = '{"type": "string"}', '{"type": "secret"}'
    waiting = [asks("q", response_schema=unusable), asks("r", response_schema=usable), stops("b")]
    with capture_logs() as lines:
        made = await settle(storage, *waiting)
        await settle(storage, *waiting)
    assert lines == [
        {
            "event": "response_schema_unusable",
            "log_level": "warning",
            "pause_id": made[0].pause_id,
            "thread_id": "thread",
            "run_id": "run",
            "node": "q",
        }
    ]


async def test_a_question_that_is_still_asked_keeps_its_pause(storage: Storage) -> None:
    left, right = await settle(storage, asks("left"), asks("right"))
    again = await settle(storage, asks("right"), run_id="later")
    assert again == [right]
    assert await storage.read(lambda db: db.open_pauses("thread")) == [right]
    (given_up,) = [p for p in await all_pauses(storage) if p.pause_id == left.pause_id]
    assert (given_up.status, given_up.resolve_time) == (PauseStatus.SUPERSEDED, NOW)


@pytest.mark.parametrize(
    "other",
    [
        asks("q", value='"another?"'),
        asks("q", interrupt_id="other-i"),
        asks("q", task_id="other-t"),
        stops("q"),
    ],
)
async def test_what_differs_is_another_pause(storage: Storage, other: Waiting) -> None:
    (old,) = await settle(storage, asks("q"))
    (new,) = await settle(storage, other)
    assert new.pause_id != old.pause_id
    assert await storage.read(lambda db: db.open_pauses("thread")) == [new]


async def test_a_breakpoint_at_which_the_same_task_still_waits_keeps_its_pause(
    storage: Storage,
) -> None:
    first, second = await settle(storage, stops("work", "w1"), stops("work", "w2"))
    again = await settle(storage, stops("work", "w2"), run_id="later", checkpoint_id="c2")
    assert again == [second]
    (given_up,) = [p for p in await all_pauses(storage) if p.pause_id == first.pause_id]
    assert given_up.status is PauseStatus.SUPERSEDED


@pytest.mark.parametrize("kind", [BEFORE, AFTER])
async def test_a_breakpoint_that_is_reached_anew_is_a_new_pause(
    storage: Storage, kind: PauseKind
) -> None:
    (old,) = await settle(storage, stops("b", "1", kind))
    (new,) = await settle(storage, stops("b", "2", kind), checkpoint_id="c2")
    assert new.pause_id != old.pause_id
    assert [p.status for p in await all_pauses(storage)] == [
        PauseStatus.SUPERSEDED,
        PauseStatus.OPEN,
    ]


async def test_what_waited_before_a_run_that_did_not_stop_by_itself_goes_on_waiting(
    storage: Storage,
) -> None:
    stop, gone, asked = await settle(storage, stops("b"), stops("c"), asks("q"))
    kept = await settle(storage, keep=("b-t", "q-t"))
    # A question is asked, or it is not: there is no keeping it.
    assert kept == [stop]
    assert {p.pause_id: p.status for p in await all_pauses(storage)} == {
        stop.pause_id: PauseStatus.OPEN,
        gone.pause_id: PauseStatus.SUPERSEDED,
        asked.pause_id: PauseStatus.SUPERSEDED,
    }


async def test_a_question_that_was_answered_and_is_asked_again_is_a_new_pause(
    storage: Storage,
) -> None:
    (old,) = await settle(storage, asks("q"))
    await storage.write(
        lambda tx: tx.resolve_pause(old.pause_id, PauseStatus.RESUMED, now=NOW, answer="1")
    )
    (new,) = await settle(storage, asks("q"))
    assert new.pause_id != old.pause_id
    (resumed,) = [p for p in await all_pauses(storage) if p.pause_id == old.pause_id]
    assert (resumed.status, resumed.answer) == (PauseStatus.RESUMED, "1")


async def test_where_nothing_waits_no_pause_stays_open(storage: Storage) -> None:
    await settle(storage, asks("q"), stops("b"))
    assert await settle(storage, checkpoint_id="c2") == []
    assert await storage.read(lambda db: db.open_pauses("thread")) == []


# --- expiry ---

MINUTE = 60_000_000


def timed(after: int, on_expiry: str) -> Met:
    return Met(Breakpoint("a", breakpoint_id="b", expires_after=after, on_expiry=on_expiry))


ENDLESS = Met(Breakpoint("a"))


@pytest.mark.parametrize(
    ("met", "expires"),
    [
        ((ENDLESS,), (None, "")),
        ((timed(MINUTE, "RESUME"),), (NOW + MINUTE, "RESUME")),
        # It runs by itself only if all let it, when the last has waited.
        ((timed(MINUTE, "RESUME"), ENDLESS), (None, "")),
        ((timed(MINUTE, "RESUME"), timed(2 * MINUTE, "RESUME")), (NOW + 2 * MINUTE, "RESUME")),
        # What keeps it from running happens as soon as one says so.
        ((timed(3 * MINUTE, "CANCEL"), ENDLESS), (NOW + 3 * MINUTE, "CANCEL")),
        ((timed(3 * MINUTE, "CANCEL"), timed(MINUTE, "REJECT")), (NOW + MINUTE, "REJECT")),
        ((timed(MINUTE, "RESUME"), timed(2 * MINUTE, "CANCEL")), (NOW + 2 * MINUTE, "CANCEL")),
    ],
)
async def test_when_a_pause_expires_that_several_breakpoints_make(
    storage: Storage, met: tuple[Met, ...], expires: tuple[int | None, str]
) -> None:
    (pause,) = await settle(storage, Waiting(BEFORE, "a", task_id="a-t", met=met))
    assert (pause.expire_time, pause.on_expiry) == expires


@pytest.mark.parametrize("on_expiry", ["REJECT", "CANCEL"])
def test_an_answer_that_comes_too_late_is_refused(on_expiry: str) -> None:
    pause = PauseRecord(
        "p", "thread", "run", BEFORE, "a", (), "c1", 0, expire_time=NOW, on_expiry=on_expiry
    )
    check_in_time([pause], NOW - 1)
    with pytest.raises(errors.PauseNotOpenError, match="answers come too late") as refusal:
        check_in_time([pause], NOW)
    assert refusal.value.metadata == {
        "pause_id": "p",
        "status": "OPEN",
        "time": "1970-01-01T00:00:00.000007Z",
    }


def test_an_answer_to_a_pause_that_would_go_on_by_itself_is_never_too_late() -> None:
    pause = PauseRecord(
        "p", "thread", "run", BEFORE, "a", (), "c1", 0, expire_time=NOW, on_expiry="RESUME"
    )
    check_in_time([pause], NOW + 1)
