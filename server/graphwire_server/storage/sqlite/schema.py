"""Whose a database file is, which version its schema has, and how it gets the newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from graphwire_server.storage.interface import StorageError
from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.migrations import Migration, check_version
from graphwire_server.storage.sqlite.connection import BUSY_TIMEOUT, connect
from graphwire_server.storage.sqlite.errors import translating
from graphwire_server.storage.sqlite.lock import DatabaseLock

#: `PRAGMA application_id` of our files: "GWDB" in ASCII.
APPLICATION_ID = 0x47574442


def inspect(path: Path) -> int:
    """Looks at a file without changing it, before anything else does; returns its version.

    A file that is missing or empty is as good as ours, of version 0.

    Raises:
        StorageError: It is not ours, or can't be read.
    """
    if path.is_dir():
        raise unusable(path, "it is a directory")
    try:
        if path.stat().st_size == 0:
            return 0
    except FileNotFoundError:
        return 0
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
        return _version(sqlite, path)
    except sqlite3.DatabaseError as error:
        raise unusable(path, error) from error
    finally:
        sqlite.close()


def claim(path: Path, *, newest: int) -> tuple[Path, DatabaseLock]:
    """Takes a file for this process alone, once it is clear that it can be used.

    The folders above it are made.

    Returns:
        The path that all who mean the file use, and the lock that is to be released.

    Raises:
        StorageError: Another server has it, it is not ours, it is newer than `newest`, or it
            can't be read and written.
    """
    if str(path) == ":memory:":
        raise unusable(path, "it must be a file, for a database in memory keeps nothing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
    except OSError as error:
        raise unusable(path, f"{error.filename}: {error.strerror}") from error
    check_version(inspect(path), newest, path)
    return path, DatabaseLock.acquire(path)


def upgrade(path: Path, migrations: Sequence[Migration]) -> None:
    """Brings a file that no server uses to the newest version.

    Raises:
        StorageError: As `claim`, or a migration failed; the database is as it was.
    """
    path, lock = claim(path, newest=migrations[-1].number)
    try:
        with translating(path), closing(connect(path)) as sqlite:
            migrate(sqlite, path, migrations)
    finally:
        lock.release()


def migrate(sqlite: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Brings a database to the newest version, in one transaction.

    Raises:
        StorageError: It is not ours, or newer than the newest migration.
        sqlite3.Error: A migration failed; the database is as it was.
    """
    newest = migrations[-1].number
    version = _version(sqlite, path)
    check_version(version, newest, path)
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


def _version(sqlite: sqlite3.Connection, path: Path) -> int:
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
    return version
