"""The operations of `client.runs`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Unpack

from graphwire import _convert as convert
from graphwire import _enums as enums
from graphwire._breakpoints import breakpoint_messages, read_breakpoint
from graphwire._calls import Call, Page, Stream, call, method_of, new_request_id, pages
from graphwire._start import start_request, start_requests
from graphwire.breakpoints import Breakpoint
from graphwire.enums import CancelAction, OnDisconnect, RunStatus
from graphwire.start import NOT_GIVEN, Command, NewRun, Resume, RunOptions
from graphwire.v1 import runs_pb2 as pb
from graphwire.values import Run, RunResult


def stream_run(
    thread_id: str | None,
    assistant_id: str = "",
    *,
    input: Any = NOT_GIVEN,
    resume: Resume | bool | None = None,
    command: Command | None = None,
    on_disconnect: OnDisconnect | str | None = None,
    timeout: float | None = None,
    rejoin_timeout: float | None = None,
    **options: Unpack[RunOptions],
) -> Stream:
    """Starts a run and streams its events, to the end; iterate over what it returns.

    Nothing is sent before the first event is asked for. When the connection is lost the
    stream rejoins by itself: each event comes exactly once. The run belongs to the
    server: leaving the loop, or a timeout, ends the stream and not the run.

    Args:
        thread_id: The thread to run on; None: a stateless run, on a thread of its own.
        assistant_id: The assistant. Required for `input` and for a stateless run;
            otherwise empty means the thread's.
        input: New input, as the graph takes it.
        resume: Goes on from where the thread is paused; True is short for `Resume()`.
        command: Updates the state, goes to nodes, answers.
        on_disconnect: What happens to the run when this stream ends before it: CONTINUE
            (the default) or CANCEL.
        timeout: The limit for the whole stream in seconds; None: no limit.
        rejoin_timeout: For how many seconds without progress to try to rejoin; 0: do not
            rejoin; None: the client's default.
        **options: See `graphwire.RunOptions`.

    Raises:
        TypeError: Not exactly one of `input`, `resume` and `command` is given.
        GraphwireError: When iterating: the server refused the run, or the stream was lost
            for good. Once the run is known, `metadata` of the error has its `run_id` and
            the `last_sequence` seen. A run that fails is an `End` event and no error.
    """
    request = start_request(
        pb.StreamRunRequest,
        thread_id,
        assistant_id,
        input=input,
        resume=resume,
        command=command,
        options=options,
    )
    if on_disconnect is not None:
        request.on_disconnect = enums.ON_DISCONNECT.write(on_disconnect, "on_disconnect")
    return Stream(
        method=method_of(request, pb.StreamRunResponse),
        request=request,
        run_id="",
        after_sequence=0,
        timeout=timeout,
        rejoin_timeout=rejoin_timeout,
    )


def join_run(
    run_id: str,
    *,
    after_sequence: int = 0,
    on_disconnect: OnDisconnect | str | None = None,
    timeout: float | None = None,
    rejoin_timeout: float | None = None,
) -> Stream:
    """Streams the events of a run, those recorded and those to come, to its end.

    Works the same when the run is over; after its last event there is nothing. Rejoins by
    itself, as `runs.stream` does.

    Args:
        run_id: The run.
        after_sequence: Stream the events after this one; 0: all.
        on_disconnect: What happens to the run when this stream ends before it: CONTINUE
            (the default) or CANCEL.
        timeout: The limit for the whole stream in seconds; None: no limit.
        rejoin_timeout: For how many seconds without progress to try to rejoin; 0: do not
            rejoin; None: the client's default.

    Raises:
        RunNotFoundError: When iterating: there is no such run.
        SequenceOutOfRangeError: When iterating: the run has no such event yet, or the server
            has removed what comes after it.
    """
    request = pb.JoinRunRequest(
        run_id=run_id,
        after_sequence=after_sequence,
        on_disconnect=enums.ON_DISCONNECT.write_if_set(on_disconnect, "on_disconnect"),
    )
    return Stream(
        method=method_of(request, pb.JoinRunResponse),
        request=request,
        run_id=run_id,
        after_sequence=after_sequence,
        timeout=timeout,
        rejoin_timeout=rejoin_timeout,
    )


def create_run(
    thread_id: str | None,
    assistant_id: str = "",
    *,
    input: Any = NOT_GIVEN,
    resume: Resume | bool | None = None,
    command: Command | None = None,
    timeout: float | None = None,
    **options: Unpack[RunOptions],
) -> Call[Run]:
    """Starts a run in the background and returns it at once.

    Args:
        thread_id: The thread to run on; None: a stateless run, on a thread of its own.
        assistant_id: The assistant. Required for `input` and for a stateless run;
            otherwise empty means the thread's.
        input: New input, as the graph takes it.
        resume: Goes on from where the thread is paused; True is short for `Resume()`.
        command: Updates the state, goes to nodes, answers.
        timeout: The limit in seconds; None: the client's default.
        **options: See `graphwire.RunOptions`.

    Raises:
        TypeError: Not exactly one of `input`, `resume` and `command` is given.
        GraphwireError: The server refused the run; nothing was started.
    """
    request = start_request(
        pb.CreateRunRequest,
        thread_id,
        assistant_id,
        input=input,
        resume=resume,
        command=command,
        options=options,
    )
    return call(request, pb.CreateRunResponse, lambda r: convert.run(r.run), timeout=timeout)


def create_runs(
    requests: Iterable[NewRun],
    *,
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[list[Run]]:
    """Starts several runs in the background, all or none, and returns them in their order.

    Args:
        requests: What to run, at most 100; each as for `create`.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        TypeError: Not exactly one of `input`, `resume` and `command` is given in one of them.
        GraphwireError: The server refused one of them, of which the error's `metadata` has the
            place as `request_index`; nothing was started.
    """
    request = pb.CreateRunsRequest(
        requests=start_requests(requests), request_id=new_request_id(request_id)
    )
    return call(
        request, pb.CreateRunsResponse, lambda r: list(map(convert.run, r.runs)), timeout=timeout
    )


def run_to_end(
    thread_id: str | None,
    assistant_id: str = "",
    *,
    input: Any = NOT_GIVEN,
    resume: Resume | bool | None = None,
    command: Command | None = None,
    raise_error: bool = False,
    on_disconnect: OnDisconnect | str | None = None,
    timeout: float | None = None,
    **options: Unpack[RunOptions],
) -> Call[Call[RunResult]]:
    """Starts a run, waits until it has ended, and returns it with the thread's state.

    Args:
        thread_id: The thread to run on; None: a stateless run, on a thread of its own.
        assistant_id: The assistant. Required for `input` and for a stateless run;
            otherwise empty means the thread's.
        input: New input, as the graph takes it.
        resume: Goes on from where the thread is paused; True is short for `Resume()`.
        command: Updates the state, goes to nodes, answers.
        raise_error: Raise `RunFailedError` if the run FAILED, was CANCELLED or TIMED_OUT.
        on_disconnect: As for `wait`. It holds from when the server has answered that the run
            is recorded; whoever goes away before that leaves a run that goes on.
        timeout: The limit in seconds, after which the run goes on, unless `on_disconnect` is
            CANCEL; None: no limit.
        **options: See `graphwire.RunOptions`.

    Raises:
        TypeError: Not exactly one of `input`, `resume` and `command` is given.
        GraphwireError: The server refused the run, or the connection was lost for good.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    # What can't be sent is to be told before there is a run.
    enums.ON_DISCONNECT.write_if_set(on_disconnect, "on_disconnect")

    def wait(created: Run) -> Call[RunResult]:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return wait_run(
            created.run_id, raise_error=raise_error, on_disconnect=on_disconnect, timeout=left
        )

    created = create_run(
        thread_id,
        assistant_id,
        input=input,
        resume=resume,
        command=command,
        timeout=timeout,
        **options,
    )
    return created.then(wait)


