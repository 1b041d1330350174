"""Threads: created, found, changed and deleted."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import (
    payload_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import (
    DEADLINE,
    delete_thread,
    get_thread,
    new_thread,
    pause_shape,
    payload,
    refused,
    stream,
    value,
    wait,
)
from tests.e2e.gates import Gate

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub

LOG = payload({"log": ["in"]})
IDLE, BUSY = threads_pb2.THREAD_STATUS_IDLE, threads_pb2.THREAD_STATUS_BUSY
INTERRUPTED, ERROR = threads_pb2.THREAD_STATUS_INTERRUPTED, threads_pb2.THREAD_STATUS_ERROR


@pytest.fixture
def mark() -> str:
    """A word that is on no other thread."""
    return str(uuid.uuid4())


def create(threads: Threads, **fields: Any) -> threads_pb2.Thread:
    """Creates a thread."""
    return threads.CreateThread(threads_pb2.CreateThreadRequest(**fields), timeout=DEADLINE).thread


def update(threads: Threads, thread: str, metadata: Any) -> threads_pb2.Thread:
    """Changes a thread's metadata."""
    request = threads_pb2.UpdateThreadRequest(thread_id=thread, metadata=payload(metadata))
    return threads.UpdateThread(request, timeout=DEADLINE).thread


def state(threads: Threads, thread: str) -> threads_pb2.ThreadState:
    """The state of a thread."""
    request = threads_pb2.GetThreadStateRequest(thread_id=thread)
    return threads.GetThreadState(request, timeout=DEADLINE).state


def found(threads: Threads, **fields: Any) -> list[str]:
    """The threads that a filter lists, newest first; as many as it counts."""
    which = threads_pb2.ThreadFilter(**fields)
    listed = threads.ListThreads(threads_pb2.ListThreadsRequest(filter=which), timeout=DEADLINE)
    counted = threads.CountThreads(threads_pb2.CountThreadsRequest(filter=which), timeout=DEADLINE)
    assert counted.count == len(listed.threads)
    return [thread.thread_id for thread in listed.threads]


def test_a_new_thread_is_idle_and_empty(threads: Threads) -> None:
    thread = create(threads)
    assert str(uuid.UUID(thread.thread_id)) == thread.thread_id
    assert thread.create_time == thread.update_time
    assert thread == threads_pb2.Thread(
        thread_id=thread.thread_id,
        status=IDLE,
        metadata=payload_pb2.Payload(json="{}"),
        create_time=thread.create_time,
        update_time=thread.create_time,
    )
    assert get_thread(threads, thread.thread_id) == thread
    assert state(threads, thread.thread_id) == threads_pb2.ThreadState(
        metadata=payload_pb2.Payload(json="{}")
    )


@pytest.mark.parametrize("prefix", ["x", "7", "A.b_c-d:e"])
def test_a_thread_may_have_an_id_of_the_callers_choice(
    threads: Threads, mark: str, prefix: str
) -> None:
    thread_id = f"{prefix}{mark}".ljust(128, ":")
    assert create(threads, thread_id=thread_id).thread_id == thread_id
    assert get_thread(threads, thread_id).thread_id == thread_id


def test_ids_that_differ_in_case_are_two_threads(threads: Threads, mark: str) -> None:
    create(threads, thread_id=f"x{mark}")
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        get_thread(threads, f"X{mark}")


def test_metadata_is_kept_exactly(threads: Threads) -> None:
    text = '{"z":1,"a":{"y":[1.0,18446744073709551615,null],"b":"ü\\u0000"},"":""}'
    thread = create(threads, metadata=payload_pb2.Payload(json=text))
    assert thread.metadata.json == text
    assert get_thread(threads, thread.thread_id).metadata.json == text


def test_a_thread_that_is_there_is_returned_as_it_is_if_that_is_asked_for(
    threads: Threads,
) -> None:
    thread = create(threads, metadata=payload({"a": 1}))
    again = create(
        threads,
        thread_id=thread.thread_id,
        metadata=payload({"b": 2}),
        if_exists=threads_pb2.IF_EXISTS_RETURN,
    )
    assert again == thread == get_thread(threads, thread.thread_id)


