"""An event of the log goes out as the bytes that it is kept as."""

from __future__ import annotations

import pytest
from graphwire.v1 import payload_pb2, run_event_pb2, runs_pb2
from graphwire_server.rpc.event_frames import EventFrame, serializer


def event(size: int) -> run_event_pb2.RunEvent:
    custom = run_event_pb2.CustomEvent(data=payload_pb2.Payload(json='"' + "x" * size + '"'))
    return run_event_pb2.RunEvent(run_id="run", sequence=7, attempt=1, custom=custom)


@pytest.mark.parametrize("size", [0, 90, 127, 128, 16_300, 16_500, 3_000_000])
@pytest.mark.parametrize("response", [runs_pb2.StreamRunResponse, runs_pb2.JoinRunResponse])
def test_a_frame_is_the_response_with_the_event(
    response: type[runs_pb2.StreamRunResponse] | type[runs_pb2.JoinRunResponse], size: int
) -> None:
    frame = EventFrame(event(size).SerializeToString())
    assert frame.serialized() == response(event=event(size)).SerializeToString()
    assert frame.message() == runs_pb2.StreamRunResponse(event=event(size))


def test_messages_are_serialized_as_before() -> None:
    serialize = serializer(runs_pb2.StreamRunResponse.SerializeToString)
    message = runs_pb2.StreamRunResponse(event=event(1))
    assert serialize(message) == message.SerializeToString()
    assert serialize(EventFrame(event(1).SerializeToString())) == message.SerializeToString()
