"""What the saver promises beyond LangGraph's own suite."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.interface import IntegrityError, Storage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from .builders import Put, at, put, values_at


async def ids(saver: Saver, config: RunnableConfig | None, **arguments: Any) -> list[str]:
    return [found.checkpoint["id"] async for found in saver.alist(config, **arguments)]


# --- which one is the head, and in which order they come ---


async def test_the_head_is_the_one_written_last_whatever_its_id(saver: Saver) -> None:
    late = await put(saver, checkpoint_id="z", a=1)
    early = await put(saver, late, checkpoint_id="a", a=2)
    head = await saver.aget_tuple(at())
    assert head is not None
    assert head.config == early.config
    assert head.parent_config == late.config
    assert await ids(saver, at()) == ["a", "z"]
    assert await ids(saver, at(), before=early.config) == ["z"]
    assert await ids(saver, at(), before=late.config) == []


async def test_one_that_is_put_again_keeps_its_place(saver: Saver) -> None:
    first = await put(saver, checkpoint_id="1", a=1)
    await put(saver, first, checkpoint_id="2")
    await put(saver, checkpoint_id="1", metadata={"step": 7})
    assert await ids(saver, at()) == ["2", "1"]
    again = await saver.aget_tuple(first.config)
    assert again is not None
    assert again.metadata == {"step": 7}


async def test_before_may_name_a_checkpoint_of_another_namespace(saver: Saver) -> None:
    """LangGraph replays a subgraph from where it stood before a checkpoint of the root."""
    await put(saver, namespace="child", checkpoint_id="c1")
    await put(saver, checkpoint_id="r1")
    await put(saver, namespace="child", checkpoint_id="c2")
    await put(saver, checkpoint_id="r2")
    child = at(namespace="child")
    assert await ids(saver, child, before=at(checkpoint_id="r1")) == ["c1"]
    assert await ids(saver, child, before=at(checkpoint_id="r2")) == ["c2", "c1"]


async def test_what_was_made_under_a_checkpoint_is_not_before_it(saver: Saver) -> None:
    """With EXIT durability a subgraph's checkpoints are written before those of the root."""
    for step in (1, 2):
        under = {"parents": {"": f"r{step}"}}
        await put(saver, namespace="child", checkpoint_id=f"c{step}", metadata=under)
        await put(saver, checkpoint_id=f"r{step}")
    child = at(namespace="child")
    assert await ids(saver, child, before=at(checkpoint_id="r2")) == ["c1"]
    assert await ids(saver, child, before=at(checkpoint_id="r1"), limit=1) == []


async def test_before_one_that_is_not_there_goes_by_the_id(saver: Saver) -> None:
    for checkpoint_id in "ace":
        await put(saver, checkpoint_id=checkpoint_id)
    assert await ids(saver, at(), before=at(checkpoint_id="d")) == ["c", "a"]


async def test_lists_go_over_many_pages(saver: Saver) -> None:
    put_ids = []
    for step in range(100):
        metadata = {"step": step, "even": step % 2 == 0}
        put_ids.append((await put(saver, metadata=metadata, a=step)).checkpoint_id)
    newest_first = put_ids[::-1]
    assert await ids(saver, at()) == newest_first
    assert await ids(saver, at(), limit=37) == newest_first[:37]
    assert await ids(saver, at(), filter={"even": True}) == newest_first[1::2]
    assert await ids(saver, at(), filter={"even": True}, limit=40) == newest_first[1::2][:40]
    assert await ids(saver, at(), filter={"even": True, "step": 3}) == []
    assert await ids(saver, at(), limit=0) == []


async def test_a_list_without_a_namespace_or_a_thread_is_of_all(saver: Saver) -> None:
    await put(saver, checkpoint_id="1")
    await put(saver, namespace="child", checkpoint_id="2")
    await put(saver, thread_id="other", checkpoint_id="3")
    assert await ids(saver, {"configurable": {"thread_id": "t"}}) == ["2", "1"]
    assert await ids(saver, None) == ["3", "2", "1"]
    assert await ids(saver, None, before=at(checkpoint_id="3")) == ["2", "1"]
    assert await ids(saver, at(checkpoint_id="1")) == ["1"]


# --- values and versions ---


def test_versions_rise_and_are_short(saver: Saver) -> None:
    versions = [saver.get_next_version(None, None)]
    for _ in range(20):
        versions.append(saver.get_next_version(versions[-1], None))
    assert versions == sorted(versions)
    assert [int(version.partition(".")[0]) for version in versions] == list(range(1, 22))
    assert {len(version) for version in versions} == {35}