def test_of_many_who_create_one_thread_at_once_one_wins(threads: Threads, mark: str) -> None:
    def attempt(number: int) -> str:
        try:
            create(threads, thread_id=mark, metadata=payload({"by": number}))
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(attempt, range(8)))
    assert sorted(codes) == ["ALREADY_EXISTS"] * 7 + ["OK"]
    assert value(get_thread(threads, mark).metadata) == {"by": codes.index("OK")}


def test_a_thread_says_what_it_is_doing(runs: Runs, threads: Threads, gate: Gate) -> None:
    thread = new_thread(threads)
    request = runs_pb2.CreateRunRequest(
        thread_id=thread, assistant_id="gated", input=gate.input, interrupt_after=["gate"]
    )
    run = runs.CreateRun(request, timeout=DEADLINE).run
    busy = get_thread(threads, thread)
    assert (busy.status, busy.assistant_id) == (BUSY, "gated")
    gate.open()
    wait(runs, run.run_id)
    paused = get_thread(threads, thread)
    assert paused.status == INTERRUPTED
    assert [pause_shape(pause) for pause in paused.pauses] == [("BREAKPOINT_AFTER", "gate")]
    assert paused.next == ["after"]
    assert paused.checkpoint_id == paused.pauses[0].checkpoint_id
    stream(runs, thread_id=thread, resume={})
    idle = get_thread(threads, thread)
    assert (idle.status, list(idle.next), list(idle.pauses)) == (IDLE, [], [])
    times = [t.ToNanoseconds() for t in (busy.update_time, paused.update_time, idle.update_time)]
    assert times == sorted(times)
    assert idle.create_time == busy.create_time


def test_a_thread_whose_run_waits_for_its_time_is_busy(runs: Runs, threads: Threads) -> None:
    thread = new_thread(threads)
    request = runs_pb2.CreateRunRequest(
        thread_id=thread, assistant_id="linear", input=LOG, start_delay=Duration(seconds=3600)
    )
    run = runs.CreateRun(request, timeout=DEADLINE).run
    assert get_thread(threads, thread).status == BUSY
    runs.CancelRun(runs_pb2.CancelRunRequest(run_id=run.run_id), timeout=DEADLINE)
    assert get_thread(threads, thread).status == IDLE


def test_a_thread_whose_run_failed_says_why(runs: Runs, threads: Threads) -> None:
    thread = new_thread(threads)
    stream(runs, thread_id=thread, assistant_id="boom", input=LOG)
    failed = get_thread(threads, thread)
    assert (failed.status, list(failed.next)) == (ERROR, ["explode"])
    assert failed.error == run_pb2.RunError(
        type="ValueError", message="count must be 1 at least — it's 0", node="explode"
    )
    stream(runs, thread_id=thread, assistant_id="boom", input=payload({"count": 1}))
    well = get_thread(threads, thread)
    assert (well.status, well.HasField("error")) == (IDLE, False)


def test_threads_are_found_by_status(runs: Runs, threads: Threads, mark: str, gate: Gate) -> None:
    marked = payload({"mark": mark})
    idle, busy, paused, failed = (new_thread(threads, metadata=marked) for _ in range(4))
    request = runs_pb2.CreateRunRequest(thread_id=busy, assistant_id="gated", input=gate.input)
    runs.CreateRun(request, timeout=DEADLINE)
    stream(runs, thread_id=paused, assistant_id="stops", input=LOG)
    stream(runs, thread_id=failed, assistant_id="boom", input=LOG)

    def by(*statuses: threads_pb2.ThreadStatus.ValueType) -> list[str]:
        return found(threads, metadata=marked, statuses=statuses)

    assert [by(IDLE), by(BUSY), by(INTERRUPTED), by(ERROR)] == [[idle], [busy], [paused], [failed]]
    assert by(IDLE, ERROR, IDLE) == [failed, idle]
    assert by() == [failed, paused, busy, idle]


METADATA = {"n": 1, "s": "x", "b": True, "z": None, "o": {"p": {"q": [1, {"r": 2}]}, "t": 3}}


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"n": 1},
        {"n": 1.0},
        {"s": "x", "b": True},
        {"z": None},
        {"o": {}},
        {"o": {"p": {}}},
        {"o": {"t": 3}},
        {"o": {"p": {"q": [1, {"r": 2}]}}},
        METADATA,
    ],
    ids=json.dumps,
)
def test_a_thread_is_found_by_what_its_metadata_contains(
    threads: Threads, mark: str, wanted: dict[str, Any]
) -> None:
    thread = new_thread(threads, metadata=payload({**METADATA, "mark": mark}))
    assert found(threads, metadata=payload({**wanted, "mark": mark})) == [thread]


