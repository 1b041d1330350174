"""What has had its time goes; what is left can be read, waited for and gone on with."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.cli.command import call
from tests.e2e.drive import (
    DEADLINE,
    get_run,
    join,
    new_thread,
    payload,
    refused,
    shapes,
    value,
    wait,
)
from tests.e2e.driven import INPUT, DrivenThread, resume
from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess

LOG = payload(INPUT)
EVERYTHING_OLD = ("--events-older-than", "0s", "--keep-latest")


@dataclass
class Served:
    """A server, and stubs to call it."""

    process: ServerProcess
    runs: runs_pb2_grpc.RunsStub
    threads: threads_pb2_grpc.ThreadsStub

    def thread(self, **fields: Any) -> DrivenThread:
        """Creates a thread."""
        return DrivenThread(self.runs, self.threads, new_thread(self.threads, **fields))

    def gone(self, thread: DrivenThread) -> bool:
        """Says whether a thread is not there any more."""
        request = threads_pb2.GetThreadRequest(thread_id=thread.thread_id)
        code: grpc.StatusCode = self.threads.GetThread.future(request, timeout=DEADLINE).code()
        return code is grpc.StatusCode.NOT_FOUND

    def prune(self, *options: str) -> None:
        """Has the command prune the database, under the eyes of the server."""
        result = call("db", "prune", "--database", str(self.process.database), *options)
        assert (result.code, result.err) == (0, "")


Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that by itself removes nothing, with a database that tests may prune."""
    process = ServerProcess(tmp_path_factory.mktemp("retention") / "graphwire.db").start()
    with grpc.insecure_channel(process.address) as channel:
        yield Served(
            process, runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
        )
    assert process.stop() == 0, process.log


@pytest.fixture
def serve(own_server: Callable[..., ServerProcess]) -> Iterator[Serve]:
    """Starts servers: `serve(THREAD_TTL_SECONDS="5")`."""
    channels: list[grpc.Channel] = []

    def serve(**settings: str) -> Served:
        process = own_server(env={f"GRAPHWIRE_{name}": text for name, text in settings.items()})
        channels.append(grpc.insecure_channel(process.address))
        stubs = runs_pb2_grpc.RunsStub(channels[-1]), threads_pb2_grpc.ThreadsStub(channels[-1])
        return Served(process, *stubs)

    yield serve
    for channel in channels:
        channel.close()


# --- threads ---


def test_a_thread_goes_when_its_ttl_is_over_unless_it_is_at_work_or_paused(
    serve: Serve, gate: Gate
) -> None:
    # So that it sweeps often; no other thread is deleted.
    served = serve(STATELESS_TTL_SECONDS="0.5")
    long, short = Duration(seconds=3600), Duration(nanos=500_000_000)
    done, paused, busy, ended = used = [served.thread(ttl=long) for _ in range(4)]
    unused, default, kept = served.thread(ttl=short), served.thread(), served.thread(ttl=Duration())
    assert done.now.ttl == long
    assert kept.now.HasField("ttl")
    assert not default.now.HasField("ttl")
    busy_run = busy.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    paused.start("ask")
    run_id = done.start("linear")[0].run_id
    ended.start("boom")
    # From now on they may go at any moment, on a busy machine before the next call.
    for thread in used:
        request = threads_pb2.UpdateThreadRequest(thread_id=thread.thread_id, ttl=short)
        assert served.threads.UpdateThread(request, timeout=DEADLINE).thread.ttl == short
    for thread in (unused, done, ended):
        until(lambda thread=thread: served.gone(thread), "the thread is deleted")  # type: ignore[misc]
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        join(served.runs, run_id)
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        done.start("linear")
    for thread in (paused, busy, default, kept):
        assert not served.gone(thread)
    assert get_run(served.runs, busy_run).status == run_pb2.RUN_STATUS_RUNNING
    gate.open()
    paused.create(resume=resume({"answer": "Ada"}))
    for thread in (paused, busy):
        until(lambda thread=thread: served.gone(thread), "the thread is deleted")  # type: ignore[misc]
    assert not served.gone(default)
    assert not served.gone(kept)


def test_an_update_sets_a_ttl_and_leaves_the_rest(served: Served) -> None:
    thread = served.thread(metadata=payload({"a": 1}))
    hour = Duration(seconds=3600)
    request = threads_pb2.UpdateThreadRequest(thread_id=thread.thread_id, ttl=hour)
    updated = served.threads.UpdateThread(request, timeout=DEADLINE).thread
    assert (updated.ttl, value(updated.metadata)) == (hour, {"a": 1})
    request = threads_pb2.UpdateThreadRequest(
        thread_id=thread.thread_id, metadata=payload({"b": 2})
    )
    updated = served.threads.UpdateThread(request, timeout=DEADLINE).thread
    assert (updated.ttl, value(updated.metadata)) == (hour, {"a": 1, "b": 2})
    assert thread.now == updated


def test_a_request_id_is_for_one_ttl(served: Served) -> None:
    for seconds in (60, 60):
        served.thread(thread_id="t", ttl=Duration(seconds=seconds), request_id="r")
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        served.thread(thread_id="t", ttl=Duration(seconds=61), request_id="r")


