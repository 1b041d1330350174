"""Accepts a run: everything that is decided when a request arrives, in one transaction.

Whoever comes second finds what the first one changed, so of two answers to one pause, or
two inputs to one thread, exactly one is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphwire import errors

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import (
    Breakpoint,
    BreakpointSource,
    breakpoints_in,
    breakpoints_text,
    locate,
)
from graphwire_server.graphs.places import Breakpoints, Path, Place
from graphwire_server.graphs.state import checkpoint_not_found
from graphwire_server.runs.answered import Past, check_in_time
from graphwire_server.runs.assistants import graph_of_thread
from graphwire_server.runs.clock import new_id
from graphwire_server.runs.ending import end_run
from graphwire_server.runs.events import Sealer, metadata_record
from graphwire_server.runs.execution import Outcome
from graphwire_server.runs.idempotency import RequestKey, remembered
from graphwire_server.runs.inheritance import inherited
from graphwire_server.runs.request import (
    CommandStart,
    Durability,
    Found,
    InputStart,
    ResumeStart,
    RunRequest,
    RunSpec,
    Step,
    StepMode,
    StreamMode,
)
from graphwire_server.runs.resume import ResumePlan, plan_resume
from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.records import (
    Inheritance,
    Lease,
    PauseKind,
    PauseRecord,
    PauseStatus,
    RunRecord,
    RunStatus,
    ThreadRecord,
    ThreadStatus,
)

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
        default_recursion_limit: For a run that names none.
        key: The request_id in its scope; None if the caller gave none.
        graph_id: The graph of the assistant.
        assistant_version: The version of the assistant.
        assistant_breakpoints: Those of the assistant, for a run with new input.
        principal: Who calls.
        assistant_kept: Whether it is in the database, from which it may be deleted meanwhile.
        continued_run_id: The run that is gone on with, and whose assistant it is; empty if the
            run begins with the assistant as it is now.
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
    principal: str = ""
    assistant_kept: bool = False
    continued_run_id: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of a request.

    Attributes:
        run: The run.
        replayed: Whether it was started by an earlier call with the same request_id.
        cancelled: The runs that were to make room for it, with cancel_requested set.
    """

    run: RunRecord
    replayed: bool = False
    cancelled: tuple[RunRecord, ...] = ()


class MovedOnError(Exception):
    """The run that was to be gone on with is not the thread's last one any more.

    What goes on there now may have another assistant: the request has to be looked at anew.
    """


