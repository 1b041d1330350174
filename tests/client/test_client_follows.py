"""Following threads: streams without an end, which go on from their cursor, each thing once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import graphwire
import grpc
import pytest
from graphwire import AsyncClient, ThreadChange, ThreadChangeKind
from graphwire.v1 import threads_pb2 as pb

from . import wire
from .conftest import Connect
from .scripted import ScriptedServer, fail, refuse, stay_open, then, unavailable

LOG = {"log": ["in"]}
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def joined(event: Any, cursor: str) -> pb.JoinThreadResponse:
    return pb.JoinThreadResponse(event=event, cursor=cursor)


def changed(cursor: str, kind: int = 0, **fields: Any) -> pb.WatchThreadsResponse:
    return pb.WatchThreadsResponse(
        cursor=cursor,
        kind=kind,  # type: ignore[arg-type]
        **({"thread_id": "t", "time": wire.NOON, **fields} if kind else {}),
    )


async def first(stream: AsyncIterator[Any], count: int) -> list[Any]:
    return [await anext(stream) for _ in range(count)]


# --- joining ---


async def test_a_threads_events_are_those_of_all_its_runs(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    responses = [
        joined(wire.heartbeat(), "0"),
        joined(wire.metadata(), "1"),
        joined(wire.end(2), "2"),
        joined(wire.heartbeat(), "2"),
        joined(wire.metadata(), "3"),
    ]
    scripted.on("JoinThread", then(responses, stay_open))
    stream = client.threads.join("t", only_new=True)
    events = await first(stream, 3)
    assert [(type(e), e.sequence) for e in events] == [
        (graphwire.Metadata, 1),
        (graphwire.End, 2),
        (graphwire.Metadata, 1),
    ]
    assert stream.cursor == "3"
    await stream.aclose()
    assert scripted.requests("JoinThread") == [pb.JoinThreadRequest(thread_id="t", only_new=True)]


@pytest.mark.usefixtures("no_delays")
async def test_each_rejoin_goes_on_from_the_last_cursor(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on(
        "JoinThread",
        then([joined(wire.heartbeat(), "now")], unavailable),
        then([joined(wire.metadata(), "a"), joined(wire.heartbeat(), "b")], unavailable),
        fail(grpc.StatusCode.UNAVAILABLE, "no healthy upstream"),
        then([joined(wire.custom(2), "c")], refuse(graphwire.ShuttingDownError("bye"))),
        then([joined(wire.end(3), "d")], stay_open),
    )
    stream = client.threads.join("t", only_new=True)
    assert [event.sequence for event in await first(stream, 3)] == [1, 2, 3]
    await stream.aclose()
    requests = scripted.requests("JoinThread")
    assert [request.cursor for request in requests] == ["", "now", "b", "b", "c"]
    assert [request.only_new for request in requests] == [True, False, False, False, False]


@pytest.mark.usefixtures("no_delays")
async def test_a_stream_that_ends_by_itself_is_joined_again(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on(
        "JoinThread",
        then([joined(wire.metadata(), "a")]),
        then([joined(wire.end(2), "b")], stay_open),
    )
    stream = client.threads.join("t")
    assert [event.sequence for event in await first(stream, 2)] == [1, 2]
    await stream.aclose()


async def test_what_is_no_lost_connection_ends_the_stream_and_says_where_it_was(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    gone = graphwire.ThreadNotFoundError("there is no thread t")
    scripted.on("JoinThread", then([joined(wire.metadata(), "a")], refuse(gone)))
    stream = client.threads.join("t")
    await first(stream, 1)
    with pytest.raises(graphwire.ThreadNotFoundError) as raised:
        await first(stream, 1)
    assert raised.value.metadata["cursor"] == "a"
    assert len(scripted.requests("JoinThread")) == 1


async def test_a_cursor_that_has_expired_is_not_tried_again(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    expired = graphwire.CursorExpiredError("kept no more")
    streams: dict[str, AsyncIterator[Any]] = {
        "JoinThread": client.threads.join("t", cursor="a"),
        "WatchThreads": client.threads.watch(cursor="a"),
    }
    for method, stream in streams.items():
        scripted.on(method, refuse(expired))
        with pytest.raises(graphwire.CursorExpiredError):
            await first(stream, 1)
        assert [request.cursor for request in scripted.requests(method)] == ["a"]


@pytest.mark.usefixtures("no_delays")
async def test_patience_has_an_end(connect: Connect, scripted: ScriptedServer) -> None:
    scripted.on("WatchThreads", unavailable)
    client = connect(scripted.target, rejoin_timeout=1)
    with pytest.raises(graphwire.ConnectionLostError, match="gave up rejoining"):
        await first(client.threads.watch(), 1)
    with pytest.raises(graphwire.TransportError):
        await first(client.threads.watch(rejoin_timeout=0), 1)


# --- watching ---


async def test_what_happens_on_threads_comes_as_typed_changes(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    paused, ended = pb.THREAD_CHANGE_KIND_PAUSED, pb.THREAD_CHANGE_KIND_RUN_ENDED
    responses = [
        changed("0"),
        changed("1", paused, pause=wire.pause("p")),
        changed("1"),
        changed("2", ended, run=wire.run("r")),
        changed("3", 99),
    ]
    scripted.on("WatchThreads", then(responses, stay_open))
    stream = client.threads.watch()
    pause, run, unknown = await first(stream, 3)
    assert pause.pause.pause_id == "p"
    assert pause == ThreadChange(
        kind=ThreadChangeKind.PAUSED,
        thread_id="t",
        time=NOON,
        pause=pause.pause,
        run=None,
        cursor="1",
    )
    assert (run.kind, run.run.run_id, run.pause) == (ThreadChangeKind.RUN_ENDED, "r", None)
    # A newer server may tell of what has no name here.
    assert (unknown.kind, unknown.cursor) == (ThreadChangeKind.UNKNOWN, "3")
    assert stream.cursor == "3"
    await stream.aclose()


async def test_what_to_watch_is_sent(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("WatchThreads", then([changed("1", pb.THREAD_CHANGE_KIND_PAUSED)], stay_open))
    stream = client.threads.watch(
        cursor="0",
        kinds=["paused", ThreadChangeKind.RUN_ENDED],
        thread_ids=["a", "b"],
        metadata={"team": "x"},
        assistant_id="agent",
        values={"n": 1},
    )
    await first(stream, 1)
    await stream.aclose()
    which = pb.ThreadFilter(
        thread_ids=["a", "b"],
        metadata=wire.payload('{"team":"x"}'),
        assistant_id="agent",
        values=wire.payload('{"n":1}'),
    )
    assert scripted.requests("WatchThreads") == [
        pb.WatchThreadsRequest(
            cursor="0",
            kinds=[pb.THREAD_CHANGE_KIND_PAUSED, pb.THREAD_CHANGE_KIND_RUN_ENDED],
            filter=which,
        )
    ]


@pytest.mark.usefixtures("no_delays")
async def test_heartbeats_move_the_cursor_on(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on(
        "WatchThreads",
        then([changed("0"), changed("5")], unavailable),
        then([changed("6", pb.THREAD_CHANGE_KIND_PAUSED)], stay_open),
    )
    stream = client.threads.watch()
    await first(stream, 1)
    await stream.aclose()
    assert [request.cursor for request in scripted.requests("WatchThreads")] == ["", "5"]


async def test_an_id_may_be_given_alone(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("WatchThreads", then([changed("1", pb.THREAD_CHANGE_KIND_PAUSED)], stay_open))
    stream = client.threads.watch(thread_ids="abc", kinds="PAUSED")
    await first(stream, 1)
    await stream.aclose()
    (request,) = scripted.requests("WatchThreads")
    assert list(request.filter.thread_ids) == ["abc"]


async def test_closing_ends_the_call(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("WatchThreads", then([changed("1", pb.THREAD_CHANGE_KIND_PAUSED)], stay_open))
    stream = client.threads.watch()
    await first(stream, 1)
    received = await scripted.arrival("WatchThreads")
    await stream.aclose()
    assert await asyncio.to_thread(received.ended.wait, 20)


async def test_entering_waits_until_the_stream_is_open(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    change = changed("1", pb.THREAD_CHANGE_KIND_PAUSED)
    scripted.on("WatchThreads", then([changed("0"), change], stay_open))
    async with client.threads.watch() as stream:
        assert stream.cursor == "0"
        assert [c.kind for c in await first(stream, 1)] == [ThreadChangeKind.PAUSED]
    # Also where something is told at once: it is not lost.
    scripted.on("WatchThreads", then([change], stay_open))
    async with client.threads.watch() as stream:
        assert [c.cursor for c in await first(stream, 1)] == ["1"]


async def test_a_stream_that_goes_on_from_a_cursor_needs_no_opening(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    async with client.threads.watch(cursor="5") as stream:
        assert stream.cursor == "5"
    assert scripted.requests("WatchThreads") == []


async def test_a_refusal_is_raised_on_entry(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("JoinThread", refuse(graphwire.ThreadNotFoundError("there is no thread t")))
    with pytest.raises(graphwire.ThreadNotFoundError):
        async with client.threads.join("t"):
            raise AssertionError("it was refused")
