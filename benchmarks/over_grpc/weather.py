"""The how-to's graph: runs to its end, first events, pauses and resumes."""

from __future__ import annotations

import asyncio
import json
from functools import partial

from graphwire.v1.breakpoint_pb2 import Breakpoint
from graphwire.v1.run_pb2 import STREAM_MODE_TASKS, STREAM_MODE_UPDATES, Resume
from graphwire.v1.runs_pb2 import StreamRunRequest

from benchmarks.over_grpc.calls import WEATHER_INPUT, Stubs, arrivals, check_succeeded, new_run
from benchmarks.workload import ANSWER, rate


async def run(stubs: Stubs, condition: str = "") -> None:
    """Streams a run to its end on a new thread, past a breakpoint if a condition is given."""
    answer = ""
    breakpoints = [Breakpoint(node="action", condition=condition)] if condition else []
    request = new_run(
        "agent", WEATHER_INPUT, stream_modes=[STREAM_MODE_UPDATES], breakpoints=breakpoints
    )
    async for response in stubs.runs.StreamRun(request):
        event = response.event
        match event.WhichOneof("event"):
            case "updates":
                answer = event.updates.update.json
            case "end":
                check_succeeded(event)
    assert json.loads(answer)["messages"][-1]["content"] == ANSWER


async def rate_with_condition(
    stubs: Stubs, condition: str, *, at_once: int, seconds: float
) -> float:
    """Returns the runs per second past a breakpoint whose condition is false; "": without one."""
    return await rate(partial(run, stubs, condition), at_once=at_once, seconds=seconds)


async def first_events(stubs: Stubs, samples: int) -> dict[str, list[float]]:
    """Returns the seconds from the call to the first event, and to the graph's first."""
    times = [
        await arrivals(stubs, new_run("agent", WEATHER_INPUT, stream_modes=[STREAM_MODE_TASKS]))
        for _ in range(samples)
    ]
    return {kind: [first[kind] for first in times] for kind in ("metadata", "task_started")}


async def pause(stubs: Stubs, count: int, at_once: int) -> list[str]:
    """Pauses so many new threads before `action`, and returns their ids."""
    left = count
    paused: list[str] = []

    async def one_after_another() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            request = new_run(
                "agent",
                WEATHER_INPUT,
                stream_modes=[STREAM_MODE_TASKS],
                interrupt_before=["action"],
            )
            assert "interrupted" in await arrivals(stubs, request)
            paused.append(request.thread_id)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(one_after_another())
    return paused


async def resume(stubs: Stubs, thread_ids: list[str]) -> list[float]:
    """Resumes paused threads, one at a time; returns the seconds to each `task_started`."""
    times = []
    for thread_id in thread_ids:
        request = StreamRunRequest(thread_id=thread_id, resume=Resume())
        times.append((await arrivals(stubs, request))["task_started"])
    return times
