"""Assistants that somebody has made, and versions: what they are, what their runs have of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import (
    assistants_pb2_grpc,
    breakpoint_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.callers import CALLERS, at_once
from tests.e2e.drive import (
    DEADLINE,
    get_run,
    pause_shape,
    payload,
    refused,
    shapes,
    value,
)
from tests.e2e.driven import DrivenThread
from tests.e2e.gates import Gate
from tests.servers import ServerProcess

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub
Stub = assistants_pb2_grpc.AssistantsStub

DONE = ("end", "SUCCEEDED")
PAUSED = ("end", "INTERRUPTED")


class Driver:
    """The service, in plain calls."""

    def __init__(self, stub: Stub) -> None:
        """Takes the stub."""
        self.stub = stub

    def create(self, graph_id: str = "linear", **fields: Any) -> pb.Assistant:
        """Creates an assistant."""
        request = pb.CreateAssistantRequest(graph_id=graph_id, **fields)
        return self.stub.CreateAssistant(request, timeout=DEADLINE).assistant

    def update(self, assistant_id: str, **fields: Any) -> pb.Assistant:
        """Changes one."""
        request = pb.UpdateAssistantRequest(assistant_id=assistant_id, **fields)
        return self.stub.UpdateAssistant(request, timeout=DEADLINE).assistant

    def get(self, assistant_id: str) -> pb.Assistant:
        """Returns one."""
        request = pb.GetAssistantRequest(assistant_id=assistant_id)
        return self.stub.GetAssistant(request, timeout=DEADLINE).assistant

    def delete(self, assistant_id: str, *, delete_threads: bool = False) -> None:
        """Deletes one."""
        request = pb.DeleteAssistantRequest(
            assistant_id=assistant_id, delete_threads=delete_threads
        )
        self.stub.DeleteAssistant(request, timeout=DEADLINE)

    def set_latest(self, assistant_id: str, version: int) -> pb.Assistant:
        """Chooses a version."""
        request = pb.SetLatestAssistantVersionRequest(assistant_id=assistant_id, version=version)
        return self.stub.SetLatestAssistantVersion(request, timeout=DEADLINE).assistant

    def versions(self, assistant_id: str, **fields: Any) -> list[pb.Assistant]:
        """Returns its versions, page by page of two."""
        found: list[pb.Assistant] = []
        token = ""
        while True:
            request = pb.ListAssistantVersionsRequest(
                assistant_id=assistant_id, page_size=2, page_token=token, **fields
            )
            page = self.stub.ListAssistantVersions(request, timeout=DEADLINE)
            assert len(page.versions) <= 2
            found += page.versions
            token = page.next_page_token
            if not token:
                return found

    def list(self, *, page_size: int = 2, **fields: Any) -> list[str]:
        """Returns ids of assistants, page by page; they are as many as are counted."""
        found: list[str] = []
        token = ""
        while True:
            request = pb.ListAssistantsRequest(page_size=page_size, page_token=token, **fields)
            page = self.stub.ListAssistants(request, timeout=DEADLINE)
            found += [each.assistant_id for each in page.assistants]
            token = page.next_page_token
            if not token:
                break
        counted = self.stub.CountAssistants(
            pb.CountAssistantsRequest(filter=fields.get("filter")), timeout=DEADLINE
        )
        assert counted.count == len(found)
        return found


@pytest.fixture(scope="module")
def grpc_channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """A channel to a server of this file's own, on which nobody else makes assistants."""
    server = ServerProcess(tmp_path_factory.mktemp("made") / "graphwire.db").start()
    with grpc.insecure_channel(server.address) as channel:
        yield channel
    assert server.stop() == 0, server.log


@pytest.fixture
def made(assistants: Stub) -> Driver:
    """The service."""
    return Driver(assistants)


def breakpoint_(node: str, **fields: Any) -> breakpoint_pb2.Breakpoint:
    """A breakpoint before a node."""
    return breakpoint_pb2.Breakpoint(node=node, **fields)


