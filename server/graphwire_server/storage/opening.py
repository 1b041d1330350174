"""Opens the storage that a location means."""

from __future__ import annotations

from pathlib import Path

from graphwire_server.storage.interface import Storage, StorageError
from graphwire_server.storage.locations import Location, read_location


async def open_storage(location: Location | str) -> Storage:
    """Opens a database, makes it if it is a file, and brings its schema to the newest version.

    Args:
        location: A SQLite file or a Postgres database, or a text that means one.

    Raises:
        StorageError: It can't be used, or what it needs is not installed.
    """
    if isinstance(location, str):
        location = read_location(location)
    if isinstance(location, Path):
        from graphwire_server.storage.sqlite import SqliteStorage

        return await SqliteStorage.open(location)
    need_postgres()
    from graphwire_server.storage.postgres import PostgresStorage

    return await PostgresStorage.open(location)


def need_postgres() -> None:
    """Makes sure that what Postgres needs is installed.

    Raises:
        StorageError: It is not.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError as missing:
        raise StorageError(
            "Postgres needs psycopg, which is not installed or can't be loaded: install "
            "graphwire[postgres]"
        ) from missing
