"""The service `graphwire.v1.Threads`: messages in, messages out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from graphwire import errors
from graphwire.v1 import breakpoint_pb2
from graphwire.v1 import threads_pb2 as pb

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import Breakpoint, BreakpointSource
from graphwire_server.graphs.execution import Steer
from graphwire_server.graphs.supersteps import NodeUpdate
from graphwire_server.rpc import validation
from graphwire_server.rpc.answer_size import current_answer
from graphwire_server.rpc.breakpoints import read_breakpoints
from graphwire_server.rpc.commands import read_goto, read_update
from graphwire_server.rpc.convert import thread_message, thread_state_message
from graphwire_server.rpc.inbox_rpcs import InboxRpcs
from graphwire_server.rpc.masks import keep_only, read_mask
from graphwire_server.rpc.paging import Pages, PageTokens
from graphwire_server.rpc.payloads import PayloadCodec
from graphwire_server.rpc.principal import current_caller, current_principal
from graphwire_server.rpc.request_keys import request_key
from graphwire_server.runs.changes import ChangeLog
from graphwire_server.runs.inbox import InboxService
from graphwire_server.runs.joining import ThreadStreams
from graphwire_server.runs.state_paths import StatePath, parse_path
from graphwire_server.runs.thread_states import StateEdit, ThreadStateService
from graphwire_server.runs.thread_view import ThreadView
from graphwire_server.runs.threads import NewThread, ThreadService
from graphwire_server.storage.records import (
    Amount,
    ThreadFilter,
    ThreadOrder,
    ThreadPosition,
    ThreadRecord,
    ThreadSort,
    ThreadStatus,
)

_HISTORY_PAGE = 20

#: The longest name of a part of a state.
_MAX_NAME = 128

#: The longest element of the namespace of a subgraph.
_MAX_ELEMENT = 1000

#: In a page token: there is no time.
_NO_TIME = -1

#: The longest ttl of a thread.
_LONGEST_TTL = timedelta(days=36_500)


class ThreadsServicer(InboxRpcs):
    """Serves Threads."""

    def __init__(
        self,
        threads: ThreadService,
        states: ThreadStateService,
        codec: PayloadCodec,
        *,
        inbox: InboxService,
        changes: ChangeLog,
        streams: ThreadStreams,
        pages: Pages,
    ) -> None:
        """Takes the services behind the RPCs."""
        super().__init__(inbox, changes, streams, pages)
        self._threads = threads
        self._states = states
        self._codec = codec

    async def CreateThread(
        self, request: pb.CreateThreadRequest, context: Any
    ) -> pb.CreateThreadResponse:
        """Creates a thread."""
        thread_id = validation.optional_thread_id(request.thread_id)
        metadata = (
            self._codec.read_metadata(request.metadata) if request.HasField("metadata") else {}
        )
        returns = request.if_exists == pb.IF_EXISTS_RETURN
        new = NewThread(
            thread_id,
            metadata,
            ttl=_ttl(request),
            assistant_id=request.assistant_id,
            supersteps=self._supersteps(request.supersteps),
            breakpoints=_breakpoints(request.breakpoints, "breakpoints"),
        )
        if (new.supersteps or new.breakpoints) and not new.assistant_id:
            text = "required with supersteps and breakpoints: the assistant that they are for"
            raise errors.MissingFieldError(text, field="assistant_id")
        meaning = {
            "thread_id": thread_id,
            "metadata": metadata,
            "return": returns,
            **_given(
                ttl=new.ttl,
                assistant_id=new.assistant_id or None,
                supersteps=[[u.meaning() for u in step] for step in new.supersteps] or None,
                breakpoints=_meaning(new.breakpoints, request.breakpoints) or None,
            ),
        }
        view = await self._threads.create(
            new,
            return_existing=returns,
            key=request_key("CreateThread", request.request_id, meaning),
            caller=current_caller(),
        )
        return pb.CreateThreadResponse(thread=thread_message(view))

    async def GetThread(self, request: pb.GetThreadRequest, context: Any) -> pb.GetThreadResponse:
        """Returns a thread."""
        wanted = read_mask(request.read_mask, pb.Thread.DESCRIPTOR)
        view = await self._threads.get(
            validation.thread_id(request.thread_id), values="values" in wanted
        )
        current_answer().expect(view.thread.values)
        thread = thread_message(view)
        keep_only(thread, wanted)
        return pb.GetThreadResponse(thread=thread)

    async def ListThreads(
        self, request: pb.ListThreadsRequest, context: Any
    ) -> pb.ListThreadsResponse:
        """Lists threads."""
        tokens = PageTokens(request)
        size = self._pages.size(request.page_size)
        wanted = read_mask(request.read_mask, pb.Thread.DESCRIPTOR)
        sort = _sort(request)
        place = tokens.read(request.page_token, str, int, str)
        found = await self._threads.list(
            self._filter(request.filter),
            limit=size + 1,
            sort=sort,
            after=_position(place) if place else None,
            values="values" in wanted,
            extract=_paths(request.extract),
            most_bytes=current_answer().limit,
        )
        kept = wanted | {"extracted"} if wanted else wanted

        def message(view: ThreadView) -> pb.Thread:
            thread = thread_message(view)
            keep_only(thread, kept)
            return thread

        threads, more = current_answer().page(found.items, size, message, more=found.more)
        return pb.ListThreadsResponse(
            threads=threads,
            next_page_token=tokens.write(*_place(found.items[len(threads) - 1].thread, sort))
            if more
            else "",
        )

    async def CountThreads(
        self, request: pb.CountThreadsRequest, context: Any
    ) -> pb.CountThreadsResponse:
        """Counts threads."""
        count = await self._threads.count(self._filter(request.filter))
        return pb.CountThreadsResponse(count=count)

    async def UpdateThread(
        self, request: pb.UpdateThreadRequest, context: Any
    ) -> pb.UpdateThreadResponse:
        """Changes a thread's metadata, its breakpoints, or how long it is kept."""
        thread_id = validation.thread_id(request.thread_id)
        ttl = _ttl(request)
        patch = None
        if request.HasField("metadata"):
            patch = self._codec.read_object(request.metadata, "metadata")
        breakpoints = listed = None
        if request.HasField("breakpoints"):
            listed = request.breakpoints.breakpoints
            breakpoints = _breakpoints(listed, "breakpoints.breakpoints")
        if patch is None and ttl is None and breakpoints is None:
            text = "required: what to change, or ttl, or breakpoints"
            raise errors.MissingFieldError(text, field="metadata")
        meaning = {"thread_id": thread_id, "metadata": patch, **_given(ttl=ttl)}
        if breakpoints is not None and listed is not None:
            meaning["breakpoints"] = _meaning(breakpoints, listed)
        key = request_key("UpdateThread", request.request_id, meaning)
        view = await self._threads.update(
            thread_id,
            patch,
            ttl=ttl,
            breakpoints=breakpoints,
            key=key,
            access=current_caller().access,
        )
        return pb.UpdateThreadResponse(thread=thread_message(view))

    async def DeleteThread(
        self, request: pb.DeleteThreadRequest, context: Any
    ) -> pb.DeleteThreadResponse:
        """Deletes a thread."""
        await self._threads.delete(
            validation.thread_id(request.thread_id), access=current_caller().access
        )
        return pb.DeleteThreadResponse()

    async def CopyThread(
        self, request: pb.CopyThreadRequest, context: Any
    ) -> pb.CopyThreadResponse:
        """Copies a thread."""
        thread_id = validation.thread_id(request.thread_id)
        new_thread_id = validation.optional_thread_id(request.new_thread_id, "new_thread_id")
        meaning = {"thread_id": thread_id, "new_thread_id": new_thread_id}
        key = request_key("CopyThread", request.request_id, meaning)
        view = await self._threads.copy(thread_id, new_thread_id, key=key, caller=current_caller())
        return pb.CopyThreadResponse(thread=thread_message(view))

    async def PruneThreads(
        self, request: pb.PruneThreadsRequest, context: Any
    ) -> pb.PruneThreadsResponse:
        """Deletes threads, or what they keep of their history."""
        thread_ids = _thread_ids(request.thread_ids, "thread_ids")
        if not thread_ids:
            raise errors.MissingFieldError("required: at least one", field="thread_ids")
        if not request.strategy:
            text = "required: PRUNE_STRATEGY_DELETE or PRUNE_STRATEGY_KEEP_LATEST"
            raise errors.MissingFieldError(text, field="strategy")
        delete = request.strategy == pb.PRUNE_STRATEGY_DELETE
        return pb.PruneThreadsResponse(
            pruned_count=await self._threads.prune(
                thread_ids, delete=delete, access=current_caller().access
            )
        )

    async def GetThreadStorage(
        self, request: pb.GetThreadStorageRequest, context: Any
    ) -> pb.GetThreadStorageResponse:
        """Returns how much a thread keeps in the database."""
        found = await self._threads.storage(validation.thread_id(request.thread_id))
        channels = found.channels.values()
        whole = Amount(sum(each.count for each in channels), sum(each.bytes for each in channels))
        return pb.GetThreadStorageResponse(
            checkpoints=_amount(found.checkpoints),
            channel_values=_amount(whole),
            channels={name: _amount(each) for name, each in found.channels.items()},
            writes=_amount(found.writes),
            events=_amount(found.events),
            run_count=found.runs,
        )

    async def GetThreadState(
        self, request: pb.GetThreadStateRequest, context: Any
    ) -> pb.GetThreadStateResponse:
        """Returns a thread's state."""
        view = await self._states.state(
            validation.thread_id(request.thread_id),
            checkpoint_id=validation.optional_uuid(request.checkpoint_id, "checkpoint_id"),
            subgraphs=request.subgraphs,
            namespace=_namespace(request.namespace),
        )
        current_answer().expect(view.state.values)
        return pb.GetThreadStateResponse(state=thread_state_message(view))

    async def UpdateThreadState(
        self, request: pb.UpdateThreadStateRequest, context: Any
    ) -> pb.UpdateThreadStateResponse:
        """Edits a thread's state."""
        thread_id = validation.thread_id(request.thread_id)
        values = None
        if request.HasField("values"):
            values = self._codec.read(request.values, "values")
        if values is None and request.as_node in ("", "__start__", "__input__"):
            text = "required, and not null, unless as_node names a node, which then writes nothing"
            raise errors.MissingFieldError(text, field="values")
        edit = StateEdit(
            thread_id=thread_id,
            values=values,
            as_node=request.as_node,
            checkpoint_id=validation.optional_uuid(request.checkpoint_id, "checkpoint_id"),
            expected_checkpoint_id=validation.optional_uuid(
                request.expected_checkpoint_id, "expected_checkpoint_id"
            ),
            assistant_id=request.assistant_id,
            namespace=_namespace(request.namespace),
            principal=current_principal(),
            access=current_caller().access,
        )
        key = request_key("UpdateThreadState", request.request_id, edit.meaning())
        view = await self._states.edit(edit, key=key)
        return pb.UpdateThreadStateResponse(state=thread_state_message(view))

    async def ListThreadHistory(
        self, request: pb.ListThreadHistoryRequest, context: Any
    ) -> pb.ListThreadHistoryResponse:
        """Lists the checkpoints of a thread."""
        tokens = PageTokens(request)
        size = self._pages.size(request.page_size, _HISTORY_PAGE)
        place = tokens.read(request.page_token, str)
        found = await self._states.history(
            validation.thread_id(request.thread_id),
            limit=size + 1,
            before=validation.optional_uuid(request.before_checkpoint_id, "before_checkpoint_id"),
            after=place[0] if place else "",
            metadata=self._object_text(request, "metadata", "metadata"),
            namespace=_namespace(request.namespace),
            most_bytes=current_answer().limit,
        )
        states, more = current_answer().page(
            found.items, size, thread_state_message, more=found.more
        )
        return pb.ListThreadHistoryResponse(
            states=states,
            next_page_token=tokens.write(states[-1].checkpoint_id) if more else "",
        )

    def _supersteps(self, messages: Sequence[pb.Superstep]) -> list[list[NodeUpdate]]:
        """Returns the steps of a state to begin with."""
        steps: list[list[NodeUpdate]] = []
        for i, message in enumerate(messages):
            if not message.updates:
                text = "required: what at least one node is taken to have returned"
                raise errors.MissingFieldError(text, field=f"supersteps[{i}].updates")
            steps.append(
                [
                    self._update(update, f"supersteps[{i}].updates[{j}]")
                    for j, update in enumerate(message.updates)
                ]
            )
        return steps

    def _update(self, message: pb.StateUpdate, field: str) -> NodeUpdate:
        values = None
        if message.HasField("values"):
            values = self._codec.read(message.values, f"{field}.values")
        command = None
        if message.HasField("command"):
            if values is not None:
                text = "give either `values` or `command`, not both"
                raise errors.InvalidFieldError(text, field=f"{field}.command")
            command = self._returned(message.command, f"{field}.command")
        as_node = validation.required(message.as_node, f"{field}.as_node")
        if command is None and values is None and as_node in ("__input__", "__start__"):
            text = "required, and not null, unless as_node names a node, which then writes nothing"
            raise errors.MissingFieldError(text, field=f"{field}.values")
        return NodeUpdate(values, as_node, command)

    def _returned(self, message: pb.NodeCommand, field: str) -> Steer:
        """Returns the command that a node is taken to have returned."""
        update = read_update(self._codec, message, field)
        goto = read_goto(self._codec, message, field)
        if update is None and not goto:
            text = "an empty command does nothing: give `update` or `goto`"
            raise errors.MissingFieldError(text, field=field)
        return Steer(
            update=update.value if update else None,
            goto=[(node, given.value if given else None) for node, given in goto],
        )

    def _filter(self, message: pb.ThreadFilter) -> ThreadFilter:
        statuses = validation.enum_names(
            pb.ThreadStatus, message.statuses, "THREAD_STATUS_", "filter.statuses"
        )
        return ThreadFilter(
            statuses=tuple(ThreadStatus(name) for name in statuses),
            assistant_id=message.assistant_id,
            metadata=self._object_text(message, "metadata", "filter.metadata"),
            values=self._object_text(message, "values", "filter.values"),
            thread_ids=_thread_ids(message.thread_ids, "filter.thread_ids"),
            access=current_caller().access,
        )

    def _object_text(
        self, message: pb.ThreadFilter | pb.ListThreadHistoryRequest, name: str, field: str
    ) -> str | None:
        if not message.HasField(name):  # type: ignore[arg-type]  # one of two fields
            return None
        return jsontext.dumps(self._codec.read_object(getattr(message, name), field))


