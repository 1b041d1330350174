"""Clients of several servers: a stream whose server goes is joined again on another one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from graphwire import AsyncClient, End, Event, RunStatus, Updates

from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer
from tests.replicas.replica import PATIENCE, Ledger, Reader, Replica, march, replicas

STEPS = 6
HALT = 3


@pytest.fixture(scope="module")
def pair(postgres: PostgresServer) -> Iterator[list[Replica]]:
    """Two servers on one database."""
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, first={}, second={}) as started,
    ):
        yield started


@pytest.fixture
async def client(pair: list[Replica]) -> AsyncIterator[AsyncClient]:
    """A client with both in its address, of which gRPC uses the first one that answers."""
    addresses = ",".join(replica.process.address for replica in pair)
    async with AsyncClient(f"ipv4:{addresses}", rejoin_timeout=PATIENCE) as client:
        yield client


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
async def test_a_stream_goes_on_on_another_server_and_misses_nothing(
    pair: list[Replica], client: AsyncClient, gate: Gate, ledger: Ledger, end: str
) -> None:
    events: list[Event] = []

    async def read() -> None:
        given = march(ledger, steps=STEPS, halt=HALT, path=str(gate.path))
        stream = client.runs.stream(
            None, "march", input=given, stream_modes=["updates", "values", "custom", "tasks"]
        )
        events.extend([event async for event in stream])

    reading = asyncio.create_task(read())
    await asyncio.to_thread(gate.wait_begun)
    began = ledger.lines("begin")
    serving, other = sorted(pair, key=lambda replica: replica.pid != began[0][1])
    if end == "SIGTERM":
        serving.process.signal(signal.SIGTERM)
        await asyncio.to_thread(
            until, lambda: "draining" in serving.process.log, "the server drains"
        )
    else:
        serving.kill()
        await asyncio.to_thread(gate.wait_begun)
    gate.open()
    await asyncio.wait_for(reading, PATIENCE)
    recorded = Reader.join(other, events[0].run_id).whole()
    assert [event.sequence for event in events] == [event.sequence for event in recorded]
    assert len([event for event in events if isinstance(event, Updates)]) == STEPS
    assert isinstance(events[-1], End)
    assert events[-1].status is RunStatus.SUCCEEDED
    if end == "SIGTERM":
        assert serving.process.wait() == 0
        serving.channel.close()
    serving.start()
