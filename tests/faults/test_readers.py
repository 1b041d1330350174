"""Readers that do not read, and streams that are given up by the thousand."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import checked, create, join, payload, shapes, value, wait
from tests.e2e.gates import until
from tests.faults.census import census, descriptors_of, rss_bytes, threads_of
from tests.servers import ServerProcess

CUSTOM = [run_pb2.STREAM_MODE_CUSTOM]
_MIB = 1 << 20

#: Many slow readers, and a run with so many events of so many characters.
SLOW, EVENTS, SIZE = 60, 1500, 8000
#: How many streams are given up, and how many of them at once.
GIVEN_UP, AT_ONCE = 10_000, 50

#: A client that keeps little of what it has not read, and connections of its own.
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65_536),
]


@pytest.fixture
def slow_channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A channel for those who do not read."""
    with grpc.insecure_channel(server.address, OPTIONS) as channel:
        yield channel


def test_slow_readers_hold_nobody_back_and_cost_little(
    server: ServerProcess, runs: runs_pb2_grpc.RunsStub, slow_channel: grpc.Channel, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    given = {"log": [], "count": EVENTS, "size": SIZE, "gate": str(gate)}
    # One that has ended is read from the database, and one that goes on from its journal.
    warm = create(runs, assistant_id="flood", input=payload({**given, "gate": ""}))
    wait(runs, warm.run_id)
    before, had = census(runs), rss_bytes(server.pid)
    slow = runs_pb2_grpc.RunsStub(slow_channel)
    run = create(runs, assistant_id="flood", input=payload(given), stream_modes=CUSTOM)
    request = runs_pb2.JoinRunRequest(run_id=run.run_id)
    calls: list[Any] = [slow.JoinRun(request) for _ in range(SLOW)]
    for call in calls:
        next(call)
    # Others get it all meanwhile, and so does the run.
    until(Path(f"{gate}.begun").exists, "the run has written all of its events")
    assert census(runs)["calls"] == before["calls"] + SLOW
    grown = rss_bytes(server.pid) - had
    total = EVENTS * SIZE
    assert grown < total * SLOW / 10, f"{grown / _MIB:.1f} MiB"
    gate.touch()
    result = wait(runs, run.run_id)
    assert result.run.status == run_pb2.RUN_STATUS_SUCCEEDED
    events = join(runs, run.run_id)
    assert [value(e.custom.data)["number"] for e in events if e.HasField("custom")] == list(
        range(EVENTS)
    )
    # One comes back after all, and misses nothing.
    late = [response.event for response in calls.pop()]
    assert [event.sequence for event in late] == list(range(2, len(events) + 1))
    assert shapes(late)[-1] == ("end", "SUCCEEDED")
    for call in calls:
        call.cancel()
    until(lambda: census(runs) == before, f"all is as before: {before}")
    print(f"{SLOW} slow readers of {total / _MIB:.0f} MiB: {grown / _MIB:.1f} MiB")


class GivingUp:
    """Opens streams of all kinds and gives them up, each in its own way."""

    def __init__(self, channel: grpc.aio.Channel, ended: str, going_on: run_pb2.Run) -> None:
        """Takes a run with many events that has ended, and one that goes on."""
        self._runs: Any = runs_pb2_grpc.RunsStub(channel)
        self._threads: Any = threads_pb2_grpc.ThreadsStub(channel)
        self._ended = ended
        self._going_on = going_on
        self.started: set[str] = set()

    def _open(self, number: int) -> Any:
        match number % 5:
            case 0:
                return self._runs.JoinRun(runs_pb2.JoinRunRequest(run_id=self._going_on.run_id))
            case 1:
                return self._runs.JoinRun(runs_pb2.JoinRunRequest(run_id=self._ended))
            case 2:
                return self._threads.JoinThread(
                    threads_pb2.JoinThreadRequest(thread_id=self._going_on.thread_id)
                )
            case 3:
                return self._threads.WatchThreads(threads_pb2.WatchThreadsRequest())
        # Few of these calls start a run; the others are told of the one before.
        request = runs_pb2.StreamRunRequest(
            assistant_id="flood",
            input=payload({"log": [], "count": 50, "size": 100}),
            stream_modes=CUSTOM,
            request_id=f"run-{number // 250}",
        )
        return self._runs.StreamRun(request)

    async def give_up(self, number: int) -> None:
        """Opens a stream and gives it up: at once, after an event, or while it is written to."""
        call = self._open(number)
        match number // 5 % 4:
            case 0:
                await asyncio.sleep(0)
            case 1:
                await call.initial_metadata()
            case 2:
                await self._read(call, number)
            case _:
                await self._read(call, number)
                await asyncio.sleep(0.01)
        call.cancel()
        assert await call.code() is grpc.StatusCode.CANCELLED

    async def _read(self, call: Any, number: int) -> None:
        response = await call.read()
        if number % 5 == 4:
            self.started.add(response.event.run_id)


async def test_ten_thousand_streams_that_are_given_up_leave_nothing(
    server: ServerProcess, runs: runs_pb2_grpc.RunsStub, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    large = {"log": [], "count": 200, "size": 8000}
    ended = await asyncio.to_thread(
        create, runs, assistant_id="flood", input=payload(large), stream_modes=CUSTOM
    )
    await asyncio.to_thread(wait, runs, ended.run_id)
    going_on = await asyncio.to_thread(
        create,
        runs,
        assistant_id="flood",
        input=payload({**large, "gate": str(gate)}),
        stream_modes=CUSTOM,
    )
    await asyncio.to_thread(until, Path(f"{gate}.begun").exists, "the run waits")
    before = await asyncio.to_thread(census, runs)
    async with grpc.aio.insecure_channel(server.address, OPTIONS) as channel:
        giving_up = GivingUp(channel, ended.run_id, going_on)
        numbers = itertools.count()

        async def some(count: int) -> None:
            async def one_after_another() -> None:
                for _ in range(count // AT_ONCE):
                    await giving_up.give_up(next(numbers))

            await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

        # What a server keeps of its first thousands it keeps for good: pools, caches, arenas.
        await some(GIVEN_UP // 5)
        await asyncio.to_thread(settled, runs, before)
        had = rss_bytes(server.pid), descriptors_of(server.pid), threads_of(server.pid)
        await some(GIVEN_UP)
        await asyncio.to_thread(settled, runs, before)
        grown = rss_bytes(server.pid) - had[0]
        assert grown < 20 * _MIB, f"{grown / _MIB:.1f} MiB"
        assert descriptors_of(server.pid) <= had[1] + 2
        assert threads_of(server.pid) <= had[2] + 2
    gate.touch()
    print(f"{GIVEN_UP} streams given up: {grown / _MIB:.1f} MiB")
    # Nobody's run was cancelled with its stream, or lost.
    for run_id in [going_on.run_id, *giving_up.started]:
        result = await asyncio.to_thread(wait, runs, run_id)
        assert result.run.status == run_pb2.RUN_STATUS_SUCCEEDED
        checked(await asyncio.to_thread(join, runs, run_id))


def settled(runs: runs_pb2_grpc.RunsStub, before: dict[str, int]) -> None:
    """Waits until there is no more on the event loop than there was."""
    found: dict[str, int] = {}

    def same() -> bool:
        found.update(census(runs))
        return found == before

    until(same, f"{found} is as {before}", seconds=60)
