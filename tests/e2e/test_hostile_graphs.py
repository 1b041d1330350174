"""Graphs that do what no graph should: the run fails, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire.v1 import run_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    create,
    get_run,
    get_thread,
    list_runs,
    namespace,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    value,
    wait,
)
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})

#: What a node raises, by the name that it has in the zoo: class and text.
RAISED = {
    "exit": ("SystemExit", "bye"),
    "exit 3": ("SystemExit", "3"),
    "ctrl-c": ("KeyboardInterrupt", ""),
    "group": ("BaseExceptionGroup", "several (2 sub-exceptions)"),
    "exception group": ("ExceptionGroup", "several (2 sub-exceptions)"),
    "custom": ("CustomExit", "custom"),
    "generator exit": ("GeneratorExit", ""),
    "timeout": ("TimeoutError", "mine"),
    "unprintable": ("UnprintableError", "<str() raised RuntimeError>"),
    "surrogate": ("ValueError", "\ufffd and \x00"),
    "long": ("ValueError", "x" * 9_999 + "…"),
}
#: Where it is raised: the graph, the failing node, and the subgraph that it is in.
PLACES = {
    "fails": ("fail", ""),
    "fails_later": ("fail", ""),
    "fails_sync": ("fail", ""),
    "fails_beside": ("fail", ""),
    "fails_in_child": ("fail", "child"),
    "fails_in_router": ("fine", ""),
}


def as_kind(kind: str) -> Any:
    return payload({"log": ["in"], "path": kind})


@pytest.mark.parametrize("graph", PLACES)
@pytest.mark.parametrize("kind", RAISED)
def test_whatever_a_node_raises_fails_its_run_with_class_text_and_place(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    graph: str,
    kind: str,
) -> None:
    thread = new_thread(threads)
    events = stream(
        runs,
        thread_id=thread,
        assistant_id=graph,
        input=as_kind(kind),
        stream_modes=[run_pb2.STREAM_MODE_TASKS],
        stream_subgraphs=True,
    )
    end = events[-1].end
    assert end.status == run_pb2.RUN_STATUS_FAILED
    error = end.error
    assert (error.type, error.message) == RAISED[kind]
    assert (error.node, namespace(error.namespace)) == PLACES[graph]
    # The task says so as well, and so do the run and the thread.
    failed = [e.task_finished for e in events if e.task_finished.HasField("error")]
    assert [(t.node, t.error.type, t.error.message) for t in failed[:1]] == [
        (PLACES[graph][0], *RAISED[kind])
    ]
    assert get_run(runs, events[0].run_id).error == error
    left = get_thread(threads, thread)
    assert (left.status, left.error) == (threads_pb2.THREAD_STATUS_ERROR, error)


@pytest.mark.parametrize(
    ("kind", "node", "error_type", "text"),
    [
        ("cancelled", "fail", "NodeCancelledError", "Node 'fail' raised asyncio.CancelledError"),
        ("stop", "fail", "RuntimeError", "coroutine raised StopIteration"),
        ("stop async", "fail", "RuntimeError", "async generator raised StopAsyncIteration"),
        ("no update", "fail", "InvalidUpdateError", "Expected dict, got not an update"),
        ("two values", "fail", "InvalidUpdateError", "Expected dict, got [{'count': 1},"),
    ],
)
def test_what_python_or_langgraph_make_of_it_fails_the_run_all_the_same(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    kind: str,
    node: str,
    error_type: str,
    text: str,
) -> None:
    for graph in ("fails", "fails_later", "fails_beside"):
        events = stream(
            runs, thread_id=new_thread(threads), assistant_id=graph, input=as_kind(kind)
        )
        error = events[-1].end.error
        assert events[-1].end.status == run_pb2.RUN_STATUS_FAILED
        assert (error.type, error.node, list(error.namespace)) == (error_type, node, [])
        assert error.message.startswith(text)


@pytest.mark.parametrize(
    "durability", [run_pb2.DURABILITY_SYNC, run_pb2.DURABILITY_ASYNC], ids=["SYNC", "ASYNC"]
)
@pytest.mark.parametrize("graph", ["writes_a_lock", "writes_a_lock_in_child"])
def test_a_value_that_cannot_be_kept_fails_the_run_with_its_channel_and_its_node(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    graph: str,
    durability: run_pb2.Durability.ValueType,
) -> None:
    thread = new_thread(threads)
    events = stream(
        runs,
        thread_id=thread,
        assistant_id=graph,
        input=payload({"log": ["in"]}),
        durability=durability,
    )
    error = events[-1].end.error
    assert (error.type, error.node) == ("UnserializableError", "locks")
    assert "channel 'count'" in error.message
    assert namespace(error.namespace) == ("child" if graph.endswith("child") else "")
    assert get_thread(threads, thread).error == error


def test_a_thread_that_such_a_run_has_left_can_be_read_and_resumed(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    for kind in RAISED:
        thread = new_thread(threads)
        stream(runs, thread_id=thread, assistant_id="fails", input=as_kind(kind))
        request = threads_pb2.GetThreadStateRequest(thread_id=thread)
        state = threads.GetThreadState(request, timeout=DEADLINE).state
        assert value(state.values) == {"log": ["in", "fine"], "path": kind}
        assert list(state.next) == ["fail"]
        again = stream(runs, thread_id=thread, resume={})
        assert shapes(again) == [("end", "FAILED")]
        edit = threads_pb2.UpdateThreadStateRequest(
            thread_id=thread, values=payload({"path": "unknown channel"}), as_node="fine"
        )
        threads.UpdateThreadState(edit, timeout=DEADLINE)
        mended = stream(runs, thread_id=thread, resume={})
        assert shapes(mended)[-1] == ("end", "SUCCEEDED")


def test_other_runs_do_not_notice(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    server: ServerProcess,
) -> None:
    pid = server.pid
    healthy: list[str] = []
    failing: list[str] = []
    for kind in RAISED:
        for graph, graph_input, into in (
            ("linear", LOG, healthy),
            ("fails_beside", as_kind(kind), failing),
        ):
            run = create(runs, thread_id=new_thread(threads), assistant_id=graph, input=graph_input)
            into.append(run.run_id)
    assert {wait(runs, run_id).run.status for run_id in healthy} == {run_pb2.RUN_STATUS_SUCCEEDED}
    assert {wait(runs, run_id).run.status for run_id in failing} == {run_pb2.RUN_STATUS_FAILED}
    assert server.pid == pid


def test_an_exit_in_a_router_refuses_an_edit_of_the_state_and_no_more(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    for kind, (error_type, text) in RAISED.items():
        thread = new_thread(threads)
        request = threads_pb2.UpdateThreadStateRequest(
            thread_id=thread,
            assistant_id="fails_in_router",
            values=as_kind(kind),
            as_node="fine",
        )
        with refused("INVALID_ARGUMENT", "INVALID_UPDATE", "values") as refusal:
            threads.UpdateThreadState(request, timeout=DEADLINE)
        said = f"the graph refused the update: {error_type}: {text}"
        # Error texts of RPCs travel in HTTP headers and are cut to what those hold.
        assert said.startswith(refusal.text.removeprefix("values: ").rstrip("…"))
        assert get_thread(threads, thread).assistant_id == ""


# --- factories ---


def moody(mood: str, when: str) -> Any:
    return {"configurable": payload({"mood": mood, "when": when})}


@pytest.mark.parametrize(
    ("mood", "said"), [("bad", "RuntimeError: not today"), ("worse", "SystemExit: never")]
)
def test_a_factory_that_fails_when_it_is_asked_refuses_the_run(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, mood: str, said: str
) -> None:
    thread = new_thread(threads)
    with refused("INTERNAL", "GRAPH_UNAVAILABLE") as refusal:
        stream(
            runs,
            thread_id=thread,
            assistant_id="moody",
            input=LOG,
            config=moody(mood, "assistants.read"),
        )
    assert refusal.text == f'graph "moody" can\'t be built: {said}'
    assert list_runs(runs, thread) == []
    assert get_thread(threads, thread).assistant_id == ""


@pytest.mark.parametrize("mood", ["bad", "worse"])
def test_a_factory_that_fails_when_the_run_begins_fails_the_run(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, mood: str
) -> None:
    thread = new_thread(threads)
    events = stream(
        runs,
        thread_id=thread,
        assistant_id="moody",
        input=LOG,
        config=moody(mood, "threads.create_run"),
    )
    assert shapes(events) == [("end", "FAILED")]
    error = events[-1].end.error
    text = {"bad": "RuntimeError: not today", "worse": "SystemExit: never"}[mood]
    assert (error.type, error.node) == ("GraphBuildError", "")
    assert error.message == f'graph "moody" can\'t be built: {text}'
    assert get_thread(threads, thread).status == threads_pb2.THREAD_STATUS_ERROR
    # In a better mood the same thread works.
    events = stream(
        runs, thread_id=thread, assistant_id="moody", input=LOG, config=moody("", "never")
    )
    assert shapes(events) == [
        ("updates", "fine", {"log": ["fine"]}),
        ("updates", "fail", {"log": ["well"]}),
        ("end", "SUCCEEDED"),
    ]


@pytest.mark.parametrize("mood", ["bad", "worse"])
def test_a_factory_that_fails_to_clean_up_fails_the_run_and_keeps_its_state(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, mood: str
) -> None:
    thread = new_thread(threads)
    events = stream(
        runs,
        thread_id=thread,
        assistant_id="moody",
        input=LOG,
        config=moody(mood, "leaving threads.create_run"),
    )
    assert shapes(events) == [
        ("updates", "fine", {"log": ["fine"]}),
        ("updates", "fail", {"log": ["well"]}),
        ("end", "FAILED"),
    ]
    assert events[-1].end.error.type == "GraphBuildError"
    left = get_thread(threads, thread)
    assert (left.status, list(left.next)) == (threads_pb2.THREAD_STATUS_ERROR, [])
    assert value(wait(runs, events[0].run_id).values) == {"log": ["in", "fine", "well"]}
