"""Graphs that ask, and graphs that stop, at the root and in subgraphs."""

from __future__ import annotations

import json
from typing import Any, cast

from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt

from zoo.log import Log, Node, writes


def asks(name: str, **options: Any) -> Node:
    """Returns a node that asks, and adds the answer to the log."""

    async def node(state: Log) -> Log:
        answer = interrupt({"question": name}, **options)
        return {"log": [f"{name}: {answer!r}"]}

    return node


def _asks_by_schema(state: Log) -> Log:
    """Asks with the schema that the first entry of the log is, as JSON."""
    answer = interrupt("?", response_schema=json.loads(state["log"][0]))
    return {"log": [f"answered: {answer!r}"]}


def chain(**nodes: Any) -> StateGraph[Any]:
    """Returns a graph of nodes, one after the other."""
    graph = StateGraph(Log)
    names = list(nodes)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph


def beside(**nodes: Any) -> StateGraph[Any]:
    """Returns a graph of nodes beside each other, and `done` after them."""
    graph = StateGraph(Log)
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
        graph.add_edge(name, "done")
    graph.add_node("done", writes("done"))
    graph.add_edge("done", END)
    return graph


async def _twice(state: Log) -> Log:
    first = interrupt("first?")
    second = interrupt("second?")
    return {"log": [f"{first!r}, {second!r}"]}


def _each() -> StateGraph[Any]:
    async def ask(item: Any) -> Log:
        answer = interrupt({"item": item["n"]})
        return {"log": [f"{item['n']}: {answer!r}"]}

    graph = StateGraph(Log)
    graph.add_node("ask", cast(Any, ask))
    graph.add_conditional_edges(START, lambda s: [Send("ask", {"n": n}) for n in (1, 2, 3)])
    graph.add_edge("ask", END)
    return graph


_SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1}},
    "required": ["amount"],
}

ask = chain(ask=asks("name"), after=writes("after")).compile()
ask_twice = chain(ask=_twice, after=writes("after")).compile()
ask_each = _each().compile()
ask_parallel = beside(left=asks("left"), right=asks("right")).compile()
ask_schema = chain(ask=asks("amount", response_schema=_SCHEMA)).compile()
ask_by_schema = chain(ask=_asks_by_schema).compile()
ask_both = beside(
    age=asks("age", response_schema={"type": "integer", "minimum": 0}),
    colour=asks("colour", response_schema={"enum": ["red", "green"]}),
).compile()
ask_in_child = chain(
    before=writes("before"),
    child=chain(first=writes("first"), ask=asks("child")).compile(),
    after=writes("after"),
).compile()
stop_in_child = chain(
    child=chain(one=writes("one"), two=writes("two")).compile(interrupt_before=["two"]),
    after=writes("after"),
).compile()
stop_without_saver = chain(
    child=chain(
        inner=chain(one=writes("one"), two=writes("two")).compile(
            checkpointer=False, interrupt_before=["two"]
        ),
    ).compile(),
).compile()
stop_and_ask = beside(
    child=chain(one=writes("one"), danger=writes("danger")).compile(interrupt_before=["danger"]),
    ask=asks("beside"),
).compile()
deep = chain(
    middle=chain(
        low=chain(one=writes("one"), two=asks("two"), three=writes("three")).compile(
            interrupt_before=["two"], interrupt_after=["two"]
        ),
    ).compile(),
    after=writes("after"),
).compile()
levels = chain(
    before=writes("before"),
    middle=chain(
        one=writes("one"),
        low=chain(two=writes("two"), three=writes("three")).compile(),
        four=writes("four"),
    ).compile(),
).compile()


@entrypoint()
async def ask_in_entrypoint(value: Any) -> list[Any]:
    """Asks twice and returns its input and both answers."""
    return [value, interrupt("first?"), interrupt("second?")]
