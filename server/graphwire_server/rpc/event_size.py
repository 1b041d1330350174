"""Events that are too large for whoever did not ask for large ones: without their payloads.

The log has them whole; see RunEvent.truncated in run_event.proto.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from graphwire.v1.run_event_pb2 import RunEvent

from graphwire_server.rpc.event_frames import EventFrame
from graphwire_server.rpc.payloads import clear_payloads

#: What fits into the 4 MiB that gRPC clients take by default, in bytes.
EVENT_BYTES = 4 * 1024 * 1024 - 64 * 1024

#: Texts and lists of what is left that are longer than this are left out as well, if the event
#: is still too large.
_LONG = 256


def fitted(response: Message | EventFrame, limit: int) -> Message | EventFrame:
    """Returns a response of a stream as it is, or if it is too large without its payloads."""
    if isinstance(response, EventFrame):
        return response if response.size <= limit else fitted(response.message(), limit)
    if response.ByteSize() <= limit:
        return response
    # The event of a response may be the response itself.
    event: Any = getattr(response, "event", response)
    if "truncated" not in event.DESCRIPTOR.fields_by_name:
        return response
    size = event.ByteSize()
    clear_payloads(event)
    if isinstance(event, RunEvent) and event.HasField("message"):
        event.message.ClearField("content")
        event.message.ClearField("tool_calls")
    if event.ByteSize() > limit:
        _clear_long(event)
    event.truncated.size_bytes = size
    event.truncated.limit_bytes = limit
    return response


def _clear_long(message: Message) -> None:
    """Clears texts and lists that are long, wherever they are."""
    for field, value in message.ListFields():
        if field.is_repeated or isinstance(value, str | bytes):
            if len(value) > _LONG:
                message.ClearField(field.name)
        elif field.message_type is not None:
            _clear_long(value)
