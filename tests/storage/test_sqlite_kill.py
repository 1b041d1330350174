"""SQLite: what was reported as written is there after a kill, and nothing is there in half."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest
from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import ThreadFilter

from .conftest import OpenSqlite

WRITER = Path(__file__).with_name("killed_writer.py")


async def reports_until_killed(path: Path, reports: int) -> list[tuple[str, str]]:
    """Kills a writer after so many reports, and returns all that it made by then."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable, str(WRITER), str(path), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    lines = [await writer.stdout.readline() for _ in range(reports)]
    writer.kill()
    lines += (await writer.stdout.read()).splitlines(keepends=True)
    await writer.wait()
    pairs = [line.decode().split() for line in lines if line.endswith(b"\n")]
    return [(what, name) for what, name in pairs]


def whole_works(reader: Reader) -> set[str]:
    """Returns the names of the works in the database, each of which must be whole."""
    names = set()
    for thread in reader.threads(ThreadFilter(), limit=1_000_000):
        name = thread.thread_id
        run = reader.run(name)
        assert run is not None
        assert run.last_sequence == 3
        assert [event.sequence for event in reader.events(name, after=0, limit=9)] == [1, 2, 3]
        names.add(name)
    return names


@pytest.mark.parametrize("seed", range(3))
async def test_a_kill_loses_nothing_that_was_reported(
    sqlite_path: Path, open_sqlite: OpenSqlite, seed: int
) -> None:
    reports = random.Random(seed).randint(1, 1500)
    made = await reports_until_killed(sqlite_path, reports)
    assert len(made) >= reports

    storage = await open_sqlite(sqlite_path)
    found = await storage.read(whole_works)
    assert {name for what, name in made if what == "kept"} <= found
    assert not {name for name in found if name.endswith("7")}
    check = await storage.read(
        lambda r: r._session._sqlite.execute("PRAGMA integrity_check").fetchone()  # type: ignore[attr-defined]
    )
    assert check == ("ok",)