def ran(*nodes: str) -> list[tuple[Any, ...]]:
    """The updates of nodes."""
    return [("updates", node, {"log": [node]}) for node in nodes]


# --- to create ---


def test_an_assistant_is_all_that_it_was_made_of(made: Driver) -> None:
    assistant = made.create(
        "stops",
        assistant_id="full",
        name="Full",
        description="Has everything",
        config=run_pb2.RunConfig(
            recursion_limit=7, tags=["x"], configurable=payload({"b": 2**60, "a": None})
        ),
        context=payload({"user": 7}),
        metadata=payload({"team": {"n": 1.0}}),
        breakpoints=[
            breakpoint_("*", position="BREAKPOINT_POSITION_AFTER", breakpoint_id="all"),
            breakpoint_("a", condition="step > 100", label="late", skip_first=2),
        ],
    )
    assert assistant == made.get("full")
    assert (assistant.assistant_id, assistant.graph_id, assistant.version) == ("full", "stops", 1)
    assert (assistant.name, assistant.description) == ("Full", "Has everything")
    assert assistant.config.recursion_limit == 7
    assert list(assistant.config.tags) == ["x"]
    assert assistant.config.configurable.json == '{"b":1152921504606846976,"a":null}'
    assert (value(assistant.context), value(assistant.metadata)) == (
        {"user": 7},
        {"team": {"n": 1}},
    )
    first, second = assistant.breakpoints
    assert (first.node, first.breakpoint_id) == ("*", "all")
    assert first.position == breakpoint_pb2.BREAKPOINT_POSITION_AFTER
    assert (second.condition, second.label, second.skip_first) == ("step > 100", "late", 2)
    assert second.breakpoint_id
    assert {each.source for each in assistant.breakpoints} == {
        breakpoint_pb2.BREAKPOINT_SOURCE_ASSISTANT
    }
    assert not assistant.built_in
    assert assistant.create_time == assistant.update_time
    assert (list(assistant.interrupt_before), list(assistant.interrupt_after)) == (["b"], ["c"])


def test_an_assistant_of_a_graph_alone_has_an_id_and_a_name(made: Driver) -> None:
    assistant = made.create()
    assert len(assistant.assistant_id) == 36
    assert (assistant.name, assistant.description) == ("Untitled", "")
    assert not assistant.HasField("config")
    assert not assistant.HasField("context")
    assert value(assistant.metadata) == {}
    assert list(assistant.breakpoints) == []


def test_an_id_that_is_taken_is_refused_or_returned_as_it_is(made: Driver) -> None:
    first = made.create(assistant_id="taken", name="first")
    for assistant_id in ("taken", "router"):
        with refused("ALREADY_EXISTS", "ASSISTANT_EXISTS") as refusal:
            made.create(assistant_id=assistant_id)
        assert refusal.resource == ("assistant", assistant_id)
        there = made.create(
            assistant_id=assistant_id,
            name="second",
            if_exists=pb.IF_ASSISTANT_EXISTS_RETURN,
        )
        assert there == made.get(assistant_id)
    assert made.get("taken") == first


class TestARequestId:
    """request_id of the calls that make and change assistants."""

    def test_makes_one_assistant_however_often_it_is_sent(self, made: Driver, once: str) -> None:
        fields: dict[str, Any] = {
            "metadata": payload({"once": once}),
            "breakpoints": [breakpoint_("b")],
            "request_id": once,
        }
        ids = {each.assistant_id for each in at_once(lambda: made.create(**fields))}
        assert len(ids) == 1
        (assistant_id,) = ids
        assert made.list(filter=pb.AssistantFilter(metadata=payload({"once": once}))) == [
            assistant_id
        ]
        changed = made.update(assistant_id, name="changed")
        assert made.create(**fields) == changed
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            made.create(**{**fields, "breakpoints": [breakpoint_("c")]})
        made.delete(assistant_id)
        with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND") as refusal:
            made.create(**fields)
        assert refusal.text == (
            f"assistant {assistant_id}, which this request_id created, was deleted"
        )

    def test_makes_one_version_however_often_it_is_sent(self, made: Driver, once: str) -> None:
        assistant_id = made.create().assistant_id
        fields: dict[str, Any] = {
            "name": "new",
            "breakpoints": breakpoint_pb2.BreakpointList(breakpoints=[breakpoint_("b")]),
            "request_id": once,
        }
        versions = {each.version for each in at_once(lambda: made.update(assistant_id, **fields))}
        assert versions == {2}
        assert made.update(assistant_id, **fields).version == 2
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            made.update(assistant_id, **{**fields, "name": "other"})
        assert [each.version for each in made.versions(assistant_id)] == [2, 1]


