"""Streams that have no end of their own: where they stand, and how they go on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from graphwire._calls import Method, method_of
from graphwire._convert import thread_change
from graphwire._cursor import Trailers
from graphwire._events import EventReader
from graphwire._retry import Retry
from graphwire.errors import ConnectionLostError, GraphwireError
from graphwire.events import Event
from graphwire.v1 import threads_pb2 as pb
from graphwire.values import ThreadChange

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Follow(Generic[T]):
    """A stream of what happens, from a cursor on.

    Attributes:
        method: JoinThread or WatchThreads.
        request: Its request.
        reader: Makes what reads its responses; that returns None for one that is not to show.
        timeout: The limit for the whole stream in seconds; None: no limit.
        rejoin_timeout: For how long to try to rejoin; None: the client's default.
    """

    method: Method
    request: Any
    reader: Callable[[], Callable[[Any], T | None]]
    timeout: float | None
    rejoin_timeout: float | None


class Following(Generic[T]):
    """The state of one such stream, across all the calls that it takes.

    Attributes:
        cursor: Where it stands; empty until the server has said so.
        ended: Never true: only the caller ends it, or an error.
    """

    ended = False

    def __init__(self, follow: Follow[T], rejoin_timeout: float) -> None:
        """Begins a stream.

        Args:
            follow: What to stream.
            rejoin_timeout: For how long to try to rejoin where `follow` does not say.
        """
        self.cursor: str = follow.request.cursor
        self._follow = follow
        self._read = follow.reader()
        self._retry = Retry(
            patience=rejoin_timeout if follow.rejoin_timeout is None else follow.rejoin_timeout,
            timeout=follow.timeout,
        )

    def next_call(self) -> Follow[T]:
        """Returns the call that goes on from where the stream stands."""
        follow = self._follow
        request = copy.deepcopy(follow.request)
        if self.cursor:
            request.cursor = self.cursor
            if isinstance(request, pb.JoinThreadRequest):
                request.only_new = False
        return Follow(
            follow.method,
            request,
            follow.reader,
            self._retry.remaining(),
            follow.rejoin_timeout,
        )

    def receive(self, response: Any) -> T | None:
        """Takes a response; returns what it says if that is to be shown."""
        self._retry.progress()
        found = self._read(response)
        self.cursor = response.cursor or self.cursor
        return found

    def delay(self, error: GraphwireError) -> float | None:
        """Returns after how many seconds to rejoin; None: not at all, see `failure`."""
        return self._retry.delay(error, hinted=bool(self.cursor))

    def failure(self, error: GraphwireError) -> GraphwireError:
        """Returns what to raise for the error that ends the stream: says where it was."""
        if self._retry.gave_up:
            given_up = ConnectionLostError(f"gave up rejoining: {error}", code=error.code)
            given_up.metadata.update(error.metadata)
            given_up.retry_after = error.retry_after
            error = given_up
        if self.cursor:
            error.metadata.setdefault("cursor", self.cursor)
        return error

    def finish(self, trailers: Trailers) -> ConnectionLostError:
        """Returns the error for a call that ended well, which none does by itself."""
        return ConnectionLostError("the stream ended, though nobody ended it", code="UNAVAILABLE")


class Followed:
    """What such a stream tells about itself."""

    def __init__(self, following: Following[Any]) -> None:
        """Begins with the stream."""
        self._following = following

    @property
    def cursor(self) -> str:
        """Where the stream stands, after what it has returned last; to go on from there."""
        return self._following.cursor


def join_call(
    request: pb.JoinThreadRequest, *, timeout: float | None, rejoin_timeout: float | None
) -> Follow[Event]:
    """Makes the stream of a thread's events."""

    def reader() -> Callable[[pb.JoinThreadResponse], Event | None]:
        events = EventReader()
        return lambda response: events.read(response.event)

    method = method_of(request, pb.JoinThreadResponse)
    return Follow(method, request, reader, timeout, rejoin_timeout)


def watch_call(
    request: pb.WatchThreadsRequest, *, timeout: float | None, rejoin_timeout: float | None
) -> Follow[ThreadChange]:
    """Makes the stream of what happens on threads."""

    def read(response: pb.WatchThreadsResponse) -> ThreadChange | None:
        return thread_change(response) if response.kind else None

    method = method_of(request, pb.WatchThreadsResponse)
    return Follow(method, request, lambda: read, timeout, rejoin_timeout)
