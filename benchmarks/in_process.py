"""A worker that runs the graph itself, with and without LangGraph's own checkpointer.

Started as `python -m benchmarks.in_process DATABASE`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Literal
from uuid import uuid4

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import MessagesState
from langgraph.graph.state import CompiledStateGraph

from benchmarks.workers import run_worker, serve_measurements
from benchmarks.workload import ANSWER, QUESTION, rate
from tests.servers import WEATHER

Graph = CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]


async def main(database: str) -> None:
    """Measures rates: `plain` without a checkpointer, `saved` with AsyncSqliteSaver."""
    sys.path.insert(0, str(WEATHER))
    from weather_agent.graph import graph as plain

    async with AsyncSqliteSaver.from_conn_string(database) as saver:
        saved = plain.builder.compile(checkpointer=saver)
        await serve_measurements(
            {
                "plain": partial(rate, partial(run, plain)),
                "saved": partial(rate, partial(run, saved, durability="sync")),
            }
        )


async def run(graph: Graph, durability: Literal["sync"] | None = None) -> None:
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


if __name__ == "__main__":
    run_worker(main(sys.argv[1]))