def test_versions_of_two_branches_differ_also_if_random_numbers_do_not(saver: Saver) -> None:
    found = set()
    for _ in range(10):
        random.seed(1)
        found.add(saver.get_next_version("0000000007.0123456789abcdef", None))
    assert len(found) == 10


async def test_two_branches_keep_their_values(saver: Saver) -> None:
    root = await put(saver, items=["start"] * 50)
    left = await put(saver, root, items=["start"] * 50 + ["left"])
    right = await put(saver, root, items=["start"] * 50 + ["right"])
    for branch in (root, left, right):
        assert await values_at(saver, branch.config) == branch.values


async def test_a_value_is_kept_once_however_many_checkpoints_hold_it(
    saver: Saver, storage: Storage
) -> None:
    last = await put(saver, big="x" * 10_000, n=0)
    for n in range(20):
        last = await put(saver, last, n=n)
    assert await values_at(saver, at()) == {"big": "x" * 10_000, "n": 19}
    versions = await storage.write(lambda tx: tx.channel_versions("t", ""))
    assert versions == [("big", last.versions["big"], "")]


async def test_a_channel_that_lost_its_value_has_none(saver: Saver, storage: Storage) -> None:
    items = ["x" * 200]
    first = await put(saver, items=items, n=1)
    emptied = await put(saver, first, n=2, without="items")
    assert "items" in emptied.versions
    again = await put(saver, emptied, items=[*items, "y"])
    assert await values_at(saver, emptied.config) == {"n": 2}
    assert await values_at(saver, at()) == again.values
    # What is not in the parent is no base.
    bases = await storage.write(lambda tx: tx.channel_versions("t", ""))
    assert ("items", again.versions["items"], "") in bases


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, -(2**63), 1.5, float("inf"), "", "short", "ä" * 16),
    *("x" * 17, "x" * 70_000, b"", b"bytes", bytearray(b"array"), [], {}, [None], {"a": []}),
    *([[1, 2], {"k": {"deep": [None]}}], {1: "int key", "s": 2}, list(range(70_000))),
)


async def test_values_come_back_as_they_were(saver: Saver) -> None:
    values = {f"channel-{number}": value for number, value in enumerate(VALUES)}
    before = await put(saver, **values)
    await put(saver, before, other=1)
    async for found in saver.alist(at()):
        for name, value in values.items():
            read = found.checkpoint["channel_values"][name]
            assert (read, type(read)) == (value, type(value))


async def test_numbers_are_told_apart(saver: Saver) -> None:
    await put(saver, one=1, true=True, real=1.0)
    found = await values_at(saver, at())
    assert [type(value) for value in found.values()] == [int, bool, float]


async def test_metadata_comes_back_as_it_was(saver: Saver) -> None:
    metadata: dict[str, Any] = {
        "step": 2**70,
        "parents": {"": "x"},
        "text": "half \ud83d of a pair",
        "nested": [1.5, None, {"a": []}],
    }
    await put(saver, metadata=metadata)
    found = await saver.aget_tuple(at())
    assert found is not None
    assert found.metadata == metadata


# --- differences, whatever happens ---


