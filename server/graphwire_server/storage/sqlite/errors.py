"""SQLite's errors, as the interface knows them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphwire_server.storage.interface import IntegrityError
from graphwire_server.storage.sql.errors import refused, unusable

#: What passes by itself, or when somebody makes room.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
}


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into `IntegrityError`, `StorageRefused` and `StorageError`."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise IntegrityError(str(error)) from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            raise refused(path, error) from error
        raise unusable(path, error) from error
