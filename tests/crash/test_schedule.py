"""The schedule: every boundary once, the rest at random, and all of it again for a seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.crash.blows import Blow, BlowKind
from tests.crash.job import Job
from tests.crash.scenarios import SCENARIOS
from tests.crash.schedule import Schedule
from tests.crash.worker import Extent

EACH = {"queue": Extent(3, 0.5), "goto": Extent(2, 0.25)}
BOUNDARIES = {
    f"{name}:{side}@{commit}"
    for name, extent in EACH.items()
    for side in ("before", "after")
    for commit in range(1, extent.commits + 1)
}


def schedule(seed: int, *kinds: BlowKind) -> Schedule:
    return Schedule(seed, Extent(5, 0.75), EACH, kinds=kinds or tuple(BlowKind))


def jobs(schedule: Schedule, most: int = 100) -> Iterator[Job]:
    for _ in range(most):
        job = schedule.next()
        if job is None:
            return
        yield job


def test_the_same_seed_gives_the_same_jobs() -> None:
    first, again, other = (list(jobs(schedule(seed))) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_boundary_of_every_scenario_comes_once_among_blows_at_random() -> None:
    chosen = list(jobs(schedule(1)))
    alone = [str(job) for job in chosen if len(job.scenarios) == 1]
    assert sorted(alone) == sorted(BOUNDARIES)
    at_once = [job for job in chosen if len(job.scenarios) > 1]
    assert {job.scenarios for job in at_once} == {("queue", "goto")}
    assert {blow.kind for job in at_once for blow in job.blows} == set(BlowKind)
    for blow in (job.blows[0] for job in at_once):
        assert blow.when <= (0.75 if blow.side is None else 5)


def test_only_the_kinds_that_are_wanted_come() -> None:
    chosen = list(jobs(schedule(1, BlowKind.AFTER_COMMIT, BlowKind.DRAIN)))
    kinds = {blow.kind for job in chosen for blow in job.blows}
    assert kinds == {BlowKind.AFTER_COMMIT, BlowKind.DRAIN}
    assert {str(j) for j in chosen if len(j.scenarios) == 1} == {
        b for b in BOUNDARIES if "aft" in b
    }


def test_where_the_last_known_commit_was_reached_the_next_one_is_tried() -> None:
    plan = schedule(1, BlowKind.BEFORE_COMMIT)
    reached = {"queue": 4, "goto": 2}
    for job in itertools.islice(jobs(plan), 50):
        if len(job.scenarios) == 1:
            plan.done(job, int(job.blows[0].when <= reached[job.scenarios[0]]))
    assert plan.boundaries == (8, 8)
    assert plan.next() is not None


def test_a_job_can_be_written_down_and_read_again() -> None:
    job = Job(("queue", "goto"), (Blow(BlowKind.AFTER_COMMIT, 17), Blow(BlowKind.CUT, 0.125)))
    assert str(job) == "queue,goto:after@17,cut@0.125"
    assert Job.parse(str(job)) == job
    assert Job.parse("all:kill@1") == Job(tuple(SCENARIOS), (Blow(BlowKind.KILL, 1.0),))
    assert str(Job(tuple(SCENARIOS))) == "all:"
    for text in ("nothing:kill@1", "queue:shoot@1", "queue:kill@soon"):
        with pytest.raises(ValueError, match=r"nothing|shoot|soon"):
            Job.parse(text)
