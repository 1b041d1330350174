"""Postgres: what two servers' transactions cost each other is tried again, and nothing more."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import psycopg
import pytest
from graphwire_server.storage.interface import IntegrityError, Storage, StorageError, Transaction
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import PostgresStorage, transactions

from .builders import a_run, a_thread, add
from .conftest import OpenPostgres
from .two_servers import TIMEOUT, Deciding, waiting_for_locks


@pytest.fixture
async def a(open_postgres: OpenPostgres) -> PostgresStorage:
    """One server's storage."""
    storage = await open_postgres()
    await add(storage, a_thread("x"), a_thread("y"))
    return storage


class Crossing:
    """Works that take the same two threads in opposite orders, and meet in between."""

    def __init__(self) -> None:
        self.calls = 0
        self._meeting = threading.Barrier(2, timeout=TIMEOUT)

    def work(self, first: str, second: str, mark: int, tx: Transaction) -> int:
        self.calls += 1
        tx.thread(first)
        if self.calls <= 2:
            self._meeting.wait()
        tx.thread(second)
        tx.insert_thread(a_thread(f"by {first}", create_time=mark))
        return mark


async def exists(storage: Storage, *thread_ids: str) -> list[bool]:
    return [
        await storage.read(lambda r, name=name: r.thread(name)) is not None  # type: ignore[misc]
        for name in thread_ids
    ]


