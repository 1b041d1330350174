"""Limits on runs: steps, time, and how many execute at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import grpc
import pytest
from graphwire.v1 import (
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import (
    DEADLINE,
    cancel,
    create,
    get_run,
    get_thread,
    list_runs,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    value,
    wait,
)
from tests.e2e.gates import Gate
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})
PENDING, RUNNING, INTERRUPTED, SUCCEEDED, CANCELLED, TIMED_OUT = (
    run_pb2.RUN_STATUS_PENDING,
    run_pb2.RUN_STATUS_RUNNING,
    run_pb2.RUN_STATUS_INTERRUPTED,
    run_pb2.RUN_STATUS_SUCCEEDED,
    run_pb2.RUN_STATUS_CANCELLED,
    run_pb2.RUN_STATUS_TIMED_OUT,
)
BUSY, ERROR = threads_pb2.THREAD_STATUS_BUSY, threads_pb2.THREAD_STATUS_ERROR

Stubs = tuple[runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub, server_pb2_grpc.ServerStub]


def stubs_of(database_folder: pytest.TempPathFactory, env: dict[str, str]) -> Iterator[Stubs]:
    process = ServerProcess(database_folder.mktemp("limited") / "graphwire.db", env=env).start()
    with grpc.insecure_channel(process.address) as channel:
        yield (
            runs_pb2_grpc.RunsStub(channel),
            threads_pb2_grpc.ThreadsStub(channel),
            server_pb2_grpc.ServerStub(channel),
        )
    assert process.stop() == 0


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stubs]:
    """A server that executes one run at a time, of few steps."""
    env = {
        "GRAPHWIRE_MAX_CONCURRENT_RUNS": "1",
        "GRAPHWIRE_DEFAULT_RECURSION_LIMIT": "4",
        "GRAPHWIRE_MAX_RECURSION_LIMIT": "6",
    }
    yield from stubs_of(tmp_path_factory, env)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stubs]:
    """A server that gives each run a second."""
    yield from stubs_of(tmp_path_factory, {"GRAPHWIRE_MAX_RUN_SECONDS": "1"})


def limits(server: server_pb2_grpc.ServerStub) -> server_pb2.ServerLimits:
    return server.GetServerInfo(server_pb2.GetServerInfoRequest(), timeout=DEADLINE).limits


# --- steps ---


def test_a_graph_without_an_end_fails_after_25_steps(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    events = stream(runs, thread_id=thread, assistant_id="endless", input=LOG)
    assert shapes(events) == [("updates", "again", {"log": ["again"]})] * 25 + [("end", "FAILED")]
    error = events[-1].end.error
    assert (error.type, error.node) == ("GraphRecursionError", "")
    assert error.message.startswith("Recursion limit of 25 reached")
    left = get_thread(threads, thread)
    assert (left.status, list(left.next)) == (ERROR, ["again"])


def test_a_run_can_name_another_limit_which_those_that_go_on_from_it_keep(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    first = stream(
        runs, thread_id=thread, assistant_id="endless", input=LOG, config={"recursion_limit": 3}
    )
    assert shapes(first)[-2:] == [("updates", "again", {"log": ["again"]}), ("end", "FAILED")]
    assert len(first) == 1 + 3 + 1
    # When it goes on, LangGraph counts two steps less.
    kept = stream(runs, thread_id=thread, resume={})
    assert len(kept) == 1 + 5 + 1
    other = stream(runs, thread_id=thread, resume={}, config={"recursion_limit": 5})
    assert len(other) == 1 + 7 + 1


def test_a_limit_beyond_the_servers_cap_is_refused(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    server_stub: server_pb2_grpc.ServerStub,
) -> None:
    thread = new_thread(threads)
    cap = limits(server_stub).max_recursion_limit
    assert cap == 1000
    for limit, status, reason in (
        (cap + 1, "OUT_OF_RANGE", "BEYOND_LIMIT"),
        (-1, "INVALID_ARGUMENT", "INVALID_FIELD"),
    ):
        with refused(status, reason, "config.recursion_limit"):
            stream(
                runs,
                thread_id=thread,
                assistant_id="linear",
                input=LOG,
                config={"recursion_limit": limit},
            )
    assert list_runs(runs, thread) == []
    events = stream(
        runs, thread_id=thread, assistant_id="linear", input=LOG, config={"recursion_limit": cap}
    )
    assert shapes(events)[-1] == ("end", "SUCCEEDED")


def test_default_and_cap_are_settings(narrow: Stubs) -> None:
    runs, threads, server = narrow
    said = limits(server)
    assert (said.default_recursion_limit, said.max_recursion_limit) == (4, 6)
    thread = new_thread(threads)
    assert len(stream(runs, thread_id=thread, assistant_id="endless", input=LOG)) == 1 + 4 + 1
    with refused("OUT_OF_RANGE", "BEYOND_LIMIT", "config.recursion_limit") as refusal:
        stream(runs, thread_id=thread, resume={}, config={"recursion_limit": 7})
    assert refusal.metadata == {"limit": "max_recursion_limit", "value": "7", "maximum": "6"}


# --- time ---


@pytest.mark.parametrize("graph", ["gated", "gated_sync", "stubborn"])
def test_a_run_that_takes_too_long_is_timed_out_and_can_be_resumed(
    hasty: Stubs, gate: Gate, graph: str
) -> None:
    runs, threads, _ = hasty
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id=graph, input=gate.input)
    gate.wait_begun()
    if graph != "gated":
        # It can't be stopped: the run is over when the node has returned.
        with pytest.raises(grpc.RpcError):
            runs.WaitRun(runs_pb2.WaitRunRequest(run_id=run.run_id), timeout=2)
        assert get_run(runs, run.run_id).status == RUNNING
        gate.open()
    ended = wait(runs, run.run_id)
    assert ended.run.status == TIMED_OUT
    assert (ended.run.error.type, ended.run.error.message) == (
        "RunTimeout",
        "the run took longer than 1 s, the server's limit",
    )
    took = ended.run.end_time.ToMicroseconds() - ended.run.start_time.ToMicroseconds()
    assert took >= 1_000_000
    left = get_thread(threads, thread)
    assert (left.status, left.error.type) == (ERROR, "RunTimeout")
    # What a node in a thread returns then is dropped; a coroutine has finished its step.
    assert list(left.next) == (["after"] if graph == "stubborn" else ["gate"])
    gate.open()
    events = stream(runs, thread_id=thread, resume={})
    assert shapes(events)[-1] == ("end", "SUCCEEDED")


def test_a_nodes_own_timeout_is_its_failure_and_not_the_runs_limit(hasty: Stubs) -> None:
    runs, threads, _ = hasty
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="fails",
        input=payload({"log": ["in"], "path": "timeout"}),
    )
    assert shapes(events)[-1] == ("end", "FAILED")
    assert (events[-1].end.error.type, events[-1].end.error.message) == ("TimeoutError", "mine")


def test_time_in_the_queue_and_time_paused_do_not_count(hasty: Stubs, gate: Gate) -> None:
    runs, threads, server = hasty
    assert limits(server).max_run_time.ToSeconds() == 1
    thread = new_thread(threads)
    first = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
    second = create(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=gate.input,
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    assert wait(runs, first.run_id).run.status == TIMED_OUT
    # In the queue and at work together it takes longer than the limit.
    time.sleep(0.3)
    gate.open()
    ended = wait(runs, second.run_id).run
    assert ended.status == SUCCEEDED
    assert ended.end_time.ToMicroseconds() - ended.create_time.ToMicroseconds() > 1_000_000


# --- how many at once ---


def test_beyond_the_limit_on_concurrent_runs_a_run_waits_for_a_place(
    narrow: Stubs, gate: Gate
) -> None:
    runs, threads, server = narrow
    assert limits(server).max_concurrent_runs == 1
    first = create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
    waiting = new_thread(threads)
    second = create(runs, thread_id=waiting, assistant_id="linear", input=LOG)
    assert (first.status, second.status) == (RUNNING, PENDING)
    assert get_thread(threads, waiting).status == BUSY
    gate.wait_begun()
    assert get_run(runs, second.run_id).status == PENDING
    gate.open()
    assert wait(runs, second.run_id).run.status == SUCCEEDED
    ended = wait(runs, first.run_id).run
    began = get_run(runs, second.run_id).start_time
    assert began.ToNanoseconds() >= ended.end_time.ToNanoseconds()


def test_a_run_that_waits_for_a_place_can_be_cancelled(narrow: Stubs, gate: Gate) -> None:
    runs, threads, _ = narrow
    first = create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
    second = create(runs, thread_id=new_thread(threads), assistant_id="linear", input=LOG)
    assert cancel(runs, second.run_id).status == CANCELLED
    gate.open()
    assert wait(runs, first.run_id).run.status == SUCCEEDED
    assert get_run(runs, second.run_id).status == CANCELLED


def test_a_resume_waits_for_no_place(narrow: Stubs, gate: Gate) -> None:
    runs, threads, _ = narrow
    thread = new_thread(threads)
    stream(runs, thread_id=thread, assistant_id="ask", input=LOG)
    running = create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
    gate.wait_begun()
    events = stream(runs, thread_id=thread, resume={"answer": payload("Ada")})
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    assert get_run(runs, running.run_id).status == RUNNING
    gate.open()
    wait(runs, running.run_id)


def test_the_limit_holds_when_many_runs_arrive_at_once(narrow: Stubs) -> None:
    runs, threads, _ = narrow
    ids = [new_thread(threads) for _ in range(40)]
    with ThreadPoolExecutor(20) as pool:
        made = list(
            pool.map(
                lambda thread: create(runs, thread_id=thread, assistant_id="linear", input=LOG),
                ids,
            )
        )
    finished = [wait(runs, run.run_id) for run in made]
    assert {ended.run.status for ended in finished} == {SUCCEEDED}
    assert all(value(ended.values)["log"] == ["in", "a", "b", "c"] for ended in finished)
    by_start = sorted((ended.run for ended in finished), key=lambda r: r.start_time.ToNanoseconds())
    assert all(
        earlier.end_time.ToNanoseconds() <= later.start_time.ToNanoseconds()
        for earlier, later in pairwise(by_start)
    )
