"""Adds up what a run is asked for, what it inherits, its defaults and what is compiled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphwire import errors

from graphwire_server.graphs.breakpoints import (
    Breakpoint,
    BreakpointSource,
    breakpoints_in,
    breakpoints_text,
    locate,
)
from graphwire_server.graphs.places import Breakpoints, Path, Place
from graphwire_server.runs.answer_checks import Checked
from graphwire_server.runs.caller import SERVER, Caller
from graphwire_server.runs.clock import new_id
from graphwire_server.runs.idempotency import RequestKey
from graphwire_server.runs.inheritance import inherited
from graphwire_server.runs.request import (
    CommandStart,
    Durability,
    InputStart,
    ResumeStart,
    RunRequest,
    RunSpec,
    Step,
    StepMode,
    StreamMode,
)
from graphwire_server.runs.resume import ResumePlan
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import Inheritance, PauseKind, RunRecord, ThreadRecord

#: The most breakpoints of its own that a run may have.
MAX_RUN_BREAKPOINTS = 1000


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What the graph says about a request.

    Attributes:
        compiled: The breakpoints compiled into it.
        stops_inside: Whether its subgraphs have some compiled in.
        unreachable: Where breakpoints are compiled in that could never be resumed: the path of
            a subgraph that keeps no checkpoints; empty if there is none.
        next_there: The nodes that come next at the request's checkpoint; None if it names none.
        nodes: The nodes that it declares; () for a graph that is no StateGraph.
        places: What is known of it and its subgraphs, by path.
    """

    compiled: Breakpoints
    stops_inside: bool
    unreachable: str
    next_there: tuple[str, ...] | None
    nodes: tuple[str, ...]
    places: Mapping[Path, Place]


@dataclass(frozen=True, slots=True)
class Context:
    """What the decision needs besides the request.

    Attributes:
        now: The time, in microseconds, by the clock that all servers share: which run of a
            thread began last is told by it.
        assistant_id: The assistant that was checked against the request.
        graph: What its graph says about the request.
        server_id: Under which this server holds runs.
        slot_free: Whether the server can begin to execute the run at once.
        let_in: Lets the run wait in the queue, or refuses it.
        default_recursion_limit: For a run that names none.
        key: The request_id in its scope; None if the caller gave none.
        graph_id: The graph of the assistant.
        assistant_version: The version of the assistant.
        assistant_breakpoints: Those of the assistant, for a run with new input.
        caller: Who calls.
        assistant_kept: Whether it is in the database, from which it may be deleted meanwhile.
        continued_run_id: The run that is gone on with, and whose assistant it is; empty if the
            run begins with the assistant as it is now.
        webhook_values: The longest state that a webhook has, in bytes.
        origin: What the run keeps of the call; see `RunSpec`.
        batch: The runs that requests before it in the same batch start, with their places in it.
            They are there only if it is accepted too.
        checked: What came of checking the answers of a resume.
    """

    now: int
    assistant_id: str
    graph: GraphFacts
    server_id: str
    slot_free: bool
    default_recursion_limit: int
    key: RequestKey | None
    graph_id: str
    assistant_version: int
    assistant_breakpoints: tuple[Breakpoint, ...] = ()
    caller: Caller = SERVER
    assistant_kept: bool = False
    continued_run_id: str = ""
    webhook_values: int = 0
    origin: Mapping[str, str] = field(default_factory=dict)
    batch: Mapping[str, int] = field(default_factory=dict)
    let_in: Callable[[], None] = lambda: None
    checked: Checked = field(default_factory=dict)


def own_breakpoints(request: RunRequest, previous: Inheritance | None) -> tuple[Breakpoint, ...]:
    """Returns the breakpoints of the run itself: those it inherits, and those it brings."""
    inherits = previous is not None and not request.clear_breakpoints
    from_before = breakpoints_in(previous.breakpoints) if previous and inherits else ()
    there = {each.breakpoint_id for each in from_before}
    for index, each in enumerate(request.breakpoints):
        if each.breakpoint_id in there:
            raise errors.InvalidFieldError(
                f"the run before this one has a breakpoint {each.breakpoint_id!r}, which this one "
                "inherits; take another id",
                field=f"breakpoints[{index}].breakpoint_id",
            )
    if len(from_before) + len(request.breakpoints) > MAX_RUN_BREAKPOINTS:
        raise errors.InvalidFieldError(
            f"the run inherits {len(from_before)} breakpoints, and with these "
            f"{len(request.breakpoints)} more it would have more than {MAX_RUN_BREAKPOINTS}; "
            "drop those that it inherits with clear_breakpoints",
            field="breakpoints",
        )
    return (*from_before, *request.breakpoints)


