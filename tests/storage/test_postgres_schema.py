"""Postgres: how a database gets its schema, which ones are refused, and that both are the same."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from graphwire_server.storage.interface import StorageError
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import storage as postgres_storage
from graphwire_server.storage.postgres.schema import in_postgres_types, inspect, migrate
from graphwire_server.storage.postgres.session import PostgresSession
from graphwire_server.storage.records import (
    PauseFilter,
    PausePosition,
    PauseStatus,
    Position,
    ThreadFilter,
    ThreadOrder,
    ThreadPosition,
    ThreadSort,
    ThreadStatus,
)
from graphwire_server.storage.sql import statements as sql
from graphwire_server.storage.sql.migrations import Migration, load_migrations
from graphwire_server.storage.sqlite import schema as sqlite_schema

from .builders import a_thread, add
from .conftest import OpenPostgres
from .crowd import FEW, add_crowd

NEWEST = load_migrations()[-1].number
FIRST = Migration(1, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);")
SECOND = Migration(2, "ALTER TABLE a ADD COLUMN y TEXT; -- a comment; with a semicolon\n")
BROKEN = Migration(2, "UPDATE a SET x = 2; CREATE TABLE a (x INTEGER);")


@pytest.fixture
def address(postgres_url: str) -> PostgresAddress:
    """A database with nothing in it."""
    return PostgresAddress(postgres_url)


@pytest.fixture
def connection(address: PostgresAddress) -> Iterator[psycopg.Connection]:
    """A connection to it."""
    with psycopg.connect(address.url, autocommit=True) as connection:
        yield connection


def tables(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row[0] for row in rows}


async def test_an_empty_database_gets_its_schema(
    address: PostgresAddress, connection: psycopg.Connection, open_postgres: OpenPostgres
) -> None:
    assert inspect(connection, address) == 0
    storage = await open_postgres(address)
    await add(storage, a_thread())
    assert inspect(connection, address) == NEWEST
    await storage.close()
    again = await open_postgres(address)
    assert await again.read(lambda r: r.thread("thread")) == a_thread()


async def test_of_servers_that_start_at_once_one_makes_the_schema(
    address: PostgresAddress, open_postgres: OpenPostgres
) -> None:
    storages = await asyncio.gather(*(open_postgres(address) for _ in range(4)))
    for number, storage in enumerate(storages):
        await add(storage, a_thread(f"{number}"))
        await storage.store.aput(("n",), f"{number}", {})
    for number in range(4):
        item = await storages[0].store.aget(("n",), f"{number}")
        assert item is not None


async def test_a_server_that_starts_later_changes_nothing(
    address: PostgresAddress, connection: psycopg.Connection, open_postgres: OpenPostgres
) -> None:
    await open_postgres(address)
    query = "SELECT oid, xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    before = connection.execute(query).fetchall()
    await open_postgres(address)
    assert connection.execute(query).fetchall() == before


def test_only_new_migrations_are_run(
    address: PostgresAddress, connection: psycopg.Connection
) -> None:
    for migrations in ([FIRST], [FIRST, SECOND], [FIRST, SECOND]):
        migrate(connection, address, migrations)
        assert inspect(connection, address) == len(migrations)
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, None)]


def test_a_migration_that_fails_changes_nothing(
    address: PostgresAddress, connection: psycopg.Connection
) -> None:
    with pytest.raises(StorageError, match='relation "a" already exists'):
        migrate(connection, address, [FIRST, BROKEN])
    assert tables(connection) == set()
    migrate(connection, address, [FIRST])
    with pytest.raises(StorageError, match='relation "a" already exists'):
        migrate(connection, address, [FIRST, BROKEN])
    assert connection.execute("SELECT x FROM a").fetchall() == [(1,)]
    assert inspect(connection, address) == 1


async def test_a_newer_schema_is_refused_and_left_as_it_is(
    address: PostgresAddress,
    connection: psycopg.Connection,
    open_postgres: OpenPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = [*load_migrations(), Migration(NEWEST + 1, "CREATE TABLE later (x INTEGER);")]
    with monkeypatch.context() as patch:
        patch.setattr(postgres_storage, "load_migrations", lambda: later)
        await (await open_postgres(address)).close()
    before = tables(connection)
    with pytest.raises(StorageError) as caught:
        await open_postgres(address)
    assert str(caught.value) == (
        f"the database {address} has schema version {NEWEST + 1}, and this Graphwire knows "
        f"versions up to {NEWEST}: use the newer Graphwire, or another database"
    )
    assert tables(connection) == before
    assert inspect(connection, address) == NEWEST + 1


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        ("ALTER DATABASE {name} SET synchronous_commit = off", "synchronous_commit is off"),
        (
            "DROP DATABASE {name}; CREATE DATABASE {name} ENCODING 'SQL_ASCII' "
            "TEMPLATE template0 LOCALE 'C'",
            "its encoding is SQL_ASCII, and must be UTF8",
        ),
    ],
    ids=["commits that may be lost", "another encoding"],
)
async def test_a_database_that_would_lose_something_is_refused(
    address: PostgresAddress,
    open_postgres: OpenPostgres,
    make: str,
    complaint: str,
) -> None:
    name = address.url.partition("@/")[2].partition("?")[0]
    with psycopg.connect(address.url.replace(name, "postgres"), autocommit=True) as admin:
        for statement in make.format(name=name).split("; "):
            admin.execute(statement)
    with pytest.raises(StorageError, match=f"the database .* can't be used: {complaint}"):
        await open_postgres(address)


async def test_who_may_not_make_tables_is_told_so(
    address: PostgresAddress, connection: psycopg.Connection, open_postgres: OpenPostgres
) -> None:
    connection.execute("DROP ROLE IF EXISTS reader")
    connection.execute("CREATE ROLE reader LOGIN")
    with pytest.raises(StorageError, match="can't be used: permission denied for schema public"):
        await open_postgres(PostgresAddress(address.url.replace("postgres@", "reader@")))


async def test_it_keeps_to_the_schema_that_is_first_in_the_search_path(
    address: PostgresAddress, connection: psycopg.Connection, open_postgres: OpenPostgres
) -> None:
    connection.execute("CREATE SCHEMA one")
    connection.execute("CREATE SCHEMA two")
    for name in ("one", "two"):
        path = PostgresAddress(f"{address.url}&options=-csearch_path%3D{name}")
        storage = await open_postgres(path)
        await add(storage, a_thread(name))
        assert await storage.read(lambda r: r.thread("one")) == (
            a_thread("one") if name == "one" else None
        )
    assert tables(connection) == set()


def test_types_are_translated_and_nothing_else() -> None:
    script = "CREATE TABLE t (n INTEGER PRIMARY KEY, i INTEGER, s TEXT NOT NULL, b BLOB); -- text"
    assert in_postgres_types(script) == (
        "CREATE TABLE t (n BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, i INTEGER, "
        's TEXT COLLATE "C" NOT NULL, b BYTEA); -- text'
    )


def test_text_is_compared_by_bytes_whatever_the_language_of_the_database(
    address: PostgresAddress, connection: psycopg.Connection
) -> None:
    migrate(connection, address, load_migrations())
    rows = connection.execute(
        "SELECT DISTINCT collation_name FROM information_schema.columns"
        " WHERE table_name LIKE 'gw\\_%' AND data_type = 'text'"
    )
    assert rows.fetchall() == [("C",)]


def test_both_databases_have_the_same_columns_and_indexes(
    address: PostgresAddress, connection: psycopg.Connection, tmp_path: Path
) -> None:
    migrate(connection, address, load_migrations())
    columns = connection.execute(
        "SELECT table_name, column_name, is_nullable = 'NO' FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'gw_schema'"
    ).fetchall()
    indexes = connection.execute(
        "SELECT indexname FROM pg_indexes"
        " WHERE schemaname = 'public' AND indexname !~ '_(pkey|key)$'"
    ).fetchall()

    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as sqlite:
        sqlite_schema.migrate(sqlite, tmp_path / "db", load_migrations())
        names = sqlite.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        wanted = [
            (table, column[1], bool(column[3] or column[5]))
            for (table,) in names
            for column in sqlite.execute(f"PRAGMA table_info({table})")
        ]
        wanted_indexes = sqlite.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
    assert sorted(columns) == sorted(wanted)
    assert sorted(indexes) == sorted(wanted_indexes)


@pytest.fixture(scope="module")
def crowd(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """Very many threads, each with a run that is over."""
    server = request.getfixturevalue("postgres")
    with server.fresh_database() as name, server.connect(name) as connection:
        address = PostgresAddress(server.url(name))
        migrate(connection, address, load_migrations())
        session = PostgresSession(connection, address)
        session.control("BEGIN")
        add_crowd(session, 20_000)
        session.control("COMMIT")
        connection.execute("ANALYZE")
        yield connection


def inbox(which: PauseFilter) -> tuple[str, Sequence[object]]:
    after = PausePosition(10_000, 10_000)
    return sql.pauses.list_pauses(which, limit=50, after=after, ascending=False)


def lists() -> Sequence[tuple[str, tuple[str, Sequence[object]], str]]:
    after = Position(10_000, "thread-10000")
    paused = ThreadFilter(statuses=(ThreadStatus.INTERRUPTED,))
    both = ThreadFilter(
        statuses=(ThreadStatus.INTERRUPTED, ThreadStatus.ERROR), assistant_id="agent"
    )
    place = ThreadPosition("thread-10000", 10_000, "IDLE")
    (first,), (then,) = (
        sql.threads.parts_of(ThreadSort(), None),
        sql.threads.parts_of(ThreadSort(), place),
    )
    orders = {
        ThreadOrder.UPDATE_TIME: "gw_threads_by_update",
        # Those without one may as well be found among all that are in order of their ids.
        ThreadOrder.STATE_UPDATE_TIME: "gw_threads_by_",
        ThreadOrder.THREAD_ID: "gw_threads_by_id",
        ThreadOrder.STATUS: "gw_threads_by_status",
    }
    return [
        ("all", sql.threads.list_threads(ThreadFilter(), first, limit=50), "gw_threads_by_time"),
        ("next", sql.threads.list_threads(ThreadFilter(), then, limit=50), "gw_threads_by_time"),
        ("status", sql.threads.list_threads(paused, then, limit=50), "gw_threads_by_status"),
        ("both", sql.threads.list_threads(both, then, limit=50), "gw_threads_by_both"),
        *(
            (
                f"by {order.lower()} {'' if ascending else 'de'}scending, part {number}",
                sql.threads.list_threads(ThreadFilter(), part, limit=50),
                index,
            )
            for order, index in orders.items()
            for ascending in (False, True)
            for number, part in enumerate(sql.threads.parts_of(ThreadSort(order, ascending), place))
        ),
        ("runs", sql.runs.list_runs("thread-5", (), limit=50, after=after), "gw_runs_by_"),
        ("inbox", inbox(PauseFilter()), "gw_pauses_inbox"),
        ("assistant", inbox(PauseFilter(assistant_id="agent")), "gw_pauses_inbox"),
        ("resolved", inbox(PauseFilter(statuses=(PauseStatus.RESUMED,))), "gw_pauses_resolved"),
        ("inbox of an owner", inbox(PauseFilter(access=FEW)), "gw_pauses_inbox_by_owner"),
        (
            "resolved of an owner",
            inbox(PauseFilter(access=FEW, statuses=(PauseStatus.RESUMED,))),
            "gw_pauses_resolved_by_owner",
        ),
        ("changes", (sql.changes.CHANGES, (0, 10_000, 50, 0, 50, 50)), "gw_changes_in_order"),
        ("last change", (sql.changes.LAST_CHANGE, ()), "gw_changes_in_order"),
        ("changes ahead", (sql.changes.CHANGES_AHEAD, ()), "gw_changes_in_order"),
        ("oldest changes", (sql.changes.OLDEST_CHANGES, (50, 9)), "gw_changes_pkey"),
        ("next run", (sql.runs.NEXT_RUN, ("thread-5", 0)), "gw_runs_by_"),
        ("due", (sql.leases.DUE_RUNS, (1, 50)), "gw_runs_ready"),
        ("lost", (sql.leases.LOST_RUNS, (1, 50)), "gw_runs_under_way"),
        ("cancelled", (sql.leases.CANCELLED_RUNS, ("server",)), "gw_runs_under_way"),
        ("held", (sql.leases.HELD_RUNS, ("server",)), "gw_runs_under_way"),
        ("last run", (sql.runs.LAST_RUN, ("thread-5", "")), "gw_runs_by_"),
        ("hold", (sql.leases.HOLD, (0, 0, False, "run-5", "server", 1)), "gw_runs_run_id_key"),
        *(
            (f"expired {kept}", (statement, (9, 50, 0)), index)
            for (kept, statement), index in zip(
                sql.threads.EXPIRED_THREADS.items(),
                ("gw_threads_with_ttl", "gw_threads_unused", "gw_threads_stateless"),
                strict=True,
            )
        ),
        ("unpruned", (sql.threads.UNPRUNED_THREADS, (50, 0)), "gw_threads_unpruned"),
        ("untrimmed", (sql.events.UNTRIMMED_RUNS, (2, 50, 0)), "gw_runs_untrimmed"),
    ]


@pytest.mark.parametrize("name", [name for name, _, _ in lists()])
def test_what_is_listed_is_found_by_its_index(crowd: psycopg.Connection, name: str) -> None:
    ((statement, parameters), index) = next(
        (query, index) for listed, query, index in lists() if listed == name
    )
    rows = crowd.execute(f"EXPLAIN {statement.replace('?', '%s')}", parameters).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert index in plan, plan
    assert not re.search(r"Seq Scan on gw_(threads|runs|pauses|changes)\b", plan), plan
