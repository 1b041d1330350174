"""What logs, metrics and traces tell of one attempt at a run."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from graphwire_server.runs.assistants import graph_of_run
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import Storage, StorageError
from graphwire_server.storage.records import Failure, RunRecord, RunStatus
from graphwire_server.telemetry import log_fields
from graphwire_server.telemetry.setup import Telemetry
from graphwire_server.telemetry.tracing import (
    RunSpan,
    TracedAttempt,
    TracedRun,
    current_tracing,
)

_log = structlog.get_logger("graphwire.runs")

#: The key of a run's origin with the request id of the call that started it.
REQUEST_ID = "x-request-id"


def origin_of_call(telemetry: Telemetry) -> dict[str, str]:
    """Returns what a run keeps of the call that starts it: its request id and trace context.

    To be called in the call's own task, or one that it has started.
    """
    origin = telemetry.tracing.carrier() if telemetry.tracing is not None else {}
    request_id = log_fields.current().get("request_id", "")
    return {**origin, REQUEST_ID: request_id} if request_id else origin


def log_claim(run: RunRecord, *, handed_back: bool | None) -> None:
    """Writes to the log that this server executes a run now.

    Args:
        run: The run.
        handed_back: Whether it was given up in order elsewhere; None if nobody executed it.
    """
    line = _log.bind(run_id=run.run_id, thread_id=run.thread_id, attempt=run.attempt)
    if handed_back is None:
        line.info("run_claimed")
        return
    try:
        request_id = RunSpec.from_json(run.spec).origin.get(REQUEST_ID, "")
    except Exception:  # noqa: BLE001  # one that can't be read fails when it is attempted
        request_id = ""
    if request_id:
        line = line.bind(request_id=request_id)
    if handed_back:
        line.info("run_taken_over")
    else:
        line.warning("run_recovered")


class ObservedAttempt:
    """An attempt at a run, in the task that sees to it."""

    def __init__(self, run: RunRecord, telemetry: Telemetry) -> None:
        """Has each line that is logged from now on name the run and its thread."""
        self._run = run
        self._metrics = telemetry.metrics
        self._tracing = telemetry.tracing
        self._graph = ""
        self._span: RunSpan | None = None
        log_fields.begin({"run_id": run.run_id, "thread_id": run.thread_id})

    async def begin(self, spec: RunSpec, storage: Storage) -> None:
        """Tells of its beginning; the span of what its nodes do is a child of this one's."""
        run = self._run
        self._graph = graph_of_run(run, spec)
        log_fields.note(request_id=spec.origin.get(REQUEST_ID, ""))
        if run.attempt == 1 and run.start_time is not None:
            waited = max(run.start_time - run.due_time, 0) / 1e6
            self._metrics.run_wait_seconds.observe(waited)
        if self._tracing is None:
            return
        traced = TracedRun(
            it=_traced(run, spec.origin),
            thread_id=run.thread_id,
            assistant_id=run.assistant_id,
            graph_id=self._graph,
            continues=await _resumed(run, storage),
        )
        self._span = self._tracing.run(traced)
        current_tracing.set(self._tracing)
        log_fields.note(trace_id=self._span.trace_id)

    def end(self, status: RunStatus | None, error: Failure | None) -> None:
        """Tells of its end, which is recorded; without a status the run was handed back."""
        if status is None:
            self._end_span("HANDED_BACK", None)
            return
        self._metrics.runs_ended.add(self._graph, status)
        if self._run.start_time is not None:
            taken = max(now_us() - self._run.start_time, 0) / 1e6
            self._metrics.run_seconds.observe(taken, self._graph)
        self._end_span(status, error)

    def close(self) -> None:
        """Tells that nobody knows its end, if none was told of: the run is somebody else's."""
        self._end_span("LOST", None)

    def _end_span(self, status: str, error: Failure | None) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.end(status, error.type if error else "", error.message if error else "")


async def _resumed(run: RunRecord, storage: Storage) -> TracedAttempt | None:
    """Returns the last attempt at the run that a run resumes; None if it resumes none."""
    if not run.resumed_run_id:
        return None
    try:
        before = await storage.read(lambda db: db.run(run.resumed_run_id), short=True)
        if before is None:
            return None
        return _traced(before, RunSpec.from_json(before.spec).origin)
    except StorageError:
        return None  # the attempt will find out by itself


def _traced(run: RunRecord, origin: Mapping[str, str]) -> TracedAttempt:
    carrier = {name: value for name, value in origin.items() if name != REQUEST_ID}
    return TracedAttempt(run.run_id, run.attempt, carrier)
