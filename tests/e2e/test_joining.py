"""Joining runs: from any event, at any time, on any connection, exactly the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from graphwire.v1 import (
    run_event_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import (
    DEADLINE,
    checked,
    create,
    get_run,
    get_thread,
    join,
    list_runs,
    new_thread,
    payload,
    refused,
    shape,
    shapes,
    stream,
    wait,
)
from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})
EVERYTHING = [m for m in run_pb2.StreamMode.values() if m != run_pb2.STREAM_MODE_UNSPECIFIED]
CUSTOM = [run_pb2.STREAM_MODE_CUSTOM]
CANCEL = run_pb2.ON_DISCONNECT_CANCEL


def open_join(
    runs: runs_pb2_grpc.RunsStub, run_id: str, after: int = 0, timeout: float = DEADLINE
) -> Any:
    """Joins a run and returns the call, to be read step by step."""
    request = runs_pb2.JoinRunRequest(run_id=run_id, after_sequence=after)
    return runs.JoinRun(request, timeout=timeout)


def read(call: Any, count: int) -> list[run_event_pb2.RunEvent]:
    """Reads so many events, heartbeats left out."""
    events: list[run_event_pb2.RunEvent] = []
    while len(events) < count:
        event = next(call).event
        if event.WhichOneof("event") != "heartbeat":
            events.append(event)
    return events


def rest(call: Any) -> list[run_event_pb2.RunEvent]:
    """Reads what is left, heartbeats left out."""
    return [r.event for r in call if r.event.WhichOneof("event") != "heartbeat"]


def wire(events: list[run_event_pb2.RunEvent]) -> list[bytes]:
    """Events as bytes."""
    return [event.SerializeToString(deterministic=True) for event in events]


# --- after the end ---


@pytest.mark.parametrize("graph", ["linear", "fanout", "ask_in_child", "boom"])
def test_joining_a_run_that_is_over_gives_exactly_what_came_after(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, graph: str
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id=graph,
        input=LOG,
        stream_modes=EVERYTHING,
        stream_subgraphs=True,
    )
    run_id = events[0].run_id
    assert get_run(runs, run_id).last_sequence == len(events)
    for after in range(len(events) + 1):
        joined = open_join(runs, run_id, after)
        assert wire(rest(joined)) == wire(events[after:])
        # That there is nothing more is said, also where there is no event to say it.
        assert dict(joined.trailing_metadata())["graphwire-end-sequence"] == str(len(events))


def test_joining_beyond_the_last_event_is_out_of_range(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    events = stream(runs, thread_id=new_thread(threads), assistant_id="linear", input=LOG)
    with refused("OUT_OF_RANGE", "SEQUENCE_OUT_OF_RANGE", "after_sequence") as refusal:
        rest(open_join(runs, events[0].run_id, len(events) + 1))
    assert refusal.metadata == {"last_sequence": str(len(events))}

    # Also while there are more to come: nobody can have seen them.
    running = create(
        runs, thread_id=new_thread(threads), assistant_id="gated", input=gate.input
    ).run_id
    gate.wait_begun()
    with refused("OUT_OF_RANGE", "SEQUENCE_OUT_OF_RANGE", "after_sequence"):
        rest(open_join(runs, running, 2**63 - 1))
    gate.open()
    wait(runs, running)


def test_there_is_no_joining_a_run_that_does_not_exist(
    runs: runs_pb2_grpc.RunsStub,
) -> None:
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        rest(open_join(runs, "00000000-0000-0000-0000-000000000000"))


# --- while it runs ---


def test_joining_a_run_that_goes_on_gives_what_was_and_what_comes(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    request = runs_pb2.StreamRunRequest(
        thread_id=new_thread(threads),
        assistant_id="metronome",
        input=gate.input,
        stream_modes=EVERYTHING,
    )
    streamed = runs.StreamRun(request, timeout=DEADLINE)
    begun = read(streamed, 60)
    run_id = begun[0].run_id
    calls = {after: open_join(runs, run_id, after) for after in range(0, 60, 3)}
    # Everyone is past the place where the others joined before it goes on to its end.
    parts = {after: read(call, 70 - after) for after, call in calls.items()}
    gate.open()
    events = begun + rest(streamed)
    checked(events)
    assert shape(events[-1]) == ("end", "SUCCEEDED")
    for after, call in calls.items():
        assert wire(parts[after] + rest(call)) == wire(events[after:])
    assert wire(join(runs, run_id)) == wire(events)


def test_hundreds_can_read_one_run_and_each_gets_all_of_it(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    run = create(
        runs,
        thread_id=new_thread(threads),
        assistant_id="gated",
        input=gate.input,
        stream_modes=EVERYTHING,
    )
    gate.wait_begun()
    seen = get_run(runs, run.run_id).last_sequence
    calls = [open_join(runs, run.run_id, number % (seen + 1)) for number in range(300)]
    gate.open()
    parts = [rest(call) for call in calls]
    events = join(runs, run.run_id)
    for number, part in enumerate(parts):
        assert wire(part) == wire(events[number % (seen + 1) :])


def test_readers_who_stop_reading_lose_nothing(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    # More than is on its way to a reader, or at hand in the server, when the run is over.
    run = create(
        runs,
        thread_id=new_thread(threads),
        assistant_id="ticker",
        input=payload({"log": [], "count": 2500}),
        stream_modes=CUSTOM,
    )
    calls = [open_join(runs, run.run_id) for _ in range(20)]
    begun = [read(call, 1) for call in calls]
    wait(runs, run.run_id)
    events = join(runs, run.run_id)
    assert len(events) == 2502
    for first, call in zip(begun, calls, strict=True):
        assert wire(first + rest(call)) == wire(events)


def test_a_client_that_is_cut_off_again_and_again_sees_each_event_exactly_once(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    request = runs_pb2.StreamRunRequest(
        thread_id=new_thread(threads),
        assistant_id="metronome",
        input=gate.input,
        stream_modes=CUSTOM,
    )
    call = runs.StreamRun(request, timeout=DEADLINE)
    events = read(call, 1)
    run_id = events[0].run_id
    for number in range(40):
        events += read(call, number % 7)
        call.cancel()
        call = open_join(runs, run_id, events[-1].sequence)
    gate.open()
    events += rest(call)
    checked(events)
    ticks = [shape(event)[1]["tick"] for event in events if event.HasField("custom")]
    assert ticks == list(range(len(ticks)))
    assert wire(join(runs, run_id)) == wire(events)


def test_joining_a_run_that_waits_for_its_turn_gives_it_from_its_first_event(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    thread = new_thread(threads)
    first = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
    second = create(
        runs,
        thread_id=thread,
        assistant_id="gated",
        input=gate.input,
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    )
    assert second.status == run_pb2.RUN_STATUS_PENDING
    call = open_join(runs, second.run_id)
    gate.open()
    events = checked(rest(call))
    assert shapes(events) == [
        ("updates", "before", {"log": ["before"]}),
        ("updates", "gate", {"log": ["gate"]}),
        ("updates", "after", {"log": ["after"]}),
        ("end", "SUCCEEDED"),
    ]
    assert get_run(runs, first.run_id).status == run_pb2.RUN_STATUS_SUCCEEDED


def test_a_reader_that_stands_still_holds_nothing_up_and_loses_nothing(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    # Far more than the buffers between server and client hold.
    thread = new_thread(threads)
    long = "x" * 1_000_000
    request = runs_pb2.StreamRunRequest(
        thread_id=thread,
        assistant_id="linear",
        input=payload({"log": [long]}),
        stream_modes=EVERYTHING,
    )
    call = runs.StreamRun(request, timeout=DEADLINE)
    events = read(call, 1)
    ended = wait(runs, events[0].run_id).run
    assert ended.status == run_pb2.RUN_STATUS_SUCCEEDED
    events = checked(events + rest(call))
    assert len(events) == ended.last_sequence
    assert sum(event.ByteSize() for event in events) > 10_000_000
    said = [shape(event) for event in events if event.HasField("values")]
    assert said[-1] == ("values", {"log": [long, "a", "b", "c"]})


def test_a_reader_that_falls_far_behind_many_events_loses_nothing(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    request = runs_pb2.StreamRunRequest(
        thread_id=new_thread(threads),
        assistant_id="ticker",
        input=payload({"log": ["in"], "count": 3000}),
        stream_modes=CUSTOM,
    )
    call = runs.StreamRun(request, timeout=DEADLINE)
    events = read(call, 1)
    wait(runs, events[0].run_id)
    events = checked(events + rest(call))
    assert shapes(events) == [("custom", {"tick": n}) for n in range(3000)] + [("end", "SUCCEEDED")]


# --- who goes away ---


def hang_up(call: Any) -> None:
    call.cancel()


def run_out_of_time(call: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        rest(call)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


LEAVING = [(hang_up, DEADLINE), (run_out_of_time, 1.0)]


@pytest.mark.parametrize(
    ("leave", "timeout"),
    [(hang_up, DEADLINE), (run_out_of_time, 1.0)],
    ids=["hangs up", "deadline"],
)
@pytest.mark.parametrize(
    "on_disconnect", [run_pb2.ON_DISCONNECT_UNSPECIFIED, run_pb2.ON_DISCONNECT_CONTINUE]
)
def test_a_run_goes_on_when_the_client_that_started_it_goes_away(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    gate: Gate,
    leave: Callable[[Any], None],
    timeout: float,
    on_disconnect: run_pb2.OnDisconnect.ValueType,
) -> None:
    request = runs_pb2.StreamRunRequest(
        thread_id=new_thread(threads),
        assistant_id="gated",
        input=gate.input,
        on_disconnect=on_disconnect,
    )
    call = runs.StreamRun(request, timeout=timeout)
    events = read(call, 2)
    gate.wait_begun()
    leave(call)
    run = get_run(runs, events[0].run_id)
    assert (run.status, run.cancel_requested) == (run_pb2.RUN_STATUS_RUNNING, False)
    gate.open()
    assert shapes(join(runs, run.run_id, 2)) == [
        ("updates", "gate", {"log": ["gate"]}),
        ("updates", "after", {"log": ["after"]}),
        ("end", "SUCCEEDED"),
    ]


@pytest.mark.parametrize(
    ("leave", "timeout"),
    [(hang_up, DEADLINE), (run_out_of_time, 1.0)],
    ids=["hangs up", "deadline"],
)
def test_with_on_disconnect_cancel_the_run_is_cancelled(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    gate: Gate,
    leave: Callable[[Any], None],
    timeout: float,
) -> None:
    thread = new_thread(threads)
    request = runs_pb2.StreamRunRequest(
        thread_id=thread, assistant_id="gated", input=gate.input, on_disconnect=CANCEL
    )
    call = runs.StreamRun(request, timeout=timeout)
    events = read(call, 2)
    gate.wait_begun()
    leave(call)
    assert shapes(join(runs, events[0].run_id, 2)) == [("end", "CANCELLED")]
    assert get_run(runs, events[0].run_id).cancel_requested
    left = get_thread(threads, thread)
    assert (left.status, list(left.next)) == (threads_pb2.THREAD_STATUS_IDLE, ["gate"])


def test_with_on_disconnect_cancel_a_run_that_waits_for_its_turn_is_cancelled_too(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    request = runs_pb2.StreamRunRequest(
        thread_id=thread,
        assistant_id="linear",
        input=LOG,
        on_disconnect=CANCEL,
        start_delay=duration_pb2.Duration(seconds=3600),
    )
    call = runs.StreamRun(request, timeout=DEADLINE)
    until(lambda: list_runs(runs, thread))
    call.cancel()
    (run,) = list_runs(runs, thread)
    assert shapes(join(runs, run.run_id)) == [("end", "CANCELLED")]
    assert get_thread(threads, thread).status == threads_pb2.THREAD_STATUS_IDLE


@pytest.mark.parametrize(("leave", "timeout"), LEAVING, ids=["hangs up", "deadline"])
@pytest.mark.parametrize("on_disconnect", [run_pb2.ON_DISCONNECT_UNSPECIFIED, CANCEL])
def test_one_who_joins_says_what_becomes_of_the_run_when_he_goes_away(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    gate: Gate,
    leave: Callable[[Any], None],
    timeout: float,
    on_disconnect: run_pb2.OnDisconnect.ValueType,
) -> None:
    request = runs_pb2.CreateRunRequest(
        thread_id=new_thread(threads), assistant_id="gated", input=gate.input
    )
    run_id = runs.CreateRun(request, timeout=DEADLINE).run.run_id
    gate.wait_begun()
    joins = runs_pb2.JoinRunRequest(run_id=run_id, on_disconnect=on_disconnect)
    call = runs.JoinRun(joins, timeout=timeout)
    read(call, 2)
    leave(call)
    if on_disconnect == CANCEL:
        assert shapes(join(runs, run_id, 2)) == [("end", "CANCELLED")]
    else:
        assert not get_run(runs, run_id).cancel_requested
        gate.open()
        assert shapes(join(runs, run_id, 2))[-1] == ("end", "SUCCEEDED")


def wait_and_hang_up(runs: runs_pb2_grpc.RunsStub, waits: runs_pb2.WaitRunRequest) -> None:
    call = runs.WaitRun.future(waits, timeout=DEADLINE)
    get_run(runs, waits.run_id)  # which goes over the same connection, after the other
    call.cancel()


def wait_too_long(runs: runs_pb2_grpc.RunsStub, waits: runs_pb2.WaitRunRequest) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        runs.WaitRun(waits, timeout=1.0)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("leave", [wait_and_hang_up, wait_too_long], ids=["hangs up", "deadline"])
@pytest.mark.parametrize("on_disconnect", [run_pb2.ON_DISCONNECT_UNSPECIFIED, CANCEL])
def test_one_who_waits_says_what_becomes_of_the_run_when_he_goes_away(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    gate: Gate,
    leave: Callable[[runs_pb2_grpc.RunsStub, runs_pb2.WaitRunRequest], None],
    on_disconnect: run_pb2.OnDisconnect.ValueType,
) -> None:
    thread = new_thread(threads)
    request = runs_pb2.CreateRunRequest(thread_id=thread, assistant_id="gated", input=gate.input)
    run_id = runs.CreateRun(request, timeout=DEADLINE).run.run_id
    gate.wait_begun()
    waits = runs_pb2.WaitRunRequest(run_id=run_id, on_disconnect=on_disconnect)
    leave(runs, waits)
    if on_disconnect == CANCEL:
        assert shapes(join(runs, run_id, 2)) == [("end", "CANCELLED")]
        left = get_thread(threads, thread)
        assert (left.status, list(left.next)) == (threads_pb2.THREAD_STATUS_IDLE, ["gate"])
    else:
        assert not get_run(runs, run_id).cancel_requested
        gate.open()
        assert shapes(join(runs, run_id, 2))[-1] == ("end", "SUCCEEDED")


def test_a_wait_that_is_answered_or_refused_cancels_nothing(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    run = create(runs, thread_id=thread, assistant_id="linear", input=LOG, interrupt_before=["b"])
    waits = runs_pb2.WaitRunRequest(run_id=run.run_id, on_disconnect=CANCEL)
    answer = runs.WaitRun(waits, timeout=DEADLINE)
    assert (answer.run.status, len(answer.pauses)) == (run_pb2.RUN_STATUS_INTERRUPTED, 1)
    assert get_thread(threads, thread).status == threads_pb2.THREAD_STATUS_INTERRUPTED
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        waits.run_id = "00000000-0000-4000-8000-000000000000"
        runs.WaitRun(waits, timeout=DEADLINE)


def test_a_join_that_is_refused_cancels_nothing(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    request = runs_pb2.CreateRunRequest(
        thread_id=new_thread(threads), assistant_id="gated", input=gate.input
    )
    run_id = runs.CreateRun(request, timeout=DEADLINE).run.run_id
    gate.wait_begun()
    joins = runs_pb2.JoinRunRequest(run_id=run_id, after_sequence=99, on_disconnect=CANCEL)
    with refused("OUT_OF_RANGE", "SEQUENCE_OUT_OF_RANGE", "after_sequence"):
        list(runs.JoinRun(joins, timeout=DEADLINE))
    gate.open()
    assert shapes(join(runs, run_id, 2))[-1] == ("end", "SUCCEEDED")


def test_on_disconnect_is_about_the_call_that_started_the_run_and_no_other(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, gate: Gate
) -> None:
    request = runs_pb2.StreamRunRequest(
        thread_id=new_thread(threads),
        assistant_id="metronome",
        input=gate.input,
        on_disconnect=CANCEL,
        stream_modes=CUSTOM,
    )
    call = runs.StreamRun(request, timeout=DEADLINE)
    run_id = read(call, 1)[0].run_id
    joined = open_join(runs, run_id)
    read(joined, 5)
    joined.cancel()
    read(call, 20)
    gate.open()
    assert shape(rest(call)[-1]) == ("end", "SUCCEEDED")
    assert get_run(runs, run_id).status == run_pb2.RUN_STATUS_SUCCEEDED


# --- heartbeats ---


@pytest.fixture
def restless(
    own_server: Callable[..., ServerProcess],
) -> Iterator[tuple[runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub]]:
    """A server that sends heartbeats ten times a second."""
    process = own_server(env={"GRAPHWIRE_HEARTBEAT_SECONDS": "0.1"})
    with grpc.insecure_channel(process.address) as channel:
        yield runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)


def test_a_quiet_stream_carries_heartbeats_which_are_no_events_of_the_run(
    restless: tuple[runs_pb2_grpc.RunsStub, threads_pb2_grpc.ThreadsStub], gate: Gate
) -> None:
    runs, threads = restless
    request = runs_pb2.StreamRunRequest(
        thread_id=new_thread(threads), assistant_id="gated", input=gate.input
    )
    call = runs.StreamRun(request, timeout=DEADLINE)
    begun = [next(call).event for _ in range(6)]
    kinds = [event.WhichOneof("event") for event in begun]
    assert kinds == ["metadata", "updates", *["heartbeat"] * 4]
    run_id = begun[0].run_id
    for heartbeat in begun[2:]:
        assert (heartbeat.run_id, heartbeat.sequence) == (run_id, 0)
        assert heartbeat.event_time.ToNanoseconds() > begun[1].event_time.ToNanoseconds()
    pauses = [event.event_time.ToNanoseconds() for event in begun[2:]]
    assert pauses == sorted(pauses)

    # Also for those who join, after the last event; and none is kept.
    joined = open_join(runs, run_id, 2)
    assert next(joined).event.WhichOneof("event") == "heartbeat"
    assert get_run(runs, run_id).last_sequence == 2
    gate.open()
    assert [event.sequence for event in rest(call)] == [3, 4, 5]
    events = [r.event for r in open_join(runs, run_id)]
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]


# --- what was shown is never lost ---


def test_what_a_client_has_seen_survives_kill_9_of_the_server(
    own_server: Callable[..., ServerProcess], gates: Callable[[], Gate]
) -> None:
    process = own_server()
    seen: dict[str, list[run_event_pb2.RunEvent]] = {}
    gate = gates()
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        calls = {}
        for _ in range(4):
            thread = new_thread(threads)
            request = runs_pb2.StreamRunRequest(
                thread_id=thread,
                assistant_id="metronome",
                input=gate.input,
                stream_modes=EVERYTHING,
            )
            calls[thread] = runs.StreamRun(request, timeout=DEADLINE)
            gate.wait_begun()
        for count, (thread, call) in enumerate(calls.items()):
            seen[thread] = read(call, 20 + 50 * count)
        process.kill()
        for thread, call in calls.items():
            with pytest.raises(grpc.RpcError) as lost:
                seen[thread].extend(r.event for r in call)
            assert lost.value.code() is grpc.StatusCode.UNAVAILABLE

    process.start()
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        gate.open()
        for thread, events in seen.items():
            kept = join(runs, events[0].run_id)
            assert wire(kept[: len(events)]) == wire(events)
            # What had finished stays finished, and is not told again; what had not runs again.
            begun = [event.attempt for event in kept].index(2)
            assert len(events) <= begun
            assert kept[begun].WhichOneof("event") == "attempt_started"
            started = [e.task_started.node for e in kept if e.HasField("task_started")]
            assert started == ["before", "gate", "gate", "after"]
            updates = [e.updates.node for e in kept if e.HasField("updates")]
            assert updates == ["before", "gate", "after"]
            run = get_run(runs, events[0].run_id)
            assert (run.status, run.attempt) == (run_pb2.RUN_STATUS_SUCCEEDED, 2)
            assert get_thread(threads, thread).status == threads_pb2.THREAD_STATUS_IDLE