async def test_a_base_that_was_never_committed_is_not_built_on(
    saver: Saver, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await put(saver, items=["x" * 50] * 20)

    async def fail(work: object) -> None:
        raise IntegrityError("no")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", fail)
        with pytest.raises(IntegrityError):
            await put(saver, first, items=["x" * 50] * 21)
    second = await put(saver, first, items=["x" * 50] * 20 + ["y" * 50])
    assert await values_at(saver, at()) == second.values
    assert await values_at(Saver(storage), at()) == second.values


async def test_what_another_server_put_again_is_read_anew(saver: Saver, storage: Storage) -> None:
    await put(saver, checkpoint_id="1", items=["x" * 50] * 20)
    other = await put(Saver(storage), checkpoint_id="1", items=["y" * 50] * 20)
    assert await values_at(saver, at()) == other.values


async def test_a_difference_to_what_has_gone_is_refused(saver: Saver, storage: Storage) -> None:
    first = await put(saver, items=["x" * 50] * 20)
    await storage.write(lambda tx: tx.delete_checkpoints("t"))
    with pytest.raises(IntegrityError, match="which has gone"):
        await put(saver, first, items=["x" * 50] * 21)
    assert await saver.aget_tuple(at()) is None


async def test_versions_of_another_saver_are_no_base(saver: Saver, storage: Storage) -> None:
    """Numbers alone don't tell two branches apart."""
    checkpoints: list[Any] = [
        {
            "v": 4,
            "id": str(version),
            "ts": "",
            "channel_values": {"items": ["x" * 50] * (20 + version)},
            "channel_versions": {"items": version},
            "versions_seen": {"node": {"items": version}},
            "updated_channels": None,
        }
        for version in (1, 2, 3)
    ]
    config = at()
    for version, checkpoint in enumerate(checkpoints, 1):
        config = await saver.aput(config, checkpoint, {}, {"items": version})
    listed = [found.checkpoint async for found in saver.alist(at())]
    assert listed == list(reversed(checkpoints))
    bases = await storage.write(lambda tx: tx.channel_versions("t", ""))
    assert sorted(bases) == [("items", "1", ""), ("items", "2", ""), ("items", "3", "")]
    assert saver.get_next_version(3, None).startswith("0000000004.")  # type: ignore[arg-type]


async def test_what_was_written_already_may_be_written_again(storage: Storage) -> None:
    saver = storage.checkpointer
    first = await put(saver, items=["x" * 50] * 20)
    second = await put(saver, first, items=["x" * 50] * 21)
    record = await storage.read(lambda r: r.checkpoint("t", "", second.checkpoint_id))
    version = second.versions["items"]
    values = await storage.read(lambda r: r.channel_values("t", "", [("items", version)]))
    assert len(values) == 2
    assert record is not None
    await storage.write(lambda tx: tx.put_checkpoint(record, values))
    assert await values_at(Saver(storage), at()) == second.values


ELEMENT = st.sampled_from([c * 60 for c in "abcdef"])
EDITS = st.one_of(
    st.tuples(st.just("append"), ELEMENT),
    st.tuples(st.just("change"), st.integers(0, 50), ELEMENT),
    st.tuples(st.just("shrink"), st.integers(0, 50)),
    st.tuples(st.just("drop first")),
    st.tuples(st.just("none")),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["go on", "go on", "go on", "fork", "restart", "lose"]), EDITS),
    min_size=1,
    max_size=40,
)


def edited(items: list[str], edit: tuple[Any, ...]) -> list[str]:
    match edit:
        case "append", element:
            return [*items, element]
        case "change", place, element if items:
            return [*items[: place % len(items)], element, *items[place % len(items) + 1 :]]
        case "shrink", length:
            return items[:length]
        case ("drop first",):
            return items[1:]
    return items


_threads = itertools.count()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, pick=st.randoms(use_true_random=False))
async def test_what_is_read_is_what_was_put(
    storage: Storage, steps: list[tuple[str, tuple[Any, ...]]], pick: random.Random
) -> None:
    thread_id = f"random-{next(_threads)}"
    saver = Saver(storage)
    parent = await put(saver, thread_id=thread_id, items=["start" * 20] * 5)
    every = [parent]
    for what, edit in steps:
        if what == "fork":
            parent = pick.choice(every)
            await saver.aget_tuple(parent.config)
        elif what == "restart":
            saver = Saver(storage)
        elif what == "lose":
            saver._cache.forget((thread_id, "", parent.checkpoint_id))
        parent = await put(saver, parent, items=edited(parent.values["items"], edit))
        every.append(parent)
    for reader in (saver, Saver(storage)):
        for one in every:
            assert await values_at(reader, one.config) == one.values
    listed = [found.checkpoint["channel_values"] async for found in saver.alist(at(thread_id))]
    assert listed == [one.values for one in reversed(every)]


# --- what tasks wrote ---


async def test_writes_come_in_the_order_of_their_paths(saver: Saver) -> None:
    head = await put(saver)
    await saver.aput_writes(head.config, [("c", 3), ("d", 4)], "task-a", "~path, 2")
    await saver.aput_writes(head.config, [("a", 1)], "task-z", "~path, 1")
    await saver.aput_writes(head.config, [("b", 0)], "task-m")
    found = await saver.aget_tuple(at())
    assert found is not None
    assert found.pending_writes == [
        ("task-m", "b", 0),
        ("task-z", "a", 1),
        ("task-a", "c", 3),
        ("task-a", "d", 4),
    ]


async def test_of_writes_in_one_place_the_first_holds_but_the_last_answer(saver: Saver) -> None:
    head = await put(saver)
    await saver.aput_writes(head.config, [(INTERRUPT, "q1"), (RESUME, ["a1"])], "task")
    await saver.aput_writes(head.config, [(RESUME, ["a1", "a2"])], "task")
    await saver.aput_writes(head.config, [("a", 1), ("b", 2)], "task")
    await saver.aput_writes(head.config, [("a", 9), ("b", 9), (ERROR, "late")], "task")
    found = await saver.aget_tuple(at())
    assert found is not None
    assert found.pending_writes == [
        ("task", RESUME, ["a1", "a2"]),
        ("task", INTERRUPT, "q1"),
        ("task", ERROR, "late"),
        ("task", "a", 1),
        ("task", "b", 2),
    ]


