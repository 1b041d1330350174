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

from tests.e2e.drive import DEADLINE, get_run, refusal_of
from tests.e2e.gates import until
from tests.faults.marches import check, start
from tests.postgres import PostgresServer
from tests.replicas.replica import (
    Ledger,
    Replica,
    replicas,
)

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
    reader = start(replica, ledger)
    until(lambda: len(ledger.lines("end")) > 3, "it is under way")
    return reader.run_id


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
    assert check(on_sqlite, run_id, ledger) == 1
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
    assert check(on_postgres, run_id, ledger) == 1
