"""The lease of a server: kept up whatever the event loop does, and lost for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.graphs.node_threads import NodeThreads
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.executor import Executor, ExecutorLimits
from graphwire_server.runs.membership import Membership
from graphwire_server.storage.interface import StorageError
from graphwire_server.storage.records import Lease, RunRecord, RunStatus, ThreadStatus
from graphwire_server.storage.sqlite import SqliteStorage
from graphwire_server.telemetry.instruments import Metrics

from tests.storage.builders import a_run, a_thread

LEASE = 0.5


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    """An empty storage."""
    storage = await SqliteStorage.open(tmp_path / "graphwire.db")
    yield storage
    await storage.close()


@pytest.fixture
def metrics() -> Metrics:
    """What is counted."""
    return Metrics()


@pytest.fixture
async def membership(storage: SqliteStorage, metrics: Metrics) -> AsyncIterator[Membership]:
    """A server that has joined."""
    membership = Membership(storage, lease_seconds=LEASE, metrics=metrics)
    await membership.join()
    yield membership
    await membership.leave()


async def until(condition: Callable[[], object]) -> None:
    """Waits until a condition is true."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def is_alive(storage: SqliteStorage, server_id: str) -> bool:
    """Returns whether a server's lease is valid."""
    return await storage.write(lambda tx: tx.renew_server(server_id, ttl=1_000_000))


async def test_it_is_kept_up_while_the_event_loop_stands_still(
    storage: SqliteStorage, membership: Membership
) -> None:
    server_id = membership.server_id
    time.sleep(3 * LEASE)  # noqa: ASYNC251  # what the test is about
    assert await is_alive(storage, server_id)
    assert membership.server_id == server_id


async def test_who_has_lost_it_is_told_and_joins_anew(
    storage: SqliteStorage, membership: Membership, metrics: Metrics
) -> None:
    seen: list[str] = []
    membership.on_lost(lambda: seen.append(membership.server_id))
    before = membership.server_id
    await storage.write(lambda tx: tx.leave_servers(before))
    await until(lambda: membership.server_id not in ("", before))
    # By the time that it was told there was none.
    assert seen == [""]
    assert metrics.leases_lost.family().values == [((), 1)]
    assert await is_alive(storage, membership.server_id)
    assert not await is_alive(storage, before)


async def test_who_leaves_gives_it_up(storage: SqliteStorage) -> None:
    membership = Membership(storage, lease_seconds=60)
    await membership.join()
    await membership.leave()
    assert not await is_alive(storage, membership.server_id)


# --- runs that a server should not have, or does not know of ---


class Graphs:
    """A registry without graphs: every run fails at once."""

    def get(self, name: str) -> Any:
        return None


@pytest.fixture
async def executor(storage: SqliteStorage, membership: Membership) -> AsyncIterator[Executor]:
    """An executor that has not begun to claim."""
    threads = NodeThreads(1)
    executor = Executor(
        storage=storage,
        registry=Graphs(),  # type: ignore[arg-type]  # all that it uses
        log=EventLog(storage, heartbeat_seconds=15, poll_seconds=1),
        threads=threads,
        membership=membership,
        limits=ExecutorLimits(concurrent_runs=1, run_seconds=0, attempts=5, poll_seconds=60),
    )
    yield executor
    await executor.drain(0)
    threads.shutdown()


async def a_running_run(storage: SqliteStorage, server_id: str) -> RunRecord:
    """Adds a run that a server holds."""
    run = a_run(status=RunStatus.RUNNING, lease=Lease(server_id, 1), attempt=1)

    def add(tx: Any) -> None:
        tx.insert_thread(a_thread(status=ThreadStatus.BUSY))
        tx.insert_run(run)

    await storage.write(add)
    return run


async def the_run(storage: SqliteStorage) -> RunRecord:
    """Returns it as it is now."""
    run = await storage.read(lambda db: db.run("run"))
    assert run is not None
    return run


async def test_a_run_whose_lease_was_lost_before_it_began_is_not_begun(
    storage: SqliteStorage, membership: Membership, executor: Executor
) -> None:
    run = await a_running_run(storage, "before")
    executor.execute(run)
    assert executor.cancel(run.run_id) is False
    assert await the_run(storage) == run


async def test_a_run_that_is_held_and_not_executed_is_handed_back(
    storage: SqliteStorage, membership: Membership, executor: Executor
) -> None:
    """As after a commit of which nobody knows whether it was one."""
    await a_running_run(storage, membership.server_id)
    executor.doubt()
    executor.start()
    async with asyncio.timeout(30):
        # It is claimed at once, by the same server since there is no other one.
        while (run := await the_run(storage)).attempt == 1:
            await asyncio.sleep(0.01)
    assert run.attempt == 2


async def test_without_a_lease_nothing_starts(
    storage: SqliteStorage, membership: Membership, executor: Executor
) -> None:
    assert executor.reserve()
    executor.release()
    lost = asyncio.Event()
    gone = membership.server_id

    def on_lost() -> None:
        assert not executor.reserve()
        lost.set()

    membership.on_lost(on_lost)
    await storage.write(lambda tx: tx.leave_servers(gone))
    await asyncio.wait_for(lost.wait(), 30)


async def test_what_can_not_be_given_up_does_not_keep_a_server_from_stopping(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    membership = Membership(storage, lease_seconds=60)
    await membership.join()

    async def fail(work: Any, *, long: bool = False) -> None:
        raise StorageError("the database can't be used")

    monkeypatch.setattr(storage, "write", fail)
    await membership.leave()
