"""Runs, as a caller sees them: start, follow, wait for, cancel, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from graphwire import errors
from graphwire.v1 import pause_pb2
from graphwire.v1 import run_event_pb2 as pb

from graphwire_server.graphs.execution import open_config
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.graphs.state import read_state
from graphwire_server.runs import topics
from graphwire_server.runs.acceptance import (
    Accepted,
    accept,
    started_earlier,
)
from graphwire_server.runs.adding_up import Context
from graphwire_server.runs.assistants import (
    graph_of_run,
)
from graphwire_server.runs.batch import (
    batch_started_earlier,
    fingerprint,
    of_request,
    subject,
    sure_to_wait,
)
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.cancelling import cancel_active, cancel_run, find_active
from graphwire_server.runs.completion import Attendance, Completion
from graphwire_server.runs.decision import decide
from graphwire_server.runs.event_log import EventLog, check_access, run_not_found
from graphwire_server.runs.events import pause_message
from graphwire_server.runs.executor import Executor
from graphwire_server.runs.idempotency import RequestKey
from graphwire_server.runs.inheritance import keep_inherited
from graphwire_server.runs.observed import origin_of_call
from graphwire_server.runs.preparation import Preparation, Prepared
from graphwire_server.runs.queue_limits import QueueGate, QueueLimits
from graphwire_server.runs.refusals import thread_busy, thread_not_found
from graphwire_server.runs.request import (
    RunRequest,
    RunSpec,
)
from graphwire_server.runs.resume import MovedOnError
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.interface import Reader, Storage, StorageError, Transaction
from graphwire_server.storage.records import (
    EventRecord,
    Position,
    RunRecord,
    RunStatus,
)
from graphwire_server.storage.webhooks import WebhookRecord
from graphwire_server.telemetry import log_fields
from graphwire_server.telemetry.setup import Telemetry

#: How many runs are cancelled in one transaction.
_CANCELLED_AT_ONCE = 100
#: How often the thread may have moved on while a request to go on with it was looked at.
_START_TRIES = 5


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended, with the state and the pauses that it left; values as JSON text.

    The pauses are as they are now.
    """

    run: RunRecord
    values: str | None
    pauses: Sequence[pause_pb2.Pause]


