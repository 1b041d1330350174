"""The how-to's graph, with and without a checkpointer."""

from __future__ import annotations

from typing import Literal
from uuid import uuid4

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import MessagesState
from langgraph.graph.state import CompiledStateGraph

from benchmarks.workload import ANSWER, QUESTION

WeatherGraph = CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]


async def run(graph: WeatherGraph, durability: Literal["sync"] | None = None) -> None:
    """Runs a graph to its end on a new thread, taking each update as it comes."""
    question = MessagesState(messages=[HumanMessage(QUESTION)])
    config = RunnableConfig(configurable={"thread_id": str(uuid4())})
    answer = ""
    async for update in graph.astream(
        question, config, stream_mode="updates", durability=durability
    ):
        [state] = update.values()
        answer = state["messages"][-1].text
    assert answer == ANSWER
