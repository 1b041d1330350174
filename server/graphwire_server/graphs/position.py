"""Where a thread stands: its head checkpoint, what comes next, and what it waits for.

The position is read before anything is executed. With the approvals on record it says all
that the gate has to know, and why a thread waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from graphwire_server import jsontext
from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.breakpoints import Met
from graphwire_server.graphs.commands import with_command_applied
from graphwire_server.graphs.gate import Held, Known
from graphwire_server.graphs.judge import Facts, Judge
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.places import (
    Namespace,
    Task,
    after_id,
    namespace_of,
    path_of,
)
from graphwire_server.graphs.state_messages import messages_channel
from graphwire_server.graphs.stops import StoppedAfter, ToolCalls, met_after, no_tool_calls
from graphwire_server.graphs.stored import pending, stored_checkpoint
from graphwire_server.graphs.tool_calls import is_tool_calls, pending_tool_calls
from graphwire_server.storage.records import PauseKind

#: Why a task waits before it begins.
BEFORE = (PauseKind.BREAKPOINT_BEFORE, PauseKind.PAUSE)
#: The longest input of a task that a pause has, in characters of JSON: a page of an inbox has a
#: hundred of them.
LONGEST_INPUT = 64 * 1024


def _nothing_sent() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Waiting:
    """One reason for which a graph has stopped.

    Attributes:
        kind: Why.
        node: The node that is about to run, has run, or asks.
        namespace: Where the node is: the subgraph path from the root.
        task_id: The task that waits. For BREAKPOINT_AFTER the checkpoint, in its namespace,
            that the node has led to.
        interrupt_id: LangGraph's id, for INTERRUPT; else empty.
        value: What the node asks, as JSON text; None unless INTERRUPT.
        response_schema: The JSON Schema of an answer, as JSON text; None if there is none.
        met: The breakpoints that hold the node.
        tool_calls: The tool calls that wait there, as JSON text: an array of {"id", "name",
            "args"}.
        task_input: What the task was sent, as JSON text; None if it gets the state, if
            `tool_calls` has it, or if it is longer than `LONGEST_INPUT`.
    """

    kind: PauseKind
    node: str
    namespace: Namespace = ()
    task_id: str = ""
    interrupt_id: str = ""
    value: str | None = None
    response_schema: str | None = None
    met: tuple[Met, ...] = ()
    tool_calls: str = "[]"
    task_input: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A task of the step at which a graph or subgraph stands.

    Attributes:
        task: The task.
        finished: Whether its result is kept.
        questions: What it asks, and has no answer to yet.
        inside: Whether it has begun and stands in a subgraph, whose tasks are listed as well, or
            has failed and is being handled.
        relays: Whether what it asks is asked by a graph that its code calls.
        facts: What conditions may look at.
        tool_calls: Returns the tool calls that wait there, as in `Waiting`.
        input: Returns what it was sent, as in `Waiting.task_input`.
    """

    task: Task
    finished: bool
    questions: tuple[Interrupt, ...]
    inside: bool
    relays: bool = False
    facts: Facts | None = field(default=None, compare=False)
    tool_calls: ToolCalls = field(default=no_tool_calls, compare=False)
    input: Callable[[], str | None] = field(default=_nothing_sent, compare=False)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a thread stands.

    Attributes:
        checkpoint_id: The root's head; empty if nothing has run yet.
        next: The nodes that come next at the root, one for each task; see `next_nodes`.
        values: The state, as JSON text; None if nothing has run yet.
        tasks: The tasks of the step at which the root stands, and of each subgraph in it.
        stopped_after: The breakpoints after nodes that were met there.
        noted: The ids of what else unfinished tasks have noted as a question: of a graph that a
            node calls, or of a handler of errors. It may have been answered.
    """

    checkpoint_id: str
    next: tuple[str, ...]
    values: str | None
    tasks: tuple[Standing, ...] = ()
    stopped_after: tuple[StoppedAfter, ...] = ()
    noted: frozenset[str] = frozenset()

    def approvable(self) -> list[str]:
        """Returns the ids that approvals of breakpoints here are recorded under."""
        ids = [standing.task.task_id for standing in self.tasks]
        return ids + [stopped.checkpoint_id for stopped in self.stopped_after]

    def unfinished(self) -> list[str]:
        """Returns the ids of tasks that have not finished, and of checkpoints stopped at."""
        ids = [standing.task.task_id for standing in self.tasks if not standing.finished]
        return ids + [stopped.checkpoint_id for stopped in self.stopped_after]

    def waiting(self, judge: Judge, approved: Collection[str]) -> tuple[Waiting, ...]:
        """Returns why a graph stands here, given the breakpoints and what was approved.

        Whether it does so because it has stopped, the position does not say.
        """
        return (*self._after(approved), *self._questions_and_befores(judge, approved))

    def left_waiting(self, held: Collection[str], approved: Collection[str]) -> list[Waiting]:
        """Returns what waits here that neither a breakpoint nor a question holds.

        Args:
            held: The ids of the tasks that one of those holds.
            approved: The ids of approved tasks: they begin as soon as anything does.
        """
        free = [
            standing
            for standing in self.tasks
            if not (standing.finished or standing.inside or standing.questions)
            and standing.task.task_id not in held
            and standing.task.task_id not in approved
        ]
        return [
            Waiting(
                PauseKind.PAUSE,
                standing.task.node,
                standing.task.namespace,
                standing.task.task_id,
                tool_calls=standing.tool_calls(),
                task_input=standing.input(),
            )
            for standing in free
        ]

    def left_inside(self, within: Namespace) -> list[Waiting]:
        """Returns the subgraphs of whose tasks none is left: they have only to end.

        Args:
            within: Only those that are this one, or below it.
        """
        return [
            Waiting(
                PauseKind.PAUSE,
                standing.task.node,
                standing.task.namespace,
                standing.task.task_id,
                task_input=standing.input(),
            )
            for standing in self.tasks
            if standing.inside
            and not standing.finished
            and not self._left_in(standing.task)
            and any(inner[: len(within)] == within for inner in _inner(standing.task))
        ]

    def questions(self) -> tuple[Waiting, ...]:
        """Returns the questions that wait for an answer."""
        return tuple(
            _question(standing, interrupt)
            for standing in self.tasks
            for interrupt in standing.questions
        )

    def answered(self, ids: Collection[str]) -> Position:
        """Returns the position with what is known besides: which questions were answered.

        Of one that a graph asks which the code of a node calls, the task keeps a note until the
        next one is asked, answered or not. Only those are taken off.
        """
        tasks, over = [], set(self.noted)
        for standing in self.tasks:
            left = tuple(each for each in standing.questions if each.id not in ids)
            if standing.relays and left != standing.questions:
                over.update(each.id for each in standing.questions if each.id in ids)
                # The code of the node has begun.
                standing = replace(standing, questions=left, inside=not left)
            tasks.append(standing)
        return replace(self, tasks=tuple(tasks), noted=frozenset(over))

    def unanswered(self, answers: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those answers, by LangGraph's interrupt id, whose questions may still wait."""
        open_ids = {question.interrupt_id for question in self.questions()} | self.noted
        return {key: value for key, value in answers.items() if key in open_ids}

    def finished_nodes(self) -> dict[Namespace, tuple[str, ...]]:
        """Returns the nodes whose results are kept, one for each task, by namespace."""
        nodes: dict[Namespace, tuple[str, ...]] = {}
        for standing in self.tasks:
            if standing.finished:
                task = standing.task
                nodes[task.namespace] = (*nodes.get(task.namespace, ()), task.node)
        return nodes

    def stuck(
        self,
        judge: Judge,
        known: Known,
        answers: Mapping[str, Any],
    ) -> tuple[Waiting, ...]:
        """Returns why nothing at all can begin here; empty if something can."""
        if not self.noted.isdisjoint(answers):
            return ()
        waiting = tuple(
            reason
            for reason in self.waiting(judge, known.approved)
            if reason.interrupt_id not in answers
        )
        held = {
            stopped.namespace
            for stopped in self.stopped_after
            if stopped.checkpoint_id not in known.approved
        }
        befores = [w for w in waiting if w.kind in BEFORE]
        barred = {reason.task_id for reason in befores}
        # A step that has not begun waits as a whole.
        held |= {reason.namespace for reason in befores if reason.namespace not in known.begun}
        if any(self._can_begin(standing, known, held, barred) for standing in self.tasks):
            return ()
        return waiting

    def count(self, judge: Judge, known: Known) -> None:
        """Has breakpoints count what they let pass here, as they do when the gate asks them.

        A task that another breakpoint holds asks nobody any more when it was approved. Where it
        waits without having asked, in a run that was lost or in a drain, it is counted here.
        """
        held: set[Namespace] = set()
        for standing in self.tasks:
            task = standing.task
            asks = not (standing.finished or standing.inside or standing.questions)
            if not asks or task.task_id in known.approved or task.namespace in held:
                continue
            if judge.before(task, standing.facts) and task.namespace not in known.begun:
                held.add(task.namespace)

    def known(self, approved: Collection[str], answers: Mapping[str, Any]) -> Known:
        """Returns what the gate has to know of the position.

        Args:
            approved: Ids of approved tasks and checkpoints.
            answers: What the run brings, by LangGraph's interrupt id.
        """
        begun = frozenset(
            standing.task.namespace
            for standing in self.tasks
            if standing.finished
            or standing.questions
            or standing.inside
            or standing.task.task_id in approved
        )
        asking = (
            standing.task.task_id
            for standing in self.tasks
            if standing.questions
            and not standing.inside
            and not any(question.id in answers for question in standing.questions)
        )
        inside = frozenset(standing.task.task_id for standing in self.tasks if standing.inside)
        # What has begun has passed its breakpoint, whoever adds one now.
        asked = (standing.task.task_id for standing in self.tasks if standing.questions)
        return Known(
            approved=frozenset((*approved, *asked)) | inside,
            begun=begun,
            inside=inside,
            asking=frozenset(asking),
            after={stopped.namespace: stopped.checkpoint_id for stopped in self.stopped_after},
        )

    def _can_begin(
        self,
        standing: Standing,
        known: Known,
        held: Collection[Namespace],
        barred: Collection[str],
    ) -> bool:
        task = standing.task
        if standing.finished or task.namespace in held:
            return False
        if standing.inside:
            # Its own tasks decide; where it has none left, it has only to end.
            either = _inner(task)
            return not any(namespace in held for namespace in either) and not self._left_in(task)
        return task.task_id not in known.asking and task.task_id not in barred

    def _left_in(self, task: Task) -> bool:
        """Returns whether tasks are left of the subgraph that a task is."""
        either = _inner(task)
        return any(other.task.namespace in either and not other.finished for other in self.tasks)

    def _after(self, approved: Collection[str]) -> Iterator[Waiting]:
        for stopped in self.stopped_after:
            if stopped.checkpoint_id not in approved:
                for node, met in stopped.met.items():
                    if after_id(stopped.checkpoint_id, node) not in approved:
                        where = (stopped.namespace, stopped.checkpoint_id)
                        calls = stopped.tool_calls()
                        kind = PauseKind.BREAKPOINT_AFTER
                        yield Waiting(kind, node, *where, met=met, tool_calls=calls)

    def _questions_and_befores(self, judge: Judge, approved: Collection[str]) -> Iterator[Waiting]:
        looks = judge.passing()
        for standing in self.tasks:
            task = standing.task
            if standing.questions:
                for interrupt in standing.questions:
                    yield _question(standing, interrupt)
            elif not standing.finished and not standing.inside:
                # What is inside has passed its breakpoint, whoever adds one now.
                if task.task_id in approved:
                    continue
                verdict = judge.before(task, standing.facts, looks=looks)
                if verdict is not None:
                    kind = PauseKind.BREAKPOINT_BEFORE if verdict.met else PauseKind.PAUSE
                    yield Waiting(
                        kind,
                        task.node,
                        task.namespace,
                        task.task_id,
                        met=verdict.met,
                        tool_calls=standing.tool_calls(),
                        task_input=standing.input(),
                    )


