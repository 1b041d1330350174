"""Contract: the runs of a thread have places, in the order in which they began."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import RunStatus
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sqlite.schema import run_script

from .builders import A_DAY, a_run, a_thread, add

RUNNING = RunStatus.RUNNING


async def order(storage: Storage, thread_id: str = "thread") -> list[tuple[int, str]]:
    """The runs of a thread with their places."""
    found: list[tuple[int, str]] = []
    while True:
        after = found[-1][0] if found else 0
        place = await storage.read(lambda db, n=after: db.next_run(thread_id, after=n))  # type: ignore[misc]
        if place is None:
            return found
        found.append((place.number, place.run.run_id))


async def end(storage: Storage, run_id: str, to: RunStatus = RunStatus.SUCCEEDED) -> None:
    assert await storage.write(lambda tx: tx.change_run(run_id, to, now=9))


async def test_a_run_gets_its_place_when_it_begins(storage: Storage) -> None:
    await add(storage, a_thread(), a_run("later"), a_run("first", status=RUNNING))
    assert await order(storage) == [(1, "first")]
    await end(storage, "first")
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    await storage.write(lambda tx: tx.claim_due("server", limit=9))
    assert await order(storage) == [(1, "first"), (2, "later")]
    await end(storage, "later")
    assert await order(storage) == [(1, "first"), (2, "later")]
    assert await storage.read(lambda db: db.last_place("thread")) == 2
    assert await storage.read(lambda db: db.place_of("later")) == 2
    assert await storage.read(lambda db: db.run_at("thread", 3)) is None
    found = await storage.read(lambda db: db.run_at("thread", 1))
    assert found is not None
    assert found.run_id == "first"


@pytest.mark.parametrize("to", [RunStatus.CANCELLED, RunStatus.FAILED])
async def test_a_run_that_never_began_gets_its_place_when_it_ends(
    storage: Storage, to: RunStatus
) -> None:
    await add(storage, a_thread(), a_run("a", status=RUNNING), a_run("b"), a_run("c"))
    assert await storage.read(lambda db: db.place_of("c")) == 0
    await end(storage, "c", to)
    await end(storage, "a")
    await end(storage, "b", to)
    assert await order(storage) == [(1, "a"), (2, "c"), (3, "b")]


async def test_places_are_of_one_thread(storage: Storage) -> None:
    await add(storage, a_thread("x"), a_thread("y"))
    await add(storage, a_run("x1", "x", status=RUNNING), a_run("y1", "y", status=RUNNING))
    assert await order(storage, "x") == [(1, "x1")]
    assert await order(storage, "y") == [(1, "y1")]
    assert await storage.read(lambda db: db.last_place("nobody")) == 0
    assert await storage.read(lambda db: db.place_of("nobody")) == 0


async def test_many_runs_that_are_claimed_at_once_get_the_places_of_their_threads(
    storage: Storage,
) -> None:
    names = [f"{number}" for number in range(20)]
    await add(storage, *(a_thread(name) for name in names))
    for name in names:
        await add(storage, a_run(f"old-{name}", name, status=RUNNING))
        await end(storage, f"old-{name}")
        await add(storage, a_run(f"new-{name}", name), a_run(f"last-{name}", name))
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    claimed = await storage.write(lambda tx: tx.claim_due("server", limit=99))
    assert len(claimed) == 20
    for name in names:
        assert await order(storage, name) == [(1, f"old-{name}"), (2, f"new-{name}")]


async def test_no_place_is_given_twice_whatever_is_deleted(storage: Storage) -> None:
    await add(storage, a_thread())
    for name in "abc":
        await add(storage, a_run(name, status=RUNNING))
        await end(storage, name)
    for name in "cb":
        assert await storage.write(lambda tx, name=name: tx.delete_run(name))  # type: ignore[misc]
    assert await storage.read(lambda db: db.last_place("thread")) == 3
    await add(storage, a_run("d", status=RUNNING))
    assert await order(storage) == [(1, "a"), (4, "d")]


async def test_places_of_a_race_are_all_different(storage: Storage) -> None:
    # Queued runs are cancelled while others begin: the thread decides on one at a time.

    names = [f"{number:02}" for number in range(30)]
    await add(storage, a_thread(), *(a_run(name) for name in names))
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))

    def claim_and_end(tx: Transaction) -> None:
        for run in tx.claim_due("server", limit=1):
            tx.change_run(run.run_id, RunStatus.SUCCEEDED, now=5)

    await asyncio.gather(
        *(storage.write(claim_and_end) for _ in names),
        *(
            storage.write(lambda tx, name=name: tx.change_run(name, RunStatus.CANCELLED, now=6))  # type: ignore[misc]
            for name in reversed(names)
        ),
    )
    found = await order(storage)
    assert [place for place, _ in found] == list(range(1, 31))
    assert sorted(name for _, name in found) == names


# --- of databases that had runs before ---


@pytest.fixture
def old(tmp_path: Path) -> sqlite3.Connection:
    """A database as it was before runs had places, with some that began out of order."""
    sqlite = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    migrations = load_migrations()
    number = next(m.number for m in migrations if "removed_place" in m.script)
    run_script(sqlite, *(m.script for m in migrations if m.number < number))
    thread = ("thread", "IDLE", "agent", "", "[]", False, 1, 1, "{}")
    sqlite.execute(
        "INSERT INTO gw_threads (thread_id, status, assistant_id, checkpoint_id, next_nodes,"
        " stateless, create_time, update_time, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        thread,
    )
    for name, status, start, end_time in [
        ("second", "SUCCEEDED", 20, 21),
        ("first", "INTERRUPTED", 10, 11),
        ("never", "CANCELLED", None, 30),
        ("queued", "PENDING", None, None),
        ("now", "RUNNING", 40, None),
    ]:
        sqlite.execute(
            "INSERT INTO gw_runs (run_id, thread_id, assistant_id, status, create_time, due_time,"
            " start_time, end_time, resumed_run_id, resumed_by_run_id, last_sequence,"
            " cancel_requested, checkpoint_id, lease_owner, lease_epoch, attempt, losses, absorbed,"
            " metadata) VALUES (?, 'thread', 'agent', ?, 1, 1, ?, ?, '', '', 0, FALSE, '', '', 0,"
            " 0, 0, FALSE, '{}')",
            (name, status, start, end_time),
        )
    sqlite.execute(
        "INSERT INTO gw_pauses (pause_id, thread_id, run_id, kind, node, namespace, checkpoint_id,"
        " create_time, interrupt_id, task_id, status, resolved_by_run_id) VALUES"
        " ('p', 'thread', 'first', 'INTERRUPT', 'n', '[]', 'c', 1, '', '', 'OPEN', '')"
    )
    run_script(sqlite, *(m.script for m in migrations if m.number >= number))
    return sqlite


def test_runs_that_were_there_get_places_in_the_order_of_their_start(
    old: sqlite3.Connection,
) -> None:
    rows = old.execute("SELECT run_id, place FROM gw_runs ORDER BY place, run_id").fetchall()
    assert rows == [("queued", None), ("first", 1), ("second", 2), ("never", 3), ("now", 4)]
    assert old.execute("SELECT assistant_id FROM gw_pauses").fetchall() == [("agent",)]
    old.close()
