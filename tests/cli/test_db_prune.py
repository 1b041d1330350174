"""`graphwire db prune`: what it removes, what it leaves, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.runs.clock import now_us
from graphwire_server.storage.checkpoints.body import pack
from graphwire_server.storage.checkpoints.records import CheckpointRecord
from graphwire_server.storage.interface import Reader, Storage, Transaction
from graphwire_server.storage.opening import open_storage
from graphwire_server.storage.records import RunStatus, ThreadStatus

from tests.cli.command import Result, call
from tests.storage.builders import a_run, a_thread, an_event

HOUR = 3600 * 1_000_000
EVENTS = 5
NO_CHANNELS = pack(
    {
        "v": 4,
        "ts": "",
        "channel_versions": {},
        "versions_seen": {},
        "updated_channels": None,
        "channel_values": {},
    }
)
CHECKPOINTS = 3

#: Threads by their id, each with one run that ended when it was last changed: the status, and
#: how many hours ago that was.
THREADS: dict[str, tuple[ThreadStatus, int]] = {
    "new": (ThreadStatus.IDLE, 1),
    "old": (ThreadStatus.IDLE, 50),
    "older": (ThreadStatus.ERROR, 100),
    "paused": (ThreadStatus.INTERRUPTED, 100),
    "busy": (ThreadStatus.BUSY, 100),
}


def fill(tx: Transaction) -> None:
    """Puts the threads in, each with a run that is over, its events and a line of checkpoints."""
    now = now_us()
    for name, (status, hours) in THREADS.items():
        then = now - hours * HOUR
        tx.insert_thread(a_thread(name))
        ended = a_run(name, name, status=RunStatus.SUCCEEDED, end_time=then)
        tx.insert_run(ended)
        tx.append_events([an_event(number, name) for number in range(1, EVENTS + 1)])
        for number in range(CHECKPOINTS):
            parent = f"{name}-{number - 1}" if number else ""
            tx.put_checkpoint(
                CheckpointRecord(name, "", f"{name}-{number}", parent, name, "{}", NO_CHANNELS)
            )
        head = (f"{name}-{CHECKPOINTS - 1}", (), None)
        tx.update_thread(name, now=then, status=status, head=head)


def work(database: str, do: Callable[[Storage], Any]) -> Any:
    """Opens a database as a server does, and does something with it."""

    async def work() -> Any:
        storage = await open_storage(database)
        try:
            return await do(storage)
        finally:
            await storage.close()

    return asyncio.run(work())


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """A database with the threads."""
    if request.param == "sqlite":
        database = str(request.getfixturevalue("tmp_path") / "data.db")
    else:
        database = request.getfixturevalue("postgres_url")
    work(database, lambda storage: storage.write(fill))
    return database


def left(database: str) -> dict[str, tuple[int, int, int]]:
    """Returns what is left of the threads: runs, events and checkpoints."""

    def look(db: Reader) -> dict[str, tuple[int, int, int]]:
        extents = {name: db.extent(name) for name in THREADS}
        return {
            name: (extent.runs, extent.events, extent.checkpoints)
            for name, extent in extents.items()
            if extent.threads
        }

    found: dict[str, tuple[int, int, int]] = work(database, lambda storage: storage.read(look))
    return found


def prune(database: str, *options: str) -> dict[str, int]:
    """Prunes, once it was said how much that will be; returns the numbers."""
    before = left(database)
    tried = numbers(call("db", "prune", "--database", database, *options, "--dry-run", "--json"))
    assert left(database) == before
    done = numbers(call("db", "prune", "--database", database, *options, "--json"))
    assert done == tried
    again = numbers(call("db", "prune", "--database", database, *options, "--json"))
    assert again == dict.fromkeys(done, 0)
    return done


def numbers(result: Result) -> dict[str, int]:
    assert (result.code, result.err) == (0, "")
    (shown,) = result.objects
    return {name: shown[name] for name in ("threads", "runs", "events", "checkpoints")}


WHOLE = (1, EVENTS, CHECKPOINTS)


def test_old_threads_go_with_all_they_have_unless_they_are_busy_or_paused(database: str) -> None:
    removed = prune(database, "--threads-older-than", "99h")
    assert removed == {"threads": 1, "runs": 1, "events": EVENTS, "checkpoints": CHECKPOINTS}
    assert left(database) == dict.fromkeys(("new", "old", "paused", "busy"), WHOLE)
    removed = prune(database, "--threads-older-than", "2d")
    assert removed == {"threads": 1, "runs": 1, "events": EVENTS, "checkpoints": CHECKPOINTS}
    assert left(database) == dict.fromkeys(("new", "paused", "busy"), WHOLE)


def test_a_thread_with_a_ttl_of_its_own_is_left_to_it(database: str) -> None:
    def keep(tx: Transaction) -> None:
        tx.update_thread("older", now=1, ttl=0)

    work(database, lambda storage: storage.write(keep))
    assert prune(database, "--threads-older-than", "1w")["threads"] == 0
    assert prune(database, "--threads-older-than", "0s")["threads"] == 2
    assert left(database).keys() == {"older", "paused", "busy"}


def test_old_events_go_but_for_the_last_two_and_the_runs_stay(database: str) -> None:
    removed = prune(database, "--events-older-than", "90m")
    assert removed == {"threads": 0, "runs": 0, "events": 4 * (EVENTS - 2), "checkpoints": 0}
    trimmed = (1, 2, CHECKPOINTS)
    assert left(database) == {**dict.fromkeys(THREADS, trimmed), "new": WHOLE}


def test_all_but_the_latest_checkpoints_go_where_no_run_is_at_work(database: str) -> None:
    removed = prune(database, "--keep-latest")
    assert removed == {"threads": 0, "runs": 0, "events": 0, "checkpoints": 4 * (CHECKPOINTS - 1)}
    assert left(database) == {**dict.fromkeys(THREADS, (1, EVENTS, 1)), "busy": WHOLE}


def test_all_of_it_at_once_counts_nothing_twice(database: str) -> None:
    options = ("--threads-older-than", "2d", "--events-older-than", "2d", "--keep-latest")
    assert prune(database, *options) == {
        "threads": 2,
        "runs": 2,
        "events": 2 * EVENTS + 2 * (EVENTS - 2),
        "checkpoints": 2 * CHECKPOINTS + 2 * (CHECKPOINTS - 1),
    }
    assert left(database) == {
        "new": (1, EVENTS, 1),
        "paused": (1, 2, 1),
        "busy": (1, 2, CHECKPOINTS),
    }


def test_it_works_while_a_server_has_the_database(database: str) -> None:
    async def beside(storage: Storage) -> dict[str, int]:
        options = ("--threads-older-than", "2d", "--keep-latest", "--json")
        pruning = asyncio.to_thread(call, "db", "prune", "--database", database, *options)
        task = asyncio.create_task(pruning)
        written = 0
        while not task.done():
            await storage.write(lambda tx: tx.update_thread("busy", now=now_us()))
            written += 1
            await asyncio.sleep(0)
        assert written
        return numbers(await task)

    assert work(database, beside)["threads"] == 2
    assert left(database).keys() == {"new", "paused", "busy"}


def test_for_people_the_numbers_have_words(database: str) -> None:
    result = call("db", "prune", "--database", database, "--events-older-than", "3d", "--dry-run")
    assert (result.code, result.err) == (0, "")
    fields = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    del fields["database"]
    assert fields == {
        "threads": "0 would go",
        "runs": "0 would go",
        "events": "9 would go",
        "checkpoints": "0 would go",
    }
    result = call("db", "prune", "--database", database, "--events-older-than", "3d")
    fields = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert fields["events"] == "9 removed"


@pytest.mark.parametrize(
    "duration", ["", "30", "d", "-1d", "1.5h", "30 d", "30D", "1d12h", "soon", "9" * 10 + "d", "٣d"]
)
def test_what_is_no_duration_is_refused_in_words(duration: str) -> None:
    for option in ("--threads-older-than", "--events-older-than"):
        result = call("db", "prune", f"{option}={duration}")
        assert result.err == (
            f"graphwire: {option}: {duration!r} is no duration: write a number and s, m, h, d or "
            "w, such as 30d, 12h or 90m\n"
        )
        assert (result.code, result.out) == (2, "")


def test_nothing_to_do_is_refused(database: str) -> None:
    result = call("db", "prune", "--database", database)
    assert result.err == (
        "graphwire: nothing to do: give --threads-older-than, --events-older-than or "
        "--keep-latest\n"
    )
    assert (result.code, result.out) == (2, "")


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "data.db"
    result = call("db", "prune", "--database", str(file), "--keep-latest")
    assert result.err.startswith(f"graphwire: the database {file} has no tables yet, and this ")
    assert (result.code, result.out) == (3, "")
    assert not file.exists()


def test_a_database_that_can_not_be_used_is_code_3() -> None:
    result = call(
        *("db", "prune", "--keep-latest"),
        *("--database", "postgresql://me:top-secret@127.0.0.1:1/agents"),
    )
    assert "top-secret" not in result.err
    assert (result.code, result.out) == (3, "")
