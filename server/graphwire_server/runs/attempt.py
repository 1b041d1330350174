"""One attempt at a run: executes it, stops it, and records how it ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from graphwire_server.graphs.failures import error_text, error_type
from graphwire_server.graphs.node_threads import NodeThreads, current_run
from graphwire_server.graphs.position import Position
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.runs import topics
from graphwire_server.runs.ending import end_run
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.events import Sealer
from graphwire_server.runs.execution import Outcome, RunExecution, position_of
from graphwire_server.runs.journal import Journal
from graphwire_server.runs.observed import ObservedAttempt
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import (
    LeaseLostError,
    Storage,
    StorageError,
    StorageUnavailable,
    Transaction,
)
from graphwire_server.storage.records import Failure, RunRecord, RunStatus
from graphwire_server.telemetry.setup import Telemetry

_log = structlog.get_logger("graphwire.runs")

#: How long to wait before the database is tried again, in seconds.
_RETRY_SECONDS = 1.0
#: How long nodes that are to stop, and are not waited for, get to do so.
_ABANDON_SECONDS = 1.0
#: How long after the limit on its time a run is said to be late.
_LATE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """What attempts need, the same for all of a server.

    Attributes:
        storage: Where runs are kept.
        registry: The graphs.
        log: Who follows runs.
        threads: Where nodes run that are plain functions.
        run_seconds: How long a run may take; 0: no limit.
        losses: After how many lost attempts a run fails.
        telemetry: What tells of them.
    """

    storage: Storage
    registry: GraphRegistry
    log: EventLog
    threads: NodeThreads
    run_seconds: float
    losses: int
    telemetry: Telemetry = field(default_factory=Telemetry)

    def refusal(self, run: RunRecord, spec: RunSpec) -> Outcome | None:
        """Returns how a run ends that must not begin, or not go on by itself; None if it may."""
        if run.cancel_requested:
            return Outcome(RunStatus.CANCELLED)
        if run.losses and spec.recovery == "MANUAL":
            return _server_lost()
        if run.losses >= self.losses:
            attempts = f"each of {self.losses} attempts" if self.losses > 1 else "the only attempt"
            text = (
                f"{attempts} at a step of the run ended with the loss of its server or of the "
                "database: a node may crash one of them"
            )
            return Outcome(RunStatus.FAILED, error=Failure("TooManyAttempts", text))
        return None

    def goes_on(self, run: RunRecord) -> bool:
        """Returns whether a run that is claimed is executed, and does not merely end."""
        try:
            return self.refusal(run, RunSpec.from_json(run.spec)) is None
        except Exception:  # noqa: BLE001  # one that can't be read fails when it is attempted
            return False

    def tell(self, run_id: str) -> None:
        """Tells the readers of a run, here and elsewhere, that there is news."""
        self.log.notify(run_id)
        self.storage.announce(topics.run_topic(run_id))


class Attempt:
    """An attempt at a run that is RUNNING under this server's lease.

    Attributes:
        run: The run, as it was when the attempt began.
        lost: Whether the run is somebody else's by now; nothing is recorded any more.
        frees_others: Whether other runs may start when this one has ended.
    """

    def __init__(self, run: RunRecord, context: AttemptContext) -> None:
        """Prepares it; `see_to_end` begins."""
        self.run = run
        self.lost = False
        self.frees_others = True
        self._context = context
        self._manual = False
        self._closed = False
        self._execution: RunExecution | None = None
        self._executing: asyncio.Task[Outcome] | None = None
        self._stop: Outcome | None = None
        self._steered: RunRecord | None = None
        self._observed: ObservedAttempt | None = None
        self._instead: Outcome | None = None
        self._journal: Journal | None = None
        self._interrupted = False
        loop = asyncio.get_running_loop()
        self._abandoned: asyncio.Future[None] = loop.create_future()
        self._let_go: asyncio.Future[None] = loop.create_future()

    def close(self) -> None:
        """Hands the run back at the next step's boundary: the server stops."""
        self._closed = True
        if self._execution is not None:
            self._execution.close()

    def steer(self, run: RunRecord) -> None:
        """Takes in what was said of the run since it began; see `RunExecution.steer`."""
        if self._steered is None or run.steering > self._steered.steering:
            self._steered = run
        if self._execution is not None:
            self._execution.steer(run)

    def hand_back(self) -> None:
        """Hands the run back now, in the middle of a step. With recovery MANUAL it fails."""
        self.stop(_server_lost() if self._manual else Outcome(None), abandon=True)
        self._set_let_go()

    def drop(self) -> None:
        """Stops the execution, and records nothing."""
        self.lost = True
        self.stop(Outcome(None), abandon=True)
        self._set_let_go()

    def _set_let_go(self) -> None:
        if not self._let_go.done():
            self._let_go.set_result(None)
        if self._journal is not None:
            self._journal.hurry()

    def stop(self, outcome: Outcome, *, abandon: bool) -> None:
        """Stops the execution; the run ends with an outcome once its nodes have returned.

        With `abandon` nodes that can't be stopped are not waited for. Of several outcomes the
        first one counts.
        """
        if abandon and not self._abandoned.done():
            self._abandoned.set_result(None)
        if self._stop is None:
            self._stop = outcome
            # Once only: the next one would interrupt the wait for nodes that clean up.
            if self._executing is not None:
                self._executing.cancel()

    async def see_to_end(self) -> None:
        """Sees the run to its end, whatever happens to its execution.

        Raises:
            StorageError: What came of it could not be kept, and the run is still this server's.
        """
        run, context = self.run, self._context
        observed = self._observed = ObservedAttempt(run, context.telemetry)
        journal = self._journal = Journal(run, context.storage, on_commit=context.tell)
        context.log.open(journal)
        try:
            try:
                spec = RunSpec.from_json(run.spec)
                self._manual = spec.recovery == "MANUAL"
                await observed.begin(spec, context.storage)
                outcome = context.refusal(run, spec) or await self._execute(journal)
            except StorageUnavailable as error:
                outcome = self._without_database(error)
            except (LeaseLostError, StorageError):
                raise
            except Exception as error:  # noqa: BLE001  # a fault of ours; the run ends all the same
                _log.exception("run_supervision_failed", run_id=run.run_id)
                failure = Failure(error_type(error), error_text(error))
                outcome = Outcome(RunStatus.FAILED, error=failure)
            await self._record_end(journal, outcome)
        except LeaseLostError as error:
            _log.error("run_lost", run_id=run.run_id, error=str(error))
        finally:
            observed.close()
            context.log.close(journal)

    def _without_database(self, error: StorageError) -> Outcome:
        """Returns how an attempt ends that could not use the database.

        Whoever claims the run goes on from what was kept, as after the loss of a server.
        """
        if self._manual:
            _log.warning("events_lost", run_id=self.run.run_id, exc_info=error)
            return _not_kept()
        if not self._interrupted:
            _log.warning("run_interrupted_by_database", run_id=self.run.run_id, exc_info=error)
        self._interrupted = True
        return Outcome(None)

    async def _execute(self, journal: Journal) -> Outcome:
        run, context = self.run, self._context
        token = current_run.set(run.run_id)
        self._execution = RunExecution(
            run,
            journal,
            registry=context.registry,
            storage=context.storage,
            max_seconds=context.run_seconds,
        )
        if self._closed:
            self._execution.close()
        if self._steered is not None:
            self._execution.steer(self._steered)
        self._executing = asyncio.create_task(
            self._execution.outcome(), name=f"execution of {run.run_id}"
        )
        current_run.reset(token)
        if self._stop is not None:
            self._executing.cancel()
        late = self._watch_limit(context.run_seconds)
        try:
            await _first_of(self._executing, self._abandoned)
            if not self._executing.done():
                await asyncio.wait([self._executing], timeout=_ABANDON_SECONDS)
            if context.threads.busy(run.run_id):
                returned = asyncio.create_task(context.threads.returned(run.run_id))
                await _first_of(returned, self._abandoned)
                returned.cancel()
        finally:
            if late is not None:
                late.cancel()
        return self._outcome(self._executing)

    def _watch_limit(self, seconds: float) -> asyncio.TimerHandle | None:
        """Has it logged if the run goes on after its time, since a node does not stop."""

        def tell() -> None:
            _log.warning(
                "run_past_its_limit",
                run_id=self.run.run_id,
                thread_id=self.run.thread_id,
                max_run_seconds=seconds,
                hint="a node of it can't be stopped, or does not: the run ends when that has "
                "returned, or at once by CancelRun with `abandon`",
            )

        if not seconds:
            return None
        return asyncio.get_running_loop().call_later(seconds + _LATE_SECONDS, tell)

    def _outcome(self, executing: asyncio.Task[Outcome]) -> Outcome:
        if executing.done() and not executing.cancelled():
            return executing.result()
        if self._stop is not None:
            return self._stop
        error = Failure("CancelledError", "a node of the graph cancelled the run's task")
        return Outcome(RunStatus.FAILED, error=error)

    async def _record_end(self, journal: Journal, outcome: Outcome) -> None:
        """Records the run's end; while the database can't be written, tries again.

        When the server stops before that, whoever claims the run next clears it up.
        """
        run = self.run
        while not self.lost:
            try:
                self.frees_others = await self._try_to_record_end(journal, outcome)
            except _PositionUnknownError:
                # It is lost with this server, and whoever claims it next clears it up.
                _log.warning(
                    "run_end_not_recorded", run_id=run.run_id, hint="its graph did not open in time"
                )
                return
            except StorageError as error:
                passing = isinstance(error, StorageUnavailable)
                _log.warning(
                    "run_end_not_recorded",
                    run_id=run.run_id,
                    reason=str(error),
                    exc_info=None if passing else error,
                )
                if self._closed:
                    return
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                outcome = self._instead or outcome
                if self._observed is not None:
                    self._observed.end(outcome.status, outcome.error)
                self._context.tell(run.run_id)
                if self.frees_others:
                    self._context.storage.announce(topics.QUEUE)
                _log.info(
                    "run_ended" if outcome.status else "run_handed_back",
                    run_id=run.run_id,
                    thread_id=run.thread_id,
                    status=outcome.status,
                    **_in_log(outcome.error),
                )
                return

    async def _position(self) -> Position | None:
        """Returns where the run has left its thread; see `position_of`.

        Raises:
            _PositionUnknownError: The graph waits to be opened, and the server for nothing more.
        """
        # A factory that is a plain function needs a thread, and nodes may have them all.
        reading = asyncio.create_task(position_of(self._context.registry, self.run))
        await _first_of(reading, self._let_go)
        if not reading.done():
            await asyncio.wait([reading], timeout=_ABANDON_SECONDS)
        if not reading.done():
            reading.cancel()
            raise _PositionUnknownError
        return reading.result()

    async def _try_to_record_end(self, journal: Journal, outcome: Outcome) -> bool:
        """Records the run's end; returns whether another run may start for that."""
        run, lease = self.run, self.run.lease
        assert lease is not None
        try:
            if outcome.status is None:
                await journal.end(
                    lambda tx, _: tx.hand_back(run.run_id, lease, lost=self._interrupted)
                )
                return True
            if outcome.position is None:
                # Of what was made, all that was kept; what wasn't never happened.
                await journal.durable()
                outcome = replace(outcome, position=await self._position())
            return await journal.end(lambda tx, seal: end_run(tx, run, outcome, seal))
        except LeaseLostError:
            raise
        except Exception as error:
            if not journal.failed:
                raise
            if isinstance(error, StorageUnavailable) and not self._manual:
                self._instead = self._without_database(error)
                await self._context.storage.write(
                    lambda tx: tx.hand_back(run.run_id, lease, lost=True)
                )
                return True
            # What was to be kept is lost, and what follows on it can't stand: the end comes
            # right after the last event that was kept.
            _log.warning("events_lost", run_id=run.run_id, exc_info=error)
            lost = self._instead = _not_kept()

            def fail(tx: Transaction) -> bool:
                tx.hold(run.run_id, lease)
                kept = tx.run(run.run_id)
                return kept is not None and end_run(tx, kept, lost, Sealer(kept))

            return await self._context.storage.write(fail)


class _PositionUnknownError(Exception):
    """Where a run has left its thread can't be read before the server has to let go of it."""


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _in_log(error: Failure | None) -> dict[str, str]:
    """Returns the fields of the log's line that say why a run failed; none if it did not."""
    if error is None:
        return {}
    place = "/".join((*error.namespace, error.node))
    return {"error_type": error.type, "error": error.message, **({"node": place} if place else {})}


def _server_lost() -> Outcome:
    text = "the server stopped while the run was executing"
    return Outcome(RunStatus.FAILED, error=Failure("ServerLost", text), holds=True)


def _not_kept() -> Outcome:
    # What the database says is for the log: it names its address.
    text = "what came of the run could not be kept; the server's log says why"
    return Outcome(RunStatus.FAILED, error=Failure("StorageError", text))