def _thread_ids(ids: Sequence[str], field: str) -> tuple[str, ...]:
    """Returns a list of ids of threads, each once."""
    if "" in ids:
        raise errors.InvalidFieldError("an empty id", field=f"{field}[{list(ids).index('')}]")
    checked = [validation.optional_thread_id(each, f"{field}[{i}]") for i, each in enumerate(ids)]
    return tuple(dict.fromkeys(checked))


def _namespace(elements: Sequence[str]) -> tuple[str, ...]:
    """Returns a subgraph's namespace; () for the root."""
    for index, element in enumerate(elements):
        if not element or len(element) > _MAX_ELEMENT or "|" in element or "\0" in element:
            raise errors.InvalidFieldError(
                "must be an element of a namespace, such as node:task, as events and pauses have "
                "it",
                field=f"namespace[{index}]",
            )
    return tuple(elements)


def _amount(amount: Amount) -> pb.StorageAmount:
    return pb.StorageAmount(count=amount.count, bytes=amount.bytes)


def _sort(request: pb.ListThreadsRequest) -> ThreadSort:
    order = validation.enum_name(pb.ThreadOrder, request.order_by, "THREAD_ORDER_")
    return ThreadSort(
        ThreadOrder(order or "CREATE_TIME"), request.direction == pb.SORT_DIRECTION_ASCENDING
    )


