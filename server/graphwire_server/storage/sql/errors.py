"""The words of a database that can't be used."""

from __future__ import annotations

from graphwire_server.storage.interface import (
    StorageError,
    StorageRefused,
    StorageTimeout,
    StorageUnavailable,
)


def unusable(database: object, reason: object) -> StorageError:
    """Returns the error for a database that can't be used.

    Args:
        database: Its file, or its address without any password.
        reason: Why.
    """
    error = StorageError(f"the database {database} can't be used: {reason}")
    error.names_database = True
    return error


def unreachable(database: object, reason: object) -> StorageUnavailable:
    """Returns the error for a database that can't be reached at present; as `unusable`."""
    return StorageUnavailable(str(unusable(database, reason)))


def refused(database: object, reason: object) -> StorageRefused:
    """Returns the error for a database that does not take something now; as `unusable`."""
    return StorageRefused(str(unusable(database, reason)))


def timed_out(database: object, reason: object) -> StorageTimeout:
    """Returns the error for a database that gave a statement up; as `unusable`."""
    return StorageTimeout(str(unusable(database, reason)))


def alike(error: StorageError) -> StorageError:
    """Returns another error that says the same, of which nobody has a traceback yet."""
    kinds = (StorageTimeout, StorageRefused, StorageUnavailable)
    kind = next((kind for kind in kinds if isinstance(error, kind)), StorageError)
    copy = kind(str(error))
    copy.names_database = error.names_database
    return copy
