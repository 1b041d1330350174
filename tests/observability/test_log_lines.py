"""Log lines: whose call, which run, and never a secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from graphwire.v1 import breakpoint_pb2, runs_pb2, threads_pb2

from tests.cli.command import refused_start
from tests.e2e.drive import DEADLINE, payload
from tests.e2e.gates import Gate, until
from tests.observability.collector import Collector
from tests.observability.conftest import PROJECT, TOKEN
from tests.observability.told import Told, run_of
from tests.postgres import PostgresServer

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def request_id(call: Any) -> str:
    """The id that the trailers of a call say."""
    trailers = dict(call.trailing_metadata())
    found: str = trailers["x-request-id"]
    return found


def get_run(told: Told, run_id: str, given: str | None) -> Any:
    """Asks for a run, with a request id; returns the call, refused or not."""
    metadata = () if given is None else (("x-request-id", given),)
    try:
        _, call = told.runs.GetRun.with_call(
            runs_pb2.GetRunRequest(run_id=run_id), metadata=metadata, timeout=DEADLINE
        )
    except grpc.RpcError as error:
        return error
    return call


def test_a_sane_request_id_of_the_caller_comes_back_and_is_in_the_line(telling: Told) -> None:
    run_id, _ = run_of(telling.stream(assistant_id="flow"))
    assert (
        request_id(get_run(telling, run_id, "edge-1/a.b:c=d@e,f+G_2")) == "edge-1/a.b:c=d@e,f+G_2"
    )
    line = telling.line("rpc", request_id="edge-1/a.b:c=d@e,f+G_2")
    assert {"level", "logger", "timestamp", "ms", "trace_id"} < line.keys()
    assert (line["method"], line["code"], line["run_id"]) == ("GetRun", "OK", run_id)


def test_a_refused_call_has_it_too(telling: Told) -> None:
    assert request_id(get_run(telling, "none", "refused-2")) == "refused-2"
    assert telling.line("rpc", request_id="refused-2")["code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("given", [None, "", "two words", "a" * 129, "semi;colon", '"quoted"'])
def test_one_is_made_in_the_place_of_none_and_of_what_is_not_sane(
    telling: Told, given: str | None
) -> None:
    made = request_id(get_run(telling, "none", given))
    assert UUID.fullmatch(made)
    assert telling.line("rpc", request_id=made)["method"] == "GetRun"


def test_a_stream_has_one_that_names_the_run_it_started(telling: Told) -> None:
    request = runs_pb2.StreamRunRequest(assistant_id="flow", input=payload({"gate": ""}))
    stream = telling.runs.StreamRun(
        request, metadata=(("x-request-id", "stream-3"),), timeout=DEADLINE
    )
    run_id, thread_id = run_of([response.event for response in stream])
    assert request_id(stream) == "stream-3"
    line = telling.line("rpc", request_id="stream-3")
    assert (line["run_id"], line["thread_id"]) == (run_id, thread_id)


def test_the_lines_of_a_run_and_its_nodes_name_it_and_the_call_that_started_it(
    telling: Told,
) -> None:
    metadata = (("x-request-id", "logs-4"),)
    run_id, thread_id = run_of(telling.stream(metadata, assistant_id="logs"))
    for event in ("from plain logging", "from structlog", "run_ended"):
        line = telling.line(event, run_id=run_id)
        assert (line["thread_id"], line["request_id"]) == (thread_id, "logs-4"), event
        # They are not of the call.
        assert "method" not in line


def test_a_failure_in_a_graph_names_them_too(telling: Told) -> None:
    run_id, thread_id = run_of(telling.stream((("x-request-id", "f-5"),), assistant_id="fails"))
    line = telling.line("graph_raised", run_id=run_id)
    assert (line["thread_id"], line["request_id"]) == (thread_id, "f-5")
    assert line["exception"].endswith("ValueError: no luck")
    ended = telling.line("run_ended", run_id=run_id)
    assert (ended["status"], ended["error_type"]) == ("FAILED", "ValueError")
    assert (ended["error"], ended["node"]) == ("no luck", "boom")


def test_a_node_that_does_not_stop_when_the_runs_time_is_over_is_told_of(
    own_telling: Callable[..., Told], gate: Gate
) -> None:
    told = own_telling({"GRAPHWIRE_LOG_FORMAT": "json", "GRAPHWIRE_MAX_RUN_SECONDS": "0.1"})
    request = runs_pb2.CreateRunRequest(
        assistant_id="clings", input=payload({"gate": str(gate.path)})
    )
    run = told.runs.CreateRun(request, timeout=DEADLINE).run
    gate.wait_begun()
    line = told.line("run_past_its_limit", run_id=run.run_id)
    assert (line["level"], line["thread_id"]) == ("warning", run.thread_id)
    assert line["max_run_seconds"] == 0.1
    gate.open()
    told.wait(run.run_id)
    ended = told.line("run_ended", run_id=run.run_id)
    assert (ended["status"], ended["error_type"]) == ("TIMED_OUT", "RunTimeout")
    assert "node" not in ended


def test_calls_at_once_do_not_take_each_others_ids(
    telling: Told, gates: Callable[[], Gate]
) -> None:
    runs = {}
    for number in range(3):
        gate, mark = gates(), f"beside-{number}"
        request = runs_pb2.CreateRunRequest(
            assistant_id="waits", input=payload({"gate": str(gate.path)})
        )
        call = telling.runs.CreateRun(request, metadata=(("x-request-id", mark),), timeout=DEADLINE)
        gate.wait_begun()
        runs[mark] = call.run.run_id, gate
    for _, gate in reversed(runs.values()):
        gate.open()
    for mark, (run_id, _) in runs.items():
        telling.wait(run_id)
        assert telling.line("run_ended", run_id=run_id)["request_id"] == mark


def test_a_run_that_goes_on_after_a_kill_still_names_the_call(
    own_telling: Callable[..., Told], gate: Gate
) -> None:
    told = own_telling({"GRAPHWIRE_LOG_FORMAT": "json"})
    request = runs_pb2.CreateRunRequest(
        assistant_id="waits", input=payload({"gate": str(gate.path)})
    )
    metadata = (("x-request-id", "before-6"),)
    run_id = told.runs.CreateRun(request, metadata=metadata, timeout=DEADLINE).run.run_id
    gate.wait_begun()
    told.process.kill()
    told.close()
    told.process.start()
    told.connect()
    gate.open()
    told.wait(run_id)
    assert told.line("run_ended", run_id=run_id)["request_id"] == "before-6"


def test_a_call_about_a_thread_names_it(telling: Told) -> None:
    request = threads_pb2.GetThreadRequest(thread_id="no-such-thread")
    with pytest.raises(grpc.RpcError):
        telling.threads.GetThread(request, metadata=(("x-request-id", "t-7"),), timeout=DEADLINE)
    assert telling.line("rpc", request_id="t-7")["thread_id"] == "no-such-thread"


def test_what_is_no_id_is_not_taken_for_one(telling: Told) -> None:
    for number, thread_id in enumerate(("x" * 5000, "two\nlines")):
        request = threads_pb2.GetThreadRequest(thread_id=thread_id)
        metadata = (("x-request-id", f"odd-{number}"),)
        with pytest.raises(grpc.RpcError):
            telling.threads.GetThread(request, metadata=metadata, timeout=DEADLINE)
        assert "thread_id" not in telling.line("rpc", request_id=f"odd-{number}")


def test_a_token_in_the_metadata_is_never_logged(telling: Told) -> None:
    metadata = (("authorization", TOKEN), ("x-api-key", "very-secret-key"))
    run_id, _ = run_of(
        telling.stream((*metadata, ("x-request-id", "secret-8")), assistant_id="fails")
    )
    with pytest.raises(grpc.RpcError):
        telling.runs.GetRun(
            runs_pb2.GetRunRequest(run_id="none"),
            metadata=(*metadata, ("x-request-id", "secret-9")),
            timeout=DEADLINE,
        )
    telling.line("run_ended", run_id=run_id)
    for mark in ("secret-8", "secret-9"):
        telling.line("rpc", request_id=mark)
    assert "very-secret" not in telling.process.log
    assert "very-secret" not in telling.scrape()


def test_nor_as_a_request_id_that_is_sane_enough_to_be_one(telling: Told) -> None:
    # "Bearer …" has a blank in it.
    made = request_id(get_run(telling, "none", TOKEN))
    assert UUID.fullmatch(made)
    telling.line("rpc", request_id=made)
    assert "very-secret" not in telling.process.log


def test_the_password_of_a_database_is_never_logged(postgres: PostgresServer) -> None:
    with postgres.fresh_database() as name:
        url = postgres.url(name).replace("postgres@", "postgres:top-secret@")
        assert "top-secret" in url
        env = {
            "GRAPHWIRE_LOG_LEVEL": "debug",
            "GRAPHWIRE_LOG_FORMAT": "json",
            "GRAPHWIRE_DATABASE": url.replace(name, "no_such_database"),
        }
        done = refused_start(str(PROJECT), env=env)
    assert (done.code, done.out) == (3, "")
    assert "no_such_database" in done.err
    assert "top-secret" not in done.err


def test_the_headers_for_the_collector_are_never_logged(
    own_telling: Callable[..., Told], collector: Collector
) -> None:
    told = own_telling(
        {
            **collector.env,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=very-secret",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "GRAPHWIRE_LOG_LEVEL": "debug",
        }
    )
    told.stream(assistant_id="flow")
    until(lambda: "127.0.0.1:9" in told.process.log, "it says that it can't export")
    assert told.process.stop() == 0, told.process.log
    assert "very-secret" not in told.process.log


def test_a_run_that_nobody_called_for_names_no_call(telling: Told) -> None:
    breakpoint_ = breakpoint_pb2.Breakpoint(node="ask", on_expiry=breakpoint_pb2.ON_EXPIRY_RESUME)
    breakpoint_.expires_after.FromSeconds(1)
    metadata = (("x-request-id", "expires-10"),)
    events = telling.stream(metadata, assistant_id="asks", breakpoints=[breakpoint_])
    run_id, thread_id = run_of(events)
    line = telling.line("pauses_expired", thread_id=thread_id)
    assert "request_id" not in line
    telling.wait(line["run_id"])
    assert "request_id" not in telling.line("run_ended", run_id=line["run_id"])
    assert telling.line("run_ended", run_id=run_id)["request_id"] == "expires-10"
