"""The crash campaign in short: every scenario undisturbed, then many at once under blows.

`make crash` is the long form.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.crash.blows import BlowKind
from tests.crash.job import Job
from tests.crash.report import describe
from tests.crash.scenarios import SCENARIOS
from tests.crash.schedule import random_blows
from tests.crash.worker import Extent, Result, Worker

#: What is random here is the same each time, unless CRASH_SEED says otherwise.
SEED = int(os.environ.get("CRASH_SEED", "1"))

BEFORE, AFTER = BlowKind.BEFORE_COMMIT, BlowKind.AFTER_COMMIT
KILL, DRAIN, CUT = BlowKind.KILL, BlowKind.DRAIN, BlowKind.CUT

#: What the server of each round gets. A second blow hits it while it recovers.
ROUNDS = (
    *((BEFORE,), (AFTER,), (KILL,), (DRAIN,), (CUT,)) * 2,
    (BEFORE, AFTER),
    (KILL, BEFORE),
)
#: Of so many scenarios one takes part in a round, another one in the next: there are so many that
#: all of them would take too long.
SHARE = 5
#: How far into an undisturbed play the first blow comes at the latest: how many commits and
#: how much time it takes is not the same each time.
LATEST = 0.7
#: How often a round is played at most until its blow comes before the end of the play.
TRIES = 5


def strike(worker: Worker, undisturbed: Result, kinds: tuple[BlowKind, ...], number: int) -> Result:
    """Plays the scenarios of a round at once under blows of these kinds.

    Which ones, and when the blows come, follows from the number of the round.

    On a machine that has become faster since the undisturbed play, all may be over before the
    blow. That was another undisturbed play, then: the blow is chosen anew by how long it took.
    """
    chance = random.Random(f"{SEED} {number} {kinds}")
    references = undisturbed.references
    names = tuple(references)[number % SHARE :: SHARE]
    extent = Extent(undisturbed.extent.commits // SHARE, undisturbed.extent.seconds / SHARE)
    for _ in range(TRIES):
        latest = Extent(int(extent.commits * LATEST), extent.seconds * LATEST)
        job = Job(names, random_blows(chance, kinds, latest))
        result = worker.work(job, references)
        if result.deaths or result.violated:
            break
        extent = result.extent
    return result


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("crash"))
    yield worker
    worker.stop()


@pytest.fixture(scope="module")
def undisturbed(worker: Worker) -> Result:
    """All scenarios, played once without blows."""
    return worker.work(Job(tuple(SCENARIOS)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_undisturbed_a_scenario_comes_to_its_end(undisturbed: Result, name: str) -> None:
    (play,) = (play for play in undisturbed.plays if play.scenario.name == name)
    assert not play.violations, "\n".join(describe(play))


@pytest.mark.parametrize(
    ("number", "kinds"),
    [pytest.param(n, kinds, id=f"{'-'.join(kinds)}-{n}") for n, kinds in enumerate(ROUNDS)],
)
def test_whatever_ends_the_server_nothing_is_lost_run_twice_or_jumped(
    worker: Worker, undisturbed: Result, number: int, kinds: tuple[BlowKind, ...]
) -> None:
    result = strike(worker, undisturbed, kinds, number)
    shown = [line for play in result.violated[:3] for line in describe(play)]
    assert not result.violated, "\n".join(shown)
    assert result.deaths
