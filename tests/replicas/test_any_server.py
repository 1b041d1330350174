"""Any RPC on any server: what one server does, the others see, and can decide on."""

from __future__ import annotations

import statistics
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from graphwire.v1 import run_pb2, runs_pb2, threads_pb2

from tests.e2e.drive import (
    Refusal,
    cancel,
    create,
    get_run,
    get_thread,
    list_runs,
    new_thread,
    payload,
    reason_of,
    refusal_of,
    refused,
    shapes,
    value,
)
from tests.e2e.gates import Gate, until
from tests.postgres import PostgresServer
from tests.replicas.replica import (
    CANCELLED,
    MODES,
    PATIENCE,
    SUCCEEDED,
    Ledger,
    Reader,
    Replica,
    march,
    replicas,
    wait_run,
)

LATER = duration_pb2.Duration(seconds=3600)
#: How often each race is run.
RACES = 15


@pytest.fixture(scope="module")
def pair(postgres: PostgresServer) -> Iterator[list[Replica]]:
    """Two servers on one database, of which the first executes one run at a time."""
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, a={"GRAPHWIRE_MAX_CONCURRENT_RUNS": "1"}, b={}) as started,
    ):
        yield started


@pytest.fixture
def a(pair: list[Replica]) -> Replica:
    return pair[0]


@pytest.fixture
def b(pair: list[Replica]) -> Replica:
    return pair[1]


def at_once(*calls: Callable[[], str]) -> list[str]:
    """Makes calls at the same time; returns for each what it returned or why it was refused."""
    barrier = threading.Barrier(len(calls))

    def made(call: Callable[[], str]) -> str:
        barrier.wait()
        try:
            return call()
        except grpc.RpcError as error:
            return reason_of(error)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(made, calls))


def log_of(replica: Replica, thread_id: str) -> list[str]:
    """Returns the log in a thread's state."""
    request = threads_pb2.GetThreadStateRequest(thread_id=thread_id)
    state = replica.threads.GetThreadState(request, timeout=PATIENCE).state
    log: list[str] = value(state.values)["log"]
    return log


# --- streams ---


def test_who_joins_on_another_server_sees_the_same_events_in_the_same_order(
    a: Replica, b: Replica, gate: Gate, ledger: Ledger
) -> None:
    given = march(ledger, steps=40, pace=0.01, halt=0, path=str(gate.path))
    here = Reader.stream(
        a,
        assistant_id="march",
        input=payload(given),
        stream_modes=MODES,
        config=run_pb2.RunConfig(recursion_limit=100),
    )
    there = [Reader.join(server, here.run_id) for server in (a, b)]
    until(lambda: all("custom" in reader.kinds for reader in there), "they follow")
    gate.open()
    events = here.whole()
    assert [reader.whole() for reader in there] == [events, events]
    assert Reader.join(b, here.run_id).whole() == events
    half = len(events) // 2
    assert Reader.join(b, here.run_id, after=half).whole() == events[half:]
    assert {pid for _, pid in ledger.lines("begin")} == {a.pid}
    delays = sorted(
        (late - early) * 1000
        for early, late, event in zip(here.arrivals, there[1].arrivals, events, strict=True)
        if event.sequence > there[1].events[0].sequence + 4
    )
    print(
        f"\ndelay of an event on another server: median {statistics.median(delays):.1f} ms, "
        f"longest {delays[-1]:.1f} ms"
    )


def test_a_run_can_be_waited_for_on_another_server(a: Replica, b: Replica, gate: Gate) -> None:
    run = create(a.runs, assistant_id="waits", input=payload({"path": str(gate.path)}))
    gate.wait_begun()
    waiting = b.runs.WaitRun.future(runs_pb2.WaitRunRequest(run_id=run.run_id), timeout=PATIENCE)
    gate.open()
    ended = waiting.result()
    assert ended.run.status == SUCCEEDED
    assert value(ended.values) == {
        "log": ["waited", "last"],
        "pids": [a.pid, a.pid],
        "path": str(gate.path),
    }


