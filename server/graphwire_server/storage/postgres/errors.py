"""Postgres' errors: which mean that it should be tried again, and the interface's words."""

from __future__ import annotations

import psycopg
from psycopg import errors

from graphwire_server.storage.interface import IntegrityError, StorageError, StorageUnavailable
from graphwire_server.storage.sql.errors import unusable


class TransactionConflict(StorageUnavailable):
    """Postgres gave a transaction up because of another one; it can be tried again."""


class ConnectionLost(StorageUnavailable):
    """The connection is gone, or of no use; nothing of the open transaction is kept."""


_CONFLICTS = (
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.LockNotAvailable,
    errors.TransactionRollback,
)


class NotPrepared(ConnectionLost):
    """A statement that was prepared is not there, or one that was not is: it is a pooler's."""


# The server ends the connection, or is not the one that can be written to (any more).
_LOST = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleInTransactionSessionTimeout,
    errors.ReadOnlySqlTransaction,
)


def translated(
    error: psycopg.Error, connection: psycopg.Connection, database: object
) -> IntegrityError | StorageError:
    """Returns the interface's error for one of Postgres.

    Args:
        error: The error.
        connection: Where it came up.
        database: What errors call the database.
    """
    if isinstance(error, (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)):
        return NotPrepared(str(unusable(database, reason(error))))
    if connection.closed or isinstance(error, _LOST) or _is_of_the_connection(error):
        return ConnectionLost(str(unusable(database, reason(error))))
    if isinstance(error, _CONFLICTS):
        return TransactionConflict(str(unusable(database, reason(error))))
    if isinstance(error, psycopg.IntegrityError):
        return IntegrityError(reason(error))
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:
        # Refused by psycopg itself. JSON text writes the character as \u0000.
        return IntegrityError("Postgres keeps no text with a NUL character in it")
    return unusable(database, reason(error))


def _is_of_the_connection(error: psycopg.Error) -> bool:
    """Says whether psycopg itself has an error, and not the server: then the connection broke.

    It may take the connection for a whole one still.
    """
    broken = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return broken and error.sqlstate is None


def reason(error: psycopg.Error) -> str:
    """Returns what an error says, in one line."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(text.split())
