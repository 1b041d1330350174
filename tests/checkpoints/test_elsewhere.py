"""The saver is called from threads, and from other event loops, by what nodes do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from .builders import at, put
from .scenarios import OftenState, State


def a_child() -> CompiledStateGraph[Any, Any, Any, Any]:
    def first(state: State) -> State:
        return {"log": [f"first on {threading.current_thread() is not threading.main_thread()}"]}

    def ask(state: State) -> State:
        return {"log": [f"answer {interrupt('?')}"]}

    builder = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("ask", ask)
    builder.add_edge(START, "first")
    builder.add_edge("first", "ask")
    return builder.compile()


def with_invoke(child: CompiledStateGraph[Any, Any, Any, Any], state: State) -> Any:
    return child.invoke({"log": []})


def with_its_own_loop(child: CompiledStateGraph[Any, Any, Any, Any], state: State) -> Any:
    return asyncio.run(child.ainvoke({"log": []}))


def a_parent(
    saver: Saver, call: Callable[[Any, State], Any]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    children = {"child": a_child()}

    def node(state: State) -> State:
        return {"log": call(children["child"], state)["log"]}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(checkpointer=saver)


CALLS = pytest.mark.parametrize("call", [with_invoke, with_its_own_loop])


@CALLS
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_node_may_call_a_graph_in_its_own_thread(
    saver: Saver, call: Callable[[Any, State], Any], durability: Any
) -> None:
    graph = a_parent(saver, call)
    await graph.ainvoke({"log": ["in"]}, at(), durability=durability)
    state = await graph.aget_state(at())
    assert [question.value for question in state.interrupts] == ["?"]
    namespace = f"node:{state.tasks[0].id}"
    kept = [found.metadata["step"] async for found in saver.alist(at(namespace=namespace))]
    assert kept == ([1] if durability == "exit" else [1, 0, -1])
    result = await graph.ainvoke(Command(resume="!"), at(), durability=durability)
    assert result["log"] == ["in", "first on True", "answer !"]


@CALLS
async def test_what_it_saves_goes_to_the_sink_of_the_run(
    saver: Saver, call: Callable[[Any, State], Any]
) -> None:
    batch = EditBatch()
    token = current_sink.set(batch)
    await a_parent(saver, call).ainvoke({"log": ["in"]}, at())
    current_sink.reset(token)
    assert {record.namespace.partition(":")[0] for record in batch.checkpoints} == {"", "node"}
    assert await saver.aget_tuple(at()) is None


async def test_every_synchronous_method_does_what_its_counterpart_does(saver: Saver) -> None:
    one = await put(saver, items=["x" * 200], metadata={"run_id": "r1"})
    versions: dict[str, str | int | float] = dict(one.versions)

    def work() -> list[Any]:
        found = saver.get_tuple(at())
        assert found is not None
        checkpoint: Any = found.checkpoint | {"id": "second"}
        config = saver.put(found.config, checkpoint, {"step": 1}, versions)
        saver.put_writes(config, [("items", ["y"])], "task", "path")
        latest = saver.get_tuple(at())
        assert latest is not None
        seen: list[Any] = [config, latest.pending_writes, latest.checkpoint["channel_values"]]
        seen.append([one.checkpoint["id"] for one in saver.list(at())])
        seen.append(len(list(saver.list(at(), limit=1))))
        saver.copy_thread("t", "copy")
        saver.delete_for_runs(["r1"])
        seen.append([one.checkpoint["id"] for one in saver.list(at())])
        saver.prune(["copy"])
        seen.append([one.checkpoint["id"] for one in saver.list(at("copy"))])
        saver.delete_thread("copy")
        seen.append(list(saver.list(at("copy"))))
        return seen

    assert await asyncio.to_thread(work) == [
        at(checkpoint_id="second"),
        [("task", "items", ["y"])],
        {"items": ["x" * 200]},
        ["second", one.checkpoint_id],
        1,
        ["second"],
        ["second"],
        [],
    ]


async def test_the_history_of_a_channel_can_be_read_synchronously(saver: Saver) -> None:
    async def step(state: OftenState) -> dict[str, Any]:
        return {"often": ["step"]}

    builder = StateGraph(OftenState)
    builder.add_node("step", step)
    builder.add_edge(START, "step")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"often": ["in"], "n": 0}, at())
    want = await saver.aget_delta_channel_history(config=at(), channels=["often"])
    assert [value for _, _, value in want["often"]["writes"]] == [["in"], ["step"]]
    found = await asyncio.to_thread(
        lambda: saver.get_delta_channel_history(config=at(), channels=["often"])
    )
    assert found == want
    state = await asyncio.to_thread(graph.get_state, at())
    assert state.values == {"often": ["in", "step"], "n": 0}


async def test_a_synchronous_call_on_the_loop_itself_says_what_to_do(saver: Saver) -> None:
    with pytest.raises(RuntimeError, match="call a graph with ainvoke or astream"):
        saver.get_tuple(at())
    graph = a_child()
    graph.checkpointer = saver
    with pytest.raises(RuntimeError, match="on its own event loop"):
        graph.invoke({"log": []}, at())


async def test_all_asynchronous_methods_work_on_another_loop(saver: Saver) -> None:
    first = await put(saver, a=1, metadata={"run_id": "r"})

    async def work() -> list[Any]:
        assert asyncio.get_running_loop() is not saver._loop
        second = await put(saver, first, a=2)
        await saver.aput_writes(second.config, [("a", 3)], "task")
        found = await saver.aget_tuple(at())
        assert found is not None
        seen: list[Any] = [found.checkpoint["channel_values"], found.pending_writes]
        seen.append([one.checkpoint["channel_values"] async for one in saver.alist(at())])
        seen.append(
            await saver.aget_delta_channel_history(config=at(), channels=["a"]),
        )
        await saver.acopy_thread("t", "copy")
        await saver.adelete_for_runs(["r"])
        await saver.aprune(["t"])
        await saver.adelete_thread("copy")
        seen.append([one async for one in saver.alist(at("copy"))])
        return seen

    assert await asyncio.to_thread(lambda: asyncio.run(work())) == [
        {"a": 2},
        [("task", "a", 3)],
        [{"a": 2}, {"a": 1}],
        {"a": {"writes": [], "seed": 1}},
        [],
    ]


async def test_writes_from_another_loop_are_recorded_in_the_order_of_the_calls(
    saver: Saver,
) -> None:
    batch = EditBatch()

    async def work(config: RunnableConfig) -> None:
        awaitables = [saver.aput_writes(config, [("n", n)], "task") for n in range(20)]
        await asyncio.gather(*reversed(awaitables))

    token = current_sink.set(batch)
    first = await put(saver)
    await asyncio.to_thread(lambda: asyncio.run(work(first.config)))
    found = await saver.aget_tuple(first.config)
    current_sink.reset(token)
    assert found is not None
    assert found.pending_writes == [("task", "n", 0)]
