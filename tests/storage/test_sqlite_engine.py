"""SQLite: LangGraph's own store shares the file without keeping our writes out of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from graphwire_server.storage.sqlite import SqliteStorage, connection
from langgraph.store.base import GetOp, ListNamespacesOp, PutOp, SearchOp
from langgraph.store.sqlite.aio import AsyncSqliteStore

from .builders import a_thread, add
from .conftest import OpenSqlite


@pytest.fixture
async def storage(
    sqlite_path: Path, open_sqlite: OpenSqlite, monkeypatch: pytest.MonkeyPatch
) -> SqliteStorage:
    """A storage in which whoever finds the database locked fails at once."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT", 0)
    return await open_sqlite(sqlite_path)


async def count(storage: SqliteStorage, table: str) -> int:
    return await storage.read(
        lambda r: r._session._sqlite.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # type: ignore[attr-defined]
    )


async def cancel_after(turns: int, task: asyncio.Task[Any]) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def test_a_batch_of_the_store_is_not_upset_by_a_write_of_ours(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_ops = AsyncSqliteStore._batch_put_ops

    async def put_after_ours(
        self: AsyncSqliteStore, ops: Sequence[tuple[int, PutOp]], cursor: aiosqlite.Cursor
    ) -> None:
        await add(storage, a_thread("ours"))
        await put_ops(self, ops, cursor)

    monkeypatch.setattr(AsyncSqliteStore, "_batch_put_ops", put_after_ours)
    results = await storage.store.abatch(
        [
            SearchOp(("n",)),
            PutOp(("n",), "k", {"v": 1}),
            GetOp(("n",), "k", refresh_ttl=False),
            ListNamespacesOp(),
        ]
    )
    assert results == [[], None, None, []]
    item = await storage.store.aget(("n",), "k")
    assert item is not None
    assert item.value == {"v": 1}


async def test_results_of_a_batch_come_in_the_order_of_its_operations(
    storage: SqliteStorage,
) -> None:
    await storage.store.aput(("n",), "a", {"v": 1})
    await storage.store.aput(("n",), "b", {"v": 2})
    results = await storage.store.abatch(
        [
            GetOp(("n",), "b"),
            PutOp(("n",), "c", {"v": 3}),
            ListNamespacesOp(),
            GetOp(("n",), "a", refresh_ttl=False),
            GetOp(("n",), "c"),
        ]
    )
    b, put, namespaces, a, c = results
    assert (b.value, a.value) == ({"v": 2}, {"v": 1})  # type: ignore[union-attr]
    assert (put, namespaces, c) == (None, [("n",)], None)


@pytest.mark.parametrize("turns", range(1, 12))
async def test_a_cancelled_batch_of_the_store_leaves_it_usable(
    storage: SqliteStorage, turns: int
) -> None:
    batch = storage.store.abatch([PutOp(("n",), "k", {"v": 1})])
    await cancel_after(turns, asyncio.create_task(batch))
    await storage.store.aput(("n",), "other", {"v": 2})
    assert await storage.store.aget(("n",), "other") is not None
    await add(storage, a_thread())


async def test_closing_finishes_what_nodes_have_put(
    sqlite_path: Path, open_sqlite: OpenSqlite
) -> None:
    storage = await open_sqlite(sqlite_path)
    puts = [
        asyncio.create_task(storage.store.aput(("n",), f"{number}", {"v": number}))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    await storage.close()
    await asyncio.gather(*puts)
    with closing(sqlite3.connect(sqlite_path)) as sqlite:
        assert sqlite.execute("SELECT COUNT(*) FROM store").fetchone() == (20,)


async def test_the_store_finds_its_tables_as_its_own_setup_makes_them(
    storage: SqliteStorage, tmp_path: Path
) -> None:
    schema = "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'store' ORDER BY name"
    own = tmp_path / "own.db"
    async with AsyncSqliteStore.from_conn_string(str(own)) as store:
        await store.setup()
        await store.aput(("n",), "k", {})
    with closing(sqlite3.connect(own)) as sqlite:
        want = sqlite.execute(schema).fetchall()
        versions = sqlite.execute("SELECT v FROM store_migrations").fetchall()
    assert await storage.read(lambda r: r._session._sqlite.execute(schema).fetchall()) == want  # type: ignore[attr-defined]
    found = await storage.read(
        lambda r: r._session._sqlite.execute("SELECT v FROM store_migrations").fetchall()  # type: ignore[attr-defined]
    )
    assert found == versions == [(number,) for number in range(len(versions))]
