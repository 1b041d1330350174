"""The state that most graphs of tests in process have: a log to which nodes add their names."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict


class Log(TypedDict, total=False):
    """A log, and whatever single values a graph needs."""

    log: Annotated[list[str], operator.add]
    count: int
    path: str


def writes(name: str) -> Any:
    """Returns a node that adds its name to the log."""

    async def node(state: Log) -> Log:
        return {"log": [name]}

    return node
