"""`client.assistants`: requests as they are sent, answers as Python values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import graphwire
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire import AsyncClient, Breakpoint
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import breakpoint_pb2, run_pb2

from . import wire
from .scripted import ScriptedServer

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

FULL = pb.Assistant(
    assistant_id="mine",
    graph_id="agent",
    description="d",
    create_time=wire.NOON,
    interrupt_before=["a"],
    interrupt_after=["b"],
    version=3,
    name="n",
    config=run_pb2.RunConfig(
        recursion_limit=5, tags=["t"], configurable=wire.payload('{"model":"m"}')
    ),
    context=wire.payload('{"user":7}'),
    metadata=wire.payload('{"team":1}'),
    breakpoints=[
        breakpoint_pb2.Breakpoint(
            breakpoint_id="i",
            node="child/*",
            position=breakpoint_pb2.BREAKPOINT_POSITION_AFTER,
            condition="step > 1",
            label="l",
            skip_first=2,
            expires_after=Duration(seconds=60),
            on_expiry=breakpoint_pb2.ON_EXPIRY_REJECT,
            expiry_message="late",
            source=breakpoint_pb2.BREAKPOINT_SOURCE_ASSISTANT,
        )
    ],
    update_time=wire.NOON,
    built_in=True,
)


def without_id(request: Any) -> Any:
    """The request, once it is seen to have a request id, without it."""
    assert len(request.request_id) == 32
    request.ClearField("request_id")
    return request


async def test_get_returns_all_of_an_assistant(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    bare = pb.Assistant(assistant_id="agent", graph_id="agent", version=1, name="agent")
    scripted.on(
        "GetAssistant",
        pb.GetAssistantResponse(assistant=FULL),
        pb.GetAssistantResponse(assistant=bare),
    )
    assert await client.assistants.get("mine") == graphwire.Assistant(
        assistant_id="mine",
        graph_id="agent",
        description="d",
        create_time=NOON,
        interrupt_before=("a",),
        interrupt_after=("b",),
        version=3,
        name="n",
        config=graphwire.AssistantConfig(
            recursion_limit=5, tags=("t",), configurable={"model": "m"}
        ),
        context={"user": 7},
        metadata={"team": 1},
        breakpoints=(
            Breakpoint(
                node="child/*",
                condition="step > 1",
                position=graphwire.BreakpointPosition.AFTER,
                label="l",
                skip_first=2,
                expires_after=timedelta(minutes=1),
                on_expiry=graphwire.OnExpiry.REJECT,
                expiry_message="late",
                breakpoint_id="i",
                source=graphwire.BreakpointSource.ASSISTANT,
            ),
        ),
        update_time=NOON,
        built_in=True,
    )
    least = await client.assistants.get("agent")
    assert (least.config, least.context, least.metadata, least.breakpoints) == (
        None,
        None,
        None,
        (),
    )


async def test_create_sends_what_is_given(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("CreateAssistant", pb.CreateAssistantResponse(assistant=FULL))
    made = await client.assistants.create(
        "agent",
        "mine",
        name="n",
        description="d",
        config={"recursion_limit": 5, "tags": "t", "configurable": {"model": "m"}},
        context={"user": 7},
        metadata={"team": 1},
        breakpoints=[
            "a",
            Breakpoint(
                "child/*",
                "step > 1",
                position="after",
                label="l",
                skip_first=2,
                expires_after=60,
                on_expiry="reject",
                expiry_message="late",
                breakpoint_id="i",
            ),
        ],
        if_exists="return",
    )
    # What was returned can be sent again.
    await client.assistants.create("agent", breakpoints=made.breakpoints, request_id="own")
    await client.assistants.create("agent", breakpoints="a")
    full, again, short = scripted.requests("CreateAssistant")
    written = breakpoint_pb2.Breakpoint()
    written.CopyFrom(FULL.breakpoints[0])
    written.ClearField("source")
    assert without_id(full) == pb.CreateAssistantRequest(
        assistant_id="mine",
        graph_id="agent",
        name="n",
        description="d",
        config=FULL.config,
        context=FULL.context,
        metadata=FULL.metadata,
        breakpoints=[breakpoint_pb2.Breakpoint(node="a"), written],
        if_exists=pb.IF_ASSISTANT_EXISTS_RETURN,
    )
    assert again == pb.CreateAssistantRequest(
        graph_id="agent", breakpoints=[written], request_id="own"
    )
    assert without_id(short) == pb.CreateAssistantRequest(
        graph_id="agent", breakpoints=[breakpoint_pb2.Breakpoint(node="a")]
    )


async def test_update_tells_what_is_emptied_from_what_is_left_out(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("UpdateAssistant", pb.UpdateAssistantResponse(assistant=FULL))
    await client.assistants.update("mine", name="")
    await client.assistants.update(
        "mine", description="", config={}, context={}, metadata={"a": None}, breakpoints=()
    )
    await client.assistants.update("mine", graph_id="other", breakpoints=["a"])
    name, emptied, other = map(without_id, scripted.requests("UpdateAssistant"))
    assert name == pb.UpdateAssistantRequest(assistant_id="mine", name="")
    assert emptied == pb.UpdateAssistantRequest(
        assistant_id="mine",
        description="",
        config=run_pb2.RunConfig(),
        context=wire.payload("{}"),
        metadata=wire.payload('{"a":null}'),
        breakpoints=breakpoint_pb2.BreakpointList(),
    )
    assert other == pb.UpdateAssistantRequest(
        assistant_id="mine",
        graph_id="other",
        breakpoints=breakpoint_pb2.BreakpointList(
            breakpoints=[breakpoint_pb2.Breakpoint(node="a")]
        ),
    )


async def test_lists_are_filtered_sorted_and_paged(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    one, two = pb.Assistant(assistant_id="a"), pb.Assistant(assistant_id="b")
    scripted.on(
        "ListAssistants",
        pb.ListAssistantsResponse(assistants=[one], next_page_token="more"),
        pb.ListAssistantsResponse(assistants=[two]),
    )
    scripted.on("CountAssistants", pb.CountAssistantsResponse(count=2))
    scripted.on(
        "ListAssistantVersions",
        pb.ListAssistantVersionsResponse(versions=[FULL]),
    )
    listed = client.assistants.list(
        graph_id="agent",
        name="x",
        metadata={"team": 1},
        order_by="update_time",
        descending=True,
        page_size=1,
    )
    assert [each.assistant_id async for each in listed] == ["a", "b"]
    assert await client.assistants.count(graph_id="agent", name="x", metadata={"team": 1}) == 2
    versions = client.assistants.versions("mine", metadata={"team": 1}, limit=7)
    assert [each.version async for each in versions] == [3]
    which = pb.AssistantFilter(graph_id="agent", name="x", metadata=wire.payload('{"team":1}'))
    first = pb.ListAssistantsRequest(
        filter=which,
        order_by=pb.ASSISTANT_ORDER_UPDATE_TIME,
        descending=True,
        page_size=1,
    )
    second = pb.ListAssistantsRequest()
    second.CopyFrom(first)
    second.page_token = "more"
    assert scripted.requests("ListAssistants") == [first, second]
    assert scripted.requests("CountAssistants") == [pb.CountAssistantsRequest(filter=which)]
    assert scripted.requests("ListAssistantVersions") == [
        pb.ListAssistantVersionsRequest(
            assistant_id="mine", metadata=wire.payload('{"team":1}'), page_size=7
        )
    ]


async def test_deleting_and_choosing_a_version(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("DeleteAssistant", pb.DeleteAssistantResponse())
    scripted.on("SetLatestAssistantVersion", pb.SetLatestAssistantVersionResponse(assistant=FULL))
    await client.assistants.delete("mine")
    await client.assistants.delete("mine", delete_threads=True)
    assert (await client.assistants.set_latest("mine", 3)).version == 3
    assert scripted.requests("DeleteAssistant") == [
        pb.DeleteAssistantRequest(assistant_id="mine"),
        pb.DeleteAssistantRequest(assistant_id="mine", delete_threads=True),
    ]
    assert scripted.requests("SetLatestAssistantVersion") == [
        pb.SetLatestAssistantVersionRequest(assistant_id="mine", version=3)
    ]


async def test_what_cannot_be_sent_is_named_by_its_field(client: AsyncClient) -> None:
    with pytest.raises(graphwire.InvalidFieldError) as refused:
        await client.assistants.create("agent", breakpoints=["a", Breakpoint("b", position="x")])
    assert refused.value.violations[0].field == "breakpoints[1].position"
    with pytest.raises(graphwire.InvalidFieldError) as refused:
        await client.assistants.update("mine", breakpoints=Breakpoint("b", on_expiry="never"))
    assert refused.value.violations[0].field == "breakpoints.breakpoints[0].on_expiry"
    config: Any = {"limit": 1}
    with pytest.raises(TypeError, match="config has no limit"):
        await client.assistants.create("agent", config=config)
    theirs = Breakpoint("b", source=graphwire.BreakpointSource.THREAD)
    with pytest.raises(TypeError, match="was set by the thread"):
        await client.assistants.create("agent", breakpoints=theirs)
