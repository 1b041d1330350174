"""What can be wrong in any field of its kind, tried in every field there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value
from graphwire.v1 import payload_pb2
from graphwire_server.rpc.interceptor import MUTATING

from tests.e2e.bad_input.case import at, paths, value_type
from tests.e2e.bad_input.world import World
from tests.e2e.drive import refused
from tests.e2e.wire import METHODS, PATHS, call, request_type

#: Requests in which nothing is wrong, for as far as can be told without looking at a thread.
RIGHT: dict[str, dict[str, Any]] = {
    "ListAssistants": {},
    "GetAssistant": {"assistant_id": "linear"},
    "GetAssistantGraph": {"assistant_id": "linear"},
    "GetAssistantSchemas": {"assistant_id": "linear"},
    "CountAssistants": {},
    "CreateAssistant": {"graph_id": "linear"},
    "UpdateAssistant": {"assistant_id": "linear", "name": "x"},
    "DeleteAssistant": {"assistant_id": "nowhere"},
    "ListAssistantVersions": {"assistant_id": "linear"},
    "SetLatestAssistantVersion": {"assistant_id": "nowhere", "version": 1},
    "GetServerInfo": {},
    "CreateThread": {},
    "GetThread": {"thread_id": "nowhere"},
    "ListThreads": {},
    "CountThreads": {},
    "UpdateThread": {"thread_id": "nowhere", "metadata": {"json": "{}"}},
    "DeleteThread": {"thread_id": "nowhere"},
    "CopyThread": {"thread_id": "nowhere"},
    "PruneThreads": {"thread_ids": ["nowhere"], "strategy": "PRUNE_STRATEGY_DELETE"},
    "GetThreadStorage": {"thread_id": "nowhere"},
    "GetThreadState": {"thread_id": "nowhere"},
    "UpdateThreadState": {"thread_id": "nowhere", "values": {"json": "{}"}},
    "ListThreadHistory": {"thread_id": "nowhere"},
    "JoinThread": {"thread_id": "nowhere"},
    "WatchThreads": {},
    "ListPauses": {},
    "GetPause": {"pause_id": "00000000-0000-4000-8000-000000000000"},
    "StreamRun": {"thread_id": "nowhere", "assistant_id": "linear"},
    "CreateRun": {"thread_id": "nowhere", "assistant_id": "linear"},
    "WaitRun": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "JoinRun": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "GetRun": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "ListRuns": {"thread_id": "nowhere"},
    "CancelRun": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "DeleteRun": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "PauseRun": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "ListRunBreakpoints": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "AddRunBreakpoints": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "RemoveRunBreakpoints": {"run_id": "00000000-0000-4000-8000-000000000000"},
    "CreateRuns": {},
    "CancelRuns": {},
}

UNKNOWN = b"\x9a\x3f\x01x"  # field 1011


def right(name: str) -> Any:
    """A request of an RPC in which nothing is wrong."""
    return ParseDict(RIGHT[name], request_type(name)())


def fields(name: str, kind: str = "") -> Iterator[tuple[str, FieldDescriptor]]:
    """The fields of an RPC's request, at any depth; of messages of this kind alone."""
    for path, field in paths(METHODS[PATHS[name]].input_type):
        child = value_type(field)
        if not kind or (child is not None and child.full_name == kind):
            yield path, field


ENUMS = [
    (name, path)
    for name in PATHS
    for path, field in fields(name)
    if field.type == FieldDescriptor.TYPE_ENUM
]
PAYLOADS = [(name, path) for name in PATHS for path, _ in fields(name, "graphwire.v1.Payload")]
MESSAGES = [
    (name, path)
    for name in PATHS
    for path in ["", *(path for path, field in fields(name) if value_type(field) is not None)]
]
MUTATING_NAMES = {path.rpartition("/")[2] for path in MUTATING}

