"""SQLite's errors, as the interface knows them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphwire_server.storage.interface import IntegrityError
from graphwire_server.storage.sql.errors import unusable


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into `IntegrityError` and `StorageError`."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise IntegrityError(str(error)) from error
    except sqlite3.Error as error:
        raise unusable(path, error) from error
