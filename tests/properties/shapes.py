"""Small graphs as data: what each is, how it is built, and how hypothesis makes one up.

A graph is a row of stages, one after another: nodes beside each other, or a node that sends its
input to another one several times. It may go round until a count is reached, and after a
single node it may leave out the stage that follows.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypedDict

from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send


@dataclass(frozen=True)
class Node:
    """A node.

    Attributes:
        name: Its name. In the order of their names nodes are defined, and their tasks run.
        graph: The graph that it is; None if it is none.
    """

    name: str
    graph: Shape | None = None


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        nodes: The nodes beside each other.
        sends: How many tasks of it the node makes that comes before it; 0: one of each node.
        skips: Whether the stage after it is left out when the count is odd.
    """

    nodes: tuple[Node, ...]
    sends: int = 0
    skips: bool = False


@dataclass(frozen=True)
class Shape:
    """A graph.

    Attributes:
        stages: Its stages.
        rounds_to: Goes round until the count is that; 0: goes through once.
        before: The nodes with a breakpoint compiled in before them.
        after: The same after them.
    """

    stages: tuple[Stage, ...]
    rounds_to: int = 0
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def nodes(self) -> list[Node]:
        """All its nodes."""
        return [node for stage in self.stages for node in stage.nodes]

    def without_stops(self) -> Shape:
        """Returns the graph with no breakpoint compiled in, at any depth."""
        stages = tuple(
            replace(
                stage,
                nodes=tuple(
                    replace(node, graph=node.graph and node.graph.without_stops())
                    for node in stage.nodes
                ),
            )
            for stage in self.stages
        )
        return Shape(stages, self.rounds_to)

    def following(self, index: int, count: int) -> int | None:
        """Returns the index of the stage that comes after one; None: the end."""
        if index == len(self.stages) - 1:
            return 0 if count < self.rounds_to else None
        later = index + (2 if self.stages[index].skips and count % 2 else 1)
        return later if later < len(self.stages) else None


def places(shape: Shape) -> list[tuple[str, ...]]:
    """Returns the paths of a graph and its subgraphs."""
    return [(), *((node.name,) for node in shape.nodes if node.graph is not None)]


def longer(left: list[str], right: list[str]) -> list[str]:
    """Takes what a subgraph gives back for what it was given."""
    return right if len(right) > len(left) else left


def made_by(name: str) -> str:
    """Returns the key of the state in which a subgraph writes."""
    return f"made_{name}"


def build(shape: Shape, ledger: Counter[str]) -> Any:
    """Returns the graph, whose nodes note in a ledger that they ran."""
    return _build(shape, ledger, "")


def _build(shape: Shape, ledger: Counter[str], within: str) -> Any:
    log = made_by(within) if within else "log"
    keys: dict[str, Any] = {
        log: Annotated[list[str], operator.add],
        "count": Annotated[int, operator.add],
    }
    if within:
        # The count of a subgraph is its own.
        keys["steps"] = keys.pop("count")
    for node in shape.nodes:
        if node.graph is not None:
            keys[made_by(node.name)] = Annotated[list[str], longer]
    counted = "steps" if within else "count"
    graph: Any = StateGraph(TypedDict("State", keys))  # type: ignore[operator]
    for stage in shape.stages:
        for node in stage.nodes:
            if node.graph is not None:
                graph.add_node(node.name, _build(node.graph, ledger, node.name))
            else:
                graph.add_node(node.name, _writes(node.name, within, log, counted, ledger))
    first = [node.name for node in shape.stages[0].nodes]
    for name in first:
        graph.add_edge(START, name)
    for index, stage in enumerate(shape.stages):
        _leave(graph, shape, index, stage, counted)
    return graph.compile(interrupt_before=list(shape.before), interrupt_after=list(shape.after))


def _leave(graph: Any, shape: Shape, index: int, stage: Stage, counted: str) -> None:
    names = [node.name for node in stage.nodes]

    def go(state: Any) -> Any:
        following = shape.following(index, state[counted])
        if following is None:
            return END
        entered = shape.stages[following]
        if entered.sends:
            return [Send(entered.nodes[0].name, {"n": n}) for n in range(entered.sends)]
        return [node.name for node in entered.nodes]

    last = index == len(shape.stages) - 1
    later = None if last else shape.stages[index + 1]
    if (last and shape.rounds_to) or stage.skips or (later is not None and later.sends):
        assert len(names) == 1
        targets = {
            node.name: node.name
            for following in (shape.following(index, 0), shape.following(index, 1))
            if following is not None
            for node in shape.stages[following].nodes
        }
        graph.add_conditional_edges(names[0], go, {**targets, END: END})
    elif later is None:
        for name in names:
            graph.add_edge(name, END)
    else:
        for node in later.nodes:
            graph.add_edge(names if len(names) > 1 else names[0], node.name)


def _writes(name: str, within: str, log: str, counted: str, ledger: Counter[str]) -> Any:
    path = f"{within}/{name}" if within else name

    async def node(state: Any) -> Any:
        ledger[path] += 1
        return {log: [name], counted: 1}

    return node


# --- made up ---


@st.composite
def shapes(draw: st.DrawFn, *, prefix: str = "n", child: bool = True) -> Shape:
    """Makes a graph up."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    rounds_to = draw(st.sampled_from([0, 0, 3, 5]))
    if rounds_to:
        counts[-1] = 1
    names = (f"{prefix}{number:02d}" for number in range(100))
    stages: list[Stage] = []
    has_child = False
    for index, count in enumerate(counts):
        last = index == len(counts) - 1
        alone = bool(stages) and len(stages[-1].nodes) == 1 and not stages[-1].sends
        plain = not (last and rounds_to)
        sends = draw(st.sampled_from([0, 0, 2, 3])) if alone and plain and child else 0
        if sends:
            stages.append(Stage((Node(next(names)),), sends))
            continue
        nodes = [Node(next(names)) for _ in range(count)]
        if child and plain and not has_child and draw(st.booleans()):
            has_child = True
            inner = draw(shapes(prefix="k", child=False))
            nodes[0] = Node(nodes[0].name, inner)
        skips = not last and count == 1 and draw(st.integers(0, 3)) == 0
        stages.append(Stage(tuple(nodes), 0, skips))
    # What a stage with sends may be left out for must be entered as well as it.
    names_all = [node.name for stage in stages for node in stage.nodes]
    rarely = st.integers(0, 9).map(lambda number: number == 9)
    some = st.lists(st.sampled_from(names_all), max_size=2, unique=True).map(tuple)
    before = draw(some) if draw(rarely) else ()
    after = draw(some) if draw(rarely) else ()
    return Shape(tuple(stages), rounds_to, before, after)


def names_in(shape: Shape, path: Sequence[str]) -> list[str]:
    """Returns the nodes of the graph at a path."""
    for name in path:
        (shape,) = [n.graph for n in shape.nodes if n.name == name and n.graph is not None]
    return [node.name for node in shape.nodes]
