"""How much is in an SQLite file, while a server writes to it or not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple


class Size(NamedTuple):
    """Sizes in bytes.

    Attributes:
        content: Of every value in every table, numbers as text; indexes are left out.
        pages: Of all pages in use, those still in the write-ahead log included.
    """

    content: int
    pages: int


def size_of(path: Path) -> Size:
    """Returns the size of what is committed in a database."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return Size(sum(_table_content(db, table) for (table,) in tables), _pages(db))


def _table_content(db: sqlite3.Connection, table: str) -> int:
    columns = [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
    lengths = " + ".join(f"COALESCE(LENGTH(CAST({name} AS BLOB)), 0)" for name in columns)
    content: int = db.execute(f"SELECT COALESCE(SUM({lengths}), 0) FROM {table}").fetchone()[0]
    return content


def _pages(db: sqlite3.Connection) -> int:
    names = ("page_count", "freelist_count", "page_size")
    count, free, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((count - free) * size)
