"""Payloads under generated values: what holds for all of them."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import math
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pydantic
import pytest
from google.protobuf.struct_pb2 import Value
from graphwire.v1.payload_pb2 import Payload
from graphwire_server import jsontext
from graphwire_server.jsontext import encode
from graphwire_server.rpc.payloads import PayloadCodec, PayloadForm, PayloadLimits, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Send

CODEC = PayloadCodec(PayloadLimits())
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def trees(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=25
    )


JSON = trees(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FINITE | TEXT, TEXT)
#: What the value form holds too: no integers beyond 53 bits, no floats that look like integers.
SAFE_JSON = trees(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | FINITE.filter(lambda x: not x.is_integer() or abs(x) > 2**53)
    | TEXT,
    TEXT,
)


def loads(text: str) -> Any:
    return jsontext.loads(text, max_bytes=4 << 20, max_depth=100)


def exact(value: object) -> str:
    """Text that tells apart what == does not: 1, 1.0 and True, 0.0 and -0.0."""
    return repr(value)


@QUICK
@given(JSON)
def test_what_is_written_is_read_back_the_same(value: Any) -> None:
    assert exact(loads(jsontext.dumps(value))) == exact(value)


@QUICK
@given(JSON)
def test_both_paths_write_the_same_text(value: Any) -> None:
    text = jsontext.dumps(value)
    assert encode._ExactWriter(sort_keys=False).write(value) == text
    assert encode._ExactWriter(sort_keys=True).write(value) == jsontext.canonical(value)


@QUICK
@given(JSON, JSON)
def test_canonical_text_is_the_same_exactly_for_equal_values(one: Any, other: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: shuffled(v) for k, v in reversed(value.items())}
        return [shuffled(v) for v in value] if isinstance(value, list) else value

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: ordered(v) for k, v in sorted(value.items())}
        return [ordered(v) for v in value] if isinstance(value, list) else value

    assert jsontext.canonical(shuffled(one)) == jsontext.canonical(one)
    same = exact(ordered(one)) == exact(ordered(other))
    assert (jsontext.canonical(one) == jsontext.canonical(other)) == same


@QUICK
@given(JSON)
def test_a_read_of_the_standard_library_and_ours_agree(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert exact(loads(text)) == exact(value)


@QUICK
@given(
    st.text() | JSON.map(json.dumps).flatmap(lambda t: st.sampled_from([t[1:], t[:-1], t + "]"]))
)
@example('{"a": 1, "a": 1}')
@example("1e400")
def test_any_text_is_read_or_refused_as_a_strict_parser_would(text: str) -> None:
    try:
        value = loads(text)
    except jsontext.JsonTextError as error:
        value, message = None, str(error)
    else:
        message = ""
    if message:
        assert len(message) < 500
    else:
        assert exact(orjson.loads(text)) == exact(value)


@QUICK
@given(SAFE_JSON)
def test_the_two_forms_agree_within_53_bits(value: Any) -> None:
    text = jsontext.dumps(value)
    payload = Payload.FromString(write(text, PayloadForm.VALUE).SerializeToString())
    from_value = CODEC.read(payload, "input")
    assert jsontext.canonical(from_value) == jsontext.canonical(CODEC.read(Payload(json=text), ""))


@QUICK
@given(JSON, JSON)
def test_a_merge_patch_leaves_no_null_of_its_own_and_is_idempotent(target: Any, patch: Any) -> None:
    once = jsontext.merge_patch(target, patch)
    assert jsontext.merge_patch(once, patch) == once
    if not isinstance(patch, dict):
        assert once == patch
    elif not isinstance(target, dict):
        assert all(once[key] is not None for key in once)


# Any object of Python.


class Color(enum.Enum):
    RED = "red"
    DEEP = (math.nan, frozenset([1]))


class Order(pydantic.BaseModel):
    item: Any = None


@dataclasses.dataclass(eq=False)
class Node:
    value: Any = None


class Hostile:
    def __repr__(self) -> str:
        raise RecursionError

    def __str__(self) -> str:
        raise MemoryError


Pair = collections.namedtuple("Pair", "left right")

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(codec=None)),
    st.text(st.characters(categories=["Cs"])),
    st.binary(),
    st.datetimes(timezones=st.just(UTC) | st.none()),
    st.dates(),
    st.times(),
    st.timedeltas(timedelta(-1000), timedelta(1000)),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.complex_numbers(),
    st.uuids(),
    st.sampled_from(Color),
    st.builds(object),
    st.builds(Hostile),
    st.sampled_from([Color, Order, len, iter, math]),
)
KEYS = SCALARS | st.tuples(SCALARS, SCALARS) | st.frozensets(SCALARS) | st.builds(Node, SCALARS)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner),
        st.dictionaries(KEYS, inner),
        st.tuples(inner, inner),
        st.sets(KEYS),
        st.lists(inner).map(collections.deque),
        st.builds(Pair, inner, inner),
        st.builds(Node, inner),
        st.builds(Order, item=inner),
        st.builds(
            HumanMessage, content=st.just("hi"), additional_kwargs=st.dictionaries(TEXT, inner)
        ),
        st.builds(AIMessage, content=st.just("hi"), response_metadata=st.dictionaries(TEXT, inner)),
        st.builds(Send, st.just("node"), inner),
        st.builds(lambda x: ValueError(x), inner),
        st.builds(lambda x: (y for y in [x]), inner),
    )


#: A signaling NaN can't even be hashed, so it is no key.
ANYTHING = st.recursive(SCALARS | st.just(Decimal("sNaN")), containers, max_leaves=15)


@QUICK
@given(ANYTHING)
def test_any_object_becomes_text_that_a_strict_parser_accepts(obj: Any) -> None:
    text = jsontext.dumps(obj)
    back = orjson.loads(text)
    assert jsontext.loads(text, max_bytes=1 << 30, max_depth=500) == back
    assert orjson.loads(jsontext.canonical(obj)) == back


@QUICK
@given(ANYTHING.filter(lambda obj: obj is not None))
def test_nothing_but_none_becomes_null(obj: Any) -> None:
    assert jsontext.dumps(obj) != "null"


@QUICK
@given(st.recursive(st.floats() | st.text(), st.lists, max_leaves=30))
def test_state_without_none_is_written_without_null(obj: Any) -> None:
    def count(value: Any) -> int:
        return sum(map(count, value)) if isinstance(value, list) else value is None

    assert count(orjson.loads(jsontext.dumps(obj))) == 0


@QUICK
@given(st.dictionaries(KEYS, st.integers(0, 2**70), min_size=1))
def test_no_member_is_lost_whatever_the_keys(members: dict[Any, Any]) -> None:
    assert len(orjson.loads(jsontext.dumps(members))) == len(members)


@QUICK
@given(ANYTHING)
def test_any_object_can_go_out_in_value_form(obj: Any) -> None:
    payload = write(jsontext.dumps(obj), PayloadForm.VALUE)
    assert Payload.FromString(payload.SerializeToString()) == payload
    assert payload.value.WhichOneof("kind") is not None


@pytest.mark.parametrize("message", [Value(number_value=1), Value(string_value="x")])
def test_the_value_form_is_a_value(message: Value) -> None:
    assert write(
        jsontext.dumps(CODEC.read(Payload(value=message), "")), PayloadForm.VALUE
    ) == Payload(value=message)
