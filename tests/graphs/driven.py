"""Drives a graph through its doors as a run does, without a server."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.graphs import langgraph_repairs
from graphwire_server.graphs.breakpoints import Breakpoint
from graphwire_server.graphs.doors import current_doorkeeper, end_step, stop_after, with_doors
from graphwire_server.graphs.execution import (
    Beginning,
    ExecutionOptions,
    GoOn,
    RunnableConfig,
    execute,
    run_config,
)
from graphwire_server.graphs.gate import Gate
from graphwire_server.graphs.judge import Judge
from graphwire_server.graphs.langgraph_compat import AnyPregel, copy_with
from graphwire_server.graphs.places import Namespace
from graphwire_server.graphs.position import Position, Waiting, read_position
from graphwire_server.graphs.state import thread_config
from graphwire_server.graphs.tap import Tap, Told
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from graphwire_server.storage.sqlite import SqliteStorage

THREAD = "thread"
_CONFIG = thread_config(THREAD)
EVERYTHING = frozenset({"values", "updates", "tasks", "checkpoints", "custom", "messages"})


class Driver:
    """One thread of a graph.

    Attributes:
        graph: The graph with doors.
        approved: Ids of what was approved so far.
        events: What the latest run has told.
        closed: Whether nothing may begin any more.
        cancelled: Whether the run is stopped for good.
    """

    def __init__(
        self,
        graph: AnyPregel,
        storage: SqliteStorage,
        *,
        before: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
        rich: tuple[Breakpoint, ...] = (),
    ) -> None:
        """Gives a graph a checkpointer, doors, and breakpoints at its root."""
        langgraph_repairs.tell_of_steps(end_step, stop_after)
        doored = with_doors(copy_with(graph, {"checkpointer": storage.checkpointer}))
        self.graph, self.places = doored.graph, doored.places
        self.approved: set[str] = set()
        self.events: list[pb.RunEvent] = []
        self.closed = False
        self.cancelled = False
        self.before, self.after, self.rich = before, after, rich
        self._storage = storage

    @property
    def judge(self) -> Judge:
        """Who knows all breakpoints."""
        lists = [Breakpoint(name) for name in self.before]
        lists += [Breakpoint(name, after=True) for name in self.after]
        return Judge(self.places, [*lists, *self.rich])

    async def run(
        self,
        beginning: Beginning | None = None,
        *,
        modes: frozenset[str] = EVERYTHING,
        subgraphs: bool = True,
        told: Told | None = None,
        configurable: Mapping[str, Any] | None = None,
        run_id: str = "",
    ) -> Position:
        """Runs the graph from where it stands, and returns where it stands then.

        Each run has an id of its own unless one is given.
        """
        beginning = beginning or GoOn()
        position = await self.position()
        answers = getattr(beginning, "answers", {})
        tap = Tap(self, modes=modes, subgraphs=subgraphs, told=told)
        self.events = []
        gate = Gate(
            self.judge,
            self.places,
            position.known(self.approved, answers),
            durable=self._durable,
            begin=tap.begin,
            closed=lambda: self.closed,
            cancelled=lambda: self.cancelled,
        )
        tap.connect(gate)
        config = _config(run_id or str(uuid.uuid4()), configurable or {})
        options = ExecutionOptions(config, None, "sync")
        batch = EditBatch()
        sink, keeper = current_sink.set(batch), current_doorkeeper.set(gate)
        try:
            await execute(self.graph, beginning, options, tap)
        finally:
            current_doorkeeper.reset(keeper)
            current_sink.reset(sink)
            await self._storage.write(batch.apply)
        return await self.position()

    async def position(self) -> Position:
        """Returns where the thread stands."""
        return await read_position(self.graph, _CONFIG)

    async def waiting(self) -> tuple[Waiting, ...]:
        """Returns what the thread waits for."""
        return (await self.position()).waiting(self.judge, self.approved)

    async def approve(self, *nodes: str) -> None:
        """Approves the breakpoints at which the thread stands; those at some nodes, or all."""
        self.approved.update(
            reason.task_id
            for reason in await self.waiting()
            if not reason.interrupt_id and (not nodes or reason.node in nodes)
        )

    @property
    def begun(self) -> list[str]:
        """The nodes that began in the latest run, with their paths."""
        return [
            "/".join([*names(event.namespace), event.task_started.node])
            for event in self.events
            if event.HasField("task_started")
        ]

    # --- the journal's part ---

    def append(self, event: pb.RunEvent) -> None:
        self.events.append(event)

    def step_starts(self, namespace: Namespace) -> None:
        pass

    def engine_stopped(self) -> None:
        pass

    async def _durable(self) -> None:
        pass


def names(namespace: Any) -> list[str]:
    """A namespace without the ids of its tasks."""
    return [part.partition(":")[0] for part in namespace]


def _config(run_id: str, configurable: Mapping[str, Any]) -> RunnableConfig:
    return run_config(
        run_id=run_id,
        thread_id=THREAD,
        assistant_id="agent",
        graph_id="agent",
        checkpoint_id="",
        recursion_limit=25,
        tags=(),
        configurable=configurable,
        context=None,
        metadata={},
        user={},
    )
