"""The operations of `client.threads`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from graphwire import _convert as convert
from graphwire import _enums
from graphwire._calls import Call, Page, call, new_request_id, pages
from graphwire._durations import duration_if_set
from graphwire._following import Follow, join_call, watch_call
from graphwire._payload import encode_if_given, encode_if_set
from graphwire.enums import IfExists, ThreadChangeKind, ThreadStatus
from graphwire.events import Event
from graphwire.start import NOT_GIVEN
from graphwire.v1 import threads_pb2 as pb
from graphwire.values import Thread, ThreadChange, ThreadState


def create_thread(
    thread_id: str = "",
    *,
    metadata: Mapping[str, Any] | None = None,
    ttl: float | timedelta | None = None,
    if_exists: IfExists | str | None = None,
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[Thread]:
    """Creates a thread.

    Args:
        thread_id: Its id: 1 to 128 letters, digits and "-_.:", beginning with a letter or
            digit; empty: the server chooses a UUID.
        metadata: A JSON object for your own use.
        ttl: How long to keep it after its last change (seconds, or a timedelta), unless it is
            at work or paused; 0: for ever; None: as long as the server says.
        if_exists: What to do if the id is taken: REJECT (the default) or RETURN, which
            returns that thread as it is.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadExistsError: The id is taken.
        InvalidArgumentError: The id or the metadata is malformed.
    """
    request = pb.CreateThreadRequest(
        thread_id=thread_id,
        metadata=encode_if_set(metadata, "metadata"),
        ttl=duration_if_set(ttl),
        if_exists=_enums.IF_EXISTS.write_if_set(if_exists, "if_exists"),
        request_id=new_request_id(request_id),
    )
    return call(
        request, pb.CreateThreadResponse, lambda r: convert.thread(r.thread), timeout=timeout
    )


def get_thread(thread_id: str, *, timeout: float | None = None) -> Call[Thread]:
    """Returns a thread, with its open pauses.

    Args:
        thread_id: The thread.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is none.
    """
    request = pb.GetThreadRequest(thread_id=thread_id)
    return call(request, pb.GetThreadResponse, lambda r: convert.thread(r.thread), timeout=timeout)


def list_threads(
    *,
    statuses: ThreadStatus | str | Iterable[ThreadStatus | str] = (),
    metadata: Mapping[str, Any] | None = None,
    assistant_id: str = "",
    values: Mapping[str, Any] | None = None,
    limit: int | None = None,
    page_size: int = 0,
    timeout: float | None = None,
) -> Call[Page[Thread]]:
    """Iterates over threads, newest first, page by page. All conditions must be true.

    Args:
        statuses: Only threads with one of these statuses; empty: any.
        metadata: Only threads whose metadata contains this object: each of its keys
            with an equal value, objects in it likewise.
        assistant_id: Only threads of this assistant; empty: any.
        values: Only threads whose state contains this object, as for `metadata`.
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.
    """
    return pages(
        pb.ListThreadsRequest(filter=_filter(statuses, metadata, assistant_id, values)),
        pb.ListThreadsResponse,
        lambda page: map(convert.thread, page.threads),
        limit=limit,
        page_size=page_size,
        timeout=timeout,
    )


def count_threads(
    *,
    statuses: ThreadStatus | str | Iterable[ThreadStatus | str] = (),
    metadata: Mapping[str, Any] | None = None,
    assistant_id: str = "",
    values: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> Call[int]:
    """Returns how many threads `threads.list` would list with the same conditions.

    Args:
        statuses: As for `threads.list`.
        metadata: As for `threads.list`.
        assistant_id: As for `threads.list`.
        values: As for `threads.list`.
        timeout: The limit in seconds; None: the client's default.
    """
    request = pb.CountThreadsRequest(filter=_filter(statuses, metadata, assistant_id, values))
    return call(request, pb.CountThreadsResponse, lambda r: r.count, timeout=timeout)


def update_thread(
    thread_id: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    ttl: float | timedelta | None = None,
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[Thread]:
    """Changes a thread's metadata, or how long it is kept, and returns the thread.

    Args:
        thread_id: The thread.
        metadata: Merged into what there is (JSON merge patch): keys given are set, keys
            given as None are removed, the others stay. None: they all stay.
        ttl: How long to keep it from now on, as in `threads.create`; None: as before.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
        MissingFieldError: Neither is given.
    """
    request = pb.UpdateThreadRequest(
        thread_id=thread_id,
        metadata=encode_if_set(metadata, "metadata"),
        ttl=duration_if_set(ttl),
        request_id=new_request_id(request_id),
    )
    return call(
        request, pb.UpdateThreadResponse, lambda r: convert.thread(r.thread), timeout=timeout
    )


def delete_thread(thread_id: str, *, timeout: float | None = None) -> Call[None]:
    """Deletes a thread with its runs, events and checkpoints.

    Args:
        thread_id: The thread.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
        ThreadBusyError: It has a run that is queued or running.
    """
    request = pb.DeleteThreadRequest(thread_id=thread_id)
    return call(request, pb.DeleteThreadResponse, lambda _: None, repeatable=False, timeout=timeout)


def get_thread_state(
    thread_id: str,
    *,
    checkpoint_id: str = "",
    subgraphs: bool = False,
    timeout: float | None = None,
) -> Call[ThreadState]:
    """Returns a thread's state at its head or at any checkpoint.

    Args:
        thread_id: The thread.
        checkpoint_id: The checkpoint; empty: the head.
        subgraphs: Also return the states of subgraphs, in their tasks.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
        CheckpointNotFoundError: The thread has no such checkpoint.
    """
    request = pb.GetThreadStateRequest(
        thread_id=thread_id, checkpoint_id=checkpoint_id, subgraphs=subgraphs
    )
    return call(
        request,
        pb.GetThreadStateResponse,
        lambda r: convert.thread_state(r.state),
        timeout=timeout,
    )


def update_thread_state(
    thread_id: str,
    values: Any = NOT_GIVEN,
    *,
    as_node: str = "",
    checkpoint_id: str = "",
    expected_checkpoint_id: str = "",
    assistant_id: str = "",
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[ThreadState]:
    """Edits a thread's state as if a node had returned `values`; nothing is executed.

    Open pauses are superseded; where the new head stands before a breakpoint again, the
    thread is paused there with a new pause id.

    Args:
        thread_id: The thread.
        values: What the node is taken to have returned: mostly a dict with the channels
            to change, which go through their reducers. May be left out only with
            `as_node="__end__"`.
        as_node: The node that is taken to have returned them: what comes next follows
            from it. Empty: the node that ran last.
        checkpoint_id: The checkpoint to start from, which makes a fork; empty: the head.
        expected_checkpoint_id: Compare and set: refuse unless the thread's head is this
            checkpoint. Empty: do not check.
        assistant_id: The assistant, for a thread on which nothing has run yet.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Returns:
        The state at the new head.

    Raises:
        InvalidArgumentError: The update does not fit the graph (`UnknownNodeError`,
            `AmbiguousNodeError`, `InvalidUpdateError`).
        NotFoundError: There is no such thread, checkpoint or assistant.
        FailedPreconditionError: The thread is busy, has moved on from
            `expected_checkpoint_id`, or its assistant does not fit.
    """
    request = pb.UpdateThreadStateRequest(
        thread_id=thread_id,
        values=encode_if_given(values, "values"),
        as_node=as_node,
        checkpoint_id=checkpoint_id,
        expected_checkpoint_id=expected_checkpoint_id,
        assistant_id=assistant_id,
        request_id=new_request_id(request_id),
    )
    return call(
        request,
        pb.UpdateThreadStateResponse,
        lambda r: convert.thread_state(r.state),
        timeout=timeout,
    )


def list_thread_history(
    thread_id: str,
    *,
    limit: int | None = None,
    page_size: int = 0,
    timeout: float | None = None,
) -> Call[Page[ThreadState]]:
    """Iterates over the states of a thread, newest first, page by page.

    Args:
        thread_id: The thread.
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
    """
    return pages(
        pb.ListThreadHistoryRequest(thread_id=thread_id),
        pb.ListThreadHistoryResponse,
        lambda page: map(convert.thread_state, page.states),
        limit=limit,
        page_size=page_size,
        timeout=timeout,
    )


def join_thread(
    thread_id: str,
    *,
    cursor: str = "",
    only_new: bool = False,
    timeout: float | None = None,
    rejoin_timeout: float | None = None,
) -> Follow[Event]:
    """Streams the events of all runs of a thread, in the order in which these began.

    Stays open across pauses and resumes, until you leave the loop or the thread is deleted.
    As a context manager it is open on entry. Rejoins by itself, as `runs.stream` does. The
    stream's `cursor` says where it stands after each event: another `join`, also of another
    process, goes on from there.

    Args:
        thread_id: The thread.
        cursor: Stream what comes after this cursor; empty: from the first event that is kept.
        only_new: Without a cursor: only what happens from now on.
        timeout: The limit for the whole stream in seconds; None: no limit.
        rejoin_timeout: For how many seconds without progress to try to rejoin; 0: do not
            rejoin; None: the client's default.

    Raises:
        ThreadNotFoundError: When iterating: there is no such thread, or it was deleted.
        CursorExpiredError: When iterating: what comes after the cursor was removed.
    """
    request = pb.JoinThreadRequest(thread_id=thread_id, cursor=cursor, only_new=only_new)
    return join_call(request, timeout=timeout, rejoin_timeout=rejoin_timeout)


def watch_threads(
    *,
    cursor: str = "",
    kinds: ThreadChangeKind | str | Iterable[ThreadChangeKind | str] = (),
    thread_ids: str | Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
    assistant_id: str = "",
    values: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    rejoin_timeout: float | None = None,
) -> Follow[ThreadChange]:
    """Streams what happens on threads: pauses, their answers, runs that begin and end.

    Stays open until you leave the loop. As a context manager it is open on entry: what happens
    inside is in it. Rejoins by itself, as `runs.stream` does. The stream's
    `cursor`, and that of each change, says where it stands: another `watch`, also of another
    process, goes on from there. All conditions must be true.

    Args:
        cursor: Stream what comes after this cursor; empty: what happens from now on.
        kinds: Only these kinds of changes; empty: all.
        thread_ids: Only these threads (an id, or ids); empty: all.
        metadata: Only threads whose metadata contains this object, as in `threads.list`.
        assistant_id: Only threads of this assistant; empty: any.
        values: Only threads whose state contains this object, as in `threads.list`.
        timeout: The limit for the whole stream in seconds; None: no limit.
        rejoin_timeout: For how many seconds without progress to try to rejoin; 0: do not
            rejoin; None: the client's default.

    Raises:
        CursorExpiredError: When iterating: what comes after the cursor is kept no more.
    """
    which = _filter((), metadata, assistant_id, values)
    which.thread_ids.extend([thread_ids] if isinstance(thread_ids, str) else thread_ids)
    request = pb.WatchThreadsRequest(
        cursor=cursor,
        filter=which,
        kinds=_enums.THREAD_CHANGE_KIND.write_all(kinds, "kinds"),
    )
    return watch_call(request, timeout=timeout, rejoin_timeout=rejoin_timeout)


def _filter(
    statuses: ThreadStatus | str | Iterable[ThreadStatus | str],
    metadata: Mapping[str, Any] | None,
    assistant_id: str,
    values: Mapping[str, Any] | None,
) -> pb.ThreadFilter:
    return pb.ThreadFilter(
        statuses=_enums.THREAD_STATUS.write_all(statuses, "filter.statuses"),
        metadata=encode_if_set(metadata, "filter.metadata"),
        assistant_id=assistant_id,
        values=encode_if_set(values, "filter.values"),
    )
