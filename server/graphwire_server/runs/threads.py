"""Threads, as a caller sees them: create, find, edit, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal

import orjson
from graphwire import errors

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import Breakpoint, breakpoints_in, breakpoints_text
from graphwire_server.graphs.checks import check_breakpoints
from graphwire_server.graphs.execution import open_config
from graphwire_server.graphs.inside import check_stands_in, graph_at
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.places import Namespace, Path, Place, text_of
from graphwire_server.graphs.position import Position as GraphPosition
from graphwire_server.graphs.position import read_position
from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph
from graphwire_server.graphs.state import (
    StateView,
    checkpoint_not_found,
    edit_state,
    read_history,
    read_state,
    thread_config,
)
from graphwire_server.graphs.supersteps import Superstep, apply_supersteps
from graphwire_server.runs import topics
from graphwire_server.runs.assistants import find, to_open
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.clock import new_id, now_us
from graphwire_server.runs.completion import Attendance, Completion
from graphwire_server.runs.copying import copy_thread
from graphwire_server.runs.decision import decide
from graphwire_server.runs.found import FIRST_PORTION, Found, next_portion
from graphwire_server.runs.idempotency import RequestKey, remembered
from graphwire_server.runs.inheritance import inherited
from graphwire_server.runs.metadata_limits import MetadataLimits, check_metadata
from graphwire_server.runs.refusals import (
    check_assistant,
    check_expected,
    thread_busy,
    thread_exists,
    thread_not_found,
)
from graphwire_server.runs.retention import prune_thread
from graphwire_server.runs.standing import is_in, stand
from graphwire_server.runs.state_paths import StatePath, part
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.checkpoints.records import CheckpointFilter
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from graphwire_server.storage.interface import NEWEST_FIRST, Reader, Storage, Transaction
from graphwire_server.storage.records import (
    Inheritance,
    PauseRecord,
    ThreadFilter,
    ThreadPosition,
    ThreadRecord,
    ThreadSort,
    ThreadStatus,
    ThreadStorage,
)

#: How often an edit is made anew when somebody else changes the thread meanwhile.
_EDIT_TRIES = 10


@dataclass(frozen=True, slots=True)
class ThreadView:
    """A thread with its open pauses, and parts of its state, as JSON text, by name."""

    thread: ThreadRecord
    pauses: Sequence[PauseRecord]
    extracted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ThreadStateView:
    """A thread's state; the pauses are those open at it, none if it is not the head."""

    state: StateView
    pauses: Sequence[PauseRecord]


