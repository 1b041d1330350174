"""Runs without a thread of the caller's: where they live, how they pause, when they go."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
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
from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})
IDLE, PAUSED = threads_pb2.THREAD_STATUS_IDLE, threads_pb2.THREAD_STATUS_INTERRUPTED


def listed(threads: threads_pb2_grpc.ThreadsStub) -> list[str]:
    """The ids of all threads that are listed."""
    ids, token = [], ""
    while True:
        request = threads_pb2.ListThreadsRequest(page_size=1000, page_token=token)
        page = threads.ListThreads(request, timeout=DEADLINE)
        ids += [thread.thread_id for thread in page.threads]
        token = page.next_page_token
        if not token:
            return ids


def test_a_stateless_run_has_a_thread_of_its_own_that_its_first_event_names(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(runs, assistant_id="linear", input=LOG)
    assert shapes(events) == [
        ("updates", "a", {"log": ["a"]}),
        ("updates", "b", {"log": ["b"]}),
        ("updates", "c", {"log": ["c"]}),
        ("end", "SUCCEEDED"),
    ]
    thread_id = events[0].metadata.thread_id
    thread = get_thread(threads, thread_id)
    assert (thread.stateless, thread.status, thread.assistant_id) == (True, IDLE, "linear")
    assert [run.run_id for run in list_runs(runs, thread_id)] == [events[0].run_id]
    assert value(wait(runs, events[0].run_id).values) == {"log": ["in", "a", "b", "c"]}
    # The next one shares nothing with it.
    other = create(runs, assistant_id="linear", input=LOG)
    assert other.thread_id not in ("", thread_id)
    assert value(wait(runs, other.run_id).values) == {"log": ["in", "a", "b", "c"]}


def test_threads_of_stateless_runs_are_neither_listed_nor_counted(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    mine = new_thread(threads, metadata=payload({"of": "test_stateless_runs"}))
    paused = stream(runs, assistant_id="ask", input=LOG)[0].metadata.thread_id
    ended = stream(runs, assistant_id="linear", input=LOG)[0].metadata.thread_id
    ids = listed(threads)
    assert mine in ids
    assert not {paused, ended} & set(ids)
    count = threads.CountThreads(threads_pb2.CountThreadsRequest(), timeout=DEADLINE).count
    assert count == len(ids)


def test_one_that_pauses_is_resumed_by_the_thread_that_its_events_name(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(runs, assistant_id="ask", input=LOG, interrupt_before=["after"])
    assert shapes(events) == [
        ("interrupted", [("INTERRUPT", "ask", {"question": "name"})], ["ask"]),
        ("end", "INTERRUPTED"),
    ]
    thread_id = events[0].metadata.thread_id
    assert get_thread(threads, thread_id).status == PAUSED
    (pause,) = next(e for e in events if e.HasField("interrupted")).interrupted.pauses
    assert pause.thread_id == thread_id
    second = stream(runs, thread_id=thread_id, resume={"answer": payload("Ada")})
    assert shapes(second) == [
        ("updates", "ask", {"log": ["name: 'Ada'"]}),
        ("interrupted", [("BREAKPOINT_BEFORE", "after")], ["after"]),
        ("end", "INTERRUPTED"),
    ]
    third = stream(runs, thread_id=thread_id, resume={})
    assert shapes(third) == [("updates", "after", {"log": ["after"]}), ("end", "SUCCEEDED")]
    assert get_thread(threads, thread_id).stateless


def test_a_stateless_run_takes_an_assistant_and_input(
    runs: runs_pb2_grpc.RunsStub,
) -> None:
    with refused("INVALID_ARGUMENT", "MISSING_FIELD", "assistant_id"):
        stream(runs, input=LOG)
    with refused("INVALID_ARGUMENT", "MISSING_FIELD", "thread_id"):
        stream(runs, assistant_id="linear", resume={})
    with refused("INVALID_ARGUMENT", "MISSING_FIELD", "thread_id"):
        stream(runs, assistant_id="linear", command={"goto": [{"node": "b"}]})


def test_a_thread_that_is_kept_is_like_others(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    keep = run_pb2.ON_COMPLETION_KEEP
    kept = stream(runs, assistant_id="linear", input=LOG, on_completion=keep)[0].metadata.thread_id
    named = new_thread(threads)
    stream(runs, thread_id=named, assistant_id="linear", input=LOG, on_completion=keep)
    for thread_id in (kept, named):
        assert not get_thread(threads, thread_id).stateless
        assert thread_id in listed(threads)
    stream(runs, thread_id=kept, assistant_id="linear", input=LOG)
    delete = run_pb2.ON_COMPLETION_DELETE
    events = stream(runs, assistant_id="linear", input=LOG, on_completion=delete)
    assert get_thread(threads, events[0].metadata.thread_id).stateless


@pytest.fixture
def forgetful(
    own_server: Callable[..., ServerProcess],
) -> Iterator[tuple[ServerProcess, runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub]]:
    """A server that deletes threads of stateless runs soon after their end."""
    process = own_server(env={"GRAPHWIRE_STATELESS_TTL_SECONDS": "0.5"})
    with grpc.insecure_channel(process.address) as channel:
        yield process, runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)


def test_the_thread_of_a_stateless_run_is_deleted_a_while_after_its_end_and_not_before(
    forgetful: tuple[ServerProcess, runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub],
    gate: Gate,
) -> None:
    process, runs, threads = forgetful

    def gone(thread_id: str) -> bool:
        request = threads_pb2.GetThreadRequest(thread_id=thread_id)
        code: grpc.StatusCode = threads.GetThread.future(request, timeout=DEADLINE).code()
        return code is grpc.StatusCode.NOT_FOUND

    kept = stream(runs, assistant_id="linear", input=LOG, on_completion=run_pb2.ON_COMPLETION_KEEP)[
        0
    ].metadata.thread_id
    asking = stream(runs, assistant_id="ask", input=LOG)
    running = create(runs, assistant_id="gated", input=gate.input)
    succeeded = stream(runs, assistant_id="linear", input=LOG)
    failed = stream(runs, assistant_id="boom", input=LOG)
    for events in (succeeded, failed):
        thread_id = events[0].metadata.thread_id
        until(lambda gone_id=thread_id: gone(gone_id), "the thread is deleted")  # type: ignore[misc]
        with refused("NOT_FOUND", "RUN_NOT_FOUND"):
            get_run(runs, events[0].run_id)

    # What waits, works or has a name of its own stays; what has come to its end since, goes.
    asking_id = asking[0].metadata.thread_id
    assert not gone(kept)
    assert not gone(asking_id)
    assert get_run(runs, running.run_id).status == run_pb2.RUN_STATUS_RUNNING
    gate.open()
    stream(runs, thread_id=asking_id, resume={"answer": payload("Ada")})
    for thread_id in (asking_id, running.thread_id):
        until(lambda gone_id=thread_id: gone(gone_id), "the thread is deleted")  # type: ignore[misc]
    assert not gone(kept)

    # Their checkpoints go with them.
    process.stop()
    with closing(sqlite3.connect(process.database)) as database:
        rows = database.execute("SELECT DISTINCT thread_id FROM gw_checkpoints").fetchall()
    assert rows == [(kept,)]