def _place(thread: ThreadRecord, sort: ThreadSort) -> tuple[str, int, str]:
    """Returns where a thread is in a list, as a page token has it."""
    match sort.order:
        case ThreadOrder.UPDATE_TIME:
            return thread.thread_id, thread.update_time, ""
        case ThreadOrder.STATE_UPDATE_TIME:
            time = thread.state_update_time
            return thread.thread_id, _NO_TIME if time is None else time, ""
        case _:
            return thread.thread_id, thread.create_time, thread.status


def _position(place: list[Any]) -> ThreadPosition:
    thread_id, time, status = place
    return ThreadPosition(thread_id, None if time == _NO_TIME else time, status)


def _paths(extract: Mapping[str, str]) -> dict[str, StatePath]:
    """Returns which parts of a state are asked for, by name."""
    paths: dict[str, StatePath] = {}
    for name, path in extract.items():
        field = f"extract[{name[:_MAX_NAME]}]"
        if not 0 < len(name) <= _MAX_NAME:
            text = f"its name must have 1 to {_MAX_NAME} characters"
            raise errors.InvalidFieldError(text, field=field)
        try:
            paths[name] = parse_path(path)
        except ValueError as error:
            raise errors.InvalidFieldError(str(error), field=field) from error
    return paths


def _ttl(request: pb.CreateThreadRequest | pb.UpdateThreadRequest) -> int | None:
    """Returns how long to keep a thread, in microseconds; None if the request does not say."""
    if not request.HasField("ttl"):
        return None
    return validation.duration(
        request.ttl, "ttl", most=_LONGEST_TTL, words="0 s (for ever) to 36500 days"
    )


def _breakpoints(messages: Sequence[breakpoint_pb2.Breakpoint], field: str) -> Sequence[Breakpoint]:
    """Returns the breakpoints of a thread."""
    return read_breakpoints(messages, field, BreakpointSource.THREAD)


def _meaning(
    breakpoints: Sequence[Breakpoint], messages: Sequence[breakpoint_pb2.Breakpoint]
) -> list[dict[str, Any]]:
    """Returns what breakpoints mean: without the ids that the server has given them."""
    return [
        {**asdict(each), "breakpoint_id": message.breakpoint_id}
        for each, message in zip(breakpoints, messages, strict=True)
    ]


def _given(**fields: Any) -> dict[str, Any]:
    """Returns those fields that are given: without them a request means what it always did."""
    return {name: value for name, value in fields.items() if value is not None}
