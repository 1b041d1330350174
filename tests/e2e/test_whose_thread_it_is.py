"""A thread is of the assistant of its state, and of what runs or is paused on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import assistants_pb2_grpc, run_pb2, runs_pb2, threads_pb2

from tests.e2e.drive import DEADLINE, create, payload, refused, shapes
from tests.e2e.driven import DrivenThread
from tests.e2e.made import DONE, PAUSED, Driver, Threads, breakpoint_, ran
from tests.servers import ServerProcess

ENQUEUE, INTERRUPT = run_pb2.MULTITASK_STRATEGY_ENQUEUE, run_pb2.MULTITASK_STRATEGY_INTERRUPT
LOG = payload({"log": ["in"]})
LATER = {"seconds": 3600}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def grpc_channel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[grpc.Channel]:
    """A channel to a server of this file's own, on either database."""
    database: Path | str = tmp_path_factory.mktemp("whose") / "graphwire.db"
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        with postgres.fresh_database() as name:
            yield from _serving(postgres.url(name))
    else:
        yield from _serving(database)


def _serving(database: Path | str) -> Iterator[grpc.Channel]:
    server = ServerProcess(database).start()
    with grpc.insecure_channel(server.address) as channel:
        yield channel
    assert server.stop() == 0, server.log


@pytest.fixture
def made(grpc_channel: grpc.Channel) -> Driver:
    """The assistants of that server."""
    return Driver(assistants_pb2_grpc.AssistantsStub(grpc_channel))


@pytest.fixture
def careful(made: Driver) -> str:
    """An assistant that pauses before b."""
    return made.create(breakpoints=[breakpoint_("b")]).assistant_id


@pytest.fixture
def other(made: Driver) -> str:
    """Another one of the same graph, without breakpoints."""
    return made.create().assistant_id


def queue_behind_pause(thread: DrivenThread, first: str, second: str) -> tuple[str, str]:
    """Has one assistant pause on a thread, behind which new input for another one is queued."""
    together = [
        runs_pb2.CreateRunRequest(thread_id=thread.thread_id, assistant_id=first, input=LOG),
        queued(thread, second),
    ]
    request = runs_pb2.CreateRunsRequest(requests=together)
    runs = thread.runs_stub.CreateRuns(request, timeout=DEADLINE).runs
    assert thread.wait(runs[0].run_id).run.status == run_pb2.RUN_STATUS_INTERRUPTED
    return runs[0].run_id, runs[1].run_id


def queued(thread: DrivenThread, assistant_id: str, **fields: Any) -> runs_pb2.CreateRunRequest:
    return runs_pb2.CreateRunRequest(
        thread_id=thread.thread_id,
        assistant_id=assistant_id,
        input=LOG,
        multitask_strategy=ENQUEUE,
        **fields,
    )


def threads_of(threads: Threads, assistant_id: str) -> list[str]:
    """The threads that are listed for an assistant, which are as many as are counted."""
    which = threads_pb2.ThreadFilter(assistant_id=assistant_id)
    found = threads.ListThreads(threads_pb2.ListThreadsRequest(filter=which), timeout=DEADLINE)
    counted = threads.CountThreads(
        threads_pb2.CountThreadsRequest(filter=which), timeout=DEADLINE
    ).count
    assert counted == len(found.threads)
    return [thread.thread_id for thread in found.threads]


def test_what_is_queued_behind_a_pause_does_not_make_the_thread_its_assistants(
    made: Driver, thread: DrivenThread, threads: Threads, careful: str, other: str
) -> None:
    _, run_id = queue_behind_pause(thread, careful, other)
    for _ in ("while it waits", "after it was cancelled"):
        assert thread.now.assistant_id == careful
        assert threads_of(threads, careful) == [thread.thread_id]
        assert threads_of(threads, other) == []
        with thread.refused("FAILED_PRECONDITION", "ASSISTANT_IN_USE") as refusal:
            made.delete(careful)
        assert refusal.metadata == {"thread_id": thread.thread_id, "status": "INTERRUPTED"}
        if thread.runs()[0].status == run_pb2.RUN_STATUS_PENDING:
            thread.cancel(run_id)
    made.delete(other, delete_threads=True)
    assert thread.stands() == ("INTERRUPTED", ["b"], [("BREAKPOINT_BEFORE", "b")])
    assert shapes(thread.resume(assistant_id=careful)) == [*ran("b", "c"), DONE]


