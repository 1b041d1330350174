"""Fixtures for tests with several servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.gates import Gate
from tests.postgres import PostgresServer
from tests.replicas.replica import Ledger


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    """The address of a fresh database."""
    with postgres.fresh_database() as name:
        yield postgres.url(name)


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Callable[[], Gate]]:
    """Makes gates; those that are closed at the end of the test are opened."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate(tmp_path / f"gate-{len(made)}"))
        return made[-1]

    yield make
    for gate in made:
        gate.open()


@pytest.fixture
def gate(gates: Callable[[], Gate]) -> Gate:
    """A gate of the test's own."""
    return gates()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger of the test's own."""
    return Ledger(tmp_path / "ledger")
