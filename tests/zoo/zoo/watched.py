"""A graph that keeps a ledger of which nodes began, and whose nodes wait and fail on demand.

The folder `path` of the state says how: a node waits while `<name>.hold` is there, and then
fails if `<name>.fail` is. The ledger in it has a line for each time that a node began.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from zoo.log import Log, Node


def _watched(name: str, *, asks: bool = False) -> Node:
    async def node(state: Log) -> Log:
        folder = Path(state["path"])
        with (folder / "ledger").open("a") as ledger:
            ledger.write(f"{name}\n")
        while (folder / f"{name}.hold").exists():
            await asyncio.sleep(0.005)
        wrote = f"{name}: {interrupt('well?')}" if asks else name
        if (folder / f"{name}.fail").exists():
            raise ValueError(f"{name} fails")
        return {"log": [wrote]}

    return node


def _watched_graph() -> StateGraph[Any]:
    graph = StateGraph(Log)
    for name in ("a", "b", "c"):
        graph.add_node(name, _watched(name))
    graph.add_node("ask", _watched("ask", asks=True))
    graph.add_edge(START, "a")
    graph.add_edge("a", "ask")
    graph.add_edge("a", "b")
    graph.add_edge("ask", "c")
    graph.add_edge("b", "c")
    graph.add_edge("c", END)
    return graph


#: `a`, then `ask` (which asks) and `b` beside each other, then `c`.
watched = _watched_graph().compile()