def _inner(task: Task) -> tuple[Namespace, Namespace]:
    """Returns the namespace of the subgraph that a task is: one of these."""
    inner = (*task.namespace, f"{task.node}:{task.task_id}")
    # One with `checkpointer=True` has its namespace without task ids.
    return inner, path_of(inner)


def with_unseen(
    position: Position,
    waiting: Sequence[Waiting],
    held: Iterable[Held],
    asked: Mapping[str, Waiting],
) -> tuple[Waiting, ...]:
    """Returns what a graph waits for, with that which the position can't see.

    Args:
        position: Where it stands.
        waiting: What it waits for there.
        held: What the gate held.
        asked: What was asked in this run, by LangGraph's id. Where the code of a node has taken
            the question for a failure, and gone on, nobody has noted it.
    """
    unseen = (reason for key, reason in asked.items() if key in position.noted)
    found = {(reason.kind, reason.task_id, reason.node): reason for reason in waiting}
    found |= {(reason.kind, reason.interrupt_id, reason.node): reason for reason in unseen}
    for each in held:
        kind = PauseKind.BREAKPOINT_AFTER if each.after else PauseKind.BREAKPOINT_BEFORE
        task = each.task
        reason = Waiting(kind, task.node, task.namespace, task.task_id, met=each.met)
        found.setdefault((kind, task.task_id, task.node), reason)
    return tuple(found.values())


