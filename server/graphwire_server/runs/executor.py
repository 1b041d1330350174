"""Executes runs: claims those that may start or were lost, sees each to its end, stops them.

A run that is RUNNING under this server's lease is in `_running` here; one that is RUNNING and
held by nobody is claimed by whoever comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from graphwire_server.graphs.node_threads import NodeThreads
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.runs import topics
from graphwire_server.runs.adding_up import at_its_turn
from graphwire_server.runs.attempt import Attempt, AttemptContext
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.events import Sealer, attempt_event
from graphwire_server.runs.execution import Outcome
from graphwire_server.runs.giving_up import discard
from graphwire_server.runs.membership import Membership
from graphwire_server.runs.observed import log_claim
from graphwire_server.storage.interface import (
    LeaseLostError,
    Reader,
    Storage,
    StorageError,
    StorageUnavailable,
    Transaction,
)
from graphwire_server.storage.records import RunRecord, RunStatus, ThreadStatus
from graphwire_server.telemetry.setup import Telemetry

_log = structlog.get_logger("graphwire.runs")

#: How long to wait before the database is tried again, in seconds.
_RETRY_SECONDS = 1.0
#: How long a server that stops waits for what it was writing, in seconds.
_WRITE_SECONDS = 2.0
#: How long to leave a decision to another server before one looks again, in seconds.
_OPEN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ExecutorLimits:
    """How much is executed.

    Attributes:
        concurrent_runs: How many runs at once.
        run_seconds: How long a run may take; 0: no limit.
        attempts: How often a run is begun, before one that loses its server each time fails.
        poll_seconds: How often the database is asked for runs of which nothing was announced.
        runs_of_one: How many runs of one principal at once, on all servers; 0: no limit.
    """

    concurrent_runs: int
    run_seconds: float
    attempts: int
    poll_seconds: float
    runs_of_one: int = 0


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do for a server."""

    cancelled: dict[str, bool]
    unsteered: list[RunRecord]
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
            unsteered=db.unsteered_runs(server_id),
            lost=db.has_lost_run(),
            due=db.has_due_run(),
            due_in=None if due is None else (due - now) / 1e6,
        )


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """An attempt, and the task that sees to it."""

    attempt: Attempt
    task: asyncio.Task[None]


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
        telemetry: Telemetry | None = None,
    ) -> None:
        """Makes the executor; `start` sets it going."""
        telemetry = telemetry or Telemetry()
        self._metrics = telemetry.metrics
        self._storage = storage
        self._membership = membership
        self._limits = limits
        self._context = AttemptContext(
            storage, registry, log, threads, limits.run_seconds, limits.attempts, telemetry
        )
        self._running: dict[str, _UnderWay] = {}
        self._reserved = 0
        self._saturated = False
        self._served = ""
        self._in_doubt = False
        self._failing = False
        self._wake = asyncio.Event()
        self._scheduler: asyncio.Task[None] | None = None
        self.draining = False
        membership.on_lost(self._drop_all)

    @property
    def server_id(self) -> str:
        """Under which this server holds runs; empty while it can hold none."""
        return self._membership.server_id

    @property
    def executing(self) -> int:
        """How many runs execute here."""
        return len(self._running)

    @property
    def alive(self) -> bool:
        """Whether runs are claimed: the task that does so is at work, and has not failed."""
        return not (self._scheduler is None or self._scheduler.done() or self._failing)

    @property
    def most_of_one(self) -> int:
        """How many runs of one principal it executes at once at the most."""
        limits = self._limits
        return min(limits.concurrent_runs, limits.runs_of_one or limits.concurrent_runs)

    def reserve(self) -> bool:
        """Takes a slot for a run that may start now, if one is free; see `release`.

        One that has just become free is for those who wait already.
        """
        free = self._free_slots() > 0 and not self._saturated
        self._saturated = self._saturated or not free
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
        attempt, before = Attempt(run, self._context), self._running.get(run.run_id)
        task = asyncio.create_task(self._see_to(attempt, before), name=f"run {run.run_id}")
        self._running[run.run_id] = _UnderWay(attempt, task)

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
        if running is None or running.attempt.lost:
            return False
        running.attempt.stop(Outcome(RunStatus.CANCELLED), abandon=abandon)
        return True

    def steer(self, run: RunRecord) -> bool:
        """Has a run take in what was said of it. Returns False if it does not execute here."""
        running = self._running.get(run.run_id)
        if running is None or running.attempt.lost:
            return False
        running.attempt.steer(run)
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
                running.attempt.close()
            await self._all_ended(grace_seconds)
        for running in list(self._running.values()):
            running.attempt.hand_back()
        await self._all_ended(None)

    async def _all_ended(self, timeout: float | None) -> None:
        tasks = [running.task for running in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    def _drop_all(self) -> None:
        """Stops everything, and records nothing: the runs are not this server's any more."""
        for running in self._running.values():
            running.attempt.drop()

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
                self._failing = False
            except (StorageError, LeaseLostError) as error:
                # What passes by itself is no fault in here: it needs no traceback.
                passing = isinstance(error, StorageUnavailable)
                _log.warning("scheduling_failed", reason=str(error), exc_info=not passing)
                seconds = _RETRY_SECONDS
            except Exception:  # noqa: BLE001  # whatever it is, runs must go on being claimed
                _log.exception("scheduling_failed")
                self._failing, seconds = True, _RETRY_SECONDS
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
        await self._steer_all(work.unsteered)
        # Runs that were lost come first: they have waited longest, and their threads stand still.
        if work.lost:
            await self._claim_some(server_id, lost=True)
        is_open = False
        if work.due:
            is_open = await self._claim_some(server_id, lost=False)
        elif not work.lost:
            self._saturated = False  # nobody waits
        poll = _OPEN_SECONDS if is_open else self._limits.poll_seconds
        return poll if work.due_in is None else min(poll, work.due_in)

    async def _steer_all(self, runs: Sequence[RunRecord]) -> None:
        """Has runs take in what was said of them at another server, and confirms it there."""
        steered = [run for run in runs if self.steer(run)]
        if not steered:
            return

        def confirm(tx: Transaction) -> None:
            for run in steered:
                tx.confirm_steering(run.run_id, run.steering)

        await self._storage.write(confirm)
        self._storage.announce(*(topics.run_topic(run.run_id) for run in steered))

    async def _claim_some(self, server_id: str, *, lost: bool) -> bool:
        """Claims what has room; returns whether it is to be tried again soon."""
        free = self._free_slots()
        self._saturated = free <= 0
        if self._saturated:
            return False

        handed_back: dict[str, bool] = {}

        def claim(tx: Transaction) -> tuple[list[RunRecord], bool]:
            if lost:
                taken = tx.claim_lost(server_id, limit=free)
                handed_back.update({each.run.run_id: each.handed_back for each in taken})
                claimed = [each.run for each in taken]
            else:
                claimed = tx.claim_due(
                    server_id,
                    limit=free,
                    most_of_one=self._limits.runs_of_one,
                    after=self._served,
                )
            return [self._begin_attempt(tx, run) for run in claimed], tx.claim_is_open

        self._reserved += free
        try:
            claimed, is_open = await self._storage.write(claim)
            self._saturated = len(claimed) == free
            self._served = claimed[-1].principal if claimed else self._served
            for run in claimed:
                log_claim(run, handed_back=handed_back.get(run.run_id))
                self.execute(run)
                if run.attempt > 1:
                    self._metrics.runs_taken_over.add()
                    self._context.tell(run.run_id)
            return is_open
        except StorageError:
            self.doubt()
            raise
        finally:
            self._reserved -= free

    def _begin_attempt(self, tx: Transaction, run: RunRecord) -> RunRecord:
        """Tells of a further attempt, in the commit that claims it: none is missing in the log."""
        if run.attempt == 1:
            return at_its_turn(tx, _given_way(tx, run) if run.discards else run)
        if not self._context.goes_on(run):
            return run
        head = tx.checkpoint(run.thread_id, "")
        event = attempt_event(run, head.checkpoint_id if head else "")
        tx.append_events(Sealer(run)([event]))
        return replace(run, last_sequence=run.last_sequence + 1)

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

    async def _see_to(self, attempt: Attempt, before: _UnderWay | None) -> None:
        """Sees an attempt to its end, once one before it has ended that lost its lease."""
        run_id = attempt.run.run_id
        if before is not None:
            await asyncio.wait([before.task])
        if self.draining:
            attempt.close()
        try:
            await attempt.see_to_end()
        except StorageError:
            _log.warning("attempt_failed", run_id=run_id, exc_info=True)
            self.doubt()
        finally:
            # It may be here again already, if the lease was lost: another attempt at it.
            running = self._running.get(run_id)
            if running is not None and running.attempt is attempt:
                del self._running[run_id]
            if self._saturated or attempt.frees_others or self._limits.runs_of_one:
                self._wake.set()


def _given_way(tx: Transaction, run: RunRecord) -> RunRecord:
    """Gives up what the thread of a run that begins waits for, if it does."""
    thread = tx.thread(run.thread_id)
    if thread is None or thread.status is not ThreadStatus.INTERRUPTED:
        return run
    now = now_us()
    tx.update_thread(run.thread_id, now=now, status=ThreadStatus.BUSY)
    return discard(tx, run, now=now)
