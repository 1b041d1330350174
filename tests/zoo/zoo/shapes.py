"""Graphs of every shape."""

from __future__ import annotations

from typing import Any, cast

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from zoo.log import Log, writes


def _linear() -> StateGraph[Any]:
    graph = StateGraph(Log)
    for name in "abc":
        graph.add_node(name, writes(name))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("b", "c")
    graph.add_edge("c", END)
    return graph


linear = _linear().compile()
builder = _linear()
stops = _linear().compile(interrupt_before=["b"], interrupt_after=["c"])
own_saver = _linear().compile(checkpointer=InMemorySaver())


def _loop() -> StateGraph[Any]:
    async def step(state: Log) -> Log:
        return {"log": ["step"], "count": state.get("count", 0) + 1}

    graph = StateGraph(Log)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda s: "step" if s["count"] < 3 else END)
    return graph


loop = _loop().compile()


def _fanout() -> StateGraph[Any]:
    async def work(item: Any) -> Log:
        return {"log": [f"work {item['n']}"]}

    graph = StateGraph(Log)
    graph.add_node("plan", writes("plan"))
    graph.add_node("work", cast(Any, work))
    graph.add_node("join", writes("join"))
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", lambda s: [Send("work", {"n": n}) for n in (1, 2, 3)])
    graph.add_edge("work", "join")
    graph.add_edge("join", END)
    return graph


fanout = _fanout().compile()


def _router() -> StateGraph[Any]:
    graph = StateGraph(Log)
    for name in ("start", "left", "right"):
        graph.add_node(name, writes(name))
    graph.add_edge(START, "start")
    graph.add_conditional_edges(
        "start", lambda s: "left" if s.get("count", 0) % 2 == 0 else "right", ["left", "right"]
    )
    graph.add_edge("left", END)
    graph.add_edge("right", END)
    return graph


router = _router().compile()
