"""A server with agents of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from graphwire.v1 import runs_pb2_grpc, threads_pb2_grpc

from tests.reviews.reviewed import Conversation
from tests.servers import ServerProcess

PROJECT = Path(__file__).parent / "project"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server."""
    process = ServerProcess(tmp_path_factory.mktemp("reviews") / "graphwire.db", PROJECT).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="session")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A channel to it."""
    with grpc.insecure_channel(server.address) as open_channel:
        yield open_channel


@pytest.fixture
def talk(channel: grpc.Channel) -> Conversation:
    """A new conversation."""
    return Conversation(runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel))
