"""Executes one attempt at a run, from its position to its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import structlog

from graphwire_server.graphs.breakpoints import ALL, Breakpoint, BreakpointSource
from graphwire_server.graphs.doors import DooredGraph, current_doorkeeper
from graphwire_server.graphs.execution import (
    Beginning,
    ExecutionOptions,
    Fresh,
    GoOn,
    RunnableConfig,
    Steer,
    execute,
    run_config,
)
from graphwire_server.graphs.failures import error_text, error_type
from graphwire_server.graphs.gate import Gate, Known
from graphwire_server.graphs.judge import Judge, UnknownPlaceError
from graphwire_server.graphs.langgraph_compat import END_NODE, AnyPregel, failed_task
from graphwire_server.graphs.places import Namespace, path_of
from graphwire_server.graphs.position import (
    Position,
    Waiting,
    position_at_end,
    read_position,
    with_unseen,
)
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.graphs.state import edit_state, fork, thread_config
from graphwire_server.graphs.stops import STOPPED_AFTER, stored_met
from graphwire_server.graphs.stored import stopped_after
from graphwire_server.graphs.tap import Tap, Told
from graphwire_server.graphs.tool_calls import Review, amendment
from graphwire_server.runs.approvals import approvals, given_answers, reviews
from graphwire_server.runs.assistants import graph_of_run
from graphwire_server.runs.events import latest_checkpoints
from graphwire_server.runs.journal import Journal
from graphwire_server.runs.judging import (
    Noted,
    breakpoints_of,
    counting,
    judge_of,
    lost_breakpoints,
    read_noted,
)
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.checkpoints.serde import UnserializableError
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from graphwire_server.storage.checkpoints.sizes import StateTooLargeError
from graphwire_server.storage.interface import (
    LeaseLostError,
    Storage,
    StorageError,
    StorageUnavailable,
    Transaction,
)
from graphwire_server.storage.records import Failure, PauseKind, RunRecord, RunStatus

_log = structlog.get_logger("graphwire.runs")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended.

    Attributes:
        status: The run's final status; None if it is not over, but handed back.
        position: Where the thread stands; None if it can't be read.
        waiting: Why it waits there.
        error: Why it failed; None unless FAILED or TIMED_OUT.
        holds: Whether the thread, if nodes wait there, is held for somebody to look at.
    """

    status: RunStatus | None
    position: Position | None = None
    waiting: tuple[Waiting, ...] = ()
    error: Failure | None = None
    holds: bool = False


@dataclass(frozen=True, slots=True)
class _Start:
    """How an attempt begins: what it knows, and what it gives the engine.

    Attributes:
        position: Where the thread stands; None for new input, to which it does not matter.
        known: What the gate has to know of it.
        beginning: What the engine is started with.
        answers: Those of this run which may still be waited for, by LangGraph's interrupt id.
        given: Those of earlier runs, at the same place.
    """

    position: Position | None
    known: Known
    beginning: Beginning
    answers: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


