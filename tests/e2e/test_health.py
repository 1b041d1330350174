"""Health that is true: what is said when the server can't do its work, and when it can again."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from graphwire.v1 import runs_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.drive import DEADLINE, create, payload, wait
from tests.e2e.gates import until
from tests.postgres import PostgresServer, running_postgres
from tests.servers import ServerProcess

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
#: What needs a database, and what does not.
NEEDING = ["", "graphwire.v1.Assistants", "graphwire.v1.Runs", "graphwire.v1.Threads"]
NEEDLESS = "graphwire.v1.Server"
LEASE = {"GRAPHWIRE_LEASE_SECONDS": "2"}


class Watch:
    """Watches the health of a service.

    Attributes:
        seen: Every status that came.
    """

    def __init__(self, address: str, service: str) -> None:
        """Begins to watch."""
        self._channel = grpc.insecure_channel(address)
        self.stub: Any = health_pb2_grpc.HealthStub(self._channel)
        self.seen: list[int] = []
        request = health_pb2.HealthCheckRequest(service=service)
        self._call = self.stub.Watch(request)
        threading.Thread(target=self._read, daemon=True).start()

    def check(self, service: str) -> int:
        """Asks for the health of a service."""
        request = health_pb2.HealthCheckRequest(service=service)
        return int(self.stub.Check(request, timeout=DEADLINE).status)

    def until(self, *seen: int) -> None:
        """Waits until these are all that was seen."""
        until(lambda: self.seen == list(seen), f"{seen}", seconds=60)

    def close(self) -> None:
        """Ends it."""
        self._call.cancel()
        self._channel.close()

    def _read(self) -> None:
        try:
            self.seen.extend(response.status for response in self._call)
        except grpc.RpcError:
            return


@pytest.fixture
def watch() -> Iterator[Callable[..., Watch]]:
    """Makes watches, and ends them."""
    made: list[Watch] = []

    def make(address: str, service: str = "") -> Watch:
        made.append(Watch(address, service))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A Postgres that these tests may stop."""
    with running_postgres() as server:
        yield server


def works(address: str) -> None:
    """Checks that a run comes to its end."""
    with grpc.insecure_channel(address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        run = create(runs, assistant_id="linear", input=payload({"log": ["in"]}))
        assert wait(runs, run.run_id).run.run_id == run.run_id


def test_while_postgres_is_away_nothing_that_needs_it_serves(
    own_postgres: PostgresServer, watch: Callable[..., Watch]
) -> None:
    with own_postgres.fresh_database() as database:
        process = ServerProcess(own_postgres.url(database), env=LEASE).start()
        runs, server = watch(process.address, NEEDING[2]), watch(process.address, NEEDLESS)
        runs.until(SERVING)
        own_postgres.stop()
        runs.until(SERVING, NOT_SERVING)
        for name in NEEDING:
            assert runs.check(name) == NOT_SERVING
        assert runs.check(NEEDLESS) == SERVING
        own_postgres.start()
        runs.until(SERVING, NOT_SERVING, SERVING)
        for name in NEEDING:
            assert runs.check(name) == SERVING
        works(process.address)
        assert server.seen == [SERVING]
        assert process.log.count("database_does_not_answer") == 1
        assert process.log.count("database_answers_again") == 1
        assert process.stop() == 0


def test_a_database_that_takes_no_writes_is_not_served_from(
    own_server: Callable[..., ServerProcess], watch: Callable[..., Watch]
) -> None:
    process = own_server(env=LEASE)
    health = watch(process.address)
    health.until(SERVING)
    other = sqlite3.connect(str(process.database), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        health.until(SERVING, NOT_SERVING)
    finally:
        other.close()
    health.until(SERVING, NOT_SERVING, SERVING)
    works(process.address)


def test_a_disk_that_is_full_is_not_served_from(
    own_server: Callable[..., ServerProcess], watch: Callable[..., Watch]
) -> None:
    process = own_server(env=LEASE)
    health = watch(process.address)
    health.until(SERVING)
    no_limit = resource.RLIM_INFINITY
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, no_limit))
    health.until(SERVING, NOT_SERVING)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (no_limit, no_limit))
    health.until(SERVING, NOT_SERVING, SERVING)
    works(process.address)


def test_a_server_that_has_lost_its_lease_does_not_serve_until_it_has_another(
    own_postgres: PostgresServer, watch: Callable[..., Watch]
) -> None:
    with own_postgres.fresh_database() as database:
        process = ServerProcess(own_postgres.url(database), env=LEASE).start()
        health = watch(process.address)
        health.until(SERVING)
        with own_postgres.connect(database) as other, other.transaction():
            # It can neither renew its lease nor take another one.
            other.execute("LOCK TABLE gw_servers IN SHARE MODE")
            health.until(SERVING, NOT_SERVING)
        health.until(SERVING, NOT_SERVING, SERVING)
        works(process.address)
        assert process.stop() == 0


@pytest.mark.skipif(
    not hasattr(health_pb2, "HealthListRequest"), reason="comes with grpcio-health-checking 1.85"
)
def test_every_service_is_listed_with_its_health(grpc_channel: grpc.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(grpc_channel)
    listed = stub.List(health_pb2.HealthListRequest(), timeout=DEADLINE).statuses
    assert {name: status.status for name, status in listed.items()} == dict.fromkeys(
        [*NEEDING, NEEDLESS], SERVING
    )


def test_a_service_that_is_not_there_can_be_watched_and_is_unknown(
    grpc_channel: grpc.Channel,
) -> None:
    stub: Any = health_pb2_grpc.HealthStub(grpc_channel)
    call = stub.Watch(health_pb2.HealthCheckRequest(service="no.Such"), timeout=DEADLINE)
    assert next(call).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    call.cancel()
