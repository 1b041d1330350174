"""The injector: a process dies exactly where the plan says."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.crash.faults import PLAN, Plan, Side
from tests.postgres import PostgresServer

# Each commits in every way that there is, and its rows say which: the n-th commit keeps n rows.
SQLITE_WRITER = """
import os, sqlite3, sys
from pathlib import Path
from tests.crash.faults import PLAN, Faults, Plan, watch_sqlite

watch_sqlite(Faults(Plan(Path(os.environ[PLAN]))))
plain = sqlite3.connect(sys.argv[1], isolation_level=None)
implied = sqlite3.connect(sys.argv[1], isolation_level="IMMEDIATE")
plain.executescript("BEGIN; CREATE TABLE t (n); INSERT INTO t VALUES (1);\\nCOMMIT;")
plain.execute("BEGIN")
plain.execute("SELECT * FROM t").fetchall()
plain.execute("COMMIT")  # a reader's
plain.execute("BEGIN IMMEDIATE")
plain.execute("INSERT INTO t VALUES (2)")
plain.execute("commit")
cursor = plain.cursor()
cursor.execute("BEGIN")
cursor.execute("INSERT INTO t VALUES (3)")
cursor.execute("END TRANSACTION")
implied.execute("INSERT INTO t VALUES (4)")
implied.commit()
implied.commit()  # of nothing
with implied:
    implied.execute("INSERT INTO t VALUES (5)")
"""
POSTGRES_WRITER = """
import os, psycopg, sys
from pathlib import Path
from tests.crash.faults import PLAN, Faults, Plan, watch_psycopg

watch_psycopg(Faults(Plan(Path(os.environ[PLAN]))))
plain = psycopg.connect(sys.argv[1], autocommit=True)
implied = psycopg.connect(sys.argv[1])
plain.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
plain.execute("BEGIN; SET LOCAL lock_timeout = 0")
plain.execute("INSERT INTO t VALUES (%s)", (1,), binary=True)
plain.execute("COMMIT")
plain.execute("BEGIN")
plain.execute("SELECT * FROM t").fetchall()
plain.execute("UPDATE t SET n = 7 WHERE n = 0")
plain.execute("COMMIT")  # of nothing
plain.execute("BEGIN")
plain.cursor().executemany("INSERT INTO t VALUES (%s)", [(2,)])
plain.cursor().execute("commit")
plain.execute("BEGIN")
plain.execute("INSERT INTO t VALUES (0)")
plain.execute("ROLLBACK")
plain.execute("BEGIN")
plain.execute("COMMIT")  # of nothing
plain.execute("BEGIN")
plain.execute("UPDATE t SET n = n")
plain.execute("INSERT INTO t VALUES (3)")
plain.execute("END")
implied.execute("INSERT INTO t VALUES (4)")
implied.commit()
implied.commit()  # of nothing
with implied:
    implied.execute("INSERT INTO t VALUES (5)")
"""
COMMITS = 5


class Database(Protocol):
    """A database, and a program that writes to it."""

    def write(self, plan: Path) -> int:
        """Runs the program under a plan, and returns its exit code."""

    def rows(self) -> list[int]:
        """Returns what is committed."""

    def empty(self) -> None:
        """Makes it empty."""


class SqliteDatabase:
    """A file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, plan: Path) -> int:
        return run(SQLITE_WRITER, str(self._file), plan)

    def rows(self) -> list[int]:
        sqlite = sqlite3.connect(self._file)
        try:
            tables = sqlite.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
            return [n for (n,) in sqlite.execute("SELECT n FROM t")] if tables else []
        finally:
            sqlite.close()

    def empty(self) -> None:
        self._file.unlink()


class PostgresDatabase:
    """One of Postgres."""

    def __init__(self, postgres: PostgresServer, name: str) -> None:
        self._postgres = postgres
        self._name = name

    def write(self, plan: Path) -> int:
        return run(POSTGRES_WRITER, self._postgres.url(self._name), plan)

    def rows(self) -> list[int]:
        with self._postgres.connect(self._name) as connection:
            return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]

    def empty(self) -> None:
        with self._postgres.connect(self._name) as connection:
            connection.execute("TRUNCATE t")


def run(writer: str, database: str, plan: Path) -> int:
    """Runs a writer, and returns its exit code."""
    environment = {**os.environ, PLAN: str(plan)}
    command = [sys.executable, "-c", writer, database]
    return subprocess.run(command, env=environment, check=False).returncode


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield SqliteDatabase(tmp_path / "data.db")
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    with postgres.fresh_database() as name:
        yield PostgresDatabase(postgres, name)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Plan]:
    plan = Plan(tmp_path / "plan")
    yield plan
    plan.close()


def test_unarmed_it_only_counts_what_changes_something(
    database: Database, tmp_path: Path, plan: Plan
) -> None:
    assert database.write(tmp_path / "plan") == 0
    assert (plan.commits, database.rows()) == (COMMITS, [1, 2, 3, 4, 5])


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("number", range(1, COMMITS + 1))
def test_it_dies_on_the_side_of_the_commit_that_is_named(
    database: Database, tmp_path: Path, plan: Plan, number: int, side: Side
) -> None:
    plan.arm(number, side)
    assert database.write(tmp_path / "plan") == -signal.SIGKILL
    kept = number if side is Side.AFTER else number - 1
    assert database.rows() == [*range(1, kept + 1)]
    assert (plan.commits, plan.fired) == (number, True)


def test_commits_are_counted_from_when_it_is_armed_also_across_processes(
    database: Database, tmp_path: Path, plan: Plan
) -> None:
    plan.arm(COMMITS + 2, Side.AFTER)
    assert database.write(tmp_path / "plan") == 0
    database.empty()
    assert database.write(tmp_path / "plan") == -signal.SIGKILL
    assert database.rows() == [1, 2]


def test_disarmed_it_lives(database: Database, tmp_path: Path, plan: Plan) -> None:
    plan.arm(1, Side.BEFORE)
    plan.disarm()
    assert database.write(tmp_path / "plan") == 0
    assert not plan.fired
