"""`rpc.payloads`: both forms in and out, and the errors that name the field."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from graphwire.errors import InvalidPayloadError, MissingFieldError
from graphwire.v1 import assistants_pb2, pause_pb2, run_event_pb2, run_pb2, runs_pb2, threads_pb2
from graphwire.v1.payload_pb2 import Payload
from graphwire_server.rpc.payloads import (
    MAX_VALUE_DEPTH,
    PayloadCodec,
    PayloadForm,
    PayloadLimits,
    to_value_form,
    write,
)

CODEC = PayloadCodec(PayloadLimits())


def value_payload(value_json: str) -> Payload:
    """Returns a payload in value form, as a protobuf JSON parser makes it."""
    return json_format.Parse(f'{{"value": {value_json}}}', Payload())


def nested(depth: int, leaf: Value) -> Value:
    for _ in range(depth):
        leaf = Value(list_value=ListValue(values=[leaf]))
    return leaf


def refused(payload: Payload, field: str, message: str, codec: PayloadCodec = CODEC) -> None:
    """Asserts that reading the payload as `input` is refused with this field and message."""
    with pytest.raises(InvalidPayloadError) as caught:
        codec.read(payload, "input")
    assert [(v.field, v.description) for v in caught.value.violations] == [(field, message)]


# Reading.


def test_the_json_form_is_read_exactly() -> None:
    text = '{"b": [9223372036854775807, 1.0, null], "a": "é"}'
    value = CODEC.read(Payload(json=text), "input")
    assert repr(value) == "{'b': [9223372036854775807, 1.0, None], 'a': 'é'}"


def test_the_value_form_is_read() -> None:
    value = CODEC.read(value_payload('{"a": [true, null, "x", {}, [], 0.5]}'), "input")
    assert value == {"a": [True, None, "x", {}, [], 0.5]}


@pytest.mark.parametrize("number", [0, 1, -7, 2**53, -(2**53)])
def test_a_whole_number_within_53_bits_is_an_integer_in_value_form(number: int) -> None:
    value = CODEC.read(Payload(value=Value(number_value=number)), "input")
    assert (type(value), value) == (int, number)


@pytest.mark.parametrize("number", [0.5, -1e-300, 2.0**53 + 2, -(2.0**60), 1e308])
def test_any_other_number_is_a_float_in_value_form(number: float) -> None:
    value = CODEC.read(Payload(value=Value(number_value=number)), "input")
    assert (type(value), value) == (float, number)


def test_minus_zero_is_zero_in_value_form() -> None:
    assert repr(CODEC.read(Payload(value=Value(number_value=-0.0)), "input")) == "0"


@pytest.mark.parametrize("payload", [Payload(json="null"), value_payload("null")])
def test_null_is_a_value(payload: Payload) -> None:
    assert CODEC.read(payload, "input") is None


def test_a_payload_without_a_form_is_missing() -> None:
    with pytest.raises(MissingFieldError) as caught:
        CODEC.read(Payload(), "resume.answer")
    assert [v.field for v in caught.value.violations] == ["resume.answer"]
    assert "set its `json`" in caught.value.message


def test_json_that_is_refused_names_the_field_and_the_place() -> None:
    refused(Payload(json='{"a":'), "input.json", "line 1, column 6: Expecting value")
    refused(
        Payload(json='{"a": [NaN]}'),
        "input.json",
        "$.a[0]: NaN is not JSON; send null or a string",
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_are_refused_in_value_form(number: float) -> None:
    payload = Payload(value=Value(struct_value=Struct()))
    payload.value.struct_value.fields["a b"].list_value.values.add().number_value = number
    refused(payload, "input.value", f'$["a b"][0]: {number} is not JSON; send null or a string')


def test_a_value_of_no_kind_is_refused() -> None:
    empty = "the value is empty; JSON's null is `null_value`"
    refused(Payload(value=Value()), "input.value", f"$: {empty}")
    payload = value_payload("[1, 2]")
    payload.value.list_value.values.add()
    refused(payload, "input.value", f"$[2]: {empty}")


def test_the_limits_hold_in_json_form() -> None:
    codec = PayloadCodec(PayloadLimits(max_bytes=8, max_depth=2))
    assert codec.read(Payload(json="[[1, 2]]"), "input") == [[1, 2]]
    refused(
        Payload(json="[[1, 22]]"),
        "input.json",
        "has 9 bytes of JSON text; at most 8 are allowed",
        codec,
    )
    refused(Payload(json="[[[]]]"), "input.json", "$[0][0]: is nested deeper than 2 levels", codec)


def test_the_depth_limit_holds_in_value_form() -> None:
    codec = PayloadCodec(PayloadLimits(max_depth=3))
    assert codec.read(Payload(value=nested(3, Value(bool_value=True))), "input") == [[[True]]]
    refused(
        Payload(value=nested(4, Value(bool_value=True))),
        "input.value",
        "$[0][0][0]: is nested deeper than 3 levels",
        codec,
    )


@pytest.mark.parametrize("text", ["a" * 98, "é" * 49, "\x01" * 16 + "aa", '"' * 49])
def test_the_size_limit_holds_in_value_form_for_the_json_text(text: str) -> None:
    codec = PayloadCodec(PayloadLimits(max_bytes=100))
    assert codec.read(Payload(value=Value(string_value=text)), "input") == text
    refused(
        Payload(value=Value(string_value=text + "a")),
        "input.value",
        "$: would have 101 bytes as JSON text; at most 100 are allowed",
        codec,
    )


@pytest.mark.parametrize(
    "json_text, kind",
    [
        ("null", "null"),
        ("true", "a boolean"),
        ("1", "a number"),
        ("0.5", "a number"),
        ('"x"', "a string"),
        ("[]", "an array"),
    ],
)
def test_read_object_refuses_what_is_no_object(json_text: str, kind: str) -> None:
    for form, payload in ("json", Payload(json=json_text)), ("value", value_payload(json_text)):
        with pytest.raises(InvalidPayloadError) as caught:
            CODEC.read_object(payload, "metadata")
        violation = caught.value.violations[0]
        assert violation.field == f"metadata.{form}"
        assert violation.description == f"must be a JSON object, not {kind}"


def test_read_object_returns_an_object_of_either_form() -> None:
    assert CODEC.read_object(Payload(json='{"a": 1}'), "metadata") == {"a": 1}
    assert CODEC.read_object(value_payload('{"a": 1}'), "metadata") == {"a": 1}


# Writing.


def test_json_form_is_the_text() -> None:
    assert write('{"a":1}') == Payload(json='{"a":1}')


def test_value_form_is_the_same_value() -> None:
    text = '{"a":[null,true,1.5,"x",{},[],-3]}'
    assert write(text, PayloadForm.VALUE) == value_payload(text)


def test_every_kind_survives_the_wire_in_value_form() -> None:
    for text in ("null", "false", "0", '""', "[]", "{}", '{"":[[],{}]}'):
        payload = Payload.FromString(write(text, PayloadForm.VALUE).SerializeToString())
        assert CODEC.read(payload, "input") == json.loads(text)


def test_integers_beyond_53_bits_are_decimal_strings_in_value_form() -> None:
    numbers = [2**53, -(2**53), 2**53 + 1, -(2**53) - 1, 2**64 - 1]
    value = CODEC.read(write(json.dumps(numbers), PayloadForm.VALUE), "input")
    assert value == [2**53, -(2**53), "9007199254740993", "-9007199254740993", str(2**64 - 1)]


def fold(value: Any, depth: int = 0) -> Any:
    """What the rule for depth makes of a value, said another way."""
    if isinstance(value, (dict, list)) and depth == MAX_VALUE_DEPTH:
        return json.dumps(value, separators=(",", ":"))
    if isinstance(value, dict):
        return {k: fold(v, depth + 1) for k, v in value.items()}
    return [fold(v, depth + 1) for v in value] if isinstance(value, list) else value


def test_what_is_nested_too_deep_for_protobuf_becomes_its_json_text() -> None:
    value: Any = {"deep": [2**60, '"]}\\', {}]}
    for level in range(MAX_VALUE_DEPTH + 3):
        value = {"]": "[{", "a": value} if level % 2 else [value, "\\", [], value]
        if level > 8:
            value = value if isinstance(value, dict) else value[:3]
    text = json.dumps(value, separators=(",", ":"))
    assert CODEC.read(write(text, PayloadForm.VALUE), "input") == fold(value)


def test_exactly_the_deepest_nesting_is_kept() -> None:
    depth = MAX_VALUE_DEPTH
    kept = "[" * depth + "[]" * 0 + "1" + "]" * depth
    assert CODEC.read(write(kept, PayloadForm.VALUE), "input") == json.loads(kept)
    folded = CODEC.read(write(f"[{kept}]", PayloadForm.VALUE), "input")
    assert json.dumps(folded) == "[" * depth + '"[1]"' + "]" * depth


def test_a_text_of_any_depth_can_be_written_in_value_form() -> None:
    text = '{"a":' * 100_000 + "1" + "}" * 100_000
    event = run_event_pb2.RunEvent()
    event.values.values.json = text
    to_value_form(event)
    wrapped = runs_pb2.StreamRunResponse(event=event)
    assert runs_pb2.StreamRunResponse.FromString(wrapped.SerializeToString()) == wrapped


def payloads_of(message: Message) -> list[Payload]:
    found = []
    for field, content in message.ListFields():
        if field.message_type is None:
            continue
        is_map = field.message_type.GetOptions().map_entry
        values = content.values() if is_map else content if not field.has_presence else [content]
        for inner in values:
            if isinstance(inner, Payload):
                found.append(inner)
            elif isinstance(inner, Message):
                found += payloads_of(inner)
    return found


def test_to_value_form_reaches_every_payload_of_a_message() -> None:
    one = Payload(json="1")
    inner = threads_pb2.ThreadState(
        values=one, pauses=[pause_pb2.Pause(value=one, response_schema=one)]
    )
    asked = threads_pb2.InterruptState(value=one)
    task = threads_pb2.TaskState(result=one, interrupts=[asked, asked])
    task.state.CopyFrom(inner)
    state = threads_pb2.ThreadState(values=one, metadata=one, tasks=[task, task])
    messages: list[tuple[Message, int]] = [
        (threads_pb2.ListThreadHistoryResponse(states=[state, inner]), 17),
        (run_pb2.Resume(answers={"a": one, "b": one}, answer=one), 3),
        (assistants_pb2.GetAssistantSchemasResponse(input=one, state=one), 2),
        (Payload(json="1"), 0),
    ]
    for message, count in messages:
        to_value_form(message)
        assert len(payloads_of(message)) == count
        assert all(p == value_payload("1") for p in payloads_of(message))
    assert messages[-1][0] == value_payload("1")


def test_to_value_form_leaves_unset_and_value_payloads_alone() -> None:
    state = threads_pb2.ThreadState(values=value_payload('{"a": 1}'), metadata=Payload())
    before = threads_pb2.ThreadState()
    before.CopyFrom(state)
    to_value_form(state)
    assert state == before
    assert not state.tasks
    empty = threads_pb2.ThreadState()
    to_value_form(empty)
    assert not empty.HasField("values")


def test_to_value_form_of_a_message_without_payloads_changes_nothing() -> None:
    request = runs_pb2.CancelRunRequest(run_id="x")
    to_value_form(request)
    assert request == runs_pb2.CancelRunRequest(run_id="x")
