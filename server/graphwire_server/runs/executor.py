"""Executes runs: claims those that may start or were lost, sees each to its end, stops them.

A run that is RUNNING under this server's lease is in `_running` here; one that is RUNNING and
held by nobody is claimed by whoever comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from graphwire_server.graphs.failures import error_text, error_type
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.runs.ending import end_run
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.events import Sealer, attempt_event
from graphwire_server.runs.execution import Outcome, RunExecution, position_of
from graphwire_server.runs.journal import Journal
from graphwire_server.runs.membership import Membership
from graphwire_server.runs.node_threads import NodeThreads, current_run
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import (
    LeaseLostError,
    Reader,
    Storage,
    StorageError,
    Transaction,
)
from graphwire_server.storage.records import Failure, RunRecord, RunStatus

_log = structlog.get_logger("graphwire.runs")

#: How long to wait before the database is tried again, in seconds.
_RETRY_SECONDS = 1.0
#: How long a server that stops waits for what it was writing, in seconds.
_WRITE_SECONDS = 2.0
#: How long nodes that are to stop, and are not waited for, get to do so.
_ABANDON_SECONDS = 1.0

#: What is announced when runs may be claimed, and when one is to be cancelled.
QUEUE_TOPIC = "queue"
CANCEL_TOPIC = "cancel"


@dataclass(frozen=True, slots=True)
class ExecutorLimits:
    """How much is executed.

    Attributes:
        concurrent_runs: How many runs at once.
        run_seconds: How long a run may take; 0: no limit.
        attempts: How often a run is begun, before one that loses its server each time fails.
        poll_seconds: How often the database is asked for runs of which nothing was announced.
    """

    concurrent_runs: int
    run_seconds: float
    attempts: int
    poll_seconds: float


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do for a server."""

    cancelled: dict[str, bool]
    lost: bool
    due: bool
    due_in: float | None

    @classmethod
    def read(cls, db: Reader, server_id: str) -> _Work:
        """Reads it; `due_in` is in seconds, and None if no run is due later."""
        now = db.now()
        due = db.next_due_time(now=now)
        return cls(
            cancelled=db.cancelled_runs(server_id),
            lost=db.has_lost_run(),
            due=db.has_due_run(),
            due_in=None if due is None else (due - now) / 1e6,
        )