@pytest.mark.parametrize(
    "wanted",
    [
        {"n": 2},
        {"n": "1"},
        {"n": True},
        {"n": None},
        {"b": 1},
        {"s": "X"},
        {"s": {}},
        {"missing": None},
        {"z": {}},
        {"o": None},
        {"o": {"p": {"q": [1]}}},
        {"o": {"p": {"q": [{"r": 2}, 1]}}},
        {"o": {"p": {"q": [1, {}]}}},
        {"o": {"q": [1, {"r": 2}]}},
        {"%": 1},
        {"s": "%"},
    ],
    ids=json.dumps,
)
def test_a_thread_is_not_found_by_what_its_metadata_does_not_contain(
    threads: Threads, mark: str, wanted: dict[str, Any]
) -> None:
    new_thread(threads, metadata=payload({**METADATA, "mark": mark}))
    assert found(threads, metadata=payload({**wanted, "mark": mark})) == []


def test_keys_that_look_like_paths_or_sql_are_plain_keys(threads: Threads, mark: str) -> None:
    odd = {"a.b": 1, "$[0]": 2, 'q"uote': 3, "'; DROP TABLE gw_threads; --": 4, "": 5, "ü\n": 6}
    thread = new_thread(threads, metadata=payload({"mark": mark, **odd}))
    new_thread(threads, metadata=payload({"mark": mark, "a": {"b": 1}}))
    for key, content in odd.items():
        assert found(threads, metadata=payload({"mark": mark, key: content})) == [thread]


def test_threads_are_found_by_assistant(runs: Runs, threads: Threads, mark: str) -> None:
    marked = payload({"mark": mark})
    linear, loop, _ = (new_thread(threads, metadata=marked) for _ in range(3))
    stream(runs, thread_id=linear, assistant_id="linear", input=LOG)
    stream(runs, thread_id=loop, assistant_id="loop", input=LOG)
    assert found(threads, metadata=marked, assistant_id="linear") == [linear]
    assert found(threads, metadata=marked, assistant_id="loop") == [loop]
    assert found(threads, metadata=marked, assistant_id="line") == []
    assert found(threads, metadata=marked, assistant_id="nobody") == []


def test_threads_are_found_by_their_state_as_of_the_last_end_pause_or_edit(
    runs: Runs, threads: Threads, mark: str
) -> None:
    marked = payload({"mark": mark})
    new, done, paused, failed = (new_thread(threads, metadata=marked) for _ in range(4))

    def by(values: Any) -> list[str]:
        return found(threads, metadata=marked, values=payload(values))

    assert by({}) == []
    stream(runs, thread_id=done, assistant_id="linear", input=payload({"log": ["in"], "count": 7}))
    stream(runs, thread_id=paused, assistant_id="stops", input=LOG)
    stream(runs, thread_id=failed, assistant_id="boom", input=LOG)
    assert by({}) == [failed, paused, done]
    assert by({"log": ["in", "a", "b", "c"]}) == by({"count": 7}) == [done]
    assert by({"log": ["in", "a"]}) == [paused]
    assert by({"log": ["in", "fine"]}) == [failed]
    assert by({"log": ["in"]}) == []
    stream(runs, thread_id=paused, resume={})
    assert by({"log": ["in", "a"]}) == []
    request = threads_pb2.UpdateThreadStateRequest(
        thread_id=new, values=payload({"count": 7}), as_node="a", assistant_id="linear"
    )
    threads.UpdateThreadState(request, timeout=DEADLINE)
    assert by({"count": 7}) == [done, new]


def test_all_of_a_filter_must_be_true(runs: Runs, threads: Threads, mark: str) -> None:
    marked = payload({"mark": mark})
    thread = new_thread(threads, metadata=marked)
    stream(runs, thread_id=thread, assistant_id="stops", input=LOG)
    right: dict[str, Any] = {
        "statuses": [INTERRUPTED],
        "metadata": marked,
        "assistant_id": "stops",
        "values": payload({"log": ["in", "a"]}),
    }
    assert found(threads, **right) == [thread]
    wrong = {
        "statuses": [IDLE],
        "metadata": payload({"mark": "no"}),
        "assistant_id": "linear",
        "values": payload({"log": ["in"]}),
    }
    for name, other in wrong.items():
        assert found(threads, **{**right, name: other}) == []