def wait_run(
    run_id: str,
    *,
    raise_error: bool = False,
    on_disconnect: OnDisconnect | str | None = None,
    timeout: float | None = None,
) -> Call[RunResult]:
    """Waits until a run has ended, and returns it with the thread's state.

    Args:
        run_id: The run.
        raise_error: Raise `RunFailedError` if the run FAILED, was CANCELLED or TIMED_OUT.
        on_disconnect: What happens to the run when this call ends before it, by a timeout or
            because whoever waits goes away: CONTINUE (the default) or CANCEL. A connection
            that is lost ends the call for the server, also where the client waits again.
        timeout: The limit in seconds, after which the run goes on, unless `on_disconnect` is
            CANCEL; None: no limit.

    Raises:
        RunNotFoundError: There is no such run.
        RunFailedError: With `raise_error`.
    """

    def read(response: pb.WaitRunResponse) -> RunResult:
        result = convert.run_result(response)
        if raise_error:
            result.raise_for_status()
        return result

    request = pb.WaitRunRequest(
        run_id=run_id,
        on_disconnect=enums.ON_DISCONNECT.write_if_set(on_disconnect, "on_disconnect"),
    )
    return call(request, pb.WaitRunResponse, read, timeout=timeout, waits=True)


def get_run(run_id: str, *, timeout: float | None = None) -> Call[Run]:
    """Returns a run.

    Args:
        run_id: The run.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        RunNotFoundError: There is none.
    """
    request = pb.GetRunRequest(run_id=run_id)
    return call(request, pb.GetRunResponse, lambda r: convert.run(r.run), timeout=timeout)


