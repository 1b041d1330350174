"""Two servers and one queue: a limit by principal holds for both together, and nobody is stuck."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.drive import create, payload
from tests.postgres import PostgresServer
from tests.replicas.replica import SUCCEEDED, replicas, wait_run

RUNS, MOST = 30, 3


def test_what_is_started_on_both_at_once_keeps_to_the_limit_of_one(
    postgres: PostgresServer,
) -> None:
    limit = {"GRAPHWIRE_MAX_CONCURRENT_RUNS_PER_PRINCIPAL": str(MOST)}
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, a=limit, b=limit) as pair,
        postgres.connect(database) as connection,
        ThreadPoolExecutor(8) as pool,
    ):
        seen: Counter[int] = Counter()
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                row = connection.execute(
                    "SELECT COUNT(*) FROM gw_runs WHERE status = 'RUNNING'"
                ).fetchone()
                assert row is not None
                seen[row[0]] += 1

        def start(number: int) -> str:
            asked = pair[number % 2]
            return create(asked.runs, assistant_id="march", input=payload({"steps": 2})).run_id

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            results = [wait_run(pair[0], run_id) for run_id in pool.map(start, range(RUNS))]
        finally:
            over.set()
            watching.join()
    assert {result.run.status for result in results} == {SUCCEEDED}
    # Which server begins them, and how many one gets to see at once, is a matter of time.
    assert 0 < max(seen) <= MOST
