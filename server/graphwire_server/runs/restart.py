"""Clears up, before the server starts, what a server that was killed has left behind."""

from __future__ import annotations

import structlog

from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.runs.ending import end_run
from graphwire_server.runs.events import Sealer
from graphwire_server.runs.execution import Outcome, position_of
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import Failure, RunStatus

_log = structlog.get_logger("graphwire.runs")


async def fail_lost_runs(storage: Storage, registry: GraphRegistry) -> int:
    """Ends the runs that were executing when the server was lost as FAILED; returns how many.

    Their threads keep what was committed, and can be resumed.
    """
    runs = await storage.read(lambda db: db.running_runs())
    for run in runs:
        error = Failure("ServerLost", "the server stopped while the run was executing")
        position = await position_of(registry, run)
        outcome = Outcome(RunStatus.FAILED, position, error)
        await storage.write(lambda tx, r=run, o=outcome: end_run(tx, r, o, Sealer(r)))  # type: ignore[misc]
        _log.warning("lost_run_failed", run_id=run.run_id, thread_id=run.thread_id)
    return len(runs)