@dataclass(slots=True)
class _Running:
    """A run that is executing."""

    run: RunRecord
    attempt: RunExecution | None = None
    execution: asyncio.Task[Outcome] | None = None
    supervisor: asyncio.Task[None] | None = None
    stop: Outcome | None = None
    abandoned: asyncio.Future[None] = field(default_factory=asyncio.Future)
    lost: bool = False
    manual: bool = False
    frees_others: bool = True
    before: asyncio.Task[None] | None = None


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
        membership: Membership,
        limits: ExecutorLimits,
    ) -> None:
        """Makes the executor; `start` sets it going."""
        self._storage = storage
        self._registry = registry
        self._log = log
        self._threads = threads
        self._membership = membership
        self._limits = limits
        self._running: dict[str, _Running] = {}
        self._reserved = 0
        self._saturated = False
        self._in_doubt = False
        self._wake = asyncio.Event()
        self._scheduler: asyncio.Task[None] | None = None
        self.draining = False
        membership.on_lost(self._drop_all)

    @property
    def server_id(self) -> str:
        """Under which this server holds runs; empty while it can hold none."""
        return self._membership.server_id

    def reserve(self) -> bool:
        """Takes a slot for a run that may start now, if one is free; see `release`."""
        free = self._free_slots() > 0
        self._reserved += free
        return free

    def release(self) -> None:
        """Gives a slot back, or up to the run that executes in it."""
        self._reserved -= 1
        if self._saturated:
            self._wake.set()

    def start(self) -> None:
        """Starts the task that claims runs."""
        self._scheduler = asyncio.create_task(self._schedule(), name="run-scheduler")
        self._wake.set()

    def wake(self) -> None:
        """Looks for runs to claim or to cancel: after one was accepted, ended, or cancelled."""
        self._wake.set()

    def execute(self, run: RunRecord) -> None:
        """Begins to execute a run that has just become RUNNING under this server's lease.

        If that lease was lost meanwhile, the run is somebody else's to claim.
        """
        assert run.lease is not None
        if run.lease.server_id != self.server_id or not self.server_id:
            self._wake.set()
            return
        before = self._running.get(run.run_id)
        running = self._running[run.run_id] = _Running(run)
        running.before = before.supervisor if before else None
        running.supervisor = asyncio.create_task(self._supervise(running), name=f"run {run.run_id}")

    def doubt(self) -> None:
        """Notes that this server may hold runs of which it does not know.

        To be called when a write failed that would have given it some: that the connection was
        lost does not always tell whether the write was done.
        """
        self._in_doubt = True
        self._wake.set()

    def cancel(self, run_id: str, *, abandon: bool = False) -> bool:
        """Stops a run, which ends as CANCELLED once its nodes have returned.

        With `abandon` it does not wait for nodes that can't be stopped. Returns False if the
        run does not execute here.
        """
        running = self._running.get(run_id)
        if running is None or running.lost:
            return False
        self._stop(running, Outcome(RunStatus.CANCELLED), abandon=abandon)
        return True

    async def drain(self, grace_seconds: float) -> None:
        """Starts no more runs, and hands those executing back, each at a step's boundary.

        What is still at work after a time is stopped in the middle of its step, which is done
        again by whoever goes on with the run; with recovery_policy MANUAL it fails instead.
        """
        self.draining = True
        if self._scheduler is not None:
            self._wake.set()
            await self._scheduler
        with contextlib.suppress(StorageError, TimeoutError):
            # What was accepted before is executing after this write: they are in order.
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._storage.write(lambda tx: None)
        if self._running:
            _log.info("draining", runs=len(self._running), grace_seconds=grace_seconds)
            for running in self._running.values():
                if running.attempt is not None:
                    running.attempt.close()
            await self._all_ended(grace_seconds)
        for running in list(self._running.values()):
            left = _server_lost() if running.manual else Outcome(None)
            self._stop(running, left, abandon=True)
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

    def _drop_all(self) -> None:
        """Stops everything, and records nothing: the runs are not this server's any more."""
        for running in self._running.values():
            running.lost = True
            self._stop(running, Outcome(None), abandon=True)

    def _free_slots(self) -> int:
        if self.draining or not self.server_id:
            return 0
        return self._limits.concurrent_runs - len(self._running) - self._reserved

    # --- claiming ---

    async def _schedule(self) -> None:
        while not self.draining:
            self._wake.clear()
            try:
                seconds = await self._claim()
            except (StorageError, LeaseLostError):
                _log.warning("scheduling_failed", exc_info=True)
                seconds = _RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)

    async def _claim(self) -> float:
        """Claims what may be executed; returns in how many seconds to look again."""
        server_id = self.server_id
        if not server_id:
            return self._limits.poll_seconds
        if self._in_doubt:
            await self._hand_back_unknown(server_id)
        work = await self._storage.read(lambda db: _Work.read(db, server_id), short=True)
        for run_id, abandon in work.cancelled.items():
            self.cancel(run_id, abandon=abandon)
        # Runs that were lost come first: they have waited longest, and their threads stand still.
        if work.lost:
            await self._claim_some(server_id, lost=True)
        if work.due:
            await self._claim_some(server_id, lost=False)
        poll = self._limits.poll_seconds
        return poll if work.due_in is None else min(poll, work.due_in)

    async def _claim_some(self, server_id: str, *, lost: bool) -> None:
        free = self._free_slots()
        self._saturated = free <= 0
        if self._saturated:
            return

        def claim(tx: Transaction) -> list[RunRecord]:
            claimed = (tx.claim_lost if lost else tx.claim_due)(server_id, limit=free)
            return [self._begin_attempt(tx, run) for run in claimed]

        self._reserved += free
        try:
            claimed = await self._storage.write(claim)
            self._saturated = len(claimed) == free
            for run in claimed:
                _log.info("run_claimed", run_id=run.run_id, attempt=run.attempt)
                self.execute(run)
                if run.attempt > 1:
                    self._tell(run.run_id)
        except StorageError:
            self.doubt()
            raise
        finally:
            self._reserved -= free

    def _begin_attempt(self, tx: Transaction, run: RunRecord) -> RunRecord:
        """Tells of a further attempt, in the commit that claims it: none is missing in the log."""
        if run.attempt == 1 or not self._goes_on(run):
            return run
        head = tx.checkpoint(run.thread_id, "")
        event = attempt_event(run, head.checkpoint_id if head else "")
        tx.append_events(Sealer(run)([event]))
        return replace(run, last_sequence=run.last_sequence + 1)

    def _goes_on(self, run: RunRecord) -> bool:
        try:
            return self._refusal(run, RunSpec.from_json(run.spec)) is None
        except Exception:  # noqa: BLE001  # what can't be read fails that run, and no claim
            return False

    async def _hand_back_unknown(self, server_id: str) -> None:
        """Hands back the runs that this server holds without executing them."""
        self._in_doubt = False
        try:
            # A write and not a read: all that was accepted before it is executing after it.
            held = await self._storage.write(lambda tx: tx.held_runs(server_id))
            unknown = {run: lease for run, lease in held.items() if run not in self._running}
            for run_id, lease in unknown.items():
                _log.warning("run_not_executing", run_id=run_id)
                await self._storage.write(
                    lambda tx, run_id=run_id, lease=lease: tx.hand_back(run_id, lease)  # type: ignore[misc]
                )
        except StorageError:
            self._in_doubt = True
            raise

    # --- one run ---

    async def _supervise(self, running: _Running) -> None:
        """Sees a run to its end, whatever happens to its execution."""
        run = running.run
        if running.before is not None:
            # An attempt that lost its lease, and is about to stop.
            await asyncio.wait([running.before])
        journal = Journal(run, self._storage, on_commit=self._tell)
        self._log.open(journal)
        try:
            try:
                spec = RunSpec.from_json(run.spec)
                running.manual = spec.recovery == "MANUAL"
                outcome = self._refusal(run, spec) or await self._outcome(running, journal)
            except (LeaseLostError, StorageError):
                raise
            except Exception as error:  # noqa: BLE001  # a fault of ours; the run ends all the same
                _log.exception("run_supervision_failed", run_id=run.run_id)
                failure = Failure(error_type(error), error_text(error))
                outcome = Outcome(RunStatus.FAILED, error=failure)
            await self._record_end(running, journal, outcome)
        except LeaseLostError as error:
            _log.error("run_lost", run_id=run.run_id, error=str(error))
        except StorageError:
            _log.warning("attempt_failed", run_id=run.run_id, exc_info=True)
            self.doubt()
        finally:
            # It may be here again already, if the lease was lost: another attempt at it.
            if self._running.get(run.run_id) is running:
                del self._running[run.run_id]
            self._log.close(journal)
            if self._saturated or running.frees_others:
                self._wake.set()

    def _refusal(self, run: RunRecord, spec: RunSpec) -> Outcome | None:
        """Returns how a run ends that must not begin, or not go on by itself; None if it may."""
        if run.cancel_requested:
            return Outcome(RunStatus.CANCELLED)
        if run.losses and spec.recovery == "MANUAL":
            return _server_lost()
        if run.losses >= self._limits.attempts:
            text = (
                f"each of {self._limits.attempts} attempts at the run ended with its server: "
                "a node may crash it"
            )
            return Outcome(RunStatus.FAILED, error=Failure("TooManyAttempts", text))
        return None

    async def _outcome(self, running: _Running, journal: Journal) -> Outcome:
        run = running.run
        token = current_run.set(run.run_id)
        running.attempt = attempt = RunExecution(
            run,
            journal,
            registry=self._registry,
            storage=self._storage,
            max_seconds=self._limits.run_seconds,
        )
        if self.draining:
            attempt.close()
        running.execution = asyncio.create_task(
            attempt.outcome(), name=f"execution of {run.run_id}"
        )
        current_run.reset(token)
        if running.stop is not None:
            running.execution.cancel()
        await _first_of(running.execution, running.abandoned)
        if not running.execution.done():
            await asyncio.wait([running.execution], timeout=_ABANDON_SECONDS)
        if self._threads.busy(run.run_id):
            returned = asyncio.create_task(self._threads.returned(run.run_id))
            await _first_of(returned, running.abandoned)
            returned.cancel()
        return _outcome_of(running.execution, running.stop)

    async def _record_end(self, running: _Running, journal: Journal, outcome: Outcome) -> None:
        """Records a run's end; while the database can't be written, tries again.

        When the server stops before that, whoever claims the run next clears it up.
        """
        while not running.lost:
            try:
                running.frees_others = await self._try_to_record_end(running.run, journal, outcome)
            except StorageError:
                _log.exception("run_end_not_recorded", run_id=running.run.run_id)
                if self.draining:
                    return
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._tell(running.run.run_id)
                if running.frees_others:
                    self._storage.announce(QUEUE_TOPIC)
                _log.info(
                    "run_ended" if outcome.status else "run_handed_back",
                    run_id=running.run.run_id,
                    thread_id=running.run.thread_id,
                    status=outcome.status,
                    error=outcome.error,
                )
                return

    async def _try_to_record_end(self, run: RunRecord, journal: Journal, outcome: Outcome) -> bool:
        """Records a run's end; returns whether another run may start for that."""
        lease = run.lease
        assert lease is not None
        try:
            if outcome.status is None:
                await journal.end(lambda tx, _: tx.hand_back(run.run_id, lease))
                return True
            if outcome.position is None:
                # Of what was made, all that was kept; what wasn't never happened.
                await journal.durable()
                position = await position_of(self._registry, run)
                outcome = Outcome(outcome.status, position, outcome.waiting, outcome.error)
            return await journal.end(lambda tx, seal: end_run(tx, run, outcome, seal))
        except LeaseLostError:
            raise
        except Exception as error:
            if not journal.failed:
                raise
            # What was to be kept is lost, and what follows on it can't stand: the end comes
            # right after the last event that was kept.
            _log.warning("events_lost", run_id=run.run_id, exc_info=error)
            text = f"what came of the run could not be kept: {error}"
            lost = Outcome(RunStatus.FAILED, error=Failure("StorageError", text))

            def fail(tx: Transaction) -> bool:
                tx.hold(run.run_id, lease)
                kept = tx.run(run.run_id)
                return kept is not None and end_run(tx, kept, lost, Sealer(kept))

            return await self._storage.write(fail)

    def _tell(self, run_id: str) -> None:
        self._log.notify(run_id)
        self._storage.announce(f"run/{run_id}")


def topics_to_wake(topics: Sequence[str]) -> bool:
    """Returns whether topics that were announced concern the executor."""
    return not topics or QUEUE_TOPIC in topics or CANCEL_TOPIC in topics


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _server_lost() -> Outcome:
    text = "the server stopped while the run was executing"
    return Outcome(RunStatus.FAILED, error=Failure("ServerLost", text))


def _outcome_of(execution: asyncio.Task[Outcome], stop: Outcome | None) -> Outcome:
    if execution.done() and not execution.cancelled():
        return execution.result()
    if stop is not None:
        return stop
    error = Failure("CancelledError", "a node of the graph cancelled the run's task")
    return Outcome(RunStatus.FAILED, error=error)
