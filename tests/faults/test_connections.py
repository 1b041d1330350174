"""Connections between clients and a server that are cut, half closed, silent, slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire import AsyncClient, Custom, End, Event, Resume, RunStatus, ThreadChangeKind
from graphwire.errors import DeadlineExceededError
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import create, get_run, list_runs, payload, value, wait
from tests.e2e.gates import until
from tests.faults.census import census
from tests.faults.proxy import Line, Proxy, Side, random_lives
from tests.servers import ServerProcess

CUSTOM = [run_pb2.STREAM_MODE_CUSTOM]
EVENTS = 150


def flood(path: Path | None = None, **fields: Any) -> dict[str, Any]:
    """The input of a run of `flood`."""
    given = {"log": [], "count": EVENTS, "size": 200, "pace": 0.001, **fields}
    return given | ({"path": str(path)} if path else {})


def numbers(events: list[Event]) -> list[int]:
    """What the events of a flood count."""
    return [event.data["number"] for event in events if isinstance(event, Custom)]


async def collect(stream: AsyncIterator[Event]) -> list[Event]:
    """Reads a stream to the end of its run."""
    events = []
    async for event in stream:
        events.append(event)
        if isinstance(event, End):
            break
    return events


def check_flood(events: list[Event]) -> None:
    """Checks that the events of a flood are all there, once and in order."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert numbers(events) == list(range(EVENTS))
    assert isinstance(events[-1], End)
    assert events[-1].status is RunStatus.SUCCEEDED


@pytest.mark.parametrize("seed", ["one", "two", "three"])
async def test_streams_that_are_cut_anywhere_lose_and_double_nothing(
    proxy: Proxy, client: AsyncClient, tmp_path: Path, seed: str
) -> None:
    ledgers = [tmp_path / f"ledger-{number}" for number in range(4)]
    proxy.line = Line(lives=random_lives(seed, 2_000, 15_000))
    streams = [
        client.runs.stream(None, "flood", input=flood(ledger), stream_modes="custom")
        for ledger in ledgers
    ]
    for events in await asyncio.gather(*map(collect, streams)):
        check_flood(events)
    assert proxy.cuts > 3
    assert [ledger.read_text() for ledger in ledgers] == ["flood\n"] * 4


async def test_joined_threads_and_watched_ones_that_are_cut_lose_and_double_nothing(
    server: ServerProcess, proxy: Proxy, client: AsyncClient, tmp_path: Path
) -> None:
    proxy.line = Line(lives=random_lives("threads", 2_000, 10_000))
    thread_ids = [(await client.threads.create()).thread_id for _ in range(3)]
    joined = [client.threads.join(thread_id) for thread_id in thread_ids]
    watching = client.threads.watch(thread_ids=thread_ids)
    changes = []

    async def watch() -> None:
        async for change in watching:
            changes.append(change)
            if sum(c.kind is ThreadChangeKind.RUN_ENDED for c in changes) == 6:
                return

    async def start(thread_id: str) -> list[str]:
        async with AsyncClient(server.address) as direct:
            found = []
            for _ in range(2):
                result = await direct.runs.run(
                    thread_id, "flood", input=flood(), stream_modes=["custom"]
                )
                found.append(result.run.run_id)
            return found

    async def two_runs(stream: Any) -> list[Event]:
        return await collect(stream) + await collect(stream)

    async with watching:
        watched = asyncio.create_task(watch())
        reading = [asyncio.create_task(two_runs(stream)) for stream in joined]
        started = await asyncio.gather(*map(start, thread_ids))
        for run_ids, task in zip(started, reading, strict=True):
            events = await task
            for run_id in run_ids:
                check_flood([event for event in events if event.run_id == run_id])
            assert [e.run_id for e in events if isinstance(e, End)] == run_ids
        await watched
    assert proxy.cuts > 3
    for kind in (ThreadChangeKind.RUN_STARTED, ThreadChangeKind.RUN_ENDED):
        seen = [change.run.run_id for change in changes if change.kind is kind and change.run]
        assert sorted(seen) == sorted(run_id for run_ids in started for run_id in run_ids)


@pytest.mark.parametrize("reset", [True, False], ids=["RST", "FIN"])
async def test_a_run_whose_first_answer_is_lost_is_started_once(
    proxy: Proxy, client: AsyncClient, runs: runs_pb2_grpc.RunsStub, tmp_path: Path, reset: bool
) -> None:
    thread_id, ledger = (await client.threads.create()).thread_id, tmp_path / "ledger"
    proxy.freeze(Side.CLIENT)
    given = flood(ledger)
    reading = asyncio.create_task(
        collect(client.runs.stream(thread_id, "flood", input=given, stream_modes="custom"))
    )
    await asyncio.to_thread(until, ledger.exists, "the run has begun")
    assert await asyncio.to_thread(proxy.cut, reset=reset) == 1
    await asyncio.to_thread(proxy.thaw)
    check_flood(await reading)
    assert ledger.read_text() == "flood\n"
    assert len(list_runs(runs, thread_id)) == 1


