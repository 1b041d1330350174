"""Runs and threads of assistants that somebody has made: what they have of them, and what is
left of them when those are deleted."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import breakpoint_pb2, run_pb2, runs_pb2, threads_pb2

from tests.e2e.callers import CALLERS, at_once
from tests.e2e.drive import DEADLINE, get_run, payload, refused, shapes
from tests.e2e.driven import DrivenThread
from tests.e2e.gates import Gate
from tests.e2e.made import DONE, PAUSED, Driver, Runs, Stub, Threads, breakpoint_, ran, serving


@pytest.fixture(scope="module")
def grpc_channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """A channel to a server of this file's own, on which nobody else makes assistants."""
    with serving(tmp_path_factory.mktemp("made")) as channel:
        yield channel


# --- what a run has of it ---


def test_a_run_has_the_config_of_its_assistant_where_it_says_nothing(
    made: Driver, thread: DrivenThread
) -> None:
    assistant = made.create(
        "configured",
        config=run_pb2.RunConfig(tags=["own"], configurable=payload({"colour": "red", "n": 1})),
    )
    name = assistant.assistant_id
    thread.start(name)
    assert [line for line in thread.log if line.startswith(("colour", "tags"))] == [
        "colour=red",
        "tags=own",
    ]
    config = run_pb2.RunConfig(
        tags=["more", "own"], configurable=payload({"colour": "blue", "m": 2})
    )
    thread.start(name, config=config)
    assert [line for line in thread.log if line.startswith(("colour", "tags"))][2:] == [
        "colour=blue",
        "tags=own,more",
    ]


def test_the_recursion_limit_of_a_run_wins(
    made: Driver, thread: DrivenThread, runs: Runs, threads: Threads
) -> None:
    name = made.create(config=run_pb2.RunConfig(recursion_limit=2)).assistant_id
    failed = thread.start(name)
    assert shapes(failed)[-1] == ("end", "FAILED")
    assert failed[-1].end.error.type == "GraphRecursionError"
    other = DrivenThread(runs, threads)
    events = other.start(name, config=run_pb2.RunConfig(recursion_limit=9))
    assert shapes(events)[-1] == DONE


def test_a_run_has_the_context_of_its_assistant_under_its_own(
    made: Driver, thread: DrivenThread
) -> None:
    context = payload({"name": "Ada", "language": "de"})
    name = made.create("contextual", context=context).assistant_id
    thread.start(name)
    thread.start(name, context=payload({"name": "Zoë"}))
    assert thread.log == ["in", "Ada speaks de", "in", "Zoë speaks de"]
    with thread.refused("INVALID_ARGUMENT", "INVALID_FIELD", "context"):
        thread.start(name, context=payload({"names": "Zoë"}))


def test_a_graph_that_depends_on_config_is_that_of_the_assistant(
    made: Driver, assistants: Stub, thread: DrivenThread
) -> None:
    config = run_pb2.RunConfig(configurable=payload({"nodes": 3}))
    name = made.create("by_config", config=config, breakpoints=[breakpoint_("node2")]).assistant_id
    request = pb.GetAssistantGraphRequest(assistant_id=name)
    nodes = assistants.GetAssistantGraph(request, timeout=DEADLINE).nodes
    assert [node.name for node in nodes][1:-1] == ["node0", "node1", "node2"]
    assert thread.edit({"log": ["x"]}, as_node="node0", assistant_id=name).next == ["node1"]
    thread.resume()
    assert thread.stands() == ("INTERRUPTED", ["node2"], [("BREAKPOINT_BEFORE", "node2")])
    field = "breakpoints[0].node"
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", field):
        made.create("by_config", breakpoints=[breakpoint_("node2")])


def test_a_graph_that_depends_on_the_context_is_that_of_the_assistant(
    made: Driver, assistants: Stub, thread: DrivenThread
) -> None:
    context = payload({"nodes": 3})
    name = made.create(
        "by_config", context=context, breakpoints=[breakpoint_("node2")]
    ).assistant_id
    request = pb.GetAssistantGraphRequest(assistant_id=name)
    nodes = assistants.GetAssistantGraph(request, timeout=DEADLINE).nodes
    assert [node.name for node in nodes][1:-1] == ["node0", "node1", "node2"]
    assert thread.edit({"log": ["x"]}, as_node="node0", assistant_id=name).next == ["node1"]
    # What its breakpoints need can't be taken away.
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "breakpoints.breakpoints[0].node"):
        made.update(name, context=payload({"nodes": 1}))


