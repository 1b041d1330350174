"""Connections that are silent, idle, noisy or old; streams that outlive theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from graphwire import (
    AsyncClient,
    Client,
    End,
    Event,
    OnDisconnect,
    RunStatus,
    ThreadChange,
    ThreadChangeKind,
)
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, create, join, new_thread, refused
from tests.e2e.gates import Gate, until
from tests.e2e.http2 import Connection
from tests.servers import ServerProcess

#: How often a stream is rejoined in a test, at the least.
TIMES = 4


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that gives connections up soon, but for their age."""
    env = {
        "GRAPHWIRE_KEEPALIVE_SECONDS": "1",
        "GRAPHWIRE_KEEPALIVE_TIMEOUT_SECONDS": "1",
        "GRAPHWIRE_MIN_PING_INTERVAL_SECONDS": "60",
    }
    process = ServerProcess(tmp_path_factory.mktemp("impatient") / "g.db", env=env).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="module")
def aging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose connections are not to become older than a second."""
    env = {
        "GRAPHWIRE_MAX_CONNECTION_AGE_SECONDS": "1",
        "GRAPHWIRE_MAX_CONNECTION_AGE_GRACE_SECONDS": "2",
        "GRAPHWIRE_HEARTBEAT_SECONDS": "0.2",
        "GRAPHWIRE_LOG_LEVEL": "debug",
    }
    process = ServerProcess(tmp_path_factory.mktemp("aging") / "g.db", env=env).start()
    yield process
    assert process.stop() == 0, process.log


def ended(process: ServerProcess) -> int:
    """How many calls have ended as UNAVAILABLE."""
    return process.log.count("code=UNAVAILABLE")


def test_a_connection_whose_other_end_is_silent_is_given_up(impatient: ServerProcess) -> None:
    frames = [kind for kind, _ in Connection(impatient.address).frames()]
    assert "PING" in frames


def test_a_client_that_pings_too_often_is_cut_off(impatient: ServerProcess) -> None:
    connection = Connection(impatient.address)
    for _ in range(5):
        connection.ping()
    goodbyes = [text for kind, text in connection.frames() if kind == "GOAWAY"]
    assert any(b"too_many_pings" in text for text in goodbyes)


def test_a_connection_without_a_call_is_ended(own_server: Callable[..., ServerProcess]) -> None:
    process = own_server(env={"GRAPHWIRE_MAX_CONNECTION_IDLE_SECONDS": "1"})
    goodbyes = [text for kind, text in Connection(process.address).frames() if kind == "GOAWAY"]
    assert any(b"connection idle" in text for text in goodbyes)


def test_a_connection_that_is_old_is_ended(aging: ServerProcess) -> None:
    goodbyes = [text for kind, text in Connection(aging.address).frames() if kind == "GOAWAY"]
    assert any(b"max_age" in text for text in goodbyes)


def test_a_stream_ends_before_its_connection_is_cut(aging: ServerProcess, gate: Gate) -> None:
    with grpc.insecure_channel(aging.address) as channel:
        runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
        thread = new_thread(threads)
        run = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
        request = runs_pb2.JoinRunRequest(run_id=run.run_id)
        seen: list[runs_pb2.JoinRunResponse] = []
        with refused("UNAVAILABLE", "STREAM_EXPIRED") as refusal:
            seen.extend(runs.JoinRun(request, timeout=DEADLINE))
        assert refusal.retry_after == 0.0
        assert [r.event.sequence for r in seen if r.event.sequence] == [1, 2]
        assert refusal.metadata == {"run_id": run.run_id, "last_sequence": "2"}
        request.after_sequence = 2
        with refused("UNAVAILABLE", "STREAM_EXPIRED") as refusal:
            list(runs.JoinRun(request, timeout=DEADLINE))
        assert refusal.metadata == {"run_id": run.run_id, "last_sequence": "2"}
        with refused("UNAVAILABLE", "STREAM_EXPIRED"):
            list(threads.WatchThreads(threads_pb2.WatchThreadsRequest(), timeout=DEADLINE))
        with refused("UNAVAILABLE", "STREAM_EXPIRED"):
            request_thread = threads_pb2.JoinThreadRequest(thread_id=thread)
            list(threads.JoinThread(request_thread, timeout=DEADLINE))
        gate.open()
        assert join(runs, run.run_id)[-1].end.status == run_pb2.RUN_STATUS_SUCCEEDED


@pytest.mark.parametrize("on_disconnect", list(OnDisconnect))
async def test_streams_are_joined_again_and_miss_and_double_nothing(
    aging: ServerProcess, gates: Callable[[], Gate], on_disconnect: OnDisconnect
) -> None:
    """Also one whose run is to be cancelled when its caller goes: nobody has gone."""
    steps = [gates() for _ in range(2)]
    folder = steps[0].path
    async with AsyncClient(aging.address) as client:
        thread = await client.threads.create()
        run_events: list[Event] = []
        thread_events: list[Event] = []
        changes: list[ThreadChange] = []
        before = ended(aging)

        async def run() -> None:
            stream = client.runs.stream(
                thread.thread_id,
                "gated",
                input={"log": ["in"], "path": str(folder)},
                stream_modes=["updates", "values", "tasks"],
                on_disconnect=on_disconnect,
            )
            run_events.extend([event async for event in stream])

        async def follow() -> None:
            async with client.threads.join(thread.thread_id) as events:
                async for event in events:
                    thread_events.append(event)
                    if isinstance(event, End):
                        return

        async def watch() -> None:
            async with client.threads.watch(thread_ids=[thread.thread_id]) as watched:
                async for change in watched:
                    changes.append(change)
                    if change.kind is ThreadChangeKind.RUN_ENDED:
                        return

        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            tasks.create_task(follow())
            tasks.create_task(run())
            await asyncio.to_thread(steps[0].wait_begun)
            # Each of the three, several times over.
            await asyncio.to_thread(until, lambda: ended(aging) >= before + 3 * TIMES)
            steps[0].open()
            await watching
        run_id = run_events[0].run_id
        recorded = [event async for event in client.runs.join(run_id)]
        assert run_events == recorded
        assert thread_events == recorded
        assert isinstance(recorded[-1], End)
        assert recorded[-1].status is RunStatus.SUCCEEDED
        assert [event.sequence for event in recorded] == list(range(1, len(recorded) + 1))
        assert [change.kind for change in changes] == [
            ThreadChangeKind.RUN_STARTED,
            ThreadChangeKind.RUN_ENDED,
        ]


@pytest.mark.parametrize("timeout", [None, 3600.0])
def test_who_waits_has_not_gone_when_the_server_ends_his_call(
    aging: ServerProcess, gate: Gate, timeout: float | None
) -> None:
    with Client(aging.address) as client, ThreadPoolExecutor(1) as pool:
        given = {"log": ["in"], "path": str(gate.path)}
        run = client.runs.create(None, "gated", input=given)
        gate.wait_begun()
        before = ended(aging)
        waiting = pool.submit(
            client.runs.wait, run.run_id, on_disconnect=OnDisconnect.CANCEL, timeout=timeout
        )
        until(lambda: ended(aging) >= before + TIMES)
        gate.open()
        assert waiting.result(DEADLINE).run.status is RunStatus.SUCCEEDED


def test_a_wait_ends_before_its_connection_is_cut(aging: ServerProcess, gate: Gate) -> None:
    with grpc.insecure_channel(aging.address) as channel:
        runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
        run = create(runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input)
        waits = runs_pb2.WaitRunRequest(
            run_id=run.run_id, on_disconnect=run_pb2.ON_DISCONNECT_CANCEL
        )
        with refused("UNAVAILABLE", "STREAM_EXPIRED") as refusal:
            runs.WaitRun(waits, timeout=DEADLINE)
        assert (refusal.retry_after, refusal.metadata) == (0.0, {"run_id": run.run_id})
        gate.open()
        assert join(runs, run.run_id)[-1].end.status == run_pb2.RUN_STATUS_SUCCEEDED


def test_waiting_for_a_run_outlives_its_connection(aging: ServerProcess, gate: Gate) -> None:
    with Client(aging.address) as client:
        given = {"log": ["in"], "path": str(gate.path)}
        run = client.runs.create(None, "gated", input=given)
        gate.wait_begun()
        goodbye = Connection(aging.address).frames()
        # One that began later has been cut off.
        assert [kind for kind, _ in goodbye][-1] == "GOAWAY"
        gate.open()
        assert client.runs.wait(run.run_id).run.status is RunStatus.SUCCEEDED
