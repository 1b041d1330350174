"""What a webhook says of a run that has ended: its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from graphwire.v1 import payload_pb2

from graphwire_server.runs.events import error_message, pause_message, timestamp
from graphwire_server.runs.run_message import run_message
from graphwire_server.storage.records import PauseRecord, RunRecord, RunStatus

#: What happened, by how a run has ended.
KINDS = {
    RunStatus.SUCCEEDED: "run.succeeded",
    RunStatus.FAILED: "run.failed",
    RunStatus.INTERRUPTED: "run.interrupted",
    RunStatus.CANCELLED: "run.cancelled",
    RunStatus.TIMED_OUT: "run.timed_out",
}

#: What is left out of a body that is too long, first things first: what can be asked for by id.
_LEFT_OUT = (
    ("pauses", ("value", "response_schema", "tool_calls", "breakpoints")),
    ("run", ("metadata", "breakpoints")),
)
#: The longest body without values, in bytes.
_MAX_REST = 256 * 1024


def webhook_body(
    webhook_id: str,
    run: RunRecord,
    pauses: Sequence[PauseRecord],
    values: str | None,
    *,
    now: int,
    max_values: int,
) -> str:
    """Returns the JSON of a webhook.

    What is too long is left out, and named in `omitted`.

    Args:
        webhook_id: The webhook's id.
        run: The run, which has ended.
        pauses: For INTERRUPTED: those with which it has ended.
        values: The thread's state, as JSON; None if there is none.
        now: The time, in microseconds.
        max_values: The longest state that is sent, in bytes; 0: none is.
    """
    omitted: list[str] = []
    body: dict[str, Any] = {
        "id": webhook_id,
        "type": KINDS[run.status],
        "time": timestamp(now).ToJsonString(),
        "thread_id": run.thread_id,
        "run": _run(run),
        "pauses": [plain(pause_message(pause)) for pause in pauses],
    }
    # A JSON text has at least as many bytes as characters.
    fits = values is None or (len(values) <= max_values and len(values.encode()) <= max_values)
    if not fits:
        omitted.append("values")
        values = None
    body["values"] = None if values is None else orjson.Fragment(values)
    rest = {**body, "values": None}
    for name, keys in _LEFT_OUT:
        if len(orjson.dumps(rest)) <= _MAX_REST:
            break
        for part in rest[name] if isinstance(rest[name], list) else [rest[name]]:
            for key in keys:
                if part.pop(key, None) is not None and f"{name}.{key}" not in omitted:
                    omitted.append(f"{name}.{key}")
    body["omitted"] = omitted
    return orjson.dumps(body).decode()


def _run(run: RunRecord) -> dict[str, Any]:
    try:
        return plain(run_message(run))
    except (TypeError, KeyError):
        # How it was asked to run can't be read, for which it has failed. That is told as well.
        error = error_message(run.error)
        return {
            "run_id": run.run_id,
            "thread_id": run.thread_id,
            "assistant_id": run.assistant_id,
            "status": f"RUN_STATUS_{run.status}",
            **({"error": plain(error)} if error else {}),
        }


def plain(message: Message) -> dict[str, Any]:
    """Returns a message as JSON for people: protobuf's, with names as in the proto.

    Unlike there, payloads are the JSON that they hold, and numbers are numbers; what is not set
    is left out, but for lists, texts, numbers and flags.
    """
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.is_repeated:
            found[field.name] = [_plain(field, item) for item in value]
        else:
            found[field.name] = _plain(field, value)
    return found


def _plain(field: Any, value: Any) -> Any:
    match value:
        case payload_pb2.Payload():
            return orjson.Fragment(value.json)
        case Timestamp() | Duration():
            return value.ToJsonString()
        case Message():
            return plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value
