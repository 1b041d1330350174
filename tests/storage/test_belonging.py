"""To whom threads and pauses belong: what a claim changes, and what older versions have left."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import PauseStatus, RunStatus, ThreadStatus
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sql.transaction import SqlTransaction
from graphwire_server.storage.sqlite.schema import run_script
from graphwire_server.storage.sqlite.session import SqliteSession

from .builders import A_DAY, a_pause, a_run, a_thread, add

INTERRUPTED = ThreadStatus.INTERRUPTED


async def test_a_run_that_begins_makes_the_thread_its_assistants(storage: Storage) -> None:
    await storage.write(lambda tx: tx.join_servers("server", ttl=A_DAY))
    for name in ("one", "two", "same"):
        await add(
            storage,
            a_thread(name, status=ThreadStatus.BUSY, assistant_id="before", graph_id="g"),
            a_run(f"run {name}", name, assistant_id="before" if name == "same" else "after"),
            a_run(f"later {name}", name, assistant_id="later"),
        )
    await storage.write(lambda tx: tx.claim_due("server", limit=9))
    threads = await storage.read(lambda db: [db.thread(name) for name in ("one", "two", "same")])
    assert [each and (each.assistant_id, each.graph_id) for each in threads] == [
        ("after", "g"),
        ("after", "g"),
        ("before", "g"),
    ]


async def test_the_active_runs_of_an_assistant_are_found(storage: Storage) -> None:
    await add(
        storage,
        a_thread("one"),
        a_thread("two"),
        a_run("queued", "one", assistant_id="mine"),
        a_run("runs", "two", assistant_id="mine", status=RunStatus.RUNNING, start_time=1),
        a_run("ended", "two", assistant_id="mine", status=RunStatus.FAILED),
        a_run("other", "two", assistant_id="other"),
    )
    found = await storage.read(lambda db: db.active_runs_of_assistant("mine"))
    assert sorted(found) == [("queued", "one"), ("runs", "two")]
    assert await storage.read(lambda db: db.active_runs_of_assistant("nobody")) == []


def test_threads_and_pauses_of_older_versions_are_put_right(tmp_path: Path) -> None:
    migrations = load_migrations()
    number = next(m.number for m in migrations if "gw_threads SET assistant_id" in m.script)
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as sqlite:
        run_script(sqlite, *(m.script for m in migrations if m.number < number))
        sqlite.execute("BEGIN")
        tx = SqlTransaction(SqliteSession(sqlite, tmp_path))
        for name, status in (
            ("paused", INTERRUPTED),
            ("copy", INTERRUPTED),
            ("idle", ThreadStatus.IDLE),
        ):
            tx.insert_thread(a_thread(name, status=status, assistant_id="queued"))
        tx.insert_run(a_run("run", "paused", status=RunStatus.INTERRUPTED))
        tx.insert_pauses(
            [
                a_pause("now", "paused", assistant_id="agent"),
                a_pause("copied", "copy", assistant_id="queued"),
                a_pause("then", "idle", assistant_id="agent", status=PauseStatus.RESUMED),
            ]
        )
        sqlite.execute("UPDATE gw_pauses SET run_id = 'gone' WHERE pause_id = 'then'")
        sqlite.execute("COMMIT")
        run_script(sqlite, *(m.script for m in migrations if m.number >= number))
        threads = sqlite.execute("SELECT thread_id, assistant_id FROM gw_threads")
        assert dict(threads) == {"paused": "agent", "copy": "queued", "idle": "queued"}
        pauses = sqlite.execute("SELECT pause_id, run_id FROM gw_pauses")
        assert dict(pauses) == {"now": "run", "copied": "", "then": "gone"}
