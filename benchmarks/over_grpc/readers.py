"""Readers that stop reading: all of them join one run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
from graphwire.v1.runs_pb2 import JoinRunRequest, JoinRunResponse

from benchmarks.over_grpc.calls import Stubs

#: How many connections they share.
_CHANNELS = 10
#: How long the server gets to send what it can, in seconds.
_SETTLE = 3.0


class SlowReaders:
    """Readers that have read one event each."""

    def __init__(self, address: str) -> None:
        """Makes none yet; `stop_reading` does."""
        self._address = address
        self._calls: list[AsyncIterator[JoinRunResponse]] = []
        self._channels = AsyncExitStack()

    async def stop_reading(self, run_id: str, count: int) -> None:
        """Has so many readers join a run, and read no further than its first event."""
        for number in range(count):
            if number < _CHANNELS:
                channel = grpc.aio.insecure_channel(self._address)
                stubs = Stubs.on(await self._channels.enter_async_context(channel))
            call = stubs.runs.JoinRun(JoinRunRequest(run_id=run_id))
            self._calls.append(aiter(call))
        for first in await asyncio.gather(*(anext(call) for call in self._calls)):
            assert first.event.sequence == 1
        await asyncio.sleep(_SETTLE)

    async def read_on(self) -> list[int]:
        """Has all of them read to the end; returns how many events each has read."""
        async with self._channels:
            return await asyncio.gather(*(_rest(call) for call in self._calls))


async def _rest(call: AsyncIterator[JoinRunResponse]) -> int:
    sequence = 1
    async for response in call:
        sequence += 1
        assert response.event.sequence == sequence
    return sequence
