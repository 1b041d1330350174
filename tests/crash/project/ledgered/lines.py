"""Graphs that go straight on, in circles, slowly, or talking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, AnyMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from ledgered.nodes import State, Task, chain, left, step, step_in_thread, waits

#: How often `loop` goes round.
TURNS = 3

#: What `talk` says, and how many custom events it sends.
SPEECH = ("one ", "two ", "three ", "four")
TICKS = 5


def _again(state: State) -> Literal["turn", "__end__"]:
    return "turn" if state["log"].count("turn") < TURNS else "__end__"


def _loop() -> StateGraph[Any]:
    graph = StateGraph(State)
    graph.add_node("turn", step("turn"))
    graph.add_edge(START, "turn")
    graph.add_conditional_edges("turn", _again)
    return graph


async def _turn_and_ask(state: State, config: RunnableConfig) -> dict[str, Any]:
    task = Task.of(config)
    task.begin(state)
    told = task.ask(f"turn {len(state['log'])}?")
    task.end()
    return left(told)


def _ask_in_loop() -> StateGraph[Any]:
    graph = StateGraph(State)
    graph.add_node("turn", _turn_and_ask)
    graph.add_edge(START, "turn")
    graph.add_conditional_edges("turn", lambda s: "turn" if len(s["log"]) <= TURNS else "__end__")
    return graph


class Speaker(BaseChatModel):
    """Says `SPEECH` in pieces, and lets others speak after each."""

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
        for piece in SPEECH:
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            await asyncio.sleep(0.002)


class Talk(State):
    """A state with a conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


async def _speak(state: Talk, config: RunnableConfig) -> dict[str, Any]:
    task, write = Task.of(config), get_stream_writer()
    task.begin(state)
    for tick in range(TICKS):
        write({"task": task.task, "tick": tick})
        await asyncio.sleep(0.001)
    message = await Speaker().ainvoke("Go on.")
    task.end()
    return {**left("speak"), "messages": [message]}


linear = chain({name: step(name) for name in ("a", "b", "c")}).compile()
threaded = chain({name: step_in_thread(name) for name in ("a", "b", "c")}).compile()
gated = chain({"before": step("before"), "gate": waits("gate"), "after": step("after")}).compile()
loop = _loop().compile()
ask_in_loop = _ask_in_loop().compile()
talk = chain({"speak": _speak, "again": _speak, "after": step("after")}, Talk).compile()
