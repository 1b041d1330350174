"""What the storage's `Reader` and `Transaction` do with the log of changes."""

from __future__ import annotations

from typing import Protocol

from graphwire_server.storage.records import ChangePage, ChangePlace, LogEnd

#: What is announced when changes were added to their log, see `Reader.changes`.
CHANGES = "changes"


class ChangeReader(Protocol):
    """Reads of the log of changes."""

    def changes(self, *, after: ChangePlace, limit: int) -> ChangePage:
        """Returns at most `limit` changes after a place in the log.

        None of them is ever added before one that was read.
        """

    def end_of_changes(self) -> LogEnd:
        """Returns where the log of changes ends now."""


class ChangeKeeper(ChangeReader, Protocol):
    """Changes the log of changes, which is added to by the changes themselves."""

    def remove_changes(self, *, before: int, limit: int) -> int:
        """Removes the oldest changes, those before a time, but for the last of all.

        Looks at no more than `limit`; returns how many have gone.
        """
