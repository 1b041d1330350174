"""A server that is stopped under load: whoever follows goes on at another one, and misses
nothing; and a stop that is held up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from graphwire import (
    AsyncClient,
    End,
    Event,
    HealthStatus,
    RunResult,
    RunStatus,
    ThreadChange,
    ThreadChangeKind,
    Updates,
)
from graphwire.v1 import runs_pb2_grpc, threads_pb2

from tests.e2e.drive import create, new_thread, payload, refused, wait
from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer, running_postgres
from tests.replicas.group import children
from tests.replicas.replica import PATIENCE, SUCCEEDED, Ledger, Replica, march, replicas
from tests.servers import ServerProcess

#: How many runs are at work when the server is told to stop.
RUNS = 6
STEPS = 5
#: No lease runs out here: it is the word of the server that is leaving that counts.
ENV = {"GRAPHWIRE_LEASE_SECONDS": "600", "GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "60"}


@pytest.fixture
def pair(postgres: PostgresServer) -> Iterator[list[Replica]]:
    """Two servers on one database."""
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, leaving=ENV, staying=ENV) as started,
    ):
        yield started


@pytest.fixture
async def client(pair: list[Replica]) -> AsyncIterator[AsyncClient]:
    """A client that knows both, and is connected to the one that will leave."""
    addresses = ",".join(replica.process.address for replica in pair)
    async with AsyncClient(f"ipv4:{addresses}", rejoin_timeout=PATIENCE) as client:
        yield client


class Followed:
    """A run that everything there is follows.

    Attributes:
        thread_id: Its thread.
        run_id: The run.
        streamed: What StreamRun showed.
        joined: What JoinRun showed.
        of_thread: What JoinThread showed.
        waited: What WaitRun returned.
    """

    def __init__(self, client: AsyncClient, gate: Gate, ledger: Ledger) -> None:
        self.thread_id = self.run_id = ""
        self.streamed: list[Event] = []
        self.joined: list[Event] = []
        self.of_thread: list[Event] = []
        self.waited: RunResult | None = None
        self.gate = gate
        self.ledger = ledger
        self._client = client

    async def follow(self) -> None:
        """Starts the run, and follows it to its end in all ways."""
        client = self._client
        self.thread_id = (await client.threads.create()).thread_id
        given = march(self.ledger, steps=STEPS, halt=1, path=str(self.gate.path))
        stream = client.runs.stream(
            self.thread_id,
            "march",
            input=given,
            stream_modes=["updates", "values", "custom", "tasks"],
        )
        async with asyncio.TaskGroup() as tasks:
            async for event in stream:
                if not self.streamed:
                    self.run_id = stream.run_id
                    tasks.create_task(self._join())
                    tasks.create_task(self._join_thread())
                    tasks.create_task(self._wait())
                self.streamed.append(event)

    async def _join(self) -> None:
        self.joined = [event async for event in self._client.runs.join(self.run_id)]

    async def _join_thread(self) -> None:
        async with self._client.threads.join(self.thread_id) as events:
            async for event in events:
                self.of_thread.append(event)
                if isinstance(event, End):
                    return

    async def _wait(self) -> None:
        self.waited = await self._client.runs.wait(self.run_id)


async def test_whoever_follows_goes_on_at_another_server_and_misses_and_doubles_nothing(
    pair: list[Replica], client: AsyncClient, gates: Callable[[], Gate], tmp_path: Path
) -> None:
    leaving, staying = pair
    followed = [
        Followed(client, gates(), Ledger(tmp_path / f"ledger-{number}")) for number in range(RUNS)
    ]
    changes: list[ThreadChange] = []
    watching = asyncio.Event()

    async def watch() -> None:
        async with client.threads.watch() as watched:
            watching.set()
            async for change in watched:
                changes.append(change)
                ends = [c for c in changes if c.kind is ThreadChangeKind.RUN_ENDED]
                if len(ends) == RUNS:
                    return

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(watch())
        await watching.wait()
        for each in followed:
            tasks.create_task(each.follow())
        for each in followed:
            await asyncio.to_thread(each.gate.wait_begun)
            assert {pid for _, pid in each.ledger.lines("begin")} == {leaving.pid}
        await asyncio.to_thread(until, lambda: all(each.of_thread for each in followed))
        leaving.process.signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: "draining" in leaving.process.log)
        for each in followed:
            each.gate.open()
    assert leaving.process.wait() == 0

    async with AsyncClient(staying.process.address) as other:
        for each in followed:
            recorded = [event async for event in other.runs.join(each.run_id)]
            assert each.streamed == recorded
            assert each.joined == recorded
            assert each.of_thread == recorded
            assert [event.sequence for event in recorded] == list(range(1, len(recorded) + 1))
            assert len([event for event in recorded if isinstance(event, Updates)]) == STEPS
            assert isinstance(recorded[-1], End)
            assert recorded[-1].status is RunStatus.SUCCEEDED
            assert each.waited is not None
            assert each.waited.run.status is RunStatus.SUCCEEDED
            # No step ran twice: each was handed on where it stood.
            each.ledger.check(steps=STEPS, attempts=1)
            assert {pid for _, pid in each.ledger.lines("end")} == {leaving.pid, staying.pid}
    for kind in (ThreadChangeKind.RUN_STARTED, ThreadChangeKind.RUN_ENDED):
        told = [change.thread_id for change in changes if change.kind is kind]
        assert sorted(told) == sorted(each.thread_id for each in followed)


def test_streams_of_threads_end_with_where_to_go_on(pair: list[Replica]) -> None:
    leaving, staying = pair
    thread = new_thread(leaving.threads)
    joined = leaving.threads.JoinThread(
        threads_pb2.JoinThreadRequest(thread_id=thread), timeout=PATIENCE
    )
    watched = leaving.threads.WatchThreads(threads_pb2.WatchThreadsRequest(), timeout=PATIENCE)
    cursors = [next(joined).cursor, next(watched).cursor]
    leaving.process.signal(signal.SIGTERM)
    for call in (joined, watched):
        with refused("UNAVAILABLE", "SHUTTING_DOWN") as refusal:
            list(call)
        assert refusal.retry_after == 1.0
    assert leaving.process.wait() == 0
    run = create(staying.runs, thread_id=thread, assistant_id="march", input=payload({"steps": 1}))
    again = staying.threads.JoinThread(
        threads_pb2.JoinThreadRequest(thread_id=thread, cursor=cursors[0]), timeout=PATIENCE
    )
    assert {next(again).event.run_id for _ in range(2)} <= {"", run.run_id}
    changes = staying.threads.WatchThreads(
        threads_pb2.WatchThreadsRequest(cursor=cursors[1]), timeout=PATIENCE
    )
    started = next(change for change in changes if change.kind)
    assert started.run.run_id == run.run_id


async def test_before_the_drain_a_server_says_for_a_while_that_it_is_leaving(
    postgres: PostgresServer,
) -> None:
    env = {**ENV, "GRAPHWIRE_SHUTDOWN_DELAY_SECONDS": "600"}
    with postgres.fresh_database() as database:
        process = ServerProcess(postgres.url(database), env=env).start()
        async with AsyncClient(process.address) as client:
            assert await client.health() is HealthStatus.SERVING
            process.signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: "stopping" in process.log)
            for name in ("", "graphwire.v1.Runs", "graphwire.v1.Server"):
                assert await client.health(name) is HealthStatus.NOT_SERVING
            # It works as before.
            run = await client.runs.run(None, "linear", input={"log": ["in"]})
            assert run.run.status is RunStatus.SUCCEEDED
        assert "draining" not in process.log
        # A second signal ends it at once.
        process.signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM


def test_after_the_delay_the_drain_begins(own_server: Callable[..., ServerProcess]) -> None:
    process = own_server(env={"GRAPHWIRE_SHUTDOWN_DELAY_SECONDS": "0.1"})
    assert process.stop() == 0


def test_a_server_that_can_not_stop_in_order_ends_all_the_same(gate: Gate) -> None:
    env = {
        "GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "0",
        "GRAPHWIRE_SHUTDOWN_TIMEOUT_SECONDS": "2",
        "GRAPHWIRE_LEASE_SECONDS": "2",
    }
    with running_postgres() as own, own.fresh_database() as database:
        process = ServerProcess(own.url(database), env=env).start()
        with grpc.insecure_channel(process.address) as channel:
            runs = runs_pb2_grpc.RunsStub(channel)
            run = create(runs, assistant_id="gated", input=gate.input)
            gate.wait_begun()
            with frozen(own):
                process.signal(signal.SIGTERM)
                assert process.wait() == 1
        assert "stop_took_too_long" in process.log
        gate.open()
        # Nothing is lost: it goes on when the lease has run out.
        process.start()
        with grpc.insecure_channel(process.address) as channel:
            assert wait(runs_pb2_grpc.RunsStub(channel), run.run_id).run.status == SUCCEEDED
        assert process.stop() == 0


@contextmanager
def frozen(postgres: PostgresServer) -> Iterator[None]:
    """Has a Postgres stand still, with its connections open."""
    first = int((postgres.folder / "postmaster.pid").read_text().split()[0])
    os.kill(first, signal.SIGSTOP)
    # From here on it starts none, and those that end stay in the table of processes.
    processes = [first, *children(first)]
    try:
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
