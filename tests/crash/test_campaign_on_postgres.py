"""The crash campaign on Postgres in short: many scenarios at once, under each kind of blow.

Whoever recovers from a blow waits for the lease of the server that was ended, so these rounds
are few, and have every other scenario: `python -m tests.crash --database postgres` has them all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.blows import BlowKind
from tests.crash.job import Job
from tests.crash.report import describe
from tests.crash.scenarios import SCENARIOS
from tests.crash.test_campaign import strike
from tests.crash.worker import Result, Worker
from tests.postgres import PostgresServer


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("crash-postgres")
    worker = Worker(folder, lambda: postgres.url(postgres.make_database()))
    yield worker
    worker.stop()


@pytest.fixture(scope="module")
def undisturbed(worker: Worker) -> Result:
    """The scenarios, played once without blows."""
    return worker.work(Job(tuple(SCENARIOS)[::2]))


def test_undisturbed_scenarios_come_to_their_end(undisturbed: Result) -> None:
    shown = [line for play in undisturbed.violated[:3] for line in describe(play)]
    assert not undisturbed.violated, "\n".join(shown)


@pytest.mark.parametrize(
    ("number", "kind"), [pytest.param(n, kind, id=kind) for n, kind in enumerate(BlowKind)]
)
def test_whatever_ends_the_server_nothing_is_lost_run_twice_or_jumped(
    worker: Worker, undisturbed: Result, number: int, kind: BlowKind
) -> None:
    result = strike(worker, undisturbed, (kind,), number)
    shown = [line for play in result.violated[:3] for line in describe(play)]
    assert not result.violated, "\n".join(shown)
    assert result.deaths
