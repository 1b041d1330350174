"""The stubs, and the calls that several measurements make."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
from graphwire.v1.payload_pb2 import Payload
from graphwire.v1.run_pb2 import DURABILITY_SYNC, IF_NOT_EXISTS_CREATE, RUN_STATUS_SUCCEEDED
from graphwire.v1.runs_pb2 import StreamRunRequest
from graphwire.v1.runs_pb2_grpc import RunsStub
from graphwire.v1.threads_pb2 import GetThreadStateRequest
from graphwire.v1.threads_pb2_grpc import ThreadsStub

from benchmarks.workload import QUESTION

if TYPE_CHECKING:  # they are in the stubs' types only
    from graphwire.v1.run_event_pb2 import RunEvent
    from graphwire.v1.runs_pb2_grpc import RunsAsyncStub
    from graphwire.v1.threads_pb2_grpc import ThreadsAsyncStub

WEATHER_INPUT = {"messages": [{"role": "user", "content": QUESTION}]}


@dataclass(frozen=True, slots=True)
class Stubs:
    """The services of one server, on one channel."""

    runs: RunsAsyncStub
    threads: ThreadsAsyncStub

    @classmethod
    def on(cls, channel: grpc.aio.Channel) -> Stubs:
        """Makes the stubs."""
        return cls(RunsStub(channel), ThreadsStub(channel))


def new_run(assistant_id: str, values: object, **options: Any) -> StreamRunRequest:
    """Returns a request for a run on a new thread, which the same call creates."""
    return StreamRunRequest(
        thread_id=str(uuid4()),
        assistant_id=assistant_id,
        input=Payload(json=json.dumps(values)),
        durability=DURABILITY_SYNC,
        if_not_exists=IF_NOT_EXISTS_CREATE,
        **options,
    )


async def arrivals(stubs: Stubs, request: StreamRunRequest) -> dict[str, float]:
    """Streams a run to its end or a pause; returns the seconds to the first of each kind."""
    start = time.perf_counter()
    first: dict[str, float] = {}
    async for response in stubs.runs.StreamRun(request):
        kind = response.event.WhichOneof("event") or ""
        first.setdefault(kind, time.perf_counter() - start)
        if kind == "end" and "interrupted" not in first:
            check_succeeded(response.event)
    return first


async def values_of(stubs: Stubs, thread_id: str) -> Any:
    """Returns a thread's state."""
    response = await stubs.threads.GetThreadState(GetThreadStateRequest(thread_id=thread_id))
    return json.loads(response.state.values.json)


def check_succeeded(event: RunEvent) -> None:
    """Raises AssertionError unless an event is the end of a run that succeeded."""
    assert event.end.status == RUN_STATUS_SUCCEEDED, event
