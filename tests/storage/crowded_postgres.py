"""Databases of Postgres with very much in them, whose plans are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres.schema import migrate
from graphwire_server.storage.postgres.session import PostgresSession
from graphwire_server.storage.sql.migrations import load_migrations

from tests.postgres import PostgresServer


@contextmanager
def filled(
    postgres: PostgresServer, fill: Callable[[PostgresSession], None]
) -> Iterator[psycopg.Connection]:
    """Yields a connection to a fresh database that is filled, and knows what it has."""
    with postgres.fresh_database() as name, postgres.connect(name) as connection:
        address = PostgresAddress(postgres.url(name))
        migrate(connection, address, load_migrations())
        session = PostgresSession(connection, address)
        session.control("BEGIN")
        fill(session)
        session.control("COMMIT")
        connection.execute("ANALYZE")
        yield connection