def check_ids(request: RunRequest, defaults: Sequence[Breakpoint]) -> None:
    """Refuses breakpoints with the ids of such as the thread or the assistant has."""
    owners = {each.breakpoint_id: each.source.lower() for each in defaults}
    for index, each in enumerate(request.breakpoints):
        if each.breakpoint_id in owners:
            raise errors.InvalidFieldError(
                f"the {owners[each.breakpoint_id]} has a breakpoint {each.breakpoint_id!r}; "
                "take another id",
                field=f"breakpoints[{index}].breakpoint_id",
            )


def check_inherited(
    spec: RunSpec, own: Sequence[Breakpoint], graph: GraphFacts, thread: ThreadRecord
) -> None:
    """Refuses to inherit breakpoints at nodes that the graph has lost."""
    nodes = graph.nodes
    set_before = (*own, *breakpoints_in(spec.defaults))
    wanted = {*spec.interrupt_before, *spec.interrupt_after, *(each.node for each in set_before)}
    lost = sorted(n for n in wanted if locate(n, graph.places) is None) if nodes else []
    if lost:
        raise graph_changed(
            f"the run before this one, the thread or the assistant has breakpoints at "
            f"{', '.join(lost)}, which the graph does not have any more; it has: "
            f"{', '.join(nodes)}. Drop those of the run with clear_breakpoints, and set those "
            "that are meant",
            nodes,
            thread,
        )


def graph_changed(
    text: str, nodes: Sequence[str], thread: ThreadRecord
) -> errors.GraphChangedError:
    return errors.GraphChangedError(
        text, metadata={"nodes": ", ".join(nodes)}, resource=("thread", thread.thread_id)
    )


def add_up(
    request: RunRequest,
    context: Context,
    thread: ThreadRecord,
    previous: Inheritance | None,
    plan: ResumePlan | None,
    own: Sequence[Breakpoint],
    *,
    discards: bool,
) -> RunSpec:
    """Adds up what the run is asked for, what it inherits and what is compiled in."""
    before = RunSpec.from_json(previous.spec) if previous else None
    kept = None if request.clear_breakpoints else before
    interrupt_before = _union(
        context.graph.compiled.before,
        kept.interrupt_before if kept else (),
        request.interrupt_before,
    )
    interrupt_after = _union(
        context.graph.compiled.after,
        kept.interrupt_after if kept else (),
        request.interrupt_after,
    )
    recovery = request.recovery or (before.recovery if before else "CONTINUE")
    modes: Sequence[str] = request.stream_modes
    subgraphs = request.stream_subgraphs
    if not modes:
        modes = before.stream_modes if before else (StreamMode.UPDATES,)
        subgraphs = subgraphs or bool(before and before.stream_subgraphs)
    durability = request.durability or (Durability(before.durability) if before else None)
    # A run that goes on is of the version of the assistant that it began with.
    assistant_breakpoints = context.assistant_breakpoints
    if before is not None:
        assistant_breakpoints = _of(before, BreakpointSource.ASSISTANT)
    defaults = (*assistant_breakpoints, *breakpoints_in(thread.breakpoints))
    resume = request.resume
    gated = (
        interrupt_before
        or interrupt_after
        or own
        or defaults
        or context.graph.stops_inside
        or (resume is not None and (resume.step or resume.run_to))
    )
    if gated or durability is None:
        durability = Durability.SYNC

    recursion_limit = request.recursion_limit
    tags, configurable = list(request.tags), request.configurable
    if before and not request.has_config:
        recursion_limit, tags = before.recursion_limit, before.tags
        configurable = before.configurable
    context_value = request.context
    if context_value is None and before:
        context_value = before.context
    spec = RunSpec(
        kind="input",
        value=None,
        goto=[],
        answers=plan.answers if plan else {},
        interrupt_before=interrupt_before,
        interrupt_after=interrupt_after,
        stream_modes=list(modes),
        stream_subgraphs=subgraphs,
        recursion_limit=recursion_limit or context.default_recursion_limit,
        tags=tags,
        configurable=configurable or {},
        context=context_value,
        metadata=request.metadata or {},
        # Where the server itself goes on, as a pause has expired, it does so for whoever ran it.
        user=dict(context.caller.user) or (before.user if before and request.expired else {}),
        known_metadata={
            **(before.known_metadata if before else {}),
            **(request.metadata or {}),
        },
        checkpoint_id=request.checkpoint_id,
        discards=discards,
        durability=durability,
        multitask=request.multitask,
        recovery=recovery,
        defaults=breakpoints_text(defaults),
        clears=request.clear_breakpoints,
        step=_step(resume.step, plan) if resume is not None and plan is not None else None,
        run_to=resume.run_to if resume is not None else "",
        webhook_values=context.webhook_values,
        webhook=_webhook(request, before),
    )
    match request.start:
        case InputStart(value):
            return replace(spec, value=value)
        case ResumeStart():
            return replace(spec, kind="resume")
        case CommandStart(update=update, goto=goto):
            steps = [[node] if given is None else [node, given.value] for node, given in goto]
            return replace(spec, kind="command", value=update.value if update else None, goto=steps)