# --- versions ---


def test_a_change_makes_a_version_and_leaves_what_it_does_not_name(made: Driver) -> None:
    first = made.create(
        name="n",
        description="d",
        config=run_pb2.RunConfig(tags=["x"]),
        context=payload({"user": 7}),
        metadata=payload({"a": 1, "b": {"c": 1}}),
        breakpoints=[breakpoint_("b", breakpoint_id="one")],
    )
    second = made.update(
        first.assistant_id, metadata=payload({"a": None, "b": {"d": 2}}), graph_id="stops"
    )
    expected = pb.Assistant()
    expected.CopyFrom(first)
    expected.version = 2
    expected.graph_id = "stops"
    expected.metadata.json = '{"b":{"c":1,"d":2}}'
    expected.interrupt_before.append("b")
    expected.interrupt_after.append("c")
    expected.update_time.CopyFrom(second.update_time)
    assert second == expected == made.get(first.assistant_id)
    assert second.update_time.ToNanoseconds() > first.update_time.ToNanoseconds()

    third = made.update(
        first.assistant_id,
        name="",
        description="",
        config=run_pb2.RunConfig(),
        context=payload({}),
        breakpoints=breakpoint_pb2.BreakpointList(),
    )
    assert (third.version, third.name, third.description) == (3, "Untitled", "")
    assert not third.HasField("config")
    assert (value(third.context), list(third.breakpoints)) == ({}, [])
    assert made.versions(first.assistant_id) == [third, second, first]
    with_c = made.versions(first.assistant_id, metadata=payload({"b": {"c": 1}, "a": 1}))
    assert with_c == [first]


def test_of_changes_at_once_each_makes_a_version_and_none_is_lost(made: Driver) -> None:
    assistant_id = made.create().assistant_id
    numbers = iter(range(CALLERS))

    def change() -> int:
        number = next(numbers)
        changed = made.update(
            assistant_id,
            metadata=payload({f"k{number}": number}),
            config=run_pb2.RunConfig(tags=[f"t{number}"]),
        )
        assert value(changed.metadata)[f"k{number}"] == number
        assert list(changed.config.tags) == [f"t{number}"]
        return changed.version

    assert sorted(at_once(change)) == list(range(2, CALLERS + 2))
    assert value(made.get(assistant_id).metadata) == {f"k{n}": n for n in range(CALLERS)}
    assert [each.version for each in made.versions(assistant_id)] == list(range(CALLERS + 1, 0, -1))


def test_another_graph_must_have_the_nodes_of_the_breakpoints(made: Driver) -> None:
    assistant_id = made.create(breakpoints=[breakpoint_("b")]).assistant_id
    field = "breakpoints.breakpoints[0].node"
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", field):
        made.update(assistant_id, graph_id="router")
    emptied = made.update(
        assistant_id, graph_id="router", breakpoints=breakpoint_pb2.BreakpointList()
    )
    assert (emptied.version, emptied.graph_id) == (2, "router")


def test_an_older_version_can_be_made_the_latest(made: Driver) -> None:
    first = made.create(name="first")
    assistant_id = first.assistant_id
    second = made.update(assistant_id, name="second")
    assert made.set_latest(assistant_id, 1) == first == made.get(assistant_id)
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND") as refusal:
        made.set_latest(assistant_id, 3)
    assert refusal.text == f"assistant '{assistant_id}' has no version 3; its newest is 2"
    # The next version is made of what is the latest now, under a number of its own.
    third = made.update(assistant_id, description="third")
    assert (third.version, third.name, third.description) == (3, "first", "third")
    assert made.versions(assistant_id) == [third, second, first]


