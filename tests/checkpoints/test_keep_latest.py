"""Pruning: what is kept reads as before and goes on as if nothing had been deleted."""

from __future__ import annotations

import operator
import random
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

import pytest
from graphwire_server.runs.retention import prune_thread
from graphwire_server.storage.checkpoints.records import CheckpointFilter
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.interface import Storage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Interrupt, PregelTask, StateSnapshot, interrupt


def _extend(have: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*have, *(item for write in writes for item in write)]


def _union(have: list[str], more: list[str]) -> list[str]:
    return sorted({*have, *more})


class Inside(TypedDict, total=False):
    """The state of a subgraph, which shares `names` with what is above it.

    Its lists are kept in two ways: as differences, and as what was written since a snapshot.
    """

    names: Annotated[list[str], _union]
    log: Annotated[list[str], operator.add]
    delta: Annotated[list[str], DeltaChannel(_extend, snapshot_frequency=3)]


class State(TypedDict, total=False):
    """The state of the root."""

    names: Annotated[list[str], _union]
    root_log: Annotated[list[str], operator.add]
    root_delta: Annotated[list[str], DeltaChannel(_extend, snapshot_frequency=3)]


def step(name: str, *, prefix: str = "") -> Any:
    """Returns a node that leaves its name, in a text too long to be kept in a checkpoint."""

    async def node(state: Any) -> Any:
        return written(prefix, f"{name} {len(state.get(f'{prefix}log', []))} ".ljust(150, "."))

    return node


def asks(name: str, *, prefix: str = "") -> Any:
    """Returns a node that asks twice."""

    async def node(state: Any) -> Any:
        answers = [interrupt(f"{name} {number}?") for number in (1, 2)]
        return written(prefix, f"{name} {answers}")

    return node


def written(prefix: str, text: str) -> dict[str, list[str]]:
    return {"names": [text.split()[0]], f"{prefix}log": [text], f"{prefix}delta": [text]}


def chain(*nodes: tuple[str, Any]) -> StateGraph[Any]:
    graph = StateGraph(Inside)
    previous = START
    for name, node in nodes:
        graph.add_node(name, node)
        graph.add_edge(previous, name)
        previous = name
    return graph


def make(saver: Saver) -> Any:
    """Returns a graph with branches, of which each asks: at the root, and in two subgraphs."""
    deep = chain(("one", step("one")), ("ask", asks("deep")), ("two", step("two"))).compile()
    once = chain(("first", step("first")), ("deep", deep), ("last", step("last"))).compile()
    kept = chain(("note", step("note")), ("ask", asks("kept"))).compile(checkpointer=True)
    graph = StateGraph(State)
    graph.add_node("before", step("before", prefix="root_"))
    graph.add_edge(START, "before")
    for name, node in (("root", asks("root", prefix="root_")), ("once", once), ("kept", kept)):
        graph.add_node(name, node)
        graph.add_edge("before", name)
        graph.add_edge(name, "after")
    graph.add_node("after", step("after", prefix="root_"))
    return graph.compile(checkpointer=saver)