def accept(tx: Transaction, request: RunRequest, context: Context) -> Accepted:
    """Decides on a request, and records the run if it is accepted.

    Raises:
        GraphwireError: Any reason of StreamRun that depends on the thread; nothing changed.
        MovedOnError: Something else has run on the thread since it was looked at.
    """
    earlier = started_earlier(tx, context.key)
    if earlier is not None:
        return earlier

    _check_resumable(context.graph)
    interrupts = request.multitask in ("INTERRUPT", "ROLLBACK")
    if interrupts and request.thread_id:
        # Runs before their thread, as where one ends: nobody waits for the other.
        for run in tx.active_runs(request.thread_id):
            tx.run(run.run_id)
    if context.assistant_kept and not tx.keep_assistant(context.assistant_id):
        raise errors.AssistantNotFoundError(
            f"assistant {context.assistant_id!r} has just been deleted",
            resource=("assistant", context.assistant_id),
        )
    thread, new = _thread(tx, request, context)
    # Whoever was asked the same on another server may have had the thread until now.
    earlier = started_earlier(tx, context.key)
    if earlier is not None:
        return earlier
    active = () if new else tx.active_runs(thread.thread_id)
    plan = _check_thread(tx, request, context, thread, active)
    if plan is not None and not request.expired:
        check_in_time((pause for pause, _ in plan.resumed), context.now)
    cancelled: tuple[RunRecord, ...] = ()
    if interrupts and active:
        cancelled = _make_room(tx, active, rollback=request.multitask == "ROLLBACK")
        active = [run for run in cancelled if not run.status.ended]
    goes_on = not isinstance(request.start, InputStart)
    previous = inherited(tx, thread.thread_id) if goes_on else None
    if (previous.key if previous is not None else "") != context.continued_run_id:
        raise MovedOnError
    discards = (
        isinstance(request.start, CommandStart)
        and plan is None
        and thread.status is ThreadStatus.INTERRUPTED
        and not _leaves(request, thread)
    )
    run_id = new_id()
    own = _own_breakpoints(request, previous)
    spec = _spec(request, context, thread, previous, plan, own, discards=discards)
    _check_ids(request, breakpoints_in(spec.defaults))
    _check_inherited(spec, own, context.graph, thread)

    # A resume is never delayed: neither by runs that are queued on its thread, nor by the limit
    # on concurrent runs.
    can_start = context.slot_free and not active and not request.start_delay
    starts_now = plan is not None or can_start
    spec = replace(
        spec,
        first=starts_now and not thread.checkpoint_id,
        waited=thread.status is ThreadStatus.INTERRUPTED,
        chain=_chain(previous) if previous is not None else run_id,
        graph_id=context.graph_id,
        assistant_version=context.assistant_version,
        found=_found(thread, active),
    )
    run = RunRecord(
        run_id=run_id,
        thread_id=thread.thread_id,
        assistant_id=context.assistant_id,
        status=RunStatus.RUNNING if starts_now else RunStatus.PENDING,
        spec=spec.to_json(),
        metadata=jsontext.dumps(spec.metadata),
        create_time=context.now,
        due_time=context.now + request.start_delay,
        start_time=context.now if starts_now else None,
        lease=Lease(context.server_id, 1) if starts_now else None,
        attempt=1 if starts_now else 0,
        last_sequence=1,
        # A resume has nothing to apply: what it approves and answers is recorded here.
        absorbed=spec.kind == "resume" and not _leaves(request, thread),
        resumed_run_id=previous.run_id if previous and plan is not None else "",
        breakpoints=breakpoints_text(own),
        discards=request.discard_pause and plan is None,
    )
    if new:
        busy = replace(thread, status=ThreadStatus.BUSY, assistant_id=context.assistant_id)
        tx.insert_thread(replace(busy, graph_id=context.graph_id))
    else:
        tx.update_thread(
            thread.thread_id,
            now=context.now,
            status=ThreadStatus.BUSY,
            assistant_id=context.assistant_id,
            graph_id=context.graph_id,
        )
        _resolve_pauses(tx, request, context, thread, plan, run)
        if not goes_on:
            _forget_hits(tx, thread.thread_id)
    tx.insert_run(run, [metadata_record(run)])
    if run.resumed_run_id:
        tx.link_resume(run.resumed_run_id, resumed_by_run_id=run.run_id)
    if context.key is not None:
        tx.insert_request(context.key.record(run.run_id, now=context.now))
    return Accepted(run=run, cancelled=cancelled)


def _chain(run: RunRecord | Inheritance) -> str:
    """Returns by what the chain of runs is known to which a run belongs."""
    return RunSpec.from_json(run.spec).chain


def _found(thread: ThreadRecord, active: Sequence[RunRecord]) -> Found:
    """Returns how a run finds its thread, on which others may be active."""
    if active:
        return replace(RunSpec.from_json(active[0].spec).found, error=None)
    return Found(thread.assistant_id, thread.graph_id, thread.error)


def _forget_hits(tx: Transaction, thread_id: str) -> None:
    """Forgets what breakpoints have let pass in chains of runs that nobody can continue.

    Those of runs under way are continued, and that of the last one, if what takes its place is
    rolled back.
    """
    last = inherited(tx, thread_id)
    kept: list[RunRecord | Inheritance] = [*tx.active_runs(thread_id)]
    if last is not None:
        kept.append(last)
    tx.forget_breakpoint_hits(thread_id, keep=sorted({_chain(run) for run in kept}))


def started_earlier(db: Reader, key: RequestKey | None) -> Accepted | None:
    """Returns the run that an earlier call with the same request_id started; None if none did.

    Raises:
        RequestIdReusedError: The earlier call was another request.
        RunNotFoundError: The run was deleted meanwhile.
    """
    earlier = remembered(db, key) if key is not None else None
    if earlier is None:
        return None
    return Accepted(run=run_started_earlier(db, earlier.subject), replayed=True)


def run_started_earlier(db: Reader, run_id: str) -> RunRecord:
    """Returns a run that an earlier call has started. Raises RunNotFoundError."""
    run = db.run(run_id)
    if run is None:
        raise errors.RunNotFoundError(
            f"run {run_id}, which this request_id started, was deleted",
            resource=("run", run_id),
        )
    return run


def thread_not_found(thread_id: str) -> errors.ThreadNotFoundError:
    """Returns the error for a thread that does not exist."""
    return errors.ThreadNotFoundError(
        f"there is no thread {thread_id}", resource=("thread", thread_id)
    )


def thread_exists(thread_id: str) -> errors.ThreadExistsError:
    """Returns the error for the id of a new thread that is taken."""
    return errors.ThreadExistsError(
        f"thread {thread_id} exists already", resource=("thread", thread_id)
    )


