"""The database goes away in the middle of runs: they go on, and nothing is lost or doubled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.drive import create, payload, shapes, value
from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer, running_postgres
from tests.replicas.replica import (
    LEASE,
    LONG,
    MODES,
    Ledger,
    Reader,
    Replica,
    attempts,
    begin,
    customs,
    march,
    marched,
    replicas,
    wait_run,
)

STEPS = 40


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A Postgres that these tests may stop."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def pair(own_postgres: PostgresServer) -> Iterator[list[Replica]]:
    """Two servers on one database."""
    with (
        own_postgres.fresh_database() as database,
        replicas(own_postgres, database, a={}, b={}) as started,
    ):
        yield started


class Marches:
    """Runs on both servers, each with a reader on the other one."""

    def __init__(self, pair: list[Replica], folder: Path) -> None:
        self._pair = pair
        self.ledgers = [Ledger(folder / f"ledger-{number}") for number in range(4)]
        self.readers = []
        for number, ledger in enumerate(self.ledgers):
            here, there = pair[number % 2], pair[1 - number % 2]
            run = create(
                here.runs,
                assistant_id="march",
                input=payload(march(ledger, steps=STEPS, pace=0.03)),
                config=LONG,
                stream_modes=MODES,
            )
            self.readers.append(Reader.join(there, run.run_id))

    def wait_for_step(self, step: int) -> None:
        """Waits until all of them have ended a step."""
        until(
            lambda: all(len(ledger.lines("end")) > step for ledger in self.ledgers),
            f"step {step}",
            seconds=60,
        )

    def check(self, *, most_attempts: int) -> None:
        """Checks that each came to its end, whole, in front of its reader."""
        for ledger, reader in zip(self.ledgers, self.readers, strict=True):
            events = reader.whole()
            assert [e.sequence for e in events] == list(range(1, len(events) + 1))
            assert shapes(events)[-1] == ("end", "SUCCEEDED"), shapes(events)[-1]
            for replica in self._pair:
                assert Reader.join(replica, reader.run_id).whole() == events
            values = value(wait_run(self._pair[0], reader.run_id).values)
            assert values["log"] == marched(STEPS)
            began = 1 + len(attempts(events))
            assert began <= most_attempts
            ledger.check(steps=STEPS, attempts=began)
            assert len([e for e in events if e.WhichOneof("event") == "updates"]) == STEPS


def test_when_all_connections_of_a_server_are_lost_its_runs_go_on(
    own_postgres: PostgresServer, pair: list[Replica], tmp_path: Path
) -> None:
    marches = Marches(pair, tmp_path)
    for step in (5, 15, 25):
        marches.wait_for_step(step)
        # How many it has again of those it lost before is a matter of time.
        assert terminate(own_postgres, "a") > 0
    marches.check(most_attempts=1)


def test_when_a_server_hears_nothing_from_the_others_its_streams_go_on(
    own_postgres: PostgresServer, pair: list[Replica], tmp_path: Path
) -> None:
    marches = Marches(pair, tmp_path)
    for step in (5, 15):
        marches.wait_for_step(step)
        for name in "ab":
            terminate(own_postgres, name, "AND query = 'LISTEN graphwire'")
    marches.check(most_attempts=1)
    until(lambda: listening(own_postgres) == 2, "both listen again")


def test_when_postgres_is_stopped_for_a_while_servers_come_back_by_themselves(
    own_postgres: PostgresServer, pair: list[Replica], tmp_path: Path
) -> None:
    marches = Marches(pair, tmp_path)
    marches.wait_for_step(5)
    own_postgres.stop()
    own_postgres.start()
    marches.wait_for_step(15)
    own_postgres.crash()
    own_postgres.start()
    # A lease may have run out meanwhile.
    marches.check(most_attempts=3)


def test_when_postgres_is_away_for_longer_than_the_leases_runs_are_recovered(
    own_postgres: PostgresServer, pair: list[Replica], gate: Gate, ledger: Ledger
) -> None:
    a, b = pair
    seen = begin(a, gate, ledger, steps=6, halt=3)
    there = Reader.join(b, seen.run_id)
    lost = a.process.log.count("lease_lost")
    own_postgres.stop()
    time.sleep(LEASE)  # That of all servers runs out meanwhile.
    own_postgres.start()
    until(lambda: a.process.log.count("lease_lost") > lost, "it has lost its lease")
    gate.open()
    events = there.whole()
    assert seen.whole() == events
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    assert customs(events) == [0, 1, 2, 3, 3, 4, 5]
    assert value(wait_run(b, seen.run_id).values)["log"] == marched(6)


def terminate(postgres: PostgresServer, name: str, condition: str = "") -> int:
    """Ends connections of a server; returns how many."""
    with postgres.connect() as admin:
        ended = admin.execute(
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity"
            f" WHERE application_name = %s {condition}",
            (name,),
        ).fetchone()
    assert ended is not None
    return int(ended[0])


def listening(postgres: PostgresServer) -> int:
    """Returns how many connections listen."""
    with postgres.connect() as admin:
        row = admin.execute(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE query = 'LISTEN graphwire'"
        ).fetchone()
    assert row is not None
    return int(row[0])
