"""A state in which a command waits that is not part of a checkpoint yet.

The engine keeps a command's update and goto as writes beside the head checkpoint, and applies
them in memory each time it goes on from there, until the step is over. `aget_state` does not,
so it knows nothing of the nodes that the command goes to. A graph stands there when one of
them has a breakpoint before it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.langgraph_compat import AnyPregel


async def with_command_applied(graph: AnyPregel, config: RunnableConfig) -> AnyPregel:
    """Returns a graph whose state, at a config, includes the command that waits there.

    It is the graph itself where none does. To be looked at and edited, not to be run: what an
    edit makes of that state has the command in it.
    """
    saver = graph.checkpointer
    assert isinstance(saver, BaseCheckpointSaver)
    found = await saver.aget_tuple(config)
    if found is None or not compat.command_writes(found):
        return graph
    applied = await compat.command_applied(graph, saver, found)
    return compat.copy_with(graph, {"checkpointer": _Applied(saver, found, applied)})


class _Applied(BaseCheckpointSaver[Any]):
    """A saver in which one checkpoint is another than the one that is stored."""

    def __init__(
        self, saver: BaseCheckpointSaver[Any], stored: CheckpointTuple, shown: CheckpointTuple
    ) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver
        self._checkpoint = shown
        before = stored.checkpoint["channel_versions"]
        self._changed = {
            name: version
            for name, version in shown.checkpoint["channel_versions"].items()
            if before.get(name) != version
        }

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await self._saver.aget_tuple(config)
        if found is not None and found.config == self._checkpoint.config:
            return self._checkpoint
        return found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        # The engine takes what the command changed for stored already.
        there = checkpoint["channel_versions"]
        changed = {name: v for name, v in self._changed.items() if there.get(name) == v}
        return await self._saver.aput(config, checkpoint, metadata, {**changed, **new_versions})

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await self._saver.aput_writes(config, writes, task_id, task_path)

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self._saver.get_next_version(current, channel)

    def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        return self._saver.alist(config, filter=filter, before=before, limit=limit)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return await self._saver.aget_delta_channel_history(config=config, channels=channels)
