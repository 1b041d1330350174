"""The operations of `client.pauses`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from graphwire import _convert as convert
from graphwire import _enums
from graphwire._calls import Call, Page, call, pages
from graphwire._payload import encode_if_set
from graphwire.enums import PauseKind, PauseStatus
from graphwire.v1 import threads_pb2 as pb
from graphwire.values import Pause


def list_pauses(
    *,
    statuses: PauseStatus | str | Iterable[PauseStatus | str] = (),
    kinds: PauseKind | str | Iterable[PauseKind | str] = (),
    thread_id: str = "",
    assistant_id: str = "",
    node: str = "",
    label: str = "",
    tool_name: str = "",
    thread_metadata: Mapping[str, Any] | None = None,
    expires_before: datetime | None = None,
    oldest_first: bool = False,
    limit: int | None = None,
    page_size: int = 0,
    timeout: float | None = None,
) -> Call[Page[Pause]]:
    """Iterates over pauses across threads, newest first: the inbox of whoever approves.

    All conditions must be true. Pauses of stateless runs are among them.

    Args:
        statuses: Only pauses with one of these statuses; empty: those that are OPEN.
        kinds: Only pauses of these kinds; empty: any.
        thread_id: Only pauses of this thread; empty: any.
        assistant_id: Only pauses of this assistant's runs; empty: any.
        node: Only pauses at this node; empty: any.
        label: Only pauses at a breakpoint with this label; empty: any.
        tool_name: Only pauses where a call of this tool waits; empty: any.
        thread_metadata: Only pauses of threads whose metadata contains this object.
        expires_before: Only pauses that expire before this time, which must be aware.
        oldest_first: The oldest first.
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.
    """
    which = pb.PauseFilter(
        statuses=_enums.PAUSE_STATUS.write_all(statuses, "filter.statuses"),
        kinds=_enums.PAUSE_KIND.write_all(kinds, "filter.kinds"),
        thread_id=thread_id,
        assistant_id=assistant_id,
        node=node,
        label=label,
        tool_name=tool_name,
        thread_metadata=encode_if_set(thread_metadata, "filter.thread_metadata"),
        expires_before=None if expires_before is None else _timestamp(expires_before),
    )
    direction = pb.SORT_DIRECTION_ASCENDING if oldest_first else pb.SORT_DIRECTION_UNSPECIFIED
    return pages(
        pb.ListPausesRequest(filter=which, direction=direction),
        pb.ListPausesResponse,
        lambda page: map(convert.pause, page.pauses),
        limit=limit,
        page_size=page_size,
        timeout=timeout,
    )


def get_pause(pause_id: str, *, timeout: float | None = None) -> Call[Pause]:
    """Returns a pause, open or not: what it waits for, and how it was resolved.

    Args:
        pause_id: The pause.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        PauseNotFoundError: There is none.
    """
    request = pb.GetPauseRequest(pause_id=pause_id)
    return call(request, pb.GetPauseResponse, lambda r: convert.pause(r.pause), timeout=timeout)


def _timestamp(time: datetime) -> Timestamp:
    if time.tzinfo is None:
        raise ValueError(f"expires_before is {time!r}: it must have a time zone, such as UTC")
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
