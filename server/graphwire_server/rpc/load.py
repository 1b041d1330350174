"""What is under way at this server, and what it refuses when that is too much.

Calls are counted when they arrive, before they are decoded. Docs: adr/0015.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from enum import Enum

from graphwire import errors
from graphwire.v1 import run_pb2, runs_pb2

from graphwire_server.rpc.tags import first_fields
from graphwire_server.wording import counted

#: Calls that wait for others to do something: they cost memory, not time.
WAITING = frozenset(
    {
        "/graphwire.v1.Runs/StreamRun",
        "/graphwire.v1.Runs/JoinRun",
        "/graphwire.v1.Runs/WaitRun",
        "/graphwire.v1.Threads/JoinThread",
        "/graphwire.v1.Threads/WatchThreads",
    }
)
#: Calls that end, stop or hold work; they are not to wait behind those that make more.
STEERING = frozenset(
    {
        "/graphwire.v1.Runs/CancelRun",
        "/graphwire.v1.Runs/CancelRuns",
        "/graphwire.v1.Runs/PauseRun",
        "/graphwire.v1.Runs/AddRunBreakpoints",
    }
)
_STARTS = {
    "/graphwire.v1.Runs/StreamRun": runs_pb2.StreamRunRequest.DESCRIPTOR,
    "/graphwire.v1.Runs/CreateRun": runs_pb2.CreateRunRequest.DESCRIPTOR,
}
_COMMAND_RESUME = run_pb2.Command.DESCRIPTOR.fields_by_name["resume"].number

#: At how many fields of a message `is_resume` looks. Generated code writes fields by their
#: numbers, some of it those of a oneof last; then all but long lists of names come before them.
MOST_LOOKED_AT = 256


class Kind(Enum):
    """How a call is counted; the value is what one is called in a text, and what several are."""

    CALL = ("call is", "calls are")
    STEERING = (
        "call that cancels, pauses or resumes is",
        "calls that cancel, pause or resume are",
    )
    STREAM = ("stream is", "streams are")


_STREAMS_OF_ONE = ("stream of yours is", "streams of yours are")


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """How much may be under way.

    Attributes:
        calls: How many calls that do not wait; those that steer have as many for themselves.
        streams: How many calls that wait.
        streams_of_one: How many of one principal; 0: no limit.
    """

    calls: int = 1000
    streams: int = 10_000
    streams_of_one: int = 0


class Load:
    """The calls that are under way."""

    def __init__(self, limits: LoadLimits) -> None:
        """Nothing is under way."""
        self._limits = limits
        self._under_way: Counter[Kind] = Counter()
        self._streams_of: Counter[str] = Counter()

    def enter(self, method: str, data: bytes) -> Place:
        """Takes a call in, as it arrives.

        Args:
            method: Its full name.
            data: The request, not decoded.

        Raises:
            LimitReachedError: Too much is under way.
        """
        limits, most = self._limits, self._limits.calls
        kind, name = Kind.CALL, "max_concurrent_calls"
        if method in WAITING:
            # Who answers a pause is let in for as long again.
            kind, name = Kind.STREAM, "max_streams"
            full = self._under_way[kind] >= limits.streams
            most = limits.streams * 2 if full and is_resume(method, data) else limits.streams
        elif method in STEERING or is_resume(method, data):
            kind = Kind.STEERING
        if self._under_way[kind] >= most:
            raise _full(name, self._under_way[kind] + 1, most, kind.value)
        return Place(self, kind)

    def _hold(self, kind: Kind) -> None:
        self._under_way[kind] += 1

    def _let_go(self, kind: Kind) -> None:
        self._under_way[kind] -= 1

    def _check_streams(self) -> None:
        """Refuses a call that waits after all, if as many do as may."""
        there, most = self._under_way[Kind.STREAM], self._limits.streams
        if there >= most:
            raise _full("max_streams", there + 1, most, Kind.STREAM.value)

    def _hold_stream(self, principal: str) -> None:
        most, there = self._limits.streams_of_one, self._streams_of[principal]
        if most and there >= most:
            raise _full("max_streams_per_principal", there + 1, most, _STREAMS_OF_ONE)
        self._streams_of[principal] = there + 1

    def _let_stream_go(self, principal: str) -> None:
        self._streams_of[principal] -= 1
        if not self._streams_of[principal]:
            del self._streams_of[principal]


class Place:
    """The place of one call; to be left when it is over."""

    __slots__ = ("_kind", "_load", "_principal")

    def __init__(self, load: Load, kind: Kind) -> None:
        """Takes it."""
        self._load = load
        self._kind = kind
        self._principal: str | None = None
        load._hold(kind)

    def belongs_to(self, principal: str, *, waits: bool = False) -> None:
        """Notes who calls, and whether the call waits after all.

        Raises:
            LimitReachedError: He has too many streams open, or this server has.
        """
        if waits and self._kind is not Kind.STREAM:
            self._load._check_streams()
            self._load._let_go(self._kind)
            self._kind = Kind.STREAM
            self._load._hold(self._kind)
        if self._kind is Kind.STREAM:
            self._load._hold_stream(principal)
            self._principal = principal

    def leave(self) -> None:
        """Leaves it."""
        self._load._let_go(self._kind)
        if self._principal is not None:
            self._load._let_stream_go(self._principal)


def is_resume(method: str, data: bytes) -> bool:
    """Returns whether a request, not decoded, starts a run that answers what waits.

    It is asked for callers that nobody knows yet, so it looks at so many fields, and no more. A
    resume that comes after them is counted as any other call.
    """
    kind = _STARTS.get(method)
    if kind is None:
        return False
    resume = kind.fields_by_name["resume"].number
    command = kind.fields_by_name["command"].number
    for number, content in first_fields(data, MOST_LOOKED_AT):
        if content is not None and number == resume:
            return True
        if content is not None and number == command:
            inside = first_fields(content, MOST_LOOKED_AT)
            return any(inner == _COMMAND_RESUME for inner, _ in inside)
    return False


def _full(name: str, value: int, most: int, what: tuple[str, str]) -> errors.LimitReachedError:
    return errors.LimitReachedError(
        f"{counted(most, *what)} open at this server, which is as many as it takes ({name}); "
        "try again in a moment, or at another one",
        metadata={"limit": name, "value": str(value), "maximum": str(most)},
        # Not all at once.
        retry_after=round(0.5 + random.random(), 3),
    )
