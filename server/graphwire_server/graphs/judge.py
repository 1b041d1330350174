"""Judges which breakpoints hold a task, and why.

The judge of a run knows all breakpoints in force, by graph and node. It is asked by the gate when
a task is about to begin, and where a thread stands: each time with the same answer, since the
state before a task does not change. What was approved is not its concern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphwire_server.graphs.breakpoints import ALL, Breakpoint, BreakpointSource, Met, locate
from graphwire_server.graphs.conditions import (
    Condition,
    ConditionError,
    ConditionFailed,
    Purse,
    Variables,
    compile_condition,
)
from graphwire_server.graphs.conditions.types import Type
from graphwire_server.graphs.places import Namespace, Path, Place, Task, path_of


@dataclass(frozen=True, slots=True)
class Facts:
    """What a condition may look at. Each is read only when one does.

    Attributes:
        state: Returns the state of the graph that the task belongs to.
        input: Returns what the task gets.
        step: The number of the step.
    """

    state: Callable[[], Any]
    input: Callable[[], Any]
    step: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """That a task must wait.

    Attributes:
        met: The breakpoints that hold it; none if somebody has asked for a pause.
    """

    met: tuple[Met, ...] = ()


@dataclass(frozen=True, slots=True)
class Stepping:
    """How far a run goes before it pauses again.

    Attributes:
        resumed: The ids of the tasks that it may begin.
        free: The graphs in which nothing is held, nor in what is below them.
    """

    resumed: frozenset[str] = frozenset()
    free: tuple[Namespace, ...] = ()

    def holds(self, task: Task) -> bool:
        """Returns whether a task is beyond that."""
        return task.task_id not in self.resumed and not any(
            task.namespace[: len(above)] == above for above in self.free
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    """A breakpoint, ready to be asked.

    Attributes:
        breakpoint: The breakpoint.
        condition: Its condition; None: always.
        error: Why its condition can't be used in this graph; empty if it can.
    """

    breakpoint: Breakpoint
    condition: Condition | None = None
    error: str = ""

    @property
    def is_plain(self) -> bool:
        """Returns whether it holds each task."""
        return bool(self.error) or (self.condition is None and not self.breakpoint.skip_first)


@dataclass(slots=True)
class _Rules:
    """The breakpoints in one graph, by node; ALL for each of them."""

    before: dict[str, list[_Rule]] = field(default_factory=dict)
    after: dict[str, list[_Rule]] = field(default_factory=dict)


CountsHit = Callable[[str, str], None]
#: By breakpoint (see `hit_key`), the tasks that it has let pass.
Hits = dict[str, set[str]]


class UnknownPlaceError(Exception):
    """A breakpoint is at no node of the graph; the text names it."""


class Judge:
    """The breakpoints of one run.

    Attributes:
        pausing: Whether somebody has asked that nothing begins any more.
    """

    def __init__(
        self,
        places: Mapping[Path, Place],
        breakpoints: Iterable[Breakpoint],
        *,
        metadata: Mapping[str, Any] | None = None,
        hits: Mapping[str, Iterable[str]] | None = None,
        waiting: Mapping[str, Verdict] | None = None,
        stepping: Stepping | None = None,
        run_to: str = "",
        pausing: bool = False,
    ) -> None:
        """Makes the judge.

        Args:
            places: The graph and its subgraphs, with what is compiled into them.
            breakpoints: All others in force.
            metadata: That of the run, for conditions.
            hits: By breakpoint (see `hit_key`), the tasks that it has let pass since it skips
                the first ones.
            waiting: The tasks with an open pause before them: they wait for its answer, whatever
                has become of the breakpoint.
            stepping: How far the run goes; None: as far as it can.
            run_to: The node before which it pauses; empty: none.
            pausing: Whether nothing is to begin.

        Raises:
            UnknownPlaceError: The graph has no such node.
        """
        self.pausing = pausing
        self._places = places
        self._metadata = metadata or {}
        self._hits = {key: set(tasks) for key, tasks in (hits or {}).items()}
        self._waiting = dict(waiting or {})
        self._stepping = stepping
        self._run_to = self._located(run_to) if run_to else None
        self._met: dict[str, tuple[Met, ...]] = {}
        # By task: the position is asked for the same tasks as the gate.
        self._asked: dict[str, Sequence[tuple[Breakpoint, str]]] = {}
        self._purses: dict[tuple[Path, int], Purse] = {}
        self._counts_hit: CountsHit | None = None
        self._rules: dict[Path, _Rules] = {}
        self._barred: frozenset[str] = frozenset()
        self.set(breakpoints)

    def set(self, breakpoints: Iterable[Breakpoint]) -> None:
        """Puts breakpoints in place of those given before. Raises UnknownPlaceError."""
        rules: dict[Path, _Rules] = {}
        for path, place in self._places.items():
            for side in (False, True):
                names = place.compiled.after if side else place.compiled.before
                for name in names:
                    compiled = Breakpoint(name, after=side, source=BreakpointSource.COMPILED)
                    _add(rules, path, name, _Rule(compiled))
        for each in breakpoints:
            path, node = self._located(each.node)
            if (
                not each.condition
                and not each.breakpoint_id
                and _has_plain(rules, path, node, each)
            ):
                continue  # compiled in as well
            _add(rules, path, node, _rule(each, self._places[path].state))
        self._rules = rules
        self._met.clear()
        self._asked.clear()
        self._purses.clear()
        # A node is also barred for what is inside it, at any depth.
        self._barred = frozenset(
            name
            for path, there in rules.items()
            for name in (*there.before, *(path if there.before or there.after else ()))
        )

    def count_hits(self, counts_hit: CountsHit) -> None:
        """Sets who keeps, by breakpoint and task, which tasks were let pass."""
        self._counts_hit = counts_hit

    def bars(self, node: str) -> bool:
        """Returns whether a node of that name, or what is inside it, may have to wait."""
        barred = node in self._barred or ALL in self._barred
        goes_far = self._stepping is None and self._run_to is None
        return barred or self.pausing or bool(self._waiting) or not goes_far

    def hold(self, task: Task, verdict: Verdict) -> None:
        """Notes that a task waits: it does until it is approved, whatever is changed meanwhile."""
        self._waiting[task.task_id] = verdict

    def step_ended(self, namespace: Namespace) -> None:
        """Notes that a step of a graph has ended: the graphs below it begin anew."""
        path = path_of(namespace)
        for key in [*self._purses]:
            below, _ = key
            if len(below) > len(path) and below[: len(path)] == path:
                del self._purses[key]

    def passing(self) -> Hits:
        """Returns whom breakpoints have let pass so far, for a look at several tasks in turn."""
        return {key: set(tasks) for key, tasks in self._hits.items()}

    def before(
        self, task: Task, facts: Facts | None, *, looks: Hits | None = None
    ) -> Verdict | None:
        """Returns why a task must wait before it begins; None if it need not.

        Args:
            task: The task.
            facts: What conditions may look at.
            looks: None if the task begins when nothing holds it: breakpoints that skip the first
                ones count it. Else it is only looked at, after others that would begin: what
                `passing` has returned before the first of them.
        """
        waiting = self._waiting.get(task.task_id)
        if waiting is not None:
            return waiting
        path = path_of(task.namespace)
        place = self._places.get(path)
        # Handlers of errors, and functions that a node calls as tasks, are no nodes.
        if place is None or task.node not in place.nodes:
            return None
        met = self._met_before(path, task, facts, looks)
        # In a graph without checkpoints nobody could resume it.
        if met or not (place.has_doors and place.keeps_checkpoints):
            return Verdict(met) if met else None
        stepping = self._stepping
        if self.pausing or (stepping is not None and stepping.holds(task)):
            return Verdict()
        if self._run_to is not None and self._run_to[0] == path:
            return Verdict() if self._run_to[1] in (task.node, ALL) else None
        return None

    def after(self, tasks: Sequence[tuple[Task, Facts | None]]) -> dict[str, tuple[Met, ...]]:
        """Returns the breakpoints met after the nodes of a step that has ended, by node.

        Args:
            tasks: The tasks of the step, of one graph, with the state that it has led to.
        """
        met: dict[str, tuple[Met, ...]] = {}
        for task, facts in tasks:
            there = self._rules.get(path_of(task.namespace))
            if there is None or task.node in met:
                continue
            rules = (*there.after.get(task.node, ()), *there.after.get(ALL, ()))
            found = self._holding(self._ask(rules, task, facts), task, None) if rules else ()
            if found:
                met[task.node] = found
        return met

    def _met_before(
        self, path: Path, task: Task, facts: Facts | None, looks: Hits | None
    ) -> tuple[Met, ...]:
        there = self._rules.get(path)
        if there is None or not there.before:
            return ()
        rules = (*there.before.get(task.node, ()), *there.before.get(ALL, ()))
        if not rules:
            return ()
        if all(rule.is_plain for rule in rules):
            return tuple(Met(rule.breakpoint, rule.error) for rule in rules)
        met = self._met.get(task.task_id)
        if met is None:
            asked = self._asked.get(task.task_id)
            if asked is None:
                asked = self._ask(rules, task, facts)
                if facts is not None:
                    self._asked[task.task_id] = asked
            met = self._holding(asked, task, looks)
            if looks is None:
                self._met[task.task_id] = met
        return met

    def _ask(
        self, rules: Sequence[_Rule], task: Task, facts: Facts | None
    ) -> Sequence[tuple[Breakpoint, str]]:
        """Returns the breakpoints whose conditions are met, with why one can't be asked."""
        found = []
        purse = self._purse(task, facts)
        purse.add_task()
        for rule in rules:
            error = rule.error
            if rule.condition is not None:
                try:
                    if not rule.condition.holds(self._variables(task, facts), purse):
                        continue
                except ConditionFailed as failed:
                    # Fail closed: nobody can say that the node may run.
                    error = str(failed)
            found.append((rule.breakpoint, error))
        return found

    def _holding(
        self, asked: Sequence[tuple[Breakpoint, str]], task: Task, looks: Hits | None
    ) -> tuple[Met, ...]:
        """Returns the breakpoints that hold a task, of those whose conditions are met."""
        return tuple(
            Met(breakpoint_, error)
            for breakpoint_, error in asked
            if error or not self._skips(breakpoint_, task, looks)
        )

    def _purse(self, task: Task, facts: Facts | None) -> Purse:
        """Returns what the conditions of a task's step may cost yet.

        Subgraphs that a fan-out has begun share it: they are at work at the same time.
        """
        if facts is None:
            return Purse()
        return self._purses.setdefault((path_of(task.namespace), facts.step), Purse())

    def _skips(self, breakpoint_: Breakpoint, task: Task, looks: Hits | None) -> bool:
        """Returns whether a breakpoint lets a task pass as one of the first ones."""
        if not breakpoint_.skip_first:
            return False
        key, hits = hit_key(breakpoint_), self._hits if looks is None else looks
        passed = hits.setdefault(key, set())
        if task.task_id in passed:
            return True
        if len(passed) >= breakpoint_.skip_first:
            return False
        passed.add(task.task_id)
        if looks is None and self._counts_hit is not None:
            self._counts_hit(key, task.task_id)
        return True

    def _variables(self, task: Task, facts: Facts | None) -> Variables:
        if facts is None:
            raise ConditionFailed("the state there is not known")
        return Variables(
            node=task.node,
            step=facts.step,
            task_id=task.task_id,
            task_input=facts.input,
            state=facts.state,
            metadata=lambda: self._metadata,
        )

    def _located(self, name: str) -> tuple[Path, str]:
        located = locate(name, self._places)
        if located is None:
            raise UnknownPlaceError(name)
        return located.path, located.node


