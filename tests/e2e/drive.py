"""Drives a server through the generated stubs, and puts what it says into plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from graphwire.v1 import (
    pause_pb2,
    payload_pb2,
    run_event_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

DEADLINE = 30.0


def payload(value: Any) -> payload_pb2.Payload:
    """A Python value as a payload."""
    return payload_pb2.Payload(json=json.dumps(value))


def value(message: payload_pb2.Payload) -> Any:
    """The Python value of a payload in json form."""
    assert message.WhichOneof("form") == "json"
    return json.loads(message.json)


def new_thread(threads: threads_pb2_grpc.ThreadsStub, **fields: Any) -> str:
    """Creates a thread and returns its id."""
    request = threads_pb2.CreateThreadRequest(**fields)
    return threads.CreateThread(request, timeout=DEADLINE).thread.thread_id


def get_thread(threads: threads_pb2_grpc.ThreadsStub, thread_id: str) -> threads_pb2.Thread:
    """Returns a thread."""
    request = threads_pb2.GetThreadRequest(thread_id=thread_id)
    return threads.GetThread(request, timeout=DEADLINE).thread


def delete_thread(threads: threads_pb2_grpc.ThreadsStub, thread_id: str) -> None:
    """Deletes a thread."""
    threads.DeleteThread(threads_pb2.DeleteThreadRequest(thread_id=thread_id), timeout=DEADLINE)


def stream(runs: runs_pb2_grpc.RunsStub, **fields: Any) -> list[run_event_pb2.RunEvent]:
    """Streams a run to its end and returns its events, heartbeats left out.

    Checks on the way what is true of every stream: sequences from 1 without gaps, `metadata`
    first, `end` last, one run.
    """
    request = runs_pb2.StreamRunRequest(**fields)
    events = [r.event for r in runs.StreamRun(request, timeout=DEADLINE)]
    return checked(events)


def join(
    runs: runs_pb2_grpc.RunsStub, run_id: str, after_sequence: int = 0
) -> list[run_event_pb2.RunEvent]:
    """Joins a run to its end and returns its events after a sequence."""
    request = runs_pb2.JoinRunRequest(run_id=run_id, after_sequence=after_sequence)
    events = [r.event for r in runs.JoinRun(request, timeout=DEADLINE)]
    return checked(events, after=after_sequence)


def checked(
    events: list[run_event_pb2.RunEvent], *, after: int = 0
) -> list[run_event_pb2.RunEvent]:
    """Returns the events of one whole stream, heartbeats left out, once they are in order."""
    events = [event for event in events if event.WhichOneof("event") != "heartbeat"]
    assert [event.sequence for event in events] == list(range(after + 1, after + len(events) + 1))
    assert len({event.run_id for event in events}) == 1
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds.index("end") == len(kinds) - 1
    if not after:
        assert kinds.index("metadata") == 0
    return events


def create(runs: runs_pb2_grpc.RunsStub, **fields: Any) -> run_pb2.Run:
    """Starts a run in the background and returns it."""
    return runs.CreateRun(runs_pb2.CreateRunRequest(**fields), timeout=DEADLINE).run


def get_run(runs: runs_pb2_grpc.RunsStub, run_id: str) -> run_pb2.Run:
    """Returns a run."""
    return runs.GetRun(runs_pb2.GetRunRequest(run_id=run_id), timeout=DEADLINE).run


def list_runs(runs: runs_pb2_grpc.RunsStub, thread_id: str, **fields: Any) -> list[run_pb2.Run]:
    """Returns the runs of a thread, newest first."""
    request = runs_pb2.ListRunsRequest(thread_id=thread_id, **fields)
    return list(runs.ListRuns(request, timeout=DEADLINE).runs)


def cancel(runs: runs_pb2_grpc.RunsStub, run_id: str, **fields: Any) -> run_pb2.Run:
    """Cancels a run and returns it."""
    request = runs_pb2.CancelRunRequest(run_id=run_id, **fields)
    return runs.CancelRun(request, timeout=DEADLINE).run


def wait(runs: runs_pb2_grpc.RunsStub, run_id: str) -> runs_pb2.WaitRunResponse:
    """Waits until a run has ended."""
    return runs.WaitRun(runs_pb2.WaitRunRequest(run_id=run_id), timeout=DEADLINE)


def shape(event: run_event_pb2.RunEvent) -> tuple[Any, ...]:
    """The essence of an event: its kind and what it says, ids and times left out."""
    kind = event.WhichOneof("event")
    where = namespace(event.namespace)
    match kind:
        case "updates":
            said: tuple[Any, ...] = (event.updates.node, value(event.updates.update))
        case "values":
            said = (value(event.values.values),)
        case "custom":
            said = (value(event.custom.data),)
        case "task_started":
            said = (event.task_started.node, value(event.task_started.input))
        case "task_finished":
            said = (event.task_finished.node, event.task_finished.error.type)
        case "checkpoint":
            step = event.checkpoint
            said = (step.source, step.step, value(step.values), list(step.next))
        case "message":
            said = ("".join(piece.text for piece in event.message.content),)
        case "interrupted":
            said = (
                [pause_shape(pause) for pause in event.interrupted.pauses],
                list(event.interrupted.next),
            )
        case "end":
            said = (run_pb2.RunStatus.Name(event.end.status).removeprefix("RUN_STATUS_"),)
        case _:
            said = ()
    return (kind, *([where] if where else []), *said)


def shapes(events: Iterable[run_event_pb2.RunEvent]) -> list[tuple[Any, ...]]:
    """The essence of events, without the first, `metadata`."""
    return [shape(event) for event in events if event.WhichOneof("event") != "metadata"]


def pause_shape(pause: pause_pb2.Pause) -> tuple[Any, ...]:
    """The essence of a pause: kind, path and node, and what is asked if something is."""
    kind = pause_pb2.PauseKind.Name(pause.kind).removeprefix("PAUSE_KIND_")
    path = "/".join([*filter(None, [namespace(pause.namespace)]), pause.node])
    return (kind, path, value(pause.value)) if pause.HasField("value") else (kind, path)


def namespace(path: Iterable[str]) -> str:
    """A subgraph path without its task ids: "child/grandchild"; "" for the root."""
    return "/".join(part.partition(":")[0] for part in path)


@dataclass
class Refusal:
    """An error status that was received."""

    code: str = ""
    text: str = ""
    reason: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    resource: tuple[str, str] = ("", "")
    precondition: tuple[str, str, str] = ("", "", "")
    retry_after: float | None = None
    details: list[str] = field(default_factory=list)


@contextmanager
def refused(code: str, reason: str, *fields: str) -> Iterator[Refusal]:
    """Expects an RPC in the block to be refused, with exactly this status, reason and fields.

    What it yields is filled in when the block has ended.
    """
    refusal = Refusal()
    try:
        yield refusal
    except grpc.RpcError as error:
        _read(error, refusal)
    else:
        raise AssertionError(f"not refused; {code} {reason} was to be expected")
    assert (refusal.code, refusal.reason, tuple(refusal.fields)) == (code, reason, fields), refusal


def reason_of(error: grpc.RpcError) -> str:
    """The reason of an error status that was received."""
    return refusal_of(error).reason


def refusal_of(error: grpc.RpcError) -> Refusal:
    """An error status that was received."""
    refusal = Refusal()
    _read(error, refusal)
    return refusal


def _read(error: Any, refusal: Refusal) -> None:
    refusal.code, refusal.text = error.code().name, error.details()
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    assert status.code in (0, error.code().value[0])
    for packed in status.details:
        refusal.details.append(packed.TypeName())
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        resource = error_details_pb2.ResourceInfo()
        broken = error_details_pb2.PreconditionFailure()
        retry = error_details_pb2.RetryInfo()
        if packed.Unpack(info):
            assert info.domain == "graphwire.dev"
            refusal.reason, refusal.metadata = info.reason, dict(info.metadata)
        elif packed.Unpack(bad):
            refusal.fields = {v.field: v.description for v in bad.field_violations}
        elif packed.Unpack(resource):
            refusal.resource = (resource.resource_type, resource.resource_name)
        elif packed.Unpack(broken):
            (violation,) = broken.violations
            refusal.precondition = (violation.type, violation.subject, violation.description)
        elif packed.Unpack(retry):
            refusal.retry_after = retry.retry_delay.ToMicroseconds() / 1e6
