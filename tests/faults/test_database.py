"""The way to Postgres is cut, silent, slow: callers are told, runs go on, nothing is doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, threads_pb2
from graphwire_server.storage.interface import StorageUnavailable, Transaction
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import PostgresStorage, connection, silence

from tests.e2e.drive import get_run, refusal_of
from tests.e2e.gates import until
from tests.faults.marches import check, start
from tests.faults.proxy import Line, Proxy, Side, random_lives, running_proxy
from tests.postgres import PostgresServer
from tests.replicas.replica import (
    PATIENCE,
    Ledger,
    Reader,
    Replica,
    attempts,
    replicas,
    wait_run,
)
from tests.storage.builders import a_thread

OPTIONS = "sslmode=disable&gssencmode=disable"


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    """The name of a fresh database."""
    with postgres.fresh_database() as name:
        yield name


@pytest.fixture(scope="module")
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    """A proxy in front of Postgres."""
    with running_proxy(postgres.folder / ".s.PGSQL.5432") as proxy:
        yield proxy


class Through:
    """Addresses of databases behind a proxy, as `PostgresServer.url` gives those before it."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def url(self, database: str, **options: str) -> str:
        """Returns the address of a database."""
        given = "".join(f"&{name}={text}" for name, text in options.items())
        return f"postgresql://postgres@{self._proxy.address}/{database}?{OPTIONS}{given}"


@pytest.fixture(scope="module")
def replica(proxy: Proxy, database: str) -> Iterator[Replica]:
    """A server behind the proxy, which keeps its lease for as long as the proxy may be silent."""
    through: Any = Through(proxy)
    with replicas(through, database, behind={"GRAPHWIRE_LEASE_SECONDS": "120"}) as (started,):
        yield started


@pytest.fixture(autouse=True)
def healed(proxy: Proxy) -> Iterator[None]:
    """What a test has done to the proxy is over after it."""
    yield
    proxy.heal()


def test_runs_go_on_when_connections_to_the_database_are_cut_anywhere(
    proxy: Proxy, replica: Replica, tmp_path: Path
) -> None:
    cuts = proxy.cuts
    ledgers = [Ledger(tmp_path / f"ledger-{number}") for number in range(4)]
    run_ids = [start(replica, ledger).run_id for ledger in ledgers]
    proxy.line = Line(lives=random_lives("postgres", 3_000, 30_000))
    proxy.cut()
    until(lambda: all(has_ended(replica, run_id) for run_id in run_ids), "they end")
    assert proxy.cuts > cuts + 5
    # A page of events may be more than any of these connections lives for.
    proxy.heal()
    for ledger, run_id in zip(ledgers, run_ids, strict=True):
        check(replica, run_id, ledger)


def test_a_run_at_whose_write_the_database_is_lost_each_time_fails_after_so_many_attempts(
    proxy: Proxy, replica: Replica, tmp_path: Path
) -> None:
    proxy.line = Line(poison=b"step 3")
    ledger = Ledger(tmp_path / "ledger")
    run_id = start(replica, ledger).run_id
    until(lambda: has_ended(replica, run_id), "it ends")
    proxy.heal()
    run = get_run(replica.runs, run_id)
    assert (run.status, run.error.type) == (run_pb2.RUN_STATUS_FAILED, "TooManyAttempts")
    assert attempts(Reader.join(replica, run_id).whole()) == [2, 3, 4, 5]
    assert replica.process.log.count("run_interrupted_by_database") == 5


def has_ended(replica: Replica, run_id: str) -> bool:
    """Returns whether a run has ended, as far as the server can say."""
    try:
        return get_run(replica.runs, run_id).HasField("end_time")
    except grpc.RpcError as error:
        if refusal_of(error).reason == "DATABASE_UNAVAILABLE":
            return False
        raise


def test_a_slow_and_fragmented_way_to_the_database_changes_nothing(
    proxy: Proxy, replica: Replica, tmp_path: Path
) -> None:
    proxy.line = Line(delay=0.002, split=100)
    ledger = Ledger(tmp_path / "ledger")
    reader = start(replica, ledger, pace=0)
    reader.whole()
    check(replica, reader.run_id, ledger)


