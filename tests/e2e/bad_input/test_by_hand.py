"""Requests that no generated code would write."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import run_pb2

from tests.e2e.bad_input.world import LOG, World
from tests.e2e.drive import refused
from tests.e2e.wire import call, request_type

STARTS: dict[str, Any] = {
    "input": LOG,
    "resume": run_pb2.Resume(),
    "command": run_pb2.Command(goto=[run_pb2.Goto(node="c")]),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", ["StreamRun", "CreateRun"])
@pytest.mark.parametrize("starts", [*permutations(STARTS, 2), tuple(STARTS)], ids=" and ".join)
def test_two_starts_in_one_request_are_refused_whichever_comes_last(
    channel: grpc.Channel, world: World, name: str, starts: tuple[str, ...]
) -> None:
    request: Any = request_type(name)
    parts = [request(thread_id=world.stopped, assistant_id="linear")]
    parts += [request(**{start: STARTS[start]}) for start in starts]
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "start") as refusal:
        call(channel, name, b"".join(part.SerializeToString() for part in parts))
    given = ", ".join(start for start in STARTS if start in starts)
    assert refusal.fields == {"start": f"give one of these, not all: {given}"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", ["StreamRun", "CreateRun"])
@pytest.mark.parametrize(
    "delay",
    [
        Duration(seconds=2, nanos=-1),
        Duration(seconds=1, nanos=10**9),
        Duration(nanos=-(2**31)),
        Duration(seconds=2**63 - 1, nanos=2**31 - 1),
        Duration(seconds=-(2**63)),
    ],
    ids=str,
)
def test_a_start_delay_that_is_no_duration_is_refused(
    channel: grpc.Channel, name: str, delay: Duration
) -> None:
    request: Any = request_type(name)
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "start_delay"):
        call(channel, name, request(assistant_id="linear", input=LOG, start_delay=delay))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", ["StreamRun", "CreateRun"])
def test_the_deepest_value_that_can_be_sent_is_read_and_a_deeper_one_refused(
    channel: grpc.Channel, world: World, name: str
) -> None:
    request: Any = request_type(name)

    def nested(levels: int) -> Any:
        message = request(thread_id=world.stopped, assistant_id="linear")
        value = message.input.value
        for _ in range(levels):
            value = value.list_value.values.add()
        value.null_value = 0
        return message.SerializeToString()

    # Each level is two messages; the request and the payload are the first of 100.
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "input"):
        call(channel, name, nested(48))
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", ""):
        call(channel, name, nested(60))