def test_a_graph_of_the_file_has_versions_too(made: Driver) -> None:
    first = made.get("loop")
    assert first.built_in
    assert (first.version, first.name, first.graph_id) == (1, "loop", "loop")
    assert value(first.metadata) == {"created_by": "system"}
    assert made.versions("loop") == [first]
    assert made.set_latest("loop", 1) == first

    second = made.update(
        "loop",
        name="Loop",
        config=run_pb2.RunConfig(recursion_limit=5),
        breakpoints=breakpoint_pb2.BreakpointList(breakpoints=[breakpoint_("step")]),
    )
    assert second.built_in
    assert (second.version, second.name) == (2, "Loop")
    assert made.get("loop") == second
    assert made.versions("loop") == [second, first]
    assert made.versions("loop", metadata=payload({"created_by": "somebody"})) == []
    assert made.list(filter=pb.AssistantFilter(graph_id="loop")) == ["loop"]
    assert made.set_latest("loop", 1) == first == made.get("loop")
    assert made.list(filter=pb.AssistantFilter(name="Loop", graph_id="loop")) == ["loop"]
    third = made.update("loop", description="d")
    assert (third.version, third.name, list(third.breakpoints)) == (3, "loop", [])
    assert made.set_latest("loop", 1) == first


def test_first_changes_of_a_graph_at_once_each_make_a_version(made: Driver) -> None:
    numbers = iter(range(CALLERS))

    def change() -> int:
        return made.update("handled", metadata=payload({f"k{next(numbers)}": 1})).version

    assert sorted(at_once(change)) == list(range(2, CALLERS + 2))
    assert len(value(made.get("handled").metadata)) == CALLERS + 1
    made.set_latest("handled", 1)


@pytest.mark.parametrize("order", ["NAME", "ASSISTANT_ID", "CREATE_TIME", "UPDATE_TIME"])
def test_assistants_are_listed_in_every_order(made: Driver, once: str, order: str) -> None:
    mark = payload({"listed": once})
    ids = [f"{name}-{order.lower()}" for name in ("b", "c", "a")]
    for assistant_id, name in zip(ids, ("x", "Y", "x"), strict=True):
        made.create(assistant_id=assistant_id, name=name, metadata=mark)
    made.update(ids[0], description="later")
    b, c, a = ids
    expected = {
        "NAME": [c, a, b],
        "ASSISTANT_ID": [a, b, c],
        "CREATE_TIME": [b, c, a],
        "UPDATE_TIME": [c, a, b],
    }[order]
    which = pb.AssistantFilter(metadata=mark)
    order_by = f"ASSISTANT_ORDER_{order}"
    assert made.list(filter=which, order_by=order_by) == expected
    assert made.list(filter=which, order_by=order_by, descending=True) == expected[::-1]
    y = pb.AssistantFilter(metadata=mark, name="y", graph_id="linear")
    assert made.list(filter=y) == [c]


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
        assert refusal.metadata == {"thread_id": thread.thread_id, "status": "BUSY"}
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


def test_all_of_it_works_on_postgres_too(postgres_url: str) -> None:
    server = ServerProcess(postgres_url).start()
    try:
        with grpc.insecure_channel(server.address) as channel:
            _work_with(*stubs(channel))
    finally:
        assert server.stop() == 0, server.log