async def read_position(graph: AnyPregel, config: RunnableConfig) -> Position:
    """Reads where a thread stands.

    Args:
        graph: The graph, with the server's checkpointer.
        config: Names the thread.
    """
    try:
        applied = await with_command_applied(graph, config)
        snapshot = await applied.aget_state(config, subgraphs=True)
    except Exception:
        # The graph's own types refuse the state that is stored: nobody can say what comes next.
        stored = await stored_checkpoint(graph, config)
        if stored is None:
            raise
        return Position(stored.checkpoint_id, (), stored.values)
    tasks: list[Standing] = []
    stopped_after: list[StoppedAfter] = []
    noted: set[str] = set()
    await _walk(applied, graph, snapshot, (), tasks, stopped_after, noted)
    noted.difference_update(question.id for each in tasks for question in each.questions)
    checkpoint_id = checkpoint_id_of(snapshot.config)
    return Position(
        checkpoint_id=checkpoint_id,
        next=next_nodes(snapshot),
        values=jsontext.dumps(snapshot.values) if checkpoint_id else None,
        tasks=tuple(tasks),
        stopped_after=tuple(stopped_after),
        noted=frozenset(noted),
    )


def position_at_end(graph: AnyPregel, checkpoint: Mapping[str, Any]) -> Position | None:
    """Returns the position of a graph that has come to its end, without reading anything.

    Args:
        graph: The graph.
        checkpoint: LangGraph's last checkpoint of its root.

    Returns None where the values in the checkpoint are not those of the state.
    """
    values = compat.state_values(graph, checkpoint["channel_values"])
    return None if values is None else Position(checkpoint["id"], (), jsontext.dumps(values))


