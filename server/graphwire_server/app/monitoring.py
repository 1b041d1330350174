"""What tells of the server: its metrics, and its health."""

from __future__ import annotations

from importlib.metadata import version

from graphwire_server.app.execution import Execution
from graphwire_server.graphs.node_threads import NodeThreads
from graphwire_server.graphs.project import Project
from graphwire_server.rpc.server import RpcServer
from graphwire_server.runs.gauges import Gauges
from graphwire_server.runs.vitals import Vitals
from graphwire_server.settings import Settings
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.locations import PostgresAddress
from graphwire_server.storage.records import RunStatus
from graphwire_server.telemetry.exports import Exports
from graphwire_server.telemetry.setup import Telemetry


def make_exports(
    settings: Settings,
    project: Project,
    storage: Storage,
    execution: Execution,
    threads: NodeThreads,
    telemetry: Telemetry,
) -> Exports:
    """Returns what exports metrics and traces, with what does not change told already."""
    metrics = telemetry.metrics
    storage_kind = "postgres" if isinstance(settings.location, PostgresAddress) else "sqlite"
    metrics.info.set(1, version("graphwire"), storage_kind)
    metrics.runs_limit.set(settings.max_concurrent_runs)
    metrics.node_threads_limit.set(settings.max_node_threads)
    for graph in project.graphs:
        for status in RunStatus:
            if status.ended:
                metrics.runs_ended.begin(graph, status)
    return Exports(telemetry, Gauges(metrics, storage, execution.executor, threads).refresh)


def make_vitals(
    settings: Settings, storage: Storage, execution: Execution, rpc: RpcServer
) -> Vitals:
    """Returns what finds out whether the server serves, and has `rpc` show it."""
    return Vitals(
        storage,
        execution.membership,
        execution.executor,
        rpc.show,
        lease_seconds=settings.lease_seconds,
    )
