"""The injector: a process dies exactly where the plan says."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.faults import PLAN, Plan, Side

#: Commits in every way that there is, and rows that say which: the n-th commit keeps n rows.
WRITER = """
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
COMMITS = 5


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Plan]:
    plan = Plan(tmp_path / "plan")
    yield plan
    plan.close()


def run_writer(folder: Path) -> int:
    """Runs the writer, and returns its exit code."""
    return subprocess.run(
        [sys.executable, "-c", WRITER, str(folder / "data.db")],
        env={**os.environ, PLAN: str(folder / "plan")},
        check=False,
    ).returncode


def rows(folder: Path) -> list[int]:
    """Returns what is committed."""
    sqlite = sqlite3.connect(folder / "data.db")
    try:
        tables = sqlite.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        return [n for (n,) in sqlite.execute("SELECT n FROM t")] if tables else []
    finally:
        sqlite.close()


def test_unarmed_it_only_counts_what_changes_something(tmp_path: Path, plan: Plan) -> None:
    assert run_writer(tmp_path) == 0
    assert (plan.commits, rows(tmp_path)) == (COMMITS, [1, 2, 3, 4, 5])


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("number", range(1, COMMITS + 1))
def test_it_dies_on_the_side_of_the_commit_that_is_named(
    tmp_path: Path, plan: Plan, number: int, side: Side
) -> None:
    plan.arm(number, side)
    assert run_writer(tmp_path) == -signal.SIGKILL
    kept = number if side is Side.AFTER else number - 1
    assert rows(tmp_path) == [*range(1, kept + 1)]
    assert (plan.commits, plan.fired) == (number, True)


def test_commits_are_counted_from_when_it_is_armed_also_across_processes(
    tmp_path: Path, plan: Plan
) -> None:
    plan.arm(COMMITS + 2, Side.AFTER)
    assert run_writer(tmp_path) == 0
    (tmp_path / "data.db").unlink()
    assert run_writer(tmp_path) == -signal.SIGKILL
    assert rows(tmp_path) == [1, 2]


def test_disarmed_it_lives(tmp_path: Path, plan: Plan) -> None:
    plan.arm(1, Side.BEFORE)
    plan.disarm()
    assert run_writer(tmp_path) == 0
    assert not plan.fired