def checkpoint_id_of(config: RunnableConfig | None) -> str:
    """Returns the checkpoint that a config names; empty if none."""
    return str((config or {}).get("configurable", {}).get("checkpoint_id") or "")


def next_nodes(snapshot: StateSnapshot) -> tuple[str, ...]:
    """Returns the nodes that come next.

    A run may have been stopped when all tasks of a step had finished, and the step had not
    ended. They come next then: nothing of them runs again, but the step has still to end.
    """
    return snapshot.next or tuple(task.name for task in snapshot.tasks)


async def _walk(
    graph: AnyPregel,
    at: AnyPregel,
    snapshot: StateSnapshot,
    namespace: Namespace,
    tasks: list[Standing],
    stopped_after: list[StoppedAfter],
    noted: set[str],
) -> None:
    """Collects what a snapshot of the graph `at`, and those of its subgraphs, say."""
    met = met_after(snapshot.metadata)
    if met:
        calls = partial(_tool_calls, at, snapshot)
        stopped_after.append(StoppedAfter(namespace, checkpoint_id_of(snapshot.config), met, calls))
    writes, sent = await pending(graph, snapshot.config) if snapshot.tasks else ({}, ())
    for each in snapshot.tasks:
        task = Task(each.id, each.name, namespace)
        written = writes.get(each.id, compat.TaskWrites())
        over = written.finished or written.handled
        below = None if over else _below(snapshot, each, namespace)
        inside = below is not None or written.handled
        questions = _open_questions(each, task, written, inside=inside)
        own = compat.question_ids(task, written.answers + 1)[-1]
        relays = not inside and all(question.id != own for question in questions)
        facts = _facts(at, snapshot, each, sent)
        calls = partial(_tool_calls, at, snapshot, each, sent)
        given = partial(_sent_input, each, sent)
        tasks.append(
            Standing(task, written.finished, questions, inside, relays, facts, calls, given)
        )
        if below is not None:
            inner = namespace_of(below.config.get("configurable", {}).get("checkpoint_ns", ""))
            child = compat.subgraph(at, each.name)
            await _walk(graph, child, below, inner, tasks, stopped_after, noted)
            if compat.is_subgraph(at, each.name):
                # What it asks its own tasks have noted as well, for as long as it waits.
                writes.pop(each.id, None)
    noted.update(asked for w in writes.values() if not w.finished for asked in w.asked)


