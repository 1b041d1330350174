"""Calls whose deadline is over: what they had not begun is not done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from graphwire.v1 import (
    assistants_pb2,
    assistants_pb2_grpc,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import DEADLINE, create, get_run, get_thread, new_thread, payload, wait
from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})
#: How long a call may take here, in seconds.
SHORT = 0.5


@pytest.fixture
def process(own_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A server that tells of each call, and keeps its lease while it can't write."""
    return own_server(env={"GRAPHWIRE_LOG_LEVEL": "debug", "GRAPHWIRE_LEASE_SECONDS": "600"})


@pytest.fixture
def channel(process: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(process.address) as channel:
        yield channel


def ended(process: ServerProcess) -> int:
    """How many calls have ended on the server as their time was over, or nobody waited."""
    return sum(process.log.count(f"code={code}") for code in ("DEADLINE_EXCEEDED", "CANCELLED"))


def test_a_write_whose_deadline_passes_before_it_begins_is_not_done(
    process: ServerProcess, channel: grpc.Channel
) -> None:
    runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
    assistants = assistants_pb2_grpc.AssistantsStub(channel)
    thread, edited = new_thread(threads), new_thread(threads)
    wait(runs, create(runs, thread_id=edited, assistant_id="linear", input=LOG).run_id)
    before = get_thread(threads, edited)
    run = runs_pb2.CreateRunRequest(thread_id=thread, assistant_id="linear", input=LOG)
    several = runs_pb2.CreateRunsRequest(requests=[run])
    state = threads_pb2.UpdateThreadStateRequest(thread_id=edited, values=LOG, as_node="c")
    calls: dict[str, tuple[Any, Any]] = {
        "CreateThread": (threads.CreateThread, threads_pb2.CreateThreadRequest(thread_id="new")),
        "DeleteThread": (threads.DeleteThread, threads_pb2.DeleteThreadRequest(thread_id=edited)),
        "UpdateThreadState": (threads.UpdateThreadState, state),
        "CreateRun": (runs.CreateRun, run),
        "CreateRuns": (runs.CreateRuns, several),
        "CreateAssistant": (
            assistants.CreateAssistant,
            assistants_pb2.CreateAssistantRequest(assistant_id="new", graph_id="linear"),
        ),
    }
    with sqlite3.connect(str(process.database), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        # Somebody is at the head of the queue: nobody else has begun.
        first = threads.CreateThread.future(
            threads_pb2.CreateThreadRequest(thread_id="first"), timeout=DEADLINE
        )
        late = {
            name: method.future(request, timeout=SHORT) for name, (method, request) in calls.items()
        }
        for name, call in late.items():
            error = call.exception()
            assert error is not None, name
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, (name, error)
        until(lambda: ended(process) == len(calls))
        other.execute("ROLLBACK")
    other.close()
    assert first.result().thread.thread_id == "first"
    found = threads.ListThreads(threads_pb2.ListThreadsRequest(), timeout=DEADLINE).threads
    assert {each.thread_id for each in found} == {thread, edited, "first"}
    assert get_thread(threads, edited) == before
    listed = runs.ListRuns(runs_pb2.ListRunsRequest(thread_id=thread), timeout=DEADLINE)
    assert not listed.runs
    named = assistants.ListAssistants(assistants_pb2.ListAssistantsRequest(), timeout=DEADLINE)
    assert "new" not in {each.assistant_id for each in named.assistants}
    # A request that was taken back can be made again.
    for name in ("CreateThread", "UpdateThreadState", "CreateRun", "CreateAssistant"):
        method, request = calls[name]
        method(request, timeout=DEADLINE)
    assert "Traceback" not in process.log


def test_a_call_that_waits_for_a_run_ends_with_its_deadline_and_the_run_goes_on(
    process: ServerProcess, channel: grpc.Channel, gate: Gate
) -> None:
    runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
    run = create(runs, thread_id=new_thread(threads), assistant_id="gated_sync", input=gate.input)
    gate.wait_begun()
    waiting: list[tuple[Any, Any]] = [
        (runs.WaitRun, runs_pb2.WaitRunRequest(run_id=run.run_id)),
        (runs.CancelRun, runs_pb2.CancelRunRequest(run_id=run.run_id, wait=True)),
    ]
    for number, (method, request) in enumerate(waiting, start=1):
        assert get_run(runs, run.run_id).status == run_pb2.RUN_STATUS_RUNNING
        with pytest.raises(grpc.RpcError) as caught:
            method(request, timeout=SHORT)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        until(lambda number=number: ended(process) == number)  # type: ignore[misc]
    gate.open()
    # That it was to be cancelled was said, and done, though nobody waited for it.
    assert wait(runs, run.run_id).run.status == run_pb2.RUN_STATUS_CANCELLED
