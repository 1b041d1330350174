"""Graphs for faults and soaks: floods of events, questions whose answers leave a trace, a census.

Nodes note in the file `path` of the state, outside the server, that they have run.
"""

from __future__ import annotations

import asyncio
import gc
import operator
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt


class State(TypedDict, total=False):
    """The state of all graphs here.

    `log` gets an entry for each node. `flood` writes `count` events of `size` characters, one
    each `pace` seconds, and then waits for the file `gate`, if there is one. `counted` takes
    `count` steps of `pace` seconds.
    """

    log: Annotated[list[str], operator.add]
    count: int
    size: int
    pace: float
    path: str
    gate: str
    found: dict[str, int]


def _note(state: State, text: str) -> None:
    """Adds a line to the ledger, whole whoever else writes."""
    if path := state.get("path"):
        with open(path, "ab", buffering=0) as ledger:
            ledger.write(f"{text}\n".encode())


async def _flood(state: State) -> State:
    _note(state, "flood")
    write, filler = get_stream_writer(), "x" * state.get("size", 0)
    for number in range(state["count"]):
        write({"number": number, "filler": filler})
        await asyncio.sleep(state.get("pace", 0))
    if gate := state.get("gate"):
        Path(f"{gate}.begun").touch()
        while not Path(gate).exists():
            await asyncio.sleep(0.01)
    return {"log": ["flood"]}


async def _step(state: State) -> State:
    number = len(state["log"])
    _note(state, f"step {number}")
    get_stream_writer()({"step": number})
    await asyncio.sleep(state.get("pace", 0))
    return {"log": [f"step {number}"]}


async def _ask(state: State) -> State:
    return {"log": [f"answer {interrupt('which?')}"]}


async def _act(state: State) -> State:
    _note(state, state["log"][-1])
    return {"log": ["acted"]}


async def _count(state: State) -> State:
    """What there is in the server: its tasks, and what belongs to calls that are open."""
    gc.collect()
    kinds = Counter(type(each).__name__ for each in gc.get_objects())
    return {
        "found": {
            "tasks": len(asyncio.all_tasks()),
            "calls": kinds["Call"],
            "wakes": kinds["Wake"],
            "generators": kinds["async_generator"],
        }
    }


class Conversation(TypedDict, total=False):
    """The state of `agent`: it makes one tool call, which notes in the file `path` that it ran."""

    messages: Annotated[list[AnyMessage], add_messages]
    path: str


async def _model(state: Conversation) -> dict[str, Any]:
    if any(isinstance(message, ToolMessage) for message in state["messages"]):
        return {"messages": [AIMessage("done")]}
    call = {"id": "call", "name": "refund", "args": {"amount": 5}, "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


async def _tools(state: Conversation) -> dict[str, Any]:
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    for call in last.tool_calls:
        _note({"path": state["path"]}, f"refund {call['args']['amount']}")
    return {"messages": [ToolMessage("ok", tool_call_id=c["id"]) for c in last.tool_calls]}


def _agent() -> StateGraph[Any]:
    graph = StateGraph(Conversation)
    graph.add_node("model", _model)
    graph.add_node("tools", _tools)
    graph.add_edge(START, "model")
    graph.add_conditional_edges(
        "model", lambda state: "tools" if state["messages"][-1].tool_calls else END
    )
    graph.add_edge("tools", "model")
    return graph


def _chain(**nodes: Any) -> StateGraph[Any]:
    graph = StateGraph(State)
    before = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    graph.add_edge(before, END)
    return graph


def _counted() -> StateGraph[Any]:
    graph = StateGraph(State)
    graph.add_node("step", _step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges(
        "step", lambda state: "step" if len(state["log"]) < state["count"] else END
    )
    return graph


flood = _chain(flood=_flood).compile()
counted = _counted().compile()
asks = _chain(ask=_ask, act=_act).compile()
agent = _agent().compile()
census = _chain(count=_count).compile()
