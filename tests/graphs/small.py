"""Small graphs, and what their nodes do."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

INPUT = {"log": ["in"]}


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    count: int
    path: str


def writes(name: str) -> Any:
    """A node that adds its name to the log."""

    async def node(state: Log) -> Log:
        return {"log": [name]}

    return node


def asks(*questions: str) -> Any:
    """A node that asks, and adds the answers to the log."""

    async def node(state: Log) -> Log:
        return {"log": [f"{question} {interrupt(question)}" for question in questions]}

    return node


async def fails(state: Log) -> Log:
    """A node that fails."""
    raise ValueError("as it is")


def chain(**nodes: Any) -> StateGraph[Any]:
    """Nodes one after the other."""
    graph = StateGraph(Log)
    for source, (name, node) in zip([START, *nodes], nodes.items(), strict=False):
        graph.add_node(name, node)
        graph.add_edge(source, name)
    return graph


def beside(**nodes: Any) -> StateGraph[Any]:
    """Nodes beside each other."""
    graph = StateGraph(Log)
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
    return graph
