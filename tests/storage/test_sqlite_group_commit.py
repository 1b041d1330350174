"""SQLite: what waits shares a flush, and what goes wrong goes wrong for as few as possible."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from graphwire_server.storage.interface import (
    IntegrityError,
    StorageError,
    StorageTimeout,
    Transaction,
)
from graphwire_server.storage.sql import group_commit
from graphwire_server.storage.sql.outcome import Outcome
from graphwire_server.storage.sqlite import SqliteStorage, batch

from .builders import a_run, a_thread, add
from .conftest import OpenSqlite, writers_connection

TIMEOUT = 30


@pytest.fixture
async def log(sqlite_storage: SqliteStorage) -> AsyncIterator[list[str]]:
    """The first words of all that the writer says to SQLite."""
    statements: list[str] = []

    def note(statement: str) -> None:
        if not statement.startswith("PRAGMA"):
            statements.append(" ".join(statement.split()[:2]))

    writer = writers_connection(sqlite_storage)
    await writer.run(lambda sqlite: sqlite.set_trace_callback(note))
    yield statements
    await writer.run(lambda sqlite: sqlite.set_trace_callback(None))


def insert(name: str, tx: Transaction) -> str:
    tx.insert_thread(a_thread(name))
    return name


async def exists(storage: SqliteStorage, name: str) -> bool:
    return await storage.read(lambda r: r.thread(name)) is not None


class Held:
    """A work that stays in the writer until it is let go; not on the event loop."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, tx: Transaction) -> None:
        tx.insert_thread(a_thread("held"))
        self.started.set()
        assert self.go_on.wait(TIMEOUT)


async def hold(storage: SqliteStorage) -> tuple[Held, asyncio.Task[None]]:
    held = Held()
    task = asyncio.create_task(storage.write(held, long=True))
    assert await asyncio.to_thread(held.started.wait, TIMEOUT)
    return held, task


async def test_a_lone_work_needs_no_savepoint(
    sqlite_storage: SqliteStorage, log: list[str]
) -> None:
    await sqlite_storage.write(partial(insert, "a"))
    assert log == ["BEGIN IMMEDIATE", "INSERT INTO", "COMMIT"]


async def test_what_waits_is_committed_together_and_each_can_fail_alone(
    sqlite_storage: SqliteStorage, log: list[str]
) -> None:
    results = await asyncio.gather(
        *(sqlite_storage.write(partial(insert, name)) for name in "aba"), return_exceptions=True
    )
    assert results[:2] == ["a", "b"]
    assert isinstance(results[2], IntegrityError)
    assert log == [
        "BEGIN IMMEDIATE",
        *["SAVEPOINT work", "INSERT INTO", "RELEASE work"] * 2,
        *["SAVEPOINT work", "INSERT INTO", "ROLLBACK TO", "RELEASE work"],
        "COMMIT",
    ]


async def test_writes_gather_while_the_one_before_them_is_committed(
    sqlite_storage: SqliteStorage, log: list[str]
) -> None:
    held, first = await hold(sqlite_storage)
    rest = [
        asyncio.create_task(sqlite_storage.write(partial(insert, f"{number}")))
        for number in range(9)
    ]
    await asyncio.sleep(0)
    held.go_on.set()
    await asyncio.gather(first, *rest)
    assert log.count("COMMIT") == 2


async def test_a_batch_is_bounded(
    sqlite_storage: SqliteStorage, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_storage._writer, "_max_batch", 4)
    writes = (sqlite_storage.write(partial(insert, f"{number}")) for number in range(10))
    assert await asyncio.gather(*writes) == [f"{number}" for number in range(10)]
    assert log.count("COMMIT") == 3


