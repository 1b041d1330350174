"""`jsontext.canonical` and `jsontext.merge_patch`."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from graphwire_server import jsontext


def test_the_order_of_keys_does_not_matter() -> None:
    one, other = {"b": [{"y": 1, "x": 2}], "a": None}, {"a": None, "b": [{"x": 2, "y": 1}]}
    assert jsontext.canonical(one) == '{"a":null,"b":[{"x":2,"y":1}]}'
    assert jsontext.canonical(other) == jsontext.canonical(one)


def test_keys_are_sorted_by_code_point() -> None:
    assert jsontext.canonical({"😀": 1, "\uffff": 2, "é": 3, "z": 4}) == (
        '{"z":4,"é":3,"\uffff":2,"😀":1}'
    )


@pytest.mark.parametrize(
    "one, other",
    [(1, 1.0), (1, True), (0, False), (0.0, -0.0), (1, "1"), (None, "null"), ([1, 2], [2, 1])],
)
def test_values_that_differ_have_different_texts(one: object, other: object) -> None:
    assert jsontext.canonical([one]) != jsontext.canonical([other])


def test_sorting_holds_where_orjson_gives_up() -> None:
    value: Any = {"b": 1, "a": 2}
    for _ in range(400):
        value = {"b": value, "a": 0}
    text = jsontext.canonical(value)
    assert text == '{"a":0,"b":' * 400 + '{"a":2,"b":1}' + "}" * 400


# The examples of RFC 7396, appendix A.
@pytest.mark.parametrize(
    "target, patch, result",
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_does_what_rfc_7396_shows(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((target, patch))
    assert jsontext.merge_patch(target, patch) == result
    assert (target, patch) == before


def test_merge_patch_goes_to_any_depth() -> None:
    patch: Any = {"x": 1}
    for _ in range(5000):
        patch = {"a": patch}
    merged = jsontext.merge_patch({"b": 2}, patch)
    assert jsontext.dumps(merged) == '{"b":2,"a":' + '{"a":' * 4999 + '{"x":1}' + "}" * 5000
