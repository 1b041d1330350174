"""The status of a failed call to the exception that the server raised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from graphwire import errors

_DETAILS_KEY = "grpc-status-details-bin"

_TRANSPORT_ERRORS: dict[str, type[errors.TransportError]] = {
    "UNAVAILABLE": errors.ConnectionLostError,
    "DEADLINE_EXCEEDED": errors.DeadlineExceededError,
    "CANCELLED": errors.CallCancelledError,
}

_BASES: dict[str, type[errors.GraphwireError]] = {
    base.code: base
    for base in (
        errors.InvalidArgumentError,
        errors.NotFoundError,
        errors.AlreadyExistsError,
        errors.FailedPreconditionError,
    )
}


def read_error(failed: grpc.RpcError) -> errors.GraphwireError:
    """Returns the exception for a failed call.

    With the server's own details: the class of its reason; for a reason that this
    client does not know, the class of the status code. Without: a `TransportError`.
    """
    code = failed.code().name
    status = _status(failed)
    details = _Details(status)
    text = failed.details() or status.message or f"{code}, without a text"
    if details.info.domain != errors.DOMAIN:
        transport_error = _TRANSPORT_ERRORS.get(code, errors.TransportError)(text, code=code)
        transport_error.retry_after = details.retry_after
        return transport_error
    known = errors.BY_REASON.get(details.info.reason)
    error = (known or _BASES.get(code, errors.GraphwireError))(
        _without_fields(text, details.violations),
        violations=details.violations,
        metadata=details.info.metadata,
        resource=details.resource,
        retry_after=details.retry_after,
    )
    if known is None:
        vars(error).update(code=code, reason=details.info.reason)
    return error


def client_closed() -> errors.CallCancelledError:
    """Returns the exception for a call that was under way when its client was closed."""
    return errors.CallCancelledError("the client was closed", code="CANCELLED")


class _Details:
    """The parts of a `google.rpc.Status`."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.info = error_details_pb2.ErrorInfo()
        self.violations: tuple[errors.FieldViolation, ...] = ()
        self.resource: tuple[str, str] | None = None
        self.retry_after: float | None = None
        bad_request = error_details_pb2.BadRequest()
        precondition = error_details_pb2.PreconditionFailure()
        resource = error_details_pb2.ResourceInfo()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details:
            if detail.Unpack(bad_request):
                self.violations = tuple(
                    errors.FieldViolation(v.field, v.description)
                    for v in bad_request.field_violations
                )
            elif detail.Unpack(precondition):
                subjects = [v.subject for v in precondition.violations if v.subject]
                self.resource = _kind_and_name(subjects[0]) if subjects else None
            elif detail.Unpack(resource):
                self.resource = (resource.resource_type, resource.resource_name)
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
            else:
                detail.Unpack(self.info)


def _without_fields(text: str, violations: tuple[errors.FieldViolation, ...]) -> str:
    """Returns the text without the field paths before it, which `str` puts there again."""
    fields = ", ".join(violation.field for violation in violations if violation.field)
    return text.removeprefix(f"{fields}: ") if fields else text


def _kind_and_name(subject: str) -> tuple[str, str]:
    kind, _, name = subject.partition("/")
    return kind, name


def _status(failed: grpc.RpcError) -> status_pb2.Status:
    status = status_pb2.Status()
    metadata: Iterable[Any] = failed.trailing_metadata() or ()
    for key, value in metadata:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:  # another party's bytes: the code and the text remain
                status.Clear()
    return status
