"""Which caller may do what, for every RPC (ADR 11).

What is not in the table is refused, so that no RPC is open by mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from graphwire import errors
from graphwire.v1 import assistants_pb2, run_pb2, threads_pb2

from graphwire_server import jsontext
from graphwire_server.auth.identity import Identity
from graphwire_server.auth.names import described
from graphwire_server.auth.policies import Action, Policy, Resource
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.rpc import validation
from graphwire_server.rpc.asked_for import AskedFor
from graphwire_server.rpc.payloads import PayloadCodec
from graphwire_server.runs.assistant_service import assistant_exists
from graphwire_server.runs.assistants import assistant_of_thread, find, no_assistant
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.event_log import run_not_found
from graphwire_server.runs.inbox import pause_not_found
from graphwire_server.runs.refusals import thread_exists, thread_not_found
from graphwire_server.storage.access import ALL, Access, Belonging
from graphwire_server.storage.interface import Storage


class Subject(Enum):
    """What a request names, and so what has to be looked up."""

    #: Nothing that belongs to anybody.
    NOTHING = auto()
    #: A thread, run or pause, by its id.
    THREAD = auto()
    RUN = auto()
    PAUSE = auto()
    #: Whatever the caller may see; several threads, by their ids.
    LIST = auto()
    THREADS = auto()
    #: A thread that is made; a copy of one.
    NEW_THREAD = auto()
    COPY = auto()
    #: A run to start; several.
    START = auto()
    STARTS = auto()
    #: Runs to cancel: by id, or of a thread, or all.
    CANCELS = auto()
    #: An assistant, by its id; one that is made; one that is deleted, maybe with its threads.
    ASSISTANT = auto()
    NEW_ASSISTANT = auto()
    OLD_ASSISTANT = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """What an RPC does, in the words of LangGraph's authorization.

    Attributes:
        resource: To what; threads stand for their runs and pauses.
        action: What it does.
        subject: What the request names.
    """

    resource: Resource
    action: Action
    subject: Subject


def _threads(action: Action, subject: Subject) -> Rule:
    return Rule("threads", action, subject)


def _assistants(action: Action, subject: Subject) -> Rule:
    return Rule("assistants", action, subject)


#: The rule of each RPC; None: for everybody who is known.
RULES: dict[str, Rule | None] = {
    "/graphwire.v1.Server/GetServerInfo": None,
    "/graphwire.v1.Threads/CreateThread": _threads("create", Subject.NEW_THREAD),
    "/graphwire.v1.Threads/GetThread": _threads("read", Subject.THREAD),
    "/graphwire.v1.Threads/ListThreads": _threads("search", Subject.LIST),
    "/graphwire.v1.Threads/CountThreads": _threads("search", Subject.LIST),
    "/graphwire.v1.Threads/UpdateThread": _threads("update", Subject.THREAD),
    "/graphwire.v1.Threads/DeleteThread": _threads("delete", Subject.THREAD),
    "/graphwire.v1.Threads/CopyThread": _threads("read", Subject.COPY),
    "/graphwire.v1.Threads/PruneThreads": _threads("delete", Subject.THREADS),
    "/graphwire.v1.Threads/GetThreadStorage": _threads("read", Subject.THREAD),
    "/graphwire.v1.Threads/GetThreadState": _threads("read", Subject.THREAD),
    "/graphwire.v1.Threads/UpdateThreadState": _threads("update", Subject.THREAD),
    "/graphwire.v1.Threads/ListThreadHistory": _threads("read", Subject.THREAD),
    "/graphwire.v1.Threads/JoinThread": _threads("read", Subject.THREAD),
    "/graphwire.v1.Threads/WatchThreads": _threads("search", Subject.LIST),
    "/graphwire.v1.Threads/ListPauses": _threads("search", Subject.LIST),
    "/graphwire.v1.Threads/GetPause": _threads("read", Subject.PAUSE),
    "/graphwire.v1.Runs/StreamRun": _threads("create_run", Subject.START),
    "/graphwire.v1.Runs/CreateRun": _threads("create_run", Subject.START),
    "/graphwire.v1.Runs/CreateRuns": _threads("create_run", Subject.STARTS),
    "/graphwire.v1.Runs/WaitRun": _threads("read", Subject.RUN),
    "/graphwire.v1.Runs/JoinRun": _threads("read", Subject.RUN),
    "/graphwire.v1.Runs/GetRun": _threads("read", Subject.RUN),
    "/graphwire.v1.Runs/ListRuns": _threads("read", Subject.THREAD),
    "/graphwire.v1.Runs/CancelRun": _threads("update", Subject.RUN),
    "/graphwire.v1.Runs/CancelRuns": _threads("update", Subject.CANCELS),
    "/graphwire.v1.Runs/PauseRun": _threads("update", Subject.RUN),
    "/graphwire.v1.Runs/ListRunBreakpoints": _threads("read", Subject.RUN),
    "/graphwire.v1.Runs/AddRunBreakpoints": _threads("update", Subject.RUN),
    "/graphwire.v1.Runs/RemoveRunBreakpoints": _threads("update", Subject.RUN),
    "/graphwire.v1.Runs/DeleteRun": _threads("delete", Subject.RUN),
    "/graphwire.v1.Assistants/ListAssistants": _assistants("search", Subject.LIST),
    "/graphwire.v1.Assistants/CountAssistants": _assistants("search", Subject.LIST),
    "/graphwire.v1.Assistants/GetAssistant": _assistants("read", Subject.ASSISTANT),
    "/graphwire.v1.Assistants/GetAssistantGraph": _assistants("read", Subject.ASSISTANT),
    "/graphwire.v1.Assistants/GetAssistantSchemas": _assistants("read", Subject.ASSISTANT),
    "/graphwire.v1.Assistants/ListAssistantVersions": _assistants("read", Subject.ASSISTANT),
    "/graphwire.v1.Assistants/CreateAssistant": _assistants("create", Subject.NEW_ASSISTANT),
    "/graphwire.v1.Assistants/UpdateAssistant": _assistants("update", Subject.ASSISTANT),
    "/graphwire.v1.Assistants/SetLatestAssistantVersion": _assistants("update", Subject.ASSISTANT),
    "/graphwire.v1.Assistants/DeleteAssistant": _assistants("delete", Subject.OLD_ASSISTANT),
}


_LIST_THREADS = "/graphwire.v1.Threads/ListThreads"
#: These may have the run cancelled when whoever called goes away.
_LEFT = ("/graphwire.v1.Runs/JoinRun", "/graphwire.v1.Runs/WaitRun")
_EDIT = "/graphwire.v1.Threads/UpdateThreadState"
_CANCELLING = _threads("update", Subject.RUN)
#: How a handler says that something is not to be read.
_HIDDEN = (errors.PermissionDeniedError, errors.NotFoundError)
_READ_ASSISTANT = _assistants("read", Subject.ASSISTANT)


class Authorizer:
    """Decides on each request before its servicer sees it."""

    def __init__(
        self, policy: Policy, storage: Storage, registry: GraphRegistry, codec: PayloadCodec
    ) -> None:
        """Takes who decides, and what is needed to find out what a request names."""
        self._policy = policy
        self._storage = storage
        self._registry = registry
        self._codec = codec

    async def admit(self, method: str, request: Any, identity: Identity) -> list[Caller]:
        """Returns the caller of a request; of several runs to start, one for each.

        The rules of a project may have changed the request's metadata then.

        Raises:
            PermissionDeniedError: He may not do that.
            NotFoundError: What the request names is not there, or not for him to see.
            InvalidArgumentError: The request names nothing, or what can't be.
        """
        if method not in RULES:
            raise errors.PermissionDeniedError(f"{method} is for nobody")
        rule = RULES[method]
        asked = self._asked(method)
        if rule is None:
            return [_caller(identity, ALL)]
        match rule.subject:
            case Subject.THREAD | Subject.RUN | Subject.PAUSE:
                named = _Named(rule.subject, request)
                thread_id = await self._thread_of(named)
                access = await self._decide(identity, rule, asked.of(request, thread_id))
                asked.put_back(request)
                await self._check_named(named, access)
                await self._check_besides(method, request, identity, thread_id)
            case Subject.NEW_THREAD:
                access = await self._decide(identity, rule, asked.of_new_thread(request))
                asked.put_back(request)
                await self._check_returned(request, identity)
                await self._check_assistant(request, identity)
            case Subject.COPY:
                access = await self._decide(identity, rule, asked.of(request))
                await self._check_named(_Named(Subject.THREAD, request), access)
                made = await self._made(identity, request.new_thread_id)
                return [replace(made, access=access)]
            case Subject.START:
                known = _Threads(self._storage, [request])
                return [await self._admit_start(method, request, identity, rule, asked, known)]
            case Subject.STARTS:
                known = _Threads(self._storage, request.requests)
                return [
                    await self._admit_start(method, each, identity, rule, asked, known)
                    for each in request.requests
                ] or [_caller(identity, ALL)]
            case Subject.CANCELS:
                access = await self._admit_cancels(request, identity, rule)
            case Subject.THREADS:
                access = await self._admit_threads(request, identity, rule)
            case Subject.NEW_ASSISTANT:
                access = await self._decide(identity, rule, asked.of_assistant(request))
                asked.put_back(request)
                await self._check_made(request, identity, access)
            case Subject.ASSISTANT | Subject.OLD_ASSISTANT:
                access = await self._admit_assistant(request, identity, rule, asked)
                if rule.subject is Subject.OLD_ASSISTANT:
                    # Threads use it: the refusal names those that he finds anyway.
                    sees = await self._seen_threads(identity)
                    return [replace(_caller(identity, access), sees=sees)]
            case _:
                of_threads = rule.resource == "threads"
                wanted = asked.of if of_threads else asked.of_search_of_assistants
                access = await self._decide(identity, rule, wanted(request))
                access = _with_searched(access, asked)
        return [_caller(identity, access)]

    async def _decide(self, identity: Identity, rule: Rule, value: dict[str, Any]) -> Access:
        return await self._policy.decide(identity, rule.resource, rule.action, value)

    async def _seen_threads(self, identity: Identity) -> Access | None:
        """Returns which threads a caller finds; None if he may not even search."""
        asked, rule = self._asked(), RULES[_LIST_THREADS]
        assert rule is not None
        try:
            value = asked.of(threads_pb2.ListThreadsRequest())
            return _with_searched(await self._decide(identity, rule, value), asked)
        except errors.GraphwireError:
            return None

    async def _thread_of(self, named: _Named) -> str:
        """Returns the thread of what is named, if a project's handlers want to know it.

        Raises:
            NotFoundError: There is none: nobody has to be asked.
        """
        if named.subject is Subject.THREAD or not self._policy.reads_requests:
            return ""
        found = await self._storage.read(lambda db: db.belonging(**named.key), short=True)
        if found is None:
            raise named.missing
        return found.thread_id

    async def _check_named(self, named: _Named, access: Access) -> None:
        """Raises the NOT_FOUND of what is not there for what is not for the caller to see."""
        if access == ALL:
            return
        found = await self._storage.read(lambda db: db.belonging(**named.key), short=True)
        if not _admits(access, found):
            raise named.missing

    async def _check_besides(
        self, method: str, request: Any, identity: Identity, thread_id: str
    ) -> None:
        """Checks what a request does besides to what it names, or takes for it."""
        if method in _LEFT and request.on_disconnect == run_pb2.ON_DISCONNECT_CANCEL:
            # To read a run is not enough to have it cancelled.
            value = self._asked().of_cancelling(request.run_id, thread_id)
            access = await self._decide(identity, _CANCELLING, value)
            await self._check_named(_Named(Subject.RUN, request), access)
        if method == _EDIT:
            await self._check_assistant(request, identity)

    async def _check_assistant(self, request: Any, identity: Identity) -> None:
        """Refuses an assistant that is not for the caller, where a request takes one."""
        if self._policy.reads_requests and request.assistant_id:
            await self._admit_assistant(request, identity, _READ_ASSISTANT, self._asked())

    async def _assistant_of_start(self, request: Any) -> str:
        """Returns the assistant as which a run is to start: what goes on takes the thread's."""
        thread_id = request.thread_id
        if request.assistant_id or not (_goes_on(request) and validation.is_name(thread_id)):
            return str(request.assistant_id)
        at = request.checkpoint_id
        try:
            return await self._storage.read(
                lambda db: assistant_of_thread(db, thread_id, at), short=True
            )
        except errors.AssistantMismatchError:
            # Whoever may see the thread is told of it when the run is prepared.
            return ""

    async def _check_continued(self, assistant_id: str, identity: Identity) -> None:
        """Refuses to go on as an assistant that is not for the caller.

        One that was deleted goes on as it was, and is nobody's.
        """
        there = await self._storage.read(
            lambda db: find(db, self._registry, assistant_id), short=True
        )
        if there is not None:
            reading = assistants_pb2.GetAssistantRequest(assistant_id=assistant_id)
            await self._admit_assistant(reading, identity, _READ_ASSISTANT, self._asked())

    async def _check_returned(
        self, request: threads_pb2.CreateThreadRequest, identity: Identity
    ) -> None:
        """Refuses to return a thread, in place of making it, that the caller may not read."""
        thread_id = validation.optional_thread_id(request.thread_id)
        returns = request.if_exists == threads_pb2.IF_EXISTS_RETURN
        if not (self._policy.reads_requests and returns and thread_id):
            return
        there = await self._storage.read(lambda db: db.belonging(thread_id=thread_id), short=True)
        if there is None:
            return
        reading = threads_pb2.GetThreadRequest(thread_id=thread_id)
        try:
            access = await self._decide(
                identity, _threads("read", Subject.THREAD), self._asked().of(reading)
            )
        except _HIDDEN:
            raise thread_exists(thread_id) from None
        if not _admits(access, there):
            raise thread_exists(thread_id)

    def _asked(self, method: str = "") -> AskedFor:
        return AskedFor(method, self._codec, wanted=self._policy.reads_requests)

    async def _admit_start(
        self,
        method: str,
        request: Any,
        identity: Identity,
        rule: Rule,
        asked: AskedFor,
        known: _Threads,
    ) -> Caller:
        await self._check_assistant(request, identity)
        reads = self._policy.reads_requests
        assistant_id = await self._assistant_of_start(request) if reads else ""
        access = await self._decide(identity, rule, asked.of_start(request, assistant_id))
        asked.put_back(request)
        thread_id = validation.optional_thread_id(request.thread_id)
        creates = request.if_not_exists == run_pb2.IF_NOT_EXISTS_CREATE
        request_id = validation.request_id(request.request_id)
        if thread_id:
            if access == ALL and not reads:
                return _caller(identity, access)
            there, repeated = await known.belonging(thread_id), False
            if there is None and request_id and not creates:
                # Of a thread that was deleted, the request_id may be remembered.
                key = identity.principal, method.rpartition("/")[2], request_id
                repeated = await self._storage.read(lambda db: bool(db.request(*key)), short=True)
            if there is not None or not (creates or repeated):
                if not _admits(access, there):
                    raise thread_not_found(thread_id)
                caller = _caller(identity, access)
                if request.assistant_id or not (reads and _goes_on(request)):
                    return caller
                # Only now: whose the thread is decides on what may be said of it.
                if assistant_id:
                    await self._check_continued(assistant_id, identity)
                return replace(caller, goes_on_as=assistant_id)
        # The thread has the metadata of the run, as on LangGraph's server: a handler may rely on
        # what it finds there, as on what it writes.
        made = await self._made(identity, thread_id, asked.metadata)
        return replace(made, access=access)

    async def _made(
        self, identity: Identity, thread_id: str, metadata: Mapping[str, Any] | None = None
    ) -> Caller:
        """Returns the caller who makes a thread; with what the project's rules put on it."""
        asked = self._asked()
        rule = Rule("threads", "create", Subject.NEW_THREAD)
        access = await self._decide(identity, rule, asked.of_thread(thread_id, metadata))
        return replace(_caller(identity, access), thread_metadata=asked.metadata)

    async def _admit_cancels(self, request: Any, identity: Identity, rule: Rule) -> Access:
        """Returns of which threads runs may be cancelled; those that are named all may."""
        run_ids = [
            validation.run_id(run_id, f"run_ids[{index}]")
            for index, run_id in enumerate(request.run_ids)
        ]
        if not (run_ids and self._policy.reads_requests):
            access = await self._decide(identity, rule, self._asked().of(request))
            if access == ALL:
                return access
            if request.thread_id:
                await self._check_named(_Named(Subject.THREAD, request), access)
            accesses = dict.fromkeys(run_ids, access)
            there = await self._storage.read(lambda db: db.belongings(run_ids=run_ids))
        else:
            there = await self._storage.read(lambda db: db.belongings(run_ids=run_ids))
            of_thread: dict[str, Access] = {}
            named = (there[run_id].thread_id for run_id in run_ids if run_id in there)
            for thread_id in dict.fromkeys(named):
                value = self._asked().of(request, thread_id)
                of_thread[thread_id] = await self._decide(identity, rule, value)
            accesses = {run_id: of_thread[there[run_id].thread_id] for run_id in there}
            access = ALL
        for run_id in run_ids:
            if run_id not in there or not _admits(accesses[run_id], there[run_id]):
                raise run_not_found(run_id)
        return access

    async def _admit_threads(self, request: Any, identity: Identity, rule: Rule) -> Access:
        """Returns which threads may be deleted, of those that a request names.

        A project's handlers are asked about each. Those that they hide are taken out, unless
        none would be left.
        """
        if not self._policy.reads_requests:
            return await self._decide(identity, rule, {})
        accesses: dict[str, Access] = {}
        for index, thread_id in enumerate(request.thread_ids):
            validation.thread_id(thread_id, f"thread_ids[{index}]")
            if thread_id not in accesses:
                value = self._asked().of(request, thread_id)
                accesses[thread_id] = await self._decide(identity, rule, value)
        if len(set(accesses.values())) < 2:
            return next(iter(accesses.values()), ALL)
        there = await self._storage.read(lambda db: db.belongings(thread_ids=tuple(accesses)))
        admitted = [
            thread_id
            for thread_id, access in accesses.items()
            if _admits(access, there.get(thread_id))
        ] or [next(iter(accesses))]
        request.thread_ids[:] = admitted
        return Access(choices=(tuple(accesses[thread_id] for thread_id in admitted),))

    async def _check_made(self, request: Any, identity: Identity, access: Access) -> None:
        """Refuses to make an assistant that others have, also where it would be returned."""
        assistant_id = validation.optional_name(request.assistant_id, "assistant_id")
        returns = request.if_exists == assistants_pb2.IF_ASSISTANT_EXISTS_RETURN
        if not assistant_id or (access == ALL and not (returns and self._policy.reads_requests)):
            return
        found = await self._storage.read(
            lambda db: find(db, self._registry, assistant_id), short=True
        )
        if found is None or found.built_in:
            return
        hidden = not access.admits("", found.metadata)
        if returns and not hidden:
            try:
                reading = self._asked().of_assistant(
                    assistants_pb2.GetAssistantRequest(assistant_id=assistant_id)
                )
                seen = await self._decide(identity, _READ_ASSISTANT, reading)
                hidden = not seen.admits("", found.metadata)
            except _HIDDEN:
                hidden = True
        if hidden:
            raise assistant_exists(assistant_id, hidden=False)

    async def _admit_assistant(
        self, request: Any, identity: Identity, rule: Rule, asked: AskedFor
    ) -> Access:
        assistant_id = validation.required(request.assistant_id, "assistant_id")
        access = await self._decide(identity, rule, asked.of_assistant(request))
        if rule.action != "read":
            asked.put_back(request)
        if rule.subject is Subject.OLD_ASSISTANT and request.delete_threads:
            threads = await self._policy.decide(
                identity, "threads", "delete", asked.of_assistant(request)
            )
            if threads != ALL:
                raise errors.PermissionDeniedError(
                    f"{identity.principal} may not delete the threads of others, which go with "
                    "the assistant; leave delete_threads out"
                )
        if access == ALL:
            return access
        found = await self._storage.read(
            lambda db: find(db, self._registry, assistant_id), short=True
        )
        if found is not None and access.admits("", found.metadata):
            return access
        if found is not None and found.built_in:
            if rule.action == "read":
                return access
            raise errors.PermissionDeniedError(
                f"{identity.principal} may not {rule.action} the assistant {assistant_id!r}"
            )
        raise await self._storage.read(lambda db: no_assistant(db, self._registry, assistant_id))


