"""A server that is lost: the others take its runs over, and it can do no harm any more."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.e2e.drive import create, payload, shapes, value
from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer
from tests.replicas.replica import (
    LEASE,
    LONG,
    MODES,
    SUCCEEDED,
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


@pytest.fixture(scope="module")
def trio(postgres: PostgresServer) -> Iterator[list[Replica]]:
    """Three servers on one database."""
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, a={}, b={}, c={}) as started,
    ):
        yield started


@pytest.fixture
def a(trio: list[Replica]) -> Replica:
    """The server that is lost."""
    return trio[0]


@pytest.fixture
def b(trio: list[Replica]) -> Replica:
    """One that is not."""
    return trio[1]


def test_the_runs_of_a_killed_server_are_taken_over(
    trio: list[Replica], a: Replica, b: Replica, gate: Gate, ledger: Ledger
) -> None:
    seen = begin(a, gate, ledger, steps=6, halt=3)
    there = Reader.join(b, seen.run_id)
    killed = a.pid
    a.kill()
    assert seen.failure().code() is grpc.StatusCode.UNAVAILABLE
    gate.wait_begun()
    gate.open()
    events = there.whole()
    a.start()
    assert events[: len(seen.events)] == seen.events
    assert attempts(events) == [2]
    # What was finished is not done again; what was not is, on another server.
    assert customs(events) == [0, 1, 2, 3, 3, 4, 5]
    begun = ledger.lines("begin")
    assert [step for step, _ in begun] == [0, 1, 2, 3, 3, 4, 5]
    assert {pid for _, pid in begun[:4]} == {killed}
    (heir,) = {pid for _, pid in begun[4:]}
    assert heir in (trio[1].pid, trio[2].pid)
    assert value(wait_run(b, seen.run_id).values)["log"] == marched(6)


def test_whoever_is_killed_and_however_often_every_run_comes_to_its_end(
    trio: list[Replica], tmp_path: Path
) -> None:
    ledgers = [Ledger(tmp_path / f"ledger-{number}") for number in range(9)]
    started = [
        create(
            replica.runs,
            assistant_id="march",
            input=payload(march(ledger, steps=30, pace=0.05)),
            config=LONG,
            stream_modes=MODES,
        ).run_id
        for ledger, replica in zip(ledgers, trio * 3, strict=True)
    ]
    for number, victim in enumerate((trio[0], trio[1], trio[2])):
        until(
            lambda number=number: all(  # type: ignore[misc]
                len(ledger.lines("end")) > 5 * (number + 1) for ledger in ledgers
            ),
            "all of them have got on",
            seconds=60,
        )
        victim.kill()
        victim.start()
    for run_id, ledger in zip(started, ledgers, strict=True):
        ended = wait_run(trio[1], run_id)
        assert ended.run.status == SUCCEEDED
        assert value(ended.values)["log"] == marched(30)
        events = Reader.join(trio[0], run_id).whole()
        assert [e.sequence for e in events] == list(range(1, len(events) + 1))
        ledger.check(steps=30, attempts=1 + len(attempts(events)))
        updates = [e for e in events if e.WhichOneof("event") == "updates"]
        assert len(updates) == 30


def test_a_server_that_was_frozen_past_its_lease_writes_nothing_says_so_and_joins_anew(
    a: Replica, b: Replica, gate: Gate, ledger: Ledger
) -> None:
    seen = begin(a, gate, ledger, steps=6, halt=3)
    there = Reader.join(b, seen.run_id)
    a.process.signal(signal.SIGSTOP)
    try:
        gate.wait_begun()
        gate.open()
        events = there.whole()
    finally:
        a.process.signal(signal.SIGCONT)
    # Its own reader gets what the others have written, to the end.
    assert seen.whole() == events
    assert attempts(events) == [2]
    assert customs(events) == [0, 1, 2, 3, 3, 4, 5]
    # It may have heard first that the run is not its own any more.
    until(lambda: "lease_lost" in a.process.log, "it says so")
    until(lambda: "joined_anew" in a.process.log, "it joins anew")
    # The step that it was in began before it was frozen. No further one did.
    assert [step for step, pid in ledger.lines("begin") if pid == a.pid] == [0, 1, 2, 3]
    again = Reader.stream(a, assistant_id="march", input=payload(march(ledger, steps=1)))
    assert shapes(again.whole())[-1] == ("end", "SUCCEEDED")
    assert ledger.lines("begin")[-1] == (0, a.pid)
    assert Reader.join(a, seen.run_id).whole() == events


def test_a_node_that_blocks_its_server_for_longer_than_the_lease_loses_nothing(
    a: Replica, b: Replica
) -> None:
    given = payload({"log": ["in"], "seconds": 2.5 * LEASE})
    reader = Reader.stream(a, assistant_id="blocks", input=given)
    assert shapes(reader.whole())[-1] == ("end", "SUCCEEDED")
    assert attempts(reader.events) == []
    values = value(wait_run(b, reader.run_id).values)
    assert (values["log"], values["pids"]) == (["in", "blocked", "last"], [a.pid, a.pid])