def test_a_run_that_is_deleted_on_another_server_is_gone(a: Replica, b: Replica) -> None:
    run = create(a.runs, assistant_id="march", input=payload({"log": ["in"], "steps": 1}))
    wait_run(a, run.run_id)
    b.runs.DeleteRun(runs_pb2.DeleteRunRequest(run_id=run.run_id), timeout=PATIENCE)
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        get_run(a.runs, run.run_id)


# --- who executes ---


def test_a_run_in_the_background_is_executed_by_who_is_free(
    a: Replica, b: Replica, gates: Callable[[], Gate]
) -> None:
    first, second = gates(), gates()
    busy = create(a.runs, assistant_id="waits", input=payload({"path": str(first.path)}))
    first.wait_begun()
    run = create(a.runs, assistant_id="waits", input=payload({"path": str(second.path)}))
    assert run.status == run_pb2.RUN_STATUS_PENDING
    second.wait_begun()
    second.open()
    assert value(wait_run(a, run.run_id).values)["pids"] == [b.pid, b.pid]
    first.open()
    assert value(wait_run(b, busy.run_id).values)["pids"] == [a.pid, a.pid]


def test_runs_of_a_queue_come_in_the_order_of_their_acceptance(
    a: Replica, b: Replica, gate: Gate
) -> None:
    thread = new_thread(a.threads)
    fields: dict[str, Any] = {
        "thread_id": thread,
        "assistant_id": "waits",
        "multitask_strategy": run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    }
    names = [f"run {number}" for number in range(8)]
    accepted = [
        create(server.runs, input=payload({"log": [name], "path": str(gate.path)}), **fields)
        for name, server in zip(names, [a, b] * 4, strict=True)
    ]
    gate.wait_begun()
    gate.open()
    for run in accepted:
        assert wait_run(b, run.run_id).run.status == SUCCEEDED
    assert log_of(a, thread) == [entry for name in names for entry in (name, "waited", "last")]


# --- cancel ---


def test_a_run_can_be_cancelled_on_another_server(a: Replica, b: Replica, gate: Gate) -> None:
    reader = Reader.stream(a, assistant_id="waits", input=payload({"path": str(gate.path)}))
    gate.wait_begun()
    assert cancel(b.runs, reader.run_id).cancel_requested
    assert shapes(reader.whole())[-1] == ("end", "CANCELLED")
    assert not gate.path.exists()
    assert Reader.join(b, reader.run_id).whole() == reader.events


def test_a_run_can_be_rolled_back_on_another_server_which_waits_for_that(
    a: Replica, b: Replica, gate: Gate
) -> None:
    given = {"assistant_id": "waits", "thread_id": new_thread(a.threads)}
    reader = Reader.stream(a, input=payload({"path": str(gate.path)}), **given)
    gate.wait_begun()
    run = cancel(b.runs, reader.run_id, action=runs_pb2.CANCEL_ACTION_ROLLBACK, wait=True)
    assert (run.status, run.rolled_back) == (CANCELLED, True)
    assert shapes(reader.whole())[-1] == ("end", "CANCELLED")
    left = get_thread(b.threads, given["thread_id"])
    assert (left.status, left.checkpoint_id) == (threads_pb2.THREAD_STATUS_IDLE, "")


@pytest.mark.parametrize("strategy", ["INTERRUPT", "ROLLBACK"])
def test_who_is_asked_on_another_server_takes_the_place_of_a_run(
    a: Replica, b: Replica, gate: Gate, strategy: str
) -> None:
    given = {"assistant_id": "waits", "thread_id": new_thread(a.threads)}
    first = create(a.runs, input=payload({"log": ["1"], "path": str(gate.path)}), **given)
    gate.wait_begun()
    queued = create(
        b.runs,
        input=payload({"log": ["2"], "path": str(gate.path)}),
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
        **given,
    )
    new = create(
        b.runs,
        input=payload({"log": ["3"], "path": str(gate.path)}),
        multitask_strategy=run_pb2.MultitaskStrategy.Value(f"MULTITASK_STRATEGY_{strategy}"),
        **given,
    )
    assert [wait_run(b, run.run_id).run.status for run in (first, queued)] == [CANCELLED] * 2
    gate.open()
    assert wait_run(a, new.run_id).run.status == SUCCEEDED
    kept = ["1"] if strategy == "INTERRUPT" else []
    assert log_of(b, given["thread_id"]) == [*kept, "3", "waited", "last"]


