"""SQLite: which files are opened, which are refused and left alone, and how they grow up."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from graphwire_server.storage.interface import StorageError
from graphwire_server.storage.records import Lease, RunStatus, TakenOver
from graphwire_server.storage.sql.migrations import Migration, load_migrations
from graphwire_server.storage.sqlite import SqliteStorage
from graphwire_server.storage.sqlite.connection import Connection
from graphwire_server.storage.sqlite.schema import APPLICATION_ID, inspect, migrate
from langgraph.store.sqlite.aio import AsyncSqliteStore

from .builders import A_DAY, a_run, a_thread, add
from .conftest import OpenSqlite, writers_connection


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as sqlite:
        return sqlite.execute(f"PRAGMA {name}").fetchone()[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def touch(path: Path) -> None:
    path.touch()


async def refusal(open_sqlite: OpenSqlite, path: Path | str) -> str:
    with pytest.raises(StorageError) as caught:
        await open_sqlite(path)
    return str(caught.value)


async def test_a_new_file_and_its_folders_are_made(tmp_path: Path, open_sqlite: OpenSqlite) -> None:
    path = tmp_path / "a" / "b" / "graphwire.db"
    storage = await open_sqlite(str(path))
    await add(storage, a_thread())
    await storage.close()
    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == load_migrations()[-1].number


async def test_what_was_written_is_there_when_it_is_opened_again(
    sqlite_path: Path, open_sqlite: OpenSqlite
) -> None:
    for number in range(3):
        storage = await open_sqlite(sqlite_path)
        await storage.store.aput(("n",), f"{number}", {"n": number})
        await add(storage, a_thread(f"{number}"))
        for earlier in range(number + 1):
            name = f"{earlier}"
            found = await storage.read(lambda r, name=name: r.thread(name))  # type: ignore[misc]
            assert found == a_thread(name)
            assert await storage.store.aget(("n",), name) is not None
        await storage.close()


async def test_an_empty_file_is_as_good_as_none(sqlite_path: Path, open_sqlite: OpenSqlite) -> None:
    touch(sqlite_path)
    assert contents(sqlite_path.parent) == {sqlite_path.name: b""}
    await open_sqlite(sqlite_path)


async def test_a_start_that_was_killed_before_its_first_migration_is_made_good(
    sqlite_path: Path, open_sqlite: OpenSqlite
) -> None:
    with closing(sqlite3.connect(sqlite_path)) as sqlite:
        sqlite.execute("PRAGMA journal_mode = WAL")
        sqlite.execute("VACUUM")
    assert contents(sqlite_path.parent)[sqlite_path.name] != b""
    await open_sqlite(sqlite_path)


async def test_every_connection_is_set_up_to_be_safe(sqlite_storage: SqliteStorage) -> None:
    for connection in (
        writers_connection(sqlite_storage),
        sqlite_storage._at_hand,
        sqlite_storage._readers._queue[0],  # type: ignore[attr-defined]
        sqlite_storage._store._connection,
    ):
        settings = await connection.run(
            lambda sqlite: {
                name: sqlite.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        )
        assert settings == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "busy_timeout": 10_000,
        }


async def test_a_reader_can_not_write(sqlite_storage: SqliteStorage) -> None:
    with pytest.raises(StorageError, match="readonly"):
        await sqlite_storage.read(lambda r: r._session._sqlite.execute("DELETE FROM gw_threads"))  # type: ignore[attr-defined]


async def test_memory_is_refused(open_sqlite: OpenSqlite) -> None:
    assert "it must be a file" in await refusal(open_sqlite, ":memory:")


async def test_a_directory_is_refused(tmp_path: Path, open_sqlite: OpenSqlite) -> None:
    assert await refusal(open_sqlite, tmp_path) == (
        f"the database {tmp_path} can't be used: it is a directory"
    )


async def test_a_folder_that_can_not_be_made_is_named(
    tmp_path: Path, open_sqlite: OpenSqlite
) -> None:
    (tmp_path / "file").write_text("text")
    message = await refusal(open_sqlite, tmp_path / "file" / "graphwire.db")
    assert message.startswith(f"the database {tmp_path}/file/graphwire.db can't be used: ")
    assert f"{tmp_path}/file" in message


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    tmp_path: Path, open_sqlite: OpenSqlite
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and not a database.\n" * 100)
    before = contents(tmp_path)
    assert (
        await refusal(open_sqlite, path)
        == f"the database {path} can't be used: file is not a database"
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize(
    "mark",
    ["CREATE TABLE theirs (a)", "PRAGMA user_version = 3", "PRAGMA application_id = 12"],
)
async def test_a_foreign_database_is_refused_and_left_as_it_is(
    tmp_path: Path, mode: str, mark: str, open_sqlite: OpenSqlite
) -> None:
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(path)) as sqlite:
        sqlite.execute(f"PRAGMA journal_mode = {mode}")
        sqlite.execute(mark)
    before = contents(tmp_path)
    assert f"the database {path} belongs to another program" in await refusal(open_sqlite, path)
    assert contents(tmp_path) == before


async def test_a_foreign_database_that_was_killed_is_left_to_its_own_program(
    tmp_path: Path, open_sqlite: OpenSqlite
) -> None:
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as sqlite:
        sqlite.execute("PRAGMA journal_mode = WAL")
        sqlite.execute("CREATE TABLE theirs (a)")
        killed = contents(tmp_path)
    path = tmp_path / "left" / "foreign.db"
    path.parent.mkdir()
    for name in ("foreign.db", "foreign.db-wal"):
        (path.parent / name).write_bytes(killed[name])
    assert f"the database {path} belongs to another program" in await refusal(open_sqlite, path)
    left = contents(path.parent)
    assert left["foreign.db"] == killed["foreign.db"]
    assert left["foreign.db-wal"] == killed["foreign.db-wal"]


async def test_a_newer_database_is_refused_by_both_versions(
    sqlite_path: Path, open_sqlite: OpenSqlite
) -> None:
    await (await open_sqlite(sqlite_path)).close()
    known = load_migrations()[-1].number
    with closing(sqlite3.connect(sqlite_path)) as sqlite:
        sqlite.execute(f"PRAGMA user_version = {known + 6}")
    before = contents(sqlite_path.parent)
    message = await refusal(open_sqlite, sqlite_path)
    assert f"{sqlite_path} has schema version {known + 6}" in message
    assert f"knows versions up to {known}" in message
    assert contents(sqlite_path.parent) == before


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [migration.number for migration in load_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


FIRST = Migration(1, "CREATE TABLE a (x); INSERT INTO a VALUES (1);")
SECOND = Migration(2, "ALTER TABLE a ADD COLUMN y; -- a comment; with a semicolon\n")
BROKEN = Migration(2, "UPDATE a SET x = 2; CREATE TABLE a (x);")


def test_only_new_migrations_are_run(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sqlite:
        for migrations in ([FIRST], [FIRST, SECOND], [FIRST, SECOND]):
            migrate(sqlite, path, migrations)
        assert sqlite.execute("SELECT x, y FROM a").fetchall() == [(1, None)]
    assert pragma(path, "user_version") == 2
    assert pragma(path, "application_id") == APPLICATION_ID


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sqlite:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(sqlite, path, [FIRST, BROKEN])
        inspect(path)
        assert sqlite.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)
        migrate(sqlite, path, [FIRST])
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(sqlite, path, [FIRST, BROKEN])
        assert sqlite.execute("SELECT x FROM a").fetchall() == [(1,)]
    assert pragma(path, "user_version") == 1


async def test_a_second_server_is_refused_and_told_who_has_the_file(
    sqlite_path: Path, open_sqlite: OpenSqlite
) -> None:
    storage = await open_sqlite(sqlite_path)
    await add(storage, a_thread())
    link = sqlite_path.with_name("link.db")
    link.symlink_to(sqlite_path)
    for path in (sqlite_path, link):
        message = await refusal(open_sqlite, path)
        assert f"the database {sqlite_path} is in use by another server" in message
        assert f"process {os.getpid()}:" in message
    assert await storage.read(lambda r: r.thread("thread")) == a_thread()
    await add(storage, a_thread("still"))
    await storage.close()
    await (await open_sqlite(sqlite_path)).close()


async def test_what_the_server_before_has_held_can_be_claimed_at_once(
    sqlite_path: Path, open_sqlite: OpenSqlite
) -> None:
    before = await open_sqlite(sqlite_path)
    await before.write(lambda tx: tx.join_servers("before", ttl=A_DAY))
    run = a_run(status=RunStatus.RUNNING, lease=Lease("before", 1), attempt=1)
    await add(before, a_thread(), run)
    await before.close()

    after = await open_sqlite(sqlite_path)
    await after.write(lambda tx: tx.join_servers("after", ttl=A_DAY))
    claimed = await after.write(lambda tx: tx.claim_lost("after", limit=9))
    taken = replace(run, lease=Lease("after", 2), attempt=2, losses=1)
    assert claimed == [TakenOver(taken, handed_back=False)]


HOLDER = """
import sys, time
from pathlib import Path
from graphwire_server.storage.sqlite.lock import DatabaseLock
lock = DatabaseLock.acquire(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


async def test_the_lock_goes_with_a_process_that_is_killed(
    sqlite_path: Path, open_sqlite: OpenSqlite
) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(sqlite_path), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"locked\n"
    assert f"process {holder.pid}:" in await refusal(open_sqlite, sqlite_path)
    holder.kill()
    await holder.wait()
    await (await open_sqlite(sqlite_path)).close()


async def test_an_open_that_fails_late_leaves_nothing_open(
    sqlite_path: Path, monkeypatch: pytest.MonkeyPatch, open_sqlite: OpenSqlite
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(AsyncSqliteStore, "MIGRATIONS", ["CREATE TABLE store (a);", "no SQL"])
        message = await refusal(open_sqlite, sqlite_path)
        assert f"the database {sqlite_path} can't be used" in message
        assert 'near "no"' in message
    storage = await open_sqlite(sqlite_path)
    await storage.store.aput(("a",), "b", {"c": 1})
    await storage.close()


async def test_an_open_that_is_cancelled_leaves_nothing_open(
    sqlite_path: Path, open_sqlite: OpenSqlite
) -> None:
    for turns in range(0, 60, 3):
        opening = asyncio.create_task(open_sqlite(sqlite_path))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():
            await opening.result().close()
    await (await open_sqlite(sqlite_path)).close()


async def test_aiosqlite_runs_functions_whole_in_order_on_one_thread(sqlite_path: Path) -> None:
    """`Connection.run` rests on aiosqlite's private `_execute`."""
    connection = await Connection.open(sqlite_path)
    started, go_on = threading.Event(), threading.Event()
    seen: list[tuple[str, int]] = []

    def note(name: str) -> str:
        seen.append((name, threading.get_ident()))
        return name

    def first(sqlite: sqlite3.Connection) -> None:
        assert isinstance(sqlite, sqlite3.Connection)
        started.set()
        assert go_on.wait(30)
        note("first")

    running = asyncio.create_task(connection.run(first))
    assert await asyncio.to_thread(started.wait, 30)
    queued = asyncio.create_task(connection.run(lambda sqlite: note("second")))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    go_on.set()
    assert await queued == "second"
    assert await connection.run(lambda sqlite: note("third")) == "third"
    assert [name for name, _ in seen] == ["first", "second", "third"]
    assert len({ident for _, ident in seen} - {threading.get_ident()}) == 1
    await connection.close()
    with pytest.raises(StorageError, match="it is closed"):
        await connection.run(lambda sqlite: None)