class RunExecution:
    """One attempt at a run."""

    def __init__(
        self,
        run: RunRecord,
        journal: Journal,
        *,
        registry: GraphRegistry,
        storage: Storage,
        max_seconds: float,
    ) -> None:
        """Prepares the execution of a RUNNING run; `max_seconds` of 0 is no limit."""
        self._run = run
        self._spec = RunSpec.from_json(run.spec)
        self._journal = journal
        self._registry = registry
        self._storage = storage
        self._max_seconds = max_seconds or None
        self._draining = False
        self._judge: Judge | None = None
        self._task: asyncio.Task[Any] | None = None

    def close(self) -> None:
        """Lets nothing more begin: the run stops where its tasks under way have ended."""
        self._draining = True

    async def outcome(self) -> Outcome:
        """Executes the run.

        What a graph raises is an outcome.

        Raises:
            CancelledError: The run was stopped from outside.
            LeaseLostError: Somebody else has it now.
            StorageUnavailable: The database can't be used at present.
        """
        self._task = asyncio.current_task()
        try:
            async with asyncio.timeout(self._max_seconds) as limit:
                return await self._execute()
        except TimeoutError as error:
            if not limit.expired():
                return self._failed(error)
            text = f"the run took longer than {self._max_seconds:g} s, the server's limit"
            return Outcome(RunStatus.TIMED_OUT, error=Failure("RunTimeout", text))

    def _failed(
        self,
        error: BaseException,
        seen: tuple[str, Namespace] = ("", ()),
        writer: tuple[str, Namespace] | None = None,
    ) -> Outcome:
        """Returns the outcome for what the graph raised, and writes its trace to the log."""
        failure = _failure(error, seen, writer)
        _log.warning("graph_raised", run_id=self._run.run_id, node=failure.node, exc_info=error)
        return Outcome(RunStatus.FAILED, error=failure)

    async def _execute(self) -> Outcome:
        loaded = self._registry.get(graph_of_run(self._run, self._spec))
        if loaded is None:
            text = f"the server has no assistant {self._run.assistant_id!r} any more"
            return Outcome(RunStatus.FAILED, error=Failure("AssistantNotFound", text))
        config = _config(self._run, self._spec)
        try:
            async with loaded.open("threads.create_run", config, self._spec.context) as graph:
                return await self._execute_graph(loaded.doored(graph))
        except (asyncio.CancelledError, LeaseLostError, StorageUnavailable):
            raise
        except BaseException as error:  # noqa: BLE001  # whatever a graph or its factory raises
            return self._failed(error)

    async def _execute_graph(self, doored: DooredGraph) -> Outcome:
        graph = doored.graph
        unknown = lost_breakpoints(doored.places, self._spec, self._run.breakpoints)
        if unknown:
            # A graph may have changed since the run was accepted. Fail closed.
            text = f"breakpoints at {', '.join(unknown)}: the graph has no such node"
            return Outcome(RunStatus.FAILED, error=Failure("UnknownNode", text))
        if await self._has_lost_its_checkpoint():
            text = (
                f"checkpoint {self._spec.checkpoint_id}, from which the run was to start, is not "
                "there any more: it was pruned, or went with a run that was rolled back"
            )
            return Outcome(RunStatus.FAILED, error=Failure("CheckpointNotFound", text))
        start = await self._start(graph)
        position = start.position
        if isinstance(start.beginning, Steer) and position and not position.checkpoint_id:
            text = "the thread has no state yet, from which to go to a node"
            return Outcome(RunStatus.FAILED, position, error=Failure("NothingToSteer", text))
        judge = await self._make_judge(doored, position)
        if position is not None and isinstance(start.beginning, GoOn):
            waiting = position.stuck(judge, start.known, start.answers)
            if waiting:
                position.count(judge, start.known)
                return Outcome(RunStatus.INTERRUPTED, position, waiting)
        gate, tap = self._connect(doored, judge, start, await self._told(start))
        outcome = await self._run_engine(graph, start, gate, tap)
        if outcome is not None:
            return outcome
        return await self._where_it_stopped(graph, judge, start, gate, tap)

    async def _has_lost_its_checkpoint(self) -> bool:
        """Returns whether that is gone from which it is to begin: LangGraph would take it for one
        without a state."""
        thread_id, checkpoint_id = self._run.thread_id, self._spec.checkpoint_id
        if not checkpoint_id or self._run.absorbed:
            return False
        there = await self._storage.read(
            lambda db: db.checkpoint(thread_id, "", checkpoint_id), short=True
        )
        return there is None

    async def _make_judge(self, doored: DooredGraph, position: Position | None) -> Judge:
        run, spec = self._run, self._spec
        noted = Noted()
        if position is not None or run.attempt > 1:
            noted = await self._storage.read(lambda db: read_noted(db, run, spec), short=True)
        judge = judge_of(noted, doored.places, run, spec, position)
        judge.count_hits(counting(spec, self._journal.count_hit))
        self._judge = judge
        if self._run is not run:
            self._steer_judge(judge)  # meanwhile
        return judge

    def steer(self, run: RunRecord) -> None:
        """Takes in what was said of the run since it began: its breakpoints, whether it pauses.

        What comes late is left out: it is known already.
        """
        if run.steering <= self._run.steering:
            return
        self._run = replace(
            self._run,
            steering=run.steering,
            breakpoints=run.breakpoints,
            pause_requested=run.pause_requested,
        )
        if self._judge is not None:
            self._steer_judge(self._judge)

    def _steer_judge(self, judge: Judge) -> None:
        judge.pausing = self._run.pause_requested
        try:
            judge.set(breakpoints_of(self._spec, self._run.breakpoints))
        except UnknownPlaceError as error:
            # The server that took it has another version of the graph. Fail closed.
            _log.warning("breakpoint_nowhere", run_id=self._run.run_id, node=str(error))
            judge.pausing = True

    async def _told(self, start: _Start) -> Told | None:
        """Returns what a further attempt must not tell again; None if there is nothing."""
        run, position = self._run, start.position
        if run.attempt == 1 or not run.absorbed or position is None:
            return None
        checkpoints: frozenset[str] = frozenset()
        if "checkpoints" in _engine_modes(self._spec.stream_modes):
            checkpoints = await self._storage.read(lambda db: latest_checkpoints(db, run))
        return Told(position.finished_nodes(), checkpoints)

    def _connect(
        self, doored: DooredGraph, judge: Judge, start: _Start, told: Told | None
    ) -> tuple[Gate, Tap]:
        """Puts together what listens to the engine, and what it asks."""
        spec = self._spec
        tap = Tap(
            self._journal,
            modes=_engine_modes(spec.stream_modes),
            subgraphs=spec.stream_subgraphs,
            told=told,
        )
        gate = Gate(
            judge,
            doored.places,
            start.known,
            durable=self._durable(),
            begin=tap.begin,
            closed=lambda: self._draining or self._is_cancelled(),
            cancelled=self._is_cancelled,
        )
        tap.connect(gate)
        gated = {
            path
            for path, place in doored.places.items()
            if place.has_doors and place.keeps_checkpoints
        }
        self._journal.connect(
            gated=lambda namespace: spec.durability != "EXIT" and path_of(namespace) in gated,
            absorbs_writes=spec.kind == "command",
            waits=spec.durability == "SYNC",
            fresh=spec.first and self._run.attempt == 1,
            amend=amendment(start.known.reviews),
        )
        return gate, tap

    async def _run_engine(
        self, graph: AnyPregel, start: _Start, gate: Gate, tap: Tap
    ) -> Outcome | None:
        """Runs the graph; returns an outcome only if it raised."""
        at_checkpoint = isinstance(start.beginning, Fresh)
        options = ExecutionOptions(
            config=_config(self._run, self._spec, at_checkpoint=at_checkpoint),
            context=self._spec.context,
            durability=cast(Literal["sync", "async", "exit"], self._spec.durability.lower()),
        )
        sink = current_sink.set(self._journal)
        keeper = current_doorkeeper.set(gate)
        try:
            await execute(graph, start.beginning, options, tap)
            if self._is_cancelled():
                raise asyncio.CancelledError  # a node has swallowed it
        except (asyncio.CancelledError, LeaseLostError, StorageUnavailable):
            raise
        except BaseException as error:  # noqa: BLE001  # the graph's own
            # Where that leaves the thread is read later: it may be what can't be read.
            if isinstance(error, UnserializableError | StateTooLargeError):
                return self._failed(error, tap.failed, writer=await self._writer(graph))
            return self._failed(error, tap.failed)
        finally:
            current_doorkeeper.reset(keeper)
            current_sink.reset(sink)
        return None

    async def _writer(self, graph: AnyPregel) -> tuple[str, Namespace] | None:
        """Returns the node that wrote what can't be kept, if one did.

        The engine finds out when the node has ended, and knows of the channel alone.
        """
        task_id = self._journal.refused_task
        if not task_id:
            return None
        try:
            position = await read_position(graph, thread_config(self._run.thread_id))
        except Exception:  # noqa: BLE001  # the run fails anyway
            return None
        tasks = (standing.task for standing in position.tasks)
        return next(((t.node, t.namespace) for t in tasks if t.task_id == task_id), None)

    async def _where_it_stopped(
        self,
        graph: AnyPregel,
        judge: Judge,
        start: _Start,
        gate: Gate,
        tap: Tap,
    ) -> Outcome:
        head = self._journal.head
        if head is not None and not tap.paused and not gate.stands_after():
            at_end = position_at_end(graph, head)
            if at_end is not None:
                return Outcome(RunStatus.SUCCEEDED, at_end)
        await self._journal.durable()
        position = await read_position(graph, thread_config(self._run.thread_id))
        position = position.answered((start.given.keys() | start.answers.keys()) - tap.asked.keys())
        approved = await self._approved(position)
        waiting = position.waiting(judge, approved)
        if tap.paused and self._draining:
            # The gate was closed: whether the run would have stopped here anyway, the position
            # says. An answer that no task has taken yet goes on with the run.
            answers = position.unanswered(self._spec.answers)
            if not position.stuck(judge, position.known(approved, answers), answers):
                return Outcome(None)
        if tap.paused:
            waiting = with_unseen(position, waiting, gate.held, tap.asked)
            if not waiting:
                return Outcome(RunStatus.FAILED, position, error=_unresumable(position))
            # A gate that was closed has asked nobody.
            position.count(judge, position.known(approved, {}))
            return Outcome(RunStatus.INTERRUPTED, position, waiting)
        after = tuple(w for w in waiting if w.kind is PauseKind.BREAKPOINT_AFTER)
        if after:
            return Outcome(RunStatus.INTERRUPTED, position, after)
        return Outcome(RunStatus.SUCCEEDED, position)

    async def _start(self, graph: AnyPregel) -> _Start:
        """Reads the position, and decides how to begin, or to go on.

        What the run was started with is applied once: not again after the commit that has it.
        """
        spec, absorbed = self._spec, self._run.absorbed
        verb = _verb(spec)
        if isinstance(verb, Fresh) and not absorbed:
            return _Start(None, Known(), verb)
        position = await read_position(graph, thread_config(self._run.thread_id))
        if not absorbed and await self._move(graph, position):
            position = await read_position(graph, thread_config(self._run.thread_id))
        given = await self._given(position)
        position = position.answered(given.keys() - spec.answers.keys())
        answers = position.unanswered(spec.answers)
        known = position.known(await self._approved(position), answers)
        known = replace(known, reviews=await self._reviews(position))
        # A graph that starts anew needs the earlier ones too. What waits, waits for a new one.
        open_ids = {question.interrupt_id for question in position.questions()}
        taken = {key: answer for key, answer in given.items() if key not in open_ids} | answers
        if isinstance(verb, Steer) and not absorbed:
            if not position.checkpoint_id and not verb.goto:
                # LangGraph would take the command for input as well, and apply it twice.
                return _Start(None, Known(), Fresh(verb.update))
            return _Start(position, known, Steer(verb.update, verb.goto, taken), answers, given)
        return _Start(position, known, GoOn(taken), answers, given)

    async def _move(self, graph: AnyPregel, head: Position) -> bool:
        """Puts the thread where the run is to go on from; returns whether that is elsewhere.

        From an older checkpoint it goes on from a copy, so that what it passes there is decided
        anew.
        """
        spec, thread_id, run = self._spec, self._run.thread_id, self._run
        forks = spec.branches or (
            bool(spec.checkpoint_id) and spec.checkpoint_id != head.checkpoint_id
        )
        batch = EditBatch(await self._stops_to_copy(graph) if forks else None)
        sink = current_sink.set(batch)
        try:
            if forks:
                await fork(graph, thread_id, spec.checkpoint_id)
            elif spec.discards and (head.next or head.stopped_after):
                await edit_state(graph, thread_id, None, as_node=END_NODE)
            else:
                return False
        finally:
            current_sink.reset(sink)

        def keep(tx: Transaction) -> None:
            assert run.lease is not None
            # All that a resume does from here on is to go on.
            tx.hold(run.run_id, run.lease, absorbs=spec.kind == "resume")
            batch.apply(tx, run_id=run.run_id)

        await self._storage.write(keep)
        return True

    async def _stops_to_copy(self, graph: AnyPregel) -> dict[str, dict[str, str]]:
        """Returns what the copy of a checkpoint says of breakpoints after the nodes before it."""
        spec = self._spec
        config = thread_config(self._run.thread_id, spec.checkpoint_id)
        there = tuple(breakpoints_of(spec, self._run.breakpoints))
        met = {
            node: still
            for node, found in (await stopped_after(graph, config)).items()
            if (still := tuple(each for each in found if _is_in_force(each.breakpoint, there)))
        }
        return {STOPPED_AFTER: stored_met(met)} if met else {}

    async def _approved(self, position: Position) -> frozenset[str]:
        ids, thread_id, head = position.approvable(), self._run.thread_id, position.checkpoint_id
        if not ids:
            return frozenset()
        return await self._storage.read(
            lambda db: approvals(db, thread_id, ids, head=head), short=True
        )

    async def _reviews(self, position: Position) -> dict[str, Review]:
        """Returns what was decided about the tool calls of the tasks at the position."""
        ids, thread_id = [standing.task.task_id for standing in position.tasks], self._run.thread_id
        if not ids:
            return {}
        return await self._storage.read(lambda db: reviews(db, thread_id, ids), short=True)

    async def _given(self, position: Position) -> dict[str, Any]:
        """Returns the answers that earlier runs were given where the thread stands."""
        if not position.noted and not any(each.questions for each in position.tasks):
            return {}
        thread_id, head = self._run.thread_id, position.checkpoint_id
        return await self._storage.read(
            lambda db: given_answers(db, thread_id, head=head), short=True
        )

    def _is_cancelled(self) -> bool:
        """Returns whether the run is being stopped, also where a node has swallowed that."""
        return self._task is not None and self._task.cancelling() > 0

    def _durable(self) -> Callable[[], Awaitable[None]]:
        """Returns what a task waits for before it begins."""
        return self._journal.durable if self._spec.durability == "SYNC" else _at_once


