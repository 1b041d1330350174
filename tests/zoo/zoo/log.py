"""The state that most graphs here have: a log to which each node adds its name."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict


class Log(TypedDict, total=False):
    """A log, and whatever single values a graph needs."""

    log: Annotated[list[str], operator.add]
    count: int
    path: str


# StateGraph.add_node has no type for nodes of a graph that is made in a function.
Node = Any


def writes(name: str) -> Node:
    """Returns a node that adds its name to the log."""

    async def node(state: Log) -> Log:
        return {"log": [name]}

    return node


def writes_in_thread(name: str) -> Node:
    """Returns a plain function that does so."""

    def node(state: Log) -> Log:
        return {"log": [name]}

    return node
