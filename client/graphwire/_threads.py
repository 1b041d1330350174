"""The operations of `client.threads`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from graphwire import _convert as convert
from graphwire import _enums
from graphwire._breakpoints import breakpoint_list, breakpoint_messages
from graphwire._calls import Call, Page, call, new_request_id, pages
from graphwire._durations import duration_if_set
from graphwire._following import Follow, join_call, watch_call
from graphwire._payload import encode, encode_if_given, encode_if_set
from graphwire._start import goto_messages
from graphwire.breakpoints import Breakpoint
from graphwire.enums import (
    BreakpointSource,
    IfExists,
    PruneStrategy,
    SortDirection,
    ThreadChangeKind,
    ThreadOrder,
    ThreadStatus,
)
from graphwire.events import Event
from graphwire.start import NOT_GIVEN, StateUpdate
from graphwire.v1 import threads_pb2 as pb
from graphwire.values import Thread, ThreadChange, ThreadState, ThreadStorage


def create_thread(
    thread_id: str = "",
    *,
    metadata: Mapping[str, Any] | None = None,
    ttl: float | timedelta | None = None,
    assistant_id: str = "",
    supersteps: Iterable[StateUpdate | Iterable[StateUpdate]] = (),
    breakpoints: Breakpoint | str | Iterable[Breakpoint | str] = (),
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
        assistant_id: The assistant of its state. Required with `supersteps` and `breakpoints`;
            otherwise the first run chooses.
        supersteps: A state to begin with: steps as if nodes had run, one after the other, each
            a `StateUpdate`, or several as if nodes had run in parallel. Nothing is executed;
            with an error in one of them no thread is made.
        breakpoints: Breakpoints for all of its runs; a plain name is one before that node.
        if_exists: What to do if the id is taken: REJECT (the default) or RETURN, which
            returns that thread as it is.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadExistsError: The id is taken.
        AssistantNotFoundError: There is no such assistant.
        InvalidArgumentError: The id, the metadata, a step or a breakpoint is not right: its
            `field` says which.
    """
    request = pb.CreateThreadRequest(
        thread_id=thread_id,
        metadata=encode_if_set(metadata, "metadata"),
        ttl=duration_if_set(ttl),
        assistant_id=assistant_id,
        supersteps=[_superstep(step, f"supersteps[{i}]") for i, step in enumerate(supersteps)],
        breakpoints=breakpoint_messages(breakpoints, "breakpoints", own=BreakpointSource.THREAD),
        if_exists=_enums.IF_EXISTS.write_if_set(if_exists, "if_exists"),
        request_id=new_request_id(request_id),
    )
    return call(
        request, pb.CreateThreadResponse, lambda r: convert.thread(r.thread), timeout=timeout
    )


def get_thread(
    thread_id: str, *, read_mask: str | Iterable[str] = (), timeout: float | None = None
) -> Call[Thread]:
    """Returns a thread, with its open pauses.

    Args:
        thread_id: The thread.
        read_mask: The fields to return; the others are left empty. Empty: all but `values`.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is none.
        InvalidFieldError: A thread has no such field.
    """
    request = pb.GetThreadRequest(thread_id=thread_id, read_mask=_mask(read_mask))
    return call(request, pb.GetThreadResponse, lambda r: convert.thread(r.thread), timeout=timeout)


def list_threads(
    *,
    statuses: ThreadStatus | str | Iterable[ThreadStatus | str] = (),
    metadata: Mapping[str, Any] | None = None,
    assistant_id: str = "",
    values: Mapping[str, Any] | None = None,
    thread_ids: str | Iterable[str] = (),
    order_by: ThreadOrder | str | None = None,
    direction: SortDirection | str | None = None,
    read_mask: str | Iterable[str] = (),
    extract: Mapping[str, str] | None = None,
    limit: int | None = None,
    page_size: int = 0,
    timeout: float | None = None,
) -> Call[Page[Thread]]:
    """Iterates over threads, page by page. All conditions must be true.

    Args:
        statuses: Only threads with one of these statuses; empty: any.
        metadata: Only threads whose metadata contains this object: each of its keys
            with an equal value, objects in it likewise.
        assistant_id: Only threads of this assistant; empty: any.
        values: Only threads whose state contains this object, as for `metadata`.
        thread_ids: Only threads with one of these ids, at most 1000; empty: any.
        order_by: What they are sorted by: CREATE_TIME (the default), UPDATE_TIME,
            STATE_UPDATE_TIME, THREAD_ID or STATUS.
        direction: DESCENDING (the default), the newest first, or ASCENDING.
        read_mask: The fields to return; the others are left empty. Empty: all but `values`.
        extract: Parts of the state to return in `extracted`, each under a name: a path such as
            "messages[-1].content". At most 10.
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.
    """
    return pages(
        pb.ListThreadsRequest(
            filter=_filter(statuses, metadata, assistant_id, values, thread_ids),
            order_by=_enums.THREAD_ORDER.write_if_set(order_by, "order_by"),
            direction=_enums.SORT_DIRECTION.write_if_set(direction, "direction"),
            read_mask=_mask(read_mask),
            extract=extract or {},
        ),
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
    thread_ids: str | Iterable[str] = (),
    timeout: float | None = None,
) -> Call[int]:
    """Returns how many threads `threads.list` would list with the same conditions.

    Args:
        statuses: As for `threads.list`.
        metadata: As for `threads.list`.
        assistant_id: As for `threads.list`.
        values: As for `threads.list`.
        thread_ids: As for `threads.list`.
        timeout: The limit in seconds; None: the client's default.
    """
    which = _filter(statuses, metadata, assistant_id, values, thread_ids)
    request = pb.CountThreadsRequest(filter=which)
    return call(request, pb.CountThreadsResponse, lambda r: r.count, timeout=timeout)


