"""Graphs that stream: chat tokens, progress, and state that JSON can't hold."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypedDict
from uuid import UUID

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from zoo.log import Log


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


async def _speak(state: Chat) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three", id="answer")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


def _chat() -> StateGraph[Any]:
    graph = StateGraph(Chat)
    graph.add_node("speak", _speak)
    graph.add_edge(START, "speak")
    return graph


chat = _chat().compile()


async def _tick(state: Log) -> Log:
    write = get_stream_writer()
    for n in range(state.get("count", 3)):
        write({"tick": n})
    return {"log": ["tick"]}


def _ticker() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("tick", _tick)
    graph.add_edge(START, "tick")
    return graph


ticker = _ticker().compile()


class Odd(TypedDict, total=False):
    """State that JSON can't hold as it is."""

    start: int
    values: dict[str, Any]


async def _fill(state: Odd) -> Odd:
    return {
        "values": {
            "nan": math.nan,
            "infinity": -math.inf,
            "big": 2**64 - 1,
            "bytes": b"\x00\xff",
            "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "date": date(2026, 1, 2),
            "uuid": UUID(int=1),
            "decimal": Decimal("1.10"),
            "set": {1},
            "tuple": (1, "a"),
        }
    }


def _odd() -> StateGraph[Any]:
    graph = StateGraph(Odd)
    graph.add_node("fill", _fill)
    graph.add_edge(START, "fill")
    return graph


odd_state = _odd().compile()
