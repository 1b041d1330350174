"""Traces: from the caller through the run into its nodes, whatever becomes of the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2

from tests.cli.command import SECONDS, Result, refused_start, run
from tests.e2e.drive import DEADLINE, payload
from tests.e2e.gates import Gate, until
from tests.observability.collector import Collector, Seen, SpanLink
from tests.observability.conftest import TOKEN
from tests.observability.told import Caller, Told, run_of
from tests.servers import ZOO

STREAM_RUN = "graphwire.v1.Runs/StreamRun"


def tree(collector: Collector, trace_id: str, below: str) -> dict[str, Any]:
    """The spans of a trace below one, by name."""
    spans = [span for span in collector.spans() if span.trace_id == trace_id]
    return {
        span.name: tree(collector, trace_id, span.span_id) for span in spans if span.parent == below
    }


def run_span(collector: Collector, run_id: str, attempt: int = 1) -> Seen:
    """Waits for the span of an attempt at a run."""

    def found() -> list[Seen]:
        wanted = {"graphwire.run.id": run_id, "graphwire.run.attempt": attempt}
        return [span for span in collector.spans() if wanted.items() <= span.attributes.items()]

    until(found, f"the span of attempt {attempt} at {run_id}")
    (span,) = found()
    return span


def in_trace(collector: Collector, name: str, caller: Caller) -> Seen:
    """Waits for the span of a name in a caller's trace; there must be one alone."""

    def found() -> list[Seen]:
        return [span for span in collector.all(name) if span.trace_id == caller.trace_id]

    until(found, f"a span {name}")
    (span,) = found()
    return span


def link_to(span: Seen, what: str) -> SpanLink:
    """The link that leads to a span."""
    return SpanLink(span.trace_id, span.span_id, what)


def test_a_callers_trace_goes_through_the_run_into_the_nodes_and_what_they_do(
    telling: Told, collector: Collector
) -> None:
    caller = Caller()
    run_id, _ = run_of(telling.stream(caller.metadata, assistant_id="flow"))
    call = collector.one(STREAM_RUN, run_id=run_id)
    run_span(collector, run_id)
    assert (call.trace_id, call.parent, call.kind) == (caller.trace_id, caller.span_id, "SERVER")
    assert tree(collector, caller.trace_id, caller.span_id) == {
        STREAM_RUN: {
            "run flow": {
                "node plain": {"work of plain": {}},
                "node child": {"node inner": {"work of inner": {}}},
            }
        }
    }


def test_what_a_node_sends_on_is_the_callers_trace_and_baggage(
    telling: Told, collector: Collector
) -> None:
    caller = Caller()
    state = ("tracestate", "vendor=value")
    metadata = (*caller.metadata, state, ("baggage", "tenant=acme"))
    run_id, _ = run_of(telling.stream(metadata, assistant_id="flow"))
    seen = telling.wait(run_id)["seen"]
    work = in_trace(collector, "work of plain", caller)
    assert seen["traceparent"].split("-")[1:3] == [caller.trace_id, work.span_id]
    assert seen["tracestate"] == "vendor=value"
    assert (seen["baggage"], seen["tenant"]) == ("tenant=acme", "acme")


def test_the_spans_say_what_they_are(telling: Told, collector: Collector) -> None:
    caller = Caller()
    metadata = (*caller.metadata, ("x-request-id", "spans-7"))
    events = telling.stream(metadata, assistant_id="flow")
    run_id, thread_id = run_of(events)
    call, run = collector.one(STREAM_RUN, run_id=run_id), run_span(collector, run_id)
    assert call.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": STREAM_RUN,
        "rpc.response.status_code": "OK",
        "graphwire.request.id": "spans-7",
        "graphwire.thread.id": thread_id,
        "graphwire.run.id": run_id,
        "graphwire.stream.messages": len(events),
    }
    assert call.status == run.status == "UNSET"
    assert (run.kind, run.links) == ("INTERNAL", ())
    assert run.attributes == {
        "graphwire.run.id": run_id,
        "graphwire.run.attempt": 1,
        "graphwire.run.status": "SUCCEEDED",
        "graphwire.thread.id": thread_id,
        "graphwire.assistant.id": "flow",
        "graphwire.graph.id": "flow",
    }
    inner = in_trace(collector, "node inner", caller)
    child = in_trace(collector, "node child", caller)
    assert inner.attributes.pop("graphwire.task.id")
    assert inner.attributes == {
        "graphwire.node.name": "inner",
        "graphwire.namespace": f"child:{child.attributes['graphwire.task.id']}",
        "graphwire.step": 1,
        "graphwire.task.outcome": "finished",
    }
    assert child.attributes["graphwire.step"] == 2
    assert run.resource["service.name"] == "graphwire"
    assert {"service.version", "service.instance.id"} < run.resource.keys()


