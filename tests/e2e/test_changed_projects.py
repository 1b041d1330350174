"""Assistants and their threads when the graphs of langgraph.json have changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import breakpoint_pb2, runs_pb2, threads_pb2

from tests.e2e.drive import DEADLINE, pause_shape, refused, shapes
from tests.e2e.driven import DrivenThread
from tests.e2e.made import DONE, breakpoint_, stubs
from tests.servers import ServerProcess

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
