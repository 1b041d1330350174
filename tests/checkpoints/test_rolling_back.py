"""What a run has made goes, in every namespace; what was there before it is as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphwire_server.storage.checkpoints import pruning
from graphwire_server.storage.checkpoints.records import CheckpointRecord
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.interface import Storage

from .builders import Put, at, put, values_at

R = {"run_id": "r"}


async def roll_back(storage: Storage, run_id: str = "r") -> None:
    await storage.write(lambda tx: pruning.roll_back(tx, "t", run_id))


async def write(storage: Storage, saver: Saver, where: Put, value: Any, run_id: str) -> None:
    """Writes for a task at a checkpoint, in a run."""
    record = saver._write_record(where.config, [("items", value)], f"task-{value}", "")
    await storage.write(lambda tx: tx.put_checkpoint_writes([record], run_id=run_id))


async def kept(storage: Storage) -> dict[str, set[tuple[str, str, str]]]:
    """Returns all that is kept of a thread's values, by namespace."""
    names = await storage.write(lambda tx: tx.checkpoint_namespaces("t"))
    return {
        name: set(await storage.write(lambda tx, name=name: tx.channel_versions("t", name)))  # type: ignore[misc]
        for name in names
    }


async def test_the_old_head_is_the_head_with_its_values_and_writes(
    saver: Saver, storage: Storage
) -> None:
    first = await put(saver, metadata={"run_id": "q"}, items=["x" * 90], once="y" * 90)
    head = await put(saver, first, metadata={"run_id": "q"}, items=["x" * 90, "more"])
    child = await put(saver, namespace="child:1", metadata={"run_id": "q"}, inner=["z" * 90])
    await write(storage, saver, head, "before", "q")
    before, found = await kept(storage), await saver.aget_tuple(at())

    await write(storage, saver, head, "during", "r")
    grown = await put(saver, head, metadata=R, items=["x" * 90, "more", "and more"])
    await put(saver, grown, metadata=R, items=["x" * 90], other="o" * 90)
    await put(saver, child, metadata=R, inner=["z" * 90, "again"])
    await put(saver, namespace="new:2", metadata=R, inner=["z" * 90])
    await write(storage, saver, grown, "later", "r")
    await write(storage, saver, child, "inside", "r")
    assert await kept(storage) != before

    await roll_back(storage)
    for reader in (saver, Saver(storage)):
        again = await reader.aget_tuple(at())
        assert found is not None
        assert again is not None
        assert again.checkpoint == found.checkpoint
        assert again.pending_writes == [("task-before", "items", "before")]
        assert await values_at(reader, at()) == head.values
        assert await values_at(reader, at(namespace="child:1")) == child.values
    assert await kept(storage) == before
    assert await saver.aget_tuple(grown.config) is None
    # And the thread goes on from there.
    after = await put(saver, head, items=["x" * 90, "more", "after"])
    assert await values_at(Saver(storage), at()) == after.values


async def test_a_branch_from_an_older_checkpoint_goes_and_the_head_stays(
    saver: Saver, storage: Storage
) -> None:
    old = await put(saver, metadata={"run_id": "q"}, items=["x" * 90])
    head = await put(saver, old, metadata={"run_id": "q"}, items=["x" * 90, "head"])
    branch = await put(saver, old, metadata=R, items=["x" * 90, "branch"])
    await put(saver, branch, metadata=R, items=["x" * 90, "branch", "on"])
    await roll_back(storage)
    assert await values_at(Saver(storage), at()) == head.values
    assert await values_at(Saver(storage), old.config) == old.values


async def test_other_threads_and_other_runs_are_left_alone(saver: Saver, storage: Storage) -> None:
    mine = await put(saver, metadata={"run_id": "q"}, a=["x" * 90])
    foreign = await put(saver, thread_id="other", metadata=R, a=["x" * 90])
    await write(storage, saver, foreign, "kept", "r")
    await roll_back(storage)
    await roll_back(storage, "nobody")
    assert await values_at(saver, at()) == mine.values
    assert await values_at(saver, at("other")) == foreign.values
    found = await saver.aget_tuple(at("other"))
    assert found is not None
    assert found.pending_writes == [("task-kept", "items", "kept")]


async def test_of_a_thread_that_began_with_the_run_nothing_is_left(
    saver: Saver, storage: Storage
) -> None:
    one = await put(saver, metadata=R, items=["x" * 200])
    two = await put(saver, one, metadata=R, items=["x" * 200, "y"])
    await write(storage, saver, two, "w", "r")
    await roll_back(storage)
    assert await saver.aget_tuple(at()) is None
    assert await kept(storage) == {}
    assert await storage.write(lambda tx: tx.channel_versions("t", "")) == []
    assert await storage.read(lambda db: db.checkpoint_writes("t", "", [two.checkpoint_id])) == []


async def test_a_checkpoint_that_is_put_again_stays_that_of_the_run_that_made_it(
    storage: Storage,
) -> None:
    record = CheckpointRecord("t", "", "c", "", "q", "{}", b"\x80")
    await storage.write(lambda tx: tx.put_checkpoint(record))
    await storage.write(lambda tx: tx.put_checkpoint(replace(record, run_id="r", metadata="[]")))
    (found,) = await storage.write(lambda tx: tx.all_checkpoints("t", ""))
    assert (found.run_id, found.metadata) == ("q", "[]")
