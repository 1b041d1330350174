"""Assistants, as a caller sees them: create, find, change, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import orjson
import structlog
from graphwire import errors

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import Breakpoint, breakpoints_in, breakpoints_text
from graphwire_server.graphs.checks import check_breakpoints, check_tags
from graphwire_server.graphs.execution import open_config, with_context
from graphwire_server.graphs.langgraph_compat import static_breakpoints
from graphwire_server.graphs.load_errors import GraphBuildError
from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph
from graphwire_server.runs.assistants import (
    Config,
    find,
    first_version,
    first_versions,
    graph_of,
    resolve,
    values_of,
)
from graphwire_server.runs.clock import new_id, now_us
from graphwire_server.runs.decision import decide
from graphwire_server.runs.idempotency import RequestKey, remembered
from graphwire_server.runs.metadata_limits import MetadataLimits, check_metadata
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.interface import Reader, Storage, Transaction
from graphwire_server.storage.records import (
    AssistantFilter,
    AssistantOrder,
    AssistantPosition,
    AssistantRecord,
    ThreadStatus,
)

_log = structlog.get_logger("graphwire.assistants")

#: The graph of an assistant, and the config and the context with which it is opened.
_OpenedBy = tuple[str, str, str | None]

#: Of how many threads it is looked at once whether somebody sees them.
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class AssistantView:
    """An assistant with the breakpoints that are compiled into its graph."""

    assistant: AssistantRecord
    interrupt_before: Sequence[str] = ()
    interrupt_after: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NewAssistant:
    """An assistant to create; "" for an id that the server is to choose."""

    assistant_id: str
    graph_id: str
    name: str
    description: str
    config: Config
    context: Mapping[str, Any] | None
    metadata: Mapping[str, Any]
    breakpoints: tuple[Breakpoint, ...]


@dataclass(frozen=True, slots=True)
class AssistantChange:
    """What to change of an assistant; None where it stays, and for the metadata a merge patch."""

    graph_id: str | None = None
    name: str | None = None
    description: str | None = None
    config: Config | None = None
    context: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    breakpoints: tuple[Breakpoint, ...] | None = None

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        return all(getattr(self, field.name) is None for field in fields(self))

    @property
    def concerns_graph(self) -> bool:
        """Whether what it leads to has to be checked against the graph."""
        return any(
            each is not None
            for each in (self.graph_id, self.config, self.context, self.breakpoints)
        )

    def applied(self, to: AssistantRecord, version: int, now: int) -> AssistantRecord:
        """Returns the version that it leads to."""
        metadata = to.metadata
        if self.metadata is not None:
            metadata = jsontext.dumps(
                jsontext.merge_patch(orjson.loads(to.metadata), self.metadata)
            )
        return replace(
            to,
            version=version,
            update_time=now,
            graph_id=to.graph_id if self.graph_id is None else self.graph_id,
            name=to.name if self.name is None else self.name,
            description=to.description if self.description is None else self.description,
            config=to.config if self.config is None else self.config.to_json(),
            context=to.context if self.context is None else jsontext.dumps(self.context),
            metadata=metadata,
            breakpoints=to.breakpoints
            if self.breakpoints is None
            else breakpoints_text(self.breakpoints),
        )


class AssistantService:
    """The assistants of this server."""

    def __init__(
        self,
        *,
        storage: Storage,
        registry: GraphRegistry,
        metadata: MetadataLimits | None = None,
    ) -> None:
        """Puts the service together from its parts."""
        self._metadata_limits = metadata or MetadataLimits()
        self._storage = storage
        self._registry = registry

    async def get(self, assistant_id: str) -> AssistantView:
        """Returns an assistant. Raises AssistantNotFoundError."""
        return await self._view(await self._resolved(assistant_id))

    async def list(
        self,
        which: AssistantFilter,
        *,
        limit: int,
        order: AssistantOrder,
        descending: bool,
        after: AssistantPosition | None,
    ) -> Sequence[AssistantView]:
        """Returns assistants, in order."""
        graphs = first_versions(self._registry)
        found = await self._storage.read(
            lambda db: db.assistants(
                which,
                limit=limit,
                order=order,
                descending=descending,
                after=after,
                graphs=graphs,
            )
        )
        return await self._views(found)

    async def count(self, which: AssistantFilter) -> int:
        """Returns how many assistants `list` would return in all."""
        graphs = first_versions(self._registry)
        return await self._storage.read(lambda db: db.count_assistants(which, graphs=graphs))

    async def create(
        self,
        new: NewAssistant,
        *,
        return_existing: bool,
        key: RequestKey | None,
        access: Access = ALL,
    ) -> AssistantView:
        """Creates an assistant; with an empty id the server chooses one.

        Args:
            new: The assistant.
            return_existing: Return the one that is there, if the id is taken.
            key: The request_id; None without one.
            access: Which assistants the caller may have returned.

        Raises:
            AssistantExistsError: The id is taken, and not `return_existing`.
            AssistantNotFoundError: langgraph.json has no such graph, or the assistant that this
                request_id created was deleted.
            InvalidArgumentError, UnsupportedBreakpointError: Its breakpoints, or its tags, are
                not right for the graph.
            RequestIdReusedError: The request_id was used for another request.
            GraphBuildError: The graph can't be built with its config.
        """
        earlier = await self._storage.read(
            lambda db: self._made_earlier(db, key, access), short=True
        )
        if earlier is not None:
            return await self._view(earlier)
        loaded = self._graph(new.graph_id)
        values = with_context(new.config.configurable, new.context)
        await self._check(loaded, new.config, values, new.breakpoints, "breakpoints")

        def work(tx: Transaction) -> AssistantRecord:
            earlier = self._made_earlier(tx, key, access)
            if earlier is not None:
                return earlier
            now = now_us()
            assistant_id = new.assistant_id
            if assistant_id and self._is_taken(tx, assistant_id):
                there = find(tx, self._registry, assistant_id)
                if there is None or not return_existing or not _admits(access, there):
                    raise assistant_exists(assistant_id, hidden=there is None)
                assistant = there
            else:
                assistant = AssistantRecord(
                    assistant_id=assistant_id or new_id(),
                    graph_id=new.graph_id,
                    version=1,
                    name=new.name,
                    create_time=now,
                    update_time=now,
                    description=new.description,
                    metadata=jsontext.dumps(new.metadata),
                    config=new.config.to_json(),
                    context=None if new.context is None else jsontext.dumps(new.context),
                    breakpoints=breakpoints_text(new.breakpoints),
                )
                tx.insert_assistant(assistant)
            if key:
                tx.insert_request(key.record(assistant.assistant_id, now=now))
            return assistant

        return await self._view(await decide(self._storage, work))

    async def update(
        self, assistant_id: str, change: AssistantChange, *, key: RequestKey | None
    ) -> AssistantView:
        """Makes a new version of an assistant, which new runs get.

        Of two changes at once, each makes a version, the second one of what the first has led to.

        Raises:
            AssistantNotFoundError: There is no such assistant, or no such graph.
            AssistantBuiltInError: A graph of langgraph.json can't be given another graph.
            InvalidArgumentError, UnsupportedBreakpointError: The breakpoints, or the tags, are
                not right for the graph.
            RequestIdReusedError: The request_id was used for another request.
            GraphBuildError: The graph can't be built with the config.
        """

        def look(db: Reader) -> tuple[AssistantRecord, bool]:
            there = resolve(db, self._registry, assistant_id)
            repeated = key is not None and remembered(db, key) is not None
            head = db.assistant_head(assistant_id)
            built_in = there.built_in or (head is not None and head.built_in)
            if not repeated and built_in and change.graph_id not in (None, there.graph_id):
                raise errors.AssistantBuiltInError(
                    f"assistant {assistant_id!r} is the graph of this name in langgraph.json; make "
                    f"another assistant of the graph {change.graph_id!r}",
                    resource=("assistant", assistant_id),
                )
            return there, repeated

        while True:
            there, repeated = await self._storage.read(look, short=True)
            if repeated:
                return await self._view(there)
            wanted = change.applied(there, there.version, there.update_time)
            if change.concerns_graph:
                loaded = (
                    graph_of(self._registry, there)
                    if change.graph_id is None
                    else self._graph(change.graph_id)
                )
                await self._check(
                    loaded,
                    Config.from_json(wanted.config),
                    values_of(wanted),
                    breakpoints_in(wanted.breakpoints),
                    "breakpoints.breakpoints",
                )
            checked = _of_graph(wanted)

            def work(
                tx: Transaction, checked: tuple[str | None, ...] = checked
            ) -> AssistantRecord | None:
                head = tx.assistant_head(assistant_id)
                there, repeated = look(tx)
                if repeated:
                    return there
                now, newest = now_us(), 1 if head is None else head.newest
                changed = change.applied(there, newest + 1, now)
                if change.metadata is not None:
                    kept = orjson.loads(changed.metadata)
                    check_metadata(kept, changed.metadata, self._metadata_limits)
                if change.concerns_graph and _of_graph(changed) != checked:
                    return None  # somebody else has changed it meanwhile
                if head is None:
                    tx.insert_assistant(changed)
                else:
                    tx.add_assistant_version(changed)
                if key:
                    tx.insert_request(key.record(assistant_id, now=now))
                return changed

            changed = await decide(self._storage, work)
            if changed is not None:
                return await self._view(changed)

    async def delete(
        self, assistant_id: str, *, delete_threads: bool, sees: Access | None = ALL
    ) -> None:
        """Deletes an assistant with its versions, and with its threads if that is asked for.

        Args:
            assistant_id: The assistant.
            delete_threads: Whether to delete its threads.
            sees: Which threads an error may name; None: none.

        Raises:
            AssistantNotFoundError: There is no such assistant.
            AssistantBuiltInError: It is a graph of langgraph.json.
            AssistantInUseError: A run of it is queued or executes; a thread of it is BUSY, or,
                unless they are deleted, INTERRUPTED; or one that is to be deleted has runs that
                are queued.
        """
        forbidding = [ThreadStatus.BUSY, *([] if delete_threads else [ThreadStatus.INTERRUPTED])]

        def work(tx: Transaction) -> None:
            head = tx.assistant_head(assistant_id)
            if self._registry.get(assistant_id) is not None and (head is None or head.built_in):
                raise errors.AssistantBuiltInError(
                    f"assistant {assistant_id!r} is a graph of langgraph.json; take it out of "
                    "there",
                    resource=("assistant", assistant_id),
                )
            if head is None:
                resolve(tx, self._registry, assistant_id)  # raises: it is nowhere
            # Before its threads are looked at: a run that is being accepted comes first, or not
            # at all.
            tx.delete_assistant(assistant_id)
            # Runs before threads: what ends between the two has left its thread paused, or idle.
            _check_no_runs(tx, assistant_id, sees)
            _check_unused(tx, assistant_id, forbidding, sees)
            for thread_id in tx.threads_of_assistant(assistant_id) if delete_threads else ():
                thread = tx.thread(thread_id)
                if thread is None or thread.assistant_id != assistant_id:
                    continue
                if thread.status in forbidding:
                    _check_unused(tx, assistant_id, forbidding, sees)
                queued = tx.active_runs(thread_id)
                if queued:
                    # Of another assistant, or it was found above.
                    runs = [(run.run_id, thread_id) for run in queued]
                    raise _runs_active(tx, assistant_id, runs, sees)
                tx.delete_thread(thread_id)

        await self._storage.write(work, long=True)

    async def versions(
        self, assistant_id: str, *, metadata: str | None, limit: int, below: int
    ) -> Sequence[AssistantView]:
        """Returns versions of an assistant, the newest first, from below one; 0: from the newest.

        Raises:
            AssistantNotFoundError: There is no such assistant.
        """

        def read(db: Reader) -> Sequence[AssistantRecord]:
            there = resolve(db, self._registry, assistant_id)
            loaded = self._registry.get(assistant_id) if there.built_in else None
            found = db.assistant_versions(
                assistant_id,
                metadata=metadata,
                limit=limit,
                below=below,
                first=first_version(loaded) if loaded is not None else None,
            )
            return [replace(each, built_in=there.built_in) for each in found]

        return await self._views(await self._storage.read(read))

    async def set_latest(self, assistant_id: str, version: int) -> AssistantView:
        """Makes a version the one that new runs get.

        Raises:
            AssistantNotFoundError: There is no such assistant, or it has no such version.
        """

        def work(tx: Transaction) -> AssistantRecord:
            head = tx.assistant_head(assistant_id)
            resolve(tx, self._registry, assistant_id)
            wanted = find(tx, self._registry, assistant_id, version)
            if wanted is None:
                newest = 1 if head is None else head.newest
                raise errors.AssistantNotFoundError(
                    f"assistant {assistant_id!r} has no version {version}; its newest is {newest}",
                    resource=("assistant", assistant_id),
                )
            if head is not None:
                tx.set_assistant_version(assistant_id, version)
            return wanted

        return await self._view(await self._storage.write(work))

    async def graph(self, assistant_id: str) -> tuple[LoadedGraph, Mapping[str, Any] | None]:
        """Returns an assistant's graph, and what it finds in its config when it is opened.

        Raises:
            AssistantNotFoundError: There is no such assistant.
            GraphUnavailableError: Its graph is not there any more.
        """
        assistant = await self._resolved(assistant_id)
        return graph_of(self._registry, assistant), values_of(assistant)

    async def _resolved(self, assistant_id: str) -> AssistantRecord:
        return await self._storage.read(
            lambda db: resolve(db, self._registry, assistant_id), short=True
        )

    def _graph(self, graph_id: str) -> LoadedGraph:
        """Returns a graph that a request names."""
        loaded = self._registry.get(graph_id)
        if loaded is None:
            names = ", ".join(self._registry.names)
            raise errors.AssistantNotFoundError(
                f"langgraph.json has no graph {graph_id!r}; it has: {names}",
                metadata={"assistants": names},
                resource=("graph", graph_id),
            )
        return loaded

    def _is_taken(self, db: Reader, assistant_id: str) -> bool:
        return (
            self._registry.get(assistant_id) is not None
            or db.assistant_head(assistant_id) is not None
        )

    def _made_earlier(
        self, db: Reader, key: RequestKey | None, access: Access
    ) -> AssistantRecord | None:
        earlier = remembered(db, key) if key is not None else None
        if earlier is None:
            return None
        assistant = find(db, self._registry, earlier.subject)
        if assistant is None or not _admits(access, assistant):
            raise errors.AssistantNotFoundError(
                f"assistant {earlier.subject}, which this request_id created, was deleted",
                resource=("assistant", earlier.subject),
            )
        return assistant

    async def _check(
        self,
        loaded: LoadedGraph,
        config: Config,
        values: Mapping[str, Any],
        breakpoints: Sequence[Breakpoint],
        field: str,
    ) -> None:
        """Checks against the graph what its runs are to have.

        Args:
            loaded: The graph.
            config: The config of the runs.
            values: What the graph finds in it.
            breakpoints: Those of the assistant.
            field: The field of the request that these are in.
        """
        check_tags(config.tags, "config.tags")
        async with loaded.open("assistants.read", open_config(values)) as graph:
            check_breakpoints(loaded.doored(graph).places, breakpoints, field)

    async def _view(self, assistant: AssistantRecord) -> AssistantView:
        return (await self._views([assistant]))[0]

    async def _views(self, assistants: Sequence[AssistantRecord]) -> Sequence[AssistantView]:
        compiled: dict[_OpenedBy, tuple[Sequence[str], Sequence[str]]] = {}
        views = []
        for assistant in assistants:
            key = (assistant.graph_id, assistant.config, assistant.context)
            if key not in compiled:
                compiled[key] = await self._compiled(assistant)
            views.append(AssistantView(assistant, *compiled[key]))
        return views

    async def _compiled(self, assistant: AssistantRecord) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the breakpoints compiled into an assistant's graph.

        None if it is not there any more, or can't be built: an assistant can be looked at all
        the same.
        """
        loaded = self._registry.get(assistant.graph_id)
        if loaded is None:
            return (), ()
        config = open_config(values_of(assistant))
        try:
            async with loaded.open("assistants.read", config) as graph:
                return static_breakpoints(graph)
        except GraphBuildError:
            _log.warning("graph_unavailable", graph=assistant.graph_id, exc_info=True)
            return (), ()


