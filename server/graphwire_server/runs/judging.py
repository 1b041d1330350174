"""Makes the judge of a run: from what it was accepted with, and what was said of it since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graphwire_server.graphs.breakpoints import (
    Breakpoint,
    BreakpointSource,
    breakpoints_in,
    locate,
    met_in,
)
from graphwire_server.graphs.judge import Judge, Stepping, Verdict
from graphwire_server.graphs.places import Namespace, Path, Place, path_of
from graphwire_server.graphs.position import BEFORE, Position
from graphwire_server.runs.request import RunSpec, Step
from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import Inheritance, RunRecord, ThreadRecord


def breakpoints_of(spec: RunSpec, own: str) -> Iterator[Breakpoint]:
    """Yields the breakpoints in force for a run, but for those compiled into subgraphs.

    Args:
        spec: What it was accepted with.
        own: Its own ones, as they are in its record now.
    """
    for name in spec.interrupt_before:
        yield Breakpoint(name)
    for name in spec.interrupt_after:
        yield Breakpoint(name, after=True)
    yield from breakpoints_in(own)
    yield from breakpoints_in(spec.defaults)


def lost_breakpoints(places: Mapping[Path, Place], spec: RunSpec, own: str) -> list[str]:
    """Returns the names of breakpoints in force that a graph has no place for."""
    names = {each.node for each in breakpoints_of(spec, own)} | ({spec.run_to} - {""})
    return sorted(name for name in names if locate(name, places) is None)


def judge_of(
    db: Reader,
    places: Mapping[Path, Place],
    run: RunRecord,
    spec: RunSpec,
    position: Position | None,
) -> Judge:
    """Returns the judge of a run.

    Args:
        db: The database, for what is known of the thread.
        places: The graph.
        run: The run, as it is now.
        spec: What it was accepted with.
        position: Where it begins; None for new input.
    """
    breakpoints = list(breakpoints_of(spec, run.breakpoints))
    counts = any(each.skip_first for each in breakpoints)
    stepping = stepping_from(spec.step, position) if spec.step and position else None
    return Judge(
        places,
        breakpoints,
        metadata=spec.metadata,
        hits=db.breakpoint_hits(run.thread_id) if counts else None,
        waiting=open_befores(db, run.thread_id) if position is not None else None,
        stepping=stepping,
        run_to=spec.run_to,
        pausing=run.pause_requested,
    )


def judge_at_rest(
    db: Reader, places: Mapping[Path, Place], thread: ThreadRecord, last_run: Inheritance | None
) -> Judge:
    """Returns who knows the breakpoints in force on a thread of which no run is active.

    Those that the graph has no place for any more are left out.
    """
    breakpoints = list(breakpoints_in(thread.breakpoints))
    spec = None
    if last_run is not None:
        spec = RunSpec.from_json(last_run.spec)
        before = breakpoints_of(spec, last_run.breakpoints)
        breakpoints += [each for each in before if each.source is not BreakpointSource.THREAD]
    there = [each for each in breakpoints if locate(each.node, places) is not None]
    counts = any(each.skip_first for each in there)
    return Judge(
        places,
        there,
        metadata=spec.metadata if spec else {},
        hits=db.breakpoint_hits(thread.thread_id) if counts else None,
    )


def open_befores(db: Reader, thread_id: str) -> dict[str, Verdict]:
    """Returns the tasks that wait at an open pause before they begin."""
    return {
        pause.task_id: Verdict(met_in(pause.breakpoints))
        for pause in db.open_pauses(thread_id)
        if pause.kind in BEFORE
    }


def stepping_from(step: Step, position: Position) -> Stepping:
    """Returns how far a step goes from a position.

    After a breakpoint after a node, and where no pause was open, what it goes on from are the
    tasks that come next there.
    """
    graphs = {s.namespace for s in position.stopped_after if s.checkpoint_id in step.checkpoints}
    standing = [each.task for each in position.tasks if not each.inside]
    if not step.tasks and not step.checkpoints:
        tasks = standing
    else:
        tasks = [task for task in standing if task.namespace in graphs]
    resumed = {task.task_id for task in tasks} | {task_id for task_id, _, _ in step.tasks}
    begins = [(task.namespace, task.node, task.task_id) for task in tasks]
    begins += [(tuple(namespace), node, task_id) for task_id, namespace, node in step.tasks]
    free: list[Namespace] = []
    for namespace, node, task_id in begins if step.mode != "INTO" else ():
        inner = namespace if step.mode == "OUT" else (*namespace, f"{node}:{task_id}")
        # One with `checkpointer=True` has its namespace without task ids.
        free += [inner, path_of(inner)]
    return Stepping(frozenset(resumed), tuple(free))
