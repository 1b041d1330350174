"""Makes checkpoints as LangGraph's loop does, without a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from graphwire_server.storage.checkpoints.saver import Saver
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint

_numbers = count()


def at(thread_id: str = "t", checkpoint_id: str = "", namespace: str = "") -> RunnableConfig:
    """Returns the config of a checkpoint, or of the head."""
    configurable = {"thread_id": thread_id, "checkpoint_ns": namespace}
    if checkpoint_id:
        configurable["checkpoint_id"] = checkpoint_id
    return {"configurable": configurable}


@dataclass(frozen=True)
class Put:
    """A checkpoint that was put, and what it held."""

    checkpoint_id: str
    values: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    thread_id: str = "t"
    namespace: str = ""

    @property
    def config(self) -> RunnableConfig:
        """Returns the config that names it."""
        return at(self.thread_id, self.checkpoint_id, self.namespace)


async def put(
    saver: Saver,
    parent: Put | None = None,
    *,
    thread_id: str = "t",
    namespace: str = "",
    checkpoint_id: str = "",
    metadata: Mapping[str, Any] | None = None,
    without: str = "",
    **changed: Any,
) -> Put:
    """Puts a checkpoint in which some channels have new values, and one may have lost its own."""
    if parent is not None:
        thread_id, namespace = parent.thread_id, parent.namespace
    before = parent or Put("")
    highest = max(before.versions.values(), default=None)
    version = saver.get_next_version(highest, None)
    new_versions = dict.fromkeys([*changed, without] if without else changed, version)
    result = Put(
        checkpoint_id or f"checkpoint-{next(_numbers):06}",
        {name: value for name, value in (before.values | changed).items() if name != without},
        before.versions | new_versions,
        thread_id,
        namespace,
    )
    checkpoint: Checkpoint = {
        "v": 4,
        "id": result.checkpoint_id,
        "ts": "2026-11-25T20:56:00+00:00",
        "channel_values": dict(result.values),
        "channel_versions": dict(result.versions),
        "versions_seen": {"__input__": {}},
        "updated_channels": sorted(changed),
    }
    config = at(thread_id, before.checkpoint_id, namespace)
    assert await saver.aput(config, checkpoint, dict(metadata or {}), new_versions) == result.config  # type: ignore[arg-type]
    return result


async def values_at(saver: Saver, config: RunnableConfig) -> dict[str, Any]:
    """Returns the values of the channels at a checkpoint."""
    found = await saver.aget_tuple(config)
    assert found is not None
    return found.checkpoint["channel_values"]
