"""The how-to, through a socket: stop the weather agent before its tool, and go on from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_event_pb2, run_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import pause_shape, value
from tests.e2e.driven import DrivenThread, Events
from tests.servers import WEATHER, ServerProcess

MODES = [run_pb2.STREAM_MODE_UPDATES, run_pb2.STREAM_MODE_MESSAGES]
LOOK_UP = "I'll look up the weather in San Francisco."
SAN_FRANCISCO = "It is 16 °C and foggy in San Francisco, with wind at 24 km/h. Take a jacket."
PARIS = "It is 21 °C and sunny in Paris, with wind at 9 km/h. No jacket needed."


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """A channel to a server on the example project."""
    database = tmp_path_factory.mktemp("weather") / "graphwire.db"
    server = ServerProcess(database, WEATHER, env={"MODEL": ""}).start()
    with grpc.insecure_channel(server.address) as channel:
        yield channel
    assert server.stop() == 0, server.log


@pytest.fixture
def agent(weather: grpc.Channel) -> DrivenThread:
    """A new thread on it."""
    return DrivenThread(runs_pb2_grpc.RunsStub(weather), threads_pb2_grpc.ThreadsStub(weather))


def ask(
    agent: DrivenThread, question: str = "What is the weather in San Francisco?", **fields: Any
) -> Events:
    """Asks the agent, which is to stop before its tool."""
    given = {"messages": [{"role": "user", "content": question}]}
    return agent.start("agent", given, interrupt_before=["action"], stream_modes=MODES, **fields)


def kinds(events: Events) -> list[str]:
    """The kinds of events, all pieces of one message as one."""
    named = [(e.WhichOneof("event") or "", e.message.message_id) for e in events]
    return [kind for (kind, _), _ in groupby(named)]


def said(events: Events) -> dict[str, str]:
    """The messages' texts by their ids, put together from the pieces, in order."""
    texts: dict[str, str] = {}
    for event in events:
        if event.WhichOneof("event") == "message":
            text = "".join(piece.text for piece in event.message.content)
            texts[event.message.message_id] = texts.get(event.message.message_id, "") + text
    return texts


def updates(events: Events) -> list[tuple[str, dict[str, Any]]]:
    """What nodes returned: the node and its one message."""
    found = []
    for event in events:
        if event.WhichOneof("event") == "updates":
            (message,) = value(event.updates.update)["messages"]
            found.append((event.updates.node, message))
    return found


def messages(agent: DrivenThread) -> list[dict[str, Any]]:
    """The messages in the state."""
    found: list[dict[str, Any]] = value(agent.state().values)["messages"]
    return found


def tool_calls(events: Events) -> list[tuple[str, dict[str, Any]]]:
    """The tool calls in the stream, put together from the pieces."""
    pieces = [
        piece
        for event in events
        if event.WhichOneof("event") == "message"
        for piece in event.message.tool_calls
    ]
    return [
        (
            "".join(piece.name for piece in pieces if piece.index == index),
            json.loads("".join(piece.args for piece in pieces if piece.index == index)),
        )
        for index in sorted({piece.index for piece in pieces})
    ]


def test_the_agent_streams_stops_before_the_tool_and_finishes_after_a_resume(
    agent: DrivenThread,
) -> None:
    first = ask(agent)
    assert kinds(first) == ["metadata", "message", "updates", "interrupted", "end"]
    assert first[0].metadata.thread_id == agent.thread_id
    assert first[0].metadata.assistant_id == "agent"

    ((node, reply),) = updates(first)
    assert (node, reply["type"], reply["content"]) == ("agent", "ai", LOOK_UP)
    (call,) = reply["tool_calls"]
    assert (call["name"], call["args"]) == ("get_weather", {"city": "San Francisco"})
    assert said(first) == {reply["id"]: LOOK_UP}
    assert tool_calls(first) == [("get_weather", {"city": "San Francisco"})]

    interrupted = first[-2].interrupted
    assert [pause_shape(p) for p in interrupted.pauses] == [("BREAKPOINT_BEFORE", "action")]
    assert list(interrupted.next) == ["action"]
    assert first[-1].end.status == run_pb2.RUN_STATUS_INTERRUPTED
    assert agent.stands() == ("INTERRUPTED", ["action"], [("BREAKPOINT_BEFORE", "action")])

    second = agent.resume()
    assert kinds(second) == ["metadata", "message", "updates", "message", "updates", "end"]
    assert second[0].metadata.resumed_run_id == first[0].run_id
    (_, result), (_, answer) = updates(second)
    assert [node for node, _ in updates(second)] == ["action", "agent"]
    assert (result["type"], result["name"], result["tool_call_id"]) == (
        "tool",
        "get_weather",
        call["id"],
    )
    assert json.loads(result["content"])["city"] == "San Francisco"
    assert answer["content"] == SAN_FRANCISCO
    assert said(second) == {result["id"]: result["content"], answer["id"]: SAN_FRANCISCO}
    assert second[-1].end.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert [m["type"] for m in messages(agent)] == ["human", "ai", "tool", "ai"]
    assert agent.stands() == ("IDLE", [], [])