def update_thread(
    thread_id: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    ttl: float | timedelta | None = None,
    breakpoints: Breakpoint | str | Iterable[Breakpoint | str] | None = None,
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[Thread]:
    """Changes a thread's metadata, its breakpoints, or how long it is kept; returns the thread.

    Args:
        thread_id: The thread.
        metadata: Merged into what there is (JSON merge patch): keys given are set, keys
            given as None are removed, the others stay. None: they all stay.
        ttl: How long to keep it from now on, as in `threads.create`; None: as before.
        breakpoints: The breakpoints for all of its runs, in place of those it has, from the
            next run on; a plain name is one before that node. Empty: none; None: as before.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
        MissingFieldError: None of them is given.
        InvalidArgumentError: A breakpoint is not right, or does not fit the thread's graph.
    """
    request = pb.UpdateThreadRequest(
        thread_id=thread_id,
        metadata=encode_if_set(metadata, "metadata"),
        ttl=duration_if_set(ttl),
        breakpoints=breakpoint_list(breakpoints, "breakpoints", own=BreakpointSource.THREAD),
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


def copy_thread(
    thread_id: str,
    new_thread_id: str = "",
    *,
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[Thread]:
    """Copies a thread: its state with its whole history, metadata, breakpoints and pauses.

    Its pauses wait in the copy as they do in the original, with ids of their own. Its runs stay
    behind.

    Args:
        thread_id: The thread.
        new_thread_id: The id of the copy; empty: the server chooses a UUID.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Returns:
        The copy.

    Raises:
        ThreadNotFoundError: There is no such thread.
        ThreadExistsError: The id of the copy is taken.
        ThreadBusyError: The thread has a run that is queued or running.
    """
    request = pb.CopyThreadRequest(
        thread_id=thread_id, new_thread_id=new_thread_id, request_id=new_request_id(request_id)
    )
    return call(request, pb.CopyThreadResponse, lambda r: convert.thread(r.thread), timeout=timeout)


def prune_threads(
    thread_ids: str | Iterable[str],
    strategy: PruneStrategy | str,
    *,
    timeout: float | None = None,
) -> Call[int]:
    """Deletes threads, or what they keep of their history; returns how many were pruned.

    Those that have a run which is queued or running are left as they are.

    Args:
        thread_ids: The threads: a thread, or several, at most 1000.
        strategy: DELETE, or KEEP_LATEST: all checkpoints but those at which they stand.
        timeout: The limit in seconds; None: the client's default.
    """
    request = pb.PruneThreadsRequest(
        thread_ids=_several(thread_ids),
        strategy=_enums.PRUNE_STRATEGY.write(strategy, "strategy"),
    )
    return call(
        request,
        pb.PruneThreadsResponse,
        lambda r: r.pruned_count,
        repeatable=False,
        timeout=timeout,
    )


def get_thread_storage(thread_id: str, *, timeout: float | None = None) -> Call[ThreadStorage]:
    """Returns how much a thread keeps in the database.

    Args:
        thread_id: The thread.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
    """
    request = pb.GetThreadStorageRequest(thread_id=thread_id)
    return call(request, pb.GetThreadStorageResponse, convert.thread_storage, timeout=timeout)


def get_thread_state(
    thread_id: str,
    *,
    checkpoint_id: str = "",
    subgraphs: bool = False,
    namespace: Sequence[str] = (),
    timeout: float | None = None,
) -> Call[ThreadState]:
    """Returns a thread's state at its head or at any checkpoint.

    Args:
        thread_id: The thread.
        checkpoint_id: The checkpoint; empty: the head.
        subgraphs: Also return the states of subgraphs, in their tasks.
        namespace: The state of a subgraph: its namespace, as events and pauses have it. The
            checkpoint is one of that subgraph then.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
        CheckpointNotFoundError: The thread has no such checkpoint.
    """
    request = pb.GetThreadStateRequest(
        thread_id=thread_id,
        checkpoint_id=checkpoint_id,
        subgraphs=subgraphs,
        namespace=namespace,
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
    namespace: Sequence[str] = (),
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[ThreadState]:
    """Edits a thread's state as if a node had returned `values`; nothing is executed.

    Open pauses are superseded; where the new head stands before a breakpoint again, the
    thread is paused there with a new pause id.

    Args:
        thread_id: The thread.
        values: What the node is taken to have returned: mostly a dict with the channels
            to change, which go through their reducers. None, or left out, with a node as
            `as_node`: it has written nothing.
        as_node: The node that is taken to have returned them. What comes next is what follows
            it; what waits in other branches does not wait any more. `"__input__"` takes them
            as the start of a run does, `"__end__"` drops what waits. Empty: the node that ran
            last.
        checkpoint_id: The checkpoint to start from, which makes a fork; empty: the head.
        expected_checkpoint_id: Compare and set: refuse unless the thread's head is this
            checkpoint. Empty: do not check.
        assistant_id: The assistant, for a thread on which nothing has run yet.
        namespace: A subgraph in which the thread stands, to edit its state: its namespace, as
            events and pauses have it. Node and checkpoint are of it then.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Returns:
        The state at the new head; with `namespace`, of the subgraph.

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
        namespace=namespace,
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
    before_checkpoint_id: str = "",
    metadata: Mapping[str, Any] | None = None,
    namespace: Sequence[str] = (),
    limit: int | None = None,
    page_size: int = 0,
    timeout: float | None = None,
) -> Call[Page[ThreadState]]:
    """Iterates over the states of a thread, newest first, page by page.

    Args:
        thread_id: The thread.
        before_checkpoint_id: Only those before this checkpoint; empty: from the head.
        metadata: Only those whose metadata contains this object, such as {"source": "update"}.
        namespace: Those of a subgraph: its namespace, as events and pauses have it.
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
        CheckpointNotFoundError: It has none before which to begin, or none of that subgraph.
    """
    return pages(
        pb.ListThreadHistoryRequest(
            thread_id=thread_id,
            before_checkpoint_id=before_checkpoint_id,
            metadata=encode_if_set(metadata, "metadata"),
            namespace=namespace,
        ),
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
        metadata: Only threads whose metadata contains this object, as in `threads.list`. Of
            PAUSES_DELETED only thread_ids are looked at.
        assistant_id: Only threads of this assistant; empty: any.
        values: Only threads whose state contains this object, as in `threads.list`.
        timeout: The limit for the whole stream in seconds; None: no limit.
        rejoin_timeout: For how many seconds without progress to try to rejoin; 0: do not
            rejoin; None: the client's default.

    Raises:
        CursorExpiredError: When iterating: what comes after the cursor is kept no more.
    """
    which = _filter((), metadata, assistant_id, values, thread_ids)
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
    thread_ids: str | Iterable[str],
) -> pb.ThreadFilter:
    return pb.ThreadFilter(
        statuses=_enums.THREAD_STATUS.write_all(statuses, "filter.statuses"),
        metadata=encode_if_set(metadata, "filter.metadata"),
        assistant_id=assistant_id,
        values=encode_if_set(values, "filter.values"),
        thread_ids=_several(thread_ids),
    )


def _several(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _mask(names: str | Iterable[str]) -> FieldMask | None:
    paths = _several(names)
    return FieldMask(paths=paths) if paths else None


def _superstep(step: StateUpdate | Iterable[StateUpdate], field: str) -> pb.Superstep:
    updates: Iterable[object] = [step] if isinstance(step, StateUpdate | Mapping) else step
    return pb.Superstep(
        updates=[_update(each, f"{field}.updates[{i}]") for i, each in enumerate(updates)]
    )


def _update(update: object, field: str) -> pb.StateUpdate:
    if not isinstance(update, StateUpdate):
        raise TypeError(f"{field} is {update!r}: it must be a StateUpdate(as_node, values)")
    message = pb.StateUpdate(as_node=update.as_node)
    command = update.command
    if command is not None:
        message.command.CopyFrom(
            pb.NodeCommand(
                update=encode_if_given(command.update, f"{field}.command.update"),
                goto=goto_messages(command, f"{field}.command.goto"),
            )
        )
    if command is None or update.values is not None:
        message.values.CopyFrom(encode(update.values, f"{field}.values"))
    return message
