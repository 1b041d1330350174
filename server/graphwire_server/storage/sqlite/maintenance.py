"""Work on a SQLite file by hand: on a connection of its own, beside the server's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.sql.transaction import SqlTransaction
from graphwire_server.storage.sqlite.batch import begin, roll_back
from graphwire_server.storage.sqlite.connection import connect
from graphwire_server.storage.sqlite.errors import translating
from graphwire_server.storage.sqlite.session import SqliteSession

T = TypeVar("T")


class SqliteMaintenance:
    """`Maintenance` of a file. Readers see the last commit meanwhile; writers take turns."""

    def __init__(self, path: Path) -> None:
        """Connects. Raises StorageError."""
        self._path = path
        with translating(path):
            self._sqlite = connect(path)

    def write(self, work: Callable[[Transaction], T]) -> T:
        return self._run(work, "COMMIT")

    def try_out(self, work: Callable[[Transaction], T]) -> T:
        return self._run(work, "ROLLBACK")

    def close(self) -> None:
        """Closes the connection."""
        self._sqlite.close()

    def _run(self, work: Callable[[Transaction], T], end: str) -> T:
        with translating(self._path):
            begin(self._sqlite)
            try:
                transaction = SqlTransaction(SqliteSession(self._sqlite, self._path))
                result = work(transaction)
                transaction.settle(kept=True)
                transaction.write_changes()
                self._sqlite.execute(end)
            except BaseException:
                roll_back(self._sqlite)
                raise
            return result