@dataclass(frozen=True, slots=True)
class StateEdit:
    """An edit of a thread's state; "" where the caller left it out.

    `principal` makes it, who may edit threads of `access`.
    """

    thread_id: str
    values: Any
    as_node: str = ""
    checkpoint_id: str = ""
    expected_checkpoint_id: str = ""
    assistant_id: str = ""
    namespace: Namespace = ()
    principal: str = ""
    access: Access = ALL

    def meaning(self) -> dict[str, Any]:
        """Returns it as a JSON object, to compare requests by meaning."""
        who = ("principal", "access")
        meaning = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in who}
        if not self.namespace:
            # At the root a request means what it always did.
            del meaning["namespace"]
        return meaning


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
            return _view(db, new.thread_id)

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
                    of_assistant = self._breakpoints_of(tx, new.assistant_id)
                    stand(
                        tx,
                        thread,
                        beginning.places,
                        beginning.position,
                        None,
                        now=now,
                        of_assistant=of_assistant,
                    )
                there = _view(tx, thread_id)
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
            lambda db: _view(db, thread_id, values=values), short=not values
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
            view = _view(db, thread_id, access=access)
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
                there = orjson.loads(_view(tx, thread_id).thread.metadata)
                merged = jsontext.merge_patch(there, patch)
                metadata = jsontext.dumps(merged)
                check_metadata(merged, metadata, self._metadata_limits)
            text = None if breakpoints is None else breakpoints_text(breakpoints)
            tx.update_thread(thread_id, now=now, metadata=metadata, ttl=ttl, breakpoints=text)
            if key:
                tx.insert_request(key.record(thread_id, now=now))
            return _view(tx, thread_id)

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
            _view(tx, thread_id, access=access)
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
            return _view(tx, copy_id)

        return await decide(self._storage, work, long=True)

    async def state(
        self,
        thread_id: str,
        *,
        checkpoint_id: str = "",
        subgraphs: bool = False,
        namespace: Namespace = (),
    ) -> ThreadStateView:
        """Returns the state of a thread, or of a subgraph of it, at its head or at a checkpoint.

        Raises:
            InvalidFieldError: There is no subgraph at `namespace`.
            ThreadNotFoundError: There is no such thread.
            CheckpointNotFoundError: It has no such checkpoint.
            GraphUnavailableError: Its state can't be read.
        """
        view = await self.get(thread_id)
        assistant_id = view.thread.assistant_id
        if not assistant_id:
            if checkpoint_id or namespace:
                raise checkpoint_not_found(thread_id, checkpoint_id, namespace)
            return ThreadStateView(StateView(), ())
        async with self._open(thread_id, assistant_id, "threads.read") as (_, graph):
            state = await read_state(
                graph,
                thread_id,
                checkpoint_id=checkpoint_id,
                subgraphs=subgraphs,
                namespace=namespace,
            )
        return await self._with_pauses(state, view)

    async def history(
        self,
        thread_id: str,
        *,
        limit: int,
        before: str = "",
        after: str = "",
        metadata: str | None = None,
        namespace: Namespace = (),
        most_bytes: int,
    ) -> Found[ThreadStateView]:
        """Returns the states of a thread, or of a subgraph of it, newest first.

        Args:
            thread_id: The thread.
            limit: How many at the most.
            before: Only those before this checkpoint; empty: from the head.
            after: The last one of the page before; empty: the first page.
            metadata: Only those whose metadata contains this JSON object (text).
            namespace: The subgraph; empty: the root.
            most_bytes: After how many bytes of states to read no further ones.

        Raises:
            InvalidFieldError: There is no subgraph at `namespace`.
            ThreadNotFoundError: There is no such thread.
            CheckpointNotFoundError: There is no checkpoint `before`.
            GraphUnavailableError: A state can't be read.
        """
        which = CheckpointFilter(
            thread_id, text_of(namespace), before=after or before, metadata=metadata
        )

        def look(db: Reader) -> tuple[ThreadView, list[str]]:
            view = _view(db, thread_id)
            if before and not after and not db.checkpoint(thread_id, text_of(namespace), before):
                raise checkpoint_not_found(thread_id, before, namespace)
            found = db.checkpoints(which, limit=limit)
            return view, [checkpoint.checkpoint_id for checkpoint in found]

        view, ids = await self._storage.read(look)
        if not view.thread.assistant_id:
            return Found(())
        found: list[ThreadStateView] = []
        async with self._open(thread_id, view.thread.assistant_id, "threads.read") as (_, graph):
            graph_at(graph, namespace)
            async with aclosing(read_history(graph, thread_id, ids, namespace=namespace)) as states:
                async for state in states:
                    found.append(await self._with_pauses(state, view))
                    most_bytes -= len(state.values or "")
                    if most_bytes < 0:
                        return Found(found, more=state.checkpoint_id != ids[-1])
        return Found(found)

    async def _with_pauses(self, state: StateView, view: ThreadView) -> ThreadStateView:
        """Returns a state with the pauses that are open at it."""
        namespace, pauses = state.namespace, [p for p in view.pauses if is_in(p, state.namespace)]
        head = view.thread.checkpoint_id
        if namespace and pauses:
            place = (view.thread.thread_id, text_of(namespace))
            inner = await self._storage.read(lambda db: db.checkpoint(*place), short=True)
            head = inner.checkpoint_id if inner is not None else ""
        return ThreadStateView(state, pauses if state.checkpoint_id == head else ())

    async def edit(self, edit: StateEdit, *, key: RequestKey | None) -> ThreadStateView:
        """Edits a thread's state: makes a new head; nothing is executed.

        Raises:
            GraphwireError: Any reason of UpdateThreadState; nothing was changed.
        """
        attendance = Attendance()
        return await self._completion.of(self._edit(edit, key, attendance), attendance)

    async def _edit(
        self, edit: StateEdit, key: RequestKey | None, attendance: Attendance
    ) -> ThreadStateView:
        for _ in range(_EDIT_TRIES):
            done = await self._try_to_edit(edit, key, attendance)
            if done is not None:
                return done
        raise thread_busy(edit.thread_id, ())

    async def _try_to_edit(
        self, edit: StateEdit, key: RequestKey | None, attendance: Attendance
    ) -> ThreadStateView | None:
        """Edits a thread's state; returns None if somebody else has changed it meanwhile."""
        thread_id = edit.thread_id

        def check(db: Reader) -> tuple[ThreadRecord, Inheritance | None, bool]:
            view = _view(db, thread_id, access=edit.access)
            if key and remembered(db, key) is not None:
                return view.thread, None, True
            active = db.active_runs(thread_id)
            if view.thread.status is ThreadStatus.BUSY:
                raise thread_busy(thread_id, active)
            check_expected(view.thread, edit.expected_checkpoint_id)
            return view.thread, inherited(db, thread_id), False

        inside, place = edit.namespace, (thread_id, text_of(edit.namespace))

        def has_state(db: Reader) -> bool:
            return bool(inside) and db.checkpoint(*place) is not None

        (thread, last_run, repeated), inside_is_there = await self._storage.read(
            lambda db: (check(db), has_state(db)), short=True
        )
        if repeated:
            return await self.state(thread_id, namespace=inside)
        assistant_id = _assistant_id(thread, edit)
        batch = EditBatch()
        async with self._open(thread_id, assistant_id, "threads.update") as (loaded, graph):
            places = loaded.doored(graph).places
            sink = current_sink.set(batch)
            try:
                if inside:
                    graph_at(graph, inside)
                    stands = await read_position(graph, thread_config(thread_id))
                    check_stands_in(stands, inside, has_state=inside_is_there)
                if edit.checkpoint_id:
                    await read_state(
                        graph, thread_id, checkpoint_id=edit.checkpoint_id, namespace=inside
                    )
                await edit_state(
                    graph,
                    thread_id,
                    edit.values,
                    as_node=edit.as_node,
                    checkpoint_id=edit.checkpoint_id,
                    namespace=inside,
                )
                position = await read_position(graph, thread_config(thread_id))
                state = await read_state(graph, thread_id, namespace=inside)
            finally:
                current_sink.reset(sink)

        def record(tx: Transaction) -> list[PauseRecord] | None:
            attendance.check()
            now_there, last_run_now, repeated = check(tx)
            # By the time also where another edit was in a subgraph, and has left the head.
            if repeated or _state_of(now_there) != _state_of(thread):
                return None
            # A run that has failed may have left the head, and some of its tasks' results there.
            if _key(last_run_now) != _key(last_run):
                return None
            if edit.checkpoint_id and tx.checkpoint(*place, edit.checkpoint_id) is None:
                return None
            now = now_us()
            batch.apply(tx)
            pauses = stand(
                tx,
                replace(now_there, assistant_id=assistant_id, graph_id=loaded.name),
                places,
                position,
                last_run_now,
                now=now,
                inside=inside,
                principal=edit.principal,
                of_assistant=self._breakpoints_of(tx, assistant_id),
            )
            if key:
                tx.insert_request(key.record(thread_id, now=now))
            return pauses

        pauses = await decide(self._storage, record)
        if pauses is None:
            return None
        self._storage.announce(topics.QUEUE)
        return ThreadStateView(state, [pause for pause in pauses if is_in(pause, inside)])

    def _breakpoints_of(self, db: Reader, assistant_id: str) -> Sequence[Breakpoint]:
        """Returns the breakpoints of an assistant, as it is now."""
        assistant = find(db, self._registry, assistant_id)
        return breakpoints_in(assistant.breakpoints) if assistant is not None else ()

    @asynccontextmanager
    async def _open(
        self,
        thread_id: str,
        assistant_id: str,
        access: Literal["threads.read", "threads.update"],
    ) -> AsyncIterator[tuple[LoadedGraph, AnyPregel]]:
        """Yields the graph to which a thread's state belongs, loaded and opened."""
        loaded, configurable = await self._storage.read(
            lambda db: to_open(db, self._registry, thread_id, assistant_id), short=True
        )
        async with loaded.open(access, open_config(configurable)) as graph:
            yield loaded, graph


