"""Shutting down: what is finished, what is handed back, what is told to whom; and refusing to
start."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from graphwire.v1 import run_event_pb2, run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    Refusal,
    checked,
    create,
    get_run,
    get_thread,
    join,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    wait,
)
from tests.e2e.gates import Gate, until
from tests.observability.collector import Collector
from tests.servers import ZOO, ServerProcess

LOG = payload({"log": ["in"]})
LATER = duration_pb2.Duration(seconds=3600)
SERVICES = ("", *(f"graphwire.v1.{name}" for name in ("Assistants", "Runs", "Server", "Threads")))
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

#: How long, in seconds, the server of `stopped` lets runs go on.
GRACE = 1.0
#: Beyond that, how long a server may take to be gone: nodes that never return included.
MARGIN = 12.0


# --- runs that come to the end of a step ---


def test_on_sigterm_nodes_finish_while_nothing_new_begins(
    own_server: Callable[..., ServerProcess], gate: Gate
) -> None:
    process = own_server(env={"GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "60"})
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        health = health_pb2_grpc.HealthStub(channel)
        thread, paused = new_thread(threads), new_thread(threads)
        stream(runs, thread_id=paused, assistant_id="ask", input=LOG)
        request = runs_pb2.StreamRunRequest(
            thread_id=thread, assistant_id="gated", input=gate.input
        )
        call = runs.StreamRun(request, timeout=DEADLINE)
        events = [next(call).event]
        gate.wait_begun()
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICES[2]))
        assert next(watch).status == SERVING

        process.signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        for name in SERVICES:
            request_health = health_pb2.HealthCheckRequest(service=name)
            assert health.Check(request_health, timeout=DEADLINE).status == NOT_SERVING
        for start in (create, stream):
            with refused("UNAVAILABLE", "SHUTTING_DOWN") as refusal:
                start(
                    runs,
                    thread_id="never-made",
                    assistant_id="linear",
                    input=LOG,
                    if_not_exists=run_pb2.IF_NOT_EXISTS_CREATE,
                )
            assert refusal.retry_after == 1.0
        with refused("UNAVAILABLE", "SHUTTING_DOWN"):
            stream(runs, thread_id=paused, resume={"answer": payload("too late")})
        # What is there can still be read and followed.
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            get_thread(threads, "never-made")
        assert len(get_thread(threads, paused).pauses) == 1
        assert get_run(runs, events[0].run_id).status == run_pb2.RUN_STATUS_RUNNING
        joined = runs.JoinRun(runs_pb2.JoinRunRequest(run_id=events[0].run_id), timeout=DEADLINE)
        assert next(joined).event == events[0]

        until(lambda: "draining" in process.log)
        began = time.monotonic()
        gate.open()
        told = _rest(call, events)
        assert told is not None
        assert shapes(events) == [
            ("updates", "before", {"log": ["before"]}),
            ("updates", "gate", {"log": ["gate"]}),
        ]
        again = events[:1]
        assert _rest(joined, again) == told
        assert again == events
        assert (told.code, told.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert told.metadata == {"run_id": events[0].run_id, "last_sequence": "3"}
        assert told.retry_after == 1.0
    # It does not sit the grace out.
    assert process.wait() == 0
    assert time.monotonic() - began < MARGIN

    # The run goes on where it stopped; the node that had finished does not run again.
    process.start()
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        went_on = join(runs, events[0].run_id, after_sequence=3)
        assert shapes(went_on) == [
            ("attempt_started",),
            ("updates", "after", {"log": ["after"]}),
            ("end", "SUCCEEDED"),
        ]
        run = get_run(runs, events[0].run_id)
        assert (run.status, run.attempt) == (run_pb2.RUN_STATUS_SUCCEEDED, 2)


def test_a_run_may_be_handed_back_any_number_of_times(
    own_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    process = own_server(env={"GRAPHWIRE_MAX_RUN_ATTEMPTS": "1"})
    run_id = ""
    for round_ in range(3):
        gate = Gate(tmp_path / f"step {round_}")
        with grpc.insecure_channel(process.address) as channel:
            runs = runs_pb2_grpc.RunsStub(channel)
            if not run_id:
                given = payload({"log": ["in"], "path": str(tmp_path / "step")})
                run_id = create(
                    runs,
                    assistant_id="stairs",
                    input=given,
                    recovery_policy=run_pb2.RECOVERY_POLICY_MANUAL,
                ).run_id
            gate.wait_begun()
            process.signal(signal.SIGTERM)
            until(lambda number=round_: process.log.count("draining") > number)  # type: ignore[misc]
            gate.open()
            assert process.wait() == 0
        process.start()
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        events = join(runs, run_id)
        assert shapes(events) == [
            ("updates", "step", {"log": ["step"], "count": 1}),
            ("attempt_started",),
            ("updates", "step", {"log": ["step"], "count": 2}),
            ("attempt_started",),
            ("updates", "step", {"log": ["step"], "count": 3}),
            ("end", "SUCCEEDED"),
        ]
        assert get_run(runs, run_id).attempt == 3


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)],
    ids=["the same", "another"],
)
def test_a_second_signal_ends_the_server_at_once(
    own_server: Callable[..., ServerProcess],
    gate: Gate,
    first: signal.Signals,
    second: signal.Signals,
) -> None:
    process = own_server(env={"GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "60"})
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
        gate.wait_begun()
        process.signal(first)
        until(lambda: "draining" in process.log)
        process.signal(second)
        assert process.wait() == -second


# --- runs that do not ---

#: A factory that is a plain function runs in the threads of nodes, as the node of its graph does.
FACTORY = """
import pathlib, time
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict):
    path: str

