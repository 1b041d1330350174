"""Events of a run that is over, streamed again."""

from __future__ import annotations

import time

from graphwire.v1.run_pb2 import STREAM_MODE_CUSTOM
from graphwire.v1.runs_pb2 import JoinRunRequest

from benchmarks.over_grpc.calls import Stubs, check_succeeded, new_run


async def write_events(stubs: Stubs, count: int) -> str:
    """Has a run write so many custom events, and returns its id."""
    run_id = ""
    custom = 0
    request = new_run("events", {"count": count}, stream_modes=[STREAM_MODE_CUSTOM])
    async for response in stubs.runs.StreamRun(request):
        run_id = response.event.run_id
        match response.event.WhichOneof("event"):
            case "custom":
                custom += 1
            case "end":
                check_succeeded(response.event)
    assert custom == count
    return run_id


async def replay(stubs: Stubs, run_id: str) -> float:
    """Streams every event of a run, and returns how many came per second."""
    start = time.perf_counter()
    sequence = 0
    async for response in stubs.runs.JoinRun(JoinRunRequest(run_id=run_id)):
        sequence += 1
        assert response.event.sequence == sequence
    return sequence / (time.perf_counter() - start)
