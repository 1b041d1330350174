"""The servers of a soak: one on SQLite, or two on one Postgres."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.conftest import PROJECT
from tests.postgres import running_postgres
from tests.servers import ServerProcess

#: How long things are kept that are not deleted, in seconds: threads, and events.
TTL, EVENT_TTL = 30.0, 60.0

_ENV = {
    "GRAPHWIRE_STATELESS_TTL_SECONDS": str(TTL),
    "GRAPHWIRE_EVENT_TTL_SECONDS": str(EVENT_TTL),
    "GRAPHWIRE_CHANGE_TTL_SECONDS": str(EVENT_TTL),
    "GRAPHWIRE_CHECKPOINT_RETENTION": "latest",
    "GRAPHWIRE_HEARTBEAT_SECONDS": "5",
}


@dataclass(frozen=True, slots=True)
class Servers:
    """Servers on one database.

    Attributes:
        processes: The servers.
        database_bytes: Returns how much of the database is in use.
    """

    processes: list[ServerProcess]
    database_bytes: Callable[[], int]

    def faults(self) -> list[str]:
        """Returns the lines of their logs that tell of errors, and tracebacks."""
        return [
            line
            for process in self.processes
            for line in process.log.splitlines()
            if "[error" in line or line.startswith("Traceback")
        ]


@contextmanager
def running_servers(folder: Path, *, postgres: bool) -> Iterator[Servers]:
    """Starts the servers, and stops them at the end.

    Raises:
        AssertionError: One did not stop as it should.
    """
    with ExitStack() as stack:
        if postgres:
            database = stack.enter_context(running_postgres())
            name = database.make_database()
            url = database.url(name)

            def size() -> int:
                with database.connect() as admin:
                    row = admin.execute("SELECT pg_database_size(%s)", (name,)).fetchone()
                assert row is not None
                return int(row[0])

            servers = Servers([ServerProcess(url, PROJECT, env=_ENV) for _ in range(2)], size)
        else:
            path = folder / "graphwire.db"
            servers = Servers(
                [ServerProcess(path, PROJECT, env=_ENV)],
                lambda: _used_bytes(path),
            )
        for process in servers.processes:
            stack.callback(_kill_if_running, process)
            process.start()
        yield servers
        codes = [process.stop() for process in servers.processes]
        assert codes == [0] * len(codes), [process.log[-4000:] for process in servers.processes]


def _used_bytes(database: Path) -> int:
    """Returns what is in use of a SQLite file, which itself never shrinks."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def _kill_if_running(process: ServerProcess) -> None:
    if process.is_running:
        process.kill()
