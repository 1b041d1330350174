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
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, DeltaChannelHistory

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.langgraph_compat import AnyPregel


async def with_command_applied(graph: AnyPregel, config: RunnableConfig) -> AnyPregel:
    """Returns a graph whose state, at a config, includes the command that waits there.

    It is the graph itself where none does. Only to be looked at, not to be run.
    """
    saver = graph.checkpointer
    assert isinstance(saver, BaseCheckpointSaver)
    found = await saver.aget_tuple(config)
    if found is None or not compat.command_writes(found):
        return graph
    applied = await compat.command_applied(graph, saver, found)
    return compat.copy_with(graph, {"checkpointer": _Applied(saver, applied)})


class _Applied(BaseCheckpointSaver[Any]):
    """A saver in which one checkpoint is another than the one that is stored."""

    def __init__(self, saver: BaseCheckpointSaver[Any], checkpoint: CheckpointTuple) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver
        self._checkpoint = checkpoint

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await self._saver.aget_tuple(config)
        if found is not None and found.config == self._checkpoint.config:
            return self._checkpoint
        return found

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