class RunService:
    """The runs of this server."""

    def __init__(
        self,
        *,
        storage: Storage,
        registry: GraphRegistry,
        log: EventLog,
        executor: Executor,
        completion: Completion,
        default_recursion_limit: int,
        webhook_values: int = 0,
        telemetry: Telemetry | None = None,
        queue: QueueGate | None = None,
    ) -> None:
        """Puts the service together from its parts."""
        self._telemetry = telemetry or Telemetry()
        self._queue = queue or QueueGate(QueueLimits())
        self._storage = storage
        self._registry = registry
        self._preparation = Preparation(storage, registry, completion)
        self._log = log
        self._executor = executor
        self._completion = completion
        self._default_recursion_limit = default_recursion_limit
        self._webhook_values = webhook_values

    async def start(self, request: RunRequest, *, caller: Caller, method: str) -> Accepted:
        """Checks a request and starts its run.

        Raises:
            GraphwireError: Any reason of StreamRun; nothing was changed.
        """
        self._check_open()
        key = None
        if request.request_id:
            key = RequestKey(caller.principal, method, request.request_id, request.fingerprint())
            # Also if the graph has changed since, so that it would refuse the request now.
            earlier = await self._storage.read(
                lambda db: started_earlier(db, key, caller.access), short=True
            )
            if earlier is not None:
                return earlier
        for _ in range(_START_TRIES):
            try:
                return await self._start(await self._prepare(request, caller), key, caller)
            except MovedOnError:
                continue
        raise thread_busy(request.thread_id, ())

    async def _prepare(self, request: RunRequest, caller: Caller) -> Prepared:
        """Looks at a request, which the caller may make for one assistant.

        Raises:
            ThreadBusyError: The thread goes on as another one meanwhile.
        """
        prepared = await self._preparation.prepare(request)
        if caller.goes_on_as not in (None, prepared.assistant.assistant_id):
            raise thread_busy(request.thread_id, ())
        return prepared

    def _context(
        self,
        tx: Transaction,
        prepared: Prepared,
        *,
        slot_free: bool,
        key: RequestKey | None,
        caller: Caller,
        origin: Mapping[str, str],
        batch: Mapping[str, int] | None = None,
    ) -> Context:
        assistant = prepared.assistant
        return Context(
            now=tx.now(),
            assistant_id=assistant.assistant_id,
            graph=prepared.facts,
            server_id=self._executor.server_id,
            slot_free=slot_free and self._queue.may_begin(tx, caller.principal),
            default_recursion_limit=self._default_recursion_limit,
            key=key,
            caller=caller,
            let_in=lambda: self._queue.let_in(tx, caller.principal),
            graph_id=assistant.loaded.name,
            assistant_version=assistant.version,
            assistant_breakpoints=assistant.breakpoints,
            assistant_kept=assistant.kept,
            continued_run_id=assistant.continued_run_id,
            webhook_values=self._webhook_values,
            origin=origin,
            batch=batch or {},
            checked=prepared.checked,
        )

    async def _start(self, prepared: Prepared, key: RequestKey | None, caller: Caller) -> Accepted:
        """Starts a run.

        Raises:
            MovedOnError: What was to be gone on with is not what the thread would go on with.
        """

        origin = origin_of_call(self._telemetry)
        attendance = Attendance()

        def work(tx: Transaction, slot_free: bool) -> Accepted:
            attendance.check()
            self._check_open()
            context = self._context(
                tx, prepared, slot_free=slot_free, key=key, caller=caller, origin=origin
            )
            return accept(tx, prepared.request, context)

        async def begin() -> Accepted:
            slot_free = self._executor.reserve()
            try:
                accepted = await decide(self._storage, lambda tx: work(tx, slot_free))
                starts = accepted.run.status is RunStatus.RUNNING and not accepted.replayed
                if starts:
                    self._executor.execute(accepted.run)
            except StorageError:
                self._executor.doubt()
                raise
            finally:
                if slot_free:
                    self._executor.release()
            log_fields.note(run_id=accepted.run.run_id, thread_id=accepted.run.thread_id)
            if not starts:
                self._storage.announce(topics.QUEUE)
            self._tell_of_cancelled(accepted.cancelled)
            return accepted

        return await self._completion.of(begin(), attendance)

    async def start_all(
        self, requests: Sequence[RunRequest], *, request_id: str, callers: Sequence[Caller]
    ) -> Sequence[RunRecord]:
        """Checks several requests and starts their runs, all or none.

        All are of one principal; what he may do is said for each of them.

        Those that find no free slot, or whose thread is busy with one before them, are PENDING.

        Raises:
            GraphwireError: Any reason of CreateRun, for one of them; nothing was changed.
        """
        self._check_open()
        key = None
        if request_id:
            principal = callers[0].principal
            key = RequestKey(principal, "CreateRuns", request_id, fingerprint(requests))
            earlier = await self._storage.read(lambda db: batch_started_earlier(db, key, callers))
            if earlier is not None:
                return earlier
        self._queue.check_fits(sure_to_wait(requests, at_once=self._executor.most_of_one))
        moved = requests[0].thread_id
        for _ in range(_START_TRIES):
            prepared = []
            for index, (request, caller) in enumerate(zip(requests, callers, strict=True)):
                with of_request(index):
                    prepared.append(await self._prepare(request, caller))
            try:
                return await self._start_all(prepared, key, callers)
            except MovedOnError as error:
                moved = error.thread_id
        with of_request([request.thread_id for request in requests].index(moved)):
            raise thread_busy(moved, ())

    async def _start_all(
        self, prepared: Sequence[Prepared], key: RequestKey | None, callers: Sequence[Caller]
    ) -> Sequence[RunRecord]:
        """Starts runs, all or none. Raises MovedOnError as `_start`."""

        origin = origin_of_call(self._telemetry)
        attendance = Attendance()

        def work(tx: Transaction, slots: int) -> tuple[Sequence[Accepted], Sequence[RunRecord]]:
            attendance.check()
            self._check_open()
            earlier = batch_started_earlier(tx, key, callers)
            if earlier is not None:
                return (), earlier
            done: list[Accepted] = []
            for index, (each, caller) in enumerate(zip(prepared, callers, strict=True)):
                started = sum(one.run.status is RunStatus.RUNNING for one in done)
                context = self._context(
                    tx,
                    each,
                    slot_free=started < slots,
                    key=None,
                    caller=caller,
                    origin=origin,
                    batch={one.run.run_id: place for place, one in enumerate(done)},
                )
                with of_request(index):
                    done.append(accept(tx, each.request, context))
            # One of them may have cancelled another.
            runs = [found for each in done if (found := tx.run(each.run.run_id)) is not None]
            if key is not None:
                tx.insert_request(key.record(subject(runs), now=tx.now()))
            return done, runs

        async def begin() -> Sequence[RunRecord]:
            slots = sum(self._executor.reserve() for _ in prepared)
            try:
                done, runs = await decide(self._storage, lambda tx: work(tx, slots))
                for accepted in done:
                    if accepted.run.status is RunStatus.RUNNING:
                        self._executor.execute(accepted.run)
            except StorageError:
                self._executor.doubt()
                raise
            finally:
                for _ in range(slots):
                    self._executor.release()
            if any(accepted.run.status is RunStatus.PENDING for accepted in done):
                self._storage.announce(topics.QUEUE)
            for accepted in done:
                self._tell_of_cancelled(accepted.cancelled)
            return runs

        return await self._completion.of(begin(), attendance)

    def follow(
        self, run_id: str, *, after: int = 0, access: Access = ALL
    ) -> AsyncIterator[EventRecord | None]:
        """Yields a run's events after a sequence, to its end; see `EventLog.follow`."""
        return self._log.follow(run_id, after=after, access=access)

    async def wait(self, run_id: str, *, access: Access = ALL) -> RunResult:
        """Waits until a run has ended.

        Raises:
            RunNotFoundError: There is no such run, or it was deleted meanwhile, or it is not, or
                not any more, of a thread that `access` admits.
            ShuttingDownError: The server is shutting down.
        """
        await self._until_ended(await self.get(run_id), access)

        def read(db: Reader) -> tuple[RunRecord | None, str | None, Sequence[pause_pb2.Pause]]:
            check_access(db, access, run_id)
            run = db.run(run_id)
            thread = db.thread(run.thread_id, values=True) if run else None
            at_head = run and thread and run.checkpoint_id == thread.checkpoint_id
            values = thread.values if thread and at_head else None
            return run, values, _pauses_at_end(db, run) if run else ()

        ended, values, pauses = await self._storage.read(read, short=True)
        if ended is None:
            raise run_not_found(run_id)
        if values is None and ended.checkpoint_id:
            values = await self._values_at(ended)
        return RunResult(ended, values, pauses)

    async def get(self, run_id: str) -> RunRecord:
        """Returns a run. Raises RunNotFoundError."""
        run = await self._storage.read(lambda db: db.run(run_id), short=True)
        if run is None:
            raise run_not_found(run_id)
        return run

    async def webhooks_of(self, runs: Sequence[RunRecord]) -> dict[str, WebhookRecord]:
        """Returns what became of the webhooks of runs that have ended, by run_id."""
        ids = [run.run_id for run in runs if run.status.ended and RunSpec.webhook_in(run.spec)[0]]
        if not ids:
            return {}
        return await self._storage.read(lambda db: db.webhooks_of(ids), short=True)

    async def list(
        self,
        thread_id: str,
        *,
        statuses: Sequence[RunStatus],
        limit: int,
        after: Position | None,
    ) -> list[RunRecord]:
        """Returns runs of a thread, newest first. Raises ThreadNotFoundError."""

        def read(db: Reader) -> list[RunRecord]:
            if db.thread(thread_id) is None:
                raise thread_not_found(thread_id)
            return db.runs(thread_id, statuses=statuses, limit=limit, after=after)

        return await self._storage.read(read)

    async def cancel(
        self,
        run_id: str,
        *,
        abandon: bool = False,
        rollback: bool = False,
        wait: bool = False,
        principal: str = "",
        access: Access = ALL,
    ) -> RunRecord:
        """Cancels a run that is queued or executing, or that its thread is paused at.

        Args:
            run_id: The run.
            abandon: Do not wait for its nodes, where they can't be stopped.
            rollback: Put its thread back to where it stood before it.
            wait: Return it only when it has ended.
            principal: Who asks for it.
            access: Of which threads he may, with `wait`, see the end.

        Raises:
            RunNotFoundError: There is no such run; with `wait`, also if it went out of `access`.
            RunEndedError: It has ended, and its pauses, if it has some, wait no more.
            ShuttingDownError: With `wait`: the server is shutting down.
        """

        def work(tx: Transaction) -> RunRecord:
            return cancel_run(tx, run_id, abandon=abandon, rollback=rollback, principal=principal)

        async def carry_out() -> RunRecord:
            run = await self._storage.write(work)
            self._tell_of_cancelled([run], abandon=abandon)
            return run

        run = await self._completion.of(carry_out())
        if wait and not run.status.ended:
            await self._until_ended(run, access)
            run = await self.get(run_id)
            await self._storage.read(lambda db: check_access(db, access, run_id), short=True)
        return run

    async def cancel_many(
        self,
        run_ids: Sequence[str],
        *,
        thread_id: str = "",
        statuses: Sequence[RunStatus] = (),
        abandon: bool = False,
        rollback: bool = False,
        access: Access = ALL,
    ) -> Sequence[RunRecord]:
        """Cancels the runs named, or those of a status, as far as they have not ended.

        Args:
            run_ids: The runs; empty: those with one of `statuses`.
            thread_id: Only those of this thread; empty: of all.
            statuses: PENDING, RUNNING or both.
            abandon: As for `cancel`.
            rollback: As for `cancel`.
            access: Only those of threads that the caller may see, where they are not named.

        Returns those that are cancelled by this call.

        Raises:
            RunNotFoundError: One that is named is not there; then none is cancelled.
            ThreadNotFoundError: There is no such thread.
        """

        def find(db: Reader) -> list[str]:
            return find_active(db, run_ids, thread_id=thread_id, statuses=statuses, access=access)

        def work(tx: Transaction, some: Sequence[str]) -> list[RunRecord]:
            return [
                cancelled
                for run_id in some
                if (cancelled := cancel_active(tx, run_id, abandon=abandon, rollback=rollback))
            ]

        async def carry_out() -> list[RunRecord]:
            found = await self._storage.read(find)
            done: list[RunRecord] = []
            for start in range(0, len(found), _CANCELLED_AT_ONCE):
                some = found[start : start + _CANCELLED_AT_ONCE]
                cancelled = await self._storage.write(lambda tx, some=some: work(tx, some))  # type: ignore[misc]
                self._tell_of_cancelled(cancelled, abandon=abandon)
                done += cancelled
            return done

        return await self._completion.of(carry_out())

    async def delete(self, run_id: str) -> None:
        """Deletes a run that has ended.

        Raises:
            RunNotFoundError: There is no such run.
            RunActiveError: It has not ended.
        """

        def work(tx: Transaction) -> None:
            run = tx.run(run_id)
            if run is None:
                raise run_not_found(run_id)
            if not run.status.ended:
                raise errors.RunActiveError(
                    f"run {run_id} is {run.status}; cancel it and wait for its end first",
                    metadata={"run_id": run_id, "status": run.status},
                    resource=("run", run_id),
                )
            keep_inherited(tx, run)
            tx.delete_run(run_id)

        await self._storage.write(work, long=True)
        self._log.notify(run_id)
        self._storage.announce(topics.run_topic(run_id))

    async def _until_ended(self, run: RunRecord, access: Access) -> None:
        # Events are removed of a run that has ended, which is all that is waited for.
        with suppress(errors.SequenceOutOfRangeError):
            async for _ in self._log.follow(run.run_id, after=run.last_sequence, access=access):
                pass

    def _tell_of_cancelled(self, runs: Sequence[RunRecord], *, abandon: bool = False) -> None:
        """Has runs stopped that were asked to, and tells those who wait of what follows."""
        for run in runs:
            if run.status.ended:
                if run.status is RunStatus.CANCELLED:
                    graph = graph_of_run(run, RunSpec.from_json(run.spec))
                    self._telemetry.metrics.runs_ended.add(graph, run.status)
                self._log.notify(run.run_id)
                self._storage.announce(topics.run_topic(run.run_id), topics.QUEUE)
            elif not self._executor.cancel(run.run_id, abandon=abandon):
                self._storage.announce(topics.CANCEL)

    def _check_open(self) -> None:
        if self._executor.draining:
            raise errors.ShuttingDownError(
                "the server is shutting down and starts no more runs; retry on another one",
                retry_after=1.0,
            )

    async def _values_at(self, run: RunRecord) -> str | None:
        spec = RunSpec.from_json(run.spec)
        loaded = self._registry.get(graph_of_run(run, spec))
        if loaded is None:
            return None
        config = open_config(spec.configurable, spec.context)
        async with loaded.open("threads.read", config) as graph:
            try:
                state = await read_state(graph, run.thread_id, checkpoint_id=run.checkpoint_id)
            except errors.CheckpointNotFoundError:
                return None
        return state.values


def _pauses_at_end(db: Reader, run: RunRecord) -> Sequence[pause_pb2.Pause]:
    """Returns the pauses with which a run ended, those included that earlier runs made.

    Each as it is now: whoever waits for a run is to know which of them can still be answered.
    """
    if run.status is not RunStatus.INTERRUPTED:
        return ()
    # The last two events stay, however old they are.
    interrupted, _ = db.events(run.run_id, after=run.last_sequence - 2, limit=2)
    pauses = pb.RunEvent.FromString(interrupted.data).interrupted.pauses
    now = db.pauses_by_id([pause.pause_id for pause in pauses])
    return [
        pause_message(now[pause.pause_id]) if pause.pause_id in now else pause for pause in pauses
    ]