async def test_a_resume_whose_answer_is_lost_is_applied_once(
    proxy: Proxy, client: AsyncClient, runs: runs_pb2_grpc.RunsStub, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    given = {"log": [], "path": str(ledger)}
    paused = await client.runs.run(None, "asks", input=given, on_completion="keep")
    (pause,), thread_id = paused.pauses, paused.run.thread_id
    answer = Resume(answers={pause.pause_id: "mine"})
    for _ in range(3):
        proxy.freeze(Side.CLIENT)
        resuming = asyncio.create_task(
            client.runs.create(thread_id, resume=answer, request_id="resume")
        )
        await asyncio.to_thread(until, ledger.exists, "it has gone on")
        # There is no way to see that a repeated call has arrived: here some have, some have not.
        await asyncio.to_thread(proxy.cut)
        await asyncio.to_thread(proxy.thaw)
        run = await resuming
        assert (await client.runs.wait(run.run_id)).run.status is RunStatus.SUCCEEDED
    assert ledger.read_text() == "answer mine\n"
    assert len(list_runs(runs, thread_id)) == 2


@pytest.mark.parametrize("side", Side)
def test_connections_that_are_half_closed_leave_nothing_on_the_server(
    server: ServerProcess,
    proxy: Proxy,
    runs: runs_pb2_grpc.RunsStub,
    tmp_path: Path,
    side: Side,
) -> None:
    gate = tmp_path / "gate"
    run = create(
        runs,
        assistant_id="flood",
        input=payload(flood(gate=str(gate), pace=0)),
        stream_modes=CUSTOM,
    )
    until(Path(f"{gate}.begun").exists, "the run waits")
    before = census(runs)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with ExitStack() as channels:
        calls: list[Any] = []
        for _ in range(5):
            channel = channels.enter_context(grpc.insecure_channel(proxy.address, options))
            through, threads = (
                runs_pb2_grpc.RunsStub(channel),
                threads_pb2_grpc.ThreadsStub(channel),
            )
            started = runs_pb2.StreamRunRequest(
                assistant_id="flood",
                input=payload(flood(gate=str(gate), pace=0)),
                on_disconnect=run_pb2.ON_DISCONNECT_CANCEL,
            )
            calls += [
                through.JoinRun(runs_pb2.JoinRunRequest(run_id=run.run_id)),
                through.StreamRun(started),
                threads.JoinThread(threads_pb2.JoinThreadRequest(thread_id=run.thread_id)),
                threads.WatchThreads(threads_pb2.WatchThreadsRequest()),
            ]
            first = [next(call) for call in calls[-4:]]
            streamed = first[1].event.run_id
        assert census(runs)["calls"] == before["calls"] + len(calls)
        proxy.half_close(side)
        for call in calls:
            with pytest.raises(grpc.RpcError) as lost:
                list(call)
            assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
        # Whoever wanted to be cancelled with its stream is.
        assert wait(runs, streamed).run.status == run_pb2.RUN_STATUS_CANCELLED
        until(lambda: census(runs) == before, f"all is as before: {before}")
        assert get_run(runs, run.run_id).status == run_pb2.RUN_STATUS_RUNNING
    gate.touch()
    assert value(wait(runs, run.run_id).values)["log"] == ["flood"]


@pytest.mark.parametrize(
    "line",
    [Line(split=7), Line(merge=0.02), Line(delay=0.005, split=1000), Line(pace=60_000.0)],
    ids=["split", "merged", "delayed", "slow"],
)
async def test_how_bytes_come_in_segments_changes_nothing(
    proxy: Proxy, client: AsyncClient, line: Line
) -> None:
    proxy.line = line
    given = flood(size=20, pace=0)
    check_flood(
        await collect(client.runs.stream(None, "flood", input=given, stream_modes="custom"))
    )


async def test_a_stream_in_a_black_hole_goes_on_when_that_is_over(
    proxy: Proxy, client: AsyncClient, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    given = flood(gate=str(gate))
    stream = client.runs.stream(None, "flood", input=given, stream_modes="custom")
    events = [await anext(stream)]
    await asyncio.to_thread(proxy.freeze)
    async with AsyncClient(proxy.address, timeout=0.2) as other:
        with pytest.raises(DeadlineExceededError):
            await other.threads.create()
    await asyncio.to_thread(until, Path(f"{gate}.begun").exists, "the run goes on meanwhile")
    await asyncio.to_thread(proxy.thaw)
    gate.touch()
    events += await collect(stream)
    check_flood(events)