def _work_with(made: Driver, thread: DrivenThread) -> None:
    numbers = iter(range(CALLERS))
    versions = at_once(
        lambda: made.update("linear", metadata=payload({f"k{next(numbers)}": 1})).version
    )
    assert sorted(versions) == list(range(2, CALLERS + 2))
    assert len(value(made.get("linear").metadata)) == CALLERS + 1
    assert made.set_latest("linear", 1).version == 1
    assert len(made.versions("linear", metadata=payload({"created_by": "system"}))) == CALLERS + 1

    made.create(assistant_id="mine", name="100 % Mine", breakpoints=[breakpoint_("b")])
    for order in ("NAME", "ASSISTANT_ID", "CREATE_TIME", "UPDATE_TIME", "GRAPH_ID"):
        listed = made.list(page_size=30, order_by=f"ASSISTANT_ORDER_{order}")
        turned = made.list(page_size=30, order_by=f"ASSISTANT_ORDER_{order}", descending=True)
        assert listed == turned[::-1]
        assert len({*listed}) == len(listed)
        assert {"mine", "linear", "router"} < {*listed}
    assert made.list(filter=pb.AssistantFilter(name="% mine", graph_id="linear")) == ["mine"]
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
        made.get("a\0b")
    assert made.list(filter=pb.AssistantFilter(name="\0")) == []

    assert shapes(thread.start("mine"))[-1] == PAUSED
    made.update("mine", breakpoints=breakpoint_pb2.BreakpointList())
    with refused("FAILED_PRECONDITION", "ASSISTANT_IN_USE"):
        made.delete("mine")
    assert shapes(thread.resume())[-1] == DONE
    assert thread.runs()[0].assistant_version == 1
    assert shapes(thread.start("mine"))[-1] == DONE
    made.delete("mine", delete_threads=True)
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        _ = thread.now


# --- when langgraph.json changes ---

GRAPHS = """
import operator
from typing import Annotated, TypedDict
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def chain(*names):
    graph = StateGraph(State)
    for name in names:
        graph.add_node(name, lambda state, name=name: {"log": [name]})
    for source, target in zip((START, *names), names):
        graph.add_edge(source, target)
    return graph


one = chain("a", "b")
two = chain("x", "y")
"""


class ChangingProject:
    """A server of which the langgraph.json changes."""

    def __init__(self, folder: Path) -> None:
        """Writes the project."""
        self.folder = folder / "project"
        self.folder.mkdir()
        (self.folder / "graphs.py").write_text(GRAPHS)
        self.server = ServerProcess(folder / "graphwire.db", self.folder)
        self._channel: grpc.Channel | None = None

    def serve(self, **graphs: str) -> grpc.Channel:
        """Starts the server, anew if need be, with these graphs; returns a channel to it."""
        self.stop()
        named = {name: f"./graphs.py:{symbol}" for name, symbol in graphs.items()}
        text = json.dumps({"dependencies": ["."], "graphs": named})
        (self.folder / "langgraph.json").write_text(text)
        self.server.start()
        self._channel = grpc.insecure_channel(self.server.address)
        return self._channel

    def stop(self) -> None:
        """Stops the server, if it runs."""
        if self._channel is not None:
            self._channel.close()
        self.server.stop()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ChangingProject]:
    """A project of the test's own."""
    project = ChangingProject(tmp_path)
    yield project
    project.stop()


def stubs(channel: grpc.Channel, thread_id: str = "") -> tuple[Driver, DrivenThread]:
    """The assistants of a server, and a thread."""
    runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
    driver = Driver(assistants_pb2_grpc.AssistantsStub(channel))
    return driver, DrivenThread(runs, threads, thread_id)


