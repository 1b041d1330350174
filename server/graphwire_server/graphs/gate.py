"""The gate: decides, for each task of a run, whether it may begin.

LangGraph infers from its input that a run resumes, for the whole tree of graphs at once, and
then looks at no breakpoint. Here a task behind a breakpoint begins only if that task, at that
position, was approved, whatever the run was started with. Which breakpoints hold a task, the
judge says. Docs: adr/0003.

The engine announces each step, of each graph in the tree, before any task of it begins
(`announce`); then each task comes to its door (`enter`). Where a step is reached for the first
time and one of its tasks must wait, the whole step waits, as in LangGraph: a state that is
edited at a pause has no half-finished step in it. A step that has begun already (something in
it was approved, answered or is finished) is decided task by task: what was approved for one
branch releases no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.breakpoints import Breakpoint, BreakpointSource, Met
from graphwire_server.graphs.judge import Facts, Judge
from graphwire_server.graphs.langgraph_repairs import GraphAtWork
from graphwire_server.graphs.places import (
    Namespace,
    Path,
    Place,
    Task,
    after_id,
    path_of,
    stops,
)
from graphwire_server.graphs.stops import MetAfter, StoppedAfter
from graphwire_server.graphs.tool_calls import Review

#: How many graphs are at work, before those that are over are looked for.
_MANY = 64


@dataclass(frozen=True, slots=True)
class Known:
    """What a run knows of the thread's position when it begins.

    Attributes:
        approved: Ids of approved tasks; for breakpoints after a node the approved checkpoints.
        begun: The namespaces whose step has begun already.
        inside: Ids of tasks that stand in a subgraph.
        asking: Tasks that wait for an answer which this run does not bring.
        after: By namespace, the checkpoint at which a breakpoint after a node was met.
        reviews: What was decided about the tool calls of approved tasks, by task id.
    """

    approved: frozenset[str] = frozenset()
    begun: frozenset[Namespace] = frozenset()
    inside: frozenset[str] = frozenset()
    asking: frozenset[str] = frozenset()
    after: Mapping[Namespace, str] = field(default_factory=dict)
    reviews: Mapping[str, Review] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """What the gate held in a graph that the code of a node calls, of which no state tells.

    Attributes:
        task: The task. For a breakpoint after it, with the checkpoint's id in place of its own.
        after: Whether it was held after the node.
        met: The breakpoints that held it.
    """

    task: Task
    after: bool = False
    met: tuple[Met, ...] = ()


class Gate:
    """The decisions of one run.

    Used on the event loop; of the graphs that nodes call it may hear on any thread.
    """

    def __init__(
        self,
        judge: Judge,
        places: Mapping[Path, Place],
        known: Known,
        *,
        durable: Callable[[], Awaitable[None]],
        begin: Callable[[str], None],
        closed: Callable[[], bool],
        cancelled: Callable[[], bool],
    ) -> None:
        """Makes the gate.

        Args:
            judge: Knows the breakpoints in force.
            places: The graph and its subgraphs, with what is compiled into them.
            known: The position at the start.
            durable: Awaited before a task begins: what it builds on must be on the disk.
            begin: Called with the id of a task that begins, once.
            closed: Says whether no node may begin any more, since the run is being stopped.
            cancelled: Says whether it is stopped for good, so that what the code of its nodes
                makes of that does not matter.
        """
        self._closed = closed
        self._cancelled = cancelled
        self._judge = judge
        self._places = places
        self._approved = known.approved
        self._begun = set(known.begun)
        self._inside = known.inside
        self._asking = known.asking
        self._after = dict(known.after)
        self._reviews = known.reviews
        self._reviewed: set[str] = set()
        self._called: dict[Namespace, Place] = {}
        self._held: dict[tuple[str, str], Held] = {}
        self._durable = durable
        self._begin = begin
        self._step: dict[Namespace, list[Task]] = {}
        self._entered: set[str] = set()
        self._at_work: dict[Namespace, GraphAtWork] = {}
        self._sweep_at = _MANY

    @property
    def held(self) -> tuple[Held, ...]:
        """What was held in graphs that the code of nodes calls."""
        return tuple(self._held.values())

    def meet(self, graph: GraphAtWork, place: Place, after: StoppedAfter | None) -> bool:
        """Hears of a graph that begins, or goes on.

        Args:
            graph: The graph.
            place: What is known of it.
            after: The checkpoint that it goes on from, if breakpoints after the nodes before it
                were met; else None.

        Returns:
            Whether it is one that the code of a node calls: it has its breakpoints still.
        """
        known = self._places.get(path_of(graph.namespace))
        if known is not None and known.has_doors:
            self._note_at_work(graph)
            return False
        self._called[graph.namespace] = place
        if after is not None:
            self.stop_after(after)
        return True

    def announce(self, task: Task) -> bool:
        """Notes a task of a step that is about to start; returns whether it will `enter`.

        Raises:
            GraphInterrupt: The step must not start; nothing of it has.
        """
        self._step.setdefault(task.namespace, []).append(task)
        place = self._place(task.namespace)
        has_door = place is not None and place.has_doors and task.node in place.nodes
        # What is called by the code of a node ends with that node: the code might take it for a
        # failure, and go on in another way.
        stopping = self._closed() if has_door else self._cancelled()
        if stopping or self._stands_after(task.namespace):
            raise compat.held()
        if not has_door:
            held = self._held_in_called(task)
            if held is not None:
                self._held[task.task_id, task.node] = held
                raise compat.held()
        elif task.namespace not in self._begun and self._stands_before(task):
            raise compat.held()
        return has_door

    async def enter(self, task: Task) -> bool:
        """Lets a task begin; returns whether it goes on in a subgraph that had begun.

        Raises:
            GraphInterrupt: It must wait.
        """
        again = task.task_id in self._entered
        if not again:
            if self._closed() or task.task_id in self._asking or self._stands_before(task):
                raise compat.held()
            self._entered.add(task.task_id)
            self._begin(task.task_id)
        await self._durable()
        return again or task.task_id in self._inside

    async def leave(self, namespace: Namespace) -> None:
        """Lets a subgraph end.

        Raises:
            GraphInterrupt: It has a breakpoint after the node that ran last.
        """
        if self._stands_after(namespace):
            raise compat.held()

    def review(self, task: Task) -> Review | None:
        """Returns what was decided about the tool calls of a task; None if nothing was."""
        review = self._reviews.get(task.task_id)
        if review is not None:
            self._reviewed.add(task.node)
        return review

    def was_reviewed(self, node: str) -> bool:
        """Returns whether a task of a node of that name had a review in this run."""
        return node in self._reviewed

    def bars(self, node: str) -> bool:
        """Returns whether some node of that name has a breakpoint before it, or inside it."""
        return self._judge.bars(node)

    def stepped(self, namespace: Namespace) -> MetAfter:
        """Notes that a step has ended; returns the breakpoints met after its nodes."""
        self._judge.step_ended(namespace)
        self._begun.discard(namespace)
        self._after.pop(namespace, None)
        place = self._place(namespace)
        if place is None:
            self._step.pop(namespace, None)
            return {}
        tasks = [t for t in self._step.pop(namespace, ()) if t.node in place.nodes]
        called = self._called.get(namespace)
        if called is not None:
            after = called.compiled.after
            return {t.node: _compiled(t.node, after=True) for t in tasks if stops(after, t.node)}
        return self._judge.after([(task, self._facts(task)) for task in tasks])

    def stop_after(self, stopped: StoppedAfter) -> None:
        """Notes the checkpoint in which a step has ended that met breakpoints after its nodes.

        Nothing begins there until that is approved.
        """
        checkpoint_id, place = stopped.checkpoint_id, self._place(stopped.namespace)
        self._after[stopped.namespace] = checkpoint_id
        if checkpoint_id in self._approved or (place is not None and place.has_doors):
            return
        for node, met in stopped.met.items():
            if after_id(checkpoint_id, node) not in self._approved:
                task = Task(checkpoint_id, node, stopped.namespace)
                self._held[checkpoint_id, node] = Held(task, after=True, met=met)

    def stands_after(self) -> bool:
        """Returns whether the root has stopped after a node with a breakpoint."""
        return self._stands_after(())

    def _stands_after(self, namespace: Namespace) -> bool:
        checkpoint_id = self._after.get(namespace)
        return checkpoint_id is not None and checkpoint_id not in self._approved

    def _stands_before(self, task: Task) -> bool:
        if task.task_id in self._approved:
            return False
        verdict = self._judge.before(task, self._facts(task))
        if verdict is None:
            return False
        self._judge.hold(task, verdict)
        return True

    def _held_in_called(self, task: Task) -> Held | None:
        """Returns what holds a task of a graph that the code of a node calls; None if nothing.

        Only what is compiled into it does.
        """
        place = self._place(task.namespace)
        # Functions that a node calls as tasks are no nodes; they have no breakpoints.
        if place is None or task.node not in place.nodes or task.task_id in self._approved:
            return None
        if not stops(place.compiled.before, task.node):
            return None
        return Held(task, met=_compiled(task.node, after=False))

    def _facts(self, task: Task) -> Facts | None:
        graph = self._at_work.get(task.namespace)
        if graph is None:
            return None
        return Facts(graph.state, lambda: graph.input_of(task.task_id), graph.step())

    def _note_at_work(self, graph: GraphAtWork) -> None:
        self._at_work[graph.namespace] = graph
        if len(self._at_work) > self._sweep_at:
            self._at_work = {ns: each for ns, each in self._at_work.items() if each.at_work}
            self._sweep_at = 2 * len(self._at_work) + _MANY

    def _place(self, namespace: Namespace) -> Place | None:
        return self._called.get(namespace) or self._places.get(path_of(namespace))


def _compiled(node: str, *, after: bool) -> tuple[Met, ...]:
    return (Met(Breakpoint(node, after=after, source=BreakpointSource.COMPILED)),)
