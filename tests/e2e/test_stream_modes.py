"""Stream modes: which events a run records and streams, in which order."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from graphwire.v1 import run_event_pb2, run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, new_thread, payload, shape, shapes, stream, value

Shape = tuple[Any, ...]
#: The namespace ("" for the root) and the shape of an event.
Step = tuple[str, Shape]

LOG = payload({"log": ["in"]})
MODES = {
    "VALUES": {"values"},
    "UPDATES": {"updates"},
    "MESSAGES": {"message"},
    "TASKS": {"task_started", "task_finished"},
    "CHECKPOINTS": {"checkpoint"},
    "CUSTOM": {"custom"},
    "DEBUG": {"task_started", "task_finished", "checkpoint"},
}


def root(*said: Any) -> Step:
    return "", said


def child(kind: str, *said: Any) -> Step:
    return "child", (kind, "child", *said)


LINEAR = [
    root("checkpoint", "input", -1, {"log": []}, ["__start__"]),
    root("values", {"log": ["in"]}),
    root("checkpoint", "loop", 0, {"log": ["in"]}, ["a"]),
    root("task_started", "a", {"log": ["in"]}),
    root("updates", "a", {"log": ["a"]}),
    root("task_finished", "a", ""),
    root("values", {"log": ["in", "a"]}),
    root("checkpoint", "loop", 1, {"log": ["in", "a"]}, ["b"]),
    root("task_started", "b", {"log": ["in", "a"]}),
    root("updates", "b", {"log": ["b"]}),
    root("task_finished", "b", ""),
    root("values", {"log": ["in", "a", "b"]}),
    root("checkpoint", "loop", 2, {"log": ["in", "a", "b"]}, ["c"]),
    root("task_started", "c", {"log": ["in", "a", "b"]}),
    root("updates", "c", {"log": ["c"]}),
    root("task_finished", "c", ""),
    root("values", {"log": ["in", "a", "b", "c"]}),
    root("checkpoint", "loop", 3, {"log": ["in", "a", "b", "c"]}, []),
    root("end", "SUCCEEDED"),
]
ASK_IN_CHILD = [
    root("checkpoint", "input", -1, {"log": []}, ["__start__"]),
    root("values", {"log": ["in"]}),
    root("checkpoint", "loop", 0, {"log": ["in"]}, ["before"]),
    root("task_started", "before", {"log": ["in"]}),
    root("updates", "before", {"log": ["before"]}),
    root("task_finished", "before", ""),
    root("values", {"log": ["in", "before"]}),
    root("checkpoint", "loop", 1, {"log": ["in", "before"]}, ["child"]),
    root("task_started", "child", {"log": ["in", "before"]}),
    child("checkpoint", "input", -1, {"log": []}, ["__start__"]),
    child("values", {"log": ["in", "before"]}),
    child("checkpoint", "loop", 0, {"log": ["in", "before"]}, ["first"]),
    child("task_started", "first", {"log": ["in", "before"]}),
    child("updates", "first", {"log": ["first"]}),
    child("task_finished", "first", ""),
    child("values", {"log": ["in", "before", "first"]}),
    child("checkpoint", "loop", 1, {"log": ["in", "before", "first"]}, ["ask"]),
    child("task_started", "ask", {"log": ["in", "before", "first"]}),
    child("task_finished", "ask", ""),
    root("task_finished", "child", ""),
    root("interrupted", [("INTERRUPT", "child/ask", {"question": "child"})], ["child"]),
    root("end", "INTERRUPTED"),
]
FANOUT = [
    root("checkpoint", "input", -1, {"log": []}, ["__start__"]),
    root("values", {"log": ["in"]}),
    root("checkpoint", "loop", 0, {"log": ["in"]}, ["plan"]),
    root("task_started", "plan", {"log": ["in"]}),
    root("updates", "plan", {"log": ["plan"]}),
    root("task_finished", "plan", ""),
    root("values", {"log": ["in", "plan"]}),
    root("checkpoint", "loop", 1, {"log": ["in", "plan"]}, ["work", "work", "work"]),
    root("task_started", "work", {"n": 1}),
    root("task_started", "work", {"n": 2}),
    root("task_started", "work", {"n": 3}),
    root("updates", "work", {"log": ["work 1"]}),
    root("task_finished", "work", ""),
    root("updates", "work", {"log": ["work 2"]}),
    root("task_finished", "work", ""),
    root("updates", "work", {"log": ["work 3"]}),
    root("task_finished", "work", ""),
    root("values", {"log": ["in", "plan", "work 1", "work 2", "work 3"]}),
    root("checkpoint", "loop", 2, {"log": ["in", "plan", "work 1", "work 2", "work 3"]}, ["join"]),
    root("task_started", "join", {"log": ["in", "plan", "work 1", "work 2", "work 3"]}),
    root("updates", "join", {"log": ["join"]}),
    root("task_finished", "join", ""),
    root("values", {"log": ["in", "plan", "work 1", "work 2", "work 3", "join"]}),
    root(
        "checkpoint", "loop", 3, {"log": ["in", "plan", "work 1", "work 2", "work 3", "join"]}, []
    ),
    root("end", "SUCCEEDED"),
]
TICKER = [
    root("checkpoint", "input", -1, {"log": []}, ["__start__"]),
    root("values", {"log": ["in"]}),
    root("checkpoint", "loop", 0, {"log": ["in"]}, ["tick"]),
    root("task_started", "tick", {"log": ["in"]}),
    root("custom", {"tick": 0}),
    root("custom", {"tick": 1}),
    root("custom", {"tick": 2}),
    root("updates", "tick", {"log": ["tick"]}),
    root("task_finished", "tick", ""),
    root("values", {"log": ["in", "tick"]}),
    root("checkpoint", "loop", 1, {"log": ["in", "tick"]}, []),
    root("end", "SUCCEEDED"),
]
#: What each graph streams in all modes at once, with its subgraphs.
EVERYTHING = {"linear": LINEAR, "ask_in_child": ASK_IN_CHILD, "fanout": FANOUT, "ticker": TICKER}

ALONE = [(mode,) for mode in MODES]
SEVERAL = [*combinations(["VALUES", "UPDATES", "TASKS", "CHECKPOINTS"], 2), tuple(MODES)]


def expected(graph: str, modes: tuple[str, ...], *, subgraphs: bool) -> list[Shape]:
    """What is left of EVERYTHING in some modes."""
    kinds = {"interrupted", "end"}.union(*(MODES[mode] for mode in modes))
    return [
        said
        for namespace, said in EVERYTHING[graph]
        if said[0] in kinds and (subgraphs or not namespace)
    ]


def numbers(modes: tuple[str, ...]) -> list[run_pb2.StreamMode.ValueType]:
    return [run_pb2.StreamMode.Value(f"STREAM_MODE_{mode}") for mode in modes]


@pytest.mark.parametrize("subgraphs", [False, True], ids=["root", "subgraphs"])
@pytest.mark.parametrize("graph", EVERYTHING)
def test_each_mode_alone_streams_exactly_its_kinds_in_order(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    graph: str,
    subgraphs: bool,
) -> None:
    for modes in ALONE:
        events = stream(
            runs,
            thread_id=new_thread(threads),
            assistant_id=graph,
            input=LOG,
            stream_modes=numbers(modes),
            stream_subgraphs=subgraphs,
        )
        assert shapes(events) == expected(graph, modes, subgraphs=subgraphs), modes


@pytest.mark.parametrize("subgraphs", [False, True], ids=["root", "subgraphs"])
@pytest.mark.parametrize("graph", EVERYTHING)
def test_several_modes_at_once_are_one_stream_in_the_order_in_which_things_happen(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    graph: str,
    subgraphs: bool,
) -> None:
    for modes in SEVERAL:
        events = stream(
            runs,
            thread_id=new_thread(threads),
            assistant_id=graph,
            input=LOG,
            stream_modes=numbers(modes),
            stream_subgraphs=subgraphs,
        )
        assert shapes(events) == expected(graph, modes, subgraphs=subgraphs), modes


def test_without_modes_a_run_streams_updates(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(runs, thread_id=new_thread(threads), assistant_id="linear", input=LOG)
    assert shapes(events) == expected("linear", ("UPDATES",), subgraphs=False)
    run = runs.GetRun(runs_pb2.GetRunRequest(run_id=events[0].run_id), timeout=DEADLINE).run
    assert list(run.stream_modes) == [run_pb2.STREAM_MODE_UPDATES]
    assert not run.stream_subgraphs


def test_debug_is_tasks_and_checkpoints_together(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    for graph in EVERYTHING:
        both, debug = (
            shapes(
                stream(
                    runs,
                    thread_id=new_thread(threads),
                    assistant_id=graph,
                    input=LOG,
                    stream_modes=numbers(modes),
                    stream_subgraphs=True,
                )
            )
            for modes in (("TASKS", "CHECKPOINTS"), ("DEBUG",))
        )
        assert debug == both


def test_naming_a_mode_twice_or_debug_with_its_parts_doubles_no_event(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="linear",
        input=LOG,
        stream_modes=numbers(("UPDATES", "UPDATES", "DEBUG", "TASKS", "CHECKPOINTS")),
    )
    assert shapes(events) == expected("linear", ("UPDATES", "DEBUG"), subgraphs=False)


def test_a_run_that_goes_on_streams_what_it_had_before_unless_it_says_otherwise(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    stream(
        runs,
        thread_id=thread,
        assistant_id="ask_in_child",
        input=LOG,
        stream_modes=numbers(("TASKS",)),
        stream_subgraphs=True,
    )
    inherited = stream(runs, thread_id=thread, resume={"answer": payload("yes")})
    log = ["in", "before", "first"]
    assert shapes(inherited) == [
        ("task_started", "child", {"log": log[:2]}),
        ("task_started", "child", "ask", {"log": log}),
        ("task_finished", "child", "ask", ""),
        ("task_finished", "child", ""),
        ("task_started", "after", {"log": [*log[:2], *log, "child: 'yes'"]}),
        ("task_finished", "after", ""),
        ("end", "SUCCEEDED"),
    ]

    thread = new_thread(threads)
    stream(
        runs,
        thread_id=thread,
        assistant_id="ask_in_child",
        input=LOG,
        stream_modes=numbers(("TASKS",)),
        stream_subgraphs=True,
    )
    chosen = stream(
        runs,
        thread_id=thread,
        resume={"answer": payload("yes")},
        stream_modes=numbers(("UPDATES",)),
    )
    assert shapes(chosen) == [
        ("updates", "child", {"log": [*log, "child: 'yes'"]}),
        ("updates", "after", {"log": ["after"]}),
        ("end", "SUCCEEDED"),
    ]


def test_checkpoint_events_name_the_checkpoints_of_the_thread_and_their_parents(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="linear",
        input=LOG,
        stream_modes=numbers(("CHECKPOINTS",)),
    )
    made = [event.checkpoint for event in events if event.WhichOneof("event") == "checkpoint"]
    ids = [checkpoint.checkpoint_id for checkpoint in made]
    assert len(set(ids)) == len(ids) == 5
    assert [checkpoint.parent_checkpoint_id for checkpoint in made] == ["", *ids[:-1]]
    assert events[-1].end.checkpoint_id == ids[-1]


def test_task_events_belong_together_by_task_id_and_say_what_came_of_the_task(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    def tasks(graph: str) -> list[run_event_pb2.RunEvent]:
        events = stream(
            runs,
            thread_id=new_thread(threads),
            assistant_id=graph,
            input=LOG,
            stream_modes=numbers(("TASKS",)),
            stream_subgraphs=True,
        )
        return [e for e in events if (e.WhichOneof("event") or "").startswith("task_")]

    events = tasks("fanout")
    started = {e.task_started.task_id: e for e in events if e.HasField("task_started")}
    finished = {e.task_finished.task_id: e for e in events if e.HasField("task_finished")}
    assert len(started) == len(finished) == 5
    assert started.keys() == finished.keys()
    for task_id, event in started.items():
        if event.task_started.node == "work":
            n = value(event.task_started.input)["n"]
            assert value(finished[task_id].task_finished.result) == {"log": [f"work {n}"]}
    assert list(events[0].task_started.triggers) == ["branch:to:plan"]

    asks = [e.task_finished for e in tasks("ask_in_child") if e.HasField("task_finished")]
    # The child passes the question of its node on.
    (question,) = set(asks[-1].interrupt_ids)
    assert [list(task.interrupt_ids) for task in asks] == [[], [], [question], [question]]
    assert [task.HasField("result") for task in asks] == [True, True, False, False]

    failed = tasks("boom_in_child")[-1].task_finished
    assert (failed.node, failed.error.type) == ("child", "ValueError")
    assert failed.error.message == "count must be 1 at least — it's 0"
    assert not failed.HasField("result")


def test_events_of_subgraphs_say_which_task_they_belong_to(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="ask_in_child",
        input=LOG,
        stream_modes=numbers(("TASKS",)),
        stream_subgraphs=True,
    )
    (task_id,) = {
        e.task_started.task_id
        for e in events
        if e.HasField("task_started") and e.task_started.node == "child"
    }
    inside = [e for e in events if e.namespace]
    assert {tuple(e.namespace) for e in inside} == {(f"child:{task_id}",)}
    (interrupted,) = [e.interrupted for e in events if e.HasField("interrupted")]
    assert list(interrupted.pauses[0].namespace) == [f"child:{task_id}"]


def test_every_event_says_when_it_happened_and_on_which_attempt(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="linear",
        input=LOG,
        stream_modes=numbers(tuple(MODES)),
    )
    times = [event.event_time.ToNanoseconds() for event in events]
    run = runs.GetRun(runs_pb2.GetRunRequest(run_id=events[0].run_id), timeout=DEADLINE).run
    assert run.start_time.ToNanoseconds() <= times[0]
    assert times == sorted(times)
    assert times[-1] <= run.end_time.ToNanoseconds() + 10**9
    assert {event.attempt for event in events} == {1}
    assert shape(events[0]) == ("metadata",)
    first = events[0].metadata
    assert (first.run_id, first.thread_id, first.assistant_id) == (
        run.run_id,
        run.thread_id,
        "linear",
    )
    assert first.resumed_run_id == ""
