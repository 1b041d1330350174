"""Graphs that ask: once, twice, several at once, and for each part of a Send."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from ledgered.nodes import State, Task, asks, beside, chain, left, step

PARTS = (1, 2, 3)


async def _work(part: Any, config: RunnableConfig) -> dict[str, Any]:
    task = Task.of(config)
    task.begin(part)
    task.end()
    return left(f"work {part['part']}")


async def _ask_for(part: Any, config: RunnableConfig) -> dict[str, Any]:
    task = Task.of(config)
    task.begin(part)
    told = task.ask(f"part {part['part']}?")
    task.end()
    return left(told)


def _fan_out(worker: Any) -> StateGraph[Any]:
    graph = StateGraph(State)
    graph.add_node("split", step("split"))
    graph.add_node("work", worker)
    graph.add_node("join", step("join"))
    graph.add_edge(START, "split")
    graph.add_conditional_edges(
        "split", lambda state: [Send("work", {"part": part}) for part in PARTS], ["work"]
    )
    graph.add_edge("work", "join")
    graph.add_edge("join", END)
    return graph


ask = chain({"before": step("before"), "ask": asks("name?"), "after": step("after")}).compile()
ask_twice = chain({"ask": asks("first?", "second?"), "after": step("after")}).compile()
ask_in_turn = chain({"one": asks("one?"), "two": asks("two?"), "after": step("after")}).compile()
ask_beside = beside(
    {
        "left": asks("left?"),
        "middle": asks("middle?"),
        "right": asks("right?"),
        "free": step("free"),
    }
).compile()
fan_out = _fan_out(_work).compile()
ask_each = _fan_out(_ask_for).compile()