def test_a_black_hole_in_front_of_the_database_is_a_clear_status_and_runs_go_on_after_it(
    proxy: Proxy, replica: Replica, tmp_path: Path
) -> None:
    """With the server's own limits: no caller here has a deadline that it needs."""
    ended = wait_run(replica, start(replica, Ledger(tmp_path / "ended"), pace=0).run_id).run
    ledgers = [Ledger(tmp_path / f"ledger-{number}") for number in range(2)]
    readers = [start(replica, ledger, pace=0.1) for ledger in ledgers]
    for ledger in ledgers:
        until(lambda ledger=ledger: len(ledger.lines("end")) > 3, "it goes on")  # type: ignore[misc]
    proxy.freeze()

    def call(number: int) -> str:
        thread_id, timeout = f"thread-{number}", 2 * PATIENCE
        try:
            if number % 3 == 0:
                get = threads_pb2.GetThreadRequest(thread_id=thread_id)
                replica.threads.GetThread(get, timeout=timeout)
            elif number % 3 == 1:
                create = threads_pb2.CreateThreadRequest(thread_id=thread_id)
                replica.threads.CreateThread(create, timeout=timeout)
            else:
                join = runs_pb2.JoinRunRequest(run_id=ended.run_id)
                list(replica.runs.JoinRun(join, timeout=timeout))
        except grpc.RpcError as error:
            refusal = refusal_of(error)
            return f"{refusal.code} {refusal.reason} {refusal.retry_after}"
        return "OK"

    with ThreadPoolExecutor(40) as callers:
        answers = list(callers.map(call, range(40)))
    assert set(answers) == {"UNAVAILABLE DATABASE_UNAVAILABLE 1.0"}
    proxy.cut()
    proxy.thaw()

    def reached() -> bool:
        return all("UNAVAILABLE" not in call(number) for number in (1000, 1001, 1002))

    until(reached, "the database is reached again")
    assert call(1001) == "OK"
    # What they did could not be kept for some time, so they were handed back, and begun again.
    for ledger, reader in zip(ledgers, readers, strict=True):
        assert check(replica, reader.events[0].run_id, ledger) > 1


@pytest.fixture
async def storage(
    proxy: Proxy, postgres_address: PostgresAddress
) -> AsyncIterator[PostgresStorage]:
    """A storage behind the proxy."""
    name = postgres_address.url.partition("?")[0].rpartition("/")[2]
    address = PostgresAddress(f"{Through(proxy).url(name)}&connect_timeout=2")
    storage = await PostgresStorage.open(address)
    yield storage
    # Closing says good-bye to Postgres, which takes a while in a black hole.
    proxy.heal()
    await storage.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Has silence be noticed soon; lists the answers to whether the server is at work."""
    monkeypatch.setattr(silence, "SILENCE", 0.2)
    answers: list[bool] = []
    is_at_work = connection.Connection._is_at_work

    def spy(self: Any, *args: Any) -> bool:
        answers.append(is_at_work(self, *args))
        return answers[-1]

    monkeypatch.setattr(connection.Connection, "_is_at_work", spy)
    return answers


async def test_a_statement_that_takes_long_is_waited_for(
    asked: list[bool], storage: PostgresStorage
) -> None:
    sleep = "SELECT pg_sleep(0.8)"
    await storage.read(lambda db: db._execute(sleep).fetchone())  # type: ignore[attr-defined]
    assert asked
    assert all(asked)


async def test_a_commit_whose_reply_is_lost_is_recognised(
    proxy: Proxy, storage: PostgresStorage, postgres: PostgresServer
) -> None:
    calls = []

    def work(tx: Transaction) -> str:
        calls.append("work")
        insert("kept", tx)
        proxy.freeze(Side.CLIENT)
        return "done"

    writing = asyncio.create_task(storage.write(work))
    database = storage._address.url.partition("?")[0].rpartition("/")[2]

    def is_kept() -> bool:
        with postgres.connect(database) as admin:
            found = admin.execute("SELECT FROM gw_threads WHERE thread_id = 'kept'").fetchone()
        return found is not None

    await asyncio.to_thread(until, is_kept, "it is committed")
    assert not writing.done()
    await asyncio.to_thread(proxy.cut)
    await asyncio.to_thread(proxy.thaw)
    assert await writing == "done"
    assert calls == ["work"]


async def test_of_a_commit_into_a_black_hole_it_is_said_that_nothing_is_known(
    proxy: Proxy, asked: list[bool], storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.2)

    def work(tx: Transaction) -> None:
        insert("lost", tx)
        proxy.freeze()

    with pytest.raises(StorageUnavailable, match="it is not known whether anything of it was kept"):
        await storage.write(work)
    assert asked == [False]
    with pytest.raises(StorageUnavailable):
        await storage.read(lambda db: db.now())
    await asyncio.to_thread(proxy.cut)
    await asyncio.to_thread(proxy.thaw)

    async def found() -> Any:
        with suppress(StorageUnavailable):
            return [await storage.read(lambda db: db.thread("lost"))]

    async with asyncio.timeout(PATIENCE):
        while (answer := await found()) is None:
            await asyncio.sleep(0.05)
    assert answer == [None]
    await storage.write(partial(insert, "after"))


def insert(name: str, tx: Transaction) -> None:
    """Adds a thread."""
    tx.insert_thread(a_thread(name))
