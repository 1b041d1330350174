"""Opens the storage that a location means."""

from __future__ import annotations

from pathlib import Path

from graphwire_server.storage.interface import Storage, StorageError
from graphwire_server.storage.locations import Location, read_location
from graphwire_server.telemetry.instruments import Metrics


async def open_storage(location: Location | str, metrics: Metrics | None = None) -> Storage:
    """Opens a database, makes it if it is a file, and brings its schema to the newest version.

    Args:
        location: A SQLite file or a Postgres database, or a text that means one.
        metrics: Where transactions are counted.

    Raises:
        StorageError: It can't be used, or what it needs is not installed.
    """
    if isinstance(location, str):
        location = read_location(location)
    if isinstance(location, Path):
        from graphwire_server.storage.sqlite import SqliteStorage

        return await SqliteStorage.open(location, metrics)
    need_postgres()
    from graphwire_server.storage.postgres import PostgresStorage

    return await PostgresStorage.open(location, metrics)


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
