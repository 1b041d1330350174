"""A stream goes on across lost connections, and shows each event exactly once."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import graphwire
import grpc
import pytest
from graphwire import AsyncClient, AsyncRunStream, Event
from graphwire.v1 import runs_pb2 as pb
from graphwire.v1 import server_pb2

from . import wire
from .conftest import Connect
from .scripted import Proxy, ScriptedServer, ended_at, fail, refuse, stay_open, then, unavailable


def start(client: AsyncClient, **options: Any) -> AsyncRunStream:
    return client.runs.stream("t", "agent", input={"n": 1}, **options)


async def sequences(stream: AsyncIterator[Event]) -> list[int]:
    return [event.sequence async for event in stream]


async def test_a_whole_run_comes_in_one_call(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on(
        "StreamRun",
        then(wire.streamed(wire.metadata(), wire.custom(2), wire.heartbeat(), wire.end(3))),
    )
    stream = start(client)
    shown = [(type(event), event.sequence) async for event in stream]
    assert shown == [(graphwire.Metadata, 1), (graphwire.Custom, 2), (graphwire.End, 3)]
    assert (stream.run_id, stream.thread_id, stream.last_sequence) == ("r", "t", 3)
    assert [call.method for call in scripted.calls] == ["StreamRun"]


async def test_after_the_end_the_server_may_close_the_call_in_its_own_time(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    given_up = []

    def answer(_request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        over = threading.Event()
        context.add_callback(over.set)
        yield from wire.streamed(wire.metadata(), wire.end(2))
        given_up.append(over.wait(0.2))

    scripted.on("StreamRun", answer)
    assert await sequences(start(client)) == [1, 2]
    assert given_up == [False]


async def test_a_cut_connection_is_joined_again_after_the_last_event(
    connect: Connect, scripted: ScriptedServer, proxy: Proxy
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata(), wire.custom(2)), stay_open))
    scripted.on("JoinRun", then(wire.joined(wire.custom(3), wire.end(4))))
    seen = []
    async for event in start(connect(proxy.target)):
        seen.append(event.sequence)
        if event.sequence == 2:
            proxy.cut()
    assert seen == [1, 2, 3, 4]
    assert scripted.requests("JoinRun") == [pb.JoinRunRequest(run_id="r", after_sequence=2)]


async def test_a_stream_tells_that_it_is_being_tried_again(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    stream = start(client)
    retrying = []

    def joined(*_: Any) -> Iterator[Any]:
        retrying.append(stream.retrying)
        yield from wire.joined(wire.end(3))

    scripted.on("StreamRun", then(wire.streamed(wire.metadata(), wire.custom(2)), unavailable))
    scripted.on("JoinRun", joined)
    assert await sequences(stream) == [1, 2, 3]
    assert (retrying, stream.retrying) == ([True], False)


async def test_a_restarted_server_is_joined_again(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata(), wire.custom(2)), stay_open))
    scripted.on("JoinRun", then(wire.joined(wire.end(3))))
    seen = []
    async for event in start(client):
        seen.append(event.sequence)
        if event.sequence == 2:
            scripted.restart()
    assert seen == [1, 2, 3]


@pytest.mark.usefixtures("no_delays")
async def test_before_the_first_event_the_same_request_is_sent_again(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on(
        "StreamRun",
        fail(grpc.StatusCode.UNAVAILABLE, "no healthy upstream"),
        then(wire.streamed(wire.heartbeat()), unavailable),
        then(wire.streamed(wire.metadata(), wire.end(2))),
    )
    assert await sequences(start(client)) == [1, 2]
    first, *others = scripted.requests("StreamRun")
    assert len(first.request_id) == 32
    assert others == [first, first]


@pytest.mark.usefixtures("no_delays")
async def test_events_sent_again_are_shown_once(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata(), wire.custom(2)), unavailable))
    scripted.on(
        "JoinRun", then(wire.joined(wire.metadata(), wire.custom(2), wire.custom(3), wire.end(4)))
    )
    assert await sequences(start(client)) == [1, 2, 3, 4]


@pytest.mark.usefixtures("no_delays")
async def test_each_rejoin_goes_on_where_the_one_before_it_broke_off(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata()), unavailable))
    scripted.on(
        "JoinRun",
        then(wire.joined(wire.custom(2)), unavailable),
        then(wire.joined(wire.custom(3)), unavailable),
        then(wire.joined(wire.end(4))),
    )
    assert await sequences(start(client)) == [1, 2, 3, 4]
    assert [request.after_sequence for request in scripted.requests("JoinRun")] == [1, 2, 3]


@pytest.mark.parametrize(
    "code, text",
    [
        (grpc.StatusCode.UNAVAILABLE, "upstream connect error"),
        (grpc.StatusCode.CANCELLED, "cancelled by a proxy"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "a proxy's own limit"),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
        (grpc.StatusCode.UNKNOWN, "Stream removed"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.usefixtures("no_delays")
async def test_whatever_breaks_a_connection_is_rejoined(
    client: AsyncClient, scripted: ScriptedServer, code: grpc.StatusCode, text: str
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata()), fail(code, text)))
    scripted.on("JoinRun", then(wire.joined(wire.end(2))))
    assert await sequences(start(client)) == [1, 2]


@pytest.mark.usefixtures("no_delays")
async def test_a_stream_that_ends_well_but_without_its_end_is_rejoined(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata())))
    scripted.on("JoinRun", then(wire.joined(wire.end(2))))
    assert await sequences(start(client)) == [1, 2]


@pytest.mark.parametrize("heartbeats", [0, 1])
async def test_a_stream_after_the_last_event_of_a_run_ends_at_once(
    client: AsyncClient, scripted: ScriptedServer, heartbeats: int
) -> None:
    scripted.on("JoinRun", then(wire.joined(*[wire.heartbeat()] * heartbeats), ended_at(7)))
    stream = client.runs.join("r", after_sequence=7)
    assert await sequences(stream) == []
    assert (stream.run_id, stream.last_sequence) == ("r", 7)
    assert scripted.requests("JoinRun") == [pb.JoinRunRequest(run_id="r", after_sequence=7)]


@pytest.mark.usefixtures("no_delays")
async def test_a_stream_that_lacks_events_before_the_end_that_it_names_is_rejoined(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on(
        "JoinRun",
        then(wire.joined(wire.custom(2)), ended_at(4)),
        then(wire.joined(wire.custom(3), wire.end(4)), ended_at(4)),
    )
    assert await sequences(client.runs.join("r", after_sequence=1)) == [2, 3, 4]
    assert [request.after_sequence for request in scripted.requests("JoinRun")] == [1, 2]


async def test_a_server_that_shuts_down_is_rejoined_after_the_time_it_names(
    client: AsyncClient, scripted: ScriptedServer, delays: list[float]
) -> None:
    shutting_down = graphwire.ShuttingDownError("bye", retry_after=7.5)
    scripted.on("StreamRun", then(wire.streamed(wire.metadata()), refuse(shutting_down)))
    scripted.on("JoinRun", then(wire.joined(wire.end(2))))
    assert await sequences(start(client)) == [1, 2]
    assert delays == [7.5]


@pytest.mark.usefixtures("no_delays")
async def test_a_rejoin_that_is_refused_for_a_while_waits_for_it(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata()), unavailable))
    scripted.on(
        "JoinRun",
        refuse(graphwire.LimitReachedError("too many streams", retry_after=0.5)),
        then(wire.joined(wire.end(2))),
    )
    assert await sequences(start(client)) == [1, 2]


async def test_a_run_that_a_busy_server_refuses_is_tried_again_after_the_time_it_names(
    client: AsyncClient, scripted: ScriptedServer, delays: list[float]
) -> None:
    limit = graphwire.LimitReachedError("too many runs", retry_after=1.5)
    scripted.on("StreamRun", refuse(limit), then(wire.streamed(wire.metadata(), wire.end(2))))
    assert await sequences(start(client)) == [1, 2]
    assert delays == [1.5]
    first, second = scripted.requests("StreamRun")
    assert first == second
    assert first.request_id


async def test_a_run_that_a_busy_server_refuses_for_long_is_given_up(
    client: AsyncClient, scripted: ScriptedServer, delays: list[float]
) -> None:
    limit = graphwire.LimitReachedError("too many runs", retry_after=5.0)
    scripted.on("StreamRun", refuse(limit))
    with pytest.raises(graphwire.LimitReachedError, match="too many runs") as caught:
        await anext(start(client))
    assert caught.value.retry_after == 5.0
    assert (len(scripted.calls), delays) == (1, [])


@pytest.mark.usefixtures("no_delays")
async def test_a_run_that_is_gone_after_the_rejoin_says_so(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata()), unavailable))
    scripted.on("JoinRun", refuse(graphwire.RunNotFoundError("there is no run r")))
    stream = start(client)
    assert (await anext(stream)).sequence == 1
    with pytest.raises(graphwire.RunNotFoundError, match="there is no run r") as caught:
        await anext(stream)
    assert caught.value.metadata == {"run_id": "r", "last_sequence": "1"}
    assert [event async for event in stream] == []


async def test_a_heartbeat_is_progress(
    client: AsyncClient, scripted: ScriptedServer, delays: list[float]
) -> None:
    breaks_off = then(wire.joined(wire.heartbeat()), unavailable)
    scripted.on("JoinRun", *[breaks_off] * 9, then(wire.joined(wire.end(1))))
    assert await sequences(client.runs.join("r")) == [1]
    assert len(delays) == 9
    assert max(delays) <= 0.1


@pytest.mark.usefixtures("no_delays")
async def test_without_progress_it_gives_up_after_rejoin_timeout(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata()), unavailable))
    scripted.on("JoinRun", fail(grpc.StatusCode.UNAVAILABLE, "nobody there"))
    stream = start(client, rejoin_timeout=2.0)
    await anext(stream)
    with pytest.raises(
        graphwire.ConnectionLostError, match="gave up rejoining: nobody there"
    ) as caught:
        await anext(stream)
    assert caught.value.metadata == {"run_id": "r", "last_sequence": "1"}
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    assert len(scripted.requests("JoinRun")) >= 2


async def test_rejoin_timeout_0_does_not_rejoin(connect: Connect, scripted: ScriptedServer) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata()), unavailable))
    stream = start(connect(scripted.target, rejoin_timeout=0))
    await anext(stream)
    with pytest.raises(graphwire.ConnectionLostError, match=r"^going away$"):
        await anext(stream)
    assert [call.method for call in scripted.calls] == ["StreamRun"]


async def test_timeout_bounds_the_whole_iteration(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata()), stay_open))
    stream = start(client, timeout=0.3)
    await anext(stream)
    with pytest.raises(graphwire.DeadlineExceededError) as caught:
        await anext(stream)
    assert caught.value.metadata == {"run_id": "r", "last_sequence": "1"}
    remaining = scripted.calls[0].time_remaining
    assert remaining is not None
    assert 0 < remaining < 1
    assert [call.method for call in scripted.calls] == ["StreamRun"]


async def test_a_stream_without_timeout_has_no_deadline(
    connect: Connect, scripted: ScriptedServer
) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata(), wire.end(2))))
    client = connect(scripted.target, timeout=5)
    assert await sequences(start(client)) == [1, 2]
    assert scripted.calls[0].time_remaining is None


async def test_join_begins_after_a_given_event(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("JoinRun", then(wire.joined(wire.custom(6), wire.end(7))))
    stream = client.runs.join("r", after_sequence=5)
    assert await sequences(stream) == [6, 7]
    assert scripted.requests("JoinRun") == [pb.JoinRunRequest(run_id="r", after_sequence=5)]
    assert (stream.run_id, stream.last_sequence) == ("r", 7)


@pytest.mark.usefixtures("no_delays")
async def test_join_rejoins_too(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on(
        "JoinRun",
        fail(grpc.StatusCode.UNAVAILABLE),
        then(wire.joined(wire.custom(6)), unavailable),
        then(wire.joined(wire.end(7))),
    )
    assert await sequences(client.runs.join("r", after_sequence=5)) == [6, 7]
    assert [request.after_sequence for request in scripted.requests("JoinRun")] == [5, 5, 6]


async def test_a_join_beyond_the_end_is_refused(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    error = graphwire.SequenceOutOfRangeError("the last event is 3", metadata={"last": "3"})
    scripted.on("JoinRun", refuse(error))
    with pytest.raises(graphwire.SequenceOutOfRangeError, match="the last event is 3") as caught:
        await anext(client.runs.join("r", after_sequence=9))
    assert caught.value.metadata == {"last": "3", "run_id": "r", "last_sequence": "9"}


async def test_a_join_before_the_oldest_event_that_is_kept_says_which_that_is(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    kept = {"oldest_sequence": "7", "last_sequence": "8", "after_sequence": "6"}
    error = graphwire.SequenceOutOfRangeError("the first 6 events were removed", metadata=kept)
    scripted.on("JoinRun", refuse(error))
    with pytest.raises(graphwire.SequenceOutOfRangeError) as caught:
        await anext(client.runs.join("r", after_sequence=2))
    assert caught.value.metadata == {**kept, "run_id": "r"}


async def test_nothing_is_sent_before_the_first_event_is_asked_for(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    start(client)
    scripted.on("GetServerInfo", server_pb2.GetServerInfoResponse())
    await client.server.info()
    assert [call.method for call in scripted.calls] == ["GetServerInfo"]
