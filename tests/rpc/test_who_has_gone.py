"""A stream that fails has not lost its caller: a run is cancelled only for one who goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from graphwire.v1 import run_pb2, runs_pb2
from graphwire_server.rpc.runs_servicer import RunsServicer
from graphwire_server.runs.completion import Completion
from graphwire_server.storage.interface import StorageError

RUN_ID = "01a218d6-5e40-71d4-bc83-bf050fc56777"


class Runs:
    """Runs of which one can be followed for a while."""

    def __init__(self, error: Exception | None) -> None:
        self.cancelled: list[str] = []
        self._error = error

    async def follow(self, run_id: str, **_: Any) -> AsyncIterator[None]:
        yield None
        if self._error is not None:
            raise self._error
        yield None

    async def cancel_many(self, run_ids: list[str]) -> list[str]:
        self.cancelled += run_ids
        return run_ids

    async def start(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(run=SimpleNamespace(run_id=RUN_ID), unseen=False, replayed=False)


def streams(runs: Runs) -> dict[str, AsyncIterator[Any]]:
    """A stream of each RPC that may cancel its run."""
    reader = SimpleNamespace(read=lambda request: request)
    parts: Any = (runs, None, reader, Completion(), None)
    servicer = RunsServicer(*parts)
    cancels = run_pb2.ON_DISCONNECT_CANCEL
    stream = runs_pb2.StreamRunRequest(on_disconnect=cancels)
    join = runs_pb2.JoinRunRequest(run_id=RUN_ID, on_disconnect=cancels)
    return {"StreamRun": servicer.StreamRun(stream, None), "JoinRun": servicer.JoinRun(join, None)}


@pytest.mark.parametrize("rpc", ["StreamRun", "JoinRun"])
async def test_a_stream_that_fails_leaves_its_run_alone(rpc: str) -> None:
    runs = Runs(StorageError("it is gone for a moment"))
    stream: Any = streams(runs)[rpc]
    await anext(stream)
    with pytest.raises(StorageError):
        await anext(stream)
    await stream.aclose()
    for _ in range(10):
        await asyncio.sleep(0)  # what was begun gets its turn
    assert runs.cancelled == []


@pytest.mark.parametrize("rpc", ["StreamRun", "JoinRun"])
async def test_a_stream_that_is_left_cancels_its_run(rpc: str) -> None:
    runs = Runs(None)
    stream: Any = streams(runs)[rpc]
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(10):
        while not runs.cancelled:
            await asyncio.sleep(0)
    assert runs.cancelled == [RUN_ID]
