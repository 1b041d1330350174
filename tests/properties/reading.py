"""A plain reading of what breakpoints mean: which tasks of a graph wait, and for what.

It knows nothing of LangGraph, of checkpoints or of runs. A graph goes from step to step:

- A step is a set of tasks. Those that a breakpoint holds wait for an approval; if one does when
  the step is reached, all wait. Once one is approved, those that nothing holds go on too.
- When all tasks of a step are over, breakpoints after their nodes are asked, and hold the graph
  until each of those that are met is approved.
- A subgraph is a task that is over when its graph is.
- A run may go one step: INTO holds all but what it goes on from, OVER all but what is in that,
  OUT all but the graphs in which that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.properties.shapes import Shape, made_by, names_in, places


@dataclass(frozen=True)
class About:
    """What a condition is asked about."""

    log: tuple[str, ...]
    count: int
    node: str
    step: int
    sent: int | None


@dataclass(frozen=True)
class Condition:
    """A condition, in CEL, and as what it says in Python; None if it can't be said."""

    text: str
    says: Callable[[About], bool | None] = field(compare=False)

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Stop:
    """A breakpoint.

    Attributes:
        path: The graph.
        node: The node; "*" for each.
        after: On which side.
        condition: Its condition; None: always.
        skip_first: How many tasks it lets pass.
        plain: Whether it is a name in `interrupt_before` or `interrupt_after`.
    """

    path: tuple[str, ...]
    node: str
    after: bool = False
    condition: Condition | None = None
    skip_first: int = 0
    plain: bool = False

    @property
    def name(self) -> str:
        """As a caller names it."""
        return "/".join((*self.path, self.node))


#: What a thread waits for: ("before", "after" or "pause", the path of the node).
Wait = tuple[str, str]


@dataclass
class Going:
    """How far a run goes.

    Attributes:
        mode: "", INTO, OVER or OUT.
        tasks: The numbers of the tasks that it may begin.
        free: The numbers of the tasks in which nothing is held.
        graphs: The graphs in which nothing is held.
    """

    mode: str = ""
    tasks: set[int] = field(default_factory=set)
    free: set[int] = field(default_factory=set)
    graphs: list[Graph] = field(default_factory=list)

    def holds(self, graph: Graph | None, task: int) -> bool:
        """Returns whether a task is further than that."""
        if not self.mode or task in self.tasks:
            return False
        while graph is not None:
            if graph in self.graphs or graph.owner in self.free:
                return False
            graph = graph.above
        return True


class World:
    """A run through a graph, with all its breakpoints."""

    def __init__(self, shape: Shape, stops: Sequence[Stop], given: tuple[str, ...]) -> None:
        """Stands before the first step, with a log that was given."""
        self._stops = [(stop, set[int]()) for stop in stops]
        self._numbers = iter(range(1_000_000))
        self.going = Going()
        self.root = Graph(self, shape, (), given)

    def compiled(self, shape: Shape, path: tuple[str, ...], node: str, *, after: bool) -> bool:
        """Returns whether a breakpoint is compiled in at a node."""
        return node in (shape.after if after else shape.before)

    def holds(self, path: tuple[str, ...], about: About, task: int, *, after: bool) -> bool:
        """Returns whether a breakpoint holds a task, and counts it for those that let it pass."""
        held = False
        for stop, passed in self._stops:
            if (stop.path, stop.after) != (path, after) or stop.node not in (about.node, "*"):
                continue
            said = stop.condition.says(about) if stop.condition else True
            if said is None:
                held = True
            elif said and len(passed) < stop.skip_first:
                passed.add(task)
            elif said:
                held = True
        return held

    def go(self, mode: str, approved: Sequence[Approval]) -> None:
        """Goes on with what is approved, as far as a mode says."""
        for each in approved:
            each.give()
        going = Going(mode)
        onwards = [each.graph for each in approved]
        going.tasks = {each.task.number for each in approved if each.task is not None}
        for graph in self.root.all():
            if graph in onwards or graph.waits_here:
                going.tasks |= graph.standing
        if mode == "OVER":
            going.free = {number for graph in onwards for number in graph.standing}
        if mode == "OUT":
            going.graphs = onwards
        self.going = going
        self.root.go_on()

    def number(self) -> int:
        """Returns a number for a task."""
        return next(self._numbers)

    def pauses(self) -> dict[Wait, list[Approval]]:
        """Returns what it waits for, each with what approves it, in the order of the tasks."""
        found: dict[Wait, list[Approval]] = {}
        for wait, approval in self.root.pauses():
            found.setdefault(wait, []).append(approval)
        return found


