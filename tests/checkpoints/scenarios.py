"""Graphs, and what is done with them. Each scenario returns what was seen on the way."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, Durability, Send, StateSnapshot, interrupt

AnyGraph = Pregel[Any, Any, Any, Any]
AnySaver = BaseCheckpointSaver[Any]

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    n: int


def concatenated(old: list[str], new: Sequence[list[str]]) -> list[str]:
    return [*old, *chain(*new)]


class DeltaState(TypedDict):
    often: Annotated[list[str], DeltaChannel(concatenated, snapshot_frequency=3)]
    seldom: Annotated[list[str], DeltaChannel(concatenated, snapshot_frequency=1000)]
    n: int


class OftenState(TypedDict):
    often: Annotated[list[str], DeltaChannel(concatenated, snapshot_frequency=3)]
    n: int


class Session:
    """Drives one thread of a graph, and notes what it sees."""

    def __init__(self, graph: AnyGraph, durability: Durability) -> None:
        self.graph = graph
        self.durability: Durability = durability
        self.seen: list[Any] = []

    async def run(self, start: Any, config: RunnableConfig = THREAD) -> None:
        """Runs the graph to where it stops."""
        try:
            result = await self.graph.ainvoke(start, config, durability=self.durability)
        except Exception as error:  # noqa: BLE001 (it is part of what is seen)
            self.seen.append(repr(error))
        else:
            result.pop("__interrupt__", None)
            self.seen.append(result)
        await self.look()

    async def look(self) -> None:
        """Notes the thread's state and its history."""
        state = await self.graph.aget_state(THREAD, subgraphs=True)
        self.seen.append(("state", told(state)))
        self.seen.append(("history", [told(state) for state in await self.history()]))

    async def history(self) -> list[StateSnapshot]:
        """Returns the thread's states, the newest first."""
        return [state async for state in self.graph.aget_state_history(THREAD)]

    async def at_step(self, step: int) -> RunnableConfig:
        """Returns the config of the latest checkpoint of a step."""
        for state in await self.history():
            if state.metadata and state.metadata["step"] == step:
                return state.config
        raise LookupError(step)


def told(state: StateSnapshot) -> Any:
    """Returns what a state says, without what is new each time."""
    metadata = state.metadata or {}
    tasks = [
        (
            each.name,
            each.error and repr(each.error),
            [question.value for question in each.interrupts],
            told(each.state) if isinstance(each.state, StateSnapshot) else None,
            each.result,
        )
        for each in state.tasks
    ]
    return (
        state.values,
        state.next,
        metadata.get("source"),
        metadata.get("step"),
        metadata.get("counters_since_delta_snapshot"),
        state.parent_config is not None,
        tasks,
    )


def node(name: str) -> Any:
    async def run(state: State) -> State:
        return {"log": [f"{name} {'x' * 50}"], "n": state.get("n", 0) + 1}

    return run


def asking(*questions: str) -> Any:
    async def run(state: State) -> State:
        return {"log": [f"{question}: {interrupt(question)}" for question in questions]}

    return run


async def loop(saver: AnySaver, durability: Durability) -> list[Any]:
    """A list that grows; a fork at an old checkpoint; new input."""
    builder = StateGraph(State)
    builder.add_node("step", node("step"))
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", lambda s: END if s["n"] % 10 == 0 else "step")
    session = Session(builder.compile(checkpointer=saver), durability)
    await session.run({"log": ["input"], "n": 0})
    if durability != "exit":
        await session.run(None, await session.at_step(5))
        fork = await session.graph.aupdate_state(await session.at_step(3), {"log": ["edit"]})
        await session.look()
        await session.run(None, fork)
    await session.run({"log": ["again"], "n": 5})
    return session.seen


async def fan_out(saver: AnySaver, durability: Durability) -> list[Any]:
    """Tasks made by Send, one of which fails the first time."""
    failing = {2}

    async def work(state: State) -> State:
        if state["n"] in failing:
            failing.clear()
            raise RuntimeError("once")
        return {"log": [f"work {state['n']}"]}

    builder = StateGraph(State)
    builder.add_node("plan", node("plan"))
    builder.add_node("work", work)
    builder.add_node("join", node("join"))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda s: [Send("work", {"n": n}) for n in range(4)])
    builder.add_edge("work", "join")
    session = Session(builder.compile(checkpointer=saver), durability)
    await session.run({"log": ["input"]})
    await session.run(None)
    return session.seen


