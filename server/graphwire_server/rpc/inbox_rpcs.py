"""The RPCs of `graphwire.v1.Threads` that follow threads, and list what waits on them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from graphwire import errors
from graphwire.v1 import pause_pb2, run_event_pb2, threads_pb2_grpc
from graphwire.v1 import threads_pb2 as pb

from graphwire_server import jsontext
from graphwire_server.rpc import validation
from graphwire_server.rpc.answer_size import current_answer
from graphwire_server.rpc.event_frames import ThreadEventFrame
from graphwire_server.rpc.paging import Pages, PageTokens
from graphwire_server.rpc.payloads import PayloadCodec
from graphwire_server.rpc.principal import current_caller
from graphwire_server.runs.changes import ChangeLog, Watched, WatchFilter
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.events import pause_message, timestamp
from graphwire_server.runs.inbox import InboxService
from graphwire_server.runs.joining import JoinCursor, Joined, ThreadStreams
from graphwire_server.runs.run_message import run_message
from graphwire_server.storage.records import (
    ChangeKind,
    ChangePlace,
    PauseFilter,
    PauseKind,
    PausePosition,
    PauseRecord,
    PauseStatus,
    RunRecord,
)

_PLACE = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})")
_ANY = tuple(PauseStatus)


class InboxRpcs(threads_pb2_grpc.ThreadsServicer):
    """Serves ListPauses, GetPause, WatchThreads and JoinThread."""

    _codec: PayloadCodec

    def __init__(
        self, inbox: InboxService, changes: ChangeLog, streams: ThreadStreams, pages: Pages
    ) -> None:
        """Takes the services behind the RPCs."""
        self._pages = pages
        self._inbox = inbox
        self._changes = changes
        self._streams = streams

    async def ListPauses(
        self, request: pb.ListPausesRequest, context: Any
    ) -> pb.ListPausesResponse:
        """Lists pauses across threads."""
        tokens = PageTokens(request)
        size = self._pages.size(request.page_size)
        place = tokens.read(request.page_token, int, int)
        found = await self._inbox.list(
            self._pause_filter(request.filter),
            limit=size + 1,
            after=PausePosition(*place) if place else None,
            ascending=request.direction == pb.SORT_DIRECTION_ASCENDING,
            most_bytes=current_answer().limit,
        )
        pauses, more = current_answer().page(
            found.items, size, lambda item: pause_message(item[1]), more=found.more
        )
        token = ""
        if more:
            last, _ = found.items[len(pauses) - 1]
            token = tokens.write(last.create_time, last.number)
        return pb.ListPausesResponse(pauses=pauses, next_page_token=token)

    async def GetPause(self, request: pb.GetPauseRequest, context: Any) -> pb.GetPauseResponse:
        """Returns a pause."""
        pause_id = validation.optional_uuid(
            validation.required(request.pause_id, "pause_id"), "pause_id"
        )
        pause = await self._inbox.get(pause_id)
        return pb.GetPauseResponse(pause=pause_message(pause))

    async def WatchThreads(
        self, request: pb.WatchThreadsRequest, context: Any
    ) -> AsyncIterator[pb.WatchThreadsResponse]:
        """Streams what happens on all threads."""
        kinds = validation.enum_names(
            pb.ThreadChangeKind, request.kinds, "THREAD_CHANGE_KIND_", "kinds"
        )
        which = WatchFilter(
            kinds=frozenset(ChangeKind(name) for name in kinds),
            thread_ids=_thread_ids(request.filter),
            assistant_id=request.filter.assistant_id,
            metadata=self._object(request.filter, "metadata"),
            values=self._object(request.filter, "values"),
            access=current_caller().access,
        )
        async for watched in self._changes.watch(_watch_cursor(request.cursor), which):
            yield _watch_response(watched)

    async def JoinThread(self, request: pb.JoinThreadRequest, context: Any) -> AsyncIterator[Any]:
        """Streams the events of a thread's runs."""
        thread_id = validation.thread_id(request.thread_id)
        cursor = _join_cursor(request)
        joining = self._streams.join(
            thread_id, cursor, only_new=request.only_new, access=current_caller().access
        )
        async for joined in joining:
            yield _join_frame(joined)

    def _pause_filter(self, message: pb.PauseFilter) -> PauseFilter:
        # Here UNSPECIFIED means any.
        statuses: tuple[PauseStatus, ...] = (PauseStatus.OPEN,)
        if pause_pb2.PAUSE_STATUS_UNSPECIFIED in message.statuses:
            statuses = _ANY
        elif message.statuses:
            names = validation.enum_names(
                pause_pb2.PauseStatus, message.statuses, "PAUSE_STATUS_", "filter.statuses"
            )
            statuses = tuple(PauseStatus(name) for name in names)
        kinds = validation.enum_names(
            pause_pb2.PauseKind, message.kinds, "PAUSE_KIND_", "filter.kinds"
        )
        expires_before = None
        if message.HasField("expires_before"):
            expires_before = validation.instant(message.expires_before, "filter.expires_before")
        return PauseFilter(
            statuses=statuses,
            kinds=tuple(PauseKind(name) for name in kinds),
            thread_id=validation.optional_thread_id(message.thread_id, "filter.thread_id"),
            assistant_id=message.assistant_id,
            node=message.node,
            label=message.label,
            tool_name=message.tool_name,
            thread_metadata=self._object(message, "thread_metadata"),
            expires_before=expires_before,
            access=current_caller().access,
        )

    def _object(self, message: Any, name: str) -> str | None:
        if not message.HasField(name):
            return None
        return jsontext.dumps(self._codec.read_object(getattr(message, name), f"filter.{name}"))


