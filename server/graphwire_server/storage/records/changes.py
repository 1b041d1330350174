"""The log of what has happened to pauses and runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from graphwire_server.storage.access import Belonging


class ChangeKind(StrEnum):
    """What has happened; the contract's `ThreadChangeKind` without its prefix."""

    PAUSED = "PAUSED"
    PAUSE_RESOLVED = "PAUSE_RESOLVED"
    RUN_STARTED = "RUN_STARTED"
    RUN_ENDED = "RUN_ENDED"
    PAUSES_DELETED = "PAUSES_DELETED"

    @property
    def of_pause(self) -> bool:
        """Whether it has happened to one pause."""
        return self in (ChangeKind.PAUSED, ChangeKind.PAUSE_RESOLVED)

    @property
    def of_run(self) -> bool:
        """Whether it has happened to a run."""
        return self in (ChangeKind.RUN_STARTED, ChangeKind.RUN_ENDED)


@dataclass(frozen=True, slots=True, order=True)
class ChangePlace:
    """A place in the log of changes, in the order in which it is read.

    Attributes:
        xid: The number of the transaction, by which readers know what may still come before;
            0 where one transaction at a time writes.
        number: The number of the change.
    """

    xid: int
    number: int


#: Before the first change.
LOG_START = ChangePlace(0, 0)


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """Something that has happened to a pause or to a run, or to a thread with its pauses.

    Attributes:
        place: Where it is in the log.
        kind: What has happened.
        time: When.
        subject: The id of the pause, run or thread.
        belonged: Of a thread that is gone: whose it was.
    """

    place: ChangePlace
    kind: ChangeKind
    time: int
    subject: str
    belonged: Belonging | None = None


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A part of the log of changes.

    Attributes:
        changes: The changes, in their order.
        removed: The place of the last one that was removed, as it was kept long enough.
        more_soon: Whether there are changes that can't be read yet, as a transaction is under
            way that may add some before them.
    """

    changes: tuple[ChangeRecord, ...]
    removed: ChangePlace
    more_soon: bool


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where the log of changes ends for who reads it now.

    Attributes:
        place: The last change that can be read.
        ahead: The numbers of those after it that were committed already.
    """

    place: ChangePlace
    ahead: frozenset[int]
