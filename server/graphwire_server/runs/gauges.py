"""What nobody counts, since it can be looked up: read when somebody asks for the metrics."""

from __future__ import annotations

from graphwire_server.graphs.node_threads import NodeThreads
from graphwire_server.runs.executor import Executor
from graphwire_server.storage.interface import Storage, StorageError
from graphwire_server.telemetry.instruments import Metrics


class Gauges:
    """Reads the gauges of a server."""

    def __init__(
        self, metrics: Metrics, storage: Storage, executor: Executor, threads: NodeThreads
    ) -> None:
        """Takes where to look, and where to put what is found."""
        self._metrics = metrics
        self._storage = storage
        metrics.runs_executing.read_from(lambda: executor.executing)
        metrics.node_threads_busy.read_from(lambda: threads.at_work)

    async def refresh(self) -> None:
        """Looks everything up.

        Raises:
            StorageError: The database can't be read; what it would say is not known then.
        """
        metrics, load = self._metrics, self._storage.load()
        metrics.commits_waiting.set(load.writes_waiting)
        metrics.readers.set(load.readers)
        metrics.readers_busy.set(load.readers_busy)
        for file, size in load.file_bytes.items():
            metrics.database_bytes.set(size, file)
        try:
            backlog = await self._storage.read(lambda db: db.backlog())
        except StorageError:
            for gauge in (metrics.runs_queued, metrics.pauses_open, metrics.pause_oldest_seconds):
                gauge.clear()
            raise
        oldest = backlog.now if backlog.oldest_pause is None else backlog.oldest_pause
        metrics.runs_queued.set(backlog.queued_runs)
        metrics.pauses_open.set(backlog.open_pauses)
        metrics.pause_oldest_seconds.set(max(backlog.now - oldest, 0) / 1e6)