async def test_writes_are_kept_before_their_checkpoint_is(saver: Saver) -> None:
    config = at(checkpoint_id="soon")
    await saver.aput_writes(config, [("a", 1), ("none", None), ("bytes", b"x")], "task")
    await put(saver, checkpoint_id="soon")
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes == [
        ("task", "a", 1),
        ("task", "none", None),
        ("task", "bytes", b"x"),
    ]


# --- cancelling ---


async def cancel_after(turns: int, task: asyncio.Task[Any]) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_cancelled_put_is_whole_or_nothing(storage: Storage, turns: int) -> None:
    saver = storage.checkpointer
    first = await put(saver, items=["x" * 50] * 20)
    task = asyncio.create_task(put(saver, first, checkpoint_id="second", items=["x" * 50] * 21))
    await cancel_after(turns, task)
    writes = saver.aput_writes(first.config, [("a", 1), ("b", 2)], "task")
    await cancel_after(turns, asyncio.create_task(writes))
    await cancel_after(turns, asyncio.create_task(saver.adelete_thread("nobody")))
    for reader in (saver, Saver(storage)):
        found = await reader.aget_tuple(first.config)
        assert found is not None
        assert found.pending_writes in ([], [("task", "a", 1), ("task", "b", 2)])
        second = await reader.aget_tuple(at(checkpoint_id="second"))
        if second is not None:
            assert second.checkpoint["channel_values"] == {"items": ["x" * 50] * 21}


# --- threads ---


async def test_copies_are_complete_and_independent(saver: Saver, storage: Storage) -> None:
    root = await put(saver, items=["x" * 50] * 20)
    left = await put(saver, root, items=["x" * 50] * 21)
    right = await put(saver, root, items=["x" * 50] * 20 + ["y"])
    await saver.aput_writes(right.config, [("items", ["z"])], "task", "path")
    await saver.acopy_thread("t", "copy")
    await saver.adelete_thread("t")
    assert await ids(saver, at()) == []
    assert await ids(saver, at("copy")) == [
        right.checkpoint_id,
        left.checkpoint_id,
        root.checkpoint_id,
    ]
    for one in (root, left, right):
        assert await values_at(saver, at("copy", one.checkpoint_id)) == one.values
    head = await saver.aget_tuple(at("copy"))
    assert head is not None
    assert head.parent_config == at("copy", root.checkpoint_id)
    assert head.pending_writes == [("task", "items", ["z"])]


async def test_a_copy_does_not_mix_two_histories(saver: Saver) -> None:
    await put(saver, checkpoint_id="1", a=1)
    await saver.acopy_thread("t", "copy")
    with pytest.raises(IntegrityError):
        await saver.acopy_thread("t", "copy")
    assert await ids(saver, at("copy")) == ["1"]


async def test_a_thread_that_was_deleted_may_begin_anew(saver: Saver) -> None:
    first = await put(saver, items=["x" * 50] * 20)
    await put(saver, first, items=["x" * 50] * 21)
    await saver.adelete_thread("t")
    assert await saver.aget_tuple(at()) is None
    again = await put(saver, items=["x" * 50] * 3)
    assert await ids(saver, at()) == [again.checkpoint_id]
    assert await values_at(saver, at()) == again.values


async def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    from graphwire_server.storage.sqlite import SqliteStorage

    path = tmp_path / "graphwire.db"
    last: Put | None = None
    for start in range(3):
        storage = await SqliteStorage.open(path)
        for step in range(20):
            items = [*(last.values["items"] if last else []), f"{start} {step} " + "x" * 60]
            last = await put(storage.checkpointer, last, items=items)
        await storage.close()
    storage = await SqliteStorage.open(path)
    assert last is not None
    assert await values_at(storage.checkpointer, at()) == last.values
    await storage.close()


# --- the cache ---


async def test_the_cache_keeps_to_its_size(storage: Storage) -> None:
    saver = Saver(storage, cache_size=100_000)
    for thread in range(100):
        one = await put(saver, thread_id=f"thread-{thread}", items=["x" * 50] * 100)
        await put(saver, one, items=["x" * 50] * 101)
    assert 50_000 < saver._cache.size <= 100_000


async def test_one_that_is_larger_than_the_cache_is_kept_all_the_same(storage: Storage) -> None:
    saver = Saver(storage, cache_size=10)
    one = await put(saver, items=["x" * 50] * 100)
    two = await put(saver, one, items=["x" * 50] * 101)
    (row,) = [
        base
        for _, version, base in await storage.write(lambda tx: tx.channel_versions("t", ""))
        if version == two.versions["items"]
    ]
    assert row == one.versions["items"]