def hit_key(breakpoint_: Breakpoint) -> str:
    """Returns by what the tasks are kept that a breakpoint has let pass.

    A run, its thread and its assistant may each have a breakpoint of the same id.
    """
    own = breakpoint_.source is BreakpointSource.RUN
    return breakpoint_.breakpoint_id if own else f"{breakpoint_.source}/{breakpoint_.breakpoint_id}"


def _rule(breakpoint_: Breakpoint, state: Mapping[str, Type] | None) -> _Rule:
    """Returns a breakpoint as it is asked.

    Its condition was checked when it arrived; the graph may have changed since. What can't be
    asked holds.
    """
    if not breakpoint_.condition:
        return _Rule(breakpoint_)
    try:
        return _Rule(breakpoint_, compile_condition(breakpoint_.condition, state))
    except ConditionError as error:
        return _Rule(breakpoint_, error=str(error))


def _add(rules: dict[Path, _Rules], path: Path, node: str, rule: _Rule) -> None:
    there = rules.setdefault(path, _Rules())
    side = there.after if rule.breakpoint.after else there.before
    side.setdefault(node, []).append(rule)


def _has_plain(
    rules: Mapping[Path, _Rules], path: Path, node: str, breakpoint_: Breakpoint
) -> bool:
    there = rules.get(path, _Rules())
    side = there.after if breakpoint_.after else there.before
    return any(not rule.breakpoint.breakpoint_id for rule in side.get(node, ()))
