"""Several workers: the metrics of each are at a port of its own, a trace goes on in another."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from graphwire.v1 import runs_pb2

from tests.e2e.drive import DEADLINE, create, payload
from tests.e2e.gates import Gate, until
from tests.observability import exposed
from tests.observability.collector import Collector
from tests.observability.exposed import sample
from tests.observability.told import Caller
from tests.postgres import PostgresServer
from tests.replicas.group import WORKERS, Group, connections
from tests.replicas.replica import wait_run


def free_ports() -> int:
    """A port after which there are enough others that are free."""
    for port in range(21_000, 32_000, WORKERS):
        with ExitStack() as stack:
            try:
                for number in range(WORKERS):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port + number))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@pytest.fixture(scope="module")
def metrics_port() -> int:
    """The port of the first worker's metrics."""
    return free_ports()


@pytest.fixture(scope="module")
def group(postgres: PostgresServer, metrics_port: int, collector: Collector) -> Iterator[Group]:
    """A server with workers on a database of its own."""
    with postgres.fresh_database() as name:
        listen = {"GRAPHWIRE_METRICS_LISTEN": f"127.0.0.1:{metrics_port}"}
        group = Group(postgres.url(name), env={**collector.env, **listen}).start()
        yield group
        assert group.stop() == 0, group.log


def scrape(port: int) -> str:
    """Reads the metrics of one worker."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as response:
        text: str = response.read().decode()
    return text


def test_each_worker_tells_of_the_calls_that_it_has_served(group: Group, metrics_port: int) -> None:
    ports = [metrics_port + number for number in range(WORKERS)]

    def calls(port: int) -> float:
        name = "graphwire.v1.Runs/CreateRun"
        return sample(scrape(port), "graphwire_rpcs_total", method=name, code="OK")

    with connections(group) as both:
        before = [calls(port) for port in ports]
        for connection in both:
            run = create(connection.runs, assistant_id="march", input=payload({"steps": 1}))
            wait_run(connection, run.run_id)
        after = [calls(port) for port in ports]
    assert [now - then for then, now in zip(before, after, strict=True)] == [1.0] * WORKERS


def test_they_say_what_there_is_of_postgres(group: Group, metrics_port: int) -> None:
    assert group.is_running
    until(lambda: "graphwire_pauses_open 0.0" in scrape(metrics_port))
    text = scrape(metrics_port)
    assert sample(text, "graphwire_info", storage="postgres") == 1
    assert sample(text, "graphwire_commit_seconds_count", storage="postgres") > 1
    assert sample(text, "graphwire_commit_events_count", storage="postgres") > 1
    assert set(exposed.kinds(text)) == set(exposed.documented())


def test_a_worker_that_takes_the_place_of_another_has_its_port(
    group: Group, metrics_port: int
) -> None:
    with connections(group) as both:
        victim = both[0].pid
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in group.workers and len(group.workers) == WORKERS)
    for number in range(WORKERS):
        until(lambda port=metrics_port + number: answers(port), f"worker {number + 1} is read")  # type: ignore[misc]


def test_a_run_that_another_worker_takes_over_goes_on_in_the_callers_trace(
    group: Group, collector: Collector, gate: Gate
) -> None:
    caller = Caller()
    with connections(group) as (first, second):
        request = runs_pb2.CreateRunRequest(
            assistant_id="waits", input=payload({"path": str(gate.path)})
        )
        run_id = first.runs.CreateRun(
            request, metadata=caller.metadata, timeout=DEADLINE
        ).run.run_id
        gate.wait_begun()
        call = collector.one("graphwire.v1.Runs/CreateRun", run_id=run_id)
        os.kill(first.pid, signal.SIGKILL)
        gate.wait_begun()
        gate.open()
        wait_run(second, run_id)
    run = collector.one("run waits", run_id=run_id)
    assert (call.trace_id, call.parent) == (caller.trace_id, caller.span_id)
    assert (run.trace_id, run.parent) == (caller.trace_id, call.span_id)
    assert run.attributes["graphwire.run.attempt"] == 2
    assert [link.what for link in run.links] == ["earlier_attempt"]
    instance = "service.instance.id"
    assert run.resource[instance] != call.resource[instance]


def answers(port: int) -> bool:
    """Whether metrics can be read at a port."""
    try:
        return "graphwire_info" in scrape(port)
    except OSError:
        return False