def test_of_many_who_interrupt_and_cancel_on_two_servers_every_run_ends(
    a: Replica, b: Replica, gate: Gate
) -> None:
    """Those who decide on a thread and its runs at once wait for each other, and never for good."""
    thread = new_thread(a.threads)

    def interrupt(number: int) -> str:
        server = (a, b)[number % 2]
        strategy = "ROLLBACK" if number % 3 else "INTERRUPT"
        run = create(
            server.runs,
            thread_id=thread,
            assistant_id="waits",
            input=payload({"log": [str(number)], "path": str(gate.path)}),
            multitask_strategy=run_pb2.MultitaskStrategy.Value(f"MULTITASK_STRATEGY_{strategy}"),
        )
        if number % 4 == 0:
            action = runs_pb2.CANCEL_ACTION_ROLLBACK
            other = (b, a)[number % 2]
            other.runs.CancelRuns(
                runs_pb2.CancelRunsRequest(run_ids=[run.run_id], action=action), timeout=PATIENCE
            )
        return run.run_id

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(interrupt, range(40)))
    # One whose end has been asked for may still come to its own, if the gate opens before.
    until(lambda: sum(not get_run(a.runs, each).HasField("end_time") for each in made) <= 1)
    gate.open()
    ended = [wait_run(a, run_id).run.status for run_id in made]
    assert set(ended) <= {CANCELLED, SUCCEEDED}
    assert ended.count(SUCCEEDED) <= 1
    until(lambda: get_thread(b.threads, thread).status == threads_pb2.THREAD_STATUS_IDLE)


def test_a_run_can_be_abandoned_on_another_server(a: Replica, b: Replica, gate: Gate) -> None:
    given = payload({"path": str(gate.path)})
    reader = Reader.stream(a, assistant_id="waits_in_thread", input=given)
    gate.wait_begun()
    cancel(b.runs, reader.run_id)
    # It waits for its node, which runs in a thread that nobody can stop.
    assert get_run(b.runs, reader.run_id).status == run_pb2.RUN_STATUS_RUNNING
    cancel(b.runs, reader.run_id, abandon=True)
    assert shapes(reader.whole())[-1] == ("end", "CANCELLED")
    assert not gate.returned
    gate.open()
    gate.wait_returned()
    assert Reader.join(b, reader.run_id).whole() == reader.events


def test_a_run_that_has_not_begun_can_be_cancelled_on_another_server(
    a: Replica, b: Replica
) -> None:
    run = create(a.runs, assistant_id="ask", input=payload({"log": []}), start_delay=LATER)
    reader = Reader.join(a, run.run_id)
    waiting = a.runs.WaitRun.future(runs_pb2.WaitRunRequest(run_id=run.run_id), timeout=PATIENCE)
    assert reader.run_id == run.run_id
    assert cancel(b.runs, run.run_id).status == CANCELLED
    assert shapes(reader.whole()) == [("end", "CANCELLED")]
    assert waiting.result().run.status == CANCELLED


# --- races ---


def start(replica: Replica, **fields: Any) -> str:
    """Starts a run in the background and returns its id."""
    return create(replica.runs, **fields).run_id


def edit(replica: Replica, **fields: Any) -> str:
    """Edits a thread's state, and returns the new head."""
    request = threads_pb2.UpdateThreadStateRequest(**fields)
    return replica.threads.UpdateThreadState(request, timeout=PATIENCE).state.checkpoint_id


