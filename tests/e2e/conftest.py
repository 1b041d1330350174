"""Fixtures for tests through a socket."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from graphwire.v1 import assistants_pb2_grpc, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.driven import DrivenThread
from tests.e2e.made import Driver


@pytest.fixture
def thread(runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub) -> DrivenThread:
    """A new thread on the shared server."""
    return DrivenThread(runs, threads)


@pytest.fixture
def new(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> Callable[[], DrivenThread]:
    """Makes threads on the shared server."""
    return lambda: DrivenThread(runs, threads)


@pytest.fixture
def once() -> str:
    """A request_id that nobody has used."""
    return f"test {uuid.uuid4()}"


@pytest.fixture
def made(assistants: assistants_pb2_grpc.AssistantsStub) -> Driver:
    """The assistants of the shared server, or of a file's own."""
    return Driver(assistants)
