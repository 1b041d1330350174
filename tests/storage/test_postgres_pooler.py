"""Postgres: behind a pooler all works but notifications, for which servers look by themselves.

The contract suite runs behind the pooler as well.
"""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import PostgresStorage, announcements

from tests.pooler import Pooler, running_pooler
from tests.postgres import PostgresServer

from .builders import a_thread, add
from .conftest import OpenPostgres
from .test_announcements import TIMEOUT, Heard


def test_the_pooler_keeps_no_session_together(pooled_address: PostgresAddress) -> None:
    with psycopg.connect(pooled_address.url, autocommit=True) as client:
        client.execute("SET application_name = 'mine'")
        names = {client.execute("SHOW application_name").fetchone() for _ in range(3)}
        assert names != {("mine",)}


_PREPARED = "SELECT COUNT(*) FROM pg_prepared_statements"


async def prepared(storage: PostgresStorage) -> int:
    """Returns how many statements the writer's connection has prepared."""
    for number in range(5):
        await storage.write(lambda tx, n=number: tx.request_cancel(f"{n}"))  # type: ignore[misc]
    return await storage.write(lambda tx: tx._execute(_PREPARED).fetchone()[0])  # type: ignore[attr-defined]


async def test_statements_are_prepared_where_there_is_no_pooler(
    open_postgres: OpenPostgres, pooled_address: PostgresAddress
) -> None:
    assert await prepared(await open_postgres()) > 0
    assert await prepared(await open_postgres(pooled_address)) == 0


async def test_a_pooler_that_does_not_show_costs_one_more_try(open_postgres: OpenPostgres) -> None:
    storage = await open_postgres()
    assert await prepared(storage) > 0
    # In such a way that psycopg does not notice.
    forget = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"
    await storage.write(lambda tx: tx._execute(forget))  # type: ignore[attr-defined]
    assert await prepared(storage) == 0
    await add(storage, a_thread())
    assert await storage.read(lambda r: r.thread("thread")) == a_thread()


async def test_a_new_database_is_set_up_through_a_pooler(
    postgres: PostgresServer, open_postgres: OpenPostgres
) -> None:
    with postgres.fresh_database() as name, running_pooler(postgres.folder, size=4) as pooler:
        storage = await open_postgres(PostgresAddress(pooler.url(name)))
        await add(storage, a_thread())
        await storage.store.aput(("n",), "k", {"v": 1})
        assert await storage.store.aget(("n",), "k") is not None
        await storage.close()
        assert pooler.transactions > 0


async def test_where_nothing_arrives_listeners_are_told_to_look_now_and_then(
    pooled_address: PostgresAddress,
    open_postgres: OpenPostgres,
    pooler: Pooler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(announcements, "_PROBE", 0.1)
    monkeypatch.setattr(announcements, "_POLL", 0.02)
    storage = await open_postgres(pooled_address)
    heard = Heard(storage)
    async with asyncio.timeout(TIMEOUT):
        while len(heard.calls) < 10:
            await asyncio.sleep(0.02)
    assert set(map(tuple, heard.calls)) == {()}
    storage.announce("own")
    await heard.until("own")