async def position_of(registry: GraphRegistry, run: RunRecord) -> Position | None:
    """Returns where a run that was stopped from outside has left its thread.

    None if the state can't be read, as when the graph is gone.
    """
    try:
        spec = RunSpec.from_json(run.spec)
        loaded = registry.get(graph_of_run(run, spec))
        if loaded is None:
            return None
        config = _config(run, spec)
        async with loaded.open("threads.read", config) as graph:
            return await read_position(graph, thread_config(run.thread_id))
    except Exception:  # noqa: BLE001  # the run's own end must be recorded in any case
        _log.exception("state_unreadable", run_id=run.run_id, thread_id=run.thread_id)
        return None


def _is_in_force(met: Breakpoint, there: Collection[Breakpoint]) -> bool:
    """Returns whether a breakpoint of the root that a checkpoint tells of still holds."""
    if met.source is BreakpointSource.COMPILED:
        return True
    if met.breakpoint_id:
        return any(
            each.breakpoint_id == met.breakpoint_id and each.source is met.source for each in there
        )
    # A plain name may have become one of all nodes.
    return any(
        each.after and not each.breakpoint_id and each.node in (met.node, ALL) for each in there
    )


async def _at_once() -> None:
    """With a weaker durability, tasks begin before what they build on is on the disk."""