def thread_busy(thread_id: str, active: Sequence[RunRecord]) -> errors.ThreadBusyError:
    """Returns the error for a thread that has an active run."""
    run_id = active[0].run_id if active else ""
    doing = f"is busy with run {run_id}; wait for its end, or cancel it"
    return errors.ThreadBusyError(
        f"thread {thread_id} {doing if active else 'is being changed by others; try again'}",
        metadata={"thread_id": thread_id, "run_id": run_id},
        resource=("thread", thread_id),
    )


def check_expected(thread: ThreadRecord, expected_checkpoint_id: str) -> None:
    """Raises CheckpointMismatchError unless the thread is at the expected checkpoint."""
    if expected_checkpoint_id and expected_checkpoint_id != thread.checkpoint_id:
        raise errors.CheckpointMismatchError(
            f"thread {thread.thread_id} is at checkpoint {thread.checkpoint_id or '(none)'}, "
            f"not at {expected_checkpoint_id}",
            metadata={"checkpoint_id": thread.checkpoint_id},
            resource=("thread", thread.thread_id),
        )


def check_assistant(thread: ThreadRecord, assistant_id: str) -> None:
    """Raises AssistantMismatchError if the thread's state belongs to another assistant."""
    if thread.assistant_id and thread.assistant_id != assistant_id:
        raise errors.AssistantMismatchError(
            f"thread {thread.thread_id} belongs to assistant {thread.assistant_id!r}, "
            f"its state does not fit {assistant_id!r}; use another thread",
            metadata={"assistant_id": thread.assistant_id},
            resource=("thread", thread.thread_id),
        )


def check_graph(db: Reader, thread: ThreadRecord, assistant_id: str, graph_id: str) -> None:
    """Raises AssistantMismatchError if the thread's state belongs to another graph.

    Of one graph, any assistant may go on with it.
    """
    there = graph_of_thread(db, thread)
    if there and there != graph_id:
        check_assistant(thread, assistant_id)
        raise errors.AssistantMismatchError(
            f"the state of thread {thread.thread_id} belongs to the graph {there!r}, and assistant "
            f"{assistant_id!r} has come to run {graph_id!r} since; use another thread",
            metadata={"assistant_id": thread.assistant_id},
            resource=("thread", thread.thread_id),
        )


def _thread(tx: Transaction, request: RunRequest, context: Context) -> tuple[ThreadRecord, bool]:
    """Returns the thread to run on, and whether it is a new one, which is not stored yet."""
    if request.thread_id:
        thread = tx.thread(request.thread_id)
        if thread is not None:
            check_graph(tx, thread, context.assistant_id, context.graph_id)
            return thread, False
        if not request.create_thread:
            raise thread_not_found(request.thread_id)
    if request.resume is not None:
        raise errors.NothingToResumeError("a new thread has nothing to resume")
    thread = ThreadRecord(
        thread_id=request.thread_id or new_id(),
        status=ThreadStatus.IDLE,
        metadata="{}",
        create_time=context.now,
        update_time=context.now,
        stateless=not request.thread_id and not request.keep_thread,
    )
    return thread, True


def _are_left(request: RunRequest, active: Sequence[RunRecord]) -> bool:
    """Returns whether there will be a run before it whose state it begins from."""
    match request.multitask:
        case "ROLLBACK":
            return False
        case "INTERRUPT":
            return any(run.status is RunStatus.RUNNING for run in active)
        case _:
            return bool(active)


def _make_room(
    tx: Transaction, active: Sequence[RunRecord], *, rollback: bool
) -> tuple[RunRecord, ...]:
    """Cancels the active runs of a thread: those that are queued end, the other one is asked to.

    Returns them as they are then.
    """
    for run in active:
        runs_now = run.status is RunStatus.RUNNING
        tx.request_cancel(run.run_id, rollback=rollback and runs_now)
        if not runs_now:
            end_run(tx, run, Outcome(RunStatus.CANCELLED), Sealer(run))
    return tuple(found for run in active if (found := tx.run(run.run_id)) is not None)


def _check_resumable(graph: GraphFacts) -> None:
    """Refuses a graph that would stop where nobody can resume it."""
    if graph.unreachable:
        raise errors.UnsupportedBreakpointError(
            f"a breakpoint is compiled into the subgraph {graph.unreachable}, which keeps no "
            "checkpoints (checkpointer=False): a pause there could never be resumed. Compile it "
            "without the breakpoint, or with checkpointer=None",
            metadata={"path": graph.unreachable},
        )