async def test_of_two_that_deadlock_both_are_done_in_the_end(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    crossing = Crossing()
    one, other = await asyncio.gather(
        a.write(partial(crossing.work, "x", "y", 1)),
        b.write(partial(crossing.work, "y", "x", 2)),
    )
    assert (one, other) == (1, 2)
    # One of them was done again, or each in turn.
    assert crossing.calls > 2
    assert await exists(a, "by x", "by y") == [True, True]


async def test_a_batch_that_deadlocks_is_done_work_by_work(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    crossing = Crossing()
    order: list[str] = []

    def note(name: str, tx: Transaction) -> str:
        order.append(name)
        tx.insert_thread(a_thread(name))
        return name

    def refuse(tx: Transaction) -> None:
        tx.insert_thread(a_thread("refused"))
        raise LookupError("mine")

    busy = Deciding(a, "x")
    await busy.until_it_has_read()
    batch = [
        asyncio.create_task(a.write(work))
        for work in (
            partial(note, "before"),
            refuse,
            partial(crossing.work, "x", "y", 1),
            partial(note, "after"),
        )
    ]
    await asyncio.sleep(0)
    await busy.finish()
    other = asyncio.create_task(b.write(partial(crossing.work, "y", "x", 2)))
    results = await asyncio.gather(*batch, return_exceptions=True)
    assert await other == 2
    assert [results[0], results[2], results[3]] == ["before", 1, "after"]
    assert isinstance(results[1], LookupError)
    names = ("before", "after", "by x", "by y", "refused")
    assert await exists(a, *names) == [True, True, True, True, False]
    assert order in (["before", "before", "after"], ["before", "after"])


async def test_a_work_that_can_not_win_is_given_up_and_no_other_with_it(
    a: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "_MAX_CONFLICTS", 2)
    calls = 0

    def unlucky(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        tx._execute(  # type: ignore[attr-defined]
            "DO $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = 'serialization_failure'; END $$"
        )

    results = await asyncio.gather(
        add(a, a_thread("1")), a.write(unlucky), add(a, a_thread("2")), return_exceptions=True
    )
    assert [results[0], results[2]] == [None, None]
    assert isinstance(results[1], StorageError)
    assert str(results[1]).endswith("can't be used: not now")
    # Once with the others, and then as often as a work is tried alone.
    assert calls == 1 + 3
    assert await exists(a, "1", "2") == [True, True]


async def test_a_conflict_that_a_work_hides_is_no_success(a: PostgresStorage) -> None:
    calls = 0

    def work(tx: Transaction) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            with pytest.raises(StorageError):
                tx._execute(  # type: ignore[attr-defined]
                    "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END $$"
                )
        tx.insert_thread(a_thread("z"))
        return "done"

    assert await a.write(work) == "done"
    assert calls == 2


@pytest.mark.parametrize("company", [0, 2])
async def test_an_error_that_a_work_hides_takes_its_changes_with_it(
    a: PostgresStorage, company: int
) -> None:
    def work(tx: Transaction) -> str:
        tx.insert_thread(a_thread("z"))
        with pytest.raises(IntegrityError):
            tx.insert_thread(a_thread("x"))
        return "done"

    others = [add(a, a_thread(f"{number}")) for number in range(company)]
    results = await asyncio.gather(a.write(work), *others, return_exceptions=True)
    assert isinstance(results[0], StorageError)
    assert "a work went on after an error" in str(results[0])
    assert results[1:] == [None] * company
    assert await exists(a, "z") == [False]


async def test_a_lock_that_is_not_given_up_is_not_waited_for_for_ever(
    a: PostgresStorage, postgres_address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = transactions._BEGIN_WRITING
    monkeypatch.setattr(transactions, "_BEGIN_WRITING", begin.replace("'10s'", "'50ms'"))
    monkeypatch.setattr(transactions, "_MAX_CONFLICTS", 1)
    with psycopg.connect(postgres_address.url) as other:
        other.execute("SELECT * FROM gw_threads WHERE thread_id = 'x' FOR UPDATE")
        results = await asyncio.gather(
            a.write(lambda tx: tx.thread("x")), add(a, a_thread("z")), return_exceptions=True
        )
    assert isinstance(results[0], StorageError)
    assert "lock timeout" in str(results[0])
    assert results[1] is None


async def test_a_server_that_stands_still_loses_its_locks(
    a: PostgresStorage, b: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = transactions._BEGIN_WRITING
    monkeypatch.setattr(transactions, "_BEGIN_WRITING", begin.replace("'5s'", "'300ms'"))
    calls: list[int] = []
    locked, go_on = threading.Event(), threading.Event()

    def stand_still(tx: Transaction) -> str:
        calls.append(len(calls))
        tx.thread("x")
        locked.set()
        if len(calls) == 1:
            assert go_on.wait(TIMEOUT)
        tx.update_thread("x", now=len(calls))
        return "done"

    standing = asyncio.create_task(a.write(stand_still))
    assert await asyncio.to_thread(locked.wait, TIMEOUT)
    await b.write(lambda tx: tx.update_thread("x", now=50, metadata='{"by": "b"}'))
    monkeypatch.undo()
    go_on.set()
    # It was not committed, so it is done once more.
    assert await standing == "done"
    assert len(calls) == 2
    thread = await a.read(lambda r: r.thread("x"))
    assert thread == a_thread("x", update_time=2, metadata='{"by": "b"}')


async def test_a_text_that_postgres_can_not_keep_is_refused_in_words(a: PostgresStorage) -> None:
    with pytest.raises(IntegrityError, match="no text with a NUL character"):
        await add(a, a_run("run", "x", assistant_id="nul: \0"))
    assert await exists(a, "x") == [True]


async def test_a_transaction_is_of_no_use_after_its_work(a: PostgresStorage) -> None:
    transaction = await a.write(lambda tx: tx)
    reader = await a.read(lambda r: r)
    with pytest.raises(StorageError, match="the transaction is over"):
        transaction.insert_thread(a_thread())
    with pytest.raises(StorageError, match="the transaction is over"):
        reader.thread("x")


async def test_a_reader_can_not_write(a: PostgresStorage) -> None:
    with pytest.raises(StorageError, match="read-only transaction"):
        await a.read(lambda r: r._execute("DELETE FROM gw_threads"))  # type: ignore[attr-defined]


async def test_works_of_one_server_never_wait_for_each_other(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    """They share one transaction, or one comes after the other."""
    deciding = Deciding(a, "x")
    await deciding.until_it_has_read()
    others = [asyncio.create_task(a.write(lambda tx: tx.thread("x"))) for _ in range(5)]
    await waiting_for_locks(b, 0)
    await deciding.finish()
    assert len(await asyncio.gather(*others)) == 5
