"""The one place where exceptions become gRPC statuses.

Each class of `graphwire.errors` names its status code and its reason; here they are put on
the wire as `google.rpc.Status`, with the details that the code asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from graphwire import errors

#: The trailer that carries the `google.rpc.Status`.
STATUS_TRAILER = "grpc-status-details-bin"

# Trailers share a few KiB, on the wire percent-encoded: long texts are cut.
_MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class WireStatus:
    """A status as `ServicerContext.abort` takes it."""

    code: grpc.StatusCode
    text: str
    trailers: tuple[tuple[str, bytes], ...]


def wire_status(error: errors.GraphwireError) -> WireStatus:
    """Returns the status for an exception of the domain."""
    code = grpc.StatusCode[error.code]
    text = _cut(str(error))
    status = status_pb2.Status(code=code.value[0], message=text)
    for detail in _details(error):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return WireStatus(code, text, ((STATUS_TRAILER, status.SerializeToString()),))


def internal_error(request_id: str) -> errors.InternalError:
    """Returns what a caller is told of a fault of ours: nothing but where to find it."""
    return errors.InternalError(
        f"an error inside the server; its log has it under request {request_id}",
        metadata={"request_id": request_id},
    )


def _details(error: errors.GraphwireError) -> list[Message]:
    metadata = {key: _cut(value) for key, value in error.metadata.items() if value}
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=errors.DOMAIN, metadata=metadata)
    ]
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field, description=_cut(violation.description)
            )
            for violation in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    kind, name = error.resource or ("", "")
    if error.code == "FAILED_PRECONDITION":
        broken = error_details_pb2.PreconditionFailure.Violation(
            type=error.reason,
            subject=f"{kind}/{name}" if name else "",
            description=_cut(error.message),
        )
        details.append(error_details_pb2.PreconditionFailure(violations=[broken]))
    elif name:
        details.append(error_details_pb2.ResourceInfo(resource_type=kind, resource_name=_cut(name)))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMicroseconds(int(error.retry_after * 1e6))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return details


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
