"""Executes one accepted run, from its first event to its outcome."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, cast

import structlog

from graphwire_server.graphs.execution import (
    Beginning,
    Execution,
    ExecutionOptions,
    Fresh,
    GoOn,
    RunnableConfig,
    Steer,
    run_config,
)
from graphwire_server.graphs.failures import error_text, error_type
from graphwire_server.graphs.langgraph_compat import END_NODE, AnyPregel, failed_task, node_names
from graphwire_server.graphs.position import (
    Breakpoints,
    Namespace,
    Position,
    Waiting,
    read_position,
)
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.graphs.state import edit_state, fork, thread_config
from graphwire_server.graphs.translate import Translator
from graphwire_server.runs.event_log import RunRecorder
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import (
    Failure,
    PauseKind,
    PauseStatus,
    RunRecord,
    RunStatus,
)

_log = structlog.get_logger("graphwire.runs")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended.

    Attributes:
        status: The run's final status.
        position: Where the thread stands; None if it can't be read.
        error: Why it failed; None unless FAILED or TIMED_OUT.
    """

    status: RunStatus
    position: Position | None = None
    error: Failure | None = None


class RunExecution:
    """The execution of one run."""

    def __init__(
        self,
        run: RunRecord,
        recorder: RunRecorder,
        *,
        registry: GraphRegistry,
        storage: Storage,
        max_seconds: float,
    ) -> None:
        """Prepares the execution of a RUNNING run; `max_seconds` of 0 is no limit."""
        self._run = run
        self._spec = RunSpec.from_json(run.spec)
        self._recorder = recorder
        self._registry = registry
        self._storage = storage
        self._max_seconds = max_seconds or None

    async def outcome(self) -> Outcome:
        """Executes the run. Raises CancelledError when it is cancelled, and nothing else
        but StorageError: what a graph raises is an outcome."""
        try:
            async with asyncio.timeout(self._max_seconds) as limit:
                return await self._execute()
        except TimeoutError as error:
            if not limit.expired():
                return self._failed(error)
            text = f"the run took longer than {self._max_seconds:g} s, the server's limit"
            return Outcome(RunStatus.TIMED_OUT, error=Failure("RunTimeout", text))

    def _failed(self, error: BaseException, seen: tuple[str, Namespace] = ("", ())) -> Outcome:
        """Returns the outcome for what the graph raised, and writes its trace to the log."""
        failure = _failure(error, seen)
        _log.warning("graph_raised", run_id=self._run.run_id, node=failure.node, exc_info=error)
        return Outcome(RunStatus.FAILED, error=failure)

    async def _execute(self) -> Outcome:
        loaded = self._registry.get(self._run.assistant_id)
        if loaded is None:
            text = f"the server has no assistant {self._run.assistant_id!r} any more"
            return Outcome(RunStatus.FAILED, error=Failure("AssistantNotFound", text))
        config = _config(self._run, self._spec)
        try:
            async with loaded.open("threads.create_run", config, self._spec.context) as graph:
                return await self._execute_graph(graph)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever a graph or its factory raises
            return self._failed(error)

    async def _execute_graph(self, graph: AnyPregel) -> Outcome:
        spec, thread_id = self._spec, self._run.thread_id
        breakpoints = Breakpoints(tuple(spec.interrupt_before), tuple(spec.interrupt_after))
        unknown = sorted({*breakpoints.before, *breakpoints.after} - {"*", *node_names(graph)})
        if unknown:
            # A graph may have changed since the run was accepted. Fail closed.
            text = f"breakpoints at {', '.join(unknown)}: the graph has no such node"
            return Outcome(RunStatus.FAILED, error=Failure("UnknownNode", text))
        beginning = _beginning(spec)
        if not isinstance(beginning, Fresh):
            head = await self._starting_position(graph, breakpoints)
            unapproved = await self._unapproved(head)
            if unapproved and isinstance(beginning, GoOn):
                return Outcome(RunStatus.INTERRUPTED, head)
            if unapproved:
                # Found when the command was accepted, unless it waited for other runs since.
                nodes = ", ".join(w.node for w in unapproved)
                text = f"the command would run {nodes} past the breakpoint before it"
                failure = Failure("GotoPastBreakpoint", text)
                return Outcome(RunStatus.FAILED, _questions_only(head), failure)
        execution = Execution(
            graph,
            beginning,
            ExecutionOptions(
                config=_config(self._run, spec, at_checkpoint=isinstance(beginning, Fresh)),
                context=spec.context,
                breakpoints=breakpoints,
                stream_modes=_engine_modes(spec.stream_modes),
                subgraphs=spec.stream_subgraphs,
                durability=cast(Literal["sync", "async", "exit"], spec.durability.lower()),
            ),
        )
        translator = Translator()
        try:
            async with aclosing(execution.parts()) as parts:
                async for part in parts:
                    for event in translator.events(part):
                        self._recorder.append(event)
                    _stop_if_cancelled()
                    await self._recorder.keep_pace()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # the graph's own
            # Where that leaves the thread is read later: it may be what can't be read.
            return self._failed(error, execution.failed)
        position = await read_position(
            graph, thread_config(thread_id), breakpoints, execution.steps
        )
        if not execution.paused:
            return Outcome(RunStatus.SUCCEEDED, _with_waiting(position, ()))
        return Outcome(RunStatus.INTERRUPTED, _with_waiting(position, _why(position, execution)))

    async def _starting_position(self, graph: AnyPregel, breakpoints: Breakpoints) -> Position:
        """Puts the thread where the run is to go on from, and returns where it stands then.

        From an older checkpoint it goes on from a copy, so that what it passes there is decided
        anew.
        """
        spec, thread_id = self._spec, self._run.thread_id
        head = await read_position(graph, thread_config(thread_id), breakpoints)
        if spec.checkpoint_id and spec.checkpoint_id != head.checkpoint_id:
            await fork(graph, thread_id, spec.checkpoint_id)
        elif spec.discards and head.next:
            await edit_state(graph, thread_id, None, as_node=END_NODE)
        else:
            return head
        return await read_position(graph, thread_config(thread_id), breakpoints)

    async def _unapproved(self, head: Position) -> tuple[Waiting, ...]:
        """Returns the breakpoints at which the thread stands and that nobody approved there.

        LangGraph takes going on for approval of everything that waits. A thread can stand
        before a breakpoint that never paused it: after a cancel or a crash between two
        steps, or on a copy of an older checkpoint.
        """
        standing = tuple(w for w in head.waiting if w.kind is PauseKind.BREAKPOINT_BEFORE)
        if not standing:
            return ()
        pauses = await self._storage.read(
            lambda db: db.pauses_at(self._run.thread_id, head.checkpoint_id)
        )
        # The root's checkpoint stays the same while a subgraph works: there, what an earlier
        # run approved may have been an earlier round.
        approved = {
            (pause.namespace, pause.node)
            for pause in pauses
            if pause.status is PauseStatus.RESUMED
            and pause.kind is PauseKind.BREAKPOINT_BEFORE
            and (not pause.namespace or pause.resolved_by_run_id == self._run.run_id)
        }
        return tuple(w for w in standing if (w.namespace, w.node) not in approved)


