"""Nodes that the engine treats in ways of their own."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from langgraph.cache.memory import InMemoryCache
from langgraph.errors import NodeError
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Command, RetryPolicy, interrupt

from zoo.log import Log, writes
from zoo.questions import chain

_numbers = itertools.count(1)


async def _number(state: Log) -> Log:
    return {"log": [f"number {next(_numbers)}"]}


def _cached() -> Any:
    graph = StateGraph(Log)
    graph.add_node("number", _number, cache_policy=CachePolicy())
    graph.add_node("after", writes("after"))
    graph.add_edge(START, "number")
    graph.add_edge("number", "after")
    return graph.compile(cache=InMemoryCache())


#: Its first node writes another number each time that it runs.
cached = _cached()


async def _fail_once(state: Log) -> Log:
    path = Path(state["path"])
    if not path.exists():
        path.touch()
        raise ConnectionError("try again")
    return {"log": ["retried"]}


def _retried() -> Any:
    graph = StateGraph(Log)
    policy = RetryPolicy(initial_interval=0.01, max_attempts=3)
    graph.add_node("retried", _fail_once, retry_policy=policy)
    graph.add_node("after", writes("after"))
    graph.add_edge(START, "retried")
    graph.add_edge("retried", "after")
    return graph.compile()


retried = _retried()


async def _fail(state: Log) -> Log:
    raise ValueError("handle this")


async def _handle(state: Log, error: NodeError) -> Command[Any]:
    return Command(update={"log": [f"handled {error.node}"]}, goto="after")


def _handled() -> Any:
    graph = StateGraph(Log)
    graph.add_node("fails", _fail, error_handler=_handle, destinations=("after",))
    graph.add_node("after", writes("after"))
    graph.add_edge(START, "fails")
    return graph.compile()


handled = _handled()


async def _ask_to_handle(state: Log, error: NodeError) -> Log:
    return {"log": [f"{error.node}: {interrupt('first?')}, {interrupt('second?')}"]}


def _handler_asks() -> Any:
    graph = StateGraph(Log)
    graph.add_node("fails", _fail, error_handler=_ask_to_handle)
    graph.add_edge(START, "fails")
    return graph.compile()


handler_asks = _handler_asks()

#: Its first node is one that the engine does not show.
hidden = chain(hidden=writes("hidden"), shown=writes("shown")).compile()
hidden.nodes["hidden"].tags = ["langsmith:hidden"]


async def _go_up(state: Log) -> Command[Any]:
    return Command(graph=Command.PARENT, goto="danger", update={"log": ["up"]})


def _goes_up() -> Any:
    graph = StateGraph(Log)
    graph.add_node("child", chain(go=_go_up).compile(), destinations=("danger",))
    graph.add_node("danger", writes("danger"))
    graph.add_edge(START, "child")
    graph.add_edge("danger", END)
    return graph.compile()


#: A node of its subgraph goes to a node of the root.
goes_up = _goes_up()


@task
async def _step(name: str) -> str:
    return f"{name} {next(_numbers)}"


@entrypoint()
async def steps(value: Any) -> list[Any]:
    """Does a step, asks, and does another one."""
    first = await _step("first")
    answer = interrupt("go on?")
    return [first, answer, await _step("second")]