BAD_JSON = {
    '{"a": }': "line 1, column 7: Expecting value",
    '{\n  "a": 1,\n  "b" 2}': "line 3, column 7: Expecting ':' delimiter",
    "": "line 1, column 1: there is no value; JSON's null is the text null",
    "[1] 2": "line 1, column 5: text after the end of the value",
    '{"n": NaN}': "$.n: NaN is not JSON; send null or a string",
    '{"a": [1, {"x": 1, "x": 2}]}': '$.a[1]: the key "x" occurs twice',
    '["\\ud800"]': "$[0]: the string has a lone surrogate (U+D800), which is not a character",
    "[18446744073709551616]": "$[0]: the integer 18446744073709551616 is outside 64 bits; "
    "send it as a string",
    "[" * 101 + "]" * 101: f"${'[0]' * 66}…: is nested deeper than 100 levels",
}
TOO_LARGE = json.dumps("x" * (4 * 1024 * 1024 - 1))
BAD_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"number_value": float("nan")}, "$: nan is not JSON; send null or a string"),
    ({"number_value": float("-inf")}, "$: -inf is not JSON; send null or a string"),
    ({}, "$: the value is empty; JSON's null is `null_value`"),
    ({"list_value": {"values": [{}]}}, "$[0]: the value is empty; JSON's null is `null_value`"),
]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("name", "path"), ENUMS)
def test_an_enum_value_that_is_not_known_is_refused(
    channel: grpc.Channel, name: str, path: str
) -> None:
    request = right(name)
    message, shown = at(request, path.rpartition(".")[0])
    field = message.DESCRIPTOR.fields_by_name[path.rpartition(".")[2]]
    kind = field.enum_type
    assert kind is not None
    if field.is_repeated:
        first = kind.values[1].number
        getattr(message, field.name).extend([first, 99])
        shown += f"{field.name}[1]"
    else:
        setattr(message, field.name, 99)
        shown += field.name
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", shown) as refusal:
        call(channel, name, request)
    known = ", ".join(value.name for value in kind.values if value.number)
    assert refusal.fields[shown] == (
        f"99 is no value of {kind.name} that this server knows; it knows: {known}"
    )


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("name", "path"), PAYLOADS)
def test_a_payload_that_cannot_be_read_is_refused_with_the_place(
    channel: grpc.Channel, name: str, path: str
) -> None:
    for text, why in BAD_JSON.items():
        request, payload, shown = _with_payload(name, path)
        payload.json = text
        with refused("INVALID_ARGUMENT", "INVALID_PAYLOAD", f"{shown}.json") as refusal:
            call(channel, name, request)
        assert refusal.fields == {f"{shown}.json": why}
    for form, why in BAD_VALUES:
        request, payload, shown = _with_payload(name, path)
        payload.value.SetInParent()
        payload.value.MergeFrom(type(payload.value)(**form))
        with refused("INVALID_ARGUMENT", "INVALID_PAYLOAD", f"{shown}.value") as refusal:
            call(channel, name, request)
        assert refusal.fields == {f"{shown}.value": why}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("name", "path"), PAYLOADS)
def test_a_payload_that_is_too_large_is_refused_in_either_form(
    channel: grpc.Channel, name: str, path: str
) -> None:
    request, payload, shown = _with_payload(name, path)
    payload.json = TOO_LARGE
    with refused("INVALID_ARGUMENT", "INVALID_PAYLOAD", f"{shown}.json") as refusal:
        call(channel, name, request)
    assert "has 4194305 bytes of JSON text; at most 4194304 are allowed" in refusal.text
    request, payload, shown = _with_payload(name, path)
    payload.value.string_value = json.loads(TOO_LARGE)
    with refused("INVALID_ARGUMENT", "INVALID_PAYLOAD", f"{shown}.value") as refusal:
        call(channel, name, request)
    assert "would have 4194305 bytes as JSON text; at most 4194304 are allowed" in refusal.text


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("name", "path"), PAYLOADS)
def test_a_payload_with_neither_form_is_refused(
    channel: grpc.Channel, name: str, path: str
) -> None:
    request, _, shown = _with_payload(name, path)
    with refused("INVALID_ARGUMENT", "MISSING_FIELD", shown):
        call(channel, name, request)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("name", "path"), PAYLOADS)
