"""The one place where exceptions become gRPC statuses.

Each class of `graphwire.errors` names its status code and its reason; here they are put on
the wire as `google.rpc.Status`, with the details that the code asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from graphwire import errors

#: The trailer that carries the `google.rpc.Status`.
STATUS_TRAILER = "grpc-status-details-bin"

# A client takes 8 KiB of trailers, other people's included; of a call that has more it sees
# only RESOURCE_EXHAUSTED. So long texts are cut, to the first of these lengths that fits.
_MAX_TRAILERS = 6000
_TEXT_LENGTHS = (1000, 500, 250, 100)

# What gRPC does not encode in the text of a status.
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


@dataclass(frozen=True, slots=True)
class WireStatus:
    """A status as `ServicerContext.abort` takes it."""

    code: grpc.StatusCode
    text: str
    trailers: tuple[tuple[str, bytes], ...]


def wire_status(error: errors.GraphwireError) -> WireStatus:
    """Returns the status for an exception of the domain."""
    code = grpc.StatusCode[error.code]
    for length in _TEXT_LENGTHS:
        text = _cut(str(error), length)
        status = status_pb2.Status(code=code.value[0], message=text)
        for detail in _details(error, length):
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        packed_status = status.SerializeToString()
        # On the wire the text is percent-encoded, and the status in base 64.
        if len(quote(text, safe=_PLAIN)) + len(packed_status) * 4 // 3 <= _MAX_TRAILERS:
            break
    return WireStatus(code, text, ((STATUS_TRAILER, packed_status),))


def internal_error(request_id: str) -> errors.InternalError:
    """Returns what a caller is told of a fault of ours: nothing but where to find it."""
    return errors.InternalError(
        f"an error inside the server; its log has it under request {request_id}",
        metadata={"request_id": request_id},
    )


def _details(error: errors.GraphwireError, length: int) -> list[Message]:
    metadata = {key: _cut(value, length) for key, value in error.metadata.items() if value}
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=errors.DOMAIN, metadata=metadata)
    ]
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=_cut(violation.field, length),
                description=_cut(violation.description, length),
            )
            for violation in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    kind, name = error.resource or ("", "")
    if error.code == "FAILED_PRECONDITION":
        broken = error_details_pb2.PreconditionFailure.Violation(
            type=error.reason,
            subject=_cut(f"{kind}/{name}", length) if name else "",
            description=_cut(error.message, length),
        )
        details.append(error_details_pb2.PreconditionFailure(violations=[broken]))
    elif name:
        resource = error_details_pb2.ResourceInfo(
            resource_type=kind, resource_name=_cut(name, length)
        )
        details.append(resource)
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMicroseconds(int(error.retry_after * 1e6))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return details


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