def test_of_two_resumes_at_once_on_two_servers_one_wins(a: Replica, b: Replica) -> None:
    for _ in range(RACES):
        thread = new_thread(a.threads)
        given = {"assistant_id": "ask", "input": payload({"log": ["in"]})}
        Reader.stream(b, thread_id=thread, **given).whole()
        outcomes = at_once(
            partial(start, a, thread_id=thread, resume={"answer": payload("a")}),
            partial(start, b, thread_id=thread, resume={"answer": payload("b")}),
        )
        winners = [each for each in outcomes if each != "PAUSE_NOT_OPEN"]
        assert len(winners) == 1, outcomes
        assert wait_run(a, winners[0]).run.status == SUCCEEDED
        name = "ab"[outcomes.index(winners[0])]
        assert log_of(b, thread) == ["in", f"answer {name}", "last"]
        assert len(list_runs(a.runs, thread)) == 2


@pytest.mark.parametrize("how", ["named", "expected", "plain"])
def test_of_many_who_resume_at_once_on_two_servers_all_hear_who_was_first(
    a: Replica, b: Replica, how: str
) -> None:
    for _ in range(RACES):
        thread = new_thread(a.threads)
        given = {"assistant_id": "ask", "input": payload({"log": ["in"]})}
        Reader.stream(a, thread_id=thread, **given, interrupt_before=["node"]).whole()
        (pause,) = get_thread(b.threads, thread).pauses
        ways: dict[str, dict[str, Any]] = {
            "named": {"pause_ids": [pause.pause_id]},
            "expected": {"expected_checkpoint_id": pause.checkpoint_id},
            "plain": {},
        }
        fields = ways[how]
        refusals: dict[str, Refusal] = {}

        def resume(
            name: str,
            on: Replica,
            thread: str = thread,
            fields: dict[str, Any] = fields,
            refusals: dict[str, Refusal] = refusals,
        ) -> str:
            try:
                return start(on, thread_id=thread, resume={**fields, "answered_by": name})
            except grpc.RpcError as error:
                refusals[name] = refusal_of(error)
                return ""

        names = [f"caller-{number}" for number in range(8)]
        on = [a, b] * 4
        outcomes = at_once(*(partial(resume, *call) for call in zip(names, on, strict=True)))
        (run_id,) = filter(None, outcomes)
        winner = names[outcomes.index(run_id)]
        wait_run(a, run_id)
        assert sorted([*refusals, winner]) == names
        # The run may have ended meanwhile, at the question that comes then.
        busy = {"THREAD_BUSY", "ANSWER_REQUIRED"} if how == "plain" else {"PAUSE_NOT_OPEN"}
        time = get_run(b.runs, run_id).create_time.ToJsonString()
        for refusal in refusals.values():
            assert refusal.reason in busy
            if refusal.reason != "ANSWER_REQUIRED":
                assert refusal.metadata["pause_id"] == pause.pause_id
                assert refusal.metadata["answered_by"] == winner
                assert refusal.metadata["time"] == time
                assert f"resumed at {time} by {winner} (anonymous), with run {run_id}" in (
                    refusal.text
                )


def test_an_edit_and_a_run_at_once_on_two_servers_come_one_after_the_other(
    a: Replica, b: Replica
) -> None:
    for _ in range(RACES):
        thread = new_thread(a.threads)
        fields: dict[str, Any] = {"thread_id": thread, "assistant_id": "ask"}
        edited, run_id = at_once(
            partial(edit, a, values=payload({"log": ["edit"]}), as_node="last", **fields),
            partial(start, b, input=payload({"log": ["in"]}), **fields),
        )
        assert wait_run(a, run_id).run.status == run_pb2.RUN_STATUS_INTERRUPTED
        log = log_of(b, thread)
        assert log.count("in") == 1
        assert log.count("edit") == (edited != "THREAD_BUSY"), (edited, log)


def copy(replica: Replica, thread_id: str) -> str:
    """Copies a thread, and returns the id of the copy."""
    request = threads_pb2.CopyThreadRequest(thread_id=thread_id)
    return replica.threads.CopyThread(request, timeout=PATIENCE).thread.thread_id


