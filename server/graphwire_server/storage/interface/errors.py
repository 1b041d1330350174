"""What can go wrong in the storage."""

from __future__ import annotations

#: How long, in seconds, a database of several servers may be at work on one statement of a read.
LONGEST_READ = 60


class StorageError(Exception):
    """The database can't be used: its text says why.

    Attributes:
        names_database: Whether the text also says which file or server, which is for the log and
            no business of callers.
    """

    names_database = False


class StorageUnavailable(StorageError):
    """The database can't be reached at present; what was asked of it may well be right."""

    names_database = True


class StorageRefused(StorageUnavailable):
    """The database is there, and takes this not now: it is full, locked, or read-only.

    Nothing of it is kept, so that it can be asked again later.
    """


class StorageTimeout(StorageRefused):
    """As `StorageRefused`: it gave up a statement that took too long, or was cancelled."""


class StorageSlow(StorageError):
    """What was asked for took longer than it may, and was given up."""


class IntegrityError(Exception):
    """A write breaks a rule of the database, so that none of its work is kept.

    An id that must be new is not; a row names a thread or run that is not there; or a
    thread would have two RUNNING runs.
    """


class LeaseLostError(Exception):
    """A run, or the server itself, is not held any more, so that none of the work is kept."""