def test_an_assistant_whose_graph_is_gone_stays_listed_and_can_be_deleted(
    project: ChangingProject,
) -> None:
    made, thread = stubs(project.serve(one="one", two="two"))
    made.create("two", assistant_id="mine", name="Mine")
    changed = made.update("two", name="Second")
    thread.start("mine", interrupt_before=["y"])
    assert made.list() == ["mine", "two", "one"]

    made, thread = stubs(project.serve(one="one"), thread.thread_id)
    assert made.list() == ["mine", "two", "one"]
    assert made.get("mine").graph_id == "two"
    assert made.get("mine").name == "Mine"
    left = made.get("two")
    assert (left.version, left.name, left.built_in) == (2, "Second", False)
    for refuses in (
        lambda: thread.state(),
        lambda: thread.resume(),
        lambda: DrivenThread(thread.runs_stub, thread.threads_stub).start("mine"),
        lambda: DrivenThread(thread.runs_stub, thread.threads_stub).start("two"),
        lambda: made.stub.GetAssistantGraph(pb.GetAssistantGraphRequest(assistant_id="mine")),
        lambda: made.stub.GetAssistantSchemas(pb.GetAssistantSchemasRequest(assistant_id="mine")),
    ):
        with refused("INTERNAL", "GRAPH_UNAVAILABLE") as refusal:
            refuses()
        assert "the graph 'two', which langgraph.json does not have any more" in refusal.text
        assert refusal.text.endswith("it has: one")
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
        made.set_latest("two", 1)
    made.delete("two")
    made.delete("mine", delete_threads=True)
    assert made.list() == ["one"]

    made, _ = stubs(project.serve(one="one", two="two"))
    again = made.get("two")
    assert (again.version, again.name, again.built_in) == (1, "two", True)
    assert changed.version == 2


def test_a_paused_thread_goes_on_when_its_graph_is_back(project: ChangingProject) -> None:
    made, thread = stubs(project.serve(one="one", two="two"))
    made.create("two", assistant_id="mine", breakpoints=[breakpoint_("y")])
    thread.start("mine")
    stubs(project.serve(one="one"))
    _, thread = stubs(project.serve(two="two"), thread.thread_id)
    assert [pause_shape(pause) for pause in thread.pauses] == [("BREAKPOINT_BEFORE", "y")]
    assert shapes(thread.resume())[-1] == DONE
    assert thread.log == ["in", "x", "y"]


def test_breakpoints_that_are_set_again_are_answered_as_before_when_the_graph_has_changed(
    project: ChangingProject, once: str
) -> None:
    _, thread = stubs(project.serve(graph="two"))
    run_id = thread.start("graph", interrupt_before=["y"])[0].run_id
    add = runs_pb2.AddRunBreakpointsRequest(
        run_id=run_id, breakpoints=[breakpoint_("x")], request_id=once
    )
    added = thread.runs_stub.AddRunBreakpoints(add, timeout=DEADLINE)
    update = threads_pb2.UpdateThreadRequest(
        thread_id=thread.thread_id,
        breakpoints=breakpoint_pb2.BreakpointList(breakpoints=[breakpoint_("x")]),
        request_id=once,
    )
    updated = thread.threads_stub.UpdateThread(update, timeout=DEADLINE)

    _, thread = stubs(project.serve(graph="one"), thread.thread_id)
    assert thread.runs_stub.AddRunBreakpoints(add, timeout=DEADLINE) == added
    assert thread.threads_stub.UpdateThread(update, timeout=DEADLINE) == updated
    update.ttl.seconds = 3600
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        thread.threads_stub.UpdateThread(update, timeout=DEADLINE)
    # New ones are looked at.
    for request in (add, update):
        request.request_id = ""
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "breakpoints[0].node"):
        thread.runs_stub.AddRunBreakpoints(add, timeout=DEADLINE)
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "breakpoints.breakpoints[0].node"):
        thread.threads_stub.UpdateThread(update, timeout=DEADLINE)


def test_a_server_refuses_to_start_with_a_graph_of_an_assistants_name(
    project: ChangingProject,
) -> None:
    made, _ = stubs(project.serve(one="one"))
    made.create("one", assistant_id="two")
    with pytest.raises(AssertionError, match="the server did not start"):
        project.serve(one="one", two="two")
    assert (
        "langgraph.json has a graph 'two', and in the database there is an assistant of that id, "
        "which somebody made of the graph 'one': rename the graph, or delete the assistant"
    ) in " ".join(project.server.log.split())
    made, _ = stubs(project.serve(one="one"))
    made.delete("two")
    made, _ = stubs(project.serve(one="one", two="two"))
    assert made.list() == ["one", "two"]
