"""Copies threads inside an SQLite file, whatever its tables are.

A row belongs to a thread if one of its columns is called as in `ID_COLUMNS`. A copy of it
has other ids: wherever such an id stands in it, in any text or blob, the copy has the
copy's, of the same length, so that what is encoded round it stays right. Ids that are
derived from a thread's position (checkpoints, tasks) stay the same, and so do times.
Integer keys are moved on by more than the largest.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Columns whose values are given out once for each thread, run or pause.
ID_COLUMNS = frozenset({"thread_id", "run_id", "pause_id"})

_UUID = "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_IN_TEXT = re.compile(_UUID)
_IN_BLOB = re.compile(_UUID.encode())
#: How much of the file SQLite may keep in memory while it copies, in KiB.
_CACHE_KIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Table:
    """A table whose rows belong to threads.

    Attributes:
        name: Its name.
        columns: The names of its columns.
        ids: Which of them are `ID_COLUMNS`.
        key: Which one is an integer key that the database gives out; None if none is.
    """

    name: str
    columns: tuple[str, ...]
    ids: tuple[int, ...]
    key: int | None


def clone_threads(path: Path, copies: int) -> None:
    """Adds so many copies of every thread that is in a database, in which nobody works.

    Raises:
        sqlite3.Error: The tables do not allow it; the file is of no use then.
        ValueError: A copy would refer to rows that are not there.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # A copy that breaks off is thrown away: nothing need be safe before the end.
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        tables = list(_tables(db))
        ids = {id_ for table in tables for id_ in _ids(db, table)}
        stride = 1 + max((_largest_key(db, table) for table in tables), default=0)
        renames = [_renamed(ids, number) for number in range(1, copies + 1)]
        db.execute("BEGIN")
        for table in tables:
            marks = ", ".join("?" * len(table.columns))
            db.executemany(
                f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})",
                _copies(db, table, renames, stride),
            )
        db.execute("COMMIT")
        dangling = db.execute("PRAGMA foreign_key_check").fetchone()
        if dangling is not None:
            raise ValueError(f"a copied row of {dangling[0]} refers to none of {dangling[2]}")
        db.execute("PRAGMA journal_mode = WAL")


def _tables(db: sqlite3.Connection) -> Iterator[_Table]:
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    for (name,) in names.fetchall():
        info = db.execute(f"PRAGMA table_info({name})").fetchall()
        columns = tuple(column[1] for column in info)
        ids = tuple(index for index, column in enumerate(columns) if column in ID_COLUMNS)
        keys = [index for index, column in enumerate(info) if column[5]]
        given_out = len(keys) == 1 and info[keys[0]][2].upper() == "INTEGER"
        if ids:
            yield _Table(name, columns, ids, keys[0] if given_out else None)


def _ids(db: sqlite3.Connection, table: _Table) -> Iterator[str]:
    for index in table.ids:
        for (value,) in db.execute(f"SELECT DISTINCT {table.columns[index]} FROM {table.name}"):
            if isinstance(value, str) and _IN_TEXT.fullmatch(value):
                yield value


def _largest_key(db: sqlite3.Connection, table: _Table) -> int:
    if table.key is None:
        return 0
    largest = db.execute(f"SELECT MAX({table.columns[table.key]}) FROM {table.name}").fetchone()
    return largest[0] or 0


def _renamed(ids: set[str], number: int) -> Mapping[str | bytes, str | bytes]:
    """Returns the ids of a copy by the ids of the original, each as text and as bytes."""
    renamed: dict[str | bytes, str | bytes] = {}
    for id_ in ids:
        copy = f"{id_[:-12]}{int(id_[-12:], 16) ^ number:012x}"
        renamed[id_] = copy
        renamed[id_.encode()] = copy.encode()
    return renamed


def _copies(
    db: sqlite3.Connection,
    table: _Table,
    renames: list[Mapping[str | bytes, str | bytes]],
    stride: int,
) -> Iterator[list[Any]]:
    """Yields every row of a table once for each copy."""
    originals = db.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}").fetchall()
    split = [
        [(index, pieces) for index, cell in enumerate(row) if len(pieces := _pieces(cell)) > 1]
        for row in originals
    ]
    for number, renamed in enumerate(renames, 1):
        for row, cells in zip(originals, split, strict=True):
            copy = list(row)
            for index, pieces in cells:
                copy[index] = pieces[0][:0].join([renamed.get(piece, piece) for piece in pieces])
            if table.key is not None:
                copy[table.key] += number * stride
            yield copy


def _pieces(cell: object) -> list[Any]:
    """Splits a text or a blob at the UUIDs in it, which are every second piece."""
    match cell:
        case str():
            return _IN_TEXT.split(cell)
        case bytes():
            return _IN_BLOB.split(cell)
    return []
