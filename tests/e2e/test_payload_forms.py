"""Payloads: both forms in, the form that is asked for out, and nothing changed on the way."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from graphwire.v1 import (
    payload_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import DEADLINE, new_thread, payload, refused, stream, value
from tests.e2e.wire import ENDLESS, METHODS, PATHS, call, request_type

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub

LOG = payload({"log": ["in"]})
VALUE = (("graphwire-payload", "value"),)
ALL_MODES = [mode for mode in run_pb2.StreamMode.values() if mode]


def as_value(plain: Any) -> payload_pb2.Payload:
    """A payload in value form."""
    return ParseDict({"value": plain}, payload_pb2.Payload())


def in_python(message: payload_pb2.Payload) -> Any:
    """The Python value of a payload in value form."""
    assert message.WhichOneof("form") == "value"
    return MessageToDict(message)["value"]


def payloads(message: Message) -> list[payload_pb2.Payload]:
    """Every payload in a message that has a form, at any depth."""
    if isinstance(message, payload_pb2.Payload):
        return [message] if message.WhichOneof("form") else []
    found = []
    for field, content in message.ListFields():
        if field.message_type is not None:
            inner = content if field.is_repeated else [content]
            found += [payload for item in inner for payload in payloads(item)]
    return found


def forms(messages: list[Any]) -> set[str | None]:
    """The forms of all payloads in messages."""
    return {payload.WhichOneof("form") for message in messages for payload in payloads(message)}


def echoed(runs: Runs, given: payload_pb2.Payload, metadata: Any = ()) -> payload_pb2.Payload:
    """What an entrypoint gives back that gives back anything but integers."""
    request = runs_pb2.StreamRunRequest(
        assistant_id="echo", input=given, stream_modes=[run_pb2.STREAM_MODE_VALUES]
    )
    events = [r.event for r in runs.StreamRun(request, timeout=DEADLINE, metadata=metadata)]
    (values,) = [e.values.values for e in events if e.WhichOneof("event") == "values"]
    return values


# Every RPC, in both forms.


def plain(message: Message) -> Any:
    """A message as plain values, its payloads as what they mean, whatever their form."""
    if isinstance(message, payload_pb2.Payload):
        form = message.WhichOneof("form")
        return value(message) if form == "json" else in_python(message)
    result: dict[str, Any] = {}
    for field, content in message.ListFields():
        if field.message_type is None:
            result[field.name] = list(content) if field.is_repeated else content
        elif field.is_repeated and field.message_type.GetOptions().map_entry:
            result[field.name] = {key: plain(item) for key, item in content.items()}
        elif field.is_repeated:
            result[field.name] = [plain(item) for item in content]
        else:
            result[field.name] = plain(content)
    return result


def has_payloads(kind: Any) -> bool:
    """Whether there may be payloads in messages of a type."""
    seen, waiting = {kind.full_name}, [kind]
    while waiting:
        for field in waiting.pop().fields:
            child = field.message_type
            if child is not None and child.full_name not in seen:
                seen.add(child.full_name)
                waiting.append(child)
    return "graphwire.v1.Payload" in seen


WITH_PAYLOADS = [
    name for name in PATHS if has_payloads(METHODS[PATHS[name]].output_type) and name not in ENDLESS
]


@pytest.fixture(scope="module")
def requests(
    grpc_channel: grpc.Channel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, Any]]]:
    """A request for each RPC whose response has payloads, which can be made twice."""
    runs, threads = Runs(grpc_channel), Threads(grpc_channel)
    asked = new_thread(threads, metadata=payload({"a": 1}))
    metadata = payload({"team": "t"})
    events = stream(runs, thread_id=asked, assistant_id="ask_schema", input=LOG, metadata=metadata)
    thread, run = {"thread_id": asked}, {"run_id": events[0].run_id}
    again = {"request_id": str(uuid.uuid4())}
    log = {"json": '{"log": ["in"]}'}
    child = {"assistant_id": "ask_in_child", "input": log, "stream_subgraphs": True}
    gate = tmp_path_factory.mktemp("payload-forms") / "gate"
    request = runs_pb2.CreateRunRequest(
        assistant_id="gated_sync",
        input=payload({"path": str(gate)}),
        metadata=metadata,
        stream_modes=[run_pb2.STREAM_MODE_TASKS],
    )
    # Its node can't be stopped, so that it can be cancelled more than once.
    under_way = runs.CreateRun(request, timeout=DEADLINE).run.run_id
    for joined in runs.JoinRun(runs_pb2.JoinRunRequest(run_id=under_way), timeout=DEADLINE):
        if joined.event.task_started.node == "gate":
            break
    yield {
        "CreateThread": {"metadata": {"json": '{"a": 1}'}, **again},
        "GetThread": thread,
        "ListThreads": {"page_size": 3, "filter": {"metadata": {"json": '{"a": 1}'}}},
        "UpdateThread": {**thread, "metadata": {"value": {"a": 1, "b": 2}}, **again},
        "GetThreadState": thread,
        "UpdateThreadState": {
            "thread_id": new_thread(threads),
            "values": log,
            "as_node": "a",
            "assistant_id": "linear",
            **again,
        },
        "ListThreadHistory": thread,
        "StreamRun": {**child, "stream_modes": list(ALL_MODES), **again},
        "CreateRun": {
            **child,
            "metadata": {"json": '{"b": 1}'},
            "start_delay": "3600s",
            **again,
        },
        "WaitRun": run,
        "JoinRun": run,
        "GetRun": run,
        "ListRuns": thread,
        "CancelRun": {"run_id": under_way},
        "GetAssistantSchemas": {"assistant_id": "contextual"},
        "CreateRuns": {
            "requests": [{**child, "metadata": {"json": '{"b": 1}'}, "start_delay": "3600s"}],
            **again,
        },
        "CancelRuns": {"run_ids": [under_way]},
        "PauseRun": {"run_id": under_way},
        "CopyThread": {**thread, **again},
        "ListPauses": {"filter": thread},
        "GetPause": {"pause_id": events[-2].interrupted.pauses[0].pause_id},
        "ListAssistants": {},
        "GetAssistant": {"assistant_id": "linear"},
        "CreateAssistant": {"graph_id": "linear", "metadata": {"json": '{"c": 1}'}, **again},
        "UpdateAssistant": {"assistant_id": "echo", "metadata": {"value": {"d": 1}}, **again},
        "ListAssistantVersions": {"assistant_id": "echo"},
        "SetLatestAssistantVersion": {"assistant_id": "echo", "version": 1},
    }
    gate.touch()


@pytest.mark.parametrize("name", WITH_PAYLOADS)
def test_every_rpc_answers_in_the_form_that_is_asked_for(
    grpc_channel: grpc.Channel, requests: dict[str, dict[str, Any]], name: str
) -> None:
    request = ParseDict(requests[name], request_type(name)())
    in_json = call(grpc_channel, name, request)
    in_value = call(grpc_channel, name, request, metadata=VALUE)
    assert forms(in_json) == {"json"}
    assert forms(in_value) == {"value"}
    assert [plain(message) for message in in_value] == [plain(message) for message in in_json]


def test_streams_that_do_not_end_are_in_the_form_that_is_asked_for(
    runs: Runs, threads: Threads
) -> None:
    watched = next(threads.WatchThreads(threads_pb2.WatchThreadsRequest(), timeout=DEADLINE))
    thread = new_thread(threads)
    stream(runs, thread_id=thread, assistant_id="ask_schema", input=LOG)
    watch = threads_pb2.WatchThreadsRequest(
        cursor=watched.cursor, filter=threads_pb2.ThreadFilter(thread_ids=[thread])
    )
    join = threads_pb2.JoinThreadRequest(thread_id=thread)
    for asked, form in (((), "json"), (VALUE, "value")):
        for answers in (
            threads.WatchThreads(watch, timeout=DEADLINE, metadata=asked),
            threads.JoinThread(join, timeout=DEADLINE, metadata=asked),
        ):
            assert next(found for each in answers if (found := forms([each]))) == {form}
            answers.cancel()


def test_a_form_that_does_not_exist_is_refused(threads: Threads) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "graphwire-payload"):
        threads.CreateThread(
            threads_pb2.CreateThreadRequest(),
            metadata=(("graphwire-payload", "yaml"),),
            timeout=DEADLINE,
        )


@pytest.mark.parametrize(
    ("asked", "form"),
    [((), "json"), ((("graphwire-payload", "json"),), "json"), (VALUE, "value")],
    ids=["nothing", "json", "value"],
)
def test_the_form_is_json_unless_value_is_asked_for(
    runs: Runs, asked: tuple[tuple[str, str], ...], form: str
) -> None:
    assert echoed(runs, payload(["x"]), asked).WhichOneof("form") == form
    assert echoed(runs, as_value(["x"]), asked).WhichOneof("form") == form


# What arrives is what was sent.

EXACT = [
    "[]",
    "{}",
    "[null]",
    "[true,false]",
    '["","ü","\\u0000","\\"\\\\/","😀","\\n"]',
    "[0,-1,9007199254740993,-9223372036854775808,18446744073709551615]",
    "[0.0,-0.0,1.0,0.1,1e+300,5e-324,-1.7976931348623157e+308]",
    '{"z":1,"a":{"y":[],"b":{}},"":null,"Z":0}',
    '{"__proto__":1,"a.b":2,"$":3}',
]


@pytest.mark.parametrize("text", EXACT)
def test_what_is_sent_as_json_comes_back_as_it_was(runs: Runs, text: str) -> None:
    given = payload_pb2.Payload(json=f"[{text}]")
    assert echoed(runs, given).json == f"[{text}]"


def test_json_may_be_a_hundred_levels_deep(runs: Runs) -> None:
    deepest = "[" * 100 + "]" * 100
    assert echoed(runs, payload_pb2.Payload(json=deepest)).json == deepest


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ([1.0, -1.0, 0.0, 1.5], "[1,-1,0,1.5]"),
        ([float(2**53), float(-(2**53))], "[9007199254740992,-9007199254740992]"),
        ([float(2**53 + 2)], "[9007199254740994.0]"),
        ([1e300], "[1e+300]"),
        (["1", True, None, [], {}], '["1",true,null,[],{}]'),
        ({"a": {"b": [{}]}}, '{"a":{"b":[{}]}}'),
    ],
    ids=str,
)
def test_what_is_sent_as_a_value_arrives_as_what_it_means(
    runs: Runs, sent: Any, arrives: str
) -> None:
    assert echoed(runs, as_value(sent)).json == arrives


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[9007199254740992,-9007199254740992]", [2.0**53, -(2.0**53)]),
        ("[9007199254740993]", ["9007199254740993"]),
        ("[-9007199254740993]", ["-9007199254740993"]),
        ("[18446744073709551615]", ["18446744073709551615"]),
        ("[9007199254740994.0,1e300]", [9007199254740994.0, 1e300]),
        ("[1,1.0,0.5,-0.0]", [1.0, 1.0, 0.5, -0.0]),
        ('[null,true,"x",{},[]]', [None, True, "x", {}, []]),
    ],
    ids=str,
)
def test_as_a_value_no_integer_changes_on_the_way_out(
    runs: Runs, text: str, shown: list[Any]
) -> None:
    given = payload_pb2.Payload(json=text)
    assert in_python(echoed(runs, given, VALUE)) == shown


def test_as_a_value_what_is_below_25_levels_is_json_text(runs: Runs) -> None:
    given = payload_pb2.Payload(json="[" * 30 + "]" * 30)
    shown = in_python(echoed(runs, given, VALUE))
    for _ in range(25):
        (shown,) = shown
    assert shown == "[[[[[]]]]]"


# State that JSON has no form for; the rules are in docs/payloads.md.

ODD = {
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
ODD_AS_VALUE = {**ODD, "big": "18446744073709551615"}


def test_state_that_json_cannot_hold_follows_the_documented_rules_wherever_it_is_shown(
    runs: Runs, threads: Threads
) -> None:
    thread = new_thread(threads)
    request = runs_pb2.StreamRunRequest(
        thread_id=thread,
        assistant_id="odd_state",
        input=payload({"start": 1}),
        stream_modes=[
            run_pb2.STREAM_MODE_VALUES,
            run_pb2.STREAM_MODE_UPDATES,
            run_pb2.STREAM_MODE_DEBUG,
        ],
    )
    events = [r.event for r in runs.StreamRun(request, timeout=DEADLINE)]
    state = {"start": 1, "values": ODD}
    shown = {
        "updates": [e.updates.update for e in events if e.HasField("updates")],
        "values": [e.values.values for e in events if e.HasField("values")][1:],
        "result": [e.task_finished.result for e in events if e.HasField("task_finished")],
        "checkpoint": [e.checkpoint.values for e in events if e.HasField("checkpoint")][-1:],
    }
    assert {name: [value(p) for p in found] for name, found in shown.items()} == {
        "updates": [{"values": ODD}],
        "values": [state],
        "result": [{"values": ODD}],
        "checkpoint": [state],
    }
    waited = runs.WaitRun(runs_pb2.WaitRunRequest(run_id=events[0].run_id), timeout=DEADLINE)
    assert value(waited.values) == state
    get = threads_pb2.GetThreadStateRequest(thread_id=thread)
    assert value(threads.GetThreadState(get, timeout=DEADLINE).state.values) == state
    shown_as_value = threads.GetThreadState(get, timeout=DEADLINE, metadata=VALUE).state.values
    assert in_python(shown_as_value) == {"start": 1, "values": ODD_AS_VALUE}
    history = threads_pb2.ListThreadHistoryRequest(thread_id=thread, page_size=1)
    (newest,) = threads.ListThreadHistory(history, timeout=DEADLINE).states
    assert value(newest.values) == state


def test_a_thread_is_found_by_what_its_state_looks_like_in_json(
    runs: Runs, threads: Threads
) -> None:
    mark = payload({"mark": str(uuid.uuid4())})
    thread = new_thread(threads, metadata=mark)
    stream(runs, thread_id=thread, assistant_id="odd_state", input=payload({"start": 1}))
    for wanted in ({"values": {"nan": "NaN"}}, {"values": {"big": 2**64 - 1, "tuple": [1, "a"]}}):
        which = threads_pb2.ThreadFilter(metadata=mark, values=payload(wanted))
        count = threads.CountThreads(threads_pb2.CountThreadsRequest(filter=which))
        assert count.count == 1
