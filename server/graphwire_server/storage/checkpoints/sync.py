"""The checkpointer's synchronous methods, for graphs that a node calls with `invoke`.

Such a node runs in a thread of its own, and the storage lives on the event loop: each call is
done there, in the context of the caller, while the caller waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from graphwire_server.storage.checkpoints.loops import next_of

T = TypeVar("T")


class SyncMethods(BaseCheckpointSaver[str]):
    """Does each of them by its asynchronous counterpart."""

    _loop: asyncio.AbstractEventLoop

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._wait(lambda: self.aget_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        tuples = self.alist(config, filter=filter, before=before, limit=limit)
        while found := self._wait(lambda: next_of(tuples)):
            yield found[0]

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._wait(lambda: self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        async def put() -> None:
            await self.aput_writes(config, writes, task_id, task_path)

        self._wait(put)

    def delete_thread(self, thread_id: str) -> None:
        self._wait(lambda: self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._wait(lambda: self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._wait(lambda: self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._wait(lambda: self.aprune(thread_ids, strategy=strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._wait(lambda: self.aget_delta_channel_history(config=config, channels=channels))

    def _wait(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Has a call done on the event loop, and waits for it.

        Raises:
            RuntimeError: This is the event loop's own thread, which would wait for itself.
        """
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            raise RuntimeError(
                "the server's checkpointer was called synchronously on its own event loop: in an "
                "async node, call a graph with ainvoke or astream, and its state with aget_state"
            )
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()
