"""Contract: LangGraph keeps its checkpoints and its store in the storage."""

from __future__ import annotations

from typing import TypedDict

from graphwire_server.storage.interface import Storage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from .builders import a_thread, add


class State(TypedDict):
    total: int


def config(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


def a_graph(storage: Storage) -> CompiledStateGraph[State, None, State, State]:
    async def first(state: State, runtime: Runtime[None]) -> State:
        assert runtime.store is not None
        await runtime.store.aput(("totals",), "last", {"total": state["total"]})
        return {"total": state["total"] + 1}

    async def second(state: State) -> State:
        return {"total": state["total"] * 10}

    builder = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    return builder.compile(
        checkpointer=storage.checkpointer, store=storage.store, interrupt_before=["second"]
    )


async def test_a_graph_stops_and_goes_on_from_its_checkpoint(storage: Storage) -> None:
    graph = a_graph(storage)
    assert await graph.ainvoke({"total": 4}, config("t")) == {"total": 5}
    state = await graph.aget_state(config("t"))
    assert state.next == ("second",)
    assert await a_graph(storage).ainvoke(None, config("t")) == {"total": 50}
    item = await storage.store.aget(("totals",), "last")
    assert item is not None
    assert item.value == {"total": 4}


async def test_checkpoints_go_with_their_thread(storage: Storage) -> None:
    graph = a_graph(storage)
    for thread_id in ("a", "b"):
        await graph.ainvoke({"total": 1}, config(thread_id))
    await add(storage, a_thread("a"))
    await storage.write(lambda tx: tx.delete_thread("a"))
    assert (await graph.aget_state(config("a"))).values == {}
    assert (await graph.aget_state(config("b"))).values == {"total": 2}
