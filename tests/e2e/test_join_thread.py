"""Joining threads: the events of all their runs, in order, from any place, on any connection."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from graphwire.v1 import (
    run_event_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.cli.command import call
from tests.e2e.drive import (
    DEADLINE,
    delete_thread,
    join,
    new_thread,
    payload,
    refused,
    stream,
)
from tests.e2e.driven import INPUT, DrivenThread
from tests.e2e.following import Joined, ends_with
from tests.e2e.gates import Gate
from tests.servers import ServerProcess

Event = run_event_pb2.RunEvent
ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE
MODES = [
    run_pb2.STREAM_MODE_UPDATES,
    run_pb2.STREAM_MODE_TASKS,
    run_pb2.STREAM_MODE_CHECKPOINTS,
    run_pb2.STREAM_MODE_VALUES,
]


def played(thread: DrivenThread) -> list[Event]:
    """Runs on a thread across pauses and resumes, and returns all events, in order."""
    first = thread.start("linear", interrupt_before=["b", "c"], stream_modes=MODES)
    more = [thread.resume(), thread.resume(), thread.start("linear", clear_breakpoints=True)]
    return [event for events in (first, *more) for event in events]


def test_a_thread_is_joined_from_its_first_event_across_pauses_and_resumes(
    thread: DrivenThread,
) -> None:
    events = played(thread)
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        assert joined.events(len(events)) == events
        # It stays open: what comes next is the next run's.
        following = thread.start("linear", clear_breakpoints=True)
        assert joined.to_end(following[0].run_id) == following


def test_who_goes_on_from_the_cursor_of_any_event_gets_exactly_the_rest(
    thread: DrivenThread,
) -> None:
    events = played(thread)
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        cursors = [joined.cursor]
        for event in events:
            assert joined.event() == event
            cursors.append(joined.cursor)
    assert len(set(cursors)) == len(cursors)
    for place, cursor in enumerate(cursors):
        with Joined(thread.threads_stub, thread.thread_id, cursor=cursor) as again:
            assert again.cursor == cursor
            assert again.events(len(events) - place) == events[place:]
            assert again.cursor == cursors[-1]


def test_events_come_as_they_are_made_also_when_the_thread_had_no_run_yet(
    thread: DrivenThread, gate: Gate
) -> None:
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        run_id = thread.create(assistant_id="gated", input=gate.input, stream_modes=MODES)
        gate.wait_begun()
        begun = joined.events(2)
        assert begun[0].WhichOneof("event") == "metadata"
        gate.open()
        rest = joined.to_end(run_id)
    assert [*begun, *rest] == join(thread.runs_stub, run_id)


def test_only_new_leaves_out_what_was_there(thread: DrivenThread, gate: Gate) -> None:
    thread.start("linear")
    with Joined(thread.threads_stub, thread.thread_id, only_new=True) as joined:
        cursor = joined.cursor
        following = thread.start("linear")
        assert joined.events(len(following)) == following
    with Joined(thread.threads_stub, thread.thread_id, cursor=cursor) as again:
        assert again.events(len(following)) == following


def test_only_new_goes_on_in_the_middle_of_a_run(thread: DrivenThread, gate: Gate) -> None:
    run_id = thread.create(assistant_id="gated", input=gate.input, stream_modes=MODES)
    gate.wait_begun()
    with Joined(thread.threads_stub, thread.thread_id) as whole:
        seen = whole.events(2)
        with Joined(thread.threads_stub, thread.thread_id, only_new=True) as joined:
            gate.open()
            rest = joined.to_end(run_id)
        events = [*seen, *whole.to_end(run_id)]
    assert 0 < len(rest) < len(events)
    assert rest == events[-len(rest) :]


def test_runs_come_in_the_order_in_which_they_began_and_not_in_that_of_acceptance(
    thread: DrivenThread, gate: Gate
) -> None:
    """A resume starts ahead of what is queued behind the pause."""
    inner = [Gate(Path(f"{gate.path} {number}")) for number in range(3)]
    first = thread.create(assistant_id="ask_at_gates", input=gate.input)
    inner[0].wait_begun()
    queued = thread.create(
        assistant_id="ask_at_gates", input=gate.input, multitask_strategy=ENQUEUE
    )
    for each in inner:
        each.open()
    thread.wait(first)
    resumed = [thread.resume(answer=answer)[0].run_id for answer in ("yes", "no")]
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        events = joined.to_end(queued)
    assert list(dict.fromkeys(event.run_id for event in events)) == [first, *resumed, queued]


def test_a_run_that_was_cancelled_while_it_waited_comes_where_it_ended(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    queued = [
        thread.create(assistant_id="gated", input=gate.input, multitask_strategy=ENQUEUE)
        for _ in range(2)
    ]
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        thread.cancel(queued[1])
        gate.open()
        events = joined.to_end(queued[0])
    order = list(dict.fromkeys(event.run_id for event in events))
    assert order == [first, queued[1], queued[0]]
    cancelled = [event for event in events if event.run_id == queued[1]]
    assert [event.WhichOneof("event") for event in cancelled] == ["metadata", "end"]
    # And each run's events are whole.
    for run_id in order:
        assert [e for e in events if e.run_id == run_id] == join(thread.runs_stub, run_id)


def test_many_who_join_at_once_all_see_the_same(thread: DrivenThread) -> None:
    def follow(_: int) -> list[Event]:
        with Joined(thread.threads_stub, thread.thread_id) as joined:
            events: list[Event] = []
            while len([event for event in events if event.HasField("end")]) < 4:
                events.append(joined.event())
            return events

    with ThreadPoolExecutor(8) as pool:
        following = [pool.submit(follow, n) for n in range(8)]
        events = played(thread)
        assert [one.result(DEADLINE) for one in following] == [events] * 8


def test_deleting_the_thread_ends_the_stream(thread: DrivenThread) -> None:
    events = thread.start("linear")
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        joined.events(len(events))
        delete_thread(thread.threads_stub, thread.thread_id)
        ends_with(joined, "NOT_FOUND", "THREAD_NOT_FOUND")
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        Joined(thread.threads_stub, thread.thread_id)


def test_a_cursor_is_of_its_thread_alone(thread: DrivenThread) -> None:
    events = thread.start("linear")
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        joined.events(len(events))
        cursor = joined.cursor
    other = DrivenThread(thread.runs_stub, thread.threads_stub)
    other.start("linear")
    with refused("OUT_OF_RANGE", "CURSOR_EXPIRED", "cursor"):
        Joined(thread.threads_stub, other.thread_id, cursor=cursor)
    # The id is used again, for another thread.
    delete_thread(thread.threads_stub, thread.thread_id)
    new_thread(thread.threads_stub, thread_id=thread.thread_id)
    thread.start("linear")
    with refused("OUT_OF_RANGE", "CURSOR_EXPIRED", "cursor"):
        Joined(thread.threads_stub, thread.thread_id, cursor=cursor)


def test_runs_that_were_deleted_are_left_out_and_their_places_stay_taken(
    thread: DrivenThread,
) -> None:
    runs = [thread.start("linear") for _ in range(3)]
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        joined.events(sum(map(len, runs)))
        end = joined.cursor
    delete = thread.runs_stub.DeleteRun
    for events in runs[1:]:
        delete(runs_pb2.DeleteRunRequest(run_id=events[0].run_id), timeout=DEADLINE)
    following = thread.start("linear")
    with Joined(thread.threads_stub, thread.thread_id) as joined:
        assert joined.to_end(following[0].run_id) == [*runs[0], *following]
    with Joined(thread.threads_stub, thread.thread_id, cursor=end) as joined:
        assert joined.to_end(following[0].run_id) == following


def test_stateless_runs_have_threads_to_join(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(runs, assistant_id="linear", input=payload(INPUT))
    with Joined(threads, events[0].metadata.thread_id) as joined:
        assert joined.events(len(events)) == events


def test_payloads_come_in_the_form_that_is_asked_for(thread: DrivenThread) -> None:
    events = thread.start("linear")
    request = threads_pb2.JoinThreadRequest(thread_id=thread.thread_id)
    call = thread.threads_stub.JoinThread(
        request, timeout=DEADLINE, metadata=(("graphwire-payload", "value"),)
    )
    responses = [next(call) for _ in range(len(events) + 1)]
    call.cancel()
    updates = [r.event.updates for r in responses if r.event.HasField("updates")]
    assert [update.update.WhichOneof("form") for update in updates] == ["value"] * 3
    assert all(response.cursor for response in responses)


# --- servers of the tests' own ---


@pytest.fixture
def own(
    own_server: Callable[..., ServerProcess],
) -> Iterator[tuple[ServerProcess, runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub]]:
    process = own_server(env={"GRAPHWIRE_HEARTBEAT_SECONDS": "0.3"})
    with grpc.insecure_channel(process.address) as channel:
        yield (
            process,
            runs_pb2_grpc.RunsStub(channel),
            threads_pb2_grpc.ThreadsStub(channel),
        )


Own = tuple[ServerProcess, runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub]


def test_a_quiet_stream_beats_between_runs_and_within_them(own: Own, gate: Gate) -> None:
    _, runs, threads = own
    thread = DrivenThread(runs, threads)
    with Joined(threads, thread.thread_id) as joined:
        for _ in range(2):
            joined.heartbeat()
        run_id = thread.create(assistant_id="gated", input=gate.input)
        assert joined.event().WhichOneof("event") == "metadata"
        gate.wait_begun()
        cursor = joined.cursor
        while joined._next().event.WhichOneof("event") != "heartbeat":
            cursor = joined.cursor
        assert joined.cursor == cursor
        joined.heartbeat()
        gate.open()
        joined.to_end(run_id)
        joined.heartbeat()


def test_streams_end_when_the_server_stops_and_go_on_on_the_next_one(own: Own) -> None:
    process, runs, threads = own
    thread = DrivenThread(runs, threads)
    events = thread.start("ask")
    joined = Joined(threads, thread.thread_id)
    assert joined.events(len(events)) == events
    process.signal(signal.SIGTERM)
    assert ends_with(joined, "UNAVAILABLE", "SHUTTING_DOWN").retry_after == 1.0
    assert process.wait() == 0
    process.start()
    with Joined(threads, thread.thread_id, cursor=joined.cursor) as again:
        resumed = thread.resume(answer="yes")
        assert again.to_end(resumed[0].run_id) == resumed


def test_of_trimmed_runs_what_is_kept_is_streamed_and_old_cursors_have_expired(own: Own) -> None:
    process, runs, threads = own
    thread = DrivenThread(runs, threads)
    events = played(thread)
    with Joined(threads, thread.thread_id) as joined:
        cursors = [joined.cursor]
        for _ in events:
            joined.event()
            cursors.append(joined.cursor)
    process.stop()
    assert (
        call("db", "prune", "--database", str(process.database), "--events-older-than", "0s").code
        == 0
    )
    process.start()
    ends = [place for place, event in enumerate(events) if event.HasField("end")]
    kept = [events[place] for end in ends for place in (end - 1, end)]
    assert len(kept) == 8
    with Joined(threads, thread.thread_id) as joined:
        places = [joined.cursor]
        for event in kept:
            assert joined.event() == event
            places.append(joined.cursor)
    # Whoever joined without a cursor goes on from any event, though the next run is trimmed.
    for place, cursor in enumerate(places):
        with Joined(threads, thread.thread_id, cursor=cursor) as joined:
            assert joined.events(len(kept) - place) == kept[place:]
    # Whoever joined before, and has not read them, misses events: of this run, or of the next.
    for cursor in (cursors[0], cursors[1], cursors[ends[0] - 2]):
        with refused("OUT_OF_RANGE", "CURSOR_EXPIRED", "cursor"):
            Joined(threads, thread.thread_id, cursor=cursor).event()
    with (
        refused("OUT_OF_RANGE", "CURSOR_EXPIRED", "cursor"),
        Joined(threads, thread.thread_id, cursor=cursors[ends[0] - 1]) as joined,
    ):
        assert joined.events(2) == kept[:2]
        joined.event()
    with Joined(threads, thread.thread_id, cursor=cursors[-1]) as joined:
        following = thread.start("linear")
        assert joined.to_end(following[0].run_id) == following