def test_without_a_filter_all_threads_are_counted(threads: Threads) -> None:
    before = threads.CountThreads(threads_pb2.CountThreadsRequest(), timeout=DEADLINE).count
    newest = new_thread(threads)
    after = threads.CountThreads(threads_pb2.CountThreadsRequest(), timeout=DEADLINE).count
    assert after == before + 1
    listed = threads.ListThreads(threads_pb2.ListThreadsRequest(page_size=1), timeout=DEADLINE)
    assert listed.threads[0].thread_id == newest


def test_what_is_listed_is_what_is_got(runs: Runs, threads: Threads, mark: str) -> None:
    thread = new_thread(threads, metadata=payload({"mark": mark}))
    stream(runs, thread_id=thread, assistant_id="stop_and_ask", input=LOG)
    which = threads_pb2.ThreadFilter(metadata=payload({"mark": mark}))
    listed = threads.ListThreads(threads_pb2.ListThreadsRequest(filter=which), timeout=DEADLINE)
    assert list(listed.threads) == [get_thread(threads, thread)]
    assert len(listed.threads[0].pauses) == 2


def test_the_thread_of_a_stateless_run_is_in_no_list_but_can_be_got(
    runs: Runs, threads: Threads
) -> None:
    count = threads.CountThreads(threads_pb2.CountThreadsRequest(), timeout=DEADLINE).count
    events = stream(runs, assistant_id="linear", input=LOG)
    thread = get_thread(threads, events[0].metadata.thread_id)
    assert (thread.stateless, thread.status, thread.assistant_id) == (True, IDLE, "linear")
    counted = threads.CountThreads(threads_pb2.CountThreadsRequest(), timeout=DEADLINE).count
    assert counted == count
    listed = threads.ListThreads(threads_pb2.ListThreadsRequest(page_size=1000), timeout=DEADLINE)
    assert thread.thread_id not in [t.thread_id for t in listed.threads]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({}, {"a": 1, "o": {"p": 1, "q": [1]}}),
        ({"a": 2}, {"a": 2, "o": {"p": 1, "q": [1]}}),
        ({"b": 2}, {"a": 1, "o": {"p": 1, "q": [1]}, "b": 2}),
        ({"a": None}, {"o": {"p": 1, "q": [1]}}),
        ({"missing": None}, {"a": 1, "o": {"p": 1, "q": [1]}}),
        ({"o": {"p": None, "r": 2}}, {"a": 1, "o": {"q": [1], "r": 2}}),
        ({"o": {"q": [2]}}, {"a": 1, "o": {"p": 1, "q": [2]}}),
        ({"o": 5}, {"a": 1, "o": 5}),
        ({"a": {"x": {"y": None, "z": 1}}}, {"a": {"x": {"z": 1}}, "o": {"p": 1, "q": [1]}}),
        ({"o": {"q": [None]}}, {"a": 1, "o": {"p": 1, "q": [None]}}),
    ],
    ids=lambda v: json.dumps(v),
)
def test_an_update_is_merged_into_the_metadata(
    threads: Threads, patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    thread = create(threads, metadata=payload({"a": 1, "o": {"p": 1, "q": [1]}}))
    changed = update(threads, thread.thread_id, patch)
    assert value(changed.metadata) == expected
    assert changed == get_thread(threads, thread.thread_id)
    assert changed.update_time.ToNanoseconds() > thread.update_time.ToNanoseconds()
    changed.metadata.CopyFrom(thread.metadata)
    changed.update_time.CopyFrom(thread.update_time)
    assert changed == thread


def test_updates_of_many_at_once_all_arrive(threads: Threads) -> None:
    thread = new_thread(threads)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: update(threads, thread, {str(n): n}), range(40)))
    assert value(get_thread(threads, thread).metadata) == {str(n): n for n in range(40)}