def thread(thread_id: str, checkpoint_id: str = "") -> RunnableConfig:
    place = {"thread_id": thread_id}
    return {"configurable": place | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


async def prune(storage: Storage, thread_id: str) -> int:
    return await storage.write(lambda tx: prune_thread(tx, thread_id), long=True)


async def history(graph: Any, thread_id: str) -> list[StateSnapshot]:
    return [state async for state in graph.aget_state_history(thread(thread_id))]


async def checkpoints(storage: Storage, thread_id: str) -> list[tuple[str, str]]:
    which = CheckpointFilter(thread_id)
    found = await storage.read(lambda r: r.checkpoints(which, limit=999))
    return [(record.namespace, record.checkpoint_id) for record in found]


def told(state: StateSnapshot) -> Any:
    """All that a state says."""
    tasks = [
        (
            *(task.id, task.name, task.interrupts, task.result, str(task.error)),
            told(task.state) if isinstance(task.state, StateSnapshot) else None,
        )
        for task in state.tasks
    ]
    place = state.config["configurable"]
    at = (place.get("checkpoint_ns"), place.get("checkpoint_id"), state.parent_config)
    return at, state.values, state.next, state.metadata, state.created_at, tasks


def meaning(state: StateSnapshot) -> Any:
    """What a state says, without ids that differ from thread to thread."""
    return {
        # Branches of a step that wrote at the same time are in an order of their own.
        "values": {name: sorted(items) for name, items in dict(state.values).items()},
        "tasks": {task.name: _task(task) for task in state.tasks},
    }


def _task(task: PregelTask) -> Any:
    asked = sorted(question.value for question in task.interrupts)
    return asked, meaning(task.state) if isinstance(task.state, StateSnapshot) else None


def open_questions(state: StateSnapshot) -> list[Interrupt]:
    return sorted(state.interrupts, key=lambda asked: str(asked.value))


async def act(graph: Any, thread_id: str, what: str, chance: float) -> None:
    """Does one thing to a thread; to each thread with the same past the same."""
    state = await graph.aget_state(thread(thread_id))
    questions = open_questions(state)
    if what == "input":
        await graph.ainvoke({"root_log": ["in"], "root_delta": ["in"]}, thread(thread_id))
    elif what != "edit" and questions:
        chosen = questions[int(chance * len(questions))]
        await graph.ainvoke(Command(resume={chosen.id: chosen.value.upper()}), thread(thread_id))
    elif what == "edit" and state.values:
        edit = {"root_log": ["edit"], "root_delta": ["edit"]}
        await graph.aupdate_state(thread(thread_id), edit, as_node="before")
    elif what == "go on":
        await graph.ainvoke(None, thread(thread_id))


@pytest.mark.parametrize("seed", range(6))
async def test_a_thread_that_is_pruned_goes_on_as_one_that_is_not(
    storage: Storage, seed: int
) -> None:
    graph = make(storage.checkpointer)
    chances = random.Random(seed)
    for number in range(14):
        what = chances.choices(("input", "answer", "edit"), (2, 6, 1))[0] if number else "input"
        chance = chances.random()
        for name in ("pruned", "whole"):
            await act(graph, name, what, chance)
        before = await graph.aget_state(thread("pruned"), subgraphs=True)
        if chances.random() < 0.5:
            await prune(storage, "pruned")
            # Also for whoever has nothing of it at hand.
            fresh = make(Saver(storage))
            for reader in (graph, fresh):
                kept = await reader.aget_state(thread("pruned"), subgraphs=True)
                assert told(kept) == told(before)
            assert [state.config for state in await history(graph, "pruned")] == [before.config]
            assert await prune(storage, "pruned") == 0
        whole = await graph.aget_state(thread("whole"), subgraphs=True)
        assert meaning(before) == meaning(whole)
    while (await graph.aget_state(thread("whole"))).next:
        for name in ("pruned", "whole"):
            await act(graph, name, "go on", 0)
        await prune(storage, "pruned")
    ends = [await graph.aget_state(thread(name), subgraphs=True) for name in ("pruned", "whole")]
    assert meaning(ends[0]) == meaning(ends[1])
    assert ends[0].next == ()


async def test_a_thread_that_has_ended_keeps_its_head_and_subgraphs_with_a_state_of_their_own(
    storage: Storage,
) -> None:
    graph = make(storage.checkpointer)
    await graph.ainvoke({"root_log": ["in"]}, thread("t"))
    await prune(storage, "t")
    namespaces = [namespace for namespace, _ in await checkpoints(storage, "t")]
    # One of each: the root, both subgraphs of the step, and the one in the subgraph.
    assert sorted(len(namespace.split("|")) for namespace in namespaces if namespace) == [1, 1, 2]
    assert len(namespaces) == 4
    while open_questions(await graph.aget_state(thread("t"))):
        await act(graph, "t", "answer", 0)
    await prune(storage, "t")
    head = await graph.aget_state(thread("t"))
    kept = await checkpoints(storage, "t")
    assert sorted(namespace for namespace, _ in kept) == ["", "kept"]
    assert ("", head.config["configurable"]["checkpoint_id"]) in kept


async def test_a_checkpoint_that_was_removed_is_not_there(storage: Storage) -> None:
    graph = make(storage.checkpointer)
    await graph.ainvoke({"root_log": ["in"]}, thread("t"))
    *_, first = await history(graph, "t")
    old = first.config["configurable"]["checkpoint_id"]
    assert await prune(storage, "t") > 0
    assert (await graph.aget_state(thread("t", old))).created_at is None


async def test_what_is_left_of_a_long_thread_is_small(storage: Storage) -> None:
    graph = chain(("a", step("a")), ("b", step("b"))).compile(checkpointer=storage.checkpointer)
    for _ in range(20):
        await graph.ainvoke({"log": ["in"]}, thread("t"))
    before = await graph.aget_state(thread("t"))
    assert await prune(storage, "t") == 20 * 4 - 1
    versions = await storage.read(lambda r: r.channel_versions("t", ""))  # type: ignore[attr-defined]
    # A list is a chain of differences, of which the head needs some.
    assert len(versions) < 40
    everything = await storage.read(lambda r: r.all_checkpoints("t", ""))  # type: ignore[attr-defined]
    # The DeltaChannel has a value every third time, so few ancestors are needed.
    assert 1 <= len(everything) < 12
    assert await graph.aget_state(thread("t")) == before