class _Named:
    """A thread, a run or a pause that a request names.

    Attributes:
        subject: Which of them.
        key: Its id, by the name that the storage has for it.
        missing: The NOT_FOUND of one that is not there.
    """

    def __init__(self, subject: Subject, request: Any) -> None:
        """Reads the id. Raises InvalidArgumentError for what can't be one."""
        self.subject = subject
        self.missing: errors.NotFoundError
        match subject:
            case Subject.RUN:
                name, value = "run_id", validation.run_id(request.run_id)
                self.missing = run_not_found(value)
            case Subject.PAUSE:
                name = "pause_id"
                value = validation.optional_uuid(validation.required(request.pause_id, name), name)
                self.missing = pause_not_found(value)
            case _:
                name, value = "thread_id", validation.thread_id(request.thread_id)
                self.missing = thread_not_found(value)
        self.key = {name: value}


class _Threads:
    """To whom the threads of one call's runs belong: asked once, when the first is wanted."""

    def __init__(self, storage: Storage, starts: Iterable[Any]) -> None:
        """Takes the requests that start runs, before anything is checked in them."""
        self._storage = storage
        self._starts = starts
        self._found: dict[str, Belonging] | None = None

    async def belonging(self, thread_id: str) -> Belonging | None:
        """Returns to whom a thread belongs; None if it is not there."""
        if self._found is None:
            named = {each.thread_id for each in self._starts}
            ids = [each for each in named if validation.is_name(each)]
            self._found = await self._storage.read(
                lambda db: db.belongings(thread_ids=ids), short=True
            )
        return self._found.get(thread_id)


def _goes_on(request: Any) -> bool:
    return bool(request.WhichOneof("start") != "input")


def _with_searched(access: Access, asked: AskedFor) -> Access:
    """Returns what a search finds, with what a handler has written into it.

    That is searched for, as on LangGraph's server.
    """
    return replace(access, also=jsontext.dumps(asked.added)) if asked.added else access


def _admits(access: Access, found: Belonging | None) -> bool:
    return found is not None and access.admits(found.owner, found.metadata)


def _caller(identity: Identity, access: Access) -> Caller:
    known = described(identity.principal, identity.permissions)
    return Caller(
        principal=identity.principal,
        owner=identity.owner,
        access=access,
        user={**known, **identity.user},
    )