def _admits(access: Access, assistant: AssistantRecord) -> bool:
    return assistant.built_in or access.admits("", assistant.metadata)


def _of_graph(assistant: AssistantRecord) -> tuple[str | None, ...]:
    """Returns what is checked against a graph."""
    return assistant.graph_id, assistant.config, assistant.context, assistant.breakpoints


def _check_unused(
    db: Reader, assistant_id: str, forbidding: Sequence[ThreadStatus], sees: Access | None
) -> None:
    """Raises AssistantInUseError if a thread of an assistant has one of the statuses.

    It names one that the caller sees, if there is one.
    """
    used = False
    for status in forbidding:
        ids = db.threads_of_assistant(assistant_id, statuses=(status,))
        used = used or bool(ids)
        named = _first_seen(db, ids, sees)
        if named:
            raise _in_use(assistant_id, named, status)
    if used:
        raise _used_by_others(assistant_id)


def _check_no_runs(db: Reader, assistant_id: str, sees: Access | None) -> None:
    """Raises AssistantInUseError if a run of an assistant is queued or executes."""
    runs = db.active_runs_of_assistant(assistant_id)
    if runs:
        raise _runs_active(db, assistant_id, runs, sees)


def _runs_active(
    db: Reader, assistant_id: str, runs: Sequence[tuple[str, str]], sees: Access | None
) -> errors.AssistantInUseError:
    """Returns the error for active runs, as (run_id, thread_id), that need an assistant."""
    thread_id = _first_seen(db, list(dict.fromkeys(thread_id for _, thread_id in runs)), sees)
    thread = db.thread(thread_id) if thread_id else None
    if thread is None:
        return _used_by_others(assistant_id)
    run_id = next(run_id for run_id, its in runs if its == thread_id)
    return errors.AssistantInUseError(
        f"run {run_id} is queued or executes on thread {thread_id}, and would be lost with "
        f"assistant {assistant_id!r}; wait for its end, or cancel it",
        metadata={"thread_id": thread_id, "status": thread.status, "run_id": run_id},
        resource=("assistant", assistant_id),
    )