def _leaves(request: RunRequest, thread: ThreadRecord) -> bool:
    """Returns whether the run starts elsewhere than at the thread's head."""
    return bool(request.checkpoint_id) and request.checkpoint_id != thread.checkpoint_id


def _check_thread(
    tx: Transaction,
    request: RunRequest,
    context: Context,
    thread: ThreadRecord,
    active: Sequence[RunRecord],
) -> ResumePlan | None:
    """Checks the request against what the thread is doing; plans its resume if it has one."""
    checkpoint_id = request.checkpoint_id
    if checkpoint_id and tx.checkpoint(thread.thread_id, "", checkpoint_id) is None:
        # It was there a moment ago, and was pruned. With a run that waits, none is.
        raise checkpoint_not_found(thread.thread_id, checkpoint_id)
    resume = request.resume
    if resume is None:
        if thread.status is ThreadStatus.INTERRUPTED and not request.discard_pause:
            raise errors.ThreadInterruptedError(
                f"thread {thread.thread_id} is paused before or in: "
                f"{', '.join(thread.next) or 'its end'}; resume it, or give up what waits with "
                "on_pause = ON_PAUSE_DISCARD",
                metadata={"thread_id": thread.thread_id},
                resource=("thread", thread.thread_id),
            )
        if active and request.multitask == "REJECT":
            raise thread_busy(thread.thread_id, active)
        goes = isinstance(request.start, CommandStart) and bool(request.start.goto)
        if goes and not _are_left(request, active) and not thread.checkpoint_id:
            raise errors.NothingToResumeError(
                f"thread {thread.thread_id} has no state yet, from which to go to a node; start it "
                "with input, or with an update alone",
                resource=("thread", thread.thread_id),
            )
        return None

    past = Past.read(tx, thread.thread_id, active)
    pauses = tx.open_pauses(thread.thread_id)
    if not _leaves(request, thread):
        past.check(resume, pauses)
    # A resume is for what waits now: it never queues behind another run.
    if thread.status is ThreadStatus.BUSY:
        raise thread_busy(thread.thread_id, active)
    check_expected(thread, resume.expected_checkpoint_id)
    where = "resume" if isinstance(request.start, ResumeStart) else "command.resume"
    if _leaves(request, thread):
        answers = resume.answers or resume.answer is not None
        reviews = resume.reviews or resume.review is not None
        if resume.pause_ids or answers or reviews:
            raise errors.InvalidFieldError(
                "a resume from an older checkpoint starts a new branch, where nothing has been "
                "asked yet; leave answers, reviews and pause ids out",
                field=where,
            )
        if not context.graph.next_there:
            raise errors.NothingToResumeError(
                f"checkpoint {request.checkpoint_id} has nothing to go on with: no node waits",
                metadata={"thread_id": thread.thread_id, "checkpoint_id": request.checkpoint_id},
                resource=("thread", thread.thread_id),
            )
        return ResumePlan(resumed=(), answers={})
    _check_unchanged(context.graph.nodes, thread, pauses)
    if pauses:
        return plan_resume(pauses, resume, where, context.graph.places, past)
    plan_resume((), resume, where, past=past)  # refuses answers and ids that can't be open
    if not thread.next:
        raise errors.NothingToResumeError(
            f"thread {thread.thread_id} has nothing to go on with: no pause is open, and no "
            "node waits",
            metadata={"thread_id": thread.thread_id},
            resource=("thread", thread.thread_id),
        )
    return ResumePlan(resumed=(), answers={})


def _check_unchanged(
    nodes: Sequence[str], thread: ThreadRecord, pauses: Sequence[PauseRecord]
) -> None:
    """Refuses to resume where the graph has lost the node that waits.

    LangGraph would find nothing to do, and the answer would be gone.
    """
    # A node that asks comes next, or its handler of errors asks.
    at_root = {
        pause.node
        for pause in pauses
        if not pause.namespace and pause.kind is not PauseKind.INTERRUPT
    }
    lost = sorted({*at_root, *thread.next} - set(nodes)) if nodes else []
    if lost:
        raise _graph_changed(
            f"thread {thread.thread_id} waits in {', '.join(lost)}, which the graph does not have "
            f"any more; it has: {', '.join(nodes)}. Serve the graph with that node, or edit the "
            "thread's state as another one",
            nodes,
            thread,
        )


