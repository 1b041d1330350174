"""Postgres: a read that takes too long is given up, and its connection serves the next."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire_server.storage.interface import StorageSlow
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.postgres import PostgresStorage, transactions

from .conftest import OpenPostgres


def endless(db: Any) -> None:
    """Reads something that takes longer than any test."""
    db._session.execute("SELECT pg_sleep(3600)").fetchone()


def limit(db: Any) -> str:
    """How long a statement may take."""
    return str(db._session.execute("SHOW statement_timeout").fetchone()[0])


async def gives_up(storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries reads that take too long, on all connections that read, and then one that does not."""
    assert await storage.read(limit) == "1min"
    # What writes, and moves checkpoints or prunes, may take as long as it needs.
    assert await storage.write(limit) == "0"
    short = transactions._BEGIN_READING.replace("'60s'", "'50ms'")
    monkeypatch.setattr(transactions, "_BEGIN_READING", short)
    monkeypatch.setattr(transactions, "LONGEST_READ", 0.05)
    for _ in range(2 * storage.load().readers):
        with pytest.raises(StorageSlow, match="statement timeout"):
            await storage.read(endless)
    assert await storage.read(lambda db: db.now()) > 0


async def test_a_read_that_takes_too_long_is_given_up(
    postgres_address: PostgresAddress,
    open_postgres: OpenPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await gives_up(await open_postgres(postgres_address), monkeypatch)


async def test_so_it_is_behind_a_pooler(
    pooled_address: PostgresAddress, open_postgres: OpenPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gives_up(await open_postgres(pooled_address), monkeypatch)