def _first_seen(db: Reader, thread_ids: Sequence[str], sees: Access | None) -> str:
    """Returns the first of some threads that a caller sees; "" if there is none."""
    for start in range(0, len(thread_ids) if sees is not None else 0, _LOOKED_AT):
        some = thread_ids[start : start + _LOOKED_AT]
        seen = db.threads_containing(some, metadata=None, values=None, access=sees or ALL)
        if seen:
            return next(thread_id for thread_id in some if thread_id in seen)
    return ""


def _used_by_others(assistant_id: str) -> errors.AssistantInUseError:
    return errors.AssistantInUseError(
        f"threads of others use assistant {assistant_id!r}: a run of theirs is active, or a "
        "pause is open; try again when they are through",
        resource=("assistant", assistant_id),
    )


def _in_use(assistant_id: str, thread_id: str, status: ThreadStatus) -> errors.AssistantInUseError:
    hint = (
        "wait for the end of its run, or cancel it"
        if status is ThreadStatus.BUSY
        else "resume it, or delete the assistant with its threads: delete_threads"
    )
    return errors.AssistantInUseError(
        f"thread {thread_id} of assistant {assistant_id!r} is {status}; {hint}",
        metadata={"thread_id": thread_id, "status": status},
        resource=("assistant", assistant_id),
    )


def assistant_exists(assistant_id: str, *, hidden: bool) -> errors.AssistantExistsError:
    text = f"assistant {assistant_id!r} exists already"
    if hidden:
        text = (
            f"{assistant_id!r} was a graph of langgraph.json, of which versions are kept; delete "
            "them first, or take another id"
        )
    return errors.AssistantExistsError(text, resource=("assistant", assistant_id))
