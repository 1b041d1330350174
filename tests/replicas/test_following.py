"""Threads are followed on any server, whichever one executes: no event and no change is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, threads_pb2

from tests.e2e.drive import get_run, get_thread, new_thread, payload, refusal_of
from tests.e2e.following import Joined, Watched, name
from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer
from tests.replicas.replica import PATIENCE, Ledger, Reader, Replica, march, replicas, wait_run

ASK = {"assistant_id": "ask", "input": payload({"log": ["in"]})}


@pytest.fixture(scope="module")
def pair(postgres: PostgresServer) -> Iterator[list[Replica]]:
    """Two servers on one database."""
    with postgres.fresh_database() as database, replicas(postgres, database, a={}, b={}) as started:
        yield started


@pytest.fixture
def a(pair: list[Replica]) -> Replica:
    return pair[0]


@pytest.fixture
def b(pair: list[Replica]) -> Replica:
    return pair[1]


def answer(replica: Replica, thread_id: str, pause_id: str, by: str) -> str:
    """Answers a pause; returns "won", or who has answered before."""
    resume = run_pb2.Resume(answers={pause_id: payload(by)}, answered_by=by)
    request = runs_pb2.CreateRunRequest(thread_id=thread_id, resume=resume)
    try:
        run = replica.runs.CreateRun(request, timeout=PATIENCE).run
    except grpc.RpcError as error:
        refusal = refusal_of(error)
        assert refusal.reason == "PAUSE_NOT_OPEN", refusal
        assert refusal.metadata["status"] == "RESUMED"
        run = get_run(replica.runs, refusal.metadata["run_id"])
        assert refusal.metadata["time"] == run.create_time.ToJsonString()
        return refusal.metadata["answered_by"]
    wait_run(replica, run.run_id)
    return "won"


def test_of_many_who_answer_at_once_on_two_servers_one_wins_and_all_others_hear_of_it(
    a: Replica, b: Replica
) -> None:
    for _ in range(10):
        thread = new_thread(a.threads)
        Reader.stream(a, thread_id=thread, **ASK).whole()
        (pause,) = get_thread(b.threads, thread).pauses
        names = [f"caller {number}" for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            calls = [
                pool.submit(answer, (a, b)[number % 2], thread, pause.pause_id, by)
                for number, by in enumerate(names)
            ]
            outcomes = {by: call.result(PATIENCE) for by, call in zip(names, calls, strict=True)}
        (winner,) = [by for by, outcome in outcomes.items() if outcome == "won"]
        assert Counter(outcomes.values()) == {"won": 1, winner: 7}
        for replica in (a, b):
            request = threads_pb2.GetPauseRequest(pause_id=pause.pause_id)
            resolution = replica.threads.GetPause(request, timeout=PATIENCE).pause.resolution
            assert resolution.answered_by == winner


def test_a_thread_is_joined_on_another_server_as_it_runs_pauses_and_goes_on(
    a: Replica, b: Replica, gate: Gate, ledger: Ledger
) -> None:
    thread = new_thread(a.threads)
    with (
        Joined(a.threads, thread, timeout=PATIENCE) as here,
        Joined(b.threads, thread, timeout=PATIENCE) as there,
    ):
        events = Reader.stream(a, thread_id=thread, **ASK).whole()
        resume = run_pb2.Resume(answer=payload("yes"))
        events = [*events, *Reader.stream(b, thread_id=thread, resume=resume).whole()]
        assert here.events(len(events)) == events
        assert there.events(len(events)) == events
        cursor = here.cursor
        assert there.cursor == cursor
    # A cursor of one server is good on the other.
    following = Reader.stream(a, thread_id=thread, **ASK).whole()
    for replica in (a, b):
        with Joined(replica.threads, thread, cursor=cursor, timeout=PATIENCE) as joined:
            assert joined.events(len(following)) == following


def test_deleting_a_thread_on_one_server_ends_its_streams_on_the_other(
    a: Replica, b: Replica
) -> None:
    thread = new_thread(a.threads)
    with Joined(b.threads, thread, timeout=PATIENCE) as joined:
        request = threads_pb2.DeleteThreadRequest(thread_id=thread)
        a.threads.DeleteThread(request, timeout=PATIENCE)
        with pytest.raises(grpc.RpcError) as ended:
            joined.event()
    assert refusal_of(ended.value).reason == "THREAD_NOT_FOUND"


def test_watchers_on_both_servers_see_what_happens_on_either_in_one_order(
    a: Replica, b: Replica
) -> None:
    threads = [new_thread(a.threads) for _ in range(12)]

    def play(number: int, thread: str) -> None:
        first, second = ((a, b), (b, a))[number % 2]
        Reader.stream(first, thread_id=thread, **ASK).whole()
        resume = run_pb2.Resume(answer=payload("yes"))
        Reader.stream(second, thread_id=thread, resume=resume).whole()

    def follow(watched: Watched) -> list[tuple[str, str]]:
        with watched:
            changes = watched.changes(6 * len(threads))
        return [(name(c), c.pause.pause_id or c.run.run_id) for c in changes]

    given: dict[str, Any] = {"thread_ids": threads, "timeout": PATIENCE}
    with ThreadPoolExecutor(20) as pool:
        watchers = [Watched(replica.threads, **given) for replica in (a, b, a, b)]
        cursor = watchers[0].cursor
        following = [pool.submit(follow, watched) for watched in watchers]
        for number, thread in enumerate(threads):
            pool.submit(play, number, thread)
        seen = [one.result(PATIENCE) for one in following]
    assert len(set(seen[0])) == 6 * len(threads)
    assert seen == [seen[0]] * 4
    # The log has kept it, for whoever comes later with a cursor of either.
    with Watched(b.threads, cursor=cursor, **given) as watched:
        assert follow(watched) == seen[0]


def test_a_watcher_goes_on_on_the_other_server_when_one_is_killed(
    postgres: PostgresServer, ledger: Ledger, gate: Gate
) -> None:
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, a={}, b={}) as (one, other),
    ):
        thread = new_thread(one.threads)
        watched = Watched(one.threads, thread_ids=[thread], timeout=PATIENCE)
        joined = Joined(one.threads, thread, timeout=PATIENCE)
        given = march(ledger, steps=3, halt=1, path=str(gate.path))
        request = runs_pb2.CreateRunRequest(
            thread_id=thread, assistant_id="march", input=payload(given)
        )
        run_id = one.runs.CreateRun(request, timeout=PATIENCE).run.run_id
        assert watched.change().run.run_id == run_id
        before = joined.events(2)
        gate.wait_begun()
        one.kill()
        gate.open()
        with (
            Watched(
                other.threads, thread_ids=[thread], cursor=watched.cursor, timeout=PATIENCE
            ) as again,
            Joined(other.threads, thread, cursor=joined.cursor, timeout=PATIENCE) as rest,
        ):
            ended = again.change()
            assert (name(ended), ended.run.run_id) == ("RUN_ENDED", run_id)
            events = [*before, *rest.to_end(run_id)]
        assert events == Reader.join(other, run_id).whole()
        until(lambda: not one.process.is_running, "the one is gone")
