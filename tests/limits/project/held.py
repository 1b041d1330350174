"""Graphs that wait, that grow, and that are slow to be made."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


def _add(there: list[str], more: Sequence[list[str]]) -> list[str]:
    return [*there, *(item for items in more for item in items)]


class State(TypedDict, total=False):
    path: str
    size: int
    small: str
    text: str
    answer: Any


class Pile(TypedDict, total=False):
    size: int
    items: Annotated[list[str], DeltaChannel(_add, snapshot_frequency=4)]


def _chain(**nodes: Any) -> StateGraph[Any]:
    builder: StateGraph[Any] = StateGraph(State)
    builder.add_sequence(list(nodes.items()))
    builder.add_edge(START, next(iter(nodes)))
    return builder


async def _wait(state: State) -> State:
    while not Path(state["path"]).exists():
        await asyncio.sleep(0.01)
    return {}


async def _ask(state: State) -> State:
    return {"answer": interrupt("well?")}


async def _ask_of_text(state: State) -> State:
    return {"answer": interrupt(state["text"])}


async def _begin(state: State) -> State:
    return {"small": "begun, and kept in the last checkpoint that fits"}


async def _grow(state: State) -> State:
    return {"text": "x" * state["size"]}


async def _speak(state: State) -> State:
    get_stream_writer()({"said": "x" * state["size"]})
    return {}


async def _again(state: State) -> State:
    return {"small": "again"}


held = _chain(wait=_wait).compile()
asks = _chain(ask=_ask).compile()


async def _pile_up(state: Pile) -> Pile:
    return {"items": ["x" * state["size"]]}


_pile: StateGraph[Any] = StateGraph(Pile)
_pile.add_node("pile", _pile_up)
_pile.add_edge(START, "pile")
_pile.add_edge("pile", "pile")
piles = _pile.compile()
asks_of_text = _chain(ask=_ask_of_text).compile()
grows = _chain(begin=_begin, grow=_grow).compile()
speaks = _chain(speak=_speak).compile()
_loop = _chain(again=_again)
_loop.add_edge("again", "again")
endless = _loop.compile()


async def make_slow(config: RunnableConfig) -> Any:
    """Makes a graph, as soon as nobody holds the door."""
    while Path(os.environ["LIMITS_DOOR"]).exists():
        await asyncio.sleep(0.01)
    return held
