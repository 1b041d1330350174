"""Graphs whose nodes say which process they ran in, in the state and in a ledger outside it.

A node that waits does so until the file `path` of its state exists, and says that it has
begun by making `<path>.begun`.
"""

from __future__ import annotations

import asyncio
import operator
import os
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    """The state of all graphs here.

    `log` gets an entry for each node; `pids` the process that it ended in. `march` takes
    `steps` steps of `pace` seconds, and waits in step `halt` for the file `path`, in the one
    after that for `path_of_next`.
    """

    log: Annotated[list[str], operator.add]
    pids: Annotated[list[int], operator.add]
    steps: int
    pace: float
    halt: int
    path: str
    path_of_next: str
    ledger: str
    seconds: float


def _did(entry: str) -> State:
    return {"log": [entry], "pids": [os.getpid()]}


def _note(state: State, text: str) -> None:
    """Adds a line to the ledger, whole whoever else writes."""
    if "ledger" in state:
        with open(state["ledger"], "ab", buffering=0) as ledger:
            ledger.write(f"{text} {os.getpid()}\n".encode())


async def _wait(at: str) -> None:
    path = Path(at)
    Path(f"{path}.begun").touch()
    while not path.exists():
        await asyncio.sleep(0.01)


async def _step(state: State) -> State:
    number = len(state["pids"]) if "pids" in state else 0
    _note(state, f"begin {number}")
    write = get_stream_writer()
    write({"step": number})
    halt = state.get("halt", -1)
    if number == halt:
        await _wait(state["path"])
    elif number == halt + 1 and "path_of_next" in state:
        await _wait(state["path_of_next"])
    await asyncio.sleep(state.get("pace", 0))
    _note(state, f"end {number}")
    return _did(f"step {number}")


def _march() -> StateGraph[Any]:
    graph = StateGraph(State)
    graph.add_node("step", _step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges(
        "step", lambda state: "step" if len(state["pids"]) < state["steps"] else END
    )
    return graph


march = _march().compile()


async def _waits(state: State) -> State:
    await _wait(state["path"])
    return _did("waited")


def _waits_in_thread(state: State) -> State:
    path = Path(state["path"])
    Path(f"{path}.begun").touch()
    while not path.exists():
        time.sleep(0.01)
    Path(f"{path}.returned").touch()
    return _did("waited")


async def _block(state: State) -> State:
    time.sleep(state["seconds"])  # noqa: ASYNC251  # what the test is about
    return _did("blocked")


async def _ask(state: State) -> State:
    return _did(f"answer {interrupt('which?')}")


async def _last(state: State) -> State:
    return _did("last")


def _and_last(node: Any) -> StateGraph[Any]:
    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_node("last", _last)
    graph.add_edge(START, "node")
    graph.add_edge("node", "last")
    graph.add_edge("last", END)
    return graph


waits = _and_last(_waits).compile()
waits_in_thread = _and_last(_waits_in_thread).compile()
blocks = _and_last(_block).compile()
ask = _and_last(_ask).compile()
