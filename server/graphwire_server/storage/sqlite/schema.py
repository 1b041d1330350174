"""Whose a database file is, which version its schema has, and how it gets the newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from graphwire_server.storage.interface import StorageError
from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.migrations import Migration
from graphwire_server.storage.sqlite.connection import BUSY_TIMEOUT

#: `PRAGMA application_id` of our files: "GWDB" in ASCII.
APPLICATION_ID = 0x47574442


def inspect(path: Path, *, newest: int) -> None:
    """Looks at a file without changing it, before anything else does.

    A file that is missing or empty is as good as ours.

    Raises:
        StorageError: It is not ours, or of a newer version than `newest`.
    """
    if path.is_dir():
        raise unusable(path, "it is a directory")
    try:
        if path.stat().st_size == 0:
            return
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable(path, error.strerror) from error
    try:
        # Through SQLite and not by reading the header: the newest header may be in the
        # write-ahead log, and closing a file by hand drops this process's locks on it.
        # Without such a log nobody writes, and `immutable` makes none.
        mode = "ro" if path.with_name(f"{path.name}-wal").exists() else "ro&immutable=1"
        uri = f"{path.as_uri()}?mode={mode}"
        sqlite = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        _version(sqlite, path, newest=newest)
    except sqlite3.DatabaseError as error:
        raise unusable(path, error) from error
    finally:
        sqlite.close()


def migrate(sqlite: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Brings a database to the newest version, in one transaction.

    Raises:
        StorageError: It is not ours, or newer than the newest migration.
        sqlite3.Error: A migration failed; the database is as it was.
    """
    newest = migrations[-1].number
    version = _version(sqlite, path, newest=newest)
    if version == newest:
        return
    run_script(
        sqlite,
        *(migration.script for migration in migrations if migration.number > version),
        f"PRAGMA application_id = {APPLICATION_ID};",
        f"PRAGMA user_version = {newest};",
    )


def run_script(sqlite: sqlite3.Connection, *scripts: str) -> None:
    """Runs SQL scripts in one transaction; if one fails, nothing is changed."""
    # `executescript` commits what is open before it begins, so BEGIN is part of it.
    try:
        sqlite.executescript("\n".join(("BEGIN IMMEDIATE;", *scripts, "COMMIT;")))
    except BaseException:
        if sqlite.in_transaction:
            sqlite.execute("ROLLBACK")
        raise


def _version(sqlite: sqlite3.Connection, path: Path, *, newest: int) -> int:
    """Returns a database's version; 0 if there is nothing in it yet."""
    application_id = sqlite.execute("PRAGMA application_id").fetchone()[0]
    version: int = sqlite.execute("PRAGMA user_version").fetchone()[0]
    if application_id != APPLICATION_ID:
        tables = sqlite.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if application_id or version or tables:
            raise StorageError(
                f"the database {path} belongs to another program, and is left as it is: "
                "choose another file"
            )
        return 0
    if version > newest:
        raise StorageError(
            f"the database {path} has schema version {version}, and this Graphwire knows "
            f"versions up to {newest}: use the newer Graphwire, or another file"
        )
    return version