def _config(run: RunRecord, spec: RunSpec, *, at_checkpoint: bool = False) -> RunnableConfig:
    return run_config(
        run_id=run.run_id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        graph_id=graph_of_run(run, spec),
        checkpoint_id=spec.checkpoint_id if at_checkpoint else "",
        recursion_limit=spec.recursion_limit,
        tags=spec.tags,
        configurable=spec.configurable,
        context=spec.context,
        metadata=spec.metadata,
        user=spec.user,
    )


def _verb(spec: RunSpec) -> Beginning:
    match spec.kind:
        case "input":
            return Fresh(spec.value)
        case "resume":
            return GoOn(spec.answers)
        case "command":
            goto = [(step[0], step[1] if len(step) > 1 else None) for step in spec.goto]
            if spec.value is None and not goto:
                return GoOn(spec.answers)  # LangGraph fails for a command with nothing in it
            return Steer(spec.value, goto, spec.answers)


def _engine_modes(modes: list[str]) -> frozenset[str]:
    wanted = {mode.lower() for mode in modes}
    if "debug" in wanted:
        wanted = (wanted - {"debug"}) | {"tasks", "checkpoints"}
    return frozenset(wanted)


def _unresumable(position: Position) -> Failure:
    """Returns the failure of a graph that says that it waits, of which nobody can say for what.

    Whoever resumed it would have it stop there again.
    """
    unfinished = [each for each in position.tasks if not each.finished]
    standing = next((each for each in unfinished if not each.inside), *unfinished[:1])
    task = standing.task
    text = (
        f"a graph that the code of node {task.node!r} runs has stopped where it can't be resumed: "
        "it keeps no checkpoints, so each resume would start it anew and it would stop again. "
        "Compile it without checkpointer=False, or without its breakpoints"
    )
    return Failure("UnresumablePause", text, task.node, task.namespace)


def _failure(
    error: BaseException, seen: tuple[str, Namespace], writer: tuple[str, Namespace] | None
) -> Failure:
    """Returns what an exception says.

    Args:
        error: The exception; it may name the task that raised it.
        seen: The task that was seen to fail.
        writer: The task that is known to be the cause.
    """
    node, namespace = failed_task(error)
    if writer is not None or not node:
        node, namespace = writer or seen
    kind = "StateTooLarge" if isinstance(error, StateTooLargeError) else error_type(error)
    if isinstance(error, StorageError) and error.names_database:
        text = "the database can't be used; the server's log says why"
        return Failure(kind, text, node, namespace)
    return Failure(kind, error_text(error), node, namespace)
