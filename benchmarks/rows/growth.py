"""Storage of a thread whose state grows by one message a step."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.bench import PROJECT, Bench
from benchmarks.figures import Figure, Result, Row
from benchmarks.report import times_table, titled_table


def measure(bench: Bench) -> Result:
    """Runs threads of several lengths, and compares what each has added to the database."""
    steps = bench.effort.steps
    # Windows of a tenth of the steps, so that a full copy now and then counts as what it
    # is: now and then.
    lengths = {name: steps * percent // 100 for name, percent in _LENGTHS.items()}
    database = bench.folder / "growth.db"
    content, pages = {}, {}
    with bench.served(database, PROJECT) as served:
        served.client.measure("grow", steps=1)  # what only the first run makes
        for name, length in lengths.items():
            before = _content_bytes(database), _page_bytes(database)
            thread_id = served.client.measure("grow", steps=length)
            content[name] = _content_bytes(database) - before[0]
            pages[name] = _page_bytes(database) - before[1]
        reads = served.client.measure(
            "read_state", thread_id=thread_id, steps=steps, samples=bench.effort.warm_up
        )

    def per_step(sizes: dict[str, int], first: str, last: str) -> float:
        return (sizes[last] - sizes[first]) / (lengths[last] - lengths[first])

    table = titled_table("Bytes per step")
    for name in ("", "content", "pages of the file"):
        table.add_column(name, justify="right" if name else "left")
    for first, last in (("5%", "15%"), ("90%", "100%")):
        sizes = (f"{per_step(which, first, last):,.0f}" for which in (content, pages))
        table.add_row(f"steps {lengths[first]} to {lengths[last]}", *sizes)
    table.add_row(f"whole thread of {steps}, bytes", f"{content['100%']:,}", f"{pages['100%']:,}")
    ratio = per_step(content, "90%", "100%") / per_step(content, "5%", "15%")
    what = f"bytes per step at step {steps} / at step {steps // 10}"
    return Result(
        [Figure(what, ratio, 2, "×")],
        [table, times_table("GetThreadState of the longest thread", {"all of it": reads})],
    )


_LENGTHS = {"5%": 5, "15%": 15, "90%": 90, "100%": 100}


def _content_bytes(database: Path) -> int:
    """Returns the bytes of every value in every table, numbers as text."""
    total = 0
    with closing(_connect(database)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
            size = " + ".join(f"COALESCE(LENGTH(CAST({name} AS BLOB)), 0)" for name in columns)
            total += db.execute(f"SELECT COALESCE(SUM({size}), 0) FROM {table}").fetchone()[0]
    return total


def _page_bytes(database: Path) -> int:
    """Returns the bytes of all pages in use, those still in the write-ahead log included."""
    with closing(_connect(database)) as db:
        names = ("page_count", "freelist_count", "page_size")
        count, free, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((count - free) * size)


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)


ROW = Row(
    name="growth",
    title="Storage of a thread whose state grows by one message a step",
    how="StreamRun, stream mode UPDATES, messages of 200 characters. Threads of several lengths; "
    "bytes per step are the difference of two of them. Content is the length of all values of "
    "all tables (events included, indexes not); pages are what the file grows by.",
    measure=measure,
)