def test_what_goes_on_keeps_the_version_and_new_input_gets_the_latest(
    made: Driver, thread: DrivenThread, runs: Runs
) -> None:
    assistant = made.create(
        "configured",
        config=run_pb2.RunConfig(configurable=payload({"colour": "red"})),
        breakpoints=[breakpoint_("show")],
    )
    name = assistant.assistant_id
    events = thread.start(name)
    assert shapes(events)[-1] == PAUSED
    made.update(
        name,
        config=run_pb2.RunConfig(configurable=payload({"colour": "blue"})),
        breakpoints=breakpoint_pb2.BreakpointList(),
    )
    resumed = thread.resume(config=run_pb2.RunConfig(tags=["late"]))
    assert shapes(resumed)[-1] == DONE
    assert [line for line in thread.log if line.startswith(("colour", "tags"))] == [
        "colour=red",
        "tags=late",
    ]
    fresh = thread.start(name)
    assert shapes(fresh)[-1] == DONE
    assert "colour=blue" in thread.log
    began = [get_run(runs, each[0].run_id) for each in (events, resumed, fresh)]
    assert [run.assistant_version for run in began] == [1, 1, 2]
    assert [[each.node for each in run.breakpoints] for run in began] == [["show"], ["show"], []]


def test_no_run_can_drop_the_breakpoints_of_its_assistant(
    made: Driver, thread: DrivenThread
) -> None:
    name = made.create(
        breakpoints=[
            breakpoint_("b", label="look"),
            breakpoint_("c", condition="size(state.log) > 100"),
        ]
    ).assistant_id
    assert shapes(thread.start(name, interrupt_before=["a"])) == [
        ("interrupted", [("BREAKPOINT_BEFORE", "a")], ["a"]),
        PAUSED,
    ]
    events = thread.resume(clear_breakpoints=True)
    assert shapes(events) == [
        *ran("a"),
        ("interrupted", [("BREAKPOINT_BEFORE", "b")], ["b"]),
        PAUSED,
    ]
    assert [(each.label, each.source) for each in thread.runs()[0].breakpoints] == [
        ("look", breakpoint_pb2.BREAKPOINT_SOURCE_ASSISTANT),
        ("", breakpoint_pb2.BREAKPOINT_SOURCE_ASSISTANT),
    ]
    # Nor by going on as another assistant of the graph, nor by a command.
    for other in ("linear", made.create().assistant_id):
        with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH") as refusal:
            thread.resume(assistant_id=other)
        assert refusal.metadata == {"assistant_id": name}
        with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
            thread.command(goto=["b"], resumes={}, assistant_id=other)
    events = thread.command(goto=["b"], on_pause=run_pb2.ON_PAUSE_DISCARD, clear_breakpoints=True)
    assert shapes(events)[-2:] == [("interrupted", [("BREAKPOINT_BEFORE", "b")], ["b"]), PAUSED]
    assert "b" not in thread.log


def test_a_thread_goes_on_with_any_assistant_of_its_graph_but_of_no_other(
    made: Driver, thread: DrivenThread
) -> None:
    first, second = made.create().assistant_id, made.create().assistant_id
    other = made.create("router").assistant_id
    for name in (first, second, "linear"):
        assert shapes(thread.start(name))[-1] == DONE
        assert thread.now.assistant_id == name
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH") as refusal:
        thread.start(other)
    assert refusal.metadata == {"assistant_id": "linear"}
    # Also when the thread's own assistant has come to run another graph.
    thread.start(first)
    made.update(first, graph_id="router")
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH") as refusal:
        thread.start(first)
    assert "belongs to the graph 'linear'" in refusal.text
    assert thread.log[-1] == "c"


def test_a_run_of_an_assistant_can_be_given_more_breakpoints(
    made: Driver, thread: DrivenThread
) -> None:
    name = made.create(breakpoints=[breakpoint_("a", breakpoint_id="theirs")]).assistant_id
    run_id = thread.start(name)[0].run_id
    request = runs_pb2.AddRunBreakpointsRequest(
        run_id=run_id, breakpoints=[breakpoint_("c", breakpoint_id="ours")]
    )
    added = thread.runs_stub.AddRunBreakpoints(request, timeout=DEADLINE).breakpoints
    assert [each.breakpoint_id for each in added] == ["ours"]
    thread.resume(clear_breakpoints=False)
    assert thread.stands() == ("INTERRUPTED", ["c"], [("BREAKPOINT_BEFORE", "c")])