def test_it_is_its_assistants_when_its_turn_has_come(
    made: Driver, thread: DrivenThread, threads: Threads, careful: str, other: str
) -> None:
    first, second = queue_behind_pause(thread, careful, other)
    thread.cancel(first)
    assert thread.wait(second).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert thread.now.assistant_id == other
    assert threads_of(threads, careful) == []
    made.delete(careful, delete_threads=True)
    assert thread.log == ["in", "a", "in", "a", "b", "c"]


@pytest.mark.parametrize("delete_threads", [False, True])
def test_a_queued_run_keeps_its_assistant_on_anybodys_thread(
    made: Driver, thread: DrivenThread, careful: str, other: str, *, delete_threads: bool
) -> None:
    _, run_id = queue_behind_pause(thread, careful, other)
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_IN_USE") as refusal:
        made.delete(other, delete_threads=delete_threads)
    status = {"thread_id": thread.thread_id, "status": "INTERRUPTED"}
    assert refusal.metadata == {**status, "run_id": run_id}
    assert made.get(other).version == 1


def test_a_thread_is_not_deleted_with_its_assistant_under_a_queued_run_of_another_one(
    made: Driver, thread: DrivenThread, careful: str, other: str
) -> None:
    # Of its threads one could be deleted, and is not.
    paused = DrivenThread(thread.runs_stub, thread.threads_stub)
    assert shapes(paused.start(careful))[-1] == PAUSED
    _, run_id = queue_behind_pause(thread, careful, other)
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_IN_USE") as refusal:
        made.delete(careful, delete_threads=True)
    assert refusal.metadata["run_id"] == run_id
    assert paused.status == "INTERRUPTED"
    thread.cancel(run_id)
    made.delete(careful, delete_threads=True)
    for gone in (thread, paused):
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            _ = gone.now


def test_a_new_thread_is_the_assistants_of_the_run_that_is_first_in_line(
    made: Driver, thread: DrivenThread, threads: Threads, careful: str, other: str
) -> None:
    assert thread.now.assistant_id == ""
    request = queued(thread, careful, start_delay=LATER)
    first = thread.runs_stub.CreateRun(request, timeout=DEADLINE).run.run_id
    second = thread.runs_stub.CreateRun(queued(thread, other), timeout=DEADLINE).run.run_id
    assert thread.now.assistant_id == careful
    assert threads_of(threads, careful) == [thread.thread_id]
    for assistant_id in (careful, other):
        with thread.refused("FAILED_PRECONDITION", "ASSISTANT_IN_USE"):
            made.delete(assistant_id, delete_threads=True)
    thread.cancel(first)
    assert thread.now.assistant_id == other
    assert thread.wait(second).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert threads_of(threads, other) == [thread.thread_id]


def test_a_thread_without_a_state_refuses_nobody_when_what_was_queued_is_gone(
    thread: DrivenThread, threads: Threads, other: str
) -> None:
    run_id = thread.create(assistant_id=other, input=LOG, start_delay=LATER)
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        create(thread.runs_stub, thread_id=thread.thread_id, assistant_id="ask", input=LOG)
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.runs_stub.CreateRun(queued(thread, "ask"), timeout=DEADLINE)
    thread.cancel(run_id)
    assert (thread.now.assistant_id, threads_of(threads, other)) == ("", [])
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_REQUIRED"):
        thread.edit({"log": ["edited"]})
    assert shapes(thread.start("ask"))[-1] == PAUSED
    assert thread.now.assistant_id == "ask"


def test_who_takes_the_place_of_all_that_is_queued_may_be_of_another_graph(
    thread: DrivenThread, other: str
) -> None:
    run_id = thread.create(assistant_id=other, input=LOG, start_delay=LATER)
    assert shapes(thread.start("ask", multitask_strategy=INTERRUPT))[-1] == PAUSED
    assert thread.wait(run_id).run.status == run_pb2.RUN_STATUS_CANCELLED
    assert thread.now.assistant_id == "ask"


def test_a_thread_that_was_created_for_an_assistant_stays_its(
    thread: DrivenThread, threads: Threads, careful: str, other: str
) -> None:
    request = threads_pb2.CreateThreadRequest(assistant_id=careful)
    created = threads.CreateThread(request, timeout=DEADLINE).thread.thread_id
    thread = DrivenThread(thread.runs_stub, threads, created)
    run_id = thread.create(assistant_id=other, input=LOG, start_delay=LATER)
    assert thread.now.assistant_id == careful
    thread.cancel(run_id)
    assert thread.now.assistant_id == careful
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.start("ask")
