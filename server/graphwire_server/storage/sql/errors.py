"""The words of a database that can't be used."""

from __future__ import annotations

from graphwire_server.storage.interface import StorageError


def unusable(database: object, reason: object) -> StorageError:
    """Returns the error for a database that can't be used.

    Args:
        database: Its file, or its address without any password.
        reason: Why.
    """
    return StorageError(f"the database {database} can't be used: {reason}")
