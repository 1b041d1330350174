"""`client.threads`: requests as they are sent, answers as Python values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import graphwire
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire import AsyncClient, ThreadStatus
from graphwire.v1 import run_pb2
from graphwire.v1 import threads_pb2 as pb

from . import wire
from .scripted import ScriptedServer

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def without_id(request: Any) -> Any:
    """The request, once it is seen to have a request id, without it."""
    assert len(request.request_id) == 32
    request.ClearField("request_id")
    return request


async def test_create_sends_what_is_given(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("CreateThread", pb.CreateThreadResponse(thread=wire.thread("mine")))
    thread = await client.threads.create("mine", metadata={"user": 7}, if_exists="return")
    assert (thread.thread_id, thread.status, thread.metadata) == ("mine", ThreadStatus.IDLE, {})
    await client.threads.create()
    await client.threads.create(request_id="own")
    full, empty, own = scripted.requests("CreateThread")
    assert without_id(full) == pb.CreateThreadRequest(
        thread_id="mine", metadata=wire.payload('{"user":7}'), if_exists=pb.IF_EXISTS_RETURN
    )
    assert without_id(empty) == pb.CreateThreadRequest()
    assert own == pb.CreateThreadRequest(request_id="own")


async def test_get_returns_all_of_a_thread(client: AsyncClient, scripted: ScriptedServer) -> None:
    message = pb.Thread(
        thread_id="t",
        status=pb.THREAD_STATUS_INTERRUPTED,
        metadata=wire.payload('{"user":7}'),
        assistant_id="agent",
        checkpoint_id="c",
        next=["action"],
        pauses=[wire.pause("p")],
        error=run_pb2.RunError(type="E", message="m"),
        create_time=wire.NOON,
        update_time=wire.NOON,
        stateless=True,
        ttl=Duration(seconds=3, nanos=500_000_000),
    )
    scripted.on("GetThread", pb.GetThreadResponse(thread=message))
    thread = await client.threads.get("t")
    assert scripted.requests("GetThread") == [pb.GetThreadRequest(thread_id="t")]
    assert [pause.pause_id for pause in thread.pauses] == ["p"]
    assert thread == graphwire.Thread(
        thread_id="t",
        status=ThreadStatus.INTERRUPTED,
        metadata={"user": 7},
        assistant_id="agent",
        checkpoint_id="c",
        next=("action",),
        pauses=thread.pauses,
        error=graphwire.RunError(type="E", message="m", node="", namespace=()),
        create_time=NOON,
        update_time=NOON,
        stateless=True,
        ttl=timedelta(seconds=3.5),
    )


async def test_times_that_are_not_set_are_none(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("GetThread", pb.GetThreadResponse(thread=wire.thread()))
    thread = await client.threads.get("t")
    assert (thread.create_time, thread.error, thread.pauses) == (None, None, ())
    assert thread.ttl is None


def page(*thread_ids: str, token: str = "") -> pb.ListThreadsResponse:
    threads = [wire.thread(thread_id) for thread_id in thread_ids]
    return pb.ListThreadsResponse(threads=threads, next_page_token=token)


async def listed(client: AsyncClient, **options: Any) -> list[str]:
    return [thread.thread_id async for thread in client.threads.list(**options)]


async def test_list_goes_through_all_pages(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("ListThreads", page("a", "b", token="x"), page(token="y"), page("c"))
    assert await listed(client, assistant_id="agent", page_size=2) == ["a", "b", "c"]
    where = pb.ThreadFilter(assistant_id="agent")
    assert scripted.requests("ListThreads") == [
        pb.ListThreadsRequest(filter=where, page_size=2),
        pb.ListThreadsRequest(filter=where, page_size=2, page_token="x"),
        pb.ListThreadsRequest(filter=where, page_size=2, page_token="y"),
    ]


async def test_list_fetches_the_next_page_only_when_it_is_wanted(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("ListThreads", page("a", "b", token="x"))
    async for thread in client.threads.list():
        if thread.thread_id == "b":
            break
    assert len(scripted.calls) == 1


@pytest.mark.parametrize(
    "options, sizes, found",
    [
        ({"limit": 1}, [1], ["a"]),
        ({"limit": 2}, [2], ["a", "b"]),
        ({"limit": 3}, [3, 1], ["a", "b", "c"]),
        ({"limit": 3, "page_size": 2}, [2, 1], ["a", "b", "c"]),
        ({"limit": 9}, [9, 7], ["a", "b", "c"]),
    ],
)
async def test_a_limit_holds_over_all_pages(
    client: AsyncClient,
    scripted: ScriptedServer,
    options: dict[str, int],
    sizes: list[int],
    found: list[str],
) -> None:
    scripted.on("ListThreads", page("a", "b", token="x"), page("c"))
    assert await listed(client, **options) == found
    assert [request.page_size for request in scripted.requests("ListThreads")] == sizes


async def test_a_limit_below_1_is_refused(client: AsyncClient) -> None:
    with pytest.raises(ValueError, match="limit is 0: it must be 1 or more, or None for all"):
        client.threads.list(limit=0)


async def test_list_and_count_take_the_same_filter(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("ListThreads", page())
    scripted.on("CountThreads", pb.CountThreadsResponse(count=3))
    where: dict[str, Any] = {
        "statuses": ["idle", ThreadStatus.ERROR],
        "metadata": {"user": 7},
        "assistant_id": "agent",
        "values": {"done": True},
    }
    assert await listed(client, **where) == []
    assert await client.threads.count(**where) == 3
    expected = pb.ThreadFilter(
        statuses=[pb.THREAD_STATUS_IDLE, pb.THREAD_STATUS_ERROR],
        metadata=wire.payload('{"user":7}'),
        assistant_id="agent",
        values=wire.payload('{"done":true}'),
    )
    assert scripted.requests("ListThreads") == [pb.ListThreadsRequest(filter=expected)]
    assert scripted.requests("CountThreads") == [pb.CountThreadsRequest(filter=expected)]


async def test_a_single_status_is_not_taken_for_its_letters(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("ListThreads", page())
    await listed(client, statuses="busy")
    assert scripted.requests("ListThreads")[0].filter.statuses == [pb.THREAD_STATUS_BUSY]


async def test_update_sends_a_merge_patch(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("UpdateThread", pb.UpdateThreadResponse(thread=wire.thread()))
    assert (await client.threads.update("t", {"user": None})).thread_id == "t"
    assert without_id(scripted.requests("UpdateThread")[0]) == pb.UpdateThreadRequest(
        thread_id="t", metadata=wire.payload('{"user":null}')
    )


@pytest.mark.parametrize(
    ("ttl", "sent"),
    [
        (90, Duration(seconds=90)),
        (0.5, Duration(nanos=500_000_000)),
        (timedelta(days=2), Duration(seconds=2 * 86400)),
        (0, Duration()),
    ],
)
async def test_how_long_to_keep_a_thread_is_sent_with_it_or_by_itself(
    client: AsyncClient, scripted: ScriptedServer, ttl: float | timedelta, sent: Duration
) -> None:
    scripted.on("CreateThread", pb.CreateThreadResponse(thread=wire.thread()))
    scripted.on("UpdateThread", pb.UpdateThreadResponse(thread=wire.thread()))
    await client.threads.create("t", ttl=ttl)
    await client.threads.update("t", ttl=ttl)
    created = without_id(scripted.requests("CreateThread")[0])
    assert created == pb.CreateThreadRequest(thread_id="t", ttl=sent)
    assert created.HasField("ttl")
    updated = without_id(scripted.requests("UpdateThread")[0])
    assert updated == pb.UpdateThreadRequest(thread_id="t", ttl=sent)


async def test_delete_returns_nothing(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("DeleteThread", pb.DeleteThreadResponse())
    await client.threads.delete("t")
    assert scripted.requests("DeleteThread") == [pb.DeleteThreadRequest(thread_id="t")]


async def test_state_returns_tasks_interrupts_and_subgraphs(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    inner = pb.ThreadState(values=wire.payload("{}"), namespace=["sub:1"], checkpoint_id="i")
    task = pb.TaskState(
        task_id="k",
        node="sub",
        result=wire.payload('{"n":1}'),
        interrupts=[pb.InterruptState(interrupt_id="i", value=wire.payload('"sure?"'))],
        state=inner,
        task_input=wire.payload('{"city":"Vienna"}'),
    )
    failed = pb.TaskState(task_id="l", node="x", error=run_pb2.RunError(type="E", message="m"))
    message = pb.ThreadState(
        values=wire.payload('{"n":1}'),
        next=["sub", "x"],
        tasks=[task, failed],
        checkpoint_id="c",
        parent_checkpoint_id="b",
        metadata=wire.payload('{"step":1}'),
        create_time=wire.NOON,
        pauses=[wire.pause("p")],
    )
    scripted.on("GetThreadState", pb.GetThreadStateResponse(state=message))
    state = await client.threads.state("t", checkpoint_id="c", subgraphs=True)
    assert scripted.requests("GetThreadState") == [
        pb.GetThreadStateRequest(thread_id="t", checkpoint_id="c", subgraphs=True)
    ]
    assert state == graphwire.ThreadState(
        values={"n": 1},
        next=("sub", "x"),
        tasks=(
            graphwire.TaskState(
                task_id="k",
                node="sub",
                error=None,
                result={"n": 1},
                interrupts=(graphwire.InterruptState(interrupt_id="i", value="sure?"),),
                state=graphwire.ThreadState(
                    values={},
                    next=(),
                    tasks=(),
                    checkpoint_id="i",
                    parent_checkpoint_id="",
                    namespace=("sub:1",),
                    metadata=None,
                    create_time=None,
                    pauses=(),
                ),
                task_input={"city": "Vienna"},
            ),
            graphwire.TaskState(
                task_id="l",
                node="x",
                error=graphwire.RunError(type="E", message="m", node="", namespace=()),
                result=None,
                interrupts=(),
                state=None,
            ),
        ),
        checkpoint_id="c",
        parent_checkpoint_id="b",
        namespace=(),
        metadata={"step": 1},
        create_time=NOON,
        pauses=state.pauses,
    )
    assert [pause.pause_id for pause in state.pauses] == ["p"]


async def test_update_state_sends_what_is_given(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    response = pb.UpdateThreadStateResponse(state=pb.ThreadState(checkpoint_id="new"))
    scripted.on("UpdateThreadState", response)
    state = await client.threads.update_state(
        "t",
        {"n": 2},
        as_node="agent",
        checkpoint_id="c",
        expected_checkpoint_id="d",
        assistant_id="a",
    )
    assert state.checkpoint_id == "new"
    await client.threads.update_state("t", as_node="__end__")
    await client.threads.update_state("t", None)
    full, without_values, null = map(without_id, scripted.requests("UpdateThreadState"))
    assert full == pb.UpdateThreadStateRequest(
        thread_id="t",
        values=wire.payload('{"n":2}'),
        as_node="agent",
        checkpoint_id="c",
        expected_checkpoint_id="d",
        assistant_id="a",
    )
    assert without_values == pb.UpdateThreadStateRequest(thread_id="t", as_node="__end__")
    assert null == pb.UpdateThreadStateRequest(thread_id="t", values=wire.payload("null"))


async def test_history_goes_through_all_pages(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    def states(*checkpoint_ids: str, token: str = "") -> pb.ListThreadHistoryResponse:
        found = [pb.ThreadState(checkpoint_id=checkpoint_id) for checkpoint_id in checkpoint_ids]
        return pb.ListThreadHistoryResponse(states=found, next_page_token=token)

    scripted.on("ListThreadHistory", states("c3", "c2", token="x"), states("c1"))
    found = [state.checkpoint_id async for state in client.threads.history("t")]
    assert found == ["c3", "c2", "c1"]
    assert scripted.requests("ListThreadHistory") == [
        pb.ListThreadHistoryRequest(thread_id="t"),
        pb.ListThreadHistoryRequest(thread_id="t", page_token="x"),
    ]
