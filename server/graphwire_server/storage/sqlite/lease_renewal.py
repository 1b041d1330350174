"""The renewal of a server's lease, off the event loop."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sqlite.batch import run_together
from graphwire_server.storage.sqlite.connection import connect
from graphwire_server.storage.sqlite.errors import translating


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
            (outcome,) = run_together(
                self._sqlite, self._path, [lambda tx: tx.renew_server(server_id, ttl=ttl)]
            )
            return bool(outcome.get())

    def close(self) -> None:
        """Ends a renewal under way, and renews no more."""
        with self._lock:
            self._closed = True
            if self._sqlite is not None:
                self._sqlite.close()
