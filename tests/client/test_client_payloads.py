"""Python values in: written as JSON exactly, or refused with the field's name."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, time
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any

import graphwire
import pydantic
import pytest
from graphwire import AsyncClient
from graphwire._payload import decode, encode
from graphwire.v1 import payload_pb2
from langchain_core.messages import AIMessage, HumanMessage

from . import wire
from .scripted import ScriptedServer


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: int
    when: datetime


class Model(pydantic.BaseModel):
    name: str
    when: datetime


WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "null"),
        (True, "true"),
        (2**63 - 1, "9223372036854775807"),
        (0.1, "0.1"),
        ("Zürich 🌦", '"Zürich 🌦"'),
        ({"b": 1, "a": [1, (2, 3)]}, '{"b":1,"a":[1,[2,3]]}'),
        ({}, "{}"),
        (OrderedDict(z=1, a=2), '{"z":1,"a":2}'),
        (MappingProxyType({"k": 1}), '{"k":1}'),
        ({1: "a"}, '{"1":"a"}'),
        (WHEN, '"2026-01-02T03:04:05+00:00"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(3, 4), '"03:04:00"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (graphwire.StreamMode.UPDATES, '"UPDATES"'),
        ({"x"}, '["x"]'),
        (b"\x00\xff", '"AP8="'),
        ([Point(1, WHEN)], '[{"x":1,"when":"2026-01-02T03:04:05+00:00"}]'),
        ({"m": Model(name="n", when=WHEN)}, '{"m":{"name":"n","when":"2026-01-02T03:04:05Z"}}'),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_values_are_written_as_compact_json(value: Any, text: str) -> None:
    assert encode(value, "input").json == text


def test_langchain_messages_are_written_as_objects() -> None:
    call = {"name": "weather", "args": {"city": "Bern"}, "id": "call"}
    messages = [HumanMessage("hi"), AIMessage("", tool_calls=[call])]
    human, ai = json.loads(encode({"messages": messages}, "input").json)["messages"]
    assert (human["type"], human["content"]) == ("human", "hi")
    assert ai["tool_calls"][0]["args"] == {"city": "Bern"}


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value, complaint",
    [
        (float("nan"), "Out of range float values are not JSON compliant"),
        ([float("-inf")], "Out of range float values are not JSON compliant"),
        (object(), "a value of type object can't be written as JSON"),
        (Model, "a value of type ModelMetaclass can't be written as JSON"),
        (Point, "a value of type type can't be written as JSON"),
        ({(1, 2): 3}, "keys must be str, int, float, bool or None, not tuple"),
        ("\ud800", "a string holds half a surrogate pair"),
        (circular(), "Circular reference detected"),
        (deep(), "it is nested too deep"),
    ],
    ids=["nan", "infinity", "object", "model", "class", "key", "surrogate", "circle", "deep"],
)
def test_what_json_cannot_hold_is_refused_with_the_field(value: Any, complaint: str) -> None:
    with pytest.raises(graphwire.InvalidPayloadError) as caught:
        encode(value, "input")
    assert str(caught.value).startswith(f"input: {complaint}")
    assert [violation.field for violation in caught.value.violations] == ["input"]


async def test_a_value_that_is_refused_is_never_sent(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    with pytest.raises(graphwire.InvalidPayloadError, match="metadata: Out of range"):
        await client.threads.create(metadata={"n": float("inf")})
    assert scripted.calls == []


@pytest.mark.parametrize(
    "text, value",
    [
        ("null", None),
        ('{"b":1,"a":1.0}', {"b": 1, "a": 1.0}),
        ("9007199254740993", 9007199254740993),
        ('"🌦"', "🌦"),
    ],
)
def test_payloads_are_read_exactly(text: str, value: Any) -> None:
    found = decode(wire.payload(text))
    assert found == value
    assert repr(found) == repr(value)


def test_no_payload_at_all_is_none() -> None:
    assert decode(payload_pb2.Payload()) is None