def test_an_update_touches_neither_a_pause_nor_a_busy_run(
    runs: Runs, threads: Threads, gate: Gate
) -> None:
    paused, busy = new_thread(threads), new_thread(threads)
    stream(runs, thread_id=paused, assistant_id="stops", input=LOG)
    before = get_thread(threads, paused)
    changed = update(threads, paused, {"a": 1})
    assert (changed.status, changed.pauses) == (INTERRUPTED, before.pauses)
    assert changed.checkpoint_id == before.checkpoint_id
    request = runs_pb2.CreateRunRequest(thread_id=busy, assistant_id="gated", input=gate.input)
    run = runs.CreateRun(request, timeout=DEADLINE).run
    assert update(threads, busy, {"a": 1}).status == BUSY
    gate.open()
    assert wait(runs, run.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert value(get_thread(threads, busy).metadata) == {"a": 1}


def test_a_deleted_thread_is_gone_with_all_that_belonged_to_it(
    runs: Runs, threads: Threads, mark: str
) -> None:
    marked = payload({"mark": mark})
    create(threads, thread_id=mark, metadata=marked)
    run_id = stream(runs, thread_id=mark, assistant_id="stops", input=LOG)[0].run_id
    checkpoint = get_thread(threads, mark).checkpoint_id
    delete_thread(threads, mark)

    assert found(threads, metadata=marked) == []
    calls: list[tuple[Any, Any]] = [
        (threads.GetThread, threads_pb2.GetThreadRequest(thread_id=mark)),
        (threads.GetThreadState, threads_pb2.GetThreadStateRequest(thread_id=mark)),
        (threads.ListThreadHistory, threads_pb2.ListThreadHistoryRequest(thread_id=mark)),
        (threads.DeleteThread, threads_pb2.DeleteThreadRequest(thread_id=mark)),
        (runs.ListRuns, runs_pb2.ListRunsRequest(thread_id=mark)),
    ]
    for rpc, request in calls:
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            rpc(request, timeout=DEADLINE)
    with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
        stream(runs, thread_id=mark, resume={})
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        runs.GetRun(runs_pb2.GetRunRequest(run_id=run_id), timeout=DEADLINE)
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        list(runs.JoinRun(runs_pb2.JoinRunRequest(run_id=run_id), timeout=DEADLINE))

    # Another thread of the same name has nothing of it.
    assert create(threads, thread_id=mark).status == IDLE
    assert not state(threads, mark).HasField("values")
    with refused("NOT_FOUND", "CHECKPOINT_NOT_FOUND"):
        older = threads_pb2.GetThreadStateRequest(thread_id=mark, checkpoint_id=checkpoint)
        threads.GetThreadState(older, timeout=DEADLINE)
    with refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME"):
        stream(runs, thread_id=mark, resume={})
    stream(runs, thread_id=mark, assistant_id="linear", input=LOG)
    assert value(state(threads, mark).values) == {"log": ["in", "a", "b", "c"]}


def test_a_busy_thread_cannot_be_deleted_and_its_run_goes_on(
    runs: Runs, threads: Threads, gate: Gate
) -> None:
    thread = new_thread(threads)
    request = runs_pb2.CreateRunRequest(thread_id=thread, assistant_id="gated", input=gate.input)
    run = runs.CreateRun(request, timeout=DEADLINE).run
    with refused("FAILED_PRECONDITION", "THREAD_BUSY") as refusal:
        delete_thread(threads, thread)
    assert refusal.metadata == {"thread_id": thread, "run_id": run.run_id}
    gate.open()
    assert wait(runs, run.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    delete_thread(threads, thread)


def test_a_state_that_its_graph_refuses_changes_nothing(runs: Runs, threads: Threads) -> None:
    thread = new_thread(threads)
    stream(runs, thread_id=thread, assistant_id="stops", input=LOG)
    before = (get_thread(threads, thread), state(threads, thread))
    request = threads_pb2.UpdateThreadStateRequest(thread_id=thread, values=payload({"log": 1}))
    with refused("INVALID_ARGUMENT", "INVALID_UPDATE", "values") as refusal:
        threads.UpdateThreadState(request, timeout=DEADLINE)
    assert "TypeError: can only concatenate list" in refusal.text
    assert (get_thread(threads, thread), state(threads, thread)) == before
    stream(runs, thread_id=thread, resume={})
    assert value(state(threads, thread).values) == {"log": ["in", "a", "b", "c"]}