def test_the_tokens_of_a_message_name_its_role_and_node_once(agent: DrivenThread) -> None:
    first = ask(agent)
    second = agent.resume()
    starts = [e.message.start for e in [*first, *second] if e.message.HasField("start")]
    assert [(s.role, s.node, s.type, s.name) for s in starts] == [
        (run_event_pb2.MESSAGE_ROLE_ASSISTANT, "agent", "ai", ""),
        (run_event_pb2.MESSAGE_ROLE_TOOL, "action", "tool", "get_weather"),
        (run_event_pb2.MESSAGE_ROLE_ASSISTANT, "agent", "ai", ""),
    ]


def test_editing_the_pending_tool_call_runs_the_edited_call(agent: DrivenThread) -> None:
    ask(agent)
    (old,) = agent.pauses
    _, pending = messages(agent)
    pending["tool_calls"][0]["args"] = {"city": "Paris"}
    state = agent.edit({"messages": [pending]}, expected_checkpoint_id=old.checkpoint_id)
    assert [pause_shape(p) for p in state.pauses] == [("BREAKPOINT_BEFORE", "action")]
    assert len(value(state.values)["messages"]) == 2
    with agent.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        agent.resume(pause_ids=[old.pause_id])

    (_, result), (_, answer) = updates(agent.resume(pause_ids=[state.pauses[0].pause_id]))
    assert json.loads(result["content"])["city"] == "Paris"
    assert answer["content"] == PARIS
    _, call, _, last = messages(agent)
    assert call["tool_calls"][0]["args"] == {"city": "Paris"}
    assert last["content"] == PARIS


def test_a_person_may_answer_in_place_of_the_tool(agent: DrivenThread) -> None:
    ask(agent)
    call = messages(agent)[-1]["tool_calls"][0]
    found = {"city": "San Francisco", "temperature_c": 40, "sky": "sunny", "wind_kmh": 1}
    result = {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(found)}
    agent.edit({"messages": [result]}, as_node="action")
    assert list(agent.now.next) == ["agent"]
    ((node, answer),) = updates(agent.resume())
    assert node == "agent"
    assert "40 °C and sunny in San Francisco" in answer["content"]


def test_a_person_may_stop_the_agent_there(agent: DrivenThread) -> None:
    ask(agent)
    agent.edit(as_node="__end__")
    assert agent.stands() == ("IDLE", [], [])
    assert [m["type"] for m in messages(agent)] == ["human", "ai"]


def test_the_next_question_stops_before_the_tool_again(agent: DrivenThread) -> None:
    ask(agent)
    agent.resume()
    assert kinds(ask(agent, "And in Paris?")) == [
        *["metadata", "message", "updates", "interrupted", "end"],
    ]
    assert agent.status == "INTERRUPTED"
    agent.resume()
    assert messages(agent)[-1]["content"] == PARIS
    assert len(messages(agent)) == 8


def test_a_question_that_needs_no_tool_does_not_stop(agent: DrivenThread) -> None:
    events = ask(agent, "Hello!")
    assert kinds(events) == ["metadata", "message", "updates", "end"]
    assert events[-1].end.status == run_pb2.RUN_STATUS_SUCCEEDED


def test_the_same_resume_asked_for_twice_runs_the_tool_once(agent: DrivenThread) -> None:
    ask(agent)
    first = agent.resume(request_id="approve-1")
    assert agent.resume(request_id="approve-1") == first
    assert [m["type"] for m in messages(agent)] == ["human", "ai", "tool", "ai"]