def test_of_a_copy_and_a_resume_at_once_on_two_servers_the_copy_is_whole(
    a: Replica, b: Replica
) -> None:
    for number in range(RACES):
        thread = new_thread(a.threads)
        given = {"assistant_id": "ask", "input": payload({"log": ["in"]})}
        Reader.stream(b, thread_id=thread, **given).whole()
        run_id, copied = at_once(
            partial(start, b, thread_id=thread, resume={"answer": payload(number)}),
            partial(copy, a, thread),
        )
        assert wait_run(a, run_id).run.status == SUCCEEDED
        whole = ["in", f"answer {number}", "last"]
        assert log_of(a, thread) == whole
        if copied == "THREAD_BUSY":
            continue
        # It was copied before the resume, or after that had come to its end.
        if get_thread(b.threads, copied).pauses:
            assert log_of(b, copied) == ["in"]
            goes_on = start(b, thread_id=copied, resume={"answer": payload(number)})
            assert wait_run(a, goes_on).run.status == SUCCEEDED
        assert log_of(a, copied) == whole


def test_of_two_edits_at_once_of_what_both_have_seen_one_wins(a: Replica, b: Replica) -> None:
    thread = new_thread(a.threads)
    given = {"assistant_id": "ask", "input": payload({"log": ["in"]})}
    Reader.stream(a, thread_id=thread, **given).whole()
    for number in range(RACES):
        seen, before = get_thread(b.threads, thread).checkpoint_id, log_of(b, thread)
        fields = {"thread_id": thread, "expected_checkpoint_id": seen}
        outcomes = at_once(
            partial(edit, a, values=payload({"log": [f"a {number}"]}), **fields),
            partial(edit, b, values=payload({"log": [f"b {number}"]}), **fields),
        )
        assert outcomes.count("CHECKPOINT_MISMATCH") == 1, outcomes
        winner = "ba"[outcomes.index("CHECKPOINT_MISMATCH")]
        assert log_of(a, thread) == [*before, f"{winner} {number}"]


@pytest.mark.parametrize("on", ["own threads", "one thread", "a thread to be made", "no thread"])
def test_a_request_that_is_sent_to_two_servers_at_once_is_done_once(
    a: Replica, b: Replica, on: str
) -> None:
    thread = new_thread(a.threads)
    for number in range(RACES):
        fields: dict[str, Any] = {
            "assistant_id": "march",
            "input": payload({"log": ["in"], "steps": 1}),
            "request_id": f"{on} {number}",
        }
        match on:
            case "own threads":
                fields["thread_id"] = new_thread(a.threads)
            case "one thread":
                fields["thread_id"] = thread
            case "a thread to be made":
                fields["thread_id"] = str(uuid.uuid4())
                fields["if_not_exists"] = run_pb2.IF_NOT_EXISTS_CREATE
        first, second = at_once(partial(start, a, **fields), partial(start, b, **fields))
        assert first == second
        assert wait_run(b, first).run.status == SUCCEEDED


@pytest.mark.parametrize("by", ["request_id", "thread_id"])
def test_a_thread_is_made_once_however_many_ask_for_it(a: Replica, b: Replica, by: str) -> None:
    for _ in range(RACES):
        fields: dict[str, Any] = {by: str(uuid.uuid4())}
        if by == "thread_id":
            fields["if_exists"] = threads_pb2.IF_EXISTS_RETURN
        first, second = at_once(
            partial(new_thread, a.threads, **fields), partial(new_thread, b.threads, **fields)
        )
        assert first == second
        assert get_thread(b.threads, first).thread_id == first


def test_a_call_that_is_made_again_elsewhere_while_its_run_executes_follows_that_run(
    a: Replica, b: Replica, gate: Gate
) -> None:
    thread = new_thread(a.threads)
    fields: dict[str, Any] = {
        "thread_id": thread,
        "assistant_id": "waits",
        "input": payload({"path": str(gate.path)}),
        "request_id": "again",
    }
    first = Reader.stream(a, **fields)
    gate.wait_begun()
    second = Reader.stream(b, **fields)
    assert second.run_id == first.run_id
    gate.open()
    assert second.whole() == first.whole()
    assert [run.run_id for run in list_runs(b.runs, thread)] == [first.run_id]
