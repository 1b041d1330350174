"""Fixtures for tests through a socket."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from graphwire.v1 import runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.driven import DrivenThread
from tests.e2e.gates import Gate


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
def thread(runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub) -> DrivenThread:
    """A new thread on the shared server."""
    return DrivenThread(runs, threads)


@pytest.fixture
def once() -> str:
    """A request_id that nobody has used."""
    return f"test {uuid.uuid4()}"