def _own_breakpoints(request: RunRequest, previous: Inheritance | None) -> tuple[Breakpoint, ...]:
    """Returns the breakpoints of the run itself: those it inherits, and those it brings."""
    inherits = previous is not None and not request.clear_breakpoints
    inherited = breakpoints_in(previous.breakpoints) if previous and inherits else ()
    there = {each.breakpoint_id for each in inherited}
    for index, each in enumerate(request.breakpoints):
        if each.breakpoint_id in there:
            raise errors.InvalidFieldError(
                f"the run before this one has a breakpoint {each.breakpoint_id!r}, which this one "
                "inherits; take another id",
                field=f"breakpoints[{index}].breakpoint_id",
            )
    if len(inherited) + len(request.breakpoints) > MAX_RUN_BREAKPOINTS:
        raise errors.InvalidFieldError(
            f"with those that are inherited, these are more than {MAX_RUN_BREAKPOINTS}",
            field="breakpoints",
        )
    return (*inherited, *request.breakpoints)


def _check_ids(request: RunRequest, defaults: Sequence[Breakpoint]) -> None:
    """Refuses breakpoints with the ids of such as the thread or the assistant has."""
    owners = {each.breakpoint_id: each.source.lower() for each in defaults}
    for index, each in enumerate(request.breakpoints):
        if each.breakpoint_id in owners:
            raise errors.InvalidFieldError(
                f"the {owners[each.breakpoint_id]} has a breakpoint {each.breakpoint_id!r}; "
                "take another id",
                field=f"breakpoints[{index}].breakpoint_id",
            )


def _check_inherited(
    spec: RunSpec, own: Sequence[Breakpoint], graph: GraphFacts, thread: ThreadRecord
) -> None:
    """Refuses to inherit breakpoints at nodes that the graph has lost."""
    nodes = graph.nodes
    set_before = (*own, *breakpoints_in(spec.defaults))
    wanted = {*spec.interrupt_before, *spec.interrupt_after, *(each.node for each in set_before)}
    lost = sorted(n for n in wanted if locate(n, graph.places) is None) if nodes else []
    if lost:
        raise _graph_changed(
            f"the run before this one, the thread or the assistant has breakpoints at "
            f"{', '.join(lost)}, which the graph does not have any more; it has: "
            f"{', '.join(nodes)}. Drop those of the run with clear_breakpoints, and set those "
            "that are meant",
            nodes,
            thread,
        )


def _graph_changed(
    text: str, nodes: Sequence[str], thread: ThreadRecord
) -> errors.GraphChangedError:
    return errors.GraphChangedError(
        text, metadata={"nodes": ", ".join(nodes)}, resource=("thread", thread.thread_id)
    )


def _spec(
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
    inherited = None if request.clear_breakpoints else before
    interrupt_before = _union(
        context.graph.compiled.before,
        inherited.interrupt_before if inherited else (),
        request.interrupt_before,
    )
    interrupt_after = _union(
        context.graph.compiled.after,
        inherited.interrupt_after if inherited else (),
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
        earlier = breakpoints_in(before.defaults)
        assistant_breakpoints = tuple(
            each for each in earlier if each.source is BreakpointSource.ASSISTANT
        )
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
        step=_step(resume.step, plan) if resume is not None and plan is not None else None,
        run_to=resume.run_to if resume is not None else "",
    )
    match request.start:
        case InputStart(value):
            return replace(spec, value=value)
        case ResumeStart():
            return replace(spec, kind="resume")
        case CommandStart(update=update, goto=goto):
            steps = [[node] if given is None else [node, given.value] for node, given in goto]
            return replace(spec, kind="command", value=update.value if update else None, goto=steps)


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


def _resolve_pauses(
    tx: Transaction,
    request: RunRequest,
    context: Context,
    thread: ThreadRecord,
    plan: ResumePlan | None,
    run: RunRecord,
) -> None:
    now = run.create_time
    if plan is not None:
        for pause, answer in plan.resumed:
            tx.resolve_pause(
                pause.pause_id,
                PauseStatus.RESUMED,
                now=now,
                by_run_id=run.run_id,
                answer=answer,
                review=plan.reviews.get(pause.pause_id),
                principal=context.principal,
                answered_by=request.resume.answered_by if request.resume else "",
                expired=request.expired,
            )
    if _leaves(request, thread) or (plan is None and thread.status is ThreadStatus.INTERRUPTED):
        for pause in tx.open_pauses(thread.thread_id):
            tx.resolve_pause(
                pause.pause_id,
                PauseStatus.SUPERSEDED,
                now=now,
                by_run_id=run.run_id,
                principal=context.principal,
            )


def _union(*lists: Sequence[str]) -> list[str]:
    """Adds lists of node names up, in order; `*` covers all others."""
    names = list(dict.fromkeys(name for names in lists for name in names))
    # Not those in subgraphs.
    return ["*", *(name for name in names if "/" in name)] if "*" in names else names
