"""Postgres: a connection that is lost costs no write, doubles none, and is made again."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import psycopg
import pytest
from graphwire_server.storage.interface import Reader, Storage, StorageError, Transaction
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import PostgresStorage, connection, transactions
from graphwire_server.storage.postgres.errors import ConnectionLost, translated
from graphwire_server.storage.records import ThreadFilter

from tests.pooler import Fault, Pooler

from .builders import A_DAY, a_thread, add
from .conftest import OpenPostgres

TIMEOUT = 30


@pytest.fixture
async def storage(open_postgres: OpenPostgres) -> PostgresStorage:
    """A storage that is connected directly."""
    return await open_postgres()


@pytest.fixture
async def pooled(pooled_address: PostgresAddress, open_postgres: OpenPostgres) -> PostgresStorage:
    """A storage that is connected through the pooler."""
    return await open_postgres(pooled_address)


def terminate(address: PostgresAddress) -> None:
    """Ends every connection to a database."""
    with psycopg.connect(address.url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def insert(name: str, tx: Transaction) -> str:
    tx.insert_thread(a_thread(name))
    return name


async def names(storage: Storage) -> set[str]:
    found = await storage.read(lambda r: r.threads(ThreadFilter(), limit=99))
    return {thread.thread_id for thread in found}


async def test_connections_that_are_lost_while_idle_are_made_again(
    storage: PostgresStorage, postgres_address: PostgresAddress
) -> None:
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    assert storage.renew_server("server", ttl=A_DAY) is True
    await storage.store.aput(("n",), "k", {"v": 1})
    terminate(postgres_address)

    assert await storage.write(partial(insert, "a")) == "a"
    for _ in range(4):
        assert await names(storage) == {"a"}
    assert storage.renew_server("server", ttl=A_DAY) is True
    item = await storage.store.aget(("n",), "k")
    assert item is not None
    assert item.value == {"v": 1}


async def test_works_whose_connection_is_lost_are_done_once_more(
    storage: PostgresStorage, postgres_address: PostgresAddress
) -> None:
    calls: list[str] = []

    def losing(tx: Transaction) -> str:
        insert("losing", tx)
        calls.append("losing")
        if len(calls) == 1:
            terminate(postgres_address)
        tx.now()
        return "losing"

    results = await asyncio.gather(
        storage.write(partial(insert, "before")),
        storage.write(losing),
        storage.write(partial(insert, "after")),
    )
    assert list(results) == ["before", "losing", "after"]
    assert calls == ["losing", "losing"]
    assert await names(storage) == {"before", "losing", "after"}


async def test_a_loss_that_a_work_hides_is_no_success(
    storage: PostgresStorage, postgres_address: PostgresAddress
) -> None:
    calls: list[str] = []

    def work(tx: Transaction) -> str:
        insert("a", tx)
        calls.append("a")
        if len(calls) == 1:
            terminate(postgres_address)
            with pytest.raises(StorageError):
                tx.now()
        return "done"

    assert await storage.write(work) == "done"
    assert len(calls) == 2
    assert await names(storage) == {"a"}


async def test_a_read_whose_connection_is_lost_is_done_once_more(
    storage: PostgresStorage, postgres_address: PostgresAddress
) -> None:
    await add(storage, a_thread())
    calls = 0

    def losing(reader: Reader) -> int:
        nonlocal calls
        calls += 1
        before = reader.count_threads(ThreadFilter())
        if calls == 1:
            terminate(postgres_address)
        return before + reader.count_threads(ThreadFilter())

    assert await storage.read(losing) == 2
    assert calls == 2


async def test_what_loses_its_connection_again_and_again_is_given_up(
    storage: PostgresStorage, postgres_address: PostgresAddress
) -> None:
    def losing(reader: Reader) -> None:
        terminate(postgres_address)
        reader.now()

    with pytest.raises(StorageError, match=r"the database postgresql://.* can't be used: "):
        await storage.read(losing)
    with pytest.raises(StorageError, match=r"the database postgresql://.* can't be used: "):
        await storage.write(losing)
    assert await storage.write(partial(insert, "a")) == "a"


@pytest.mark.parametrize("fault", Fault)
async def test_a_connection_lost_at_the_commit_neither_loses_nor_doubles(
    pooled: PostgresStorage, pooler: Pooler, fault: Fault
) -> None:
    calls: list[str] = []

    def work(name: str, tx: Transaction) -> str:
        calls.append(name)
        # A second time would be refused if the first was kept.
        return insert(name, tx)

    pooler.faults.append(fault)
    assert await asyncio.gather(*(pooled.write(partial(work, n)) for n in "abc")) == list("abc")
    assert await names(pooled) == set("abc")
    assert sorted(calls) == (list("aabbcc") if fault is Fault.COMMIT_LOST else list("abc"))


async def test_a_commit_is_lost_time_and_again(pooled: PostgresStorage, pooler: Pooler) -> None:
    pooler.faults.extend([Fault.COMMIT_LOST, Fault.COMMIT_LOST, Fault.REPLY_LOST])
    assert await pooled.write(partial(insert, "a")) == "a"
    assert await names(pooled) == {"a"}
    pooler.faults.extend([Fault.COMMIT_LOST] * 4)
    with pytest.raises(StorageError, match="can't be used"):
        await pooled.write(partial(insert, "b"))
    assert await names(pooled) == {"a"}


async def test_a_commit_of_which_nothing_can_be_known_says_so(
    pooled: PostgresStorage, pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    pooler.faults.append(Fault.REPLY_LOST)

    def work(tx: Transaction) -> str:
        pooler.refuse_new()
        return insert("a", tx)

    with pytest.raises(StorageError, match="it is not known whether anything of it was kept"):
        await pooled.write(work)
    pooler.accept()
    assert await names(pooled) == {"a"}


async def test_a_transaction_that_is_not_over_yet_is_waited_for(
    storage: PostgresStorage, postgres_address: PostgresAddress
) -> None:
    """A server whose client has gone may still be at work on the commit."""
    with psycopg.connect(postgres_address.url) as other:
        writer = await storage._connection.run(lambda c: c.writer)
        other.execute("INSERT INTO gw_commits VALUES (%s, 7, 0)", (writer,))
        row = other.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert row is not None

        asking = asyncio.create_task(
            storage._connection.run(lambda c: transactions._was_committed(c, row[0], 7))
        )
        async with asyncio.timeout(TIMEOUT):
            query = "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE '%pg_xact_status%'"
            while await storage.read(lambda r: r._execute(query).fetchone()[0]) < 2:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        assert not asking.done()
        other.commit()
        assert await asking is True


async def test_a_number_that_another_transaction_has_got_after_a_crash_is_not_taken_for_it(
    storage: PostgresStorage, postgres_address: PostgresAddress
) -> None:
    await storage.write(partial(insert, "before"))
    with psycopg.connect(postgres_address.url) as other:
        row = other.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert row is not None
        noted = other.execute("SELECT number FROM gw_commits").fetchone()
        assert noted is not None
    for number, kept in ((noted[0], True), (noted[0] + 1, False)):
        asked = partial(transactions._was_committed, transaction_id=row[0], number=number)
        assert await storage._connection.run(asked) is kept


async def test_a_server_that_is_away_for_a_moment_is_waited_for(
    pooled: PostgresStorage, pooler: Pooler
) -> None:
    pooler.refuse()
    writing = asyncio.create_task(pooled.write(partial(insert, "a")))
    reading = asyncio.create_task(names(pooled))
    await asyncio.wait([writing, reading], timeout=0.1)
    assert not writing.done()
    assert not reading.done()
    pooler.accept()
    assert await writing == "a"
    await reading
    assert await names(pooled) == {"a"}


async def test_a_server_that_stays_away_is_named(
    pooled: PostgresStorage, pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.1)
    pooler.refuse()
    for attempt in (pooled.write(partial(insert, "a")), names(pooled)):
        with pytest.raises(StorageError) as caught:
            await attempt
        text = str(caught.value)
        assert f"the database postgresql://postgres@127.0.0.1:{pooler.port}/" in text
        assert "\n" not in text
    with pytest.raises(StorageError):
        pooled.renew_server("server", ttl=1)
    pooler.accept()
    assert await pooled.write(partial(insert, "b")) == "b"


async def test_closing_does_not_wait_for_a_server_that_is_away(
    pooled: PostgresStorage, pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 10 * TIMEOUT)
    pooler.refuse()
    renewing = threading.Thread(target=partial(renew, pooled))
    renewing.start()
    reading = asyncio.create_task(names(pooled))
    await asyncio.wait([reading], timeout=0.05)
    async with asyncio.timeout(TIMEOUT):
        await pooled.close()
        with pytest.raises(StorageError, match="it is closed"):
            await reading
    await asyncio.to_thread(renewing.join)


def renew(storage: Storage) -> None:
    with pytest.raises(StorageError, match="it is closed"):
        storage.renew_server("server", ttl=1)


async def test_a_database_that_is_not_there_is_named_at_once(
    open_postgres: OpenPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = PostgresAddress("postgresql://user:secret@127.0.0.1:1/nothing")
    monkeypatch.setattr(connection, "PATIENCE", 10 * TIMEOUT)
    async with asyncio.timeout(TIMEOUT):
        with pytest.raises(StorageError) as caught:
            await open_postgres(address)
    text = str(caught.value)
    assert text.startswith("the database postgresql://user@127.0.0.1:1/nothing can't be used: ")
    assert "secret" not in text


def test_what_psycopg_says_by_itself_of_a_connection_is_that_it_is_lost(
    postgres_url: str,
) -> None:
    with psycopg.connect(postgres_url) as there:
        for error in (
            psycopg.OperationalError("connection socket closed"),
            psycopg.InterfaceError("bad state"),
        ):
            assert isinstance(translated(error, there, "it"), ConnectionLost)
        with pytest.raises(psycopg.Error) as raised:
            there.execute("SELECT 1 / 0")
        assert type(translated(raised.value, there, "it")) is StorageError
