"""Both clients review the tool calls of the how-to's agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import graphwire
import pytest
from graphwire import Approve, AsyncClient, Edit, Reject, Resume, ReviewMismatchError, Updates

from tests.client.conftest import Connect
from tests.servers import ServerProcess


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