async def questions(saver: AnySaver, durability: Durability) -> list[Any]:
    """Several questions at once, two of them in one node, answered one by one."""
    builder = StateGraph(State)
    builder.add_node("first", asking("a", "b"))
    builder.add_node("second", asking("c"))
    builder.add_node("end", node("end"))
    builder.add_edge(START, "first")
    builder.add_edge(START, "second")
    builder.add_edge(["first", "second"], "end")
    session = Session(builder.compile(checkpointer=saver), durability)
    await session.run({"log": ["input"]})
    for _ in range(3):
        state = await session.graph.aget_state(THREAD)
        asked = sorted(state.interrupts, key=lambda question: str(question.value))
        await session.run(Command(resume={asked[0].id: f"answer to {asked[0].value}"}))
    return session.seen


async def commands(saver: AnySaver, durability: Durability) -> list[Any]:
    """Breakpoints, edits in front of them, updates and jumps."""
    builder = StateGraph(State)
    for name in ("one", "two", "three"):
        builder.add_node(name, node(name))
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    builder.add_edge("two", "three")
    graph = builder.compile(checkpointer=saver, interrupt_before=["two"], interrupt_after=["three"])
    session = Session(graph, durability)
    await session.run({"log": ["input"]})
    await graph.aupdate_state(THREAD, {"log": ["edited"]})
    await session.run(None)
    await session.run(Command(update={"log": ["updated"]}, goto="one"))
    await graph.aupdate_state(THREAD, {"log": ["in its place"]}, as_node="two")
    await session.look()
    await session.run(None)
    await graph.aupdate_state(THREAD, None, as_node=END)
    await graph.aupdate_state(THREAD, None, as_node="__copy__")
    await session.look()
    return session.seen


def subgraphs(kept: Literal[True] | None) -> Callable[[AnySaver, Durability], Awaitable[list[Any]]]:
    async def scenario(saver: AnySaver, durability: Durability) -> list[Any]:
        """A child that asks, is called in a loop, and a grandchild; then a replay."""
        grandchild = StateGraph(State)
        grandchild.add_node("deep", asking("deep"))
        grandchild.add_edge(START, "deep")
        child = StateGraph(State)
        child.add_node("before", node("child"))
        child.add_node("ask", asking("child"))
        child.add_node("inner", grandchild.compile())
        child.add_edge(START, "before")
        child.add_edge("before", "ask")
        child.add_edge("ask", "inner")
        builder = StateGraph(State)
        builder.add_node("start", node("start"))
        builder.add_node("child", child.compile(checkpointer=kept))
        builder.add_edge(START, "start")
        builder.add_edge("start", "child")
        builder.add_conditional_edges("child", lambda s: END if s["n"] > 2 else "start")
        session = Session(builder.compile(checkpointer=saver), durability)
        await session.run({"log": ["input"], "n": 0})
        for answer in "abcd":
            await session.run(Command(resume=answer))
        await session.run(None, await session.at_step(1))
        await session.run(Command(resume="after the replay"))
        return session.seen

    return scenario


async def deltas(saver: AnySaver, durability: Durability) -> list[Any]:
    """Channels that are rebuilt from their writes, on two branches."""

    async def step(state: DeltaState) -> dict[str, Any]:
        return {"often": [f"o{state['n']}"], "seldom": [f"s{state['n']}"], "n": state["n"] + 1}

    builder = StateGraph(DeltaState)
    builder.add_node("step", step)
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", lambda s: END if s["n"] % 8 == 0 else "step")
    session = Session(builder.compile(checkpointer=saver), durability)
    for n in (0, 9):
        await session.run({"often": ["input"], "seldom": ["input"], "n": n})
    if durability != "exit":
        await session.run(None, await session.at_step(6))
        old = await session.at_step(2)
        await session.graph.aupdate_state(old, {"often": ["edit"], "n": 13})
        await session.run(None)
    return session.seen


async def functional(saver: AnySaver, durability: Durability) -> list[Any]:
    """The functional API: tasks that are not done again, and what was returned before."""
    calls: list[int] = []

    @task
    async def double(n: int) -> int:
        calls.append(n)
        return 2 * n

    @entrypoint(checkpointer=saver)
    async def flow(n: int, *, previous: dict[str, Any] | None = None) -> dict[str, Any]:
        doubled = [await double(n), await double(n + 1)]
        answer = interrupt("how much more?")
        return {"sum": sum(doubled) + answer, "previous": previous}

    session = Session(flow, durability)
    for n in (1, 10):
        await session.run(n)
        await session.run(Command(resume=100))
    return [*session.seen, calls]


SCENARIOS: dict[str, Callable[[AnySaver, Durability], Awaitable[list[Any]]]] = {
    "loop": loop,
    "fan out": fan_out,
    "questions": questions,
    "commands": commands,
    "subgraphs": subgraphs(None),
    "kept subgraphs": subgraphs(True),
    "deltas": deltas,
    "functional": functional,
}
