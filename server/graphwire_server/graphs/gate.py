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

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.places import (
    Breakpoints,
    Namespace,
    Path,
    Place,
    Task,
    path_of,
    stops,
)


@dataclass(frozen=True, slots=True)
class Known:
    """What a run knows of the thread's position when it begins.

    Attributes:
        approved: Ids of approved tasks; for breakpoints after a node the approved checkpoints.
        begun: The namespaces whose step has begun already.
        inside: Ids of tasks that stand in a subgraph.
        asking: Tasks that wait for an answer which this run does not bring.
        after: By namespace, the checkpoint at which a breakpoint after a node was met.
    """

    approved: frozenset[str] = frozenset()
    begun: frozenset[Namespace] = frozenset()
    inside: frozenset[str] = frozenset()
    asking: frozenset[str] = frozenset()
    after: Mapping[Namespace, str] = field(default_factory=dict)


class Gate:
    """The decisions of one run. Used on the event loop; `announce` on any thread."""

    def __init__(
        self,
        breakpoints: Breakpoints,
        places: Mapping[Path, Place],
        known: Known,
        *,
        durable: Callable[[], Awaitable[None]],
        begin: Callable[[str], None],
        closed: Callable[[], bool],
    ) -> None:
        """Makes the gate.

        Args:
            breakpoints: Those in force at the root, those compiled into it among them.
            places: The graph and its subgraphs, with what is compiled into them.
            known: The position at the start.
            durable: Awaited before a task begins: what it builds on must be on the disk.
            begin: Called with the id of a task that begins, once.
            closed: Says whether nothing may begin any more, since the run is being stopped.
        """
        self._closed = closed
        self._breakpoints = {path: place.compiled for path, place in places.items()}
        self._breakpoints[()] = breakpoints
        self._places = places
        self._approved = known.approved
        self._begun = set(known.begun)
        self._inside = known.inside
        self._asking = known.asking
        self._after = dict(known.after)
        self._durable = durable
        self._begin = begin
        self._step: dict[Namespace, list[str]] = {}
        self._entered: set[str] = set()
        names = [breakpoint.before for breakpoint in self._breakpoints.values()]
        self._barred = frozenset(name for before in names for name in before)

    def announce(self, task: Task) -> bool:
        """Notes a task of a step that is about to start; returns whether it will `enter`.

        Raises:
            GraphInterrupt: The step must not start; nothing of it has.
        """
        self._step.setdefault(task.namespace, []).append(task.node)
        if self._closed() or self._stands_after(task.namespace):
            raise compat.held()
        place = self._places.get(path_of(task.namespace))
        has_door = place is not None and place.has_doors and task.node in place.nodes
        begun = has_door and task.namespace in self._begun
        if not begun and self._stands_before(task):
            raise compat.held()
        return has_door

    async def enter(self, task: Task) -> None:
        """Lets a task begin.

        Raises:
            GraphInterrupt: It must wait.
        """
        if task.task_id not in self._entered:
            if self._closed() or task.task_id in self._asking or self._stands_before(task):
                raise compat.held()
            self._entered.add(task.task_id)
            self._begin(task.task_id)
        await self._durable()

    async def leave(self, namespace: Namespace) -> None:
        """Lets a subgraph end.

        Raises:
            GraphInterrupt: It has a breakpoint after the node that ran last.
        """
        if self._stands_after(namespace):
            raise compat.held()

    def has_begun(self, task: Task) -> bool:
        """Returns whether a subgraph has begun, so that it goes on from where it stands."""
        return task.task_id in self._inside or task.task_id in self._entered

    def bars(self, node: str) -> bool:
        """Returns whether some node of that name has a breakpoint before it."""
        return stops(self._barred, node)

    def stepped(self, namespace: Namespace, checkpoint_id: str) -> tuple[str, ...]:
        """Notes that a step has ended in a checkpoint.

        Returns the nodes of the step with a breakpoint after them. If there are any, nothing
        begins there until that is approved.
        """
        self._begun.discard(namespace)
        nodes = dict.fromkeys(self._step.pop(namespace, ()))
        path = path_of(namespace)
        breakpoints = self._breakpoints.get(path, Breakpoints())
        met = tuple(
            node for node in nodes if stops(breakpoints.after, node) and self._is_node(path, node)
        )
        if met:
            self._after[namespace] = checkpoint_id
        else:
            self._after.pop(namespace, None)
        return met

    def stands_after(self) -> bool:
        """Returns whether the root has stopped after a node with a breakpoint."""
        return self._stands_after(())

    def _stands_after(self, namespace: Namespace) -> bool:
        checkpoint_id = self._after.get(namespace)
        return checkpoint_id is not None and checkpoint_id not in self._approved

    def _stands_before(self, task: Task) -> bool:
        path = path_of(task.namespace)
        breakpoints = self._breakpoints.get(path)
        if breakpoints is None or not stops(breakpoints.before, task.node):
            return False
        return self._is_node(path, task.node) and task.task_id not in self._approved

    def _is_node(self, path: Path, name: str) -> bool:
        # Functions that a node calls as tasks are none; they have no breakpoints.
        return name in self._places[path].nodes
