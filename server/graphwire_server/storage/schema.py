"""Which version the schema of a database has, and how it gets the newest, by hand.

A server does it by itself when it starts.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from graphwire_server.storage.locations import Location
from graphwire_server.storage.opening import need_postgres
from graphwire_server.storage.sql.migrations import load_migrations


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """The version of a database's schema.

    Attributes:
        found: Its version; 0 if there is none yet.
        newest: The version that this program brings it to.
    """

    found: int
    newest: int


def schema_version(location: Location) -> SchemaVersion:
    """Returns the version of a database's schema. It changes nothing, and makes no file.

    Raises:
        StorageError: It can't be read, or is another program's.
    """
    newest = load_migrations()[-1].number
    if isinstance(location, Path):
        from graphwire_server.storage.sqlite import schema as sqlite

        return SchemaVersion(sqlite.inspect(location.resolve()), newest)
    need_postgres()
    from graphwire_server.storage.postgres import schema as postgres
    from graphwire_server.storage.postgres.connection import Connection

    with closing(Connection(location)) as connection:
        connection.open()
        return SchemaVersion(postgres.inspect(connection.get(), location), newest)


def upgrade_schema(location: Location) -> SchemaVersion:
    """Brings a database's schema to the newest version; returns the one that it had.

    Servers on a Postgres database may go on meanwhile; a SQLite file must be free.

    Raises:
        StorageError: It can't be used, is another program's, or is newer than this program.
    """
    before = schema_version(location)
    migrations = load_migrations()
    if isinstance(location, Path):
        from graphwire_server.storage.sqlite import schema as sqlite

        sqlite.upgrade(location, migrations)
        return before
    from graphwire_server.storage.postgres import schema as postgres
    from graphwire_server.storage.postgres.connection import Connection

    with closing(Connection(location)) as connection:
        connection.open()
        postgres.migrate(connection.get(), location, migrations)
    return before
