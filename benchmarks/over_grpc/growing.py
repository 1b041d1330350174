"""Threads whose state grows by one message a step."""

from __future__ import annotations

import time

from graphwire.v1.run_pb2 import STREAM_MODE_UPDATES, RunConfig

from benchmarks.over_grpc.calls import Stubs, check_succeeded, new_run, values_of


async def grow(stubs: Stubs, steps: int) -> str:
    """Runs a new thread for so many steps, and returns its id."""
    request = new_run(
        "growing",
        {"steps": steps},
        stream_modes=[STREAM_MODE_UPDATES],
        config=RunConfig(recursion_limit=steps + 1),
    )
    updates = 0
    async for response in stubs.runs.StreamRun(request):
        match response.event.WhichOneof("event"):
            case "updates":
                updates += 1
            case "end":
                check_succeeded(response.event)
    assert updates == steps
    return request.thread_id


async def read_state(stubs: Stubs, thread_id: str, steps: int, samples: int) -> list[float]:
    """Returns the seconds that it takes to read a thread's whole state."""
    times = []
    for _ in range(samples):
        start = time.perf_counter()
        values = await values_of(stubs, thread_id)
        times.append(time.perf_counter() - start)
        assert len(values["messages"]) == steps
    return times
