"""Breakpoints as tests write them, and where they hold in plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphwire.v1 import breakpoint_pb2, pause_pb2, run_event_pb2, run_pb2, runs_pb2, runs_pb2_grpc

from tests.e2e.drive import DEADLINE, pause_shape
from tests.e2e.driven import DrivenThread, Events

BEFORE = breakpoint_pb2.BREAKPOINT_POSITION_BEFORE
AFTER = breakpoint_pb2.BREAKPOINT_POSITION_AFTER

INTO = run_pb2.STEP_MODE_INTO
OVER = run_pb2.STEP_MODE_OVER
OUT = run_pb2.STEP_MODE_OUT

DONE: tuple[str, list[str]] = ("SUCCEEDED", [])


def at(node: str, condition: str = "", **fields: Any) -> breakpoint_pb2.Breakpoint:
    """A breakpoint before a node."""
    return breakpoint_pb2.Breakpoint(node=node, condition=condition, **fields)


def after(node: str, condition: str = "", **fields: Any) -> breakpoint_pb2.Breakpoint:
    """A breakpoint after a node."""
    return at(node, condition, position=AFTER, **fields)


def ended(events: Sequence[run_event_pb2.RunEvent]) -> tuple[str, list[str]]:
    """How a run has ended: its status, and what it waits for, as "KIND path"."""
    status = run_pb2.RunStatus.Name(events[-1].end.status).removeprefix("RUN_STATUS_")
    return status, waits(pauses_of(events))


def waits(pauses: Sequence[pause_pb2.Pause]) -> list[str]:
    """What pauses wait for, as "before path", "after path", "question path", "pause path"."""
    words = {
        "BREAKPOINT_BEFORE": "before",
        "BREAKPOINT_AFTER": "after",
        "INTERRUPT": "question",
        "PAUSE": "pause",
    }
    shapes = [pause_shape(pause) for pause in pauses]
    return [f"{words[shape[0]]} {shape[1]}" for shape in shapes]


def pauses_of(events: Sequence[run_event_pb2.RunEvent]) -> list[pause_pb2.Pause]:
    """The pauses with which a run has ended."""
    return [pause for event in events for pause in event.interrupted.pauses]


def pauses_at(thread: DrivenThread, node: str) -> list[str]:
    """The ids of the open pauses at a node of that name, wherever it is."""
    return [pause.pause_id for pause in thread.pauses if pause.node == node]


def met(pause: pause_pb2.Pause) -> list[tuple[str, str]]:
    """The breakpoints that a pause names: (id, who has set it)."""
    source = breakpoint_pb2.BreakpointSource.Name
    return [
        (each.breakpoint_id, source(each.source).removeprefix("BREAKPOINT_SOURCE_"))
        for each in pause.breakpoints
    ]


def all_the_way(thread: DrivenThread, events: Events, **fields: Any) -> list[list[str]]:
    """Resumes all pauses until the thread waits for nothing; what it waited for each time."""
    waited = []
    while events[-1].end.status == run_pb2.RUN_STATUS_INTERRUPTED:
        waited.append(waits(pauses_of(events)))
        assert len(waited) < 30
        events = thread.resume(**fields)
    assert ended(events) == DONE
    return waited


def add(
    runs: runs_pb2_grpc.RunsStub, run_id: str, *breakpoints: Any, **fields: Any
) -> list[breakpoint_pb2.Breakpoint]:
    """Adds breakpoints to a run; returns them as the server has them."""
    request = runs_pb2.AddRunBreakpointsRequest(run_id=run_id, breakpoints=breakpoints, **fields)
    return list(runs.AddRunBreakpoints(request, timeout=DEADLINE).breakpoints)


def remove(
    runs: runs_pb2_grpc.RunsStub, run_id: str, *breakpoint_ids: str
) -> list[breakpoint_pb2.Breakpoint]:
    """Removes breakpoints of a run; returns what is left."""
    request = runs_pb2.RemoveRunBreakpointsRequest(run_id=run_id, breakpoint_ids=breakpoint_ids)
    return list(runs.RemoveRunBreakpoints(request, timeout=DEADLINE).breakpoints)


def in_force(runs: runs_pb2_grpc.RunsStub, run_id: str) -> list[tuple[str, str, str]]:
    """The breakpoints in force for a run: (node, id, who has set it)."""
    request = runs_pb2.ListRunBreakpointsRequest(run_id=run_id)
    found = runs.ListRunBreakpoints(request, timeout=DEADLINE).breakpoints
    return [described(each) for each in found]


def described(each: breakpoint_pb2.Breakpoint) -> tuple[str, str, str]:
    """A breakpoint as (node, id, who has set it)."""
    source = breakpoint_pb2.BreakpointSource.Name(each.source)
    return each.node, each.breakpoint_id, source.removeprefix("BREAKPOINT_SOURCE_")


def pause_run(runs: runs_pb2_grpc.RunsStub, run_id: str) -> run_pb2.Run:
    """Asks a run to pause."""
    return runs.PauseRun(runs_pb2.PauseRunRequest(run_id=run_id), timeout=DEADLINE).run
