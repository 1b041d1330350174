"""Makes the events that are the run's own: its beginning, its pauses and its end."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import timestamp_pb2
from graphwire.v1 import breakpoint_pb2, pause_pb2, payload_pb2, run_pb2
from graphwire.v1 import run_event_pb2 as pb

from graphwire_server.graphs.breakpoints import Met, met_in
from graphwire_server.runs.answer_schema import why_unusable
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.review_messages import review_message, tool_call_messages
from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import (
    EventRecord,
    Failure,
    PauseRecord,
    PauseStatus,
    RunRecord,
    RunStatus,
)

#: How many events are looked at in one piece.
_PAGE = 500


def metadata_event(run: RunRecord) -> pb.RunEvent:
    """The first event of a run, recorded when it is accepted."""
    return pb.RunEvent(
        event_time=timestamp(run.create_time),
        metadata=pb.MetadataEvent(
            run_id=run.run_id,
            thread_id=run.thread_id,
            assistant_id=run.assistant_id,
            resumed_run_id=run.resumed_run_id,
        ),
    )


def metadata_record(run: RunRecord) -> EventRecord:
    """That event as it is kept; the same whenever it is made."""
    return sealed(metadata_event(run), run.run_id, 1, attempt=1)


def attempt_event(run: RunRecord, checkpoint_id: str) -> pb.RunEvent:
    """The first event of a further attempt at a run."""
    return pb.RunEvent(
        attempt_started=pb.AttemptStartedEvent(
            attempt=run.attempt,
            reason="the server that executed the run stopped, or was lost",
            checkpoint_id=checkpoint_id,
        )
    )


def latest_checkpoints(db: Reader, run: RunRecord) -> frozenset[str]:
    """Returns the checkpoints of which a run has told last: the root's, and those after it."""
    told: set[str] = set()
    end = run.last_sequence
    while end > 0:
        start = max(0, end - _PAGE)
        for record in reversed(db.events(run.run_id, after=start, limit=end - start)):
            event = pb.RunEvent.FromString(record.data)
            if event.HasField("checkpoint"):
                told.add(event.checkpoint.checkpoint_id)
                if not event.namespace:
                    return frozenset(told)
        end = start
    return frozenset(told)


def interrupted_event(
    pauses: Sequence[PauseRecord], next_nodes: Sequence[str], checkpoint_id: str
) -> pb.RunEvent:
    """The event of a run that is pausing."""
    return pb.RunEvent(
        interrupted=pb.InterruptedEvent(
            pauses=[pause_message(pause) for pause in pauses],
            next=next_nodes,
            checkpoint_id=checkpoint_id,
        )
    )


def end_event(status: RunStatus, error: Failure | None, checkpoint_id: str) -> pb.RunEvent:
    """The last event of a run."""
    return pb.RunEvent(
        end=pb.EndEvent(
            status=run_pb2.RunStatus.Value(f"RUN_STATUS_{status}"),
            error=error_message(error),
            checkpoint_id=checkpoint_id,
        )
    )


class Sealer:
    """Numbers and serializes the last events of a run that nobody records.

    A run that never began to execute, or whose events could not be kept, still gets its end.
    """

    def __init__(self, run: RunRecord) -> None:
        """Goes on after the run's last committed event."""
        self._run = run

    def __call__(self, events: Sequence[pb.RunEvent]) -> list[EventRecord]:
        """Returns the events, ready to be stored."""
        records = []
        for sequence, event in enumerate(events, start=self._run.last_sequence + 1):
            event.event_time.CopyFrom(timestamp(now_us()))
            attempt = max(self._run.attempt, 1)
            records.append(sealed(event, self._run.run_id, sequence, attempt=attempt))
        return records


def sealed(event: pb.RunEvent, run_id: str, sequence: int, *, attempt: int) -> EventRecord:
    """Numbers an event and returns it, ready to be stored."""
    event.run_id = run_id
    event.sequence = sequence
    event.attempt = attempt
    return EventRecord(run_id, sequence, event.SerializeToString())


def pause_message(pause: PauseRecord) -> pause_pb2.Pause:
    """The contract's form of a pause, as it is now."""
    resolved = pause.status is not PauseStatus.OPEN
    return pause_pb2.Pause(
        pause_id=pause.pause_id,
        thread_id=pause.thread_id,
        run_id=pause.run_id,
        kind=pause_pb2.PauseKind.Value(f"PAUSE_KIND_{pause.kind}"),
        node=pause.node,
        namespace=pause.namespace,
        interrupt_id=pause.interrupt_id,
        value=_payload(pause.value),
        response_schema=_payload(pause.response_schema),
        checkpoint_id=pause.checkpoint_id,
        create_time=timestamp(pause.create_time),
        assistant_id=pause.assistant_id,
        status=pause_pb2.PauseStatus.Value(f"PAUSE_STATUS_{pause.status}"),
        breakpoints=[_met_message(met) for met in met_in(pause.breakpoints)],
        tool_calls=tool_call_messages(pause.tool_calls),
        task_input=_payload(pause.task_input),
        expire_time=None if pause.expire_time is None else timestamp(pause.expire_time),
        on_expiry=breakpoint_pb2.OnExpiry.Value(f"ON_EXPIRY_{pause.on_expiry or 'UNSPECIFIED'}"),
        task_id=pause.task_id,
        resolution=_resolution_message(pause) if resolved else None,
        response_schema_error=schema_error(pause),
    )


def schema_error(pause: PauseRecord) -> str:
    """Returns why answers to a pause are not checked; empty if they are, or have no schema."""
    schema = pause.response_schema
    return why_unusable(schema) if schema is not None else ""


def _met_message(met: Met) -> breakpoint_pb2.MetBreakpoint:
    source = f"BREAKPOINT_SOURCE_{met.breakpoint.source}"
    return breakpoint_pb2.MetBreakpoint(
        breakpoint_id=met.breakpoint.breakpoint_id,
        label=met.breakpoint.label,
        source=breakpoint_pb2.BreakpointSource.Value(source),
        condition=met.breakpoint.condition,
        condition_error=met.condition_error,
    )


def _resolution_message(pause: PauseRecord) -> pause_pb2.PauseResolution:
    return pause_pb2.PauseResolution(
        time=None if pause.resolve_time is None else timestamp(pause.resolve_time),
        run_id=pause.resolved_by_run_id,
        principal=pause.principal,
        answered_by=pause.answered_by,
        expired=pause.expired,
        answer=_payload(pause.answer),
        review=None if pause.review is None else review_message(pause.review),
    )


def error_message(error: Failure | None) -> run_pb2.RunError | None:
    """The contract's form of a failure; None for none."""
    if error is None:
        return None
    return run_pb2.RunError(
        type=error.type, message=error.message, node=error.node, namespace=error.namespace
    )


def timestamp(microseconds: int) -> timestamp_pb2.Timestamp:
    """Converts microseconds since 1970."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=rest * 1000)


def _payload(text: str | None) -> payload_pb2.Payload | None:
    return None if text is None else payload_pb2.Payload(json=text)
