"""The ways to end a server, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.crash.faults import Side


class BlowKind(StrEnum):
    """How a server is ended."""

    #: SIGKILL just before its n-th commit.
    BEFORE_COMMIT = "before"
    #: SIGKILL just after its n-th commit.
    AFTER_COMMIT = "after"
    #: SIGKILL at a time.
    KILL = "kill"
    #: SIGTERM at a time: it may finish and hand back what it runs.
    DRAIN = "drain"
    #: SIGTERM at a time, and SIGKILL while it drains.
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Blow:
    """One end of a server.

    Attributes:
        kind: How.
        when: For commits, which one, from 1; for the others after how many seconds. Counted
            from when the scenarios begin, for further blows from the server's restart.
    """

    kind: BlowKind
    when: float

    @property
    def side(self) -> Side | None:
        """The side of the commit; None if it is not about commits."""
        match self.kind:
            case BlowKind.BEFORE_COMMIT:
                return Side.BEFORE
            case BlowKind.AFTER_COMMIT:
                return Side.AFTER
        return None

    def __str__(self) -> str:
        """Returns it as `parse` reads it: `before@17`, `kill@0.25`."""
        return f"{self.kind}@{self.when:g}"

    @classmethod
    def parse(cls, text: str) -> Blow:
        """Reads it.

        Raises:
            ValueError: It is no blow.
        """
        kind, _, when = text.partition("@")
        return cls(BlowKind(kind), float(when))


@dataclass(frozen=True, slots=True)
class Death:
    """An end of a server that was brought about.

    Attributes:
        at: When it was noticed, in µs since the epoch: after all that this server did, and
            before all that the next one does.
        blow: What ended it.
    """

    at: int
    blow: Blow
