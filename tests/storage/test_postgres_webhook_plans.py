"""Postgres: a claim of webhooks walks indexes, however long the backlog of a host is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import psycopg
import pytest
from graphwire_server.storage.postgres.session import PostgresSession
from graphwire_server.storage.sql import webhooks
from graphwire_server.storage.sql.transaction import SqlTransaction

from tests.postgres import PostgresServer

from .crowd import add_webhooks
from .crowded_postgres import filled

BACKLOG = 20_000


@pytest.fixture(scope="module")
def backlog(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    """Very many webhooks for a host that is away, and one for each of thirty others."""
    with filled(postgres, partial(add_webhooks, count=BACKLOG, hosts=30)) as connection:
        yield connection


STATEMENTS: dict[str, tuple[str, Sequence[object], str]] = {
    "those that have waited longest": (webhooks.LONGEST_DUE, (1, 256), "gw_webhooks_due"),
    "who waits": (webhooks.WAITING_HOSTS, ("dead", 256), "gw_webhooks_by_host"),
    "what is due of one": (
        webhooks.LOCKED_DUE_OF_HOST,
        ("host-1", BACKLOG * 2, 4),
        "gw_webhooks_by_host",
    ),
    "what is due of one with a backlog": (
        webhooks.LOCKED_DUE_OF_HOST,
        ("dead", BACKLOG * 2, 4),
        "gw_webhooks_",
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_claim_scans_and_sorts_no_backlog(backlog: psycopg.Connection, name: str) -> None:
    statement, parameters, index = STATEMENTS[name]
    explain = f"EXPLAIN {statement.replace('?', '%s')}"
    plan = "\n".join(row[0] for row in backlog.execute(explain, parameters))
    assert index in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Sort" not in plan, plan


@pytest.mark.parametrize("busy", [{}, {"dead": 4}], ids=["free", "busy"])
def test_a_claim_reads_few_webhooks(backlog: psycopg.Connection, busy: dict[str, int]) -> None:
    session = PostgresSession(backlog, "backlog")
    session.control("BEGIN")
    try:
        claimed = SqlTransaction(session).claim_webhooks(lapse=1, limit=16, per_host=4, busy=busy)
        of_others = [hook.host for hook in claimed.webhooks if hook.host != "dead"]
        assert of_others == [f"host-{1 + (BACKLOG + n) % 30}" for n in range(1, 17 if busy else 13)]
        assert len(claimed.webhooks) == 16
        read = session.execute(
            "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables"
            " WHERE relname = 'gw_webhooks'"
        ).fetchone()
        assert read is not None
        assert read[0] < 3000
    finally:
        session.control("ROLLBACK")
