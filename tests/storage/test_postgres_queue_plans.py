"""Postgres: a claim walks indexes, however long the queue is, and whatever waits beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg
import pytest
from graphwire_server.storage.postgres.session import PostgresSession
from graphwire_server.storage.sql import queue
from graphwire_server.storage.sql import statements as sql
from graphwire_server.storage.sql.transaction import SqlTransaction

from tests.postgres import PostgresServer

from .builders import A_DAY
from .crowd import add_queue
from .crowded_postgres import filled

QUEUED, WAITING = 100_000, 20_000


@pytest.fixture(scope="module")
def crowd(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    """A long queue, and as many runs that can't begin; each on a thread of its own."""

    def fill(session: PostgresSession) -> None:
        add_queue(session, queued=QUEUED, delayed=WAITING, paused=WAITING, principals=40)
        SqlTransaction(session).join_servers("server", ttl=A_DAY)

    with filled(postgres, fill) as connection:
        yield connection


STATEMENTS: dict[str, tuple[str, Sequence[object], str]] = {
    "all that are due": (
        sql.locked(sql.leases.DUE_RUNS, "r, t", skip=True),
        (1, 50),
        "gw_runs_ready",
    ),
    "whether one is due": (sql.waiting.HAS_DUE_RUN, (1, 1), "gw_runs_ready"),
    "whose time has come": (
        sql.locked(sql.waiting.TIMELY_RUNS, "r, t", skip=True),
        (1, 50),
        "gw_runs_delayed",
    ),
    "who waits": (queue.QUEUED_PRINCIPALS, (2,), "gw_runs_ready_by_principal"),
    "what is due of each": (queue.FIRST_DUE, (256, 1), "gw_runs_ready_by_principal"),
    "what is due of each, after one": (
        queue.FIRST_DUE_AFTER,
        ("p2", 256, 1),
        "gw_runs_ready_by_principal",
    ),
    "the next of one": (
        queue.LOCKED_NEXT_DUE,
        ("single", 1, 0),
        "gw_runs_ready_by_principal",
    ),
    "what is at work": (queue.RUNNING_BY_PRINCIPAL, (), "gw_runs_under_way"),
    "what is at work of one": (queue.COUNT_RUNNING_OF, ("p1",), "gw_runs_under_way"),
    "to be started": (
        sql.leases.take_due(2),
        ("server", 1, 1, "run-5", "run-6"),
        "gw_runs_run_id_key",
    ),
    "to be held back": (sql.waiting.HOLD_BACK, ("thread-5",), "gw_runs_pending"),
    "to be let go": (sql.waiting.LET_GO, ("thread-5",), "gw_runs_pending"),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_claim_scans_no_table(crowd: psycopg.Connection, name: str) -> None:
    statement, parameters, index = STATEMENTS[name]
    explain = f"EXPLAIN {statement.replace('?', '%s')}"
    plan = "\n".join(row[0] for row in crowd.execute(explain, parameters))
    assert index in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Hash" not in plan, plan


@pytest.mark.parametrize("most", [0, 5])
def test_a_claim_reads_few_pages(crowd: psycopg.Connection, most: int) -> None:
    session = PostgresSession(crowd, "crowd")
    session.control("BEGIN")
    try:
        transaction = SqlTransaction(session)
        claimed = transaction.claim_due("server", limit=45, most_of_one=most)
        assert "single" in {run.principal for run in claimed}
        assert len(claimed) == 45
        read = session.execute(
            "SELECT SUM(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('gw_runs', 'gw_threads')"
        ).fetchone()
        assert read is not None
        assert read[0] < 3000
    finally:
        session.control("ROLLBACK")
