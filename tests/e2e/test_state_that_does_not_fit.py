"""Values and graphs that do not fit each other: nothing is stored, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    get_thread,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    value,
)
from tests.servers import ServerProcess

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub

BAD = [
    ({"customer": {"name": 5}}, "customer.name"),
    ({"customer": {"name": "x"}}, "customer.name"),
    ({"amount": -1}, "amount"),
]


@pytest.mark.parametrize(("given", "path"), BAD)
def test_input_that_a_pydantic_state_refuses_starts_nothing(
    runs: Runs, threads: Threads, given: Any, path: str
) -> None:
    thread = new_thread(threads)
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "input") as refusal:
        stream(runs, thread_id=thread, assistant_id="typed", input=payload(given))
    assert f"does not fit the graph's state: {path}: " in refusal.text
    assert get_thread(threads, thread).assistant_id == ""


@pytest.mark.parametrize(("given", "path"), BAD)
def test_an_edit_that_a_pydantic_state_refuses_leaves_the_thread_as_it_is(
    runs: Runs, threads: Threads, given: Any, path: str
) -> None:
    thread = new_thread(threads)
    start = payload({"customer": {"name": "Ada"}})
    stream(runs, thread_id=thread, assistant_id="typed", input=start, interrupt_before=["again"])
    before = get_thread(threads, thread)
    edit = threads_pb2.UpdateThreadStateRequest(thread_id=thread, values=payload(given))
    with refused("INVALID_ARGUMENT", "INVALID_UPDATE", "values") as refusal:
        threads.UpdateThreadState(edit, timeout=DEADLINE)
    assert f"does not fit the graph's state: {path}: " in refusal.text
    assert get_thread(threads, thread) == before


def test_a_node_that_fails_after_its_answer_runs_again_with_that_answer(
    runs: Runs, threads: Threads, tmp_path: Path
) -> None:
    thread = new_thread(threads)
    start = payload({"path": str(tmp_path / "bank")})
    stream(runs, thread_id=thread, assistant_id="bank", input=start)
    failed = stream(runs, thread_id=thread, resume={"answer": payload("yes")})
    assert shapes(failed) == [("end", "FAILED")]
    after = get_thread(threads, thread)
    assert after.status == threads_pb2.THREAD_STATUS_ERROR
    assert (list(after.pauses), list(after.next)) == ([], ["pay"])
    with refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        stream(runs, thread_id=thread, resume={"answer": payload("no")})
    assert shapes(stream(runs, thread_id=thread, resume={})) == [
        ("updates", "pay", {"log": ["paid: yes"]}),
        ("end", "SUCCEEDED"),
    ]


def test_after_an_edit_a_node_that_failed_asks_anew(
    runs: Runs, threads: Threads, tmp_path: Path
) -> None:
    thread = new_thread(threads)
    start = payload({"path": str(tmp_path / "bank")})
    stream(runs, thread_id=thread, assistant_id="bank", input=start)
    stream(runs, thread_id=thread, resume={"answer": payload("yes")})
    edit = threads_pb2.UpdateThreadStateRequest(
        thread_id=thread, values=payload({"count": 1}), as_node="__start__"
    )
    threads.UpdateThreadState(edit, timeout=DEADLINE)
    asked = stream(runs, thread_id=thread, resume={})
    assert shapes(asked)[-2:] == [
        ("interrupted", [("INTERRUPT", "pay", "pay?")], ["pay"]),
        ("end", "INTERRUPTED"),
    ]
    assert shapes(stream(runs, thread_id=thread, resume={"answer": payload("no")})) == [
        ("updates", "pay", {"log": ["paid: no"]}),
        ("end", "SUCCEEDED"),
    ]


# A graph that changes while a thread is paused.

GRAPH = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

class State(TypedDict, total=False):
    answer: str

async def {node}(state: State) -> State:
    return {{"answer": interrupt("well?")}}

builder = StateGraph(State)
builder.add_node("{node}", {node})
builder.add_edge(START, "{node}")
graph = builder.compile()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose graph has one node, `review`."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "langgraph.json").write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}}))
    (folder / "agent.py").write_text(GRAPH.format(node="review"))
    return folder


def test_a_node_that_was_renamed_keeps_its_pauses_until_it_is_back(
    own_server: Callable[..., ServerProcess], project: Path
) -> None:
    resumes: dict[str, Any] = {"asks": {"answer": payload("yes")}, "stops": {}}
    server = own_server(project)
    with grpc.insecure_channel(server.address) as channel:
        for thread in resumes:
            request = runs_pb2.StreamRunRequest(
                thread_id=thread,
                assistant_id="agent",
                input=payload({"answer": ""}),
                interrupt_before=["review"] if thread == "stops" else [],
                if_not_exists=run_pb2.IF_NOT_EXISTS_CREATE,
            )
            list(Runs(channel).StreamRun(request, timeout=DEADLINE))
        before = {thread: get_thread(Threads(channel), thread) for thread in resumes}
    assert [len(thread.pauses) for thread in before.values()] == [1, 1]

    server.stop()
    (project / "agent.py").write_text(GRAPH.format(node="approve"))
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        for thread, resume in resumes.items():
            with refused("FAILED_PRECONDITION", "GRAPH_CHANGED") as refusal:
                stream(Runs(channel), thread_id=thread, resume=resume)
            assert refusal.metadata["nodes"] == "approve"
            assert get_thread(Threads(channel), thread) == before[thread]

    server.stop()
    (project / "agent.py").write_text(GRAPH.format(node="review"))
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        ends = {
            thread: shapes(stream(Runs(channel), thread_id=thread, resume=resume))[-1]
            for thread, resume in resumes.items()
        }
    assert ends == {"asks": ("end", "SUCCEEDED"), "stops": ("end", "INTERRUPTED")}


STRICT = """
from enum import Enum
from typing import TypedDict
from langgraph.graph import START, StateGraph

class Colour(Enum):
    RED = "red"

class State(TypedDict, total=False):
    colour: Colour
    seen: str

async def paint(state: State) -> State:
    return {"colour": Colour.RED}

async def look(state: State) -> State:
    return {"seen": type(state["colour"]).__name__}

builder = StateGraph(State)
builder.add_node("paint", paint)
builder.add_node("look", look)
builder.add_edge(START, "paint")
builder.add_edge("paint", "look")
graph = builder.compile()
"""


def test_types_of_the_state_come_back_from_a_checkpoint_in_langgraphs_strict_mode(
    own_server: Callable[..., ServerProcess], project: Path
) -> None:
    (project / "agent.py").write_text(STRICT)
    server = own_server(project, env={"LANGGRAPH_STRICT_MSGPACK": "true"})
    with grpc.insecure_channel(server.address) as channel:
        thread = new_thread(Threads(channel))
        start = payload({"seen": ""})
        runs = Runs(channel)
        stream(runs, thread_id=thread, assistant_id="agent", input=start, interrupt_before=["look"])
        went_on = stream(runs, thread_id=thread, resume={})
    assert value(went_on[1].updates.update) == {"seen": "Colour"}