@dataclass
class Step:
    """A task of a step."""

    name: str
    number: int
    graph: Shape | None
    sent: int | None
    held: bool = False
    paused: bool = False
    approved: bool = False
    over: bool = False
    inner: Graph | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for an approval."""
        return (self.held or self.paused) and not self.approved


@dataclass
class Approval:
    """What somebody approves: a task, or a breakpoint after a node.

    Attributes:
        graph: Where.
        task: The task; None after a node.
        node: The node, after it.
    """

    graph: Graph
    task: Step | None = None
    node: str = ""

    def give(self) -> None:
        """Approves it."""
        if self.task is not None:
            self.task.approved = True
        else:
            self.graph.approve_after(self.node)


class Graph:
    """A graph that is at a step."""

    def __init__(
        self,
        world: World,
        shape: Shape,
        path: tuple[str, ...],
        log: tuple[str, ...],
        *,
        above: Graph | None = None,
        owner: int = -1,
    ) -> None:
        """Stands before the first step. It is the task `owner` of the graph above."""
        self.above, self.owner = above, owner
        self._world, self._shape, self._path = world, shape, path
        self.log, self._count, self._step, self._stage = log, 0, 1, 0
        self._made: dict[str, tuple[str, ...]] = {}
        self._after: dict[str, bool] = {}
        self._tasks: list[Step] = []
        self._reach(0)

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end, and nothing holds it there."""
        return not self._tasks and all(self._after.values())

    def go_on(self) -> None:
        """Goes as far as it can."""
        while self._tasks and all(self._after.values()):
            waiting = [task for task in self._tasks if task.waits]
            begun = any(task.approved or task.over or task.inner for task in self._tasks)
            if waiting and not begun:
                return
            for task in self._tasks:
                if not task.over and task not in waiting:
                    self._work(task)
            if not all(task.over for task in self._tasks):
                return
            self._end_step()

    @property
    def waits_here(self) -> bool:
        """Whether something waits in this very graph, or did until just now."""
        return bool(self._after) or any(t.waits and not t.over for t in self._tasks)

    @property
    def standing(self) -> set[int]:
        """The numbers of the tasks that have not begun."""
        return {t.number for t in self._tasks if not t.over and t.inner is None}

    def all(self) -> Iterator[Graph]:
        """Yields the graph and all that are at work in it."""
        yield self
        for task in self._tasks:
            if task.inner is not None and not task.over:
                yield from task.inner.all()

    def approve_after(self, node: str) -> None:
        """Approves a breakpoint after a node."""
        self._after[node] = True

    def pauses(self) -> Iterator[tuple[Wait, Approval]]:
        """Yields what waits here and below, each with what approves it."""
        for node, approved in self._after.items():
            if not approved:
                yield ("after", "/".join((*self._path, node))), Approval(self, node=node)
        for task in self._tasks:
            if task.inner is not None and not task.over:
                yield from task.inner.pauses()
            elif task.waits and not task.over:
                kind = "before" if task.held else "pause"
                yield (kind, "/".join((*self._path, task.name))), Approval(self, task)

    def _work(self, task: Step) -> None:
        if task.graph is None:
            task.over = True
            return
        if task.inner is None:
            path = (*self._path, task.name)
            made = self._made.get(task.name, ())
            task.inner = Graph(self._world, task.graph, path, made, above=self, owner=task.number)
        task.inner.go_on()
        task.over = task.inner.is_over

    def _end_step(self) -> None:
        ended, self._tasks = self._tasks, []
        for task in ended:
            if task.inner is not None:
                self._made[task.name] = task.inner.log
            else:
                self.log += (task.name,)
                self._count += 1
        self._after = {}
        for task in ended:
            if task.name not in self._after and self._is_held(task, after=True):
                self._after[task.name] = False
        self._step += 1
        following = self._shape.following(self._stage, self._count)
        if following is not None:
            self._reach(following)

    def _reach(self, index: int) -> None:
        stage, self._stage = self._shape.stages[index], index
        sent = range(stage.sends) if stage.sends else [None]
        self._tasks = [
            Step(node.name, self._world.number(), node.graph, n)
            for n in sent
            for node in stage.nodes
        ]
        for task in self._tasks:
            task.held = self._is_held(task, after=False)
            task.paused = self._world.going.holds(self, task.number)

    def _is_held(self, task: Step, *, after: bool) -> bool:
        about = About(self.log, self._count, task.name, self._step, task.sent)
        held = self._world.holds(self._path, about, task.number, after=after)
        return held or self._world.compiled(self._shape, self._path, task.name, after=after)


# --- made up ---


@st.composite
def conditions(draw: st.DrawFn, shape: Shape, path: tuple[str, ...]) -> Condition:
    """Makes a condition up, over the state of a graph."""
    names = names_in(shape, path)
    log = f"state.{made_by(path[-1])}" if path else "state.log"
    count = "state.steps" if path else "state.count"
    number, name = draw(st.integers(0, 5)), draw(st.sampled_from(names))
    return draw(
        st.sampled_from(
            [
                Condition(f"{count} >= {number}", lambda a: a.count >= number),
                Condition(f"{count} % 2 == {number % 2}", lambda a: a.count % 2 == number % 2),
                Condition(f"'{name}' in {log}", lambda a: name in a.log),
                Condition(f"size({log}) == {number}", lambda a: len(a.log) == number),
                Condition(
                    f"{log}.filter(x, x == node).size() < {number}",
                    lambda a: a.log.count(a.node) < number,
                ),
                Condition(f"step == {number}", lambda a: a.step == number),
                Condition(f"node != '{name}'", lambda a: a.node != name),
                Condition(
                    f"task.input.n == {number % 3}",
                    lambda a: None if a.sent is None else a.sent == number % 3,
                ),
                Condition(
                    f"{log}[{number}] == '{name}'",
                    lambda a: a.log[number] == name if number < len(a.log) else None,
                ),
                Condition("false", lambda a: False),
            ]
        )
    )


@st.composite
def stops(draw: st.DrawFn, shape: Shape) -> list[Stop]:
    """Makes breakpoints up."""
    found: list[Stop] = []
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(shape)))
        node = draw(st.sampled_from([*names_in(shape, path), "*"]))
        after = draw(st.booleans())
        if draw(st.integers(0, 3)) == 0:
            found.append(Stop(path, node, after, plain=True))
            continue
        condition = draw(st.none() | conditions(shape, path))
        found.append(Stop(path, node, after, condition, draw(st.sampled_from([0, 0, 0, 1, 2, 4]))))
    return found
