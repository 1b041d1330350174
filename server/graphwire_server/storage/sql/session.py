"""What the shared SQL needs of a database driver: one open transaction that runs statements.

A session is one transaction of one connection. Statements are those of `statements`:
parameters are `?`, and everything else is SQL that SQLite and Postgres both read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]
Parameters = Sequence[object]


class Cursor(Protocol):
    """What a statement has led to; rows can be taken from it once."""

    @property
    def rowcount(self) -> int:
        """How many rows an INSERT, UPDATE or DELETE has changed."""

    def fetchone(self) -> Any:
        """Returns the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Returns the rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Yields the rows that are left."""


class Session(Protocol):
    """The open transaction of one connection.

    Attributes:
        locks_rows: Whether others may write meanwhile, so that rows which something is
            decided from must be locked.
    """

    @property
    def locks_rows(self) -> bool: ...

    def execute(self, statement: str, parameters: Parameters = ()) -> Cursor:
        """Runs a statement.

        Raises:
            StorageError: The transaction is over.
        """

    def execute_many(self, statement: str, rows: Sequence[Parameters]) -> None:
        """Runs a statement that returns nothing once for each row of parameters."""
