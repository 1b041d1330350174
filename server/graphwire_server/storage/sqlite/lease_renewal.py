"""The renewal of a server's lease, off the event loop."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.transaction import SqlTransaction
from graphwire_server.storage.sqlite.batch import begin, roll_back
from graphwire_server.storage.sqlite.connection import connect
from graphwire_server.storage.sqlite.errors import translating
from graphwire_server.storage.sqlite.session import SqliteSession


class LeaseRenewal:
    """Renews leases on a connection of its own, from any thread, one after another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._sqlite: sqlite3.Connection | None = None
        self._closed = False

    def renew(self, server_id: str, *, ttl: int) -> bool:
        """Renews a server's lease; returns False if it has lapsed.

        Raises:
            StorageError: The database can't be used.
        """
        with self._lock, translating(self._path):
            if self._closed:
                raise unusable(self._path, "it is closed")
            if self._sqlite is None:
                self._sqlite = connect(self._path, check_same_thread=False)
            begin(self._sqlite)
            try:
                transaction = SqlTransaction(SqliteSession(self._sqlite, self._path))
                renewed = transaction.renew_server(server_id, ttl=ttl)
                self._sqlite.execute("COMMIT")
            except BaseException:
                roll_back(self._sqlite)
                raise
            return renewed

    def close(self) -> None:
        """Ends a renewal under way, and renews no more."""
        with self._lock:
            self._closed = True
            if self._sqlite is not None:
                self._sqlite.close()
