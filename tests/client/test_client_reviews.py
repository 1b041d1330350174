"""Reviews of tool calls: what is sent, and what comes back."""

from __future__ import annotations

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
    ToolCall,
)
from graphwire._reviews import review, review_message
from graphwire.reviews import Decision
from graphwire.v1 import review_pb2, run_event_pb2, run_pb2
from graphwire.v1 import runs_pb2 as pb

from . import wire
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