def test_a_call_without_a_trace_begins_one_of_its_own(telling: Told, collector: Collector) -> None:
    first, second = (run_of(telling.stream(assistant_id="flow"))[0] for _ in range(2))
    calls = [collector.one(STREAM_RUN, run_id=run_id) for run_id in (first, second)]
    assert [call.parent for call in calls] == ["", ""]
    assert calls[0].trace_id != calls[1].trace_id
    for call, run_id in zip(calls, (first, second), strict=True):
        assert run_span(collector, run_id).parent == call.span_id


def test_a_run_that_fails_is_an_error_where_it_happened(
    telling: Told, collector: Collector
) -> None:
    caller = Caller()
    run_id, _ = run_of(telling.stream(caller.metadata, assistant_id="fails"))
    run = run_span(collector, run_id)
    node = in_trace(collector, "node boom", caller)
    assert (node.status, node.message) == ("ERROR", "no luck")
    assert (node.attributes["error.type"], node.events) == ("ValueError", ("exception",))
    assert run.attributes["error.type"] == "ValueError"
    assert (run.status, run.message) == ("ERROR", "no luck")
    assert run.attributes["graphwire.run.status"] == "FAILED"
    # The call has done what it was asked to.
    assert collector.one(STREAM_RUN, run_id=run_id).status == "UNSET"


def test_a_call_that_is_refused_has_its_status_and_is_no_error_of_the_server(
    telling: Told, collector: Collector
) -> None:
    metadata = (("x-request-id", "refused-1"),)
    with pytest.raises(grpc.RpcError):
        telling.runs.GetRun(runs_pb2.GetRunRequest(run_id="none"), metadata=metadata)
    call = collector.one("graphwire.v1.Runs/GetRun", request_id="refused-1")
    assert call.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert call.status == "UNSET"


def test_a_stream_that_its_caller_leaves_ends_its_span_and_the_run_goes_on(
    telling: Told, collector: Collector, gate: Gate
) -> None:
    request = runs_pb2.StreamRunRequest(
        assistant_id="waits", input=payload({"gate": str(gate.path)})
    )
    stream = telling.runs.StreamRun(
        request, timeout=DEADLINE, metadata=(("x-request-id", "left-1"),)
    )
    run_id = next(stream).event.metadata.run_id
    gate.wait_begun()
    stream.cancel()
    call = collector.one(STREAM_RUN, request_id="left-1")
    assert call.attributes["rpc.response.status_code"] == "CANCELLED"
    assert call.attributes["graphwire.stream.messages"] >= 1
    assert collector.all("run waits", run_id=run_id) == []
    gate.open()
    assert run_span(collector, run_id).attributes["graphwire.run.status"] == "SUCCEEDED"


def test_a_call_whose_time_is_over_says_so(telling: Told, collector: Collector, gate: Gate) -> None:
    request = runs_pb2.CreateRunRequest(
        assistant_id="waits", input=payload({"gate": str(gate.path)})
    )
    run_id = telling.runs.CreateRun(request, timeout=DEADLINE).run.run_id
    with pytest.raises(grpc.RpcError) as refused:
        telling.runs.WaitRun(
            runs_pb2.WaitRunRequest(run_id=run_id),
            timeout=0.5,
            metadata=(("x-request-id", "late-1"),),
        )
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    call = collector.one("graphwire.v1.Runs/WaitRun", request_id="late-1")
    assert call.attributes["rpc.response.status_code"] == "DEADLINE_EXCEEDED"
    assert (call.status, call.attributes["error.type"]) == ("ERROR", "DEADLINE_EXCEEDED")
    gate.open()


