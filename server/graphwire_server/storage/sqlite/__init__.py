"""The storage in one SQLite file."""

from graphwire_server.storage.sqlite.storage import SqliteStorage

__all__ = ["SqliteStorage"]
