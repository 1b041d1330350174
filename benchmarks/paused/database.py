"""Makes a database with very many paused threads, once for each schema."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.paused.clone import clone_threads

#: Every thread that was paused for real has so many copies, itself among them.
COPIES = 100

_AT_ONCE = 32


def paused_threads(bench: Bench) -> Path:
    """Returns a database of this run's own in which `effort.threads` threads are paused.

    One in a hundred was paused through a server; the others are copies. It is the same for
    all rows of a run, and a copy of the one that is kept for the runs to come.
    """
    path = bench.folder / "paused.db"
    if not path.exists():
        shutil.copyfile(_kept(bench), path)
        _flush(path)
    return path


def _kept(bench: Bench) -> Path:
    """Returns the database that is kept; makes it if it is not there, or out of date."""
    made = bench.folder / "pausing.db"
    with bench.served(made) as served:
        kept = bench.kept / f"{_key(made, bench.effort.threads)}.db"
        if kept.exists() and not bench.rebuild:
            return kept
        originals = bench.effort.threads // COPIES
        served.client.measure("pause", count=originals, at_once=_AT_ONCE)
    clone_threads(made, COPIES - 1)
    _flush(made)
    bench.kept.mkdir(parents=True, exist_ok=True)
    for older in bench.kept.glob("*.db"):
        older.unlink()
    return made.rename(kept)


def _key(database: Path, threads: int) -> str:
    """Names what a database depends on: the schema, what writes it, how it was filled."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
        schema = db.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    filling = [file.read_text("utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))]
    parts = (schema, version("langgraph"), filling)
    return f"{threads}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


def _flush(path: Path) -> None:
    """Writes a file to the disk, so that it does not disturb what is measured next."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
