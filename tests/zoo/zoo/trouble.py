"""Graphs that fail, wait, block and never end.

A node that waits does so until the file `path` of its state exists, and says that it has
begun by making `<path>.begun`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel, Field

from zoo.log import Log, writes
from zoo.questions import asks, chain
from zoo.shapes import loop


async def _explode(state: Log) -> Log:
    if state.get("count", 0) < 1:
        raise ValueError("count must be 1 at least — it's 0")
    return {"log": ["explode"]}


def _boom() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("fine", writes("fine"))
    graph.add_node("explode", _explode)
    graph.add_edge(START, "fine")
    graph.add_edge("fine", "explode")
    graph.add_edge("explode", END)
    return graph


boom = _boom().compile()


def _boom_in_child() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("child", _boom().compile())
    graph.add_edge(START, "child")
    graph.add_edge("child", END)
    return graph


boom_in_child = _boom_in_child().compile()


def _begin(state: Log) -> Path:
    path = Path(state["path"])
    Path(f"{path}.begun").touch()
    return path


async def waits_for_gate(state: Log) -> Log:
    path = _begin(state)
    while not path.exists():
        await asyncio.sleep(0.01)
    return {"log": ["gate"]}


async def _climb(state: Log) -> Log:
    count = state.get("count", 0)
    await waits_for_gate({**state, "path": f"{state['path']} {count}"})
    return {"log": ["step"], "count": count + 1}


def _stairs() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("step", _climb)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda s: "step" if s["count"] < 3 else END)
    return graph


#: Waits in each of its three rounds, for `<path> 0`, `<path> 1` and `<path> 2`.
stairs = _stairs().compile()


async def _ask_at_gates(state: Log) -> Log:
    async def gate(number: int) -> None:
        await waits_for_gate({**state, "path": f"{state['path']} {number}"})

    await gate(0)
    first = interrupt("first?")
    await gate(1)
    second = interrupt("second?")
    await gate(2)
    return {"log": [f"{first}, {second}"]}


#: Waits for `<path> 0`, asks, waits for `<path> 1`, asks again, and waits for `<path> 2`.
ask_at_gates = chain(ask=_ask_at_gates, after=writes("after")).compile()


#: Asks in a subgraph, and then waits there.
ask_before_gate = chain(
    before=writes("before"),
    child=chain(one=writes("one"), ask=asks("child"), gate=waits_for_gate).compile(),
    after=writes("after"),
).compile()


def _kill_server(state: Log) -> Log:
    with Path(state["path"]).open("a") as ledger:
        ledger.write("begun\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return {"log": ["never"]}


killer = chain(before=writes("before"), kill=_kill_server).compile()


def _wait_in_thread(state: Log) -> Log:
    path = _begin(state)
    while not path.exists():
        time.sleep(0.01)
    Path(f"{path}.returned").touch()
    return {"log": ["gate"]}


def _gated(gate: Any) -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("before", writes("before"))
    graph.add_node("gate", gate)
    graph.add_node("after", writes("after"))
    graph.add_edge(START, "before")
    graph.add_edge("before", "gate")
    graph.add_edge("gate", "after")
    graph.add_edge("after", END)
    return graph


gated = _gated(waits_for_gate).compile()
gated_sync = _gated(_wait_in_thread).compile()


def _beside_gate(**other: Any) -> StateGraph[Any]:
    graph = StateGraph(Log)
    for name, node in {**other, "gate": waits_for_gate}.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    return graph


loop_beside_gate = _beside_gate(child=loop.builder.compile(interrupt_before=["step"])).compile()
ask_beside_gate = _beside_gate(ask=asks("beside")).compile()


async def _tick(state: Log) -> Log:
    path, write, ticks = _begin(state), get_stream_writer(), 0
    while not path.exists():
        write({"tick": ticks})
        ticks += 1
        await asyncio.sleep(0.001)
    return {"log": [f"{ticks} ticks"]}


metronome = _gated(_tick).compile()


async def _block(state: Log) -> Log:
    time.sleep(1.0)  # noqa: ASYNC251  # what the test is about
    return {"log": ["block"]}


def _blocker() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("block", _block)
    graph.add_edge(START, "block")
    return graph


blocker = _blocker().compile()


def _endless() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("again", writes("again"))
    graph.add_edge(START, "again")
    graph.add_edge("again", "again")
    return graph


endless = _endless().compile()


def _no_saver_child() -> StateGraph[Any]:
    child = StateGraph(Log)
    child.add_node("inside", writes("inside"))
    child.add_edge(START, "inside")
    graph = StateGraph(Log)
    graph.add_node("child", child.compile(checkpointer=False))
    graph.add_edge(START, "child")
    return graph


no_saver_child = _no_saver_child().compile()


async def _pay(state: Log) -> Log:
    answer = interrupt("pay?")
    path = Path(state["path"])
    if not path.exists():
        path.touch()
        raise ConnectionError("the bank is down")
    return {"log": [f"paid: {answer}"]}


def _bank() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("pay", _pay)
    graph.add_edge(START, "pay")
    return graph


bank = _bank().compile()


class Customer(BaseModel):
    """A part of `Order`."""

    name: str = Field(min_length=2)


class Order(BaseModel):
    """A state that is validated whenever a node runs."""

    customer: Customer | None = None
    amount: Annotated[int, Field(ge=0)] = 0


async def _charge(state: Order) -> dict[str, int]:
    return {"amount": state.amount + 1}


def _typed() -> StateGraph[Any]:
    graph = StateGraph(Order)
    for name in ("charge", "again"):
        graph.add_node(name, _charge)
    graph.add_edge(START, "charge")
    graph.add_edge("charge", "again")
    return graph


typed = _typed().compile()
