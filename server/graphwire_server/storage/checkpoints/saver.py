"""`Saver`: LangGraph's checkpointer on the tables of the storage."""

from __future__ import annotations

import asyncio
import copy
import itertools
import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from graphwire_server.storage.checkpoints import body, history, pruning, reading, values, writes
from graphwire_server.storage.checkpoints import metadata as metadata_json
from graphwire_server.storage.checkpoints.cache import Key, ValueCache
from graphwire_server.storage.checkpoints.interface import CheckpointKeeper, CheckpointReader
from graphwire_server.storage.checkpoints.loops import iterate_on_own_loop, on_own_loop
from graphwire_server.storage.checkpoints.records import (
    ChannelValueRecord,
    CheckpointFilter,
    CheckpointRecord,
    WriteRecord,
)
from graphwire_server.storage.checkpoints.serde import (
    TypeName,
    UnserializableError,
    dumps,
    make_serializer,
)
from graphwire_server.storage.checkpoints.sink import current_sink
from graphwire_server.storage.checkpoints.sizes import StateSizes, StateTooLargeError
from graphwire_server.storage.checkpoints.sync import SyncMethods
from graphwire_server.storage.checkpoints.values import SMALL, Encoded, Known

T = TypeVar("T")

#: How many bytes of channel values are kept in memory, to compare the next ones with.
CACHE_SIZE = 16 * 1024 * 1024

#: How many checkpoints a list looks at in one piece of work: at first, and at the most.
_PAGE, _MAX_PAGE = 16, 256

#: A version: a counter, zero-padded so that texts sort as numbers, and what makes it unique:
#: a random number of this saver's, and how many versions it has made.
_COUNTER_DIGITS, _UNIQUE_DIGITS = 10, 24
_VERSION_LENGTH = _COUNTER_DIGITS + 1 + _UNIQUE_DIGITS


class CheckpointStorage(Protocol):
    """What the saver needs of the storage."""

    async def read(self, work: Callable[[CheckpointReader], T], *, short: bool = False) -> T:
        """Runs `work` on one state of the database."""

    async def write(self, work: Callable[[CheckpointKeeper], T], *, long: bool = False) -> T:
        """Runs `work` in a transaction, and returns when it is safely on the disk."""


