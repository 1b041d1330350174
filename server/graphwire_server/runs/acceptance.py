"""Accepts a run: everything that is decided when a request arrives, in one transaction.

Whoever comes second finds what the first one changed, so of two answers to one pause, or
two inputs to one thread, exactly one is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphwire import errors

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import (
    breakpoints_in,
    breakpoints_text,
)
from graphwire_server.graphs.state import checkpoint_not_found
from graphwire_server.runs.adding_up import (
    Context,
    GraphFacts,
    add_up,
    chain_of,
    check_ids,
    check_inherited,
    graph_changed,
    own_breakpoints,
)
from graphwire_server.runs.answered import Past, check_in_time
from graphwire_server.runs.clock import new_id
from graphwire_server.runs.ending import end_run
from graphwire_server.runs.event_log import check_access
from graphwire_server.runs.events import Sealer, metadata_record
from graphwire_server.runs.execution import Outcome
from graphwire_server.runs.idempotency import RequestKey, remembered
from graphwire_server.runs.inheritance import inherited, inherited_at
from graphwire_server.runs.refusals import (
    at_work,
    busy_for_answers,
    check_expected,
    check_graph,
    nothing_to_resume,
    taken_in_batch,
    thread_busy,
    thread_not_found,
)
from graphwire_server.runs.request import (
    CommandStart,
    Found,
    InputStart,
    ResumeStart,
    RunRequest,
    RunSpec,
)
from graphwire_server.runs.resume import MovedOnError, ResumePlan, plan_resume
from graphwire_server.storage.access import Access
from graphwire_server.storage.checkpoints.records import CheckpointRecord
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of a request.

    Attributes:
        run: The run.
        replayed: Whether it was started by an earlier call with the same request_id.
        cancelled: The runs that were to make room for it, with cancel_requested set.
        unseen: Whether its thread, which was made for it, is none that the caller's access admits:
            a project's rules for starting runs may ask for more than is put on new threads.
    """

    run: RunRecord
    replayed: bool = False
    cancelled: tuple[RunRecord, ...] = ()
    unseen: bool = False


