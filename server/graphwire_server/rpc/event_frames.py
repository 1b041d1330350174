"""Responses that hold one event of the log, as they go over the wire.

The log keeps each event serialized (ADR 1), so most responses need not be parsed and
serialized again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from graphwire.v1 import run_event_pb2, runs_pb2, threads_pb2

# Field 1, length-delimited: `event` in both responses; tests/rpc proves it.
_TAG = b"\x0a"

# Field 2, length-delimited: `cursor`, of 127 bytes at the most.
_CURSOR_TAG = b"\x12"

EventResponse = (
    runs_pb2.StreamRunResponse | runs_pb2.JoinRunResponse | threads_pb2.JoinThreadResponse
)


class EventFrame:
    """One event, in the place of a `StreamRunResponse` or a `JoinRunResponse`."""

    __slots__ = ("_event",)

    def __init__(self, event: bytes) -> None:
        """Takes a serialized `RunEvent`."""
        self._event = event

    @property
    def size(self) -> int:
        """Returns the size of the event, in bytes."""
        return len(self._event)

    def serialized(self) -> bytes:
        """Returns the serialized response."""
        length = len(self._event)
        prefix = bytearray(_TAG)
        while length > 0x7F:
            prefix.append(length & 0x7F | 0x80)
            length >>= 7
        prefix.append(length)
        return bytes(prefix) + self._event

    def message(self) -> EventResponse:
        """Returns the response as a message."""
        event = run_event_pb2.RunEvent.FromString(self._event)
        return runs_pb2.StreamRunResponse(event=event)


class ThreadEventFrame(EventFrame):
    """One event with its cursor, in the place of a `JoinThreadResponse`."""

    __slots__ = ("_cursor",)

    def __init__(self, event: bytes, cursor: str) -> None:
        """Takes a serialized `RunEvent`, and where the stream stands after it."""
        super().__init__(event)
        self._cursor = cursor

    def serialized(self) -> bytes:
        """Returns the serialized response."""
        cursor = self._cursor.encode()
        return super().serialized() + _CURSOR_TAG + bytes((len(cursor),)) + cursor

    def message(self) -> EventResponse:
        """Returns the response as a message."""
        event = run_event_pb2.RunEvent.FromString(self._event)
        return threads_pb2.JoinThreadResponse(event=event, cursor=self._cursor)


def serializer(of_messages: Callable[[Message], bytes]) -> Callable[[Any], bytes]:
    """Returns a serializer that takes frames as well as messages."""

    def serialize(response: Message | EventFrame) -> bytes:
        if isinstance(response, EventFrame):
            return response.serialized()
        return of_messages(response)

    return serialize
