"""Threads, as a caller sees them: create, find, edit, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson
from graphwire import errors

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import Breakpoint, breakpoints_text
from graphwire_server.graphs.checks import check_breakpoints
from graphwire_server.graphs.places import Path, Place
from graphwire_server.graphs.position import Position as GraphPosition
from graphwire_server.graphs.position import read_position
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.graphs.state import (
    thread_config,
)
from graphwire_server.graphs.supersteps import Superstep, apply_supersteps
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.clock import new_id, now_us
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.copying import copy_thread
from graphwire_server.runs.decision import decide
from graphwire_server.runs.found import FIRST_PORTION, Found, next_portion
from graphwire_server.runs.idempotency import RequestKey, remembered
from graphwire_server.runs.metadata_limits import MetadataLimits, check_metadata
from graphwire_server.runs.refusals import (
    thread_busy,
    thread_exists,
    thread_not_found,
)
from graphwire_server.runs.retention import prune_thread
from graphwire_server.runs.standing import stand
from graphwire_server.runs.state_paths import StatePath, part
from graphwire_server.runs.thread_graph import breakpoints_of, open_thread_graph
from graphwire_server.runs.thread_view import ThreadView, view_of
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from graphwire_server.storage.interface import NEWEST_FIRST, Reader, Storage, Transaction
from graphwire_server.storage.records import (
    ThreadFilter,
    ThreadPosition,
    ThreadRecord,
    ThreadSort,
    ThreadStatus,
    ThreadStorage,
)


@dataclass(frozen=True, slots=True)
class NewThread:
    """A thread to create.

    Attributes:
        thread_id: Its id; empty: the server chooses one.
        metadata: A JSON object.
        ttl: How long it is kept after its last change, in microseconds; 0: for ever; None: as
            long as the server says.
        assistant_id: The assistant of its state; empty: its first run chooses.
        supersteps: The state that it begins with.
        breakpoints: Those for all of its runs.
    """

    thread_id: str
    metadata: Mapping[str, Any]
    ttl: int | None = None
    assistant_id: str = ""
    supersteps: Sequence[Superstep] = ()
    breakpoints: Sequence[Breakpoint] = ()


@dataclass(frozen=True, slots=True)
class _Beginning:
    """With what a thread begins.

    Attributes:
        graph_id: The graph that its state belongs to.
        places: What is known of that.
        batch: What is written of a state.
        position: Where the thread stands then; None if it has no state yet.
    """

    graph_id: str
    places: Mapping[Path, Place]
    batch: EditBatch
    position: GraphPosition | None


class ThreadService:
    """The threads of this server."""

    def __init__(
        self,
        *,
        storage: Storage,
        registry: GraphRegistry,
        completion: Completion,
        metadata: MetadataLimits | None = None,
    ) -> None:
        """Puts the service together from its parts."""
        self._metadata_limits = metadata or MetadataLimits()
        self._storage = storage
        self._registry = registry
        self._completion = completion
        self._open = partial(open_thread_graph, storage, registry)

    async def create(
        self, new: NewThread, *, return_existing: bool, key: RequestKey | None, caller: Caller
    ) -> ThreadView:
        """Creates a thread.

        Raises:
            GraphwireError: Any reason of CreateThread; nothing was changed.
        """

        def there_already(db: Reader) -> ThreadView | None:
            earlier = remembered(db, key) if key else None
            if earlier is not None:
                return _made_earlier(db, earlier.subject, caller)
            there = db.thread(new.thread_id) if new.thread_id else None
            if there is None:
                return None
            if not return_existing or not caller.access.admits(there.owner, there.metadata):
                raise thread_exists(new.thread_id)
            return view_of(db, new.thread_id)

        thread_id, beginning = new.thread_id or new_id(), None
        if new.assistant_id:
            # Also if the graph has changed since, so that it would refuse the request now.
            there = await self._storage.read(there_already, short=True)
            if there is None:
                beginning = await self._beginning(new, thread_id)

        def work(tx: Transaction) -> ThreadView:
            there, now = there_already(tx), now_us()
            if there is None:
                thread = ThreadRecord(
                    thread_id=thread_id,
                    status=ThreadStatus.IDLE,
                    metadata=jsontext.dumps({**new.metadata, **caller.thread_metadata}),
                    owner=caller.owner,
                    create_time=now,
                    update_time=now,
                    assistant_id=new.assistant_id,
                    graph_id=beginning.graph_id if beginning is not None else "",
                    ttl=new.ttl,
                    breakpoints=breakpoints_text(new.breakpoints),
                )
                tx.insert_thread(thread)
                if beginning is not None and beginning.position is not None:
                    beginning.batch.apply(tx)
                    of_assistant = breakpoints_of(tx, self._registry, new.assistant_id)
                    stand(
                        tx,
                        thread,
                        beginning.places,
                        beginning.position,
                        None,
                        now=now,
                        of_assistant=of_assistant,
                    )
                there = view_of(tx, thread_id)
            elif key is None or remembered(tx, key) is not None:
                return there
            if key:
                tx.insert_request(key.record(there.thread.thread_id, now=now))
            return there

        return await decide(self._storage, work, long=beginning is not None)

    async def _beginning(self, new: NewThread, thread_id: str) -> _Beginning:
        """Returns with what a thread begins."""
        batch = EditBatch()
        async with self._open(thread_id, new.assistant_id, "threads.update") as (loaded, graph):
            places = loaded.doored(graph).places
            check_breakpoints(places, new.breakpoints, "breakpoints")
            if not new.supersteps:
                return _Beginning(loaded.name, places, batch, None)
            await apply_supersteps(graph, thread_id, new.supersteps, batch)
            sink = current_sink.set(batch)
            try:
                position = await read_position(graph, thread_config(thread_id))
            finally:
                current_sink.reset(sink)
        return _Beginning(loaded.name, places, batch, position)

    async def get(self, thread_id: str, *, values: bool = False) -> ThreadView:
        """Returns a thread; its values only if asked for. Raises ThreadNotFoundError."""
        return await self._storage.read(
            lambda db: view_of(db, thread_id, values=values), short=not values
        )

    async def list(
        self,
        which: ThreadFilter,
        *,
        limit: int,
        sort: ThreadSort = NEWEST_FIRST,
        after: ThreadPosition | None,
        values: bool = False,
        extract: Mapping[str, StatePath] | None = None,
        most_bytes: int,
    ) -> Found[ThreadView]:
        """Returns threads, without those of stateless runs.

        Args:
            which: Which threads.
            limit: How many at the most.
            sort: In which order.
            after: The last thread of the page before.
            values: Whether to return their values.
            extract: Which parts of their states to return, by name.
            most_bytes: After how many bytes of states to read no further ones.
        """

        def read(db: Reader) -> Found[ThreadView]:
            threads = db.threads(which, limit=limit, sort=sort, after=after)
            ids = [thread.thread_id for thread in threads]
            pauses = db.pauses(ids)
            views = {
                thread.thread_id: ThreadView(
                    thread, pauses.get(thread.thread_id, ()), dict.fromkeys(extract or (), "null")
                )
                for thread in threads
            }
            if not values and not extract:
                return Found(list(views.values()))
            found: list[ThreadView] = []
            room, count = most_bytes, FIRST_PORTION
            while len(found) < len(ids) and room >= 0:
                portion, size = ids[len(found) : len(found) + count], 0
                for thread_id, text in db.values_of(portion):
                    size += len(text)
                    view = views[thread_id]
                    state = orjson.loads(text) if extract else None
                    extracted = {name: part(state, path) for name, path in (extract or {}).items()}
                    views[thread_id] = replace(
                        view,
                        thread=replace(view.thread, values=text) if values else view.thread,
                        extracted=extracted,
                    )
                    room -= len(text) if values else sum(map(len, extracted.values()))
                found += [views[thread_id] for thread_id in portion]
                count = next_portion(count, size, most_bytes)
            return Found(found, more=len(found) < len(ids))

        return await self._storage.read(read)

    async def count(self, which: ThreadFilter) -> int:
        """Returns how many threads `list` would return in all."""
        return await self._storage.read(lambda db: db.count_threads(which))

    async def update(
        self,
        thread_id: str,
        patch: Mapping[str, Any] | None,
        *,
        ttl: int | None = None,
        breakpoints: Sequence[Breakpoint] | None = None,
        key: RequestKey | None,
        access: Access = ALL,
    ) -> ThreadView:
        """Merges into a thread's metadata (RFC 7396), sets its ttl or breakpoints; None: leaves it.

        Raises:
            ThreadNotFoundError: There is no such thread.
            RequestIdReusedError: The request_id was used for another request.
            UnknownNodeError, InvalidConditionError, UnsupportedBreakpointError: Its graph can't
                honour a breakpoint.
            AssistantRequiredError: There are breakpoints, and it has no assistant yet.
            InvalidPayloadError: The metadata would be too large.
        """

        def made_earlier(db: Reader) -> ThreadView | None:
            view = view_of(db, thread_id, access=access)
            return view if key and remembered(db, key) is not None else None

        if breakpoints:
            # Also if the graph has changed since, so that it would refuse the request now.
            earlier = await self._storage.read(made_earlier, short=True)
            if earlier is not None:
                return earlier
            await self._check_breakpoints(thread_id, breakpoints)

        def work(tx: Transaction) -> ThreadView:
            earlier = made_earlier(tx)
            if earlier is not None:
                return earlier
            now = now_us()
            metadata = None
            if patch is not None:
                there = orjson.loads(view_of(tx, thread_id).thread.metadata)
                merged = jsontext.merge_patch(there, patch)
                metadata = jsontext.dumps(merged)
                check_metadata(merged, metadata, self._metadata_limits)
            text = None if breakpoints is None else breakpoints_text(breakpoints)
            tx.update_thread(thread_id, now=now, metadata=metadata, ttl=ttl, breakpoints=text)
            if key:
                tx.insert_request(key.record(thread_id, now=now))
            return view_of(tx, thread_id)

        return await decide(self._storage, work)

    async def _check_breakpoints(self, thread_id: str, breakpoints: Sequence[Breakpoint]) -> None:
        """Refuses breakpoints that the graph of a thread can't honour."""
        thread = (await self.get(thread_id)).thread
        if not thread.assistant_id:
            raise errors.AssistantRequiredError(
                f"nothing has run on thread {thread_id} yet, so nobody can say which nodes it "
                "has; create it with `assistant_id` and `breakpoints`, or give them to the run",
                resource=("thread", thread_id),
            )
        opened = self._open(thread_id, thread.assistant_id, "threads.update")
        async with opened as (loaded, graph):
            check_breakpoints(loaded.doored(graph).places, breakpoints, "breakpoints.breakpoints")

    async def delete(self, thread_id: str, *, access: Access = ALL) -> None:
        """Deletes a thread with everything that belongs to it.

        Raises:
            ThreadNotFoundError: There is no such thread.
            ThreadBusyError: It has an active run.
        """

        def work(tx: Transaction) -> None:
            view_of(tx, thread_id, access=access)
            active = tx.active_runs(thread_id)
            if active:
                raise thread_busy(thread_id, active)
            tx.delete_thread(thread_id)

        await self._storage.write(work, long=True)

    async def prune(self, thread_ids: Sequence[str], *, delete: bool, access: Access) -> int:
        """Deletes threads, or all of their checkpoints but those at which they stand.

        Each is pruned by itself. Those that have a run which is queued or running are left as
        they are, as are those that the caller may not see.

        Returns:
            How many were pruned.
        """

        def work(tx: Transaction, thread_id: str) -> bool:
            thread = tx.thread(thread_id)
            if thread is None or tx.has_active_run(thread_id):
                return False
            if not access.admits(thread.owner, thread.metadata):
                return False
            if delete:
                return tx.delete_thread(thread_id)
            prune_thread(tx, thread_id)
            tx.mark_pruned(thread_id)
            return True

        async def prune_all() -> int:
            return sum(
                [
                    await self._storage.write(partial(work, thread_id=thread_id), long=True)
                    for thread_id in thread_ids
                ]
            )

        return await self._completion.of(prune_all())

    async def storage(self, thread_id: str) -> ThreadStorage:
        """Returns how much a thread keeps in the database. Raises ThreadNotFoundError."""

        def read(db: Reader) -> ThreadStorage:
            if db.thread(thread_id) is None:
                raise thread_not_found(thread_id)
            return db.thread_storage(thread_id)

        return await self._storage.read(read)

    async def copy(
        self, thread_id: str, new_thread_id: str, *, key: RequestKey | None, caller: Caller
    ) -> ThreadView:
        """Copies a thread, but for its runs; with an empty new id the server chooses one.

        Raises:
            ThreadNotFoundError: There is no such thread; or the copy that this request_id made
                was deleted.
            ThreadExistsError: The new id is taken.
            ThreadBusyError: The thread has a run that is queued or running.
            RequestIdReusedError: The request_id was used for another request.
        """

        def work(tx: Transaction) -> ThreadView:
            earlier = remembered(tx, key) if key else None
            if earlier is not None:
                return _made_earlier(tx, earlier.subject, caller)
            now = now_us()
            copy_id = copy_thread(tx, thread_id, new_thread_id, now=now, caller=caller)
            if key:
                tx.insert_request(key.record(copy_id, now=now))
            return view_of(tx, copy_id)

        return await decide(self._storage, work, long=True)


def _made_earlier(db: Reader, thread_id: str, caller: Caller) -> ThreadView:
    thread = db.thread(thread_id)
    if thread is not None and not caller.access.admits(thread.owner, thread.metadata):
        raise thread_not_found(thread_id)
    if thread is None:
        raise errors.ThreadNotFoundError(
            f"thread {thread_id}, which this request_id created, was deleted",
            resource=("thread", thread_id),
        )
    return view_of(db, thread_id)