def _thread_ids(which: pb.ThreadFilter) -> frozenset[str]:
    for index, thread_id in enumerate(which.thread_ids):
        field = f"filter.thread_ids[{index}]"
        if not validation.optional_thread_id(thread_id, field):
            raise errors.InvalidFieldError("an empty id; leave the list empty for any", field=field)
    return frozenset(which.thread_ids)


def _watch_cursor(text: str) -> ChangePlace | None:
    if not text:
        return None
    match = _PLACE.fullmatch(text)
    if match is None or any(int(number) >= 1 << 63 for number in match.groups()):
        raise _no_cursor("WatchThreads")
    return ChangePlace(*map(int, match.groups()))


def _join_cursor(request: pb.JoinThreadRequest) -> JoinCursor | None:
    if not request.cursor:
        return None
    if request.only_new:
        raise errors.InvalidFieldError(
            "is for a call without a cursor, which says where to go on; leave it out",
            field="only_new",
        )
    try:
        return JoinCursor.parse(request.cursor)
    except ValueError:
        raise _no_cursor("JoinThread") from None


def _no_cursor(method: str) -> errors.InvalidFieldError:
    return errors.InvalidFieldError(
        f"not a cursor of {method}; take that of a response, as it is", field="cursor"
    )


def _watch_response(watched: Watched) -> pb.WatchThreadsResponse:
    cursor = f"{watched.place.xid}.{watched.place.number}"
    change = watched.change
    if change is None:
        return pb.WatchThreadsResponse(cursor=cursor, time=timestamp(now_us()))
    return pb.WatchThreadsResponse(
        cursor=cursor,
        kind=pb.ThreadChangeKind.Value(f"THREAD_CHANGE_KIND_{change.record.kind}"),
        thread_id=change.thread_id,
        time=timestamp(change.record.time),
        pause=pause_message(change.subject) if isinstance(change.subject, PauseRecord) else None,
        run=run_message(change.subject) if isinstance(change.subject, RunRecord) else None,
    )


def _join_frame(joined: Joined) -> ThreadEventFrame:
    event = joined.event
    if event is not None:
        return ThreadEventFrame(event.data, str(joined.cursor))
    heartbeat = run_event_pb2.RunEvent(
        event_time=timestamp(now_us()), heartbeat=run_event_pb2.HeartbeatEvent()
    )
    return ThreadEventFrame(heartbeat.SerializeToString(), str(joined.cursor))
