"""Graphs that stream: chat tokens, progress, and state that JSON can't hold."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypedDict
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGenerationChunk, ChatResult
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


class Calls(Log):
    """A log, and a conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


async def _call(state: Calls) -> dict[str, Any]:
    calls: list[ToolCall] = [
        {"id": "r", "name": "refund", "args": {"amount": 5}, "type": "tool_call"},
        {"id": "m", "name": "mail", "args": {"to": "ann"}, "type": "tool_call"},
    ]
    return {"messages": [AIMessage("", id="calls", tool_calls=calls)]}


async def _run_calls(state: Calls) -> dict[str, Any]:
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    return {"messages": [ToolMessage("done", tool_call_id=c["id"]) for c in last.tool_calls]}


def _calls_tools() -> StateGraph[Any]:
    graph = StateGraph(Calls)
    graph.add_node("model", _call)
    graph.add_node("tools", _run_calls)
    graph.add_edge(START, "model")
    graph.add_edge("model", "tools")
    return graph


calls_tools = _calls_tools().compile()


class Speaker(BaseChatModel):
    """Says some pieces, and lets others speak after each."""

    pieces: list[Any]

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("it speaks asynchronously")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            await asyncio.sleep(0.001)


def _speech(*pieces: Any) -> Any:
    async def speak(state: Chat) -> dict[str, Any]:
        return {"messages": [await Speaker(pieces=list(pieces)).ainvoke(state["messages"])]}

    return speak


_THOUGHTS = (
    [{"type": "reasoning", "reasoning": "Hm", "index": 0}],
    [{"type": "reasoning", "reasoning": "m.", "index": 0}],
    [{"type": "text", "text": "Look", "index": 1}],
    [{"type": "text", "text": ": ", "index": 1}],
    [{"type": "image", "url": "https://example.org/cat.png", "index": 2}],
    [{"type": "text", "text": "a cat.", "index": 3}],
)


async def _quote(state: Chat) -> dict[str, Any]:
    return {
        "messages": [
            HumanMessage("Who spoke?", name="ann", id="question"),
            SystemMessage("Be brief.", id="rule"),
            AIMessage("Both.", id="reply"),
        ]
    }


def _speeches(**nodes: Any) -> StateGraph[Any]:
    graph = StateGraph(Chat)
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
    return graph


thoughts = _speeches(think=_speech(*_THOUGHTS)).compile()
duet = _speeches(left=_speech(*"abcde"), right=_speech(*"vwxyz")).compile()
quotes = _speeches(quote=_quote).compile()
talk_in_child = _speeches(child=_chat().compile()).compile()
broken_speech = _speeches(speak=_speech("one ", "two ", ConnectionError("cut off"))).compile()


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