def _state_of(thread: ThreadRecord) -> tuple[str, int | None]:
    """Returns by what a thread's state is told apart from what it was before."""
    return thread.checkpoint_id, thread.state_update_time


def _key(last_run: Inheritance | None) -> str:
    return last_run.key if last_run is not None else ""


def _view(db: Reader, thread_id: str, *, values: bool = False, access: Access = ALL) -> ThreadView:
    """Returns a thread; one that is not for the caller to see is not there."""
    thread = db.thread(thread_id, values=values)
    if thread is None or not access.admits(thread.owner, thread.metadata):
        raise thread_not_found(thread_id)
    return ThreadView(thread, db.open_pauses(thread_id))


def _made_earlier(db: Reader, thread_id: str, caller: Caller) -> ThreadView:
    thread = db.thread(thread_id)
    if thread is not None and not caller.access.admits(thread.owner, thread.metadata):
        raise thread_not_found(thread_id)
    if thread is None:
        raise errors.ThreadNotFoundError(
            f"thread {thread_id}, which this request_id created, was deleted",
            resource=("thread", thread_id),
        )
    return _view(db, thread_id)


def _assistant_id(thread: ThreadRecord, edit: StateEdit) -> str:
    if edit.assistant_id:
        check_assistant(thread, edit.assistant_id)
        return edit.assistant_id
    if not thread.assistant_id:
        raise errors.AssistantRequiredError(
            f"nothing has run on thread {thread.thread_id} yet; say with `assistant_id` whose "
            "state it is to have",
            resource=("thread", thread.thread_id),
        )
    return thread.assistant_id
