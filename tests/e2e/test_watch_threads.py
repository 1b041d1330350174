"""Watching threads: pauses, their answers, runs that begin and end, as they happen."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, delete_thread, get_run, new_thread, payload, refused
from tests.e2e.driven import DrivenThread
from tests.e2e.following import Change, Watched, ends_with, name
from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess

ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE
PAUSED = threads_pb2.THREAD_CHANGE_KIND_PAUSED
RESOLVED = threads_pb2.THREAD_CHANGE_KIND_PAUSE_RESOLVED
STARTED = threads_pb2.THREAD_CHANGE_KIND_RUN_STARTED
ENDED = threads_pb2.THREAD_CHANGE_KIND_RUN_ENDED
DELETED = threads_pb2.THREAD_CHANGE_KIND_PAUSES_DELETED


def brief(change: Change) -> tuple[str, str]:
    """A change in short: its kind, and of which pause or run."""
    return name(change), change.pause.pause_id or change.run.run_id


def watch(thread: DrivenThread, **fields: Any) -> Watched:
    """Watches one thread."""
    return Watched(thread.threads_stub, thread_ids=[thread.thread_id], **fields)


def test_a_thread_is_watched_as_it_runs_pauses_and_goes_on(thread: DrivenThread) -> None:
    with watch(thread) as watched:
        first = thread.start("linear", interrupt_before=["b"])[0].run_id
        (pause,) = thread.pauses
        second = thread.resume(answered_by="ann")[0].run_id
        changes = watched.changes(6)
    assert [brief(change) for change in changes] == [
        ("RUN_STARTED", first),
        ("RUN_ENDED", first),
        ("PAUSED", pause.pause_id),
        ("PAUSE_RESOLVED", pause.pause_id),
        ("RUN_STARTED", second),
        ("RUN_ENDED", second),
    ]
    assert {change.thread_id for change in changes} == {thread.thread_id}
    started, ended, paused, resolved, *_ = changes
    # The pause and the run are shown as they are when the change is sent, later or at once.
    for change in (paused, resolved):
        assert change.pause.thread_id == thread.thread_id
        assert not change.HasField("run")
    resolution = resolved.pause.resolution
    assert (resolution.run_id, resolution.answered_by) == (second, "ann")
    assert resolved.time == resolution.time
    assert paused.time == pause.create_time
    run = get_run(thread.runs_stub, first)
    assert (started.time, ended.time) == (run.start_time, run.end_time)
    # Of the resume it says later that it is the one that went on.
    assert ended.run.status == run_pb2.RUN_STATUS_INTERRUPTED
    assert not ended.HasField("pause")


def test_who_goes_on_from_the_cursor_of_any_change_gets_exactly_the_rest(
    thread: DrivenThread,
) -> None:
    with watch(thread) as watched:
        cursors = [watched.cursor]
        thread.start("ask_twice")
        thread.resume(answer=1)
        thread.resume(answer=2)
        changes = []
        for _ in range(10):
            changes.append(brief(watched.change()))
            cursors.append(watched.cursor)
    assert len(set(changes)) == len(set(cursors[1:])) == 10
    for place, cursor in enumerate(cursors):
        with watch(thread, cursor=cursor) as again:
            rest = [brief(change) for change in again.changes(10 - place)]
        assert rest == changes[place:]


def test_what_was_before_is_not_sent(thread: DrivenThread) -> None:
    thread.start("ask")
    with watch(thread) as watched:
        run_id = thread.resume(answer="yes")[0].run_id
        assert name(watched.change()) == "PAUSE_RESOLVED"
        assert brief(watched.change()) == ("RUN_STARTED", run_id)


@pytest.mark.parametrize("kind", [PAUSED, RESOLVED, STARTED, ENDED])
def test_only_the_kinds_that_are_asked_for_are_sent(thread: DrivenThread, kind: int) -> None:
    with watch(thread, kinds=[kind]) as watched:
        for _ in range(2):
            thread.start("ask")
            thread.resume(answer="yes")
        count = 2 if kind in (PAUSED, RESOLVED) else 4
        assert {change.kind for change in watched.changes(count)} == {kind}


def test_filters_look_at_the_thread(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, once: str
) -> None:
    mine = DrivenThread(
        runs, threads, new_thread(threads, metadata=payload({"mark": once, "n": {"a": 1}}))
    )
    other = DrivenThread(runs, threads, new_thread(threads, metadata=payload({"mark": once})))
    filters: list[dict[str, Any]] = [
        {"metadata": {"mark": once, "n": {"a": 1}}},
        {"thread_ids": [mine.thread_id, "nobody"]},
        {"metadata": {"mark": once}, "assistant_id": "ask"},
        {"metadata": {"mark": once}, "values": {"log": [once]}},
    ]
    watchers = [Watched(threads, kinds=[ENDED], **each) for each in filters]
    try:
        other.start("linear")
        expected = mine.start("ask", {"log": [once]})[0].run_id
        for watched in watchers:
            assert watched.change().run.run_id == expected
    finally:
        for watched in watchers:
            watched.close()


def test_the_status_in_a_filter_is_not_looked_at(thread: DrivenThread) -> None:
    which = threads_pb2.ThreadFilter(
        thread_ids=[thread.thread_id], statuses=[threads_pb2.THREAD_STATUS_ERROR]
    )
    request = threads_pb2.WatchThreadsRequest(filter=which)
    call = thread.threads_stub.WatchThreads(request, timeout=DEADLINE)
    assert not next(call).kind
    thread.start("linear")
    assert next(call).kind == STARTED
    call.cancel()


def test_a_pause_that_is_answered_in_part_and_what_is_superseded(thread: DrivenThread) -> None:
    with watch(thread, kinds=[PAUSED, RESOLVED]) as watched:
        thread.start("ask_parallel")
        left, right = thread.pauses
        thread.resume(answers={left.pause_id: "l"})
        thread.edit({"log": ["edited"]}, as_node="done")
        changes = [brief(change) for change in watched.changes(4)]
    assert sorted(changes[:2]) == sorted([("PAUSED", left.pause_id), ("PAUSED", right.pause_id)])
    assert changes[2:] == [
        ("PAUSE_RESOLVED", left.pause_id),
        ("PAUSE_RESOLVED", right.pause_id),
    ]


def test_runs_that_wait_are_told_of_when_they_begin_or_are_given_up(
    thread: DrivenThread, gate: Gate
) -> None:
    with watch(thread) as watched:
        first, second, third = (
            thread.create(assistant_id="gated", input=gate.input, multitask_strategy=ENQUEUE)
            for _ in range(3)
        )
        gate.wait_begun()
        thread.cancel(second)
        gate.open()
        thread.wait(third)
        changes = [brief(change) for change in watched.changes(5)]
    assert changes == [
        ("RUN_STARTED", first),
        ("RUN_ENDED", second),
        ("RUN_ENDED", first),
        ("RUN_STARTED", third),
        ("RUN_ENDED", third),
    ]


def test_stateless_runs_are_told_of(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, once: str
) -> None:
    with Watched(threads, values={"log": [once]}) as watched:
        request = runs_pb2.CreateRunRequest(assistant_id="ask", input=payload({"log": [once]}))
        run_id = runs.CreateRun(request, timeout=DEADLINE).run.run_id
        # The state is that of the end, so the start is not told of to whoever asks for it.
        found = {brief(change) for change in watched.changes(2)}
    assert ("RUN_ENDED", run_id) in found


def test_changes_of_what_was_deleted_meanwhile_are_left_out(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    gone, there = (DrivenThread(runs, threads) for _ in range(2))
    with Watched(threads, thread_ids=[gone.thread_id, there.thread_id]) as watched:
        cursor = watched.cursor
    gone.start("linear")
    delete_thread(threads, gone.thread_id)
    expected = there.start("linear")[0].run_id
    with Watched(threads, thread_ids=[gone.thread_id, there.thread_id], cursor=cursor) as watched:
        assert brief(watched.change()) == ("RUN_STARTED", expected)


@pytest.mark.parametrize("prunes", [False, True], ids=["DeleteThread", "PruneThreads"])
def test_that_a_paused_thread_was_deleted_is_told(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, prunes: bool
) -> None:
    ids = [new_thread(threads, metadata=payload({"n": n})) for n in range(2)]
    paused, idle = (DrivenThread(runs, threads, thread_id) for thread_id in ids)
    # What a filter asks besides the ids can't be looked at any more.
    which: dict[str, Any] = {"thread_ids": ids, "assistant_id": "ask", "metadata": {"n": 0}}
    with Watched(threads, **which) as watched:
        cursor = watched.cursor
        paused.start("ask")
        watched.changes(3)
        for thread in (idle, paused):
            if prunes:
                prune = threads_pb2.PruneThreadsRequest(
                    thread_ids=[thread.thread_id], strategy=threads_pb2.PRUNE_STRATEGY_DELETE
                )
                threads.PruneThreads(prune, timeout=DEADLINE)
            else:
                delete_thread(threads, thread.thread_id)
        change = watched.change()
    assert (name(change), change.thread_id) == ("PAUSES_DELETED", paused.thread_id)
    assert not change.HasField("pause")
    assert not change.HasField("run")
    assert change.HasField("time")
    # Who comes later is told too, but not of what was deleted with it.
    for kinds in ([], [DELETED]):
        with Watched(threads, **which, cursor=cursor, kinds=kinds) as watched:
            assert watched.change() == change
    with Watched(threads, thread_ids=ids, cursor=cursor, kinds=[PAUSED, RESOLVED]) as watched:
        DrivenThread(runs, threads, new_thread(threads, thread_id=ids[1])).start("ask")
        assert name(watched.change()) == "PAUSED"


def test_a_thread_that_waits_for_nobody_any_more_is_deleted_without_a_change(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    gone, there = (DrivenThread(runs, threads) for _ in range(2))
    gone.start("ask")
    gone.resume(answer="yes")
    with Watched(threads, thread_ids=[gone.thread_id, there.thread_id]) as watched:
        delete_thread(threads, gone.thread_id)
        run_id = there.start("linear")[0].run_id
        assert brief(watched.change()) == ("RUN_STARTED", run_id)


def test_many_watchers_see_the_same_in_the_same_order(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    played = [DrivenThread(runs, threads) for _ in range(6)]
    ids = [thread.thread_id for thread in played]

    def follow(watched: Watched) -> list[tuple[str, str]]:
        with watched:
            return [brief(change) for change in watched.changes(36)]

    with ThreadPoolExecutor(14) as pool:
        watchers = [Watched(threads, thread_ids=ids) for _ in range(8)]
        following = [pool.submit(follow, watched) for watched in watchers]
        for thread in played:
            pool.submit(lambda t=thread: (t.start("ask"), t.resume(answer="yes")))  # type: ignore[misc]
        seen = [one.result(DEADLINE) for one in following]
    assert seen == [seen[0]] * 8
    assert len(set(seen[0])) == 36


def test_the_payloads_of_a_change_come_in_the_form_that_is_asked_for(thread: DrivenThread) -> None:
    which = threads_pb2.ThreadFilter(thread_ids=[thread.thread_id])
    request = threads_pb2.WatchThreadsRequest(filter=which, kinds=[PAUSED])
    call = thread.threads_stub.WatchThreads(
        request, timeout=DEADLINE, metadata=(("graphwire-payload", "value"),)
    )
    next(call)
    thread.start("ask")
    assert next(call).pause.value.value.struct_value["question"] == "name"
    call.cancel()


# --- servers of the tests' own ---

Own = tuple[ServerProcess, runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub]


@pytest.fixture
def own(own_server: Callable[..., ServerProcess], request: Any) -> Iterator[Own]:
    env = {"GRAPHWIRE_HEARTBEAT_SECONDS": "0.3", **getattr(request, "param", {})}
    process = own_server(env=env)
    with grpc.insecure_channel(process.address) as channel:
        yield (
            process,
            runs_pb2_grpc.RunsStub(channel),
            threads_pb2_grpc.ThreadsStub(channel),
        )


def test_a_quiet_stream_beats_and_its_cursor_moves_past_what_is_left_out(own: Own) -> None:
    _, runs, threads = own
    thread = DrivenThread(runs, threads)
    with Watched(threads, kinds=[PAUSED]) as watched:
        before = watched.cursor
        watched.heartbeat()
        assert watched.cursor == before
        thread.start("linear")
        for _ in range(2):
            watched.heartbeat()
        assert watched.cursor != before


def test_watchers_end_when_the_server_stops_and_go_on_on_the_next_one(own: Own) -> None:
    process, runs, threads = own
    thread = DrivenThread(runs, threads)
    watched = Watched(threads)
    thread.start("ask")
    assert [name(change) for change in watched.changes(3)] == ["RUN_STARTED", "RUN_ENDED", "PAUSED"]
    process.signal(signal.SIGTERM)
    ends_with(watched, "UNAVAILABLE", "SHUTTING_DOWN")
    assert process.wait() == 0
    process.start()
    run_id = thread.resume(answer="yes")[0].run_id
    with Watched(threads, cursor=watched.cursor) as again:
        changes = [brief(change) for change in again.changes(3)]
    assert changes[1:] == [("RUN_STARTED", run_id), ("RUN_ENDED", run_id)]


@pytest.mark.parametrize(
    "own", [{"GRAPHWIRE_CHANGE_TTL_SECONDS": "0.5"}], indirect=True, ids=["short"]
)
def test_a_cursor_expires_with_what_comes_after_it(own: Own) -> None:
    _, runs, threads = own
    thread = DrivenThread(runs, threads)
    with Watched(threads) as watched:
        cursor = watched.cursor
        thread.start("linear")
        watched.changes(2)
        last = watched.cursor

    def has_expired() -> bool:
        try:
            Watched(threads, cursor=cursor).close()
        except grpc.RpcError as error:
            return error.code() is grpc.StatusCode.OUT_OF_RANGE
        return False

    until(has_expired, "the change is removed")
    with refused("OUT_OF_RANGE", "CURSOR_EXPIRED", "cursor"):
        Watched(threads, cursor=cursor)
    # Whoever has read all of it goes on.
    with Watched(threads, cursor=last) as watched:
        run_id = thread.start("linear")[0].run_id
        assert brief(watched.change()) == ("RUN_STARTED", run_id)


def test_a_cursor_from_beyond_the_log_is_none_of_this_database(own: Own) -> None:
    _, runs, threads = own
    DrivenThread(runs, threads).start("linear")
    with refused("OUT_OF_RANGE", "CURSOR_EXPIRED", "cursor"):
        Watched(threads, cursor="7.1000000")
