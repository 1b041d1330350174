"""Breakpoints, as messages of the contract and back."""

from __future__ import annotations

from collections.abc import Iterable

from graphwire import _enums as enums
from graphwire._durations import duration
from graphwire.breakpoints import Breakpoint, MetBreakpoint
from graphwire.enums import BreakpointSource, OnExpiry
from graphwire.v1 import breakpoint_pb2 as pb


def breakpoint_messages(
    breakpoints: Breakpoint | str | Iterable[Breakpoint | str],
    field: str,
    *,
    own: BreakpointSource = BreakpointSource.RUN,
) -> list[pb.Breakpoint]:
    """Returns breakpoints as messages; a plain name is one before that node.

    Those of the `own` source may be ones that the server has returned.
    """
    several = [breakpoints] if isinstance(breakpoints, Breakpoint | str) else breakpoints
    return [_message(each, f"{field}[{index}]", own) for index, each in enumerate(several)]


def breakpoint_list(
    breakpoints: Breakpoint | str | Iterable[Breakpoint | str] | None,
    field: str,
    *,
    own: BreakpointSource = BreakpointSource.RUN,
) -> pb.BreakpointList | None:
    """Returns breakpoints as a list that may be empty; None for None."""
    if breakpoints is None:
        return None
    field = f"{field}.breakpoints"
    return pb.BreakpointList(breakpoints=breakpoint_messages(breakpoints, field, own=own))


def read_breakpoint(message: pb.Breakpoint) -> Breakpoint:
    """Reads a breakpoint."""
    return Breakpoint(
        node=message.node,
        condition=message.condition,
        position=enums.BREAKPOINT_POSITION.read(message.position),
        breakpoint_id=message.breakpoint_id,
        label=message.label,
        skip_first=message.skip_first,
        expires_after=(
            message.expires_after.ToTimedelta() if message.HasField("expires_after") else None
        ),
        on_expiry=read_on_expiry(message.on_expiry),
        expiry_message=message.expiry_message,
        source=enums.BREAKPOINT_SOURCE.read(message.source),
    )


def read_met(message: pb.MetBreakpoint) -> MetBreakpoint:
    """Reads a breakpoint at which a run has paused."""
    return MetBreakpoint(
        breakpoint_id=message.breakpoint_id,
        label=message.label,
        source=enums.BREAKPOINT_SOURCE.read(message.source),
        condition=message.condition,
        condition_error=message.condition_error,
    )


def read_on_expiry(number: int) -> OnExpiry | None:
    """Reads what happens when the time is over; None for nothing."""
    return enums.ON_EXPIRY.read(number) if number else None


def _message(given: Breakpoint | str, field: str, own: BreakpointSource) -> pb.Breakpoint:
    if isinstance(given, str):
        return pb.Breakpoint(node=given)
    if not isinstance(given, Breakpoint):
        raise TypeError(f"{field} is {given!r}: it must be a name or a Breakpoint(…)")
    # What the server has returned may be given back to it.
    source = given.source
    if source not in (None, own):
        raise TypeError(f"{field} was set by the {str(source).lower()}: it holds there already")
    return pb.Breakpoint(
        breakpoint_id=given.breakpoint_id,
        node=given.node,
        position=enums.BREAKPOINT_POSITION.write(given.position, f"{field}.position"),
        condition=given.condition,
        label=given.label,
        skip_first=given.skip_first,
        expires_after=None if given.expires_after is None else duration(given.expires_after),
        on_expiry=enums.ON_EXPIRY.write_if_set(given.on_expiry, f"{field}.on_expiry"),
        expiry_message=given.expiry_message,
    )
