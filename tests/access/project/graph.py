"""Graphs for tests of who may do what."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.config import get_config
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime


class Log(TypedDict, total=False):
    """What the nodes have noted."""

    log: Annotated[list[Any], operator.add]


def _first(state: Log) -> Log:
    return {"log": ["first"]}


def _second(state: Log, runtime: Runtime[None]) -> Log:
    """Notes who runs it, by each of the ways in which a node learns it."""
    configurable = get_config()["configurable"]
    user = configurable.get("langgraph_auth_user")
    if user is None:
        return {"log": ["nobody"]}
    told = runtime.server_info.user if runtime.server_info else None
    return {
        "log": [
            {
                "identity": user.identity,
                "same": [user["identity"] == configurable["langgraph_auth_user_id"], told is user],
                "permissions": list(configurable["langgraph_auth_permissions"]),
                "known": sorted(user),
            }
        ]
    }


_builder = StateGraph(Log)
_builder.add_node("first", _first)
_builder.add_node("second", _second)
_builder.add_edge(START, "first")
_builder.add_edge("first", "second")
_builder.add_edge("second", END)

two = _builder.compile()