def _tool_calls(
    at: AnyPregel, snapshot: StateSnapshot, task: PregelTask | None = None, sent: Sequence[Any] = ()
) -> str:
    """Returns the tool calls that wait in a state, or at a task that comes next there."""
    channel, values = messages_channel(at), snapshot.values
    if task is None or not compat.is_sent(task):
        return jsontext.dumps(pending_tool_calls(values, channel))
    given = compat.task_input(at, task, sent, values)
    return jsontext.dumps(pending_tool_calls(values, channel, given, own_input=True))


def _sent_input(task: PregelTask, sent: Sequence[Any]) -> str | None:
    """Returns what a task was sent, as `Waiting.task_input`."""
    if any(map(is_tool_calls, compat.sent_input(task, sent))):
        return None
    return input_text(task, sent)


def input_text(task: PregelTask, sent: Sequence[Any]) -> str | None:
    """Returns what a task was sent, as JSON text.

    None if it gets the state, or if it is longer than `LONGEST_INPUT`.
    """
    texts = [jsontext.dumps(given) for given in compat.sent_input(task, sent)]
    return next((text for text in texts if len(text) <= LONGEST_INPUT), None)


def _below(snapshot: StateSnapshot, task: PregelTask, namespace: Namespace) -> StateSnapshot | None:
    """Returns the state of the subgraph that a task is in; None if it has not begun.

    A subgraph with `checkpointer=True` has a state from earlier steps as well: only one that
    names this step's checkpoint as its parent is of this step.
    """
    if not isinstance(task.state, StateSnapshot) or task.state.created_at is None:
        return None
    parents = (task.state.metadata or {}).get("parents", {})
    of_this_step = parents.get("|".join(namespace)) == checkpoint_id_of(snapshot.config)
    return task.state if of_this_step else None


def _facts(at: AnyPregel, snapshot: StateSnapshot, task: PregelTask, sent: Sequence[Any]) -> Facts:
    step = (snapshot.metadata or {}).get("step", -1) + 1
    values = snapshot.values
    return Facts(lambda: values, lambda: compat.task_input(at, task, sent, values), step)


def _open_questions(
    found: PregelTask, task: Task, written: compat.TaskWrites, *, inside: bool
) -> tuple[Interrupt[Any], ...]:
    """Returns what a task asks and has no answer to.

    What a subgraph asked is noted on the tasks above it as well, and stays there when it was
    answered: a task that is inside one has only questions of its own.
    """
    if written.finished:
        return ()
    *answered, own = compat.question_ids(task, written.answers + 1)
    if inside:
        return tuple(interrupt for interrupt in found.interrupts if interrupt.id == own)
    return tuple(interrupt for interrupt in found.interrupts if interrupt.id not in answered)


def _question(standing: Standing, interrupt: Interrupt[Any]) -> Waiting:
    asked = question(standing.task, interrupt.id, interrupt.value, interrupt.response_schema)
    return replace(asked, tool_calls=standing.tool_calls(), task_input=standing.input())


def question(task: Task, interrupt_id: str, value: Any, schema: Any) -> Waiting:
    """Returns that a task asks, which is what its graph waits for."""
    return Waiting(
        kind=PauseKind.INTERRUPT,
        node=task.node,
        namespace=task.namespace,
        task_id=task.task_id,
        interrupt_id=interrupt_id,
        value=jsontext.dumps(value),
        response_schema=jsontext.dumps(schema) if isinstance(schema, dict) else None,
    )