def test_a_resumed_run_is_linked_to_the_run_it_continues(
    telling: Told, collector: Collector
) -> None:
    before, after = Caller(), Caller()
    paused, thread_id = run_of(telling.stream(before.metadata, assistant_id="asks"))
    resumed, _ = run_of(
        telling.stream(
            after.metadata,
            assistant_id="asks",
            thread_id=thread_id,
            resume=run_pb2.Resume(answer=payload("yes")),
        )
    )
    first, second = run_span(collector, paused), run_span(collector, resumed)
    assert first.attributes["graphwire.run.status"] == "INTERRUPTED"
    assert (first.trace_id, second.trace_id) == (before.trace_id, after.trace_id)
    assert (first.links, second.links) == ((), (link_to(first, "resumed_run"),))
    outcomes = [
        (span.trace_id, span.status, span.attributes["graphwire.task.outcome"])
        for span in collector.all("node ask")
        if span.trace_id in (before.trace_id, after.trace_id)
    ]
    assert outcomes == [
        (before.trace_id, "UNSET", "interrupted"),
        (after.trace_id, "UNSET", "finished"),
    ]


def test_a_run_whose_server_is_killed_goes_on_in_the_same_trace(
    own_telling: Callable[..., Told], collector: Collector, gate: Gate
) -> None:
    caller, told = Caller(), own_telling({**collector.env, "GRAPHWIRE_LEASE_SECONDS": "1"})
    request = runs_pb2.CreateRunRequest(
        assistant_id="waits", input=payload({"gate": str(gate.path)})
    )
    run_id = told.runs.CreateRun(request, metadata=caller.metadata, timeout=DEADLINE).run.run_id
    gate.wait_begun()
    call = collector.one("graphwire.v1.Runs/CreateRun", run_id=run_id)
    first = in_trace(collector, "node first", caller)
    told.process.kill()
    told.close()
    told.process.start()
    told.connect()
    gate.wait_begun()
    gate.open()
    told.wait(run_id)
    second = run_span(collector, run_id, attempt=2)
    assert (call.trace_id, call.parent) == (caller.trace_id, caller.span_id)
    # The span of the first attempt was lost with its server; its ids are known all the same.
    assert (second.trace_id, second.parent) == (caller.trace_id, call.span_id)
    assert second.links == (SpanLink(caller.trace_id, first.parent, "earlier_attempt"),)
    waited = in_trace(collector, "node wait", caller)
    assert waited.parent == second.span_id


def test_a_run_that_begins_later_is_still_a_child_of_the_call_that_started_it(
    telling: Told, collector: Collector
) -> None:
    caller = Caller()
    request = runs_pb2.CreateRunRequest(assistant_id="flow", input=payload({"gate": ""}))
    request.start_delay.FromMilliseconds(50)
    run_id = telling.runs.CreateRun(request, metadata=caller.metadata, timeout=DEADLINE).run.run_id
    telling.wait(run_id)
    call = collector.one("graphwire.v1.Runs/CreateRun", run_id=run_id)
    run = run_span(collector, run_id)
    assert (call.trace_id, call.parent) == (caller.trace_id, caller.span_id)
    assert (run.trace_id, run.parent, run.links) == (caller.trace_id, call.span_id, ())
    assert in_trace(collector, "node plain", caller).parent == run.span_id


def test_a_resume_after_a_restart_is_linked_too(
    own_telling: Callable[..., Told], collector: Collector
) -> None:
    told, caller = own_telling(collector.env), Caller()
    paused, thread_id = run_of(told.stream(caller.metadata, assistant_id="asks"))
    assert told.process.stop() == 0
    told.close()
    told.process.start()
    told.connect()
    answer = run_pb2.Resume(answer=payload("yes"))
    resumed, _ = run_of(told.stream(assistant_id="asks", thread_id=thread_id, resume=answer))
    first = run_span(collector, paused)
    assert run_span(collector, resumed).links == (link_to(first, "resumed_run"),)


def test_what_ends_last_is_exported_when_the_server_stops(
    own_telling: Callable[..., Told], collector: Collector
) -> None:
    told = own_telling({**collector.env, "OTEL_BSP_SCHEDULE_DELAY": "600000"})
    run_id, _ = run_of(told.stream(assistant_id="flow"))
    assert collector.all(STREAM_RUN, run_id=run_id) == []
    assert told.process.stop() == 0, told.process.log
    assert len(collector.all(STREAM_RUN, run_id=run_id)) == 1
    assert len(collector.all("run flow", run_id=run_id)) == 1


