"""Which job comes next: every commit boundary of every scenario, and blows at random."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from tests.crash.blows import Blow, BlowKind
from tests.crash.job import Job
from tests.crash.worker import Extent

_SIDES = (BlowKind.BEFORE_COMMIT, BlowKind.AFTER_COMMIT)

#: Of so many jobs, so many strike one commit boundary of one scenario; the others are for
#: all scenarios at once.
_JOBS, _BOUNDARIES = 8, 7

#: What hits all scenarios at once, and how often it is chosen. Two blows: the second hits
#: the server that recovers from the first.
_AT_ONCE: Mapping[tuple[BlowKind, ...], int] = {
    (BlowKind.BEFORE_COMMIT,): 2,
    (BlowKind.AFTER_COMMIT,): 2,
    (BlowKind.KILL,): 4,
    (BlowKind.DRAIN,): 4,
    (BlowKind.CUT,): 2,
    (BlowKind.KILL, BlowKind.BEFORE_COMMIT): 2,
    (BlowKind.BEFORE_COMMIT, BlowKind.AFTER_COMMIT): 2,
    (BlowKind.DRAIN, BlowKind.KILL): 2,
}

#: Within how many commits, and how many seconds, of its restart a server is hit again.
_RECOVERY_COMMITS, _RECOVERY_SECONDS = 40, 0.5


class Schedule:
    """Chooses jobs, the same ones for the same seed."""

    def __init__(
        self,
        seed: int,
        at_once: Extent,
        each: Mapping[str, Extent],
        *,
        kinds: Sequence[BlowKind] = tuple(BlowKind),
    ) -> None:
        """Prepares a campaign.

        Args:
            seed: Of what is random.
            at_once: The extent of a play of all scenarios at once.
            each: The extent of a play of each alone; those that are not in it have no turn.
            kinds: The kinds of blows that may come.
        """
        self._random = random.Random(seed)
        self._extent = at_once
        self._scenarios = tuple(each)
        self._last = {
            (name, side): extent.commits
            for name, extent in each.items()
            for side in _SIDES
            if side in kinds
        }
        self._boundaries = [
            Job((name,), (Blow(side, commit),))
            for (name, side), last in self._last.items()
            for commit in range(1, last + 1)
        ]
        self._random.shuffle(self._boundaries)
        self._at_once = {
            blows: weight for blows, weight in _AT_ONCE.items() if set(blows) <= set(kinds)
        }
        self._struck = 0
        self._jobs = 0

    @property
    def boundaries(self) -> tuple[int, int]:
        """How many commit boundaries of single scenarios were struck, and are known."""
        return self._struck, self._struck + len(self._boundaries)

    def next(self) -> Job | None:
        """Returns the next job; None if there is nothing of the kinds that are wanted."""
        self._jobs += 1
        turn = self._jobs % _JOBS < _BOUNDARIES or not self._at_once
        if turn and self._boundaries:
            self._struck += 1
            return self._boundaries.pop()
        if not self._at_once:
            return None
        kinds = self._random.choices([*self._at_once], [*self._at_once.values()])[0]
        return Job(self._scenarios, random_blows(self._random, kinds, self._extent))

    def done(self, job: Job, deaths: int) -> None:
        """Takes note of a job: if the last known commit was reached, there may be one more."""
        if len(job.scenarios) > 1 or len(job.blows) > 1 or not deaths:
            return
        (name,), (blow,) = job.scenarios, job.blows
        if blow.when == self._last.get((name, blow.kind)):
            self._last[name, blow.kind] += 1
            self._boundaries.insert(0, Job((name,), (Blow(blow.kind, blow.when + 1),)))


def random_blows(
    chance: random.Random, kinds: Sequence[BlowKind], extent: Extent
) -> tuple[Blow, ...]:
    """Returns blows of these kinds: the first at any place, the others at a recovering server."""
    recovery = Extent(_RECOVERY_COMMITS, _RECOVERY_SECONDS)
    return tuple(
        _random_blow(chance, kind, recovery if index else extent)
        for index, kind in enumerate(kinds)
    )


def _random_blow(chance: random.Random, kind: BlowKind, extent: Extent) -> Blow:
    if kind in _SIDES:
        return Blow(kind, chance.randint(1, extent.commits))
    return Blow(kind, round(chance.uniform(0, extent.seconds), 3))
