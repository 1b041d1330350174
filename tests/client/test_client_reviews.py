"""Reviews of tool calls: what is sent, what comes back, and the how-to's agent reviewed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import graphwire
import pytest
from graphwire import (
    Approve,
    AsyncClient,
    Edit,
    Reject,
    Respond,
    Resume,
    ReviewMismatchError,
    ToolCall,
    Updates,
)
from graphwire._reviews import review, review_message
from graphwire.reviews import Decision
from graphwire.v1 import review_pb2, run_event_pb2, run_pb2
from graphwire.v1 import runs_pb2 as pb

from tests.servers import WEATHER, ServerProcess

from . import wire
from .conftest import Connect
from .scripted import ScriptedServer, then

APPROVE = review_pb2.ToolCallReview(approve=review_pb2.ApproveToolCall())


async def resumed(client: AsyncClient, scripted: ScriptedServer, resume: Resume) -> run_pb2.Resume:
    """The Resume that the server gets."""
    created = pb.CreateRunResponse(run=wire.run("r", run_pb2.RUN_STATUS_RUNNING))
    scripted.on("CreateRun", created)
    await client.runs.create("t", resume=resume)
    request: pb.CreateRunRequest = scripted.requests("CreateRun")[-1]
    return request.resume


async def test_one_decision_is_for_the_only_call(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    sent = await resumed(client, scripted, Resume(review=Approve()))
    assert sent == run_pb2.Resume(review=review_pb2.Review(tool_calls=[APPROVE]))
    assert sent.review.tool_calls[0].HasField("approve")


async def test_decisions_are_sent_by_the_ids_of_their_calls(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    decisions: dict[str, Decision] = {
        "a": Approve(),
        "b": Edit({"n": 1}),
        "c": Edit({}, "other"),
        "d": Reject("no"),
        "e": Reject(),
        "f": Respond([{"type": "text", "text": "x"}]),
    }
    one_block = wire.payload('[{"type":"text","text":"x"}]')
    fields: dict[str, dict[str, Any]] = {
        "a": {"approve": {}},
        "b": {"edit": {"args": wire.payload('{"n":1}')}},
        "c": {"edit": {"args": wire.payload("{}"), "name": "other"}},
        "d": {"reject": {"message": "no"}},
        "e": {"reject": {}},
        "f": {"respond": {"content": one_block}},
    }
    expected = review_pb2.Review(
        tool_calls=[review_pb2.ToolCallReview(tool_call_id=i, **each) for i, each in fields.items()]
    )
    sent = await resumed(client, scripted, Resume(reviews={"p1": decisions, "p2": Approve()}))
    assert sent == run_pb2.Resume(
        reviews={"p1": expected, "p2": review_pb2.Review(tool_calls=[APPROVE])}
    )
    assert review(sent.reviews["p1"]) == decisions


async def test_what_is_no_decision_is_refused_with_its_place(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    wrong: Any = {"a": Approve(), "b": "yes"}
    with pytest.raises(TypeError, match=r"resume\.review\.tool_calls\[1\] is 'yes': it must be"):
        await resumed(client, scripted, Resume(review=wrong))
    bad = Resume(reviews={"p": Edit({"n": float("nan")})})
    with pytest.raises(graphwire.InvalidPayloadError) as error:
        await resumed(client, scripted, bad)
    assert [violation.field for violation in error.value.violations] == [
        "resume.reviews['p'].tool_calls[0].edit.args"
    ]
    assert scripted.requests("CreateRun") == []


async def test_a_pause_has_the_tool_calls_that_wait(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    pause = wire.pause("p", "tools")
    pause.tool_calls.add(tool_call_id="a", name="tool").args.json = '{"n":1}'
    interrupted = run_event_pb2.InterruptedEvent(pauses=[pause])
    events = [wire.metadata(), wire.event(2, interrupted=interrupted), wire.end(3)]
    scripted.on("StreamRun", then(wire.streamed(*events)))
    found = [event async for event in client.runs.stream("t", resume=True)]
    assert isinstance(found[1], graphwire.Interrupted)
    assert found[1].pauses[0].tool_calls == (
        ToolCall(tool_call_id="a", name="tool", args={"n": 1}),
    )


def test_a_review_reads_as_it_was_written() -> None:
    for decision in (Approve(), Edit({"n": [1]}, "x"), Reject(""), Respond(None)):
        assert review(review_message({"a": decision}, "f")) == {"a": decision}


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on the example project."""
    process = ServerProcess(tmp_path_factory.mktemp("weather") / "graphwire.db", WEATHER).start()
    yield process
    assert process.stop() == 0, process.log


async def asked(client: AsyncClient) -> tuple[str, graphwire.Pause]:
    """A thread of the agent that is paused before its tool, and the pause."""
    thread = await client.threads.create()
    question = {"role": "user", "content": "What is the weather in Paris?"}
    result = await client.runs.run(
        thread.thread_id, "agent", input={"messages": [question]}, interrupt_before=["action"]
    )
    (pause,) = result.pauses
    return thread.thread_id, pause


async def updates(stream: AsyncIterator[graphwire.Event]) -> list[tuple[str, list[Any]]]:
    """What nodes returned: the node, and the contents of its messages."""
    return [
        (event.node, [message["content"] for message in event.update["messages"]])
        async for event in stream
        if isinstance(event, Updates)
    ]


async def test_the_how_to_agent_looks_up_what_the_reviewer_says(
    connect: Connect, weather: ServerProcess
) -> None:
    client = connect(weather.address)
    thread_id, pause = await asked(client)
    (call,) = pause.tool_calls
    assert (call.name, call.args) == ("get_weather", {"city": "Paris"})
    edited = Resume(reviews={pause.pause_id: {call.tool_call_id: Edit({"city": "Zurich"})}})
    (action, (_, found)), (agent, (says,)) = await updates(
        client.runs.stream(thread_id, resume=edited)
    )
    assert (action, agent) == ("action", "agent")
    assert "Zurich" in found
    assert "Zurich" in says
    values = (await client.threads.state(thread_id)).values
    assert [c["args"] for m in values["messages"] for c in m.get("tool_calls") or ()] == [
        {"city": "Zurich"}
    ]


async def test_the_how_to_agent_is_told_why_it_may_not_look(
    connect: Connect, weather: ServerProcess
) -> None:
    client = connect(weather.address)
    thread_id, _ = await asked(client)
    rejected = client.runs.stream(thread_id, resume=Resume(review=Reject("Not today.")))
    (action, contents), (agent, _) = await updates(rejected)
    assert (action, contents, agent) == ("action", ["Not today."], "agent")


async def test_a_review_that_does_not_fit_says_which_calls_wait(
    connect: Connect, weather: ServerProcess
) -> None:
    client = connect(weather.address)
    thread_id, pause = await asked(client)
    with pytest.raises(ReviewMismatchError) as refusal:
        await client.runs.create(thread_id, resume=Resume(review={"nothing": Approve()}))
    assert refusal.value.metadata["tool_calls"] == pause.tool_calls[0].tool_call_id
    assert [v.field for v in refusal.value.violations] == [
        "resume.review.tool_calls[0].tool_call_id"
    ]
    assert [p.pause_id for p in (await client.threads.get(thread_id)).pauses] == [pause.pause_id]
