"""Metrics: what a real server counts, where it lets that be read, and what the page says of it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2

from tests.cli.command import Result, refused_start
from tests.e2e.drive import DEADLINE, payload
from tests.e2e.gates import Gate, until
from tests.observability import exposed
from tests.observability.collector import Collector
from tests.observability.conftest import PROJECT
from tests.observability.exposed import sample
from tests.observability.told import Told, run_of

LISTEN = {"GRAPHWIRE_METRICS_LISTEN": "127.0.0.1:0"}
STREAM_RUN = "graphwire.v1.Runs/StreamRun"
GET_RUN = "graphwire.v1.Runs/GetRun"


def started(told: Told, gate: Gate) -> str:
    """Starts a run that waits at a gate, in the background."""
    request = runs_pb2.CreateRunRequest(
        assistant_id="waits", input=payload({"gate": str(gate.path)})
    )
    run_id: str = told.runs.CreateRun(request, timeout=DEADLINE).run.run_id
    return run_id


class Difference:
    """How samples of a server have changed."""

    def __init__(self, told: Told) -> None:
        """Remembers how they are now."""
        self._told, self._before = told, told.scrape()

    def of(self, name: str, **labels: str) -> float:
        """By how much a sample has grown."""
        return sample(self._told.scrape(), name, **labels) - sample(self._before, name, **labels)


def test_rpcs_are_counted_by_method_and_status(telling: Told) -> None:
    since = Difference(telling)
    run_id, _ = run_of(telling.stream(assistant_id="flow"))
    telling.runs.GetRun(runs_pb2.GetRunRequest(run_id=run_id), timeout=DEADLINE)
    for _ in range(2):
        with pytest.raises(grpc.RpcError):
            telling.runs.GetRun(runs_pb2.GetRunRequest(run_id="none"), timeout=DEADLINE)
    assert since.of("graphwire_rpcs_total", method=GET_RUN, code="OK") == 1
    assert since.of("graphwire_rpcs_total", method=GET_RUN, code="INVALID_ARGUMENT") == 2
    assert since.of("graphwire_rpc_seconds_count", method=GET_RUN) == 3
    assert since.of("graphwire_rpc_seconds_bucket", method=GET_RUN, le="+Inf") == 3
    assert since.of("graphwire_rpcs_total", method=STREAM_RUN, code="OK") == 1


def test_streams_are_counted_with_their_messages_and_no_latency(telling: Told) -> None:
    since = Difference(telling)
    events = telling.stream(assistant_id="flow")
    assert since.of("graphwire_stream_messages_total", method=STREAM_RUN) == len(events)
    assert since.of("graphwire_streams_open", method=STREAM_RUN) == 0
    assert sample(telling.scrape(), "graphwire_rpc_seconds_count", method=STREAM_RUN) == 0


def test_what_is_open_and_at_work_shows_while_it_is(telling: Told, gate: Gate) -> None:
    since = Difference(telling)
    stream = telling.runs.StreamRun(
        runs_pb2.StreamRunRequest(assistant_id="waits", input=payload({"gate": str(gate.path)})),
        timeout=DEADLINE,
    )
    gate.wait_begun()
    assert since.of("graphwire_streams_open", method=STREAM_RUN) == 1
    assert since.of("graphwire_runs_executing") == 1
    gate.open()
    list(stream)
    assert since.of("graphwire_streams_open", method=STREAM_RUN) == 0
    until(lambda: since.of("graphwire_runs_executing") == 0)


def test_a_stream_that_is_left_is_open_no_more(telling: Told, gate: Gate) -> None:
    since = Difference(telling)
    stream = telling.runs.StreamRun(
        runs_pb2.StreamRunRequest(assistant_id="waits", input=payload({"gate": str(gate.path)})),
        timeout=DEADLINE,
    )
    gate.wait_begun()
    stream.cancel()
    until(lambda: since.of("graphwire_streams_open", method=STREAM_RUN) == 0)
    assert since.of("graphwire_rpcs_total", method=STREAM_RUN, code="CANCELLED") == 1
    gate.open()


def test_runs_are_counted_by_how_they_end(telling: Told) -> None:
    since = Difference(telling)
    _, thread_id = run_of(telling.stream(assistant_id="asks"))
    telling.stream(assistant_id="fails")
    answer = run_pb2.Resume(answer=payload("yes"))
    telling.stream(assistant_id="asks", thread_id=thread_id, resume=answer)
    ended = {
        (graph, status): since.of("graphwire_runs_ended_total", graph=graph, status=status)
        for graph in ("asks", "fails")
        for status in ("INTERRUPTED", "FAILED", "SUCCEEDED")
    }
    assert {key: count for key, count in ended.items() if count} == {
        ("asks", "INTERRUPTED"): 1,
        ("asks", "SUCCEEDED"): 1,
        ("fails", "FAILED"): 1,
    }
    assert since.of("graphwire_run_seconds_count", graph="asks") == 2
    assert since.of("graphwire_run_wait_seconds_count") == 3


def test_commits_and_events_are_counted(telling: Told) -> None:
    since = Difference(telling)
    events = telling.stream(assistant_id="flow")
    commits = since.of("graphwire_commit_seconds_count", storage="sqlite")
    assert commits > 1
    assert since.of("graphwire_commit_writes_count", storage="sqlite") == commits
    assert since.of("graphwire_commit_writes_sum", storage="sqlite") >= commits
    assert since.of("graphwire_commit_events_sum", storage="sqlite") == len(events)
    assert since.of("graphwire_event_lag_seconds_count") >= 1
    # A reader that comes late says nothing of how long events take.
    request = runs_pb2.JoinRunRequest(run_id=events[0].run_id)
    before = since.of("graphwire_event_lag_seconds_count")
    list(telling.runs.JoinRun(request, timeout=DEADLINE))
    assert since.of("graphwire_event_lag_seconds_count") == before


def test_open_pauses_have_a_number_and_an_age(own_telling: Callable[..., Told]) -> None:
    told = own_telling(LISTEN)
    told.stream(assistant_id="asks")
    _, thread_id = run_of(told.stream(assistant_id="asks"))
    until(lambda: sample(told.scrape(), "graphwire_pauses_open") == 2)
    assert sample(told.scrape(), "graphwire_pause_oldest_seconds") > 0
    answer = run_pb2.Resume(answer=payload("yes"))
    told.stream(assistant_id="asks", thread_id=thread_id, resume=answer)
    until(lambda: sample(told.scrape(), "graphwire_pauses_open") == 1)


def test_what_is_queued_is_counted_and_how_long_it_waited(
    own_telling: Callable[..., Told], gates: Callable[[], Gate]
) -> None:
    told = own_telling({**LISTEN, "GRAPHWIRE_MAX_CONCURRENT_RUNS": "1"})
    # What is counted has begun at 0, so that the first of each is seen to be one more.
    shown = told.scrape().splitlines()
    assert 'graphwire_commit_failures_total{storage="sqlite"} 0.0' in shown
    assert 'graphwire_runs_ended_total{graph="waits",status="CANCELLED"} 0.0' in shown
    assert "graphwire_leases_lost_total 0.0" in shown
    first, second = gates(), gates()
    started(told, first)
    waits = started(told, second)
    cancelled = started(told, second)
    first.wait_begun()
    until(lambda: sample(told.scrape(), "graphwire_runs_queued") == 2)
    assert sample(told.scrape(), "graphwire_runs_limit") == 1
    assert sample(told.scrape(), "graphwire_run_wait_seconds_count") == 1
    told.runs.CancelRun(runs_pb2.CancelRunRequest(run_id=cancelled), timeout=DEADLINE)
    first.open()
    second.open()
    told.wait(waits)
    text = told.scrape()
    ended = {"graph": "waits", "status": "CANCELLED"}
    assert sample(text, "graphwire_runs_ended_total", **ended) == 1
    assert sample(text, "graphwire_run_wait_seconds_count") == 2
    assert sample(text, "graphwire_run_wait_seconds_sum") > 0


def test_a_run_that_is_taken_over_is_counted(own_telling: Callable[..., Told], gate: Gate) -> None:
    told = own_telling(LISTEN)
    run_id = started(told, gate)
    gate.wait_begun()
    assert sample(told.scrape(), "graphwire_runs_taken_over_total") == 0
    told.process.kill()
    told.close()
    told.process.start()
    told.connect()
    gate.wait_begun()
    gate.open()
    told.wait(run_id)
    assert sample(told.scrape(), "graphwire_runs_taken_over_total") == 1


def test_they_are_to_be_had_while_a_node_blocks_the_event_loop(
    own_telling: Callable[..., Told], gate: Gate
) -> None:
    told = own_telling(LISTEN)
    request = runs_pb2.CreateRunRequest(
        assistant_id="blocks", input=payload({"gate": str(gate.path)})
    )
    run_id = told.runs.CreateRun(request, timeout=DEADLINE).run.run_id
    gate.wait_begun()
    text = told.scrape()  # the node goes on only after this
    assert sample(text, "graphwire_rpcs_total", method="graphwire.v1.Runs/CreateRun") == 1
    gate.open()
    told.wait(run_id)
    until(lambda: sample(told.scrape(), "graphwire_loop_lag_seconds_sum") > 0)


def test_the_page_lists_what_a_server_exposes(telling: Told) -> None:
    telling.stream(assistant_id="fails")
    text = telling.scrape()
    assert set(exposed.documented()) == set(exposed.kinds(text))
    for name, labels in exposed.labels(text).items():
        if name.startswith("graphwire_"):
            assert exposed.documented()[name] == labels, name


def test_the_dashboard_asks_for_what_a_server_exposes(telling: Told) -> None:
    text = telling.scrape()
    asked = set().union(*map(exposed.asked_for, exposed.expressions()))
    assert {name for name in asked if name.startswith("graphwire_")} == set(exposed.kinds(text))
    assert {name for name in asked if name.startswith("process_")} < exposed.labels(text).keys()
    known = exposed.documented()
    for expression in exposed.expressions():
        names = exposed.asked_for(expression)
        allowed = set().union(*(known.get(name, set()) for name in names))
        assert exposed.labels_used(expression) <= allowed, expression
        assert expression.count("(") == expression.count(")")
        for name in names & known.keys():
            # Counters and histograms only ever rise: what is shown is their rate.
            kind = exposed.kinds(text)[name]
            assert ("rate(" in expression or "increase(" in expression) == (kind != "gauge")


def test_they_can_be_sent_to_a_collector_as_well(
    own_telling: Callable[..., Told], collector: Collector
) -> None:
    collector.metrics.clear()
    env = {
        **LISTEN,
        "GRAPHWIRE_METRICS_EXPORT": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
    }
    told = own_telling(env)
    told.stream(assistant_id="flow")
    exposed_names = {
        name.removesuffix("_total")
        for name in exposed.labels(told.scrape())
        if name.startswith("graphwire_")
    }
    assert told.process.stop() == 0, told.process.log
    assert set(collector.metrics) == exposed_names


def test_nothing_listens_without_the_setting(own_telling: Callable[..., Told]) -> None:
    told = own_telling({})
    assert "metrics_listening" not in told.process.log


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = start_on(address, tmp_path)
    said = f"can't listen on {address} for metrics: Address already in use"
    assert done == Result(3, "", f"graphwire: {said}\n")


def test_what_is_no_address_is_named(tmp_path: Path) -> None:
    said = "--metrics-listen: '9464' is no address: write host:port, such as 127.0.0.1:9464"
    assert start_on("9464", tmp_path) == Result(2, "", f"graphwire: {said}\n")


def start_on(address: str, folder: Path) -> Result:
    """What comes of a start that is to show its metrics on an address that it can't have."""
    database = str(folder / "x.db")
    return refused_start(str(PROJECT), "--database", database, "--metrics-listen", address)