def waits(state):
    path = pathlib.Path(state["path"])
    pathlib.Path(f"{path}.begun").touch()
    while not path.exists():
        time.sleep(0.01)

def make(config: RunnableConfig):
    return StateGraph(State).add_node(waits).add_edge(START, "waits").compile()
"""


def test_a_manual_run_whose_graph_can_not_be_opened_any_more_fails_at_the_next_server(
    tmp_path: Path, gate: Gate
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "graph.py").write_text(FACTORY)
    graphs = {"dependencies": ["."], "graphs": {"made": "./graph.py:make"}}
    (project / "langgraph.json").write_text(json.dumps(graphs))
    env = {"GRAPHWIRE_MAX_NODE_THREADS": "1", "GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "0"}
    process = ServerProcess(tmp_path / "graphwire.db", project, env=env).start()
    with grpc.insecure_channel(process.address) as channel:
        run = create(
            runs_pb2_grpc.RunsStub(channel),
            thread_id=new_thread(threads_pb2_grpc.ThreadsStub(channel)),
            assistant_id="made",
            input=payload({"path": str(gate.path)}),
            recovery_policy=run_pb2.RECOVERY_POLICY_MANUAL,
        )
        gate.wait_begun()
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.log
    assert "stop_took_too_long" not in process.log
    gate.open()
    process.start()
    with grpc.insecure_channel(process.address) as channel:
        ended = wait(runs_pb2_grpc.RunsStub(channel), run.run_id).run
    assert (ended.status, ended.error.type) == (run_pb2.RUN_STATUS_FAILED, "ServerLost")
    assert process.stop() == 0


def test_nodes_that_keep_all_their_threads_do_not_keep_a_server_from_leaving_in_order(
    tmp_path: Path, gate: Gate
) -> None:
    collector = Collector()
    env = {
        **collector.env,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "GRAPHWIRE_MAX_NODE_THREADS": "1",
        "GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "0",
    }
    process = ServerProcess(tmp_path / "graphwire.db", env=env).start()
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        # The second one waits for the thread of the first.
        begun = [create(runs, assistant_id="gated_sync", input=gate.input).run_id for _ in range(2)]
        gate.wait_begun()
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.log
    assert "stop_took_too_long" not in process.log
    with closing(sqlite3.connect(tmp_path / "graphwire.db")) as database:
        assert database.execute("SELECT count(*) FROM gw_servers").fetchone() == (0,)
        left = database.execute("SELECT run_id, lease_owner FROM gw_runs").fetchall()
    assert sorted(left) == sorted((run_id, "") for run_id in begun)
    # What was not sent by then is, in the end.
    assert len(collector.all("graphwire.v1.Runs/CreateRun")) == 2
    collector.stop()


@dataclass
class Stopped:
    """What was seen of a server that was stopped in the middle of work.

    Attributes:
        process: The server, started again.
        runs: Runs of it.
        threads: Threads of it.
        code: Its exit code.
        seconds: How long it took to be gone.
        begun: The runs that were executing, by graph ("manual" is one of `gated` with
            recovery_policy MANUAL); that of "delayed" had not begun.
        events: What their streams had shown by then.
        refusals: The status with which streams and waits ended that had to; by name.
        accepted: Runs that were started, by many at once, while it was stopped.
    """

    process: ServerProcess
    runs: runs_pb2_grpc.RunsStub
    threads: threads_pb2_grpc.ThreadsStub
    code: int
    seconds: float
    begun: dict[str, run_pb2.Run] = field(default_factory=dict)
    events: dict[str, list[run_event_pb2.RunEvent]] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    """A server that was stopped in the middle of work, and started again."""
    folder = tmp_path_factory.mktemp("stopped")
    gates = {name: Gate(folder / name) for name in ("gated", "gated_sync", "stubborn", "manual")}
    process = ServerProcess(
        folder / "graphwire.db", env={"GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": str(GRACE)}
    ).start()
    with grpc.insecure_channel(process.address) as channel:
        seen = _stop_in_the_middle(process, channel, gates)
    for gate in gates.values():
        gate.open()
    process.start()
    with grpc.insecure_channel(process.address) as channel:
        seen.runs = runs_pb2_grpc.RunsStub(channel)
        seen.threads = threads_pb2_grpc.ThreadsStub(channel)
        yield seen
    assert process.stop() == 0


def _stop_in_the_middle(
    process: ServerProcess, channel: grpc.Channel, gates: dict[str, Gate]
) -> Stopped:
    runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
    seen = Stopped(process, runs, threads, code=-1, seconds=-1)

    def follow(run: run_pb2.Run) -> Any:
        return runs.JoinRun(runs_pb2.JoinRunRequest(run_id=run.run_id), timeout=DEADLINE)

    calls = {}
    for name, gate in gates.items():
        fields: dict[str, Any] = {"assistant_id": name}
        if name == "manual":
            fields = {"assistant_id": "gated", "recovery_policy": run_pb2.RECOVERY_POLICY_MANUAL}
        run = create(runs, thread_id=new_thread(threads), input=gate.input, **fields)
        seen.begun[name], calls[name] = run, follow(run)
        gate.wait_begun()
    delayed = create(
        runs, thread_id=new_thread(threads), assistant_id="linear", input=LOG, start_delay=LATER
    )
    seen.begun["delayed"], calls["delayed"] = delayed, follow(delayed)
    waiting = runs.WaitRun.future(runs_pb2.WaitRunRequest(run_id=delayed.run_id), timeout=DEADLINE)
    # A reader that takes nothing of what is far more than the buffers hold.
    long = create(
        runs,
        thread_id=new_thread(threads),
        assistant_id="linear",
        input=payload({"log": ["x" * 1_000_000]}),
        stream_modes=[m for m in run_pb2.StreamMode.values() if m],
    )
    seen.begun["slow"], calls["slow"] = long, follow(long)
    seen.events["slow"] = [next(calls["slow"]).event]
    wait(runs, long.run_id)

    with ThreadPoolExecutor(4) as pool:
        starting = [pool.submit(_start_until_refused, seen) for _ in range(4)]
        until(lambda: len(seen.accepted) > 20)
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        for name, call in calls.items():
            refusal = _rest(call, seen.events.setdefault(name, []))
            if refusal is not None:
                seen.refusals[name] = refusal
        seen.refusals["wait"] = _refusal(waiting.exception())
        assert {future.result() for future in starting} == {"UNAVAILABLE"}
    seen.code = process.wait()
    seen.seconds = time.monotonic() - began
    return seen


def _start_until_refused(seen: Stopped) -> str:
    """Starts one run after the other; returns the status with which that ended."""
    while True:
        try:
            thread = new_thread(seen.threads)
            run = create(seen.runs, thread_id=thread, assistant_id="linear", input=LOG)
        except grpc.RpcError as error:
            return _refusal(error).code
        seen.accepted.append(run.run_id)


def _rest(call: Any, events: list[run_event_pb2.RunEvent]) -> Refusal | None:
    """Adds what is left of a stream to `events`; returns the error with which it ends, if any."""
    try:
        events.extend(response.event for response in call)
    except grpc.RpcError as error:
        return _refusal(error)
    return None


def _refusal(error: Any) -> Refusal:
    refusal = Refusal()
    try:
        with refused(error.code().name, "SHUTTING_DOWN") as refusal:
            raise error
    except AssertionError:
        pass  # a status without details: the connection went
    return refusal


def test_a_server_that_is_stopped_is_gone_in_time_whatever_its_nodes_do(
    stopped: Stopped,
) -> None:
    assert stopped.code == 0
    assert GRACE <= stopped.seconds < GRACE + MARGIN


@pytest.mark.parametrize("graph", ["gated", "gated_sync", "stubborn"])
def test_a_node_that_does_not_finish_in_time_is_run_again_by_whoever_goes_on(
    stopped: Stopped, graph: str
) -> None:
    seen, refusal = stopped.events[graph], stopped.refusals[graph]
    run_id = stopped.begun[graph].run_id
    assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
    assert refusal.metadata == {"run_id": run_id, "last_sequence": str(seen[-1].sequence)}
    run = wait(stopped.runs, run_id).run
    assert (run.status, run.attempt) == (run_pb2.RUN_STATUS_SUCCEEDED, 2)
    events = join(stopped.runs, run_id)
    assert events[: len(seen)] == seen
    assert shapes(events[len(seen) :]) == [
        ("attempt_started",),
        ("updates", "gate", {"log": ["gate"]}),
        ("updates", "after", {"log": ["after"]}),
        ("end", "SUCCEEDED"),
    ]


def test_a_manual_run_that_does_not_finish_in_time_fails_and_its_stream_says_so(
    stopped: Stopped,
) -> None:
    events = checked(stopped.events["manual"])
    end = events[-1].end
    assert end.status == run_pb2.RUN_STATUS_FAILED
    assert (end.error.type, end.error.message) == (
        "ServerLost",
        "the server stopped while the run was executing",
    )
    # After the restart it is what it was, and the thread can be resumed.
    run = get_run(stopped.runs, stopped.begun["manual"].run_id)
    assert (run.status, run.error, run.attempt) == (end.status, end.error, 1)
    assert join(stopped.runs, run.run_id) == events
    assert get_thread(stopped.threads, run.thread_id).error == end.error
    resumed = stream(stopped.runs, thread_id=run.thread_id, resume={})
    assert shapes(resumed) == [
        ("updates", "gate", {"log": ["gate"]}),
        ("updates", "after", {"log": ["after"]}),
        ("end", "SUCCEEDED"),
    ]


def test_a_stream_that_has_not_come_to_its_end_says_where_to_go_on_and_when(
    stopped: Stopped,
) -> None:
    run = stopped.begun["delayed"]
    assert [event.WhichOneof("event") for event in stopped.events["delayed"]] == ["metadata"]
    for name in ("delayed", "wait"):
        refusal = stopped.refusals[name]
        assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert refusal.metadata == {"run_id": run.run_id, "last_sequence": "1"}
        assert refusal.retry_after == 1.0
    # The run itself is not lost: it waits for its time.
    assert get_run(stopped.runs, run.run_id).status == run_pb2.RUN_STATUS_PENDING


def test_a_reader_that_was_cut_off_behind_the_end_goes_on_where_it_was(
    stopped: Stopped,
) -> None:
    seen = stopped.events["slow"]
    whole = join(stopped.runs, stopped.begun["slow"].run_id)
    assert seen == whole[: len(seen)]
    if len(seen) < len(whole):
        assert stopped.refusals["slow"].code == "UNAVAILABLE"
    rest = runs_pb2.JoinRunRequest(
        run_id=stopped.begun["slow"].run_id, after_sequence=seen[-1].sequence
    )
    went_on = [r.event for r in stopped.runs.JoinRun(rest, timeout=DEADLINE)]
    assert seen + went_on == whole


def test_no_run_that_was_accepted_is_lost_by_the_stop(stopped: Stopped) -> None:
    assert stopped.accepted
    for run_id in stopped.accepted:
        assert wait(stopped.runs, run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert "Traceback" not in stopped.process.log


# --- refusing to start ---


def refuses_to_start(*options: str) -> str:
    """Starts a server that can't start; returns what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "graphwire", "serve", str(ZOO), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done
    (line,) = done.stderr.splitlines()
    return line


def test_a_second_server_on_one_database_does_not_start(
    server: ServerProcess, runs: runs_pb2_grpc.RunsStub
) -> None:
    said = refuses_to_start("--listen", "127.0.0.1:0", "--database", str(server.database))
    assert said == (
        f"graphwire: the database {server.database} is in use by another server, "
        f"process {server.pid}: stop it, or choose another file"
    )
    assert shapes(stream(runs, assistant_id="linear", input=LOG))[-1] == ("end", "SUCCEEDED")


def test_a_second_server_on_one_port_does_not_start(
    server: ServerProcess, runs: runs_pb2_grpc.RunsStub, tmp_path: Path
) -> None:
    database = tmp_path / "other.db"
    said = refuses_to_start("--listen", server.address, "--database", str(database))
    assert said == f"graphwire: can't listen on {server.address}: Address already in use"
    assert not database.exists()
    assert shapes(stream(runs, assistant_id="linear", input=LOG))[-1] == ("end", "SUCCEEDED")
