"""The services in one process with the test, on graphs that are given as objects."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwire.v1 import pause_pb2, run_pb2
from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.graphs.doors import end_step, stop_after, take_over
from graphwire_server.graphs.failures import contain_failures
from graphwire_server.graphs.langgraph_repairs import prepare
from graphwire_server.graphs.node_threads import LoopThreads, NodeThreads
from graphwire_server.graphs.project import GraphSpec
from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph, Persistence
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.executor import Executor, ExecutorLimits
from graphwire_server.runs.membership import Membership
from graphwire_server.runs.queue_limits import QueueGate, QueueLimits
from graphwire_server.runs.request import InputStart, ResumeStart, RunRequest, Start, StreamMode
from graphwire_server.runs.service import RunService
from graphwire_server.runs.thread_states import ThreadStateService
from graphwire_server.runs.threads import ThreadService
from graphwire_server.storage.records import RunRecord
from graphwire_server.storage.sqlite import SqliteStorage
from langgraph.graph import START, StateGraph

from tests.graphs.small import Log

#: What graphs of a ledger start with.
INPUT: dict[str, Any] = {"log": []}

#: How long a run may take, in seconds.
DEADLINE = 30.0


class Ledger(list[str]):
    """What nodes have done, in order."""

    def node(self, name: str) -> Any:
        """A node that notes that it ran."""

        async def run(state: Log) -> Log:
            self.append(name)
            return {"log": [name]}

        return run

    def chain(self, *names: str, **nodes: Any) -> Any:
        """A graph of nodes one after another; `nodes` are special ones, by name."""
        builder: Any = StateGraph(Log)
        for name in names:
            builder.add_node(name, nodes.get(name) or self.node(name))
        builder.add_edge(START, names[0])
        for name, following in itertools.pairwise(names):
            builder.add_edge(name, following)
        return builder

    def beside(self, **nodes: Any) -> Any:
        """A graph of nodes that all run in one step."""
        builder: Any = StateGraph(Log)
        for name, node in nodes.items():
            builder.add_node(name, node)
            builder.add_edge(START, name)
        return builder


@dataclass(frozen=True)
class Ended:
    """A run that has ended, with its events."""

    run: RunRecord
    events: list[pb.RunEvent]

    @property
    def thread_id(self) -> str:
        return self.run.thread_id

    @property
    def status(self) -> str:
        status = run_pb2.RunStatus.Name(self.events[-1].end.status)
        return status.removeprefix("RUN_STATUS_")

    @property
    def error(self) -> str:
        """The class of the error; "" if there is none."""
        return self.events[-1].end.error.type

    @property
    def pauses(self) -> list[pause_pb2.Pause]:
        return [pause for event in self.events for pause in event.interrupted.pauses]

    @property
    def waits(self) -> list[tuple[str, str]]:
        """What it waits for: (kind, path of the node)."""
        return [
            (
                pause_pb2.PauseKind.Name(pause.kind).removeprefix("PAUSE_KIND_"),
                "/".join([*(part.partition(":")[0] for part in pause.namespace), pause.node]),
            )
            for pause in self.pauses
        ]

    def told(self, kind: str) -> list[Any]:
        """What the events of a kind say, as Python values."""
        return [_said(event) for event in self.events if event.WhichOneof("event") == kind]


def _said(event: pb.RunEvent) -> Any:
    match event.WhichOneof("event"):
        case "updates":
            return event.updates.node, json.loads(event.updates.update.json)
        case "values":
            return json.loads(event.values.values.json)
        case "custom":
            return json.loads(event.custom.data.json)
        case "task_started":
            return event.task_started.node
        case kind:
            return kind


@dataclass(frozen=True)
class Services:
    """A server without gRPC, on one graph, `g`."""

    storage: SqliteStorage
    log: EventLog
    executor: Executor
    membership: Membership
    runs: RunService
    threads: ThreadService
    states: ThreadStateService

    async def begin(
        self, start: Start, thread_id: str = "", *, principal: str = "", **fields: Any
    ) -> RunRecord:
        """Starts a run; fields are those of RunRequest."""
        fields["stream_modes"] = tuple(map(StreamMode, fields.get("stream_modes", ("UPDATES",))))
        request = RunRequest(
            start=start, thread_id=thread_id, assistant_id="g", create_thread=True, **fields
        )
        caller = Caller(principal=principal)
        return (await self.runs.start(request, caller=caller, method="")).run

    async def end_of(self, run: RunRecord) -> Ended:
        """Follows a run to its end."""
        async with asyncio.timeout(DEADLINE):
            records = [r async for r in self.log.follow(run.run_id, after=0) if r is not None]
        events = [pb.RunEvent.FromString(record.data) for record in records]
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        return Ended(run, events)

    async def start(self, value: Any, thread_id: str = "", **fields: Any) -> Ended:
        """Runs with new input."""
        return await self.end_of(await self.begin(InputStart(value), thread_id, **fields))

    async def resume(
        self, thread_id: str, *answers: tuple[str, Any], pause_ids: Any = (), **fields: Any
    ) -> Ended:
        """Resumes a thread; answers by pause id."""
        start = ResumeStart(answers=answers, pause_ids=tuple(pause_ids))
        return await self.end_of(await self.begin(start, thread_id, **fields))

    async def lose_lease(self) -> None:
        """Makes the server lose its lease, notice it, and join anew."""
        server_id = self.membership.server_id
        await self.storage.write(lambda tx: tx.leave_servers(server_id))
        await self.membership._lost(server_id)
        self.executor.wake()


@asynccontextmanager
async def serving(
    folder: Path,
    graph: Any,
    *,
    run_seconds: float = 0,
    slots: int = 10,
    queue: QueueLimits | None = None,
) -> AsyncIterator[Services]:
    """Yields the services on a graph."""
    queue = queue or QueueLimits()
    prepare(take_over, end_step, stop_after)
    loop = asyncio.get_running_loop()
    contain_failures(loop)
    node_threads = NodeThreads(8)
    loop_threads = LoopThreads(node_threads)
    loop.set_default_executor(loop_threads)
    storage = await SqliteStorage.open(folder / "graphwire.db")
    persistence = Persistence(storage.checkpointer, storage.store)
    spec = GraphSpec("g", "graph.py", "graph")
    registry = GraphRegistry({"g": LoadedGraph(spec, graph, persistence)})
    log = EventLog(storage, heartbeat_seconds=15, poll_seconds=0.05)
    membership = Membership(storage, lease_seconds=30)
    executor = Executor(
        storage=storage,
        registry=registry,
        log=log,
        threads=node_threads,
        membership=membership,
        limits=ExecutorLimits(slots, run_seconds, 3, 0.05, queue.running_of_one),
    )
    completion = Completion()
    await membership.join()
    executor.start()
    runs = RunService(
        storage=storage,
        registry=registry,
        log=log,
        executor=executor,
        completion=completion,
        default_recursion_limit=25,
        queue=QueueGate(queue),
    )
    threads = ThreadService(storage=storage, registry=registry, completion=completion)
    states = ThreadStateService(storage=storage, registry=registry, completion=completion)
    try:
        yield Services(storage, log, executor, membership, runs, threads, states)
    finally:
        # Also when a test has failed: threads that are left would keep the process from ending.
        await executor.drain(0.1)
        log.end_streams()
        await membership.leave()
        await storage.close()
        # The event loop goes on to other tests, which count their threads.
        loop.set_task_factory(None)
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        for pool in (loop_threads, node_threads):
            pool.shutdown(wait=False, cancel_futures=True)