def test_a_server_stops_in_order_when_nobody_takes_its_traces(
    own_telling: Callable[..., Told],
) -> None:
    told = own_telling(
        {"GRAPHWIRE_TRACING": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    )
    told.stream(assistant_id="flow")
    assert told.process.stop() == 0, told.process.log


def test_without_the_setting_no_span_is_made(
    own_telling: Callable[..., Told], collector: Collector
) -> None:
    env = {**collector.env, "GRAPHWIRE_TRACING": "off"}
    told, caller = own_telling(env), Caller()
    run_id, _ = run_of(told.stream(caller.metadata, assistant_id="flow"))
    assert "traceparent" not in told.wait(run_id)["seen"]
    assert told.process.stop() == 0
    assert [span for span in collector.spans() if span.trace_id == caller.trace_id] == []


def test_a_project_that_traces_by_itself_goes_on_doing_so_in_the_same_trace(
    own_telling: Callable[..., Told], collector: Collector, tmp_path: Path
) -> None:
    file = tmp_path / "spans"
    told, caller = own_telling({**collector.env, "TRACED_SPANS": str(file)}), Caller()
    told.stream(caller.metadata, assistant_id="flow")
    node = in_trace(collector, "node plain", caller)
    assert told.process.stop() == 0, told.process.log
    spans = map(json.loads, file.read_text().splitlines())
    work = next(span for span in spans if span["name"] == "work of plain")
    assert work["context"]["trace_id"] == f"0x{caller.trace_id}"
    assert work["parent_id"] == f"0x{node.span_id}"
    assert tree(collector, caller.trace_id, node.span_id) == {}


def test_no_span_has_what_the_metadata_keeps_secret(telling: Told, collector: Collector) -> None:
    caller = Caller()
    metadata = (*caller.metadata, ("authorization", TOKEN))
    run_id, _ = run_of(telling.stream(metadata, assistant_id="flow"))
    run_span(collector, run_id)
    assert [text for text in collector.requests if "very-secret" in text] == []


def test_what_is_off_is_not_imported() -> None:
    script = "import sys; from graphwire_server import app; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    loaded = set(done.stdout.split())
    telemetry = "graphwire_server.telemetry"
    assert f"{telemetry}.exports" in loaded
    # (langsmith, which comes with langgraph, imports a part of OpenTelemetry where it is there.)
    apart = {f"{telemetry}.{name}" for name in ("otel", "otlp_metrics", "prometheus")}
    assert loaded & {*apart, "prometheus_client", "opentelemetry.exporter.otlp.proto.grpc"} == set()


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    # An `opentelemetry` without anything in it hides the real one.
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    for setting in ("GRAPHWIRE_TRACING", "GRAPHWIRE_METRICS_EXPORT"):
        database = str(tmp_path / f"{setting}.db")
        env = {"PYTHONPATH": path, setting: "otlp", "GRAPHWIRE_DATABASE": database}
        # It has imported nothing yet.
        done = run("serve", str(ZOO), "--listen", "127.0.0.1:0", env=env)
        assert (done.code, done.out) == (3, "")
        assert done.err == (
            f"graphwire: {setting}=otlp needs opentelemetry.exporter, which is not installed or "
            "can't be loaded: install graphwire[otel]\n"
        )


@pytest.mark.parametrize("setting", ["GRAPHWIRE_TRACING", "GRAPHWIRE_METRICS_EXPORT"])
@pytest.mark.parametrize(
    "name, value, said",
    [
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf",
            "OTEL_EXPORTER_OTLP_PROTOCOL: should be grpc, the protocol that is exported, and is "
            "'http/protobuf': leave it out, and name the collector's gRPC port",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://user:secret@127.0.0.1:4317",
            "OTEL_EXPORTER_OTLP_ENDPOINT: has a user or a password, which gRPC does not send: "
            "take them out; what the collector wants to know goes into "
            "OTEL_EXPORTER_OTLP_HEADERS, as in authorization=Basic%20…",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "soon",
            "an OTEL_* variable has a value that can't be used: could not convert string to "
            "float: 'soon'",
        ),
    ],
)
def test_a_variable_that_asks_for_what_there_is_not_is_named(
    tmp_path: Path, setting: str, name: str, value: str, said: str
) -> None:
    env = {setting: "otlp", "GRAPHWIRE_DATABASE": str(tmp_path / "x.db"), name: value}
    assert refused_start(str(ZOO), env=env) == Result(3, "", f"graphwire: {said}\n")