def _webhook(request: RunRequest, before: RunSpec | None) -> str:
    """Returns who is called when the run has ended: as before, where it goes on from another."""
    if request.webhook is None:
        return before.webhook if before else ""
    return request.webhook


def _step(mode: StepMode, plan: ResumePlan) -> Step | None:
    """Returns the step that a resume takes; None if it goes as far as it can."""
    if not mode:
        return None
    pauses = [pause for pause, _ in plan.resumed]
    after = PauseKind.BREAKPOINT_AFTER
    return Step(
        mode,
        [(p.task_id, list(p.namespace), p.node) for p in pauses if p.kind is not after],
        [(p.task_id, list(p.namespace)) for p in pauses if p.kind is after],
    )


def _union(*lists: Sequence[str]) -> list[str]:
    """Adds lists of node names up, in order; `*` covers all others."""
    names = list(dict.fromkeys(name for names in lists for name in names))
    # Not those in subgraphs.
    return ["*", *(name for name in names if "/" in name)] if "*" in names else names


def at_its_turn(tx: Transaction, run: RunRecord) -> RunRecord:
    """Gives a queued run that begins the breakpoints that hold on its thread by now.

    Those of the thread may have been changed while it waited; and a command goes on from the run
    before it, to which some may have been added, or from another one than was there when it was
    accepted. New input has those of its assistant, as it is by now, beside those of the version
    that it was accepted with. What it has already, it keeps; and what was removed from it
    meanwhile stays away.
    """
    thread, spec = tx.thread(run.thread_id), RunSpec.from_json(run.spec)
    assert thread is not None
    of_assistant = _of(spec, BreakpointSource.ASSISTANT)
    own, changed = breakpoints_in(run.breakpoints), spec
    before = inherited(tx, run.thread_id, by=run.run_id)
    if spec.kind == "input":
        assistant = tx.assistant(run.assistant_id)
        if assistant is not None and assistant.graph_id == spec.graph_id:
            of_assistant = _joined(of_assistant, breakpoints_in(assistant.breakpoints))
    if spec.kind == "command" and before is not None:
        earlier = RunSpec.from_json(before.spec)
        of_assistant = _joined(_of(earlier, BreakpointSource.ASSISTANT), of_assistant)
        changed = replace(
            spec,
            known_metadata={**earlier.known_metadata, **spec.metadata},
            chain=earlier.chain,
        )
        if not spec.clears:
            removed = {*breakpoints_in(spec.from_before)} - {*own}
            there = [each for each in breakpoints_in(before.breakpoints) if each not in removed]
            own = _joined(there, own)
            changed = replace(
                changed,
                interrupt_before=_union(spec.interrupt_before, earlier.interrupt_before),
                interrupt_after=_union(spec.interrupt_after, earlier.interrupt_after),
            )
    defaults = breakpoints_text((*of_assistant, *breakpoints_in(thread.breakpoints)))
    changed = replace(changed, defaults=defaults)
    if own or defaults != "[]" or changed.interrupt_before or changed.interrupt_after:
        changed = replace(changed, durability=Durability.SYNC)
    text = breakpoints_text(own)
    if changed != spec:
        tx.change_spec(run.run_id, changed.to_json())
    if text != run.breakpoints:
        tx.set_run_breakpoints(run.run_id, text)
    return replace(run, spec=changed.to_json(), breakpoints=text)


def _of(spec: RunSpec, source: BreakpointSource) -> tuple[Breakpoint, ...]:
    return tuple(each for each in breakpoints_in(spec.defaults) if each.source is source)


def _joined(first: Sequence[Breakpoint], others: Sequence[Breakpoint]) -> tuple[Breakpoint, ...]:
    """Adds breakpoints to others. One whose id is taken there gets a new one, and is not lost.

    The first ones keep theirs: by it is counted what they have let pass.
    """
    there, ids = {*first}, {each.breakpoint_id for each in first}
    meant = {replace(each, breakpoint_id="") for each in first}
    joined = [*first]
    for each in others:
        if each.breakpoint_id not in ids:
            joined.append(each)
        elif each not in there and replace(each, breakpoint_id="") not in meant:
            joined.append(replace(each, breakpoint_id=new_id()))
    return tuple(joined)


def chain_of(run: RunRecord | Inheritance) -> str:
    """Returns by what the chain of runs is known to which a run belongs."""
    return RunSpec.from_json(run.spec).chain
