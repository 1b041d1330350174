"""The server of the tests on bad input: shared by them, and by nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from tests.e2e.bad_input.world import World, make_world
from tests.servers import ServerProcess
from tests.webhooks.receiver import SECRET


@pytest.fixture(scope="package")
def quiet_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on which nothing happens but what the tests ask for."""
    database = tmp_path_factory.mktemp("bad_input") / "graphwire.db"
    process = ServerProcess(database, env={"GRAPHWIRE_WEBHOOK_SECRETS": SECRET}).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="package")
def channel(quiet_server: ServerProcess) -> Iterator[grpc.Channel]:
    """A channel to it."""
    with grpc.insecure_channel(quiet_server.address) as channel:
        yield channel


@pytest.fixture(scope="package")
def world(
    quiet_server: ServerProcess, channel: grpc.Channel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Its threads and runs."""
    gate = tmp_path_factory.mktemp("gates") / "gate"
    world = make_world(quiet_server, channel, gate)
    yield world
    world.close()
    gate.touch()


@pytest.fixture
def untouched(world: World) -> Iterator[None]:
    """Checks that the database is the same after the test as before it."""
    before = world.contents()
    yield
    assert world.contents() == before
