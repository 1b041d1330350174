"""A database that is there and takes nothing for a while: runs wait for it, and lose nothing."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, threads_pb2

from tests.e2e.drive import DEADLINE, create, get_run, payload, refusal_of, shapes, value
from tests.e2e.gates import until
from tests.postgres import PostgresServer
from tests.replicas.replica import (
    LONG,
    MODES,
    Ledger,
    Reader,
    Replica,
    march,
    marched,
    replicas,
    wait_run,
)

STEPS = 30
LEASE = {"GRAPHWIRE_LEASE_SECONDS": "120"}


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Replica]:
    """A server on a file."""
    replica = Replica("sqlite", tmp_path / "graphwire.db", LEASE).start()
    yield replica
    assert replica.stop() == 0, replica.process.log


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The name of a fresh database."""
    with postgres.fresh_database() as name:
        yield name


@pytest.fixture
def on_postgres(postgres: PostgresServer, database: str) -> Iterator[Replica]:
    """A server on it."""
    with replicas(postgres, database, refused=LEASE) as (replica,):
        yield replica


@contextmanager
def without_room(process: int) -> Iterator[None]:
    """Lets a process write nothing into files that are long: a ledger is short, a database not."""
    limit = 64 * 1024, resource.RLIM_INFINITY
    before = resource.prlimit(process, resource.RLIMIT_FSIZE, limit)
    yield
    resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def begin(replica: Replica, ledger: Ledger) -> str:
    """Starts a march, and returns it once it is under way."""
    run = create(
        replica.runs,
        assistant_id="march",
        input=payload(march(ledger, steps=STEPS, pace=0.02)),
        config=LONG,
        stream_modes=MODES,
    )
    until(lambda: len(ledger.lines("end")) > 3, "it is under way")
    return run.run_id


def check(replica: Replica, run_id: str, ledger: Ledger) -> None:
    """Checks that a march came to its end in one attempt, each step done and told once."""
    result = wait_run(replica, run_id)
    assert value(result.values)["log"] == marched(STEPS)
    events = Reader.join(replica, run_id).whole()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    assert len([e for e in events if e.WhichOneof("event") == "updates"]) == STEPS
    ledger.check(steps=STEPS, attempts=1)
    assert get_run(replica.runs, run_id).attempt == 1


def refused(call: Any, request: Any) -> tuple[str, str, float | None]:
    """How a call is refused: its code, the reason, and after how many seconds to try again."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=DEADLINE)
    refusal = refusal_of(caught.value)
    return refusal.code, refusal.reason, refusal.retry_after


def test_a_run_waits_while_there_is_no_room_on_the_disk(on_sqlite: Replica, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    run_id = begin(on_sqlite, ledger)
    with without_room(on_sqlite.pid):
        until(lambda: "database_refuses" in on_sqlite.process.log, "a write is refused")
        new = threads_pb2.CreateThreadRequest()
        unavailable = ("UNAVAILABLE", "DATABASE_UNAVAILABLE", 1.0)
        assert refused(on_sqlite.threads.CreateThread, new) == unavailable
        assert get_run(on_sqlite.runs, run_id).status == run_pb2.RUN_STATUS_RUNNING
        until(lambda: "database_does_not_answer" in on_sqlite.process.log, "health says so")
    check(on_sqlite, run_id, ledger)
    until(lambda: "database_answers_again" in on_sqlite.process.log, "health is right again")


def test_a_run_waits_while_its_statements_are_ended(
    postgres: PostgresServer, database: str, on_postgres: Replica, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    run_id = begin(on_postgres, ledger)
    with postgres.connect(database) as other:
        other.execute("BEGIN; LOCK TABLE gw_events IN ACCESS EXCLUSIVE MODE")
        with postgres.connect(database) as admin:

            def end_statement() -> bool:
                admin.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'refused' AND wait_event_type = 'Lock'"
                )
                return "database_refuses" in on_postgres.process.log

            until(end_statement, "a write is refused")
        assert get_run(on_postgres.runs, run_id).status == run_pb2.RUN_STATUS_RUNNING
        other.execute("ROLLBACK")
    check(on_postgres, run_id, ledger)