class Saver(SyncMethods):
    """Keeps LangGraph's checkpoints; made and used on the storage's event loop."""

    def __init__(
        self,
        storage: CheckpointStorage,
        *,
        serde: SerializerProtocol | None = None,
        cache_size: int = CACHE_SIZE,
    ) -> None:
        """Makes it.

        Args:
            storage: Where it reads and, when there is no sink, writes.
            serde: How values become bytes; reads back only LangGraph's safe types unless given.
            cache_size: How many bytes of channel values it may keep in memory.
        """
        super().__init__(serde=serde or make_serializer())
        self._storage = storage
        self._cache = ValueCache(cache_size)
        self._random = os.urandom(6).hex()
        self._made = itertools.count()
        self._loop = asyncio.get_running_loop()
        self._sizes: StateSizes | None = None

    def limited(self, max_state_bytes: int) -> Saver:
        """Returns one on the same storage that keeps no larger states."""
        clone = copy.copy(self)
        clone._sizes = StateSizes(max_state_bytes)
        return clone

    # --- what a run does at each step ---

    @on_own_loop
    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        sink = current_sink.get()
        thread_id, namespace = _place(config)
        parent_id = get_checkpoint_id(config) or ""
        noted = metadata_json.without_caller(get_serializable_checkpoint_metadata(config, metadata))
        if sink is not None:
            noted |= sink.annotations(thread_id, namespace, checkpoint, noted)
        record = CheckpointRecord(
            thread_id,
            namespace,
            checkpoint["id"],
            parent_id,
            str(noted.get("run_id") or ""),
            metadata_json.dumps(noted),
            body.pack(checkpoint),
        )
        parent: Key = (thread_id, namespace, parent_id)
        rows, known, sizes = self._encode(record, checkpoint, new_versions, self._cache.get(parent))
        if self._sizes is not None:
            channels = checkpoint["channel_values"]
            self._sizes.check(
                reading.key(record),
                parent,
                channels,
                sizes,
                lambda channel: len(dumps(self.serde, channel, channels[channel])[1]),
            )
        if sink is not None:
            stored = sink.put_checkpoint(record, rows)
            self._cache.put(reading.key(record), known, instead_of=parent)
            await stored
        else:
            await self._storage.write(lambda tx: tx.put_checkpoint(record, rows))
            self._cache.put(reading.key(record), known, instead_of=parent)
        return _config(thread_id, namespace, record.checkpoint_id)

    def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> Coroutine[Any, Any, None]:
        # Not `async`: LangGraph calls it and leaves what it returns to run later, and an event
        # that follows must not be committed without the writes.
        if asyncio.get_running_loop() is not self._loop:
            put = partial(self.aput_writes, config, writes, task_id, task_path)
            there = asyncio.run_coroutine_threadsafe(_call(put), self._loop)
            return _wait(asyncio.wrap_future(there))
        sink = current_sink.get()
        try:
            record = self._write_record(config, writes, task_id, task_path)
        except (UnserializableError, StateTooLargeError) as error:
            if sink is not None:
                sink.refused(task_id)
            # Raised from here it would be lost: LangGraph calls this in a callback.
            return _fail(error)
        if sink is None:
            return self._storage.write(lambda tx: tx.put_checkpoint_writes((record,)))
        return _wait(sink.put_writes((record,)))

    def get_next_version(self, current: str | None, channel: None) -> str:
        # An integer is what a thread brings along that another saver began.
        counter = 0 if current is None else int(str(current).partition(".")[0])
        # Two branches from one checkpoint count alike, on any server: hence the rest.
        return f"{counter + 1:0{_COUNTER_DIGITS}}.{self._random}{next(self._made):012x}"

    def with_allowlist(self, extra_allowlist: Collection[TypeName]) -> Saver:
        """Returns one that reads further types, (module, name), back from the same storage."""
        return cast("Saver", super().with_allowlist(extra_allowlist))

    # --- reads ---

    @on_own_loop
    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        place, checkpoint_id = _place(config), get_checkpoint_id(config) or ""
        sink = current_sink.get()
        if sink is not None and sink.knows_none(*place):
            return None
        loaded = await self._read(
            lambda reader: reading.load(reader, *place, checkpoint_id, self._cache.peek),
            short=True,
        )
        if loaded is None:
            return None
        self._cache.put(loaded.key, _remembered(loaded.values))
        found = self._tuple(loaded)
        return found if sink is None else sink.amended(found)

    @iterate_on_own_loop
    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        look = partial(reading.load_page, which=_filter(config, before), metadata=filter or {})
        size, after = _PAGE if limit is None else min(limit, _PAGE), None
        while size > 0:
            page = await self._read(partial(look, size=size, limit=limit, after=after))
            for loaded in page.found:
                yield self._tuple(loaded)
            if limit is not None:
                limit -= len(page.found)
            after = page.after
            if after is None or limit == 0:
                return
            size = min(2 * size, _MAX_PAGE) if filter else _PAGE

    @on_own_loop
    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        if not channels:
            return {}
        place, checkpoint_id = _place(config), get_checkpoint_id(config) or ""
        found = await self._read(
            lambda reader: history.read_history(reader, *place, checkpoint_id, channels)
        )
        return found.decode(self.serde)

    # --- threads ---

    @on_own_loop
    async def adelete_thread(self, thread_id: str) -> None:
        await self._write(lambda tx: tx.delete_checkpoints(str(thread_id)))

    @on_own_loop
    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._write(lambda tx: pruning.delete_for_runs(tx, set(run_ids)))

    @on_own_loop
    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._write(lambda tx: tx.copy_checkpoints(source_thread_id, target_thread_id))

    @on_own_loop
    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f'strategy must be "keep_latest" or "delete", not {strategy!r}')
        for thread_id in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread_id)
            else:
                await self._write(partial(pruning.keep_latest, thread_id=thread_id))

    # --- within ---

    async def _read(self, work: Callable[[CheckpointReader], T], *, short: bool = False) -> T:
        """Reads what is stored, with what the sink holds."""
        sink = current_sink.get()
        if sink is None:
            return await self._storage.read(work, short=short)
        await sink.settled()
        return await self._storage.read(lambda reader: work(sink.over(reader)), short=short)

    async def _write(self, work: Callable[[CheckpointKeeper], T]) -> T:
        sink = current_sink.get()
        if sink is not None:
            await sink.settled()
        return await self._storage.write(work, long=True)

    def _encode(
        self,
        record: CheckpointRecord,
        checkpoint: Checkpoint,
        new_versions: ChannelVersions,
        parent: Mapping[str, Known],
    ) -> tuple[list[ChannelValueRecord], dict[str, Known], dict[str, int]]:
        """Returns the rows of a checkpoint's new values, what is known of all, and their sizes."""
        versions, channels = checkpoint["channel_versions"], checkpoint["channel_values"]
        known = {
            channel: value
            for channel, value in parent.items()
            if versions.get(channel) == value.version
        }
        rows: list[ChannelValueRecord] = []
        sizes: dict[str, int] = {}
        for channel, version in new_versions.items():
            if channel not in channels or body.is_small(channels[channel]):
                continue
            name = str(version)
            unique = len(name) == _VERSION_LENGTH
            value = Encoded.of(*dumps(self.serde, channel, channels[channel]))
            sizes[channel] = value.size
            base_version, row, result = values.write(
                name, value, parent.get(channel) if unique else None
            )
            rows.append(
                ChannelValueRecord(
                    record.thread_id, record.namespace, channel, name, base_version, row
                )
            )
            if unique and value.size >= SMALL:
                known[channel] = result
        return rows, known, sizes

    def _write_record(
        self,
        config: RunnableConfig,
        pairs: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> WriteRecord:
        thread_id, namespace = _place(config)
        checkpoint_id = str(config["configurable"]["checkpoint_id"])
        packed = writes.pack(self.serde, writes.that_hold(pairs))
        if self._sizes is not None:
            self._sizes.check_writes(len(packed))
        return WriteRecord(thread_id, namespace, checkpoint_id, task_id, task_path, packed)

    def _tuple(self, loaded: reading.Loaded) -> CheckpointTuple:
        record, checkpoint = loaded.record, loaded.checkpoint
        place = (record.thread_id, record.namespace)
        for channel, known in loaded.values.items():
            checkpoint["channel_values"][channel] = values.decode(self.serde, known.value)
        parent_id = record.parent_checkpoint_id
        return CheckpointTuple(
            config=_config(*place, record.checkpoint_id),
            checkpoint=cast("Checkpoint", checkpoint),
            metadata=cast("CheckpointMetadata", metadata_json.loads(record.metadata)),
            parent_config=_config(*place, parent_id) if parent_id else None,
            pending_writes=writes.pending(self.serde, loaded.writes),
        )


def _place(config: RunnableConfig) -> tuple[str, str]:
    configurable = config["configurable"]
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns") or ""


def _config(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": namespace,
            "checkpoint_id": checkpoint_id,
        }
    }


def _filter(config: RunnableConfig | None, before: RunnableConfig | None) -> CheckpointFilter:
    configurable = config["configurable"] if config else {}
    thread_id = configurable.get("thread_id")
    return CheckpointFilter(
        thread_id=None if thread_id is None else str(thread_id),
        namespace=configurable.get("checkpoint_ns"),
        checkpoint_id=configurable.get("checkpoint_id") or None,
        before=(get_checkpoint_id(before) or "") if before else "",
    )


def _remembered(values: Mapping[str, Known]) -> dict[str, Known]:
    """Returns the values that the next ones may be a difference to."""
    return {
        channel: known
        for channel, known in values.items()
        if known.value.size >= SMALL and len(known.version) == _VERSION_LENGTH
    }


async def _call(function: Callable[[], Awaitable[T]]) -> T:
    return await function()


async def _wait(awaitable: Awaitable[None]) -> None:
    await awaitable


async def _fail(error: Exception) -> None:
    raise error