def list_runs(
    thread_id: str,
    *,
    statuses: RunStatus | str | Iterable[RunStatus | str] = (),
    limit: int | None = None,
    page_size: int = 0,
    timeout: float | None = None,
) -> Call[Page[Run]]:
    """Iterates over the runs of a thread, newest first, page by page.

    Args:
        thread_id: The thread.
        statuses: Only runs with one of these statuses; empty: any.
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.

    Raises:
        ThreadNotFoundError: There is no such thread.
    """
    return pages(
        pb.ListRunsRequest(
            thread_id=thread_id, statuses=enums.RUN_STATUS.write_all(statuses, "statuses")
        ),
        pb.ListRunsResponse,
        lambda page: map(convert.run, page.runs),
        limit=limit,
        page_size=page_size,
        timeout=timeout,
    )


def cancel_run(
    run_id: str,
    *,
    action: CancelAction | str | None = None,
    wait: bool = False,
    abandon: bool = False,
    timeout: float | None = None,
) -> Call[Run]:
    """Asks to cancel an active run, and returns it.

    Returns as soon as that is recorded: the run is CANCELLED when its nodes have stopped. A run
    at which its thread is paused stays INTERRUPTED: its pauses are given up.

    Args:
        run_id: The run.
        action: KEEP (the default) what its finished steps have led to, or ROLLBACK: put the
            thread back to where it stood before the run.
        wait: Return only when the run has ended.
        abandon: Do not wait for nodes that run in operating system threads and can't be
            stopped: the run is CANCELLED at once.
        timeout: The limit in seconds, after which what was asked for still holds; None: the
            client's default, and with `wait` no limit.

    Raises:
        RunNotFoundError: There is no such run.
        RunEndedError: It has ended already, and its thread is not paused at it.
    """
    request = pb.CancelRunRequest(
        run_id=run_id,
        action=enums.CANCEL_ACTION.write_if_set(action, "action"),
        wait=wait,
        abandon=abandon,
    )
    return call(
        request,
        pb.CancelRunResponse,
        lambda r: convert.run(r.run),
        repeatable=False,
        timeout=timeout,
        waits=wait,
    )


def cancel_runs(
    run_ids: str | Iterable[str] = (),
    *,
    thread_id: str | None = None,
    statuses: RunStatus | str | Iterable[RunStatus | str] = (),
    action: CancelAction | str | None = None,
    abandon: bool = False,
    timeout: float | None = None,
) -> Call[list[Run]]:
    """Asks to cancel several runs, and returns those of them that were active.

    Args:
        run_ids: The runs, at most 1000; those that have ended are left as they are.
        thread_id: Instead: those of this thread; None: of all threads.
        statuses: Instead, and required then: PENDING, RUNNING or both.
        action: As for `cancel`.
        abandon: As for `cancel`.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        RunNotFoundError: One that is named is not there; then none is cancelled.
        ThreadNotFoundError: There is no such thread.
    """
    request = pb.CancelRunsRequest(
        run_ids=[run_ids] if isinstance(run_ids, str) else run_ids,
        thread_id=thread_id or "",
        statuses=enums.RUN_STATUS.write_all(statuses, "statuses"),
        action=enums.CANCEL_ACTION.write_if_set(action, "action"),
        abandon=abandon,
    )
    return call(
        request,
        pb.CancelRunsResponse,
        lambda r: list(map(convert.run, r.runs)),
        repeatable=False,
        timeout=timeout,
    )


