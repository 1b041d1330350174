"""One long answer, token by token, in messages of the server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import grpc
from graphwire.v1.run_pb2 import STREAM_MODE_MESSAGES
from graphwire.v1.runs_pb2 import StreamRunRequest

from benchmarks.over_grpc.calls import Stubs, check_succeeded, new_run, values_of
from benchmarks.over_grpc.wire import counting_proxy
from benchmarks.workload import TOKEN, talk


async def speak(stubs: Stubs, tokens: int) -> float:
    """Streams an answer as fast as it comes; returns the tokens per second."""
    start = time.perf_counter()
    texts = [text async for text in _texts(stubs, _request(tokens, interval=0))]
    rate = tokens / (time.perf_counter() - start)
    assert "".join(texts) == TOKEN * tokens
    return rate


async def delays(stubs: Stubs, tokens: int, interval: float) -> list[float]:
    """Returns the seconds from each token's being spoken in the graph to its being here."""
    request = _request(tokens, interval=interval)
    arrived: list[float] = []
    async for text in _texts(stubs, request):
        arrived += [time.monotonic()] * (len(text) // len(TOKEN))
    spoken = (await values_of(stubs, request.thread_id))["spoken"]
    return [here - there for here, there in zip(arrived, spoken, strict=True)]


async def overhead(address: str, tokens: int, interval: float) -> float:
    """Returns the bytes that the server sends for each token, less its text.

    Everything that it sends on the connection counts: its metadata, HTTP/2 and gRPC frames,
    and the run's other events; not the headers of TCP and IP.
    """
    async with (
        counting_proxy(address) as proxy,
        grpc.aio.insecure_channel(proxy.address) as channel,
    ):
        await channel.channel_ready()
        before = proxy.received
        texts = [text async for text in _texts(Stubs.on(channel), _request(tokens, interval))]
        sent = proxy.received - before
    return (sent - len("".join(texts).encode())) / tokens


def _request(tokens: int, interval: float) -> StreamRunRequest:
    return new_run("tokens", talk(tokens, interval), stream_modes=[STREAM_MODE_MESSAGES])


async def _texts(stubs: Stubs, request: StreamRunRequest) -> AsyncIterator[str]:
    """Yields the text of each piece as it comes, to the run's end."""
    async for response in stubs.runs.StreamRun(request):
        match response.event.WhichOneof("event"):
            case "message":
                yield "".join(piece.text for piece in response.event.message.content)
            case "end":
                check_succeeded(response.event)
