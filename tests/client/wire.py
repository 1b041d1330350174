"""Messages of the contract, made briefly."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from graphwire.v1 import pause_pb2, payload_pb2, run_event_pb2, run_pb2, runs_pb2, threads_pb2

#: 2026-11-23 12:00:00 UTC.
NOON = Timestamp(seconds=1_795_435_200)


def payload(text: str) -> payload_pb2.Payload:
    """A payload with this JSON text."""
    return payload_pb2.Payload(json=text)


def thread(thread_id: str = "t") -> threads_pb2.Thread:
    """A thread that is idle."""
    return threads_pb2.Thread(
        thread_id=thread_id, status=threads_pb2.THREAD_STATUS_IDLE, metadata=payload("{}")
    )


def run(
    run_id: str = "r", status: run_pb2.RunStatus.ValueType = run_pb2.RUN_STATUS_SUCCEEDED
) -> run_pb2.Run:
    """A run."""
    return run_pb2.Run(run_id=run_id, thread_id="t", assistant_id="agent", status=status)


def pause(pause_id: str = "p", node: str = "action") -> pause_pb2.Pause:
    """A pause at a breakpoint before a node."""
    return pause_pb2.Pause(
        pause_id=pause_id,
        thread_id="t",
        run_id="r",
        kind=pause_pb2.PAUSE_KIND_BREAKPOINT_BEFORE,
        node=node,
        checkpoint_id="c",
        create_time=NOON,
    )


def event(sequence: int, **kind: Any) -> run_event_pb2.RunEvent:
    """An event of run `r`."""
    return run_event_pb2.RunEvent(run_id="r", sequence=sequence, attempt=1, event_time=NOON, **kind)


def metadata(sequence: int = 1) -> run_event_pb2.RunEvent:
    """The first event."""
    return event(
        sequence,
        metadata=run_event_pb2.MetadataEvent(run_id="r", thread_id="t", assistant_id="agent"),
    )


def custom(sequence: int) -> run_event_pb2.RunEvent:
    """An event whose data is its own sequence."""
    return event(sequence, custom=run_event_pb2.CustomEvent(data=payload(str(sequence))))


def end(
    sequence: int, status: run_pb2.RunStatus.ValueType = run_pb2.RUN_STATUS_SUCCEEDED
) -> run_event_pb2.RunEvent:
    """The last event."""
    return event(sequence, end=run_event_pb2.EndEvent(status=status))


def heartbeat() -> run_event_pb2.RunEvent:
    """A sign of life."""
    return run_event_pb2.RunEvent(
        run_id="r", event_time=NOON, heartbeat=run_event_pb2.HeartbeatEvent()
    )


def streamed(*events: run_event_pb2.RunEvent) -> list[Message]:
    """The responses of StreamRun with these events."""
    return [runs_pb2.StreamRunResponse(event=e) for e in events]


def joined(*events: run_event_pb2.RunEvent) -> list[Message]:
    """The responses of JoinRun with these events."""
    return [runs_pb2.JoinRunResponse(event=e) for e in events]
