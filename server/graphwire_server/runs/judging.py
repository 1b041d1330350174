"""Makes the judge of a run: from what it was accepted with, and what was said of it since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

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

#: Keeps, by breakpoint and task, that the breakpoint lets the task pass.
CountHit = Callable[[str, str], None]


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


@dataclass(frozen=True, slots=True)
class Noted:
    """What the database knows of a thread that a judge has to know.

    Attributes:
        hits: By breakpoint, the tasks that it has let pass in the run's chain.
        waiting: The tasks that wait at an open pause before they begin.
    """

    hits: Mapping[str, set[str]] = field(default_factory=dict)
    waiting: Mapping[str, Verdict] = field(default_factory=dict)


def read_noted(db: Reader, run: RunRecord, spec: RunSpec) -> Noted:
    """Returns what is known where a run goes on. New input that begins finds nothing."""
    # Hits also where no breakpoint skips any: one may be added that was there before.
    hits = _hits(db, run.thread_id, spec.chain)
    return Noted(hits, open_befores(db, run.thread_id))


def judge_of(
    noted: Noted,
    places: Mapping[Path, Place],
    run: RunRecord,
    spec: RunSpec,
    position: Position | None,
) -> Judge:
    """Returns the judge of a run.

    Args:
        noted: What is known of the thread.
        places: The graph.
        run: The run, as it is now.
        spec: What it was accepted with.
        position: Where it begins; None for new input.
    """
    stepping = None
    if spec.step is not None and position is not None:
        stepping = stepping_from(spec.step, position, noted.waiting, first=run.attempt == 1)
    return Judge(
        places,
        breakpoints_of(spec, run.breakpoints),
        metadata=spec.known_metadata,
        hits=noted.hits,
        waiting=noted.waiting,
        stepping=stepping,
        run_to=spec.run_to,
        pausing=run.pause_requested,
    )


def judge_at_rest(
    db: Reader,
    places: Mapping[Path, Place],
    thread: ThreadRecord,
    last_run: Inheritance | None,
    *,
    of_assistant: Collection[Breakpoint] = (),
) -> Judge:
    """Returns who knows the breakpoints in force on a thread of which no run is active.

    Those that the graph has no place for any more are left out. `of_assistant` are those of the
    thread's assistant, which hold where nothing has run yet.
    """
    breakpoints = list(breakpoints_in(thread.breakpoints))
    spec = None
    if last_run is None:
        breakpoints += of_assistant
    else:
        spec = RunSpec.from_json(last_run.spec)
        before = breakpoints_of(spec, last_run.breakpoints)
        breakpoints += [each for each in before if each.source is not BreakpointSource.THREAD]
    there = [each for each in breakpoints if locate(each.node, places) is not None]
    return Judge(
        places,
        there,
        metadata=spec.known_metadata if spec else {},
        hits=_hits(db, thread.thread_id, spec.chain if spec else ""),
    )


def counting(spec: RunSpec, count_hit: CountHit) -> CountHit:
    """Returns a function that counts hits for the chain of runs to which one belongs."""
    return lambda key, task_id: count_hit(f"{spec.chain}/{key}", task_id)


def _hits(db: Reader, thread_id: str, chain: str) -> dict[str, set[str]]:
    """Returns what breakpoints have let pass in a chain of runs."""
    prefix = f"{chain}/"
    return {
        key.removeprefix(prefix): tasks
        for key, tasks in db.breakpoint_hits(thread_id).items()
        if key.startswith(prefix)
    }


def open_befores(db: Reader, thread_id: str) -> dict[str, Verdict]:
    """Returns the tasks that wait at an open pause before they begin."""
    return {
        pause.task_id: Verdict(met_in(pause.breakpoints))
        for pause in db.open_pauses(thread_id)
        if pause.kind in BEFORE
    }


def stepping_from(
    step: Step, position: Position, waiting: Collection[str], *, first: bool
) -> Stepping:
    """Returns how far a step goes from a position.

    After a breakpoint after a node, and where no pause was open, what it goes on from are the
    tasks that come next there. Those that have waited beside others and need no approval go, or
    wait, with them.

    Args:
        step: The step.
        position: Where the attempt at the run begins.
        waiting: The tasks that wait at an open pause.
        first: Whether it is the first attempt. Where no pause was open, a later one can't tell
            what has come next since: it begins nothing.
    """
    stopped = {checkpoint_id: tuple(namespace) for checkpoint_id, namespace in step.checkpoints}
    graphs = {s.namespace for s in position.stopped_after if s.checkpoint_id in stopped}
    standing = [each.task for each in position.tasks if not each.inside and not each.finished]
    stepping = {task_id for task_id, _, _ in step.tasks}
    graphs |= {each.task.namespace for each in position.tasks if each.task.task_id in stepping}
    held = {each.task.namespace for each in position.tasks if each.task.task_id in waiting}
    held |= {each.namespace for each in position.stopped_after}
    if not step.tasks and not step.checkpoints:
        tasks = standing if first else []
    else:
        tasks = [task for task in standing if task.namespace in graphs]
    resumed = stepping | {task.task_id for task in tasks}
    resumed |= {task.task_id for task in standing if task.namespace in held}
    begins = [(task.namespace, task.node, task.task_id) for task in tasks]
    begins += [(tuple(namespace), node, task_id) for task_id, namespace, node in step.tasks]
    if step.mode == "OUT":
        begins += [(namespace, "", "") for namespace in stopped.values()]
    free: list[Namespace] = []
    for namespace, node, task_id in begins if step.mode != "INTO" else ():
        inner = namespace if step.mode == "OUT" else (*namespace, f"{node}:{task_id}")
        # One with `checkpointer=True` has its namespace without task ids.
        free += [inner, path_of(inner)]
    return Stepping(frozenset(resumed), tuple(free))