def pause_run(run_id: str, *, timeout: float | None = None) -> Call[Run]:
    """Has an active run pause before whatever comes next, and returns it.

    Returns as soon as that is recorded: what is at work ends first. If nothing comes next, the
    run ends as it would have.

    Args:
        run_id: The run.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        RunNotFoundError: There is no such run.
        RunEndedError: It has ended already.
    """
    request = pb.PauseRunRequest(run_id=run_id)
    return call(
        request,
        pb.PauseRunResponse,
        lambda r: convert.run(r.run),
        repeatable=False,
        timeout=timeout,
    )


def list_run_breakpoints(run_id: str, *, timeout: float | None = None) -> Call[list[Breakpoint]]:
    """Returns all breakpoints in force for a run, those compiled into its graph included.

    Args:
        run_id: The run.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        RunNotFoundError: There is no such run.
    """
    request = pb.ListRunBreakpointsRequest(run_id=run_id)
    return call(
        request,
        pb.ListRunBreakpointsResponse,
        lambda r: [read_breakpoint(each) for each in r.breakpoints],
        timeout=timeout,
    )


def add_run_breakpoints(
    run_id: str,
    breakpoints: Breakpoint | str | Iterable[Breakpoint | str],
    *,
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[list[Breakpoint]]:
    """Adds breakpoints to a run that is active, or at which its thread is paused.

    They are in force when this returns: no node begins past them then.

    Args:
        run_id: The run.
        breakpoints: A breakpoint, or several; a plain name is one before that node.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Returns:
        Those that were added, with the ids that the server chose.

    Raises:
        RunNotFoundError: There is no such run.
        RunEndedError: Nothing goes on from it any more.
        UnknownNodeError: The graph has no such node.
        InvalidConditionError: A condition can't be used.
        BreakpointExistsError: The run has one with that id.
        UnsupportedBreakpointError: A pause there could never be resumed.
    """
    request = pb.AddRunBreakpointsRequest(
        run_id=run_id,
        breakpoints=breakpoint_messages(breakpoints, "breakpoints"),
        request_id=new_request_id(request_id),
    )
    return call(
        request,
        pb.AddRunBreakpointsResponse,
        lambda r: [read_breakpoint(each) for each in r.breakpoints],
        timeout=timeout,
    )


def remove_run_breakpoints(
    run_id: str, breakpoint_ids: str | Iterable[str], *, timeout: float | None = None
) -> Call[list[Breakpoint]]:
    """Removes breakpoints that were given to a run or added to it; returns those that are left.

    Args:
        run_id: The run.
        breakpoint_ids: An id, or several: all are removed, or none.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        RunNotFoundError: There is no such run.
        RunEndedError: Nothing goes on from it any more.
        BreakpointNotFoundError: It has no such breakpoint of its own.
    """
    ids = [breakpoint_ids] if isinstance(breakpoint_ids, str) else list(breakpoint_ids)
    request = pb.RemoveRunBreakpointsRequest(run_id=run_id, breakpoint_ids=ids)
    return call(
        request,
        pb.RemoveRunBreakpointsResponse,
        lambda r: [read_breakpoint(each) for each in r.breakpoints],
        repeatable=False,
        timeout=timeout,
    )


def delete_run(run_id: str, *, timeout: float | None = None) -> Call[None]:
    """Deletes a run that has ended, with its events. The thread's state stays.

    Args:
        run_id: The run.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        RunNotFoundError: There is no such run.
        RunActiveError: It has not ended.
    """
    request = pb.DeleteRunRequest(run_id=run_id)
    return call(request, pb.DeleteRunResponse, lambda _: None, repeatable=False, timeout=timeout)
