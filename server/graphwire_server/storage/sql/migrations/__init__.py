"""The steps of the schema, `<number>_<name>.sql`, for every database.

They are written in SQLite's types, from which a database that has others gets its own by
three words: TEXT, BLOB, and INTEGER PRIMARY KEY, which is a number that the database gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from graphwire_server.storage.interface import StorageError

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema.

    Attributes:
        number: The version that it leads to; from 1, without gaps.
        script: SQL statements, none of which begins or ends a transaction.
    """

    number: int
    script: str


def load_migrations() -> list[Migration]:
    """Returns every migration, in order."""
    return [
        Migration(int(file.name.partition("_")[0]), file.read_text(encoding="utf-8"))
        for file in sorted(_FOLDER.glob("*.sql"))
    ]


def check_version(version: int, newest: int, database: object) -> None:
    """Refuses a database that a newer program has brought to its own version.

    Raises:
        StorageError: It is of a version above `newest`.
    """
    if version > newest:
        raise StorageError(
            f"the database {database} has schema version {version}, and this Graphwire knows "
            f"versions up to {newest}: use the newer Graphwire, or another database"
        )
