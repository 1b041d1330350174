"""Every kind of thing that a langgraph.json may name works over the wire, as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    create,
    get_run,
    get_thread,
    list_runs,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    value,
    wait,
)
from tests.e2e.driven import DrivenThread
from tests.e2e.gates import Gate
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})
VALUES, UPDATES, CUSTOM = (
    run_pb2.STREAM_MODE_VALUES,
    run_pb2.STREAM_MODE_UPDATES,
    run_pb2.STREAM_MODE_CUSTOM,
)


def state(threads: threads_pb2_grpc.ThreadsStub, thread_id: str) -> threads_pb2.ThreadState:
    request = threads_pb2.GetThreadStateRequest(thread_id=thread_id)
    return threads.GetThreadState(request, timeout=DEADLINE).state


def said(runs: runs_pb2_grpc.RunsStub, **fields: Any) -> list[str]:
    """Streams a run to its end; returns what its nodes added to the log."""
    events = stream(runs, input=LOG, **fields)
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    return [line for event in shapes(events)[:-1] for line in event[2]["log"]]


# --- graphs and builders ---


@pytest.mark.parametrize("graph", ["linear", "builder", "own_saver"])
def test_compiled_graphs_builders_and_graphs_with_a_saver_of_their_own_all_keep_threads(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, graph: str
) -> None:
    thread = new_thread(threads)
    first = stream(runs, thread_id=thread, assistant_id=graph, input=LOG, interrupt_before=["b"])
    assert shapes(first) == [
        ("updates", "a", {"log": ["a"]}),
        ("interrupted", [("BREAKPOINT_BEFORE", "b")], ["b"]),
        ("end", "INTERRUPTED"),
    ]
    assert value(state(threads, thread).values) == {"log": ["in", "a"]}
    second = stream(runs, thread_id=thread, resume={})
    assert shapes(second)[-1] == ("end", "SUCCEEDED")
    assert value(state(threads, thread).values) == {"log": ["in", "a", "b", "c"]}
    assert said(runs, thread_id=thread, assistant_id=graph) == ["a", "b", "c"]


# --- entrypoints ---


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        (21, 42),
        (2**62, 2**63),
        ("twenty-one", "twenty-one"),
        ("", ""),
        (2.5, 2.5),
        (False, 0),
        ([1, [2, {"three": None}]], [1, [2, {"three": None}]]),
        ([], []),
        ({"a": {"b": "c"}}, {"a": {"b": "c"}}),
    ],
)
def test_an_entrypoint_takes_any_json_value(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    given: Any,
    returned: Any,
) -> None:
    thread = new_thread(threads)
    events = stream(
        runs,
        thread_id=thread,
        assistant_id="echo",
        input=payload(given),
        stream_modes=[VALUES, UPDATES],
    )
    task = [("updates", "_double", returned)] if isinstance(given, int) else []
    assert shapes(events) == [
        *task,
        ("updates", "echo", returned),
        ("values", returned),
        ("end", "SUCCEEDED"),
    ]
    assert value(wait(runs, events[0].run_id).values) == returned
    assert value(state(threads, thread).values) == returned


def test_an_entrypoint_that_asks_is_answered_one_question_at_a_time(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    modes = [VALUES, UPDATES]
    first = stream(
        runs,
        thread_id=thread,
        assistant_id="ask_in_entrypoint",
        input=payload("in"),
        stream_modes=modes,
    )
    node = "ask_in_entrypoint"
    assert shapes(first) == [
        ("interrupted", [("INTERRUPT", node, "first?")], [node]),
        ("end", "INTERRUPTED"),
    ]
    second = stream(runs, thread_id=thread, resume={"answer": payload(1)})
    assert shapes(second) == [
        ("values", None),
        ("interrupted", [("INTERRUPT", node, "second?")], [node]),
        ("end", "INTERRUPTED"),
    ]
    third = stream(runs, thread_id=thread, resume={"answer": payload(None)})
    assert shapes(third) == [
        ("values", None),
        ("updates", node, ["in", 1, None]),
        ("values", ["in", 1, None]),
        ("end", "SUCCEEDED"),
    ]


# --- factories ---


def nodes(count: int) -> dict[str, Any]:
    return {"configurable": payload({"nodes": count})}


def test_a_factory_makes_the_graph_that_the_runs_config_asks_for(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    assert said(runs, assistant_id="by_config") == ["node0"]
    assert said(runs, assistant_id="by_config", config=nodes(3)) == ["node0", "node1", "node2"]


def test_breakpoints_are_checked_against_the_graph_of_the_runs_own_config(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_before[0]") as refusal:
        stream(
            runs,
            thread_id=thread,
            assistant_id="by_config",
            input=LOG,
            interrupt_before=["node2"],
        )
    assert refusal.metadata == {"node": "node2", "nodes": "node0"}
    assert list_runs(runs, thread) == []

    events = stream(
        runs,
        thread_id=thread,
        assistant_id="by_config",
        input=LOG,
        interrupt_before=["node2"],
        config=nodes(3),
    )
    assert shapes(events)[-2:] == [
        ("interrupted", [("BREAKPOINT_BEFORE", "node2")], ["node2"]),
        ("end", "INTERRUPTED"),
    ]
    # Whoever goes on gets the same graph, and so does whoever looks.
    assert list(state(threads, thread).next) == ["node2"]
    assert shapes(stream(runs, thread_id=thread, resume={})) == [
        ("updates", "node2", {"log": ["node2"]}),
        ("end", "SUCCEEDED"),
    ]


def test_a_factory_that_takes_a_runtime_is_told_what_the_graph_is_for(
    runs: runs_pb2_grpc.RunsStub,
) -> None:
    assert said(runs, assistant_id="by_runtime") == ["threads.create_run"]


# --- what nodes find in their runtime ---


def test_nodes_get_the_context_as_the_graphs_schema_has_it(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    def greeting(context: dict[str, Any]) -> list[str]:
        return said(runs, assistant_id="contextual", context=payload(context))

    assert greeting({"name": "Ada"}) == ["Ada speaks en"]
    assert greeting({"name": "Ada", "language": "fr"}) == ["Ada speaks fr"]
    thread = new_thread(threads)
    for wrong, text in (
        ({"nam": "Ada"}, "nam: there is no such key; it has: name, language"),
        ({}, "name: Field required"),
        ({"name": "Ada", "language": 7}, "language: Input should be a valid string"),
    ):
        with refused("INVALID_ARGUMENT", "INVALID_FIELD", "context") as refusal:
            stream(
                runs,
                thread_id=thread,
                assistant_id="contextual",
                input=LOG,
                context=payload(wrong),
            )
        assert refusal.fields["context"] == f"does not fit the graph's context schema: {text}"
    assert list_runs(runs, thread) == []


def test_a_run_that_goes_on_has_the_context_of_the_one_before_unless_it_brings_its_own(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    for own, greeting in (({}, "Ada speaks en"), ({"name": "Bob"}, "Bob speaks en")):
        thread = new_thread(threads)
        stream(
            runs,
            thread_id=thread,
            assistant_id="contextual",
            input=LOG,
            context=payload({"name": "Ada"}),
            interrupt_before=["greet"],
        )
        events = stream(
            runs, thread_id=thread, resume={}, **({"context": payload(own)} if own else {})
        )
        assert shapes(events)[0] == ("updates", "greet", {"log": [greeting]})


def test_nodes_find_configurable_values_tags_metadata_and_the_projects_environment(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    config = {"tags": ["x", "y"], "configurable": payload({"colour": "red"})}
    motto = "motto=festina lente"
    assert said(
        runs,
        thread_id=thread,
        assistant_id="configured",
        config=config,
        metadata=payload({"team": "blue"}),
    ) == ["colour=red", f"thread={thread}", "tags=x,y", "team=blue", motto]
    assert said(runs, thread_id=thread, assistant_id="configured") == [
        "colour=None",
        f"thread={thread}",
        "tags=",
        "team=None",
        motto,
    ]


def test_nodes_find_the_context_among_the_configurable_values_which_go_over_it(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    green, red = payload({"colour": "green"}), {"configurable": payload({"colour": "red"})}
    given = {"assistant_id": "configured", "context": green}
    assert said(runs, **given)[0] == "colour=green"
    assert said(runs, **given, config=red)[0] == "colour=red"
    # A context replaces that of the run before it, and leaves nothing of it.
    for own, colour in (({}, "green"), ({"colour": "blue"}, "blue"), ({"size": 1}, "None")):
        thread = new_thread(threads)
        stream(runs, thread_id=thread, input=LOG, interrupt_before=["show"], **given)
        context = {"context": payload(own)} if own else {}
        events = stream(runs, thread_id=thread, resume={}, **context)
        assert shapes(events)[0][2]["log"][0] == f"colour={colour}"


def test_a_factory_finds_the_context_in_its_config(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    start = {"input": LOG, "context": payload({"nodes": 3}), "interrupt_before": ["node2"]}
    events = stream(runs, thread_id=thread, assistant_id="by_config", **start)
    assert shapes(events)[-1] == ("end", "INTERRUPTED")
    assert list(state(threads, thread).next) == ["node2"]
    assert shapes(stream(runs, thread_id=thread, resume={}))[0] == (
        "updates",
        "node2",
        {"log": ["node2"]},
    )


@pytest.mark.parametrize("assistant", ["at_ease", "at_ease_model"])
def test_without_a_context_a_schema_that_needs_nothing_has_its_defaults(
    runs: runs_pb2_grpc.RunsStub, assistant: str
) -> None:
    assert said(runs, assistant_id=assistant) == ["calm"]
    assert said(runs, assistant_id=assistant, context=payload({"mood": "glad"})) == ["glad"]


def test_nodes_write_to_the_stream_also_from_within_a_subgraph(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(
        runs,
        thread_id=new_thread(threads),
        assistant_id="ticker",
        input=payload({"log": ["in"], "count": 2}),
        stream_modes=[CUSTOM],
    )
    assert shapes(events) == [
        ("custom", {"tick": 0}),
        ("custom", {"tick": 1}),
        ("end", "SUCCEEDED"),
    ]


def test_nodes_share_a_store_that_outlives_threads(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    counts = [
        shapes(stream(runs, assistant_id="remembers", input=LOG))[0][2]["count"] for _ in range(3)
    ]
    assert counts == [counts[0], counts[0] + 1, counts[0] + 2]


# --- values that JSON can't hold ---


def test_state_that_json_cannot_hold_is_shown_by_the_documented_rules(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    shown = {
        "nan": "NaN",
        "infinity": "-Infinity",
        "big": 2**64 - 1,
        "bytes": "AP8=",
        "time": "2026-01-02T03:04:05+00:00",
        "date": "2026-01-02",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "decimal": "1.10",
        "set": [1],
        "tuple": [1, "a"],
    }
    thread = new_thread(threads)
    events = stream(
        runs,
        thread_id=thread,
        assistant_id="odd_state",
        input=payload({"start": 1}),
        stream_modes=[VALUES, UPDATES],
    )
    assert shapes(events) == [
        ("values", {"start": 1}),
        ("updates", "fill", {"values": shown}),
        ("values", {"start": 1, "values": shown}),
        ("end", "SUCCEEDED"),
    ]
    assert value(state(threads, thread).values) == {"start": 1, "values": shown}


# --- durability ---


@pytest.mark.parametrize("durability", ["SYNC", "ASYNC", "EXIT"])
@pytest.mark.parametrize("subgraphs", [False, True])
def test_a_subgraph_without_a_saver_works_with_every_durability(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    durability: str,
    subgraphs: bool,
) -> None:
    thread = new_thread(threads)
    events = stream(
        runs,
        thread_id=thread,
        assistant_id="no_saver_child",
        input=LOG,
        durability=run_pb2.Durability.Value(f"DURABILITY_{durability}"),
        stream_subgraphs=subgraphs,
    )
    inside = [("updates", "child", "inside", {"log": ["inside"]})] if subgraphs else []
    assert shapes(events) == [
        *inside,
        ("updates", "child", {"log": ["in", "inside"]}),
        ("end", "SUCCEEDED"),
    ]
    assert value(state(threads, thread).values) == {"log": ["in", "in", "inside"]}


@pytest.mark.parametrize("durability", ["SYNC", "ASYNC", "EXIT"])
def test_questions_are_asked_and_answered_with_every_durability(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub, durability: str
) -> None:
    for graph in ("ask", "ask_in_child"):
        thread = new_thread(threads)
        events = stream(
            runs,
            thread_id=thread,
            assistant_id=graph,
            input=LOG,
            durability=run_pb2.Durability.Value(f"DURABILITY_{durability}"),
        )
        assert shapes(events)[-1] == ("end", "INTERRUPTED")
        resumed = stream(runs, thread_id=thread, resume={"answer": payload("yes")})
        assert shapes(resumed)[-2:] == [
            ("updates", "after", {"log": ["after"]}),
            ("end", "SUCCEEDED"),
        ]
        again = get_run(runs, resumed[0].run_id)
        assert again.durability == run_pb2.Durability.Value(f"DURABILITY_{durability}")


# --- plain functions ---


def test_nodes_that_are_plain_functions_run_beside_each_other(
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    gates: Callable[[], Gate],
) -> None:
    waiting = [gates() for _ in range(8)]
    made = [
        create(runs, thread_id=new_thread(threads), assistant_id="gated_sync", input=gate.input)
        for gate in waiting
    ]
    for gate in waiting:
        gate.wait_begun()
    # While all of them sit in their threads, the server answers and others run.
    assert said(runs, assistant_id="linear") == ["a", "b", "c"]
    for gate in waiting:
        gate.open()
    ended = {wait(runs, run.run_id).run.status for run in made}
    assert ended == {run_pb2.RUN_STATUS_SUCCEEDED}


# --- restarts ---


def test_every_kind_of_graph_finds_its_threads_and_its_store_after_a_restart(
    own_server: Callable[..., ServerProcess],
) -> None:
    process = own_server()
    starts: dict[str, dict[str, Any]] = {
        "linear": {"input": LOG, "interrupt_before": ["c"]},
        "builder": {"input": LOG, "interrupt_before": ["c"]},
        "own_saver": {"input": LOG, "interrupt_before": ["c"]},
        "by_config": {"input": LOG, "config": nodes(3), "interrupt_before": ["node2"]},
        "by_runtime": {"input": LOG, "interrupt_before": ["why"]},
        "ask_in_child": {"input": LOG},
        "ask_in_entrypoint": {"input": payload("in")},
        "contextual": {
            "input": LOG,
            "context": payload({"name": "Ada"}),
            "interrupt_before": ["greet"],
        },
    }
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        stream(runs, assistant_id="remembers", input=LOG)
        left = {}
        for graph, start in starts.items():
            thread = new_thread(threads)
            events = stream(runs, thread_id=thread, assistant_id=graph, **start)
            assert shapes(events)[-1] == ("end", "INTERRUPTED")
            left[graph] = get_thread(threads, thread), state(threads, thread)
    assert process.stop() == 0
    process.start()
    with grpc.insecure_channel(process.address) as channel:
        runs = runs_pb2_grpc.RunsStub(channel)
        threads = threads_pb2_grpc.ThreadsStub(channel)
        events = stream(runs, assistant_id="remembers", input=LOG)
        assert shapes(events)[0] == ("updates", "remember", {"count": 2})
        last = {}
        for graph, (thread_then, state_then) in left.items():
            thread = thread_then.thread_id
            assert get_thread(threads, thread) == thread_then
            assert state(threads, thread) == state_then
            asks = any(pause.HasField("value") for pause in thread_then.pauses)
            resume = {"answer": payload("yes")} if asks else {}
            last[graph] = shapes(stream(runs, thread_id=thread, resume=resume))[-2:]
    done = ("end", "SUCCEEDED")
    assert last == {
        **{name: [("updates", "c", {"log": ["c"]}), done] for name in ("linear", "builder")},
        "own_saver": [("updates", "c", {"log": ["c"]}), done],
        "by_config": [("updates", "node2", {"log": ["node2"]}), done],
        "by_runtime": [("updates", "why", {"log": ["threads.create_run"]}), done],
        "ask_in_child": [("updates", "after", {"log": ["after"]}), done],
        "ask_in_entrypoint": [
            ("interrupted", [("INTERRUPT", "ask_in_entrypoint", "second?")], ["ask_in_entrypoint"]),
            ("end", "INTERRUPTED"),
        ],
        "contextual": [("updates", "greet", {"log": ["Ada speaks en"]}), done],
    }


def test_objects_of_which_the_schema_says_nothing_are_what_they_were_after_a_pause(
    thread: DrivenThread,
) -> None:
    """They are of the project's own classes: in a dict, in a list, in what a Send carries."""
    thread.start("carries", {"log": []}, interrupt_before=["deliver", "unpack"])
    thread.resume(answer="to")
    assert [pause.node for pause in thread.pauses] == ["deliver", "deliver"]
    thread.resume()
    thread.resume()
    assert (thread.status, thread.log) == ("IDLE", ["trip", "work", "to 0", "to 1"])
