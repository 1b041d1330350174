"""Executes runs: starts those that may start, sees each one to its end, and stops them.

A run that is RUNNING in the database is in `_running` here, and the other way round; the
one exception, runs of a server that was killed, is cleared up by `restart` before the
executor starts.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import structlog

from graphwire_server.graphs.failures import error_text, error_type
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.ending import end_run
from graphwire_server.runs.event_log import EventLog, RunRecorder
from graphwire_server.runs.events import Sealer, metadata_event
from graphwire_server.runs.execution import Outcome, RunExecution, position_of
from graphwire_server.runs.node_threads import NodeThreads, current_run
from graphwire_server.storage.interface import Storage, StorageError, Transaction
from graphwire_server.storage.records import Failure, RunRecord, RunStatus

_log = structlog.get_logger("graphwire.runs")

#: How long to wait before the database is tried again, in seconds.
_RETRY_SECONDS = 1.0
#: How long nodes that are to stop, and are not waited for, get to do so.
_ABANDON_SECONDS = 1.0


@dataclass(slots=True)
class _Running:
    """A run that is executing."""

    run: RunRecord
    execution: asyncio.Task[Outcome] | None = None
    supervisor: asyncio.Task[None] | None = None
    stop: Outcome | None = None
    abandoned: asyncio.Future[None] = field(default_factory=asyncio.Future)


class Executor:
    """Executes the runs of this server.

    Attributes:
        draining: Whether the server is shutting down; it starts no more runs then.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        registry: GraphRegistry,
        log: EventLog,
        threads: NodeThreads,
        max_concurrent_runs: int,
        max_run_seconds: float,
    ) -> None:
        """Makes the executor; `start` sets it going."""
        self._storage = storage
        self._registry = registry
        self._log = log
        self._threads = threads
        self._max_concurrent = max_concurrent_runs
        self._max_seconds = max_run_seconds
        self._running: dict[str, _Running] = {}
        self._reserved = 0
        self._wake = asyncio.Event()
        self._scheduler: asyncio.Task[None] | None = None
        self.draining = False

    def reserve(self) -> bool:
        """Takes a slot for a run that may start now, if one is free; see `release`."""
        free = self._free_slots() > 0
        self._reserved += free
        return free

    def release(self) -> None:
        """Gives a slot back, or up to the run that executes in it."""
        self._reserved -= 1

    def start(self) -> None:
        """Starts to execute runs that wait for their turn or their time."""
        self._scheduler = asyncio.create_task(self._schedule(), name="run-scheduler")
        self._wake.set()

    def wake(self) -> None:
        """Looks for runs that may start: after one was accepted, ended, or was cancelled."""
        self._wake.set()

    def execute(self, run: RunRecord) -> None:
        """Begins to execute a run that has just become RUNNING."""
        running = self._running[run.run_id] = _Running(run)
        running.supervisor = asyncio.create_task(self._supervise(running), name=f"run {run.run_id}")

    def cancel(self, run_id: str, *, abandon: bool = False) -> None:
        """Stops a run, which ends as CANCELLED once its nodes have returned.

        With `abandon` it does not wait for nodes that can't be stopped. No effect on runs
        that are not executing.
        """
        running = self._running.get(run_id)
        if running is not None:
            self._stop(running, Outcome(RunStatus.CANCELLED), abandon=abandon)

    async def drain(self, grace_seconds: float) -> None:
        """Starts no more runs, lets those executing end within a time, then stops them."""
        self.draining = True
        if self._scheduler is not None:
            self._wake.set()
            await self._scheduler
        with contextlib.suppress(StorageError):
            # What was accepted before is executing after this write: they are in order.
            await self._storage.write(lambda tx: None)
        if self._running:
            _log.info("draining", runs=len(self._running), grace_seconds=grace_seconds)
            await self._all_ended(grace_seconds)
        for running in list(self._running.values()):
            error = Failure("ServerShutdown", "the server was shut down while the run executed")
            self._stop(running, Outcome(RunStatus.FAILED, error=error), abandon=True)
        await self._all_ended(None)

    async def _all_ended(self, timeout: float | None) -> None:
        supervisors = [r.supervisor for r in self._running.values() if r.supervisor]
        if supervisors:
            await asyncio.wait(supervisors, timeout=timeout)

    def _stop(self, running: _Running, outcome: Outcome, *, abandon: bool) -> None:
        if abandon and not running.abandoned.done():
            running.abandoned.set_result(None)
        if running.stop is None:
            running.stop = outcome
            # Once only: the next one would interrupt the wait for nodes that clean up.
            if running.execution is not None:
                running.execution.cancel()

    def _free_slots(self) -> int:
        if self.draining:
            return 0
        return self._max_concurrent - len(self._running) - self._reserved

    async def _schedule(self) -> None:
        while not self.draining:
            self._wake.clear()
            try:
                seconds = await self._start_due()
            except StorageError:
                _log.exception("scheduling_failed")
                seconds = _RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)

    async def _start_due(self) -> float | None:
        """Starts what may start; returns in how many seconds the next run is due, if any is."""
        now = now_us()
        free = self._free_slots()
        if free > 0:
            waiting = await self._storage.read(lambda db: db.startable_runs(now=now, limit=free))
            await self._start_some(now, min(len(waiting), self._free_slots()))
        due = await self._storage.read(lambda db: db.next_due_time(now=now))
        return None if due is None else max(0.0, (due - now_us()) / 1e6)

    async def _start_some(self, now: int, count: int) -> None:
        def start(tx: Transaction) -> list[RunRecord]:
            started = []
            for run_id in tx.startable_runs(now=now, limit=count):
                if tx.change_run(run_id, RunStatus.RUNNING, now=now):
                    run = tx.run(run_id)
                    assert run is not None
                    started.append(run)
            return started

        if count <= 0:
            return
        self._reserved += count
        try:
            for run in await self._storage.write(start):
                self.execute(run)
        finally:
            self._reserved -= count

    async def _supervise(self, running: _Running) -> None:
        """Sees a run to its end, whatever happens to its execution."""
        run = running.run
        recorder = self._log.recorder(run)
        recorder.append(metadata_event(run))
        try:
            try:
                outcome = await self._outcome(running, recorder)
            except Exception as error:  # noqa: BLE001  # a fault of ours; the run ends all the same
                _log.exception("run_supervision_failed", run_id=run.run_id)
                failure = Failure(error_type(error), error_text(error))
                outcome = Outcome(RunStatus.FAILED, error=failure)
            await self._record_end(run, recorder, outcome)
        finally:
            self._running.pop(run.run_id, None)
            self._log.close(recorder)
            self._wake.set()

    async def _record_end(self, run: RunRecord, recorder: RunRecorder, outcome: Outcome) -> None:
        """Records a run's end; while the database can't be written, tries again.

        When the server stops before that, the next start finds the run and clears it up.
        """
        while True:
            try:
                await self._try_to_record_end(run, recorder, outcome)
            except StorageError:
                _log.exception("run_end_not_recorded", run_id=run.run_id)
                if self.draining:
                    return
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                _log.info(
                    "run_ended",
                    run_id=run.run_id,
                    thread_id=run.thread_id,
                    status=outcome.status,
                    error=outcome.error,
                )
                return

    async def _try_to_record_end(
        self, run: RunRecord, recorder: RunRecorder, outcome: Outcome
    ) -> None:
        try:
            await recorder.flushed()
        except Exception as error:  # noqa: BLE001  # whatever it was, they are not kept
            lost = Failure("StorageError", f"events of the run could not be kept: {error}")

            def fail(tx: Transaction) -> None:
                # What follows on events that are lost can't stand: the end comes right
                # after the last one that was kept.
                kept = tx.run(run.run_id)
                if kept is not None:
                    end_run(tx, kept, Outcome(RunStatus.FAILED, error=lost), Sealer(kept))

            await self._storage.write(fail)
        else:
            await self._storage.write(lambda tx: end_run(tx, run, outcome, recorder.seal))

    async def _outcome(self, running: _Running, recorder: RunRecorder) -> Outcome:
        run = running.run
        token = current_run.set(run.run_id)
        execution = RunExecution(
            run,
            recorder,
            registry=self._registry,
            storage=self._storage,
            max_seconds=self._max_seconds,
        )
        running.execution = asyncio.create_task(
            execution.outcome(), name=f"execution of {run.run_id}"
        )
        current_run.reset(token)
        if running.stop is not None:
            running.execution.cancel()
        await _first_of(running.execution, running.abandoned)
        await asyncio.wait([running.execution], timeout=_ABANDON_SECONDS)
        returned = asyncio.create_task(self._threads.returned(run.run_id))
        await _first_of(returned, running.abandoned)
        returned.cancel()
        outcome = _outcome_of(running.execution, running.stop)
        if outcome.position is None:
            position = await position_of(self._registry, run)
            outcome = Outcome(outcome.status, position, outcome.error)
        return outcome


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _outcome_of(execution: asyncio.Task[Outcome], stop: Outcome | None) -> Outcome:
    if execution.done() and not execution.cancelled():
        return execution.result()
    if stop is not None:
        return stop
    error = Failure("CancelledError", "a node of the graph cancelled the run's task")
    return Outcome(RunStatus.FAILED, error=error)
