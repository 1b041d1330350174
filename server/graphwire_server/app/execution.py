"""The parts that execute runs, and that tell readers of what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphwire_server.graphs.node_threads import NodeThreads
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.runs import topics as run_topics
from graphwire_server.runs.changes import ChangeLog
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.executor import Executor, ExecutorLimits
from graphwire_server.runs.joining import ThreadStreams
from graphwire_server.runs.membership import Membership
from graphwire_server.settings import Settings
from graphwire_server.storage.interface import CHANGES, Storage, thread_of
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.telemetry.setup import Telemetry

#: How often a reader looks for events of a run that another server executes, and of which
#: nothing was announced, in seconds.
_READER_POLL_SECONDS = 1.0
#: How often the queue is looked at without a word, in seconds, at the least.
_QUEUE_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Execution:
    """What executes runs, and what tells of them.

    Attributes:
        log: The events of runs.
        changes: What has happened to all threads.
        streams: The events of a thread's runs.
        membership: This server's lease.
        executor: Executes runs.
    """

    log: EventLog
    changes: ChangeLog
    streams: ThreadStreams
    membership: Membership
    executor: Executor

    @classmethod
    def make(
        cls,
        settings: Settings,
        storage: Storage,
        registry: GraphRegistry,
        threads: NodeThreads,
        telemetry: Telemetry,
    ) -> Execution:
        """Makes the parts; none is started."""
        poll_seconds = (
            _READER_POLL_SECONDS
            if isinstance(settings.location, PostgresAddress)
            else settings.heartbeat_seconds
        )
        heartbeat = settings.heartbeat_seconds
        metrics = telemetry.metrics
        log = EventLog(
            storage, heartbeat_seconds=heartbeat, poll_seconds=poll_seconds, metrics=metrics
        )
        changes = ChangeLog(storage, heartbeat_seconds=heartbeat, poll_seconds=poll_seconds)
        streams = ThreadStreams(
            storage, log, heartbeat_seconds=heartbeat, poll_seconds=poll_seconds
        )
        membership = Membership(storage, lease_seconds=settings.lease_seconds, metrics=metrics)
        executor = Executor(
            storage=storage,
            registry=registry,
            log=log,
            threads=threads,
            membership=membership,
            limits=ExecutorLimits(
                concurrent_runs=settings.max_concurrent_runs,
                run_seconds=settings.max_run_seconds,
                attempts=settings.max_run_attempts,
                poll_seconds=min(settings.lease_seconds / 3, _QUEUE_POLL_SECONDS),
                runs_of_one=settings.max_concurrent_runs_per_principal,
            ),
            telemetry=telemetry,
        )
        return cls(log, changes, streams, membership, executor)

    def on_announced(self, topics: Sequence[str]) -> None:
        """Wakes those whom an announcement concerns; all, if some may have been missed."""
        if run_topics.concern_executor(topics):
            self.executor.wake()
        if not topics:
            self.log.notify_all()
            self.streams.notify_all()
        if not topics or CHANGES in topics:
            self.changes.notify()
        for topic in topics:
            if run_id := run_topics.run_of(topic):
                self.log.notify(run_id)
            elif thread_id := thread_of(topic):
                self.log.look_again(thread_id)
                self.streams.notify(thread_id)
