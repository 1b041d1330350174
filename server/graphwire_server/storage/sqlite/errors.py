"""SQLite's errors, as the interface knows them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphwire_server.storage.interface import IntegrityError
from graphwire_server.storage.sql.errors import unreachable, unusable

#: A disk that is full or fails, and a file that others hold: what was asked for may be right.
_PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY)
#: The part of an error's code that says its kind.
_KIND = 0xFF


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into `IntegrityError`, `StorageUnavailable` and `StorageError`."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise IntegrityError(str(error)) from error
    except sqlite3.Error as error:
        # None for those that the module itself raises.
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & _KIND in _PASSING:
            raise unreachable(path, error) from error
        raise unusable(path, error) from error
