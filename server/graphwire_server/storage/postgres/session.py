"""One transaction of Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from graphwire_server.storage.postgres.errors import (
    ConnectionLost,
    TransactionConflict,
    translated,
)
from graphwire_server.storage.sql.errors import unusable
from graphwire_server.storage.sql.session import Parameters


class PostgresSession:
    """`Session` in a transaction of a connection, and what begins and ends it."""

    #: Other servers write at the same time.
    locks_rows = True

    def __init__(self, connection: psycopg.Connection, database: object) -> None:
        """Takes a connection that has no transaction open.

        Args:
            connection: The connection.
            database: What errors call the database.
        """
        self.database = database
        self._connection = connection
        self._trouble: TransactionConflict | ConnectionLost | None = None
        self._over = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or has failed and waits to be rolled back."""
        return not self._connection.closed and self._status is not TransactionStatus.IDLE

    @property
    def failed(self) -> bool:
        """Whether a statement has failed, so that none can follow."""
        return self._status is TransactionStatus.INERROR

    @property
    def _status(self) -> TransactionStatus:
        return self._connection.info.transaction_status

    def control(self, statements: str) -> psycopg.Cursor[Any]:
        """Runs statements that begin and end things, in one round trip.

        Returns what the last of them has led to.
        """
        try:
            cursor = self._connection.execute(statements)
            while cursor.nextset():
                pass
        except psycopg.Error as error:
            raise self._noted(error) from error
        return cursor

    def execute(self, statement: str, parameters: Parameters = ()) -> psycopg.Cursor[Any]:
        self._check_transaction()
        try:
            return self._connection.execute(in_format_style(statement), parameters, binary=True)
        except psycopg.Error as error:
            raise self._noted(error) from error

    def execute_many(self, statement: str, rows: Sequence[Parameters]) -> None:
        self._check_transaction()
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(in_format_style(statement), rows)
        except psycopg.Error as error:
            raise self._noted(error) from error

    def check(self) -> None:
        """Makes sure that nothing has put an end to the transaction as a whole.

        Raises:
            TransactionConflict, ConnectionLost: Something has, whatever became of the error.
        """
        if self._trouble is not None:
            raise self._trouble

    def end(self) -> None:
        """Lets nobody use it any more: the connection goes on to other transactions."""
        self._over = True

    def _check_transaction(self) -> None:
        if self._over:
            raise unusable(self.database, "the transaction is over")

    def _noted(self, error: psycopg.Error) -> Exception:
        found = translated(error, self._connection, self.database)
        if isinstance(found, (TransactionConflict, ConnectionLost)):
            self._trouble = self._trouble or found
        return found


@lru_cache(maxsize=1024)
def in_format_style(statement: str) -> str:
    """Returns a statement with psycopg's parameters, `%s`, in place of `?`."""
    return statement.replace("%", "%%").replace("?", "%s")
