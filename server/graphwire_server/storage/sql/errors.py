"""The words of a database that can't be used."""

from __future__ import annotations

from graphwire_server.storage.interface import StorageError, StorageUnavailable


def unusable(database: object, reason: object) -> StorageError:
    """Returns the error for a database that can't be used.

    Args:
        database: Its file, or its address without any password.
        reason: Why.
    """
    return StorageError(f"the database {database} can't be used: {reason}")


def unreachable(database: object, reason: object) -> StorageUnavailable:
    """Returns the error for a database that can't be reached at present; as `unusable`."""
    return StorageUnavailable(str(unusable(database, reason)))
