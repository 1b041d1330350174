"""Breakpoints of a request, each checked in itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from graphwire import errors
from graphwire.v1 import breakpoint_pb2 as pb

from graphwire_server.graphs.breakpoints import Breakpoint, BreakpointSource
from graphwire_server.rpc import validation
from graphwire_server.runs.clock import new_id

_MAX_SKIP = 10_000
MAX_LABEL = 256
_MAX_TEXT = 4096
_MAX_EXPIRY = timedelta(days=366)
_SECOND = 1_000_000


def read_breakpoints(
    messages: Sequence[pb.Breakpoint], field: str, source: BreakpointSource
) -> tuple[Breakpoint, ...]:
    """Returns the breakpoints of a request, with ids for those that have none.

    Whether the graph has such nodes is checked elsewhere.

    Raises:
        InvalidFieldError, MissingFieldError: One is not right in itself.
    """
    found: dict[str, Breakpoint] = {}
    for index, message in enumerate(messages):
        path = f"{field}[{index}]"
        breakpoint_ = _read(message, path, source)
        if breakpoint_.breakpoint_id in found:
            text = f"the id {breakpoint_.breakpoint_id!r} is there twice"
            raise errors.InvalidFieldError(text, field=f"{path}.breakpoint_id")
        found[breakpoint_.breakpoint_id] = breakpoint_
    return tuple(found.values())


def _read(message: pb.Breakpoint, path: str, source: BreakpointSource) -> Breakpoint:
    side = validation.enum_name(pb.BreakpointPosition, message.position, "BREAKPOINT_POSITION_")
    on_expiry = validation.enum_name(pb.OnExpiry, message.on_expiry, "ON_EXPIRY_")
    if message.source:
        raise errors.InvalidFieldError(
            "the server says who has set it; leave it out", field=f"{path}.source"
        )
    if on_expiry == "REJECT" and side == "AFTER":
        raise errors.InvalidFieldError(
            "after a node there is nothing to reject any more; use ON_EXPIRY_RESUME or "
            "ON_EXPIRY_CANCEL",
            field=f"{path}.on_expiry",
        )
    if not 0 <= message.skip_first <= _MAX_SKIP:
        raise errors.InvalidFieldError(f"must be 0 to {_MAX_SKIP}", field=f"{path}.skip_first")
    return Breakpoint(
        node=validation.required(message.node, f"{path}.node"),
        breakpoint_id=validation.optional_name(message.breakpoint_id, f"{path}.breakpoint_id")
        or new_id(),
        after=side == "AFTER",
        condition=validation.text(message.condition, f"{path}.condition", most=_MAX_TEXT).strip(),
        label=validation.text(message.label, f"{path}.label", most=MAX_LABEL),
        skip_first=message.skip_first,
        expires_after=_expires_after(message, path, on_expiry),
        on_expiry=on_expiry,
        expiry_message=_expiry_message(message, path, on_expiry),
        source=source,
    )


def _expires_after(message: pb.Breakpoint, path: str, on_expiry: str) -> int:
    """Returns after how many microseconds a pause expires; 0: never."""
    if not message.HasField("expires_after"):
        if on_expiry:
            raise errors.InvalidFieldError(
                "says what happens when the time is over; give expires_after as well",
                field=f"{path}.on_expiry",
            )
        return 0
    if not on_expiry:
        raise errors.MissingFieldError(
            "say what happens when the time is over: ON_EXPIRY_RESUME, ON_EXPIRY_REJECT or "
            "ON_EXPIRY_CANCEL",
            field=f"{path}.on_expiry",
        )
    field, words = f"{path}.expires_after", "1 s to 366 days"
    micros = validation.duration(message.expires_after, field, most=_MAX_EXPIRY, words=words)
    if micros < _SECOND:
        raise errors.InvalidFieldError(f"must be {words}", field=field)
    return micros


def _expiry_message(message: pb.Breakpoint, path: str, on_expiry: str) -> str:
    if message.expiry_message and on_expiry != "REJECT":
        raise errors.InvalidFieldError(
            "is for ON_EXPIRY_REJECT; leave it out", field=f"{path}.expiry_message"
        )
    return validation.text(message.expiry_message, f"{path}.expiry_message", most=_MAX_TEXT)