def accept(tx: Transaction, request: RunRequest, context: Context) -> Accepted:
    """Decides on a request, and records the run if it is accepted.

    Raises:
        GraphwireError: Any reason of StreamRun that depends on the thread; nothing changed.
        MovedOnError: Something else has run on the thread since it was looked at.
    """
    access = context.caller.access
    earlier = started_earlier(tx, context.key, access)
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
    earlier = started_earlier(tx, context.key, access)
    if earlier is not None:
        return earlier
    active = () if new else tx.active_runs(thread.thread_id)
    if not new and not (interrupts and _is_only_queued_for(thread, active)):
        check_graph(tx, thread, context.assistant_id, context.graph_id)
    plan = _check_thread(tx, request, context, thread, active)
    if plan is not None and not request.expired:
        check_in_time((pause for pause, _ in plan.resumed), context.now)
    cancelled: tuple[RunRecord, ...] = ()
    if interrupts and active:
        cancelled = _make_room(tx, active, rollback=request.multitask == "ROLLBACK")
        active = [run for run in cancelled if not run.status.ended]
        thread = _of_those_left(tx, thread)
    goes_on = not isinstance(request.start, InputStart)
    previous = inherited_at(tx, thread, request.checkpoint_id) if goes_on else None
    last = previous.key if previous is not None else ""
    if last != context.continued_run_id:
        if last in context.batch:
            raise taken_in_batch(thread.thread_id, context.batch[last], waits=False)
        raise MovedOnError(thread.thread_id)
    # What is stopped to make room is not gone on with, either.
    stops = request.multitask == "INTERRUPT" and any(not run.status.ended for run in cancelled)
    discards = (
        isinstance(request.start, CommandStart)
        and plan is None
        and (thread.status is ThreadStatus.INTERRUPTED or stops)
        and not _leaves(request, thread)
    )
    run_id = new_id()
    own = own_breakpoints(request, previous)
    spec = add_up(request, context, thread, previous, plan, own, discards=discards)
    check_ids(request, breakpoints_in(spec.defaults))
    check_inherited(spec, own, context.graph, thread)

    # A resume is never delayed: neither by runs that are queued on its thread, nor by the limit
    # on concurrent runs.
    can_start = context.slot_free and not active and not request.start_delay
    starts_now = plan is not None or can_start
    from_before = () if starts_now else own[: len(own) - len(request.breakpoints)]
    if not starts_now:
        context.let_in()
    spec = replace(
        spec,
        from_before=breakpoints_text(from_before),
        first=starts_now and not thread.checkpoint_id,
        waited=thread.status is ThreadStatus.INTERRUPTED,
        chain=chain_of(previous) if previous is not None else run_id,
        graph_id=context.graph_id,
        assistant_version=context.assistant_version,
        found=_found(thread, active),
        branches=plan is not None and _leaves(request, thread),
        origin=dict(context.origin),
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
        principal=context.caller.principal,
    )
    if new:
        busy = replace(thread, status=ThreadStatus.BUSY, assistant_id=context.assistant_id)
        tx.insert_thread(replace(busy, graph_id=context.graph_id))
    else:
        # What is queued changes nothing about whose the thread is, unless it is nobody's yet.
        becomes = starts_now or not thread.assistant_id
        tx.update_thread(
            thread.thread_id,
            now=context.now,
            status=ThreadStatus.BUSY,
            assistant_id=context.assistant_id if becomes else None,
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
    unseen = not access.admits(thread.owner, thread.metadata)
    return Accepted(run=run, cancelled=cancelled, unseen=unseen)


def _is_only_queued_for(thread: ThreadRecord, active: Sequence[RunRecord]) -> bool:
    """Returns whether a thread is of its assistant for nothing but runs that are queued."""
    queued = bool(active) and all(run.status is RunStatus.PENDING for run in active)
    kept = thread.checkpoint_id or thread.breakpoints != "[]"
    return queued and not kept and not RunSpec.from_json(active[0].spec).found.assistant_id


def _of_those_left(tx: Transaction, thread: ThreadRecord) -> ThreadRecord:
    """Returns a thread as it was, but for whose it is now that runs of it have ended."""
    now_there = tx.thread(thread.thread_id)
    assert now_there is not None
    return replace(thread, assistant_id=now_there.assistant_id, graph_id=now_there.graph_id)


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
    tx.forget_breakpoint_hits(thread_id, keep=sorted({chain_of(run) for run in kept}))


def started_earlier(db: Reader, key: RequestKey | None, access: Access) -> Accepted | None:
    """Returns the run that an earlier call with the same request_id started; None if none did.

    Raises:
        RequestIdReusedError: The earlier call was another request.
        RunNotFoundError: The run was deleted meanwhile, or is not to be seen any more.
    """
    earlier = remembered(db, key) if key is not None else None
    if earlier is None:
        return None
    return Accepted(run=run_started_earlier(db, earlier.subject, access), replayed=True)


def run_started_earlier(db: Reader, run_id: str, access: Access) -> RunRecord:
    """Returns a run that an earlier call has started. Raises RunNotFoundError."""
    run = db.run(run_id)
    if run is None:
        raise errors.RunNotFoundError(
            f"run {run_id}, which this request_id started, was deleted",
            resource=("run", run_id),
        )
    check_access(db, access, run_id)
    return run


def _thread(tx: Transaction, request: RunRequest, context: Context) -> tuple[ThreadRecord, bool]:
    """Returns the thread to run on, and whether it is a new one, which is not stored yet."""
    if request.thread_id:
        thread = tx.thread(request.thread_id)
        if thread is not None:
            if not context.caller.access.admits(thread.owner, thread.metadata):
                raise thread_not_found(request.thread_id)
            return thread, False
        if not request.create_thread:
            raise thread_not_found(request.thread_id)
    if request.resume is not None:
        raise errors.NothingToResumeError("a new thread has nothing to resume")
    thread = ThreadRecord(
        thread_id=request.thread_id or new_id(),
        status=ThreadStatus.IDLE,
        metadata=jsontext.dumps(context.caller.thread_metadata),
        create_time=context.now,
        update_time=context.now,
        stateless=not request.thread_id and not request.keep_thread,
        owner=context.caller.owner,
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
    """Returns whether the run makes a branch, and does not go on where the thread stands.

    So does a resume that names the checkpoint at which the thread is paused, and nothing of what
    waits there: whoever goes back to a checkpoint has approved nothing of it.
    """
    if request.checkpoint_id != thread.checkpoint_id:
        return bool(request.checkpoint_id)
    resume = request.resume
    if not request.checkpoint_id or resume is None:
        return False
    return thread.status is ThreadStatus.INTERRUPTED and not _says(resume) and not resume.pause_ids


def _says(resume: ResumeStart) -> bool:
    """Returns whether a resume has answers or reviews."""
    return bool(
        resume.answers or resume.answer is not None or resume.reviews or resume.review is not None
    )


def _check_thread(
    tx: Transaction,
    request: RunRequest,
    context: Context,
    thread: ThreadRecord,
    active: Sequence[RunRecord],
) -> ResumePlan | None:
    """Checks the request against what the thread is doing; plans its resume if it has one."""
    checkpoint_id = request.checkpoint_id
    made = tx.checkpoint(thread.thread_id, "", checkpoint_id) if checkpoint_id else None
    if checkpoint_id and made is None:
        # It was there a moment ago, and was pruned. With a run that waits, none is.
        raise checkpoint_not_found(thread.thread_id, checkpoint_id)
    if made is not None and request.multitask == "ROLLBACK":
        _check_outlives(made, active)
    resume = request.resume
    before = context.batch.get(at_work(active))
    if before is not None and (resume is not None or request.multitask == "REJECT"):
        # What the earlier one has resolved is as good as open, and nobody has resolved it.
        waits = isinstance(request.start, InputStart)
        raise taken_in_batch(thread.thread_id, before, waits=waits)
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
        stands = resume.expected_checkpoint_id == thread.checkpoint_id
        goes_on = thread.status is not ThreadStatus.BUSY and stands and bool(pauses or thread.next)
        past.check_seen(resume, pauses, goes_on=goes_on)
    # A resume is for what waits now: it never queues behind another run.
    if thread.status is ThreadStatus.BUSY:
        raise busy_for_answers(thread.thread_id, active, past)
    check_expected(thread, resume.expected_checkpoint_id, past)
    where = "resume" if isinstance(request.start, ResumeStart) else "command.resume"
    if _leaves(request, thread):
        if resume.pause_ids or _says(resume):
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
        return plan_resume(
            pauses,
            resume,
            where,
            context.graph.places,
            past,
            beside=thread.next,
            checked=context.checked,
        )
    plan_resume((), resume, where, past=past)  # refuses answers and ids that can't be open
    if not thread.next:
        raise nothing_to_resume(thread.thread_id, past)
    return ResumePlan(resumed=(), answers={})


def _check_outlives(made: CheckpointRecord, active: Sequence[RunRecord]) -> None:
    """Refuses to start from a checkpoint that goes with the run that is rolled back for that."""
    if any(made.run_id == run.run_id for run in active):
        raise errors.CheckpointNotFoundError(
            f"checkpoint {made.checkpoint_id} was made by run {made.run_id}, which is rolled back "
            "for this one, and goes with it; name one that was there before",
            resource=("checkpoint", made.checkpoint_id),
        )


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
        raise graph_changed(
            f"thread {thread.thread_id} waits in {', '.join(lost)}, which the graph does not have "
            f"any more; it has: {', '.join(nodes)}. Serve the graph with that node, or edit the "
            "thread's state as another one",
            nodes,
            thread,
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
                principal=context.caller.principal,
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
                principal=context.caller.principal,
            )
