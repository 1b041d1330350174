"""One transaction of SQLite, and the functions of SQL that are ours."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.session import Parameters
from graphwire_server.storage.sqlite.containment import AnyContainment, Containment, list_has_all


class SqliteSession:
    """`Session` in the transaction that a connection has open."""

    #: A transaction that writes is the only one.
    locks_rows = False

    def __init__(self, sqlite: sqlite3.Connection, path: Path) -> None:
        self._sqlite = sqlite
        self._path = path

    def execute(self, statement: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        self._check_transaction()
        return self._sqlite.execute(statement, parameters)

    def execute_many(self, statement: str, rows: Sequence[Parameters]) -> None:
        self._check_transaction()
        self._sqlite.executemany(statement, rows)

    def _check_transaction(self) -> None:
        """Refuses to go on outside a transaction, where each statement would be kept.

        SQLite ends a transaction by itself when the disk is full, for one.
        """
        if not self._sqlite.in_transaction:
            raise unusable(self._path, "the transaction is over")


def add_functions(sqlite: sqlite3.Connection) -> None:
    """Gives a connection the functions that the statements call."""
    sqlite.create_function("graphwire_now", 0, _now)
    sqlite.create_function("graphwire_contains", 2, Containment(), deterministic=True)
    sqlite.create_function("graphwire_any_contains", 2, AnyContainment(), deterministic=True)
    sqlite.create_function("graphwire_has_all", 3, list_has_all, deterministic=True)
    # One transaction writes at a time, so numbers alone are in the order of commits.
    sqlite.create_function("graphwire_xid", 0, lambda: 0, deterministic=True)
    sqlite.create_function("graphwire_settled_xid", 0, lambda: 1, deterministic=True)


def _now() -> int:
    return time.time_ns() // 1000
