"""What is saved goes to the sink, at once and in order; reads see what it holds."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, Any, TypedDict

import pytest
from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointRecord,
    WriteRecord,
)
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.checkpoints.serde import UnserializableError
from graphwire_server.storage.checkpoints.sink import Done, EditBatch, Sink, current_sink
from graphwire_server.storage.interface import IntegrityError, Storage
from langgraph.channels import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from .builders import at, put, values_at


@contextmanager
def through(sink: Sink) -> Iterator[None]:
    token = current_sink.set(sink)
    try:
        yield
    finally:
        current_sink.reset(token)


class Journal(Sink):
    """Notes what it gets, and writes all of it when it is asked to settle."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.entries: list[str] = []
        self.batch = EditBatch()

    def put_checkpoint(
        self, checkpoint: CheckpointRecord, values: Sequence[ChannelValueRecord]
    ) -> Awaitable[None]:
        self.entries.append(f"checkpoint {checkpoint.checkpoint_id}")
        return self.batch.put_checkpoint(checkpoint, values)

    def put_writes(self, writes: Sequence[WriteRecord]) -> Awaitable[None]:
        self.entries += [f"writes {write.task_id} at {write.checkpoint_id}" for write in writes]
        return self.batch.put_writes(writes)

    def annotations(
        self,
        thread_id: str,
        namespace: str,
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        place = f"{thread_id} {namespace} {checkpoint['channel_values']} {metadata}"
        return {"verdict": place}

    def knows_none(self, thread_id: str, namespace: str) -> bool:
        return namespace == "fresh"

    async def settled(self) -> None:
        batch, self.batch = self.batch, EditBatch()
        await self.storage.write(batch.apply)


async def test_what_is_put_is_recorded_when_it_is_put(saver: Saver, storage: Storage) -> None:
    journal = Journal(storage)
    with through(journal):
        first = await put(saver, checkpoint_id="1", a=1)
        awaitable = saver.aput_writes(first.config, [("a", 2)], "task", "path")
        assert journal.entries == ["checkpoint 1", "writes task at 1"]
        assert asyncio.iscoroutine(awaitable)
        await awaitable
        await put(saver, first, checkpoint_id="2", a=2)
        assert journal.entries[2:] == ["checkpoint 2"]
    assert await saver.aget_tuple(at()) is None


async def test_reads_wait_until_what_was_put_can_be_read(saver: Saver, storage: Storage) -> None:
    with through(Journal(storage)):
        first = await put(saver, checkpoint_id="1", items=["x" * 50] * 20)
        await saver.aput_writes(first.config, [("items", ["y"])], "task")
        second = await put(saver, first, checkpoint_id="2", items=["x" * 50] * 21)
        assert await values_at(saver, at()) == second.values
        assert [found.checkpoint["id"] async for found in saver.alist(at())] == ["2", "1"]
    assert await values_at(Saver(storage), at()) == second.values


async def test_what_the_sink_holds_is_a_base_for_what_follows(
    saver: Saver, storage: Storage
) -> None:
    batch = EditBatch()
    with through(batch):
        first = await put(saver, items=["x" * 50] * 20)
        second = await put(saver, first, items=["x" * 50] * 21)
    await storage.write(batch.apply)
    version, base = second.versions["items"], first.versions["items"]
    assert ("items", version, base) in await storage.write(lambda tx: tx.channel_versions("t", ""))


async def test_annotations_are_metadata(saver: Saver, storage: Storage) -> None:
    with through(Journal(storage)):
        await put(saver, namespace="child", metadata={"step": 1, "verdict": "none"}, a=1)
        found = await saver.aget_tuple(at(namespace="child"))
    assert found is not None
    assert found.metadata == {
        "step": 1,
        "verdict": "t child {'a': 1} {'step': 1, 'verdict': 'none'}",
    }


async def test_nobody_looks_where_a_sink_knows_of_nothing(
    saver: Saver, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_read(*_: Any, **__: Any) -> None:
        raise AssertionError("it was looked for")

    monkeypatch.setattr(storage, "read", no_read)
    with through(Journal(storage)):
        assert await saver.aget_tuple(at(namespace="fresh")) is None
        with pytest.raises(AssertionError, match="it was looked for"):
            await saver.aget_tuple(at(namespace="other"))


async def test_the_run_of_a_checkpoint_is_the_one_of_its_metadata(saver: Saver) -> None:
    batch = EditBatch({"run_id": "run"})
    with through(batch):
        await put(saver, metadata={"run_id": "another"})
    (record,) = batch.checkpoints
    assert record.run_id == "run"


async def test_what_can_not_be_kept_is_not_recorded(saver: Saver, storage: Storage) -> None:
    journal = Journal(storage)
    with through(journal):
        first = await put(saver, a=1)
        failing = saver.aput_writes(first.config, [("a", 1), ("lock", asyncio.Lock())], "task")
        with pytest.raises(
            UnserializableError,
            match=r"channel 'lock' can't be kept in a checkpoint: its value, of type "
            r"asyncio\.locks\.Lock, is not serializable: .*Lock",
        ):
            await failing
        with pytest.raises(UnserializableError, match=r"channel 'nested'.*of type builtins\.dict"):
            await put(saver, first, nested={"deep": [asyncio.Lock()]})
    assert journal.entries == [f"checkpoint {first.checkpoint_id}"]


def test_nothing_to_wait_for_is_over_at_once() -> None:
    with pytest.raises(StopIteration):
        next(Done().__await__())


# --- EditBatch ---


async def test_a_batch_is_seen_only_through_it_until_it_is_applied(
    saver: Saver, storage: Storage
) -> None:
    first = await put(saver, checkpoint_id="1", items=["x" * 50] * 20)
    await saver.aput_writes(first.config, [("items", ["stored"])], "task-1")
    batch = EditBatch({"edited": True})
    with through(batch):
        await saver.aput_writes(first.config, [("items", ["held"])], "task-2")
        second = await put(saver, first, checkpoint_id="2", items=["x" * 50] * 21)
        third = await put(saver, second, checkpoint_id="3", items=["x" * 50] * 22, n=1)
        await saver.aput_writes(third.config, [("n", 2)], "task-3")
        for reader in (saver, Saver(storage)):
            for one in (first, second, third):
                assert await values_at(reader, one.config) == one.values
            head = await reader.aget_tuple(at())
            assert head is not None
            assert head.checkpoint["id"] == "3"
            assert head.metadata == {"edited": True}
            assert head.pending_writes == [("task-3", "n", 2)]
            below = await reader.aget_tuple(first.config)
            assert below is not None
            assert below.pending_writes == [
                ("task-1", "items", ["stored"]),
                ("task-2", "items", ["held"]),
            ]
    assert [c.checkpoint_id for c in batch.checkpoints] == ["2", "3"]
    head = await saver.aget_tuple(at())
    assert head is not None
    assert head.checkpoint["id"] == "1"
    await storage.write(batch.apply)
    for reader in (saver, Saver(storage)):
        for one in (first, second, third):
            assert await values_at(reader, one.config) == one.values
    assert await values_at(saver, at()) == third.values


async def test_a_batch_lists_its_own_first(saver: Saver) -> None:
    async def ids(**arguments: Any) -> list[str]:
        return [found.checkpoint["id"] async for found in saver.alist(**arguments)]

    puts = [await put(saver, n=n, metadata={"step": n}) for n in range(40)]
    stored = [one.checkpoint_id for one in reversed(puts)]
    child = await put(saver, namespace="child", checkpoint_id="child-stored")
    with through(EditBatch()):
        await put(saver, checkpoint_id="0-held-1", metadata={"step": 1})
        await put(saver, child, checkpoint_id="0-child-held")
        await put(saver, checkpoint_id="0-held-2")
        assert await ids(config=at()) == ["0-held-2", "0-held-1", *stored]
        assert await ids(config=at(), limit=1) == ["0-held-2"]
        assert await ids(config=at(), limit=5) == ["0-held-2", "0-held-1", *stored[:3]]
        assert await ids(config=at(), filter={"step": 1}) == ["0-held-1", stored[38]]
        assert await ids(config=at(), before=at(checkpoint_id="0-held-2")) == ["0-held-1", *stored]
        assert await ids(config=at(), before=at(checkpoint_id=stored[37])) == stored[38:]
        assert await ids(config=at(checkpoint_id="0-held-1")) == ["0-held-1"]
        child_before = {"config": at(namespace="child"), "before": at(checkpoint_id="0-held-1")}
        assert await ids(**child_before) == ["child-stored"]
        child_before["before"] = at(checkpoint_id="0-held-2")
        assert await ids(**child_before) == ["0-child-held", "child-stored"]


async def test_a_batch_that_is_dropped_leaves_nothing(saver: Saver, storage: Storage) -> None:
    first = await put(saver, items=["x" * 50] * 20)
    with through(EditBatch()):
        await put(saver, first, items=["x" * 50] * 21)
    third = await put(saver, first, items=["x" * 50] * 20 + ["z"])
    assert await values_at(Saver(storage), at()) == third.values


async def test_a_batch_may_be_applied_again_in_another_transaction(
    saver: Saver, storage: Storage
) -> None:
    batch = EditBatch()
    with through(batch):
        one = await put(saver, items=["x" * 50] * 20)
        two = await put(saver, one, items=["x" * 50] * 21)
        await saver.aput_writes(two.config, [("n", 1)], "task")

    def apply_and_fail(tx: Any) -> None:
        batch.apply(tx)
        raise IntegrityError("no")

    with pytest.raises(IntegrityError):
        await storage.write(apply_and_fail)
    assert await saver.aget_tuple(at()) is None
    await storage.write(batch.apply)
    assert await values_at(saver, at()) == two.values


# --- a graph's state, edited through a batch ---


class State(TypedDict):
    log: Annotated[list[str], operator.add]
    delta: Annotated[list[str], DeltaChannel(lambda old, new: [*old, *chain(*new)])]


def a_graph(saver: Saver) -> CompiledStateGraph[State, None, State, State]:
    async def one(state: State) -> dict[str, Any]:
        return {"log": ["one"], "delta": ["one"]}

    async def two(state: State) -> dict[str, Any]:
        return {"log": ["two"], "delta": ["two"]}

    builder = StateGraph(State)
    builder.add_node("one", one)
    builder.add_node("two", two)
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    return builder.compile(checkpointer=saver, interrupt_before=["two"])


async def test_edits_of_a_graphs_state_see_each_other(saver: Saver, storage: Storage) -> None:
    graph = a_graph(saver)
    await graph.ainvoke({"log": ["in"], "delta": ["in"]}, at())
    before = await graph.aget_state(at())
    batch = EditBatch()
    with through(batch):
        await graph.aupdate_state(at(), {"log": ["edit"], "delta": ["edit"]}, as_node="one")
        await graph.aupdate_state(at(), {"log": ["more"], "delta": ["more"]})
        held = await graph.aget_state(at())
        history = [state async for state in graph.aget_state_history(at())]
    want = ["in", "one", "edit", "more"]
    assert held.values == {"log": want, "delta": want}
    assert held.next == ("two",)
    assert [state.values["delta"] for state in history] == [want, want[:3], want[:2], ["in"], []]
    assert await graph.aget_state(at()) == before
    await storage.write(batch.apply)
    after = await a_graph(Saver(storage)).aget_state(at())
    assert (after.values, after.next, after.config) == (held.values, held.next, held.config)
    assert await graph.ainvoke(None, at()) == {"log": [*want, "two"], "delta": [*want, "two"]}
