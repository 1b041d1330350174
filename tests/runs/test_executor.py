"""The executor sees every run to its end, also where the server itself is at fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from graphwire.v1 import run_event_pb2, run_pb2
from graphwire_server.graphs.node_threads import NodeThreads
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.executor import Executor, ExecutorLimits
from graphwire_server.runs.membership import Membership
from graphwire_server.runs.request import Recovery, RunSpec
from graphwire_server.storage.records import Lease, RunRecord, RunStatus, ThreadStatus
from graphwire_server.storage.sqlite import SqliteStorage

from tests.storage.builders import a_run, a_thread


class BrokenRegistry:
    """A registry that is at fault itself, and not the graphs in it."""

    def __init__(self, *, broken: bool = True) -> None:
        self._broken = broken

    def get(self, name: str) -> Any:
        if self._broken:
            raise LookupError("the registry is broken")
        return None


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    """An empty storage."""
    storage = await SqliteStorage.open(tmp_path / "graphwire.db")
    yield storage
    await storage.close()


async def executed(
    storage: SqliteStorage, registry: BrokenRegistry, spec: str, **given: Any
) -> str:
    """Executes a run; returns the class of the error with which it ended."""
    log = EventLog(storage, heartbeat_seconds=15, poll_seconds=15)
    threads = NodeThreads(1)
    membership = Membership(storage, lease_seconds=60)
    await membership.join()
    executor = Executor(
        storage=storage,
        registry=registry,  # type: ignore[arg-type]  # all that it uses
        log=log,
        threads=threads,
        membership=membership,
        limits=ExecutorLimits(concurrent_runs=1, run_seconds=0, attempts=3, poll_seconds=15),
    )
    lease = Lease(membership.server_id, 1)
    run = a_run(
        **{"status": RunStatus.RUNNING, "spec": spec, "lease": lease, "attempt": 1, **given}
    )

    def accept(tx: Any) -> None:
        tx.insert_thread(a_thread(status=ThreadStatus.BUSY))
        tx.insert_run(run)

    await storage.write(accept)
    executor.execute(run)
    async with asyncio.timeout(10):
        records = [record async for record in log.follow(run.run_id, after=0) if record]
    events = [run_event_pb2.RunEvent.FromString(record.data) for record in records]
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == ["end"]
    assert events[-1].end.status == run_pb2.RUN_STATUS_FAILED
    kept = await storage.read(lambda db: db.run(run.run_id))
    thread = await storage.read(lambda db: db.thread(run.thread_id))
    assert kept is not None
    assert thread is not None
    assert (kept.status, thread.status) == (RunStatus.FAILED, ThreadStatus.ERROR)
    await executor.drain(0)
    await membership.leave()
    threads.shutdown()
    return events[-1].end.error.type


def a_spec(recovery: Recovery = "CONTINUE") -> str:
    return RunSpec(
        kind="input",
        value={},
        goto=[],
        answers={},
        interrupt_before=[],
        interrupt_after=[],
        stream_modes=["UPDATES"],
        stream_subgraphs=False,
        recursion_limit=25,
        tags=[],
        configurable={},
        context=None,
        metadata={},
        checkpoint_id="",
        discards=False,
        durability="SYNC",
        multitask="REJECT",
        recovery=recovery,
    ).to_json()


async def test_a_run_whose_graph_is_gone_ends(storage: SqliteStorage) -> None:
    assert await executed(storage, BrokenRegistry(broken=False), a_spec()) == "AssistantNotFound"


async def test_a_run_ends_where_the_server_is_at_fault(storage: SqliteStorage) -> None:
    assert await executed(storage, BrokenRegistry(), a_spec()) == "LookupError"


async def test_a_run_that_cannot_be_read_ends(storage: SqliteStorage) -> None:
    assert await executed(storage, BrokenRegistry(broken=False), "{}") == "TypeError"


async def test_a_run_that_cannot_be_read_has_its_webhook_all_the_same(
    storage: SqliteStorage,
) -> None:
    spec = '{"webhook": "https://example.com/"}'
    assert await executed(storage, BrokenRegistry(broken=False), spec) == "TypeError"
    claimed = await storage.write(
        lambda tx: tx.claim_webhooks(lapse=1, limit=9, per_host=9, busy={})
    )
    [webhook] = claimed.webhooks
    run = json.loads(webhook.body)["run"]
    assert (run["status"], run["error"]["type"]) == ("RUN_STATUS_FAILED", "TypeError")


@pytest.mark.parametrize(
    ("recovery", "losses", "error"),
    [
        ("MANUAL", 0, "LookupError"),
        ("MANUAL", 1, "ServerLost"),
        ("CONTINUE", 2, "LookupError"),
        ("CONTINUE", 3, "TooManyAttempts"),
    ],
)
async def test_a_run_goes_on_by_itself_as_long_as_its_policy_and_its_losses_allow(
    storage: SqliteStorage, recovery: Recovery, losses: int, error: str
) -> None:
    # Of its ten attempts all others were handed back.
    ended = await executed(
        storage, BrokenRegistry(), a_spec(recovery), last_sequence=0, attempt=10, losses=losses
    )
    assert ended == error


async def test_an_attempt_is_told_in_the_commit_that_claims_the_run(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server that is lost right after its claim leaves no gap in the attempts.
    membership = Membership(storage, lease_seconds=60)
    executor = Executor(
        storage=storage,
        registry=BrokenRegistry(),  # type: ignore[arg-type]  # never asked
        log=EventLog(storage, heartbeat_seconds=15, poll_seconds=15),
        threads=NodeThreads(1),
        membership=membership,
        limits=ExecutorLimits(concurrent_runs=1, run_seconds=0, attempts=3, poll_seconds=15),
    )
    claimed = asyncio.Queue[RunRecord]()
    monkeypatch.setattr(executor, "execute", claimed.put_nowait)
    lost = Lease("a-server-that-is-gone", 1)
    run = a_run(status=RunStatus.RUNNING, spec=a_spec(), lease=lost, attempt=1, last_sequence=0)

    def accept(tx: Any) -> None:
        tx.insert_thread(a_thread(status=ThreadStatus.BUSY))
        tx.insert_run(run)

    await storage.write(accept)
    await membership.join()
    executor.start()
    async with asyncio.timeout(10):
        taken = await claimed.get()
    (record,) = await storage.read(lambda db: db.events(run.run_id, after=0, limit=9))
    event = run_event_pb2.RunEvent.FromString(record.data)
    assert (event.sequence, event.attempt_started.attempt) == (1, 2)
    assert (taken.attempt, taken.last_sequence) == (2, 1)
    await executor.drain(0)
    await membership.leave()