# --- to delete ---


def test_an_assistant_that_is_deleted_is_gone(made: Driver, thread: DrivenThread) -> None:
    name = made.create().assistant_id
    thread.start(name)
    made.delete(name)
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
        made.get(name)
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
        made.delete(name)
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
        made.versions(name)
    with thread.refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
        thread.start(name)
    # Its thread can be read, edited, and gone on with by another assistant of the graph.
    assert (thread.now.assistant_id, thread.log) == (name, ["in", "a", "b", "c"])
    assert len(thread.history()) == 5
    thread.edit({"log": ["edited"]})
    assert shapes(thread.start("linear"))[-1] == DONE
    assert made.create(assistant_id=name).version == 1


def test_an_assistant_whose_threads_are_paused_is_kept_unless_they_go_too(
    made: Driver, thread: DrivenThread, threads: Threads
) -> None:
    name = made.create(breakpoints=[breakpoint_("b")]).assistant_id
    thread.start(name)
    done = DrivenThread(thread.runs_stub, threads)
    done.start(name, interrupt_before=[])
    done.resume()
    with refused("FAILED_PRECONDITION", "ASSISTANT_IN_USE") as refusal:
        made.delete(name)
    assert refusal.metadata == {"thread_id": thread.thread_id, "status": "INTERRUPTED"}
    assert made.get(name).version == 1
    made.delete(name, delete_threads=True)
    for gone in (thread, done):
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            _ = gone.now
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
        made.get(name)


def test_an_assistant_whose_threads_are_busy_is_kept_in_any_case(
    made: Driver, thread: DrivenThread, gate: Gate
) -> None:
    name = made.create("gated").assistant_id
    run_id = thread.create(assistant_id=name, input=gate.input)
    gate.wait_begun()
    for delete_threads in (False, True):
        with refused("FAILED_PRECONDITION", "ASSISTANT_IN_USE") as refusal:
            made.delete(name, delete_threads=delete_threads)
        busy = {"thread_id": thread.thread_id, "status": "BUSY"}
        assert refusal.metadata == {**busy, "run_id": run_id}
    gate.open()
    assert thread.wait(run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    made.delete(name)


def test_what_has_failed_can_be_resumed_when_its_assistant_is_gone(
    made: Driver, thread: DrivenThread
) -> None:
    name = made.create(
        "boom",
        config=run_pb2.RunConfig(tags=["x"]),
        breakpoints=[breakpoint_("fine", label="kept")],
    ).assistant_id
    thread.start(name)
    assert shapes(thread.resume())[-1] == ("end", "FAILED")
    made.delete(name)
    thread.edit({"log": ["again"]}, as_node="__start__")
    assert thread.stands() == ("INTERRUPTED", ["fine"], [("BREAKPOINT_BEFORE", "fine")])
    assert [each.label for each in thread.runs()[0].breakpoints] == ["kept"]
    assert shapes(thread.resume(assistant_id=name))[-1] == ("end", "FAILED")
    assert thread.log == ["in", "fine", "again", "fine"]
    run = thread.runs()[0]
    assert (run.assistant_id, run.assistant_version) == (name, 1)


def test_a_run_is_accepted_before_its_assistant_is_deleted_or_not_at_all(
    made: Driver, runs: Runs, threads: Threads
) -> None:
    for _ in range(5):
        name = made.create().assistant_id
        drivers = [DrivenThread(runs, threads) for _ in range(CALLERS - 1)]
        waiting = iter([*drivers, None])

        def act(name: str = name, waiting: Iterator[DrivenThread | None] = waiting) -> str:
            thread = next(waiting)
            try:
                if thread is None:
                    made.delete(name, delete_threads=True)
                else:
                    thread.create(assistant_id=name, input=payload({"log": ["in"]}))
            except grpc.RpcError as error:
                return error.code().name
            return "deleted" if thread is None else "accepted"

        outcomes = at_once(act)
        if "deleted" in outcomes:
            which = threads_pb2.ThreadFilter(assistant_id=name)
            request = threads_pb2.CountThreadsRequest(filter=which)
            assert threads.CountThreads(request, timeout=DEADLINE).count == 0
        assert {*outcomes} <= {"deleted", "accepted", "NOT_FOUND", "FAILED_PRECONDITION"}
