"""A worker that drives a server through the generated stubs.

Started as `python -m benchmarks.over_grpc HOST:PORT`.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
from graphwire.v1.payload_pb2 import Payload
from graphwire.v1.run_pb2 import (
    DURABILITY_SYNC,
    IF_NOT_EXISTS_CREATE,
    RUN_STATUS_SUCCEEDED,
    STREAM_MODE_TASKS,
    STREAM_MODE_UPDATES,
    Resume,
)
from graphwire.v1.runs_pb2 import StreamRunRequest
from graphwire.v1.runs_pb2_grpc import RunsStub

from benchmarks.workers import run_worker, serve_measurements
from benchmarks.workload import ANSWER, QUESTION, rate

if TYPE_CHECKING:  # it is in the stubs' types only
    from graphwire.v1.runs_pb2_grpc import RunsAsyncStub

INPUT = Payload(json=json.dumps({"messages": [{"role": "user", "content": QUESTION}]}))


async def main(address: str) -> None:
    """Measures `rate`, `first_events` and `resume`."""
    async with grpc.aio.insecure_channel(address) as channel:
        runs: RunsAsyncStub = RunsStub(channel)
        await serve_measurements(
            {
                "rate": partial(rate, partial(run, runs)),
                "first_events": partial(first_events, runs),
                "resume": partial(resume, runs),
            }
        )


async def run(runs: RunsAsyncStub) -> None:
    """Streams a run to its end on a new thread."""
    answer = ""
    async for response in runs.StreamRun(new_run(stream_modes=[STREAM_MODE_UPDATES])):
        event = response.event
        match event.WhichOneof("event"):
            case "updates":
                answer = event.updates.update.json
            case "end":
                assert event.end.status == RUN_STATUS_SUCCEEDED, event
    assert json.loads(answer)["messages"][-1]["content"] == ANSWER


async def first_events(runs: RunsAsyncStub, samples: int) -> dict[str, list[float]]:
    """Returns the seconds from the call to the first event, and to the graph's first."""
    times = [
        await arrivals(runs, new_run(stream_modes=[STREAM_MODE_TASKS])) for _ in range(samples)
    ]
    return {kind: [first[kind] for first in times] for kind in ("metadata", "task_started")}


async def resume(runs: RunsAsyncStub, samples: int) -> list[float]:
    """Returns the seconds from the resume of a paused thread to the graph's first event."""
    times = []
    for _ in range(samples):
        paused = new_run(stream_modes=[STREAM_MODE_TASKS], interrupt_before=["action"])
        assert "interrupted" in await arrivals(runs, paused)
        request = StreamRunRequest(thread_id=paused.thread_id, resume=Resume())
        times.append((await arrivals(runs, request))["task_started"])
    return times


async def arrivals(runs: RunsAsyncStub, request: StreamRunRequest) -> dict[str, float]:
    """Streams a run to its end; returns when the first event of each kind came, in seconds."""
    start = time.perf_counter()
    first: dict[str, float] = {}
    async for response in runs.StreamRun(request):
        first.setdefault(response.event.WhichOneof("event") or "", time.perf_counter() - start)
    return first


def new_run(**options: object) -> StreamRunRequest:
    """Returns a request for a run on a new thread, which the same call creates."""
    return StreamRunRequest(
        thread_id=str(uuid4()),
        assistant_id="agent",
        input=INPUT,
        durability=DURABILITY_SYNC,
        if_not_exists=IF_NOT_EXISTS_CREATE,
        **options,  # type: ignore[arg-type]  # typed by its callers' literals
    )


if __name__ == "__main__":
    run_worker(main(sys.argv[1]))
