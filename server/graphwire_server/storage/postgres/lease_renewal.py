"""The renewal of a server's lease, off the event loop."""

from __future__ import annotations

import threading

from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres.connection import Connection
from graphwire_server.storage.postgres.transactions import write


class LeaseRenewal:
    """Renews leases on a connection of its own, from any thread, one after another."""

    def __init__(self, address: PostgresAddress) -> None:
        self._connection = Connection(address)
        self._lock = threading.Lock()

    def renew(self, server_id: str, *, ttl: int) -> bool:
        """Renews a server's lease; returns False if it has lapsed.

        Raises:
            StorageError: The database can't be used.
        """
        with self._lock:
            (outcome,) = write(self._connection, [lambda tx: tx.renew_server(server_id, ttl=ttl)])
        return bool(outcome.get())

    def close(self) -> None:
        """Ends a renewal under way, and renews no more."""
        self._connection.give_up()
        with self._lock:
            self._connection.close()