async def position_of(registry: GraphRegistry, run: RunRecord) -> Position | None:
    """Returns where a run that was stopped from outside has left its thread.

    What waits are questions only: that it stands before a breakpoint is found when it goes
    on. None if the state can't be read, as when the graph is gone.
    """
    loaded = registry.get(run.assistant_id)
    if loaded is None:
        return None
    config = _config(run, RunSpec.from_json(run.spec))
    try:
        async with loaded.open("threads.read", config) as graph:
            position = await read_position(graph, thread_config(run.thread_id), Breakpoints())
    except Exception:  # noqa: BLE001  # the run's own end must be recorded in any case
        _log.exception("state_unreadable", run_id=run.run_id, thread_id=run.thread_id)
        return None
    return _questions_only(position)


def _stop_if_cancelled() -> None:
    """Stops where a node has swallowed the cancellation that was meant for the run."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _config(run: RunRecord, spec: RunSpec, *, at_checkpoint: bool = False) -> RunnableConfig:
    return run_config(
        run_id=run.run_id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        checkpoint_id=spec.checkpoint_id if at_checkpoint else "",
        recursion_limit=spec.recursion_limit,
        tags=spec.tags,
        configurable=spec.configurable,
        metadata=spec.metadata,
    )


def _beginning(spec: RunSpec) -> Beginning:
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


def _why(position: Position, execution: Execution) -> tuple[Waiting, ...]:
    """Returns why a graph that said it stopped has stopped; at least one reason."""
    if position.waiting:
        return position.waiting
    # A graph that is called in a node's code, and stops, does not show in the state.
    if position.next:
        nodes = dict.fromkeys(position.next)
        return tuple(Waiting(PauseKind.BREAKPOINT_BEFORE, node) for node in nodes)
    last = dict.fromkeys(execution.steps.last_step(()))
    return tuple(Waiting(PauseKind.BREAKPOINT_AFTER, node) for node in last)


def _with_waiting(position: Position, waiting: tuple[Waiting, ...]) -> Position:
    return Position(position.checkpoint_id, position.next, position.values, waiting)


def _questions_only(position: Position) -> Position:
    questions = tuple(w for w in position.waiting if w.kind is PauseKind.INTERRUPT)
    return _with_waiting(position, questions)


def _failure(error: BaseException, seen: tuple[str, Namespace]) -> Failure:
    """Returns what an exception says; `seen` is the task that was seen to fail."""
    node, namespace = failed_task(error)
    if not node:
        node, namespace = seen
    return Failure(error_type(error), error_text(error), node, namespace)
