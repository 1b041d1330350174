"""Leaving a stream or closing a client ends calls at once, and never the run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import graphwire
import grpc
import pytest
from graphwire import AsyncClient, Client
from graphwire.v1 import threads_pb2

from . import wire
from .conftest import Connect
from .scripted import ScriptedServer, stay_open, then


@pytest.fixture(autouse=True)
def endless(scripted: ScriptedServer) -> None:
    scripted.on("StreamRun", then(wire.streamed(wire.metadata(), wire.custom(2)), stay_open))
    scripted.on("JoinRun", then(wire.joined(wire.end(3))))
    scripted.on("GetThread", stay_open)


@pytest.fixture
async def async_client(scripted: ScriptedServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(scripted.target) as client:
        yield client


async def ended(scripted: ScriptedServer) -> bool:
    """Whether the server sees the end of its first call soon."""
    return await asyncio.to_thread(scripted.calls[0].ended.wait, 10)


async def test_break_cancels_the_call(client: AsyncClient, scripted: ScriptedServer) -> None:
    async for event in client.runs.stream("t", "agent", input={"n": 1}):
        assert event.sequence == 1
        break
    assert await ended(scripted)
    assert [call.method for call in scripted.calls] == ["StreamRun"]


async def test_aclose_cancels_the_call_and_ends_the_iteration(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    stream = client.runs.stream("t", "agent", input={"n": 1})
    await anext(stream)
    await stream.aclose()
    assert await ended(scripted)
    assert [event async for event in stream] == []


async def test_leaving_async_with_cancels_the_call(
    async_client: AsyncClient, scripted: ScriptedServer
) -> None:
    async with async_client.runs.stream("t", "agent", input={"n": 1}) as stream:
        assert (await anext(stream)).sequence == 1
    assert await ended(scripted)


def test_leaving_with_cancels_the_call(scripted: ScriptedServer) -> None:
    with Client(scripted.target) as client:
        with client.runs.stream("t", "agent", input={"n": 1}) as stream:
            assert next(stream).sequence == 1
        assert scripted.calls[0].ended.wait(10)


async def test_a_cancelled_task_cancels_the_call(
    async_client: AsyncClient, scripted: ScriptedServer
) -> None:
    seen: list[int] = []
    both = asyncio.Event()

    async def iterate() -> None:
        async for event in async_client.runs.stream("t", "agent", input={"n": 1}):
            seen.append(event.sequence)
            if len(seen) == 2:
                both.set()

    task = asyncio.create_task(iterate())
    await both.wait()
    await asyncio.sleep(0)  # lets the task ask for the event that never comes
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(scripted)


async def test_a_cancelled_task_cancels_a_unary_call(
    async_client: AsyncClient, scripted: ScriptedServer
) -> None:
    task = asyncio.create_task(async_client.threads.get("t"))
    await scripted.arrival("GetThread")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(scripted)


async def test_an_iteration_that_timed_out_can_go_on(
    async_client: AsyncClient, scripted: ScriptedServer
) -> None:
    stream = async_client.runs.stream("t", "agent", input={"n": 1})
    assert [(await anext(stream)).sequence for _ in range(2)] == [1, 2]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(stream)
    assert [event.sequence async for event in stream] == [3]
    assert scripted.requests("JoinRun")[0].after_sequence == 2


async def test_aclose_from_another_task_ends_the_iteration(
    async_client: AsyncClient, scripted: ScriptedServer
) -> None:
    stream = async_client.runs.stream("t", "agent", input={"n": 1}, rejoin_timeout=0)
    await anext(stream)
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)  # lets it ask for the event that never comes
    await stream.aclose()
    assert await waiting is None


def test_close_from_another_thread_ends_the_iteration(scripted: ScriptedServer) -> None:
    with Client(scripted.target) as client:
        stream = client.runs.stream("t", "agent", input={"n": 1}, rejoin_timeout=0)
        seen = []
        for event in stream:
            seen.append(event.sequence)
            if event.sequence == 2:
                threading.Timer(0.05, stream.close).start()
        assert seen == [1, 2]


async def test_closing_the_client_ends_a_stream_under_way(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    stream = client.runs.stream("t", "agent", input={"n": 1})
    await anext(stream)
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)  # lets it ask for the event that never comes
    await client.close()
    with pytest.raises(graphwire.CallCancelledError, match="the client was closed"):
        await waiting


async def test_closing_the_client_ends_a_unary_call_under_way(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    waiting = asyncio.ensure_future(client.threads.get("t"))
    await scripted.arrival("GetThread")
    await client.close()
    with pytest.raises(graphwire.CallCancelledError, match="the client was closed"):
        await waiting


async def test_a_closed_client_says_so(client: AsyncClient) -> None:
    await client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.threads.get("t")
    with pytest.raises(RuntimeError, match="the client is closed"):
        await anext(client.runs.join("r"))


async def test_closing_twice_is_no_error(connect: Connect, scripted: ScriptedServer) -> None:
    client = connect(scripted.target)
    await client.close()
    await client.close()


async def test_a_channel_that_was_passed_in_stays_open(scripted: ScriptedServer) -> None:
    scripted.on("GetThread", threads_pb2.GetThreadResponse(thread=wire.thread("t")))
    async with grpc.aio.insecure_channel(scripted.target) as channel:
        for _ in range(2):
            async with AsyncClient(channel=channel) as client:
                assert (await client.threads.get("t")).thread_id == "t"
    with grpc.insecure_channel(scripted.target) as sync_channel:
        for _ in range(2):
            with Client(channel=sync_channel) as sync_client:
                assert sync_client.threads.get("t").thread_id == "t"
