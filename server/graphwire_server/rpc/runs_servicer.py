"""The service `graphwire.v1.Runs`: messages in, messages out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import structlog
from graphwire import errors
from graphwire.v1 import run_event_pb2, run_pb2, runs_pb2, runs_pb2_grpc

from graphwire_server.graphs.breakpoints import BreakpointSource
from graphwire_server.rpc import validation
from graphwire_server.rpc.answer_size import current_answer
from graphwire_server.rpc.breakpoints import read_breakpoints
from graphwire_server.rpc.convert import payload
from graphwire_server.rpc.event_frames import EventFrame
from graphwire_server.rpc.paging import Pages, PageTokens
from graphwire_server.rpc.principal import current_caller, current_callers, current_principal
from graphwire_server.rpc.run_requests import RunRequestReader, read_all
from graphwire_server.runs.acceptance import Accepted
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.events import timestamp
from graphwire_server.runs.idempotency import RequestKey
from graphwire_server.runs.run_message import breakpoint_messages, run_message
from graphwire_server.runs.service import RunResult, RunService
from graphwire_server.runs.steering import RunSteering, steering_fingerprint
from graphwire_server.storage.access import ALL
from graphwire_server.storage.records import EventRecord, RunStatus

_log = structlog.get_logger("graphwire.rpc")
#: The trailer of a stream that has come to the run's end: the sequence of the last event.
_END_SEQUENCE = "graphwire-end-sequence"


class RunsServicer(runs_pb2_grpc.RunsServicer):
    """Serves Runs."""

    def __init__(
        self,
        runs: RunService,
        steering: RunSteering,
        reader: RunRequestReader,
        completion: Completion,
        pages: Pages,
        *,
        most_seconds: float | None = None,
    ) -> None:
        """Takes the services behind the RPCs.

        `most_seconds` is how long a call may last before its connection may be cut; None: for
        ever.
        """
        self._pages = pages
        self._most_seconds = most_seconds
        self._runs = runs
        self._steering = steering
        self._reader = reader
        self._completion = completion

    async def StreamRun(
        self, request: runs_pb2.StreamRunRequest, context: Any
    ) -> AsyncIterator[runs_pb2.StreamRunResponse]:
        """Starts a run and streams its events."""
        starting = self._completion.begin(
            self._runs.start(
                self._reader.read(request), caller=current_caller(), method="StreamRun"
            )
        )
        gone, last = True, 0
        try:
            accepted = await self._completion.wait(starting)
            run_id = accepted.run.run_id
            access = ALL if accepted.unseen else current_caller().access
            async for record in self._runs.follow(run_id, after=0, access=access):
                last = record.sequence if record else last
                yield _frame(record, run_id)
            gone = False
            _note_end(context, last)
        except errors.StreamExpiredError as error:
            gone = False
            raise _with_place(error, run_id, last) from error
        except Exception:
            # It was refused, the server stops, or something has failed: nobody has gone away.
            gone = False
            raise
        finally:
            # This runs also when the caller has gone; nothing may be awaited here then.
            if gone and request.on_disconnect == run_pb2.ON_DISCONNECT_CANCEL:
                self._completion.begin(self._cancel_abandoned(starting))

    async def CreateRun(
        self, request: runs_pb2.CreateRunRequest, context: Any
    ) -> runs_pb2.CreateRunResponse:
        """Starts a run in the background."""
        accepted = await self._runs.start(
            self._reader.read(request), caller=current_caller(), method="CreateRun"
        )
        return runs_pb2.CreateRunResponse(run=run_message(accepted.run))

    async def CreateRuns(
        self, request: runs_pb2.CreateRunsRequest, context: Any
    ) -> runs_pb2.CreateRunsResponse:
        """Starts several runs, all or none."""
        runs = await self._runs.start_all(
            read_all(self._reader, request),
            request_id=validation.request_id(request.request_id),
            callers=current_callers(len(request.requests)),
        )
        return runs_pb2.CreateRunsResponse(runs=[run_message(run) for run in runs])

    async def WaitRun(
        self, request: runs_pb2.WaitRunRequest, context: Any
    ) -> runs_pb2.WaitRunResponse:
        """Waits until a run has ended."""
        run_id = validation.run_id(request.run_id)
        waiting = self._runs.wait(run_id, access=current_caller().access)
        if request.on_disconnect == run_pb2.ON_DISCONNECT_CANCEL:
            result = await self._attended(waiting, run_id)
        else:
            result = await waiting
        current_answer().expect(result.values)
        webhooks = await self._runs.webhooks_of([result.run])
        return runs_pb2.WaitRunResponse(
            run=run_message(result.run, webhooks.get(result.run.run_id)),
            values=payload(result.values),
            pauses=result.pauses,
        )

    async def JoinRun(
        self, request: runs_pb2.JoinRunRequest, context: Any
    ) -> AsyncIterator[runs_pb2.JoinRunResponse]:
        """Streams the events of a run after a given one."""
        run_id = validation.run_id(request.run_id)
        if request.after_sequence < 0:
            raise errors.InvalidFieldError("must not be negative", field="after_sequence")
        gone, last = True, request.after_sequence
        try:
            following = self._runs.follow(
                run_id, after=request.after_sequence, access=current_caller().access
            )
            async for record in following:
                last = record.sequence if record else last
                yield _frame(record, run_id)
            gone = False
            _note_end(context, last)
        except errors.StreamExpiredError as error:
            gone = False
            raise _with_place(error, run_id, last) from error
        except Exception:
            # It was refused, the server stops, or something has failed: nobody has gone away.
            gone = False
            raise
        finally:
            if gone and request.on_disconnect == run_pb2.ON_DISCONNECT_CANCEL:
                self._completion.begin(self._cancel_left(run_id))

    async def PauseRun(
        self, request: runs_pb2.PauseRunRequest, context: Any
    ) -> runs_pb2.PauseRunResponse:
        """Pauses a run."""
        run = await self._steering.pause(validation.run_id(request.run_id))
        return runs_pb2.PauseRunResponse(run=run_message(run))

    async def ListRunBreakpoints(
        self, request: runs_pb2.ListRunBreakpointsRequest, context: Any
    ) -> runs_pb2.ListRunBreakpointsResponse:
        """Lists the breakpoints in force for a run."""
        found = await self._steering.breakpoints(validation.run_id(request.run_id))
        return runs_pb2.ListRunBreakpointsResponse(breakpoints=breakpoint_messages(found))

    async def AddRunBreakpoints(
        self, request: runs_pb2.AddRunBreakpointsRequest, context: Any
    ) -> runs_pb2.AddRunBreakpointsResponse:
        """Adds breakpoints to a run."""
        run_id = validation.run_id(request.run_id)
        if not request.breakpoints:
            raise errors.MissingFieldError("required: at least one", field="breakpoints")
        breakpoints = read_breakpoints(request.breakpoints, "breakpoints", BreakpointSource.RUN)
        request_id = validation.request_id(request.request_id)
        key = None
        if request_id:
            given = {message.breakpoint_id for message in request.breakpoints}
            fingerprint = steering_fingerprint(run_id, breakpoints, given)
            key = RequestKey(current_principal(), "AddRunBreakpoints", request_id, fingerprint)
        added = await self._steering.add(run_id, breakpoints, key=key)
        return runs_pb2.AddRunBreakpointsResponse(breakpoints=breakpoint_messages(added))

    async def RemoveRunBreakpoints(
        self, request: runs_pb2.RemoveRunBreakpointsRequest, context: Any
    ) -> runs_pb2.RemoveRunBreakpointsResponse:
        """Removes breakpoints of a run."""
        run_id = validation.run_id(request.run_id)
        if not request.breakpoint_ids:
            raise errors.MissingFieldError("required: at least one", field="breakpoint_ids")
        ids = [
            validation.required(each, f"breakpoint_ids[{index}]")
            for index, each in enumerate(request.breakpoint_ids)
        ]
        left = await self._steering.remove(run_id, list(dict.fromkeys(ids)))
        return runs_pb2.RemoveRunBreakpointsResponse(breakpoints=breakpoint_messages(left))

    async def GetRun(
        self, request: runs_pb2.GetRunRequest, context: Any
    ) -> runs_pb2.GetRunResponse:
        """Returns a run."""
        run = await self._runs.get(validation.run_id(request.run_id))
        webhooks = await self._runs.webhooks_of([run])
        return runs_pb2.GetRunResponse(run=run_message(run, webhooks.get(run.run_id)))

    async def ListRuns(
        self, request: runs_pb2.ListRunsRequest, context: Any
    ) -> runs_pb2.ListRunsResponse:
        """Lists the runs of a thread."""
        tokens = PageTokens(request)
        size = self._pages.size(request.page_size)
        # Here UNSPECIFIED means any.
        wanted = () if run_pb2.RUN_STATUS_UNSPECIFIED in request.statuses else request.statuses
        names = validation.enum_names(run_pb2.RunStatus, wanted, "RUN_STATUS_", "statuses")
        runs = await self._runs.list(
            validation.thread_id(request.thread_id),
            statuses=[RunStatus(name) for name in names],
            limit=size + 1,
            after=tokens.read_position(request.page_token),
        )
        webhooks = await self._runs.webhooks_of(runs[:size])
        page, more = current_answer().page(
            runs, size, lambda run: run_message(run, webhooks.get(run.run_id))
        )
        return runs_pb2.ListRunsResponse(
            runs=page,
            next_page_token=tokens.write_position(runs[len(page) - 1].create_time, page[-1].run_id)
            if more
            else "",
        )

    async def CancelRun(
        self, request: runs_pb2.CancelRunRequest, context: Any
    ) -> runs_pb2.CancelRunResponse:
        """Cancels an active run."""
        run = await self._runs.cancel(
            validation.run_id(request.run_id),
            abandon=request.abandon,
            rollback=request.action == runs_pb2.CANCEL_ACTION_ROLLBACK,
            wait=request.wait,
            principal=current_principal(),
            access=current_caller().access,
        )
        return runs_pb2.CancelRunResponse(run=run_message(run))

    async def CancelRuns(
        self, request: runs_pb2.CancelRunsRequest, context: Any
    ) -> runs_pb2.CancelRunsResponse:
        """Cancels several runs."""
        run_ids, statuses = _to_cancel(request)
        runs = await self._runs.cancel_many(
            run_ids,
            thread_id=validation.optional_thread_id(request.thread_id),
            statuses=statuses,
            abandon=request.abandon,
            rollback=request.action == runs_pb2.CANCEL_ACTION_ROLLBACK,
            access=current_caller().access,
        )
        return runs_pb2.CancelRunsResponse(runs=[run_message(run) for run in runs])

    async def DeleteRun(
        self, request: runs_pb2.DeleteRunRequest, context: Any
    ) -> runs_pb2.DeleteRunResponse:
        """Deletes a run that has ended."""
        await self._runs.delete(validation.run_id(request.run_id))
        return runs_pb2.DeleteRunResponse()

    async def _attended(self, waiting: Coroutine[Any, Any, RunResult], run_id: str) -> RunResult:
        """Awaits the end of a run, which is cancelled when its caller goes away."""
        try:
            # A connection that is cut for its age looks like a caller who has gone.
            async with asyncio.timeout(self._most_seconds) as age:
                return await waiting
        except TimeoutError as error:
            if not age.expired():
                raise
            raise errors.StreamExpiredError(
                "the call is as old as one may become on this server; wait again",
                metadata={"run_id": run_id},
                retry_after=0.0,
            ) from error
        except asyncio.CancelledError:
            # Nothing may be awaited here.
            self._completion.begin(self._cancel_left(run_id))
            raise

    async def _cancel_abandoned(self, starting: asyncio.Task[Accepted]) -> None:
        try:
            run_id = (await starting).run.run_id
        except errors.GraphwireError:
            return  # it was not started
        await self._cancel_left(run_id)

    async def _cancel_left(self, run_id: str) -> None:
        try:
            cancelled = await self._runs.cancel_many([run_id])
        except errors.GraphwireError:
            return  # it was deleted meanwhile
        if cancelled:
            _log.info("run_cancelled_on_disconnect", run_id=run_id)


def _to_cancel(
    request: runs_pb2.CancelRunsRequest,
) -> tuple[Sequence[str], Sequence[RunStatus]]:
    """Returns which runs are meant: by id, or by status."""
    if request.run_ids:
        for field in ("thread_id", "statuses"):
            if getattr(request, field):
                text = "give either run_ids or this, not both"
                raise errors.InvalidFieldError(text, field=field)
        return [
            validation.run_id(run_id, f"run_ids[{index}]")
            for index, run_id in enumerate(request.run_ids)
        ], ()
    if not request.statuses:
        raise errors.MissingFieldError(
            "say which runs: by run_ids, or with the statuses RUN_STATUS_PENDING, "
            "RUN_STATUS_RUNNING or both",
            field="statuses",
        )
    names = validation.enum_names(run_pb2.RunStatus, request.statuses, "RUN_STATUS_", "statuses")
    for index, number in enumerate(request.statuses):
        if number not in (run_pb2.RUN_STATUS_PENDING, run_pb2.RUN_STATUS_RUNNING):
            text = "a run that has ended is not cancelled: RUN_STATUS_PENDING or RUN_STATUS_RUNNING"
            raise errors.InvalidFieldError(text, field=f"statuses[{index}]")
    return (), [RunStatus(name) for name in names]


def _with_place(
    error: errors.StreamExpiredError, run_id: str, last: int
) -> errors.StreamExpiredError:
    """Returns the error with what the run is to be joined again by."""
    return errors.StreamExpiredError(
        error.message,
        metadata={"run_id": run_id, "last_sequence": str(last)},
        retry_after=error.retry_after,
    )


def _note_end(context: Any, last: int) -> None:
    """Says with the end of a stream that nothing follows: it may have shown no event at all."""
    context.set_trailing_metadata((*context.trailing_metadata(), (_END_SEQUENCE, str(last))))


def _frame(record: EventRecord | None, run_id: str) -> Any:
    """Returns the response for a record of the log, or a heartbeat for None."""
    if record is not None:
        return EventFrame(record.data)
    event = run_event_pb2.RunEvent(
        run_id=run_id,
        event_time=timestamp(now_us()),
        heartbeat=run_event_pb2.HeartbeatEvent(),
    )
    return EventFrame(event.SerializeToString())