async def test_a_write_cancelled_while_it_waits_is_not_done(
    sqlite_storage: SqliteStorage,
) -> None:
    held, first = await hold(sqlite_storage)
    waiting = asyncio.create_task(sqlite_storage.write(partial(insert, "taken back")))
    after = asyncio.create_task(sqlite_storage.write(partial(insert, "after")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    held.go_on.set()
    await asyncio.gather(first, after)
    assert waiting.cancelled()
    assert not await exists(sqlite_storage, "taken back")
    assert await exists(sqlite_storage, "after")


async def test_a_write_cancelled_before_its_turn_in_a_batch_is_not_done(
    sqlite_storage: SqliteStorage, log: list[str]
) -> None:
    held = Held()
    first = asyncio.create_task(sqlite_storage.write(held, long=True))
    waiting = asyncio.create_task(sqlite_storage.write(partial(insert, "taken back")))
    after = asyncio.create_task(sqlite_storage.write(partial(insert, "after")))
    assert await asyncio.to_thread(held.started.wait, TIMEOUT)
    waiting.cancel()
    await asyncio.wait([waiting])
    held.go_on.set()
    await asyncio.gather(first, after)
    assert waiting.cancelled()
    assert log.count("COMMIT") == 1
    assert not await exists(sqlite_storage, "taken back")
    assert await exists(sqlite_storage, "after")


async def test_a_write_cancelled_while_it_runs_is_done_wholly(
    sqlite_storage: SqliteStorage,
) -> None:
    held, running = await hold(sqlite_storage)
    running.cancel()
    await asyncio.wait([running])
    held.go_on.set()
    await sqlite_storage.write(partial(insert, "after"))
    assert running.cancelled()
    assert await exists(sqlite_storage, "held")


async def test_a_write_that_is_taken_back_while_it_closes_does_not_keep_it_open(
    sqlite_storage: SqliteStorage,
) -> None:
    held, task = await hold(sqlite_storage)
    waiting = asyncio.create_task(sqlite_storage.write(partial(insert, "b")))
    closing = asyncio.create_task(sqlite_storage.close())
    while not sqlite_storage._writer._closed:
        await asyncio.sleep(0)
    waiting.cancel()
    held.go_on.set()
    await asyncio.wait_for(asyncio.gather(task, closing), TIMEOUT)


async def test_a_full_disk_is_named_and_keeps_nothing_of_the_batch(
    sqlite_storage: SqliteStorage, sqlite_path: Path
) -> None:
    writer = writers_connection(sqlite_storage)
    pages = await writer.run(lambda s: s.execute("PRAGMA page_count").fetchone()[0])
    await writer.run(lambda s: s.execute(f"PRAGMA max_page_count = {pages + 3}").fetchall())

    def insert_much(tx: Transaction) -> None:
        tx.insert_thread(a_thread("much", metadata='"' + "x" * 100_000 + '"'))

    alone = sqlite_storage.write(insert_much)
    with pytest.raises(StorageError) as caught:
        await alone
    assert f"the database {sqlite_path} can't be used" in str(caught.value)
    assert "database or disk is full" in str(caught.value)

    results = await asyncio.gather(
        sqlite_storage.write(partial(insert, "before")),
        sqlite_storage.write(insert_much),
        sqlite_storage.write(partial(insert, "after")),
        return_exceptions=True,
    )
    for result in results:
        assert isinstance(result, StorageError)
        assert "database or disk is full" in str(result)
    for name in ("before", "much", "after"):
        assert not await exists(sqlite_storage, name)

    await writer.run(lambda s: s.execute("PRAGMA max_page_count = 100000").fetchall())
    await sqlite_storage.write(insert_much)
    assert await exists(sqlite_storage, "much")


async def test_a_work_can_not_go_on_when_sqlite_gave_its_transaction_up(
    sqlite_storage: SqliteStorage,
) -> None:
    def work(tx: Transaction) -> None:
        insert("before", tx)
        tx._session._sqlite.execute("ROLLBACK")  # type: ignore[attr-defined]
        insert("after", tx)

    with pytest.raises(StorageError, match="the transaction is over"):
        await sqlite_storage.write(work)
    assert not await exists(sqlite_storage, "before")
    assert not await exists(sqlite_storage, "after")


async def test_a_transaction_is_of_no_use_after_its_work(sqlite_storage: SqliteStorage) -> None:
    transaction = await sqlite_storage.write(lambda tx: tx)
    with pytest.raises(StorageError, match="the transaction is over"):
        transaction.insert_thread(a_thread())


async def test_a_commit_that_fails_is_told_to_all_of_its_batch(
    sqlite_storage: SqliteStorage, sqlite_path: Path
) -> None:
    def fail_at_commit(tx: Transaction) -> None:
        tx._session._sqlite.execute("PRAGMA defer_foreign_keys = ON")  # type: ignore[attr-defined]
        tx.insert_run(a_run("run", "nobody"))

    results = await asyncio.gather(
        sqlite_storage.write(partial(insert, "before")),
        sqlite_storage.write(fail_at_commit),
        sqlite_storage.write(partial(insert, "after")),
        return_exceptions=True,
    )
    for result in results:
        assert isinstance(result, StorageError)
        assert str(result) == (
            f"the database {sqlite_path} can't be used: FOREIGN KEY constraint failed"
        )
    assert len({id(result) for result in results}) == 3
    assert not await exists(sqlite_storage, "before")
    assert await sqlite_storage.write(partial(insert, "before")) == "before"


async def test_a_lock_held_by_another_program_is_named(
    sqlite_path: Path, open_sqlite: OpenSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "BUSY_TIMEOUT", 0.05)
    storage = await open_sqlite(sqlite_path)
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError) as caught:
            await add(storage, a_thread())
    assert str(caught.value) == f"the database {sqlite_path} can't be used: database is locked"
    assert await storage.read(lambda r: r.thread("thread")) is None
    await add(storage, a_thread())


async def test_a_writer_that_is_torn_down_leaves_nobody_waiting(
    sqlite_storage: SqliteStorage,
) -> None:
    held, running = await hold(sqlite_storage)
    waiting = asyncio.create_task(sqlite_storage.write(partial(insert, "waiting")))
    await asyncio.sleep(0)
    sqlite_storage._writer._task.cancel()
    held.go_on.set()
    await asyncio.wait([running, waiting])
    assert running.cancelled()
    assert waiting.cancelled()
    with pytest.raises(StorageError, match="it is closed"):
        await sqlite_storage.write(partial(insert, "later"))


async def test_a_write_that_waited_for_the_lock_does_not_wait_for_the_event_loop(
    sqlite_storage: SqliteStorage, sqlite_path: Path
) -> None:
    """While a node blocks the loop, the lock would be held, and the lease could not be renewed."""
    committed = threading.Event()
    other = sqlite3.connect(sqlite_path, isolation_level=None, check_same_thread=False)

    def lets_go() -> None:
        other.execute("COMMIT")
        for _ in range(1000):
            if other.execute("SELECT 1 FROM gw_threads WHERE thread_id = 'waited'").fetchone():
                committed.set()
                return
            time.sleep(0.01)

    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.create_task(sqlite_storage.write(partial(insert, "waited")))
        while not sqlite_storage._writer._wake.is_set():
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        thread = threading.Thread(target=lets_go)
        thread.start()
        thread.join(TIMEOUT)  # what a node that blocks does
        assert committed.is_set()
        assert await write == "waited"


@pytest.mark.parametrize("long", [True, False])
async def test_a_work_that_waits_for_a_lock_until_it_is_given_up_is_one_that_is_refused(
    monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    async def give_up(works: object, *, long: bool) -> list[Outcome[None]]:
        raise StorageTimeout("canceling statement due to lock timeout")

    monkeypatch.setattr(group_commit, "_LONG", 0.0 if long else 5.0)
    writer = group_commit.GroupCommit(give_up, database="db", max_batch=1)
    with pytest.raises(StorageTimeout):
        await writer.submit(partial(insert, "a"))
    await writer.close()
    assert (writer.refused_at is not None) is long
