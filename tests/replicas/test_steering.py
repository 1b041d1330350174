"""What is asked of a run on one server, while another one executes it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.e2e.drive import create, join, payload, refused
from tests.e2e.gates import Gate
from tests.e2e.stopping import add, at, ended, in_force, pause_run, remove
from tests.postgres import PostgresServer
from tests.replicas.replica import LONG, Ledger, Replica, march, replicas


@pytest.fixture(scope="module")
def pair(postgres: PostgresServer) -> Iterator[list[Replica]]:
    """Two servers on one database."""
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, a={}, b={}) as started,
    ):
        yield started


@pytest.fixture
def a(pair: list[Replica]) -> Replica:
    return pair[0]


@pytest.fixture
def b(pair: list[Replica]) -> Replica:
    return pair[1]


def marching(replica: Replica, ledger: Ledger, gate: Gate, *, steps: int = 5, halt: int = 1) -> str:
    """Starts a march on a server, and returns its run when it waits in a step."""
    given = march(ledger, steps=steps, halt=halt, path=str(gate.path))
    run_id = create(replica.runs, assistant_id="march", input=payload(given), config=LONG).run_id
    gate.wait_begun()
    return run_id


def test_a_breakpoint_that_another_server_adds_holds_the_very_next_step(
    a: Replica, b: Replica, gate: Gate, ledger: Ledger
) -> None:
    run_id = marching(a, ledger, gate)
    add(b.runs, run_id, at("step", "size(state.pids) == 2", breakpoint_id="x"))
    gate.open()
    for replica in (a, b):
        assert ended(join(replica.runs, run_id)) == ("INTERRUPTED", ["before step"])
        assert in_force(replica.runs, run_id) == [("step", "x", "RUN")]
    assert len(ledger.lines("begin")) == 2


def test_one_that_another_server_removes_holds_no_more(
    a: Replica, b: Replica, gate: Gate, ledger: Ledger
) -> None:
    run_id = marching(a, ledger, gate)
    add(a.runs, run_id, at("step", breakpoint_id="x"))
    assert remove(b.runs, run_id, "x") == []
    gate.open()
    assert ended(join(b.runs, run_id)) == ("SUCCEEDED", [])


def test_a_run_pauses_that_another_server_is_asked_to_pause(
    a: Replica, b: Replica, ledger: Ledger
) -> None:
    given = march(ledger, steps=150, pace=0.05, halt=-1)
    run_id = create(a.runs, assistant_id="march", input=payload(given), config=LONG).run_id
    assert pause_run(b.runs, run_id).pause_requested
    events = join(b.runs, run_id)
    assert ended(events) == ("INTERRUPTED", ["pause step"])
    assert len(ledger.lines("begin")) < 150


def test_when_the_call_returns_nothing_begins_past_it(
    a: Replica, b: Replica, ledger: Ledger
) -> None:
    given = march(ledger, steps=150, pace=0.02, halt=-1)
    run_id = create(a.runs, assistant_id="march", input=payload(given), config=LONG).run_id
    add(b.runs, run_id, at("step"))
    begun = len(ledger.lines("begin"))
    assert ended(join(b.runs, run_id)) == ("INTERRUPTED", ["before step"])
    assert len(ledger.lines("begin")) == begun


def test_two_servers_that_add_the_same_id_at_once_add_one(
    a: Replica, b: Replica, gate: Gate, ledger: Ledger
) -> None:
    run_id = marching(a, ledger, gate)
    add(a.runs, run_id, at("step", "false", breakpoint_id="x"))
    with refused("ALREADY_EXISTS", "BREAKPOINT_EXISTS"):
        add(b.runs, run_id, at("step", breakpoint_id="x"))
    gate.open()
    assert ended(join(b.runs, run_id)) == ("SUCCEEDED", [])


def test_a_server_that_is_frozen_confirms_nothing(
    postgres: PostgresServer, gate: Gate, ledger: Ledger
) -> None:
    """What was said is recorded, and holds where the run goes on."""
    with (
        postgres.fresh_database() as database,
        replicas(
            postgres,
            database,
            a={"GRAPHWIRE_LEASE_SECONDS": "8"},
            b={"GRAPHWIRE_LEASE_SECONDS": "8"},
        ) as (first, second),
    ):
        run_id = marching(first, ledger, gate)
        first.process.signal(signal.SIGSTOP)
        try:
            with refused("UNAVAILABLE", "UNCONFIRMED") as no:
                add(second.runs, run_id, at("step", breakpoint_id="x"))
            assert no.retry_after == 1.0
            assert in_force(second.runs, run_id) == [("step", "x", "RUN")]
            # The other server takes the run over, and begins no step: it waits in this one.
            assert ended(join(second.runs, run_id)) == ("INTERRUPTED", ["before step"])
        finally:
            first.process.signal(signal.SIGCONT)
