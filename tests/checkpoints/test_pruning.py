"""What is pruned is gone, and what the rest needs is there."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire_server.storage.checkpoints import pruning
from graphwire_server.storage.checkpoints.records import CheckpointRecord
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.interface import Storage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from .builders import Put, at, put, values_at
from .scenarios import DeltaState, OftenState


async def listed(saver: Saver, namespace: str = "") -> list[str]:
    return [found.checkpoint["id"] async for found in saver.alist(at(namespace=namespace))]


async def rows(storage: Storage, namespace: str = "") -> list[CheckpointRecord]:
    """Returns all that is kept, history too, the oldest first."""
    found = await storage.write(lambda tx: tx.all_checkpoints("t", namespace))
    return sorted(found, key=lambda record: record.number)


async def versions(storage: Storage) -> int:
    return len(await storage.write(lambda tx: tx.channel_versions("t", "")))


async def a_long_thread(saver: Saver, steps: int = 100) -> list[Put]:
    """A list that grows, a value that is set once, and one that is set now and then."""
    every = [await put(saver, items=["x" * 60], once="y" * 100, now_and_then=["z" * 50])]
    for step in range(1, steps):
        changed: dict[str, Any] = {"items": [*every[-1].values["items"], f"{step} " + "x" * 60]}
        if step % 10 == 0:
            changed["now_and_then"] = ["z" * 50, step]
        run_id = f"run-{step // 10}"
        every.append(await put(saver, every[-1], metadata={"run_id": run_id}, **changed))
        await saver.aput_writes(every[-1].config, [("items", ["w" * 60])], "task")
    return every


async def test_the_head_stays_with_all_that_its_values_go_back_to(
    saver: Saver, storage: Storage
) -> None:
    *old, head = await a_long_thread(saver)
    before = await versions(storage)
    await saver.aprune(["t", "nobody"])
    assert await listed(saver) == [head.checkpoint_id]
    for reader in (saver, Saver(storage)):
        assert await values_at(reader, at()) == head.values
        found = await reader.aget_tuple(at())
        assert found is not None
        assert found.pending_writes == [("task", "items", ["w" * 60])]
    assert await saver.aget_tuple(old[50].config) is None
    assert len(await rows(storage)) == 1
    assert await versions(storage) < before / 2
    writes = await storage.read(
        lambda r: r.checkpoint_writes("t", "", [one.checkpoint_id for one in old])
    )
    assert writes == []


async def test_a_thread_goes_on_after_it_was_pruned(saver: Saver, storage: Storage) -> None:
    every = await a_long_thread(saver)
    await saver.aprune(["t"])
    after = await put(saver, every[-1], items=[*every[-1].values["items"], "more"])
    await saver.aprune(["t"])
    assert await values_at(Saver(storage), at()) == after.values


async def test_each_namespace_keeps_its_head(saver: Saver) -> None:
    root = await put(saver, checkpoint_id="r1", a=1)
    await put(saver, root, checkpoint_id="r2", a=2)
    child = await put(saver, namespace="child", checkpoint_id="c1", b=1)
    await put(saver, child, checkpoint_id="c2", b=["x" * 200])
    await saver.aprune(["t"])
    assert (await listed(saver), await listed(saver, "child")) == (["r2"], ["c2"])
    assert await values_at(saver, at(namespace="child")) == {"b": ["x" * 200]}


async def test_all_of_a_thread_can_go(saver: Saver, storage: Storage) -> None:
    await a_long_thread(saver, 20)
    await put(saver, thread_id="other", a=1)
    await saver.aprune(["t"], strategy="delete")
    assert (await rows(storage), await versions(storage)) == ([], 0)
    assert await values_at(saver, at("other")) == {"a": 1}


async def test_another_strategy_is_refused(saver: Saver) -> None:
    with pytest.raises(ValueError, match='must be "keep_latest" or "delete", not \'keep_all\''):
        await saver.aprune(["t"], strategy="keep_all")


async def test_deleting_runs_leaves_the_checkpoints_of_the_others(
    saver: Saver, storage: Storage
) -> None:
    every = await a_long_thread(saver)
    await saver.adelete_for_runs(["run-3", "run-4", "run-9", "nobody"])
    left = [*every[:30], *every[50:90]]
    assert await listed(saver) == [one.checkpoint_id for one in reversed(left)]
    for one in left:
        assert await values_at(Saver(storage), one.config) == one.values
    assert await saver.aget_tuple(every[35].config) is None


async def test_deleting_every_run_leaves_nothing(saver: Saver, storage: Storage) -> None:
    one = await put(saver, metadata={"run_id": "a"}, items=["x" * 200])
    await put(saver, one, metadata={"run_id": "b"}, items=["x" * 200, "y"])
    await put(saver, namespace="child", metadata={"run_id": "b"}, a=["x" * 200])
    await saver.adelete_for_runs(["a", "b"])
    assert (await rows(storage), await rows(storage, "child")) == ([], [])
    assert await versions(storage) == 0


async def test_pruning_joins_other_work_in_one_transaction(saver: Saver, storage: Storage) -> None:
    await a_long_thread(saver, 20)

    def prune_and_fail(tx: Any) -> None:
        pruning.keep_latest(tx, "t")
        raise KeyError

    with pytest.raises(KeyError):
        await storage.write(prune_and_fail)
    assert len(await listed(saver)) == 20


# --- DeltaChannels: `often` has a value every third time it is written, `seldom` never ---


def a_delta_graph(saver: Saver) -> CompiledStateGraph[Any, Any, Any, Any]:
    async def step(state: DeltaState) -> dict[str, Any]:
        return {"often": [f"o{state['n']}"], "seldom": [f"s{state['n']}"], "n": state["n"] + 1}

    builder = StateGraph(DeltaState)
    builder.add_node("step", step)
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", lambda s: END if s["n"] % 10 == 0 else "step")
    return builder.compile(checkpointer=saver)


async def test_a_head_is_rebuilt_from_history_that_nobody_sees(
    saver: Saver, storage: Storage
) -> None:
    graph = a_delta_graph(saver)
    await graph.ainvoke({"often": ["in"], "seldom": ["in"], "n": 0}, at())
    before = await graph.aget_state(at())
    assert len(before.values["seldom"]) == 11
    count = len(await listed(saver))
    await saver.aprune(["t"])
    assert await listed(saver) == [before.config["configurable"]["checkpoint_id"]]
    # `seldom` got a value once, from the input; all that was written since then is needed.
    kept = await rows(storage)
    assert [record.history for record in kept] == [True] * (len(kept) - 1) + [False]
    assert 1 < len(kept) <= count
    after = await a_delta_graph(Saver(storage)).aget_state(at())
    assert after.values == before.values
    assert await graph.ainvoke({"often": ["on"], "seldom": ["on"], "n": 5}, at()) == {
        "often": [*before.values["often"], "on", *(f"o{n}" for n in range(5, 10))],
        "seldom": [*before.values["seldom"], "on", *(f"s{n}" for n in range(5, 10))],
        "n": 10,
    }
    await saver.aprune(["t"])
    again = await graph.aget_state(at())
    assert len(again.values["seldom"]) == 17


@pytest.mark.parametrize("steps", [18, 19, 20])
async def test_history_begins_with_the_latest_value(
    saver: Saver, storage: Storage, steps: int
) -> None:
    async def step(state: OftenState) -> dict[str, Any]:
        return {"often": [f"o{state['n']}"], "n": state["n"] + 1}

    builder = StateGraph(OftenState)
    builder.add_node("step", step)
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", lambda s: END if s["n"] == steps else "step")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"often": ["in"], "n": 0}, at())
    before = await graph.aget_state(at())
    await saver.aprune(["t"])
    # It has a value every third time that it is written: at the head, or one or two before.
    assert len(await rows(storage)) == 1 + (steps + 1) % 3
    assert await versions(storage) == 1
    assert (await graph.aget_state(at())).values == before.values


async def test_a_long_history_is_read_to_its_start(saver: Saver, storage: Storage) -> None:
    async def step(state: DeltaState) -> dict[str, Any]:
        return {"seldom": [f"s{state['n']}"], "n": state["n"] + 1}

    builder = StateGraph(DeltaState)
    builder.add_node("step", step)
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", lambda s: END if s["n"] == 150 else "step")
    graph = builder.compile(checkpointer=saver)
    config = at() | {"recursion_limit": 200}
    want = ["in", *(f"s{n}" for n in range(150))]
    result = await graph.ainvoke({"often": [], "seldom": ["in"], "n": 0}, config)
    assert result["seldom"] == want
    await saver.aprune(["t"])
    assert (await a_delta_graph(Saver(storage)).aget_state(at())).values["seldom"] == want


async def test_a_copy_has_the_history_too(saver: Saver) -> None:
    graph = a_delta_graph(saver)
    await graph.ainvoke({"often": ["in"], "seldom": ["in"], "n": 0}, at())
    before = await graph.aget_state(at())
    await saver.aprune(["t"])
    await saver.acopy_thread("t", "copy")
    await saver.adelete_thread("t")
    assert (await graph.aget_state(at("copy"))).values == before.values
    assert [one async for one in saver.alist(at("copy"))] != []


async def test_deleting_a_run_keeps_what_was_written_in_it_as_history(
    saver: Saver, storage: Storage
) -> None:
    graph = a_delta_graph(saver)
    for run, n in enumerate((0, 7)):
        config = at() | {"metadata": {"run_id": f"run-{run}"}}
        await graph.ainvoke({"often": [f"in {run}"], "seldom": [f"in {run}"], "n": n}, config)
    before = [state async for state in graph.aget_state_history(at())]
    await saver.adelete_for_runs(["run-0"])
    after = [state async for state in a_delta_graph(Saver(storage)).aget_state_history(at())]
    run_1 = [s for s in before if s.metadata and s.metadata.get("run_id") == "run-1"]
    assert [state.values for state in after] == [state.values for state in run_1]
    assert after[0].values["seldom"][0] == "in 0"
    await saver.adelete_for_runs(["run-1"])
    assert await rows(storage) == []