def test_a_payload_with_both_forms_is_refused(channel: grpc.Channel, name: str, path: str) -> None:
    request, payload, shown = _with_payload(name, path)
    first = payload_pb2.Payload(json="1").SerializeToString()
    second = payload_pb2.Payload(value=Value(number_value=1)).SerializeToString()
    for one, other in ((first, second), (second, first)):
        # A stand-in of the length of both, to be replaced by them.
        payload.json = "?" * (len(one) + len(other) - 2)
        stand_in = payload.SerializeToString()
        data = request.SerializeToString()
        assert data.count(stand_in) == 1
        with refused("INVALID_ARGUMENT", "INVALID_FIELD", f"{shown}.form"):
            call(channel, name, data.replace(stand_in, one + other))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("payloads", ["json", "value"])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("CreateThread", "metadata"),
        ("UpdateThread", "metadata"),
        ("ListThreadHistory", "metadata"),
        *(
            (name, f"filter.{f}")
            for name in ("ListThreads", "CountThreads")
            for f in ("metadata", "values")
        ),
        *(("WatchThreads", f"filter.{f}") for f in ("metadata", "values")),
        ("ListPauses", "filter.thread_metadata"),
        *(
            (name, path)
            for name in ("StreamRun", "CreateRun", "CreateAssistant", "UpdateAssistant")
            for path in ("metadata", "context", "config.configurable")
        ),
        ("ListAssistants", "filter.metadata"),
        ("CountAssistants", "filter.metadata"),
        ("ListAssistantVersions", "metadata"),
    ],
)
def test_what_must_be_an_object_is_refused_if_it_is_not(
    channel: grpc.Channel, name: str, path: str, payloads: str
) -> None:
    for value, kind in {
        "1": "a number",
        '"x"': "a string",
        "null": "null",
        "[]": "an array",
        "true": "a boolean",
    }.items():
        request, payload, shown = _with_payload(name, path)
        if hasattr(request, "input"):
            request.input.json = "1"
        ParseDict({"json": value} if payloads == "json" else {"value": json.loads(value)}, payload)
        with refused("INVALID_ARGUMENT", "INVALID_PAYLOAD", f"{shown}.{payloads}") as refusal:
            call(channel, name, request)
        assert refusal.fields == {f"{shown}.{payloads}": f"must be a JSON object, not {kind}"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, path in MESSAGES if name in MUTATING_NAMES]
)
def test_a_field_that_is_not_known_is_refused_wherever_it_is(
    channel: grpc.Channel, name: str, path: str
) -> None:
    request = right(name)
    message, shown = at(request, path)
    message.MergeFromString(UNKNOWN)
    field = f"{shown}#1011"
    with refused("INVALID_ARGUMENT", "UNKNOWN_FIELD", field) as refusal:
        call(channel, name, request)
    place = {"request_index": "0"} if field.startswith("requests[") else {}
    assert refusal.metadata == {"fields": field, **place}


def test_every_field_that_is_not_known_is_named(channel: grpc.Channel) -> None:
    request = right("CreateRun")
    request.resume.pause_ids.append("x")
    for message in (request, request.resume, request.config):
        message.MergeFromString(UNKNOWN)
    names = ("#1011", "resume.#1011", "config.#1011")
    with refused("INVALID_ARGUMENT", "UNKNOWN_FIELD", *names):
        call(channel, "CreateRun", request)


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, path in MESSAGES if name not in MUTATING_NAMES]
)
def test_a_read_ignores_fields_that_are_not_known(
    channel: grpc.Channel, world: World, name: str, path: str
) -> None:
    request = right(name)
    there = {
        "thread_id": world.done,
        "run_id": world.done_run,
        "pause_id": world.stopped_pause,
    }
    for field in there:
        if hasattr(request, field):
            setattr(request, field, there[field])
    message, _ = at(request, path)
    if isinstance(message, payload_pb2.Payload):
        message.json = "{}"
    elif isinstance(message, Value):
        message.struct_value.SetInParent()
    expected = call(channel, name, request)
    message.MergeFromString(UNKNOWN)
    assert call(channel, name, request) == expected


def _with_payload(name: str, path: str) -> tuple[Any, Any, str]:
    """A request with an empty payload at a path, the payload, and its path in an answer."""
    request = right(name)
    if name == "UpdateThread" or path == "values":
        request.ClearField(path)
    payload, shown = at(request, path)
    run = request.requests[0] if name == "CreateRuns" else request
    if name == "CreateThread" and path.endswith("goto.input"):
        request.supersteps[0].updates[0].command.goto[0].node = "b"
    elif path.endswith("goto.input"):
        run.command.goto[0].node = "b"
    elif hasattr(run, "start_delay") and run.WhichOneof("start") is None:
        run.input.json = "1"
    return request, payload, shown.rstrip(".")
