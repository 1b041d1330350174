"""The states of threads, as a caller sees them: read, look back, edit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from graphwire import errors

from graphwire_server.graphs.inside import check_stands_in, graph_at, may_have_none
from graphwire_server.graphs.places import Namespace, text_of
from graphwire_server.graphs.position import read_position
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.graphs.state import (
    StateView,
    checkpoint_not_found,
    edit_state,
    read_history,
    read_state,
    thread_config,
)
from graphwire_server.runs import topics
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.completion import Attendance, Completion
from graphwire_server.runs.decision import decide
from graphwire_server.runs.found import Found
from graphwire_server.runs.idempotency import RequestKey, remembered
from graphwire_server.runs.inheritance import inherited, inherited_at, without_start
from graphwire_server.runs.refusals import check_expected, thread_busy
from graphwire_server.runs.standing import is_in, stand
from graphwire_server.runs.thread_graph import breakpoints_of, open_thread_graph
from graphwire_server.runs.thread_view import ThreadView, view_of
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.checkpoints.records import CheckpointFilter
from graphwire_server.storage.checkpoints.sink import EditBatch, current_sink
from graphwire_server.storage.interface import Reader, Storage, Transaction
from graphwire_server.storage.records import Inheritance, PauseRecord, ThreadRecord, ThreadStatus

#: How often an edit is made anew when somebody else changes the thread meanwhile.
_EDIT_TRIES = 10


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


class ThreadStateService:
    """The states of threads."""

    def __init__(
        self, *, storage: Storage, registry: GraphRegistry, completion: Completion
    ) -> None:
        """Puts the service together from its parts."""
        self._storage = storage
        self._registry = registry
        self._completion = completion
        self._open = partial(open_thread_graph, storage, registry)

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
        view = await self._storage.read(lambda db: view_of(db, thread_id), short=True)
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
            CheckpointNotFoundError: There is no checkpoint `before`, or none at all of a
                subgraph in a task.
            GraphUnavailableError: A state can't be read.
        """
        which = CheckpointFilter(
            thread_id, text_of(namespace), before=after or before, metadata=metadata
        )

        def look(db: Reader) -> tuple[ThreadView, list[str], bool]:
            view, place = view_of(db, thread_id), (thread_id, text_of(namespace))
            if before and not after and not db.checkpoint(*place, before):
                raise checkpoint_not_found(thread_id, before, namespace)
            found = db.checkpoints(which, limit=limit)
            # A page may be empty that follows others, or that a filter leaves nothing of.
            is_there = bool(found or after or not namespace) or db.checkpoint(*place) is not None
            return view, [checkpoint.checkpoint_id for checkpoint in found], is_there

        view, ids, is_there = await self._storage.read(look)
        if not view.thread.assistant_id:
            if not is_there:
                raise checkpoint_not_found(thread_id, "", namespace)
            return Found(())
        found: list[ThreadStateView] = []
        async with self._open(thread_id, view.thread.assistant_id, "threads.read") as (_, graph):
            if namespace and not may_have_none(graph, namespace) and not is_there:
                raise checkpoint_not_found(thread_id, "", namespace)
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
            view = view_of(db, thread_id, access=edit.access)
            if key and remembered(db, key) is not None:
                return view.thread, None, True
            active = db.active_runs(thread_id)
            if view.thread.status is ThreadStatus.BUSY:
                raise thread_busy(thread_id, active)
            check_expected(view.thread, edit.expected_checkpoint_id)
            at = "" if edit.namespace else edit.checkpoint_id
            return view.thread, inherited_at(db, view.thread, at), False

        inside, place = edit.namespace, (thread_id, text_of(edit.namespace))

        def has_state(db: Reader) -> bool:
            return bool(inside) and db.checkpoint(*place) is not None

        (thread, last_run, repeated), inside_is_there = await self._storage.read(
            lambda db: (check(db), has_state(db)), short=True
        )
        if repeated:
            return await self.state(thread_id, namespace=inside)
        assistant_id = _assistant_id(thread, last_run, edit)
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
            if last_run_now is not None and _key(last_run_now) != _key(inherited(tx, thread_id)):
                # From here on the thread goes on with that one.
                kept = replace(without_start(last_run_now), start_time=tx.now())
                tx.put_inheritance(thread_id, kept)
            pauses = stand(
                tx,
                replace(now_there, assistant_id=assistant_id, graph_id=loaded.name),
                places,
                position,
                last_run_now,
                now=now,
                inside=inside,
                principal=edit.principal,
                of_assistant=breakpoints_of(tx, self._registry, assistant_id),
            )
            if key:
                tx.insert_request(key.record(thread_id, now=now))
            return pauses

        pauses = await decide(self._storage, record)
        if pauses is None:
            return None
        self._storage.announce(topics.QUEUE)
        return ThreadStateView(state, [pause for pause in pauses if is_in(pause, inside)])


def _state_of(thread: ThreadRecord) -> tuple[str, int | None]:
    """Returns by what a thread's state is told apart from what it was before."""
    return thread.checkpoint_id, thread.state_update_time


def _key(last_run: Inheritance | None) -> str:
    return last_run.key if last_run is not None else ""


def _assistant_id(thread: ThreadRecord, last_run: Inheritance | None, edit: StateEdit) -> str:
    """Returns the assistant to which the state is to belong."""
    if edit.checkpoint_id and last_run is not None and last_run.assistant_id != thread.assistant_id:
        # It stands on what another one has made.
        thread = replace(thread, assistant_id=last_run.assistant_id)
    if edit.assistant_id:
        if thread.assistant_id not in ("", edit.assistant_id):
            raise errors.AssistantMismatchError(
                f"thread {thread.thread_id} belongs to assistant {thread.assistant_id!r}, and its "
                f"state is edited as that one, not as {edit.assistant_id!r}; leave assistant_id "
                "out",
                metadata={"assistant_id": thread.assistant_id},
                resource=("thread", thread.thread_id),
            )
        return edit.assistant_id
    if not thread.assistant_id:
        raise errors.AssistantRequiredError(
            f"nothing has run on thread {thread.thread_id} yet; say with `assistant_id` whose "
            "state it is to have",
            resource=("thread", thread.thread_id),
        )
    return thread.assistant_id
