"""The storage in a Postgres database."""

from graphwire_server.storage.postgres.storage import PostgresStorage

__all__ = ["PostgresStorage"]
