"""Work on a database by hand, while servers use it, or none does.

A server has its SQLite file's lock, which keeps other servers out, since they would take over
its runs. Who works here takes over nothing: it needs no lock, and writes, as the server does, in
short transactions one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from graphwire_server.storage.interface import StorageError, Transaction
from graphwire_server.storage.locations import Location
from graphwire_server.storage.schema import schema_version

T = TypeVar("T")


class Maintenance(Protocol):
    """An open database."""

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` in a transaction of its own, and commits it.

        Raises:
            StorageError: The database can't be used; nothing is kept.
        """

    def try_out(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` in a transaction, and takes back what it did.

        Raises:
            StorageError: The database can't be used.
        """


@contextmanager
def open_for_maintenance(location: Location) -> Iterator[Maintenance]:
    """Opens a database that has this program's schema.

    Raises:
        StorageError: It can't be used, there is none, or its schema is of another version.
    """
    version = schema_version(location)
    if version.found != version.newest:
        has = f"has schema version {version.found}" if version.found else "has no tables yet"
        raise StorageError(
            f"the database {location} {has}, and this Graphwire works on version "
            f"{version.newest}: see `graphwire db status`"
        )
    if isinstance(location, Path):
        from graphwire_server.storage.sqlite.maintenance import SqliteMaintenance

        with closing(SqliteMaintenance(location)) as sqlite:
            yield sqlite
    else:
        from graphwire_server.storage.postgres.maintenance import PostgresMaintenance

        with closing(PostgresMaintenance(location)) as postgres:
            yield postgres
