"""Graphs do with our saver what they do with LangGraph's own, kept in memory."""

from __future__ import annotations

import pytest
from graphwire_server.storage.checkpoints.cache import ValueCache
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from graphwire_server.storage.interface import Storage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Durability

from .scenarios import SCENARIOS

DURABILITIES: tuple[Durability, ...] = ("sync", "async", "exit")


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_graph_does_the_same(saver: Saver, name: str, durability: Durability) -> None:
    scenario = SCENARIOS[name]
    assert await scenario(saver, durability) == await scenario(InMemorySaver(), durability)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_graph_does_the_same_when_nothing_is_committed_yet(
    saver: Saver, storage: Storage, name: str
) -> None:
    scenario = SCENARIOS[name]
    batch = EditBatch()
    token = current_sink.set(batch)
    seen = await scenario(saver, "sync")
    current_sink.reset(token)
    assert seen == await scenario(InMemorySaver(), "sync")
    await storage.write(batch.apply)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_graph_does_the_same_without_a_cache(
    saver: Saver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = SCENARIOS[name]
    monkeypatch.setattr(ValueCache, "put", lambda *_, **__: None)
    assert await scenario(saver, "sync") == await scenario(InMemorySaver(), "sync")