def test_a_server_deletes_threads_that_nobody_has_used_for_its_time(serve: Serve) -> None:
    served = serve(THREAD_TTL_SECONDS="0.5")
    thread, own = served.thread(), served.thread(ttl=Duration(seconds=3600))
    # Made together with its run: alone it might be gone before that.
    paused = DrivenThread(served.runs, served.threads, str(uuid.uuid4()))
    paused.create(assistant_id="ask", input=LOG, if_not_exists=run_pb2.IF_NOT_EXISTS_CREATE)
    until(lambda: paused.status == "INTERRUPTED", "the thread is paused")
    until(lambda: served.gone(thread), "the thread is deleted")
    assert not served.gone(paused)
    assert not served.gone(own)


# --- events ---


def test_runs_without_their_first_events_are_told_of_waited_for_and_joined_at_the_rest(
    serve: Serve,
) -> None:
    served = serve(EVENT_TTL_SECONDS="0.5")
    thread = served.thread()
    request = runs_pb2.StreamRunRequest(
        thread_id=thread.thread_id, assistant_id="ask_parallel", input=LOG, request_id="r"
    )
    events = [r.event for r in served.runs.StreamRun(request, timeout=DEADLINE)]
    run_id, last = events[0].run_id, events[-1].sequence
    waited = wait(served.runs, run_id)
    assert len(waited.pauses) == 2

    def trimmed() -> bool:
        try:
            join(served.runs, run_id)
        except grpc.RpcError as error:
            return bool(error.code() is grpc.StatusCode.OUT_OF_RANGE)
        return False

    until(trimmed, "events are removed")
    kept = {
        "oldest_sequence": str(last - 1),
        "last_sequence": str(last),
        "after_sequence": str(last - 2),
    }
    with refused("OUT_OF_RANGE", "SEQUENCE_OUT_OF_RANGE") as refusal:
        join(served.runs, run_id)
    assert refusal.metadata == kept
    with refused("OUT_OF_RANGE", "SEQUENCE_OUT_OF_RANGE") as refusal:
        list(served.runs.StreamRun(request, timeout=DEADLINE))
    assert refusal.metadata == kept
    assert join(served.runs, run_id, last - 2) == events[-2:]
    assert wait(served.runs, run_id) == waited
    assert [run.run_id for run in thread.runs()] == [run_id]


# --- checkpoints ---

PAUSING = (
    *("ask", "ask_twice", "ask_each", "ask_parallel", "ask_in_child", "stop_in_child"),
    *("stop_and_ask", "deep"),
)


def go_on(thread: DrivenThread) -> Any:
    """Resumes a thread at the first of its pauses; returns what the run said."""
    first = thread.pauses[0]
    if first.interrupt_id:
        return shapes(thread.resume(answers={first.pause_id: "yes"}))
    return shapes(thread.resume(pause_ids=[first.pause_id]))


@pytest.mark.parametrize("graph", PAUSING)
def test_a_paused_thread_that_was_pruned_is_resumed_as_any_other(
    served: Served, graph: str
) -> None:
    one, other = served.thread(), served.thread()
    for thread in (one, other):
        thread.start(graph)
    before, history = one.state(subgraphs=True), one.history()
    served.prune(*EVERYTHING_OLD)
    assert one.state(subgraphs=True) == before
    assert [state.checkpoint_id for state in one.history()] == [before.checkpoint_id]
    for state in history[1:]:
        with one.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
            one.stream(resume={}, checkpoint_id=state.checkpoint_id)
        with one.refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
            one.edit({"log": ["x"]}, checkpoint_id=state.checkpoint_id, as_node="__start__")
    while one.pauses:
        assert go_on(one) == go_on(other)
        served.prune(*EVERYTHING_OLD)
        assert len(one.history()) == 1
    assert (one.stands(), one.log) == (other.stands(), other.log)
    assert one.status == "IDLE"


def test_a_server_that_keeps_the_latest_leaves_a_thread_its_head(serve: Serve) -> None:
    served = serve(CHECKPOINT_RETENTION="latest", STATELESS_TTL_SECONDS="0.5")
    thread = served.thread()
    for number in (1, 2):
        run_id = thread.start("linear")[0].run_id
        until(lambda: len(thread.history()) == 1, "the thread is pruned")
        assert thread.state().checkpoint_id == thread.now.checkpoint_id
        assert value(wait(served.runs, run_id).values) == {"log": ["in", "a", "b", "c"] * number}
    assert thread.log == ["in", "a", "b", "c"] * 2


def test_a_run_that_waits_keeps_the_checkpoint_that_it_is_to_start_from(served: Served) -> None:
    thread = served.thread()
    thread.start("linear")
    second = thread.checkpoint("b")
    delayed = thread.create(
        assistant_id="linear",
        command={"goto": [{"node": "c"}]},
        checkpoint_id=second,
        start_delay=Duration(seconds=1),
    )
    served.prune(*EVERYTHING_OLD)
    assert second in [state.checkpoint_id for state in thread.history()]
    assert thread.wait(delayed).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert thread.log[:2] == ["in", "a"]
