"""How many runs may wait in the queue, and how many of one principal may be at work.

Docs: adr/0015.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from graphwire import errors

from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.wording import counted

#: How long a count is good for while there is room, and while there is none, in seconds.
_COUNT_SECONDS, _RECOUNT_SECONDS = 1.0, 0.1
#: After how many seconds who was refused may try again.
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits on runs; 0: none.

    Attributes:
        queued: How many may be PENDING, on all servers.
        queued_of_one: How many of one principal.
        running_of_one: How many of one principal may be RUNNING, on all servers; further ones
            are PENDING.
    """

    queued: int = 0
    queued_of_one: int = 0
    running_of_one: int = 0


@dataclass(slots=True)
class _Count:
    """How many there are: those that were counted, and those accepted here since."""

    number: int
    at: float


class QueueGate:
    """Decides whether a run may begin at once, and whether it may wait.

    Counting many takes a while, so a count serves for a second, raised by each run that is let
    in. It may be too high, as runs leave the queue, but then it is made anew before anybody is
    refused; and too low by what other servers have let in.
    """

    def __init__(self, limits: QueueLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes the limits."""
        self._limits = limits
        self._clock = clock
        self._counts: dict[str | None, _Count] = {}

    def may_begin(self, tx: Transaction, principal: str) -> bool:
        """Returns whether one more run of a principal may be RUNNING."""
        most = self._limits.running_of_one
        return not most or tx.may_run(principal, most=most)

    def let_in(self, db: Reader, principal: str) -> None:
        """Lets a run into the queue.

        Raises:
            LimitReachedError: It is full.
        """
        limits = self._limits
        counts = []
        for whose, most, name in (
            (None, limits.queued, "max_queued_runs"),
            (principal, limits.queued_of_one, "max_queued_runs_per_principal"),
        ):
            if most:
                counts.append(self._room(db, whose, most, name))
        for count in counts:
            count.number += 1

    def check_fits(self, waiting: int) -> None:
        """Refuses runs of one principal that are to be let in together, and never can be.

        Args:
            waiting: How many of them have to wait in any case.

        Raises:
            LimitReachedError: The queue never takes so many. To try again is of no use.
        """
        limits = self._limits
        for most, name in (
            (limits.queued, "max_queued_runs"),
            (limits.queued_of_one, "max_queued_runs_per_principal"),
        ):
            if most and waiting > most:
                raise errors.LimitReachedError(
                    f"{waiting} of these runs would have to wait for their turn, and the server "
                    f"lets at most {most} wait ({name}): start fewer at once",
                    metadata={"limit": name, "value": str(waiting), "maximum": str(most)},
                )

    def _room(self, db: Reader, whose: str | None, most: int, name: str) -> _Count:
        """Returns the count of what is in the queue, which is less than `most`."""
        now = self._clock()
        count = self._counts.get(whose)
        if count is None or now - count.at > (
            _COUNT_SECONDS if count.number < most else _RECOUNT_SECONDS
        ):
            self._forget(now)
            count = self._counts[whose] = _Count(db.queued_runs(whose, most=most), now)
        if count.number < most:
            return count
        of = "" if whose is None else " of yours"
        waiting = counted(
            count.number, f"run{of} waits for its turn", f"runs{of} wait for their turn"
        )
        raise errors.LimitReachedError(
            f"the queue is full: {waiting}, and the server takes {most} ({name}); try again when "
            "it is shorter",
            metadata={"limit": name, "value": str(count.number + 1), "maximum": str(most)},
            retry_after=_RETRY_SECONDS,
        )

    def _forget(self, now: float) -> None:
        """Forgets counts that serve for nothing any more."""
        old = [whose for whose, count in self._counts.items() if now - count.at > _COUNT_SECONDS]
        for whose in old:
            del self._counts[whose]
