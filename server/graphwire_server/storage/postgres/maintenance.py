"""Work on a Postgres database by hand: as another server that holds nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import transactions
from graphwire_server.storage.postgres.connection import Connection

T = TypeVar("T")


class _TakenBack(Exception):
    """Carries the result of a work out of a transaction that is not to be kept."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class PostgresMaintenance:
    """`Maintenance` of a database."""

    def __init__(self, address: PostgresAddress) -> None:
        """Connects. Raises StorageError."""
        self._connection = Connection(address)
        self._connection.open()

    def write(self, work: Callable[[Transaction], T]) -> T:
        (outcome,) = transactions.write(self._connection, [work])
        result: T = outcome.get()
        return result

    def try_out(self, work: Callable[[Transaction], T]) -> T:
        def taken_back(tx: Transaction) -> T:
            raise _TakenBack(work(tx))

        try:
            return self.write(taken_back)
        except _TakenBack as kept:
            result: T = kept.result
            return result

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()
