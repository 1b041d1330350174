"""The inbox: what is sent, and what comes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import graphwire
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from graphwire import (
    Approve,
    AsyncClient,
    BreakpointSource,
    MetBreakpoint,
    OnExpiry,
    PauseKind,
    PauseResolution,
    PauseStatus,
    Reject,
    ToolCall,
)
from graphwire.v1 import breakpoint_pb2, pause_pb2, review_pb2
from graphwire.v1 import threads_pb2 as pb

from . import wire
from .scripted import ScriptedServer

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def full() -> pause_pb2.Pause:
    """A pause with all that it can have."""
    message = wire.pause("p")
    message.assistant_id, message.task_id = "agent", "task"
    message.status = pause_pb2.PAUSE_STATUS_RESUMED
    message.breakpoints.add(
        breakpoint_id="b",
        label="money",
        source=breakpoint_pb2.BREAKPOINT_SOURCE_THREAD,
        condition="true",
        condition_error="no such key",
    )
    message.tool_calls.add(tool_call_id="1", name="refund", args=wire.payload('{"amount":5}'))
    message.task_input.CopyFrom(wire.payload('{"n":1}'))
    message.expire_time.CopyFrom(Timestamp(seconds=wire.NOON.seconds + 60))
    message.on_expiry = breakpoint_pb2.ON_EXPIRY_REJECT
    message.resolution.CopyFrom(
        pause_pb2.PauseResolution(
            time=wire.NOON,
            run_id="next",
            principal="anonymous",
            answered_by="ann",
            expired=True,
            answer=wire.payload("[1]"),
            review=review_pb2.Review(
                tool_calls=[
                    review_pb2.ToolCallReview(
                        tool_call_id="1", approve=review_pb2.ApproveToolCall()
                    ),
                    review_pb2.ToolCallReview(
                        tool_call_id="2", reject=review_pb2.RejectToolCall(message="no")
                    ),
                ]
            ),
        )
    )
    return message


async def test_a_pause_says_all_there_is(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("GetPause", pb.GetPauseResponse(pause=full()))
    pause = await client.pauses.get("p")
    assert scripted.requests("GetPause") == [pb.GetPauseRequest(pause_id="p")]
    assert pause == graphwire.Pause(
        pause_id="p",
        thread_id="t",
        run_id="r",
        kind=PauseKind.BREAKPOINT_BEFORE,
        node="action",
        namespace=(),
        interrupt_id="",
        value=None,
        response_schema=None,
        checkpoint_id="c",
        create_time=NOON,
        tool_calls=(ToolCall(tool_call_id="1", name="refund", args={"amount": 5}),),
        assistant_id="agent",
        status=PauseStatus.RESUMED,
        breakpoints=(
            MetBreakpoint(
                breakpoint_id="b",
                label="money",
                source=BreakpointSource.THREAD,
                condition="true",
                condition_error="no such key",
            ),
        ),
        expire_time=NOON + timedelta(seconds=60),
        on_expiry=OnExpiry.REJECT,
        task_id="task",
        task_input={"n": 1},
        resolution=PauseResolution(
            time=NOON,
            run_id="next",
            principal="anonymous",
            answered_by="ann",
            expired=True,
            answer=[1],
            review={"1": Approve(), "2": Reject("no")},
        ),
    )


async def test_a_pause_of_an_older_server_is_open(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("GetPause", pb.GetPauseResponse(pause=wire.pause("p")))
    pause = await client.pauses.get("p")
    assert (pause.status, pause.resolution, pause.breakpoints) == (PauseStatus.OPEN, None, ())
    assert (pause.expire_time, pause.on_expiry, pause.task_input) == (None, None, None)


async def test_the_inbox_is_listed_page_by_page(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on(
        "ListPauses",
        pb.ListPausesResponse(pauses=[wire.pause("1"), wire.pause("2")], next_page_token="next"),
        pb.ListPausesResponse(pauses=[wire.pause("3")]),
    )
    found = [pause.pause_id async for pause in client.pauses.list(page_size=2)]
    assert found == ["1", "2", "3"]
    first, second = scripted.requests("ListPauses")
    assert (first.page_size, first.page_token) == (2, "")
    assert (second.page_size, second.page_token) == (2, "next")
    assert first.filter == second.filter == pb.PauseFilter()


async def test_which_pauses_are_meant_is_sent(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("ListPauses", pb.ListPausesResponse())
    pauses = client.pauses.list(
        statuses=["open", PauseStatus.RESUMED],
        kinds="INTERRUPT",
        thread_id="t",
        assistant_id="agent",
        node="n",
        label="money",
        tool_name="refund",
        thread_metadata={"team": 1},
        expires_before=NOON.astimezone(timezone(timedelta(hours=5))),
        oldest_first=True,
        limit=7,
    )
    assert [pause async for pause in pauses] == []
    which = pb.PauseFilter(
        statuses=[pause_pb2.PAUSE_STATUS_OPEN, pause_pb2.PAUSE_STATUS_RESUMED],
        kinds=[pause_pb2.PAUSE_KIND_INTERRUPT],
        thread_id="t",
        assistant_id="agent",
        node="n",
        label="money",
        tool_name="refund",
        thread_metadata=wire.payload('{"team":1}'),
        expires_before=wire.NOON,
    )
    assert scripted.requests("ListPauses") == [
        pb.ListPausesRequest(filter=which, page_size=7, direction=pb.SORT_DIRECTION_ASCENDING)
    ]


async def test_a_time_without_a_zone_is_refused(client: AsyncClient) -> None:
    with pytest.raises(ValueError, match="must have a time zone"):
        client.pauses.list(expires_before=datetime(2026, 1, 1))  # noqa: DTZ001
