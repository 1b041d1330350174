"""Works that are committed together."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.sql.group_commit import Work
from graphwire_server.storage.sql.outcome import Outcome
from graphwire_server.storage.sql.transaction import SqlTransaction
from graphwire_server.storage.sqlite.connection import BUSY_TIMEOUT
from graphwire_server.storage.sqlite.errors import translating
from graphwire_server.storage.sqlite.session import SqliteSession

T = TypeVar("T")


def begin(sqlite: sqlite3.Connection) -> None:
    """Begins a transaction that writes; waits while another connection has one.

    Raises:
        sqlite3.OperationalError: The other one takes too long.
    """
    sqlite.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
    sqlite.execute("BEGIN IMMEDIATE")


def begin_at_once(sqlite: sqlite3.Connection) -> bool:
    """Begins a transaction that writes; returns False if another connection has one."""
    sqlite.execute("PRAGMA busy_timeout = 0")
    try:
        sqlite.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def roll_back(sqlite: sqlite3.Connection) -> None:
    """Takes back what a transaction did, if there is one."""
    if sqlite.in_transaction:
        sqlite.execute("ROLLBACK")


def run_all(
    sqlite: sqlite3.Connection, path: Path, works: Sequence[Work[Any]]
) -> tuple[list[Outcome[Any]], Collection[str], int]:
    """Runs works in the transaction that is open, each of which can fail alone.

    Returns what came of each, what is to be announced after the commit, and how many events were
    added.

    Raises:
        sqlite3.Error: SQLite gave the transaction up.
    """
    transaction = SqlTransaction(SqliteSession(sqlite, path))
    outcomes = [
        _run_alone(sqlite, transaction, _translated(work, path), savepoint=len(works) > 1)
        for work in works
    ]
    return outcomes, transaction.write_changes(), transaction.events_added


def _translated(work: Work[T], path: Path) -> Work[T]:
    def translated(transaction: Transaction) -> T:
        with translating(path):
            return work(transaction)

    return translated


def _run_alone(
    sqlite: sqlite3.Connection,
    transaction: SqlTransaction,
    work: Work[T],
    *,
    savepoint: bool,
) -> Outcome[T]:
    """Runs one work, and takes back what it did if it raises."""
    if savepoint:
        sqlite.execute("SAVEPOINT work")
    outcome = Outcome.of(work, transaction)
    if not sqlite.in_transaction:
        # When the disk is full, for one, SQLite takes back the whole transaction.
        cause = outcome.error.__cause__ if outcome.error is not None else None
        if isinstance(cause, sqlite3.Error):
            raise cause
        raise sqlite3.OperationalError(f"SQLite gave the transaction up: {outcome.error}")
    if outcome.error is not None:
        sqlite.execute("ROLLBACK TO work" if savepoint else "ROLLBACK")
    if savepoint:
        sqlite.execute("RELEASE work")
    transaction.settle(kept=outcome.error is None)
    return outcome
