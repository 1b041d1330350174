"""The gate: decides, for each task of a run, whether it may begin.

LangGraph infers from its input that a run resumes, for the whole tree of graphs at once, and
then looks at no breakpoint. Here a task behind a breakpoint begins only if that task, at that
position, was approved, whatever the run was started with. Docs: adr/0007.

The engine announces each step, of each graph in the tree, before any task of it begins
(`announce`); then each task comes to its door (`enter`). Where a step is reached for the first
time and one of its tasks must wait, the whole step waits, as in LangGraph: a state that is
edited at a pause has no half-finished step in it. A step that has begun already (something in
it was approved, answered or is finished) is decided task by task: what was approved for one
branch releases no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.places import (
    Breakpoints,
    Namespace,
    Path,
    Place,
    Task,
    after_id,
    path_of,
    stops,
)
from graphwire_server.graphs.tool_calls import Review

#: A checkpoint, and the nodes before it at which a breakpoint after them was met.
StoppedAfter = tuple[str, tuple[str, ...]]


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
    """

    task: Task
    after: bool = False


class Gate:
    """The decisions of one run.

    Used on the event loop; of the graphs that nodes call it may hear on any thread.
    """

    def __init__(
        self,
        breakpoints: Breakpoints,
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
            breakpoints: Those in force at the root, those compiled into it among them.
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
        self._breakpoints = {path: place.compiled for path, place in places.items()}
        self._breakpoints[()] = breakpoints
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
        self._step: dict[Namespace, list[str]] = {}
        self._entered: set[str] = set()
        # A node is also barred for what is inside it, at any depth.
        self._barred = frozenset(
            name
            for path, there in self._breakpoints.items()
            for name in (*there.before, *(path if there else ()))
        )

    @property
    def held(self) -> tuple[Held, ...]:
        """What was held in graphs that the code of nodes calls."""
        return tuple(self._held.values())

    def meet(self, namespace: Namespace, place: Place, after: StoppedAfter | None) -> bool:
        """Hears of a graph that begins, or goes on.

        Args:
            namespace: Where it runs.
            place: What is known of it.
            after: The checkpoint that it goes on from, and the nodes before it at which a
                breakpoint was met; None if there are none.

        Returns:
            Whether it is one that the code of a node calls: it has its breakpoints still.
        """
        known = self._places.get(path_of(namespace))
        if known is not None and known.has_doors:
            return False
        self._called[namespace] = place
        if after is not None:
            self._after[namespace] = after[0]
            self._hold_after(namespace, *after)
        return True

    def announce(self, task: Task) -> bool:
        """Notes a task of a step that is about to start; returns whether it will `enter`.

        Raises:
            GraphInterrupt: The step must not start; nothing of it has.
        """
        self._step.setdefault(task.namespace, []).append(task.node)
        place = self._place(task.namespace)
        has_door = place is not None and place.has_doors and task.node in place.nodes
        # What is called by the code of a node ends with that node: the code might take it for a
        # failure, and go on in another way.
        stopping = self._closed() if has_door else self._cancelled()
        if stopping or self._stands_after(task.namespace):
            raise compat.held()
        begun = has_door and task.namespace in self._begun
        if not begun and self._stands_before(task):
            if not has_door:
                self._held[task.task_id, task.node] = Held(task)
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
        """Returns whether some node of that name has a breakpoint before it."""
        return stops(self._barred, node)

    def stepped(self, namespace: Namespace) -> tuple[str, ...]:
        """Notes that a step has ended; returns its nodes with a breakpoint after them."""
        self._begun.discard(namespace)
        self._after.pop(namespace, None)
        nodes = dict.fromkeys(self._step.pop(namespace, ()))
        place, breakpoints = self._place(namespace), self._breakpoints_in(namespace)
        return tuple(
            node
            for node in nodes
            if stops(breakpoints.after, node) and place is not None and node in place.nodes
        )

    def stop_after(self, namespace: Namespace, checkpoint_id: str, nodes: Iterable[str]) -> None:
        """Notes the checkpoint in which a step has ended that met breakpoints after its nodes.

        Nothing begins there until that is approved.
        """
        self._after[namespace] = checkpoint_id
        self._hold_after(namespace, checkpoint_id, nodes)

    def stands_after(self) -> bool:
        """Returns whether the root has stopped after a node with a breakpoint."""
        return self._stands_after(())

    def _stands_after(self, namespace: Namespace) -> bool:
        checkpoint_id = self._after.get(namespace)
        return checkpoint_id is not None and checkpoint_id not in self._approved

    def _stands_before(self, task: Task) -> bool:
        place = self._place(task.namespace)
        if place is None or not stops(self._breakpoints_in(task.namespace).before, task.node):
            return False
        # Functions that a node calls as tasks are no nodes; they have no breakpoints.
        return task.node in place.nodes and task.task_id not in self._approved

    def _hold_after(self, namespace: Namespace, checkpoint_id: str, nodes: Iterable[str]) -> None:
        place = self._place(namespace)
        if checkpoint_id not in self._approved and (place is None or not place.has_doors):
            for node in nodes:
                if after_id(checkpoint_id, node) in self._approved:
                    continue
                held = Held(Task(checkpoint_id, node, namespace), after=True)
                self._held[checkpoint_id, node] = held

    def _place(self, namespace: Namespace) -> Place | None:
        return self._called.get(namespace) or self._places.get(path_of(namespace))

    def _breakpoints_in(self, namespace: Namespace) -> Breakpoints:
        if namespace in self._called:
            return self._called[namespace].compiled
        return self._breakpoints.get(path_of(namespace), Breakpoints())
