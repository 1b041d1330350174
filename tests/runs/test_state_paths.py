"""Paths to parts of a state: what they are, what they find, and what is none."""

from __future__ import annotations

import pytest
from graphwire_server.runs.state_paths import MAX_PATH, StatePath, parse_path, part

STATE = {
    "messages": [{"content": "first", "n": 1.0}, {"content": "last", "none": None}],
    "result": {"total": 12, "a b": {"": ["deep"]}, 'q"]': True},
    "0": "key",
    "größe": 9007199254740993,
}


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("messages[-1].content", ("messages", -1, "content"), '"last"'),
        ("messages[0].n", ("messages", 0, "n"), "1.0"),
        ("messages[1].none", ("messages", 1, "none"), "null"),
        ("result.total", ("result", "total"), "12"),
        ('result["a b"]', ("result", "a b"), '{"":["deep"]}'),
        ('["result"]["a b"][""][0]', ("result", "a b", "", 0), '"deep"'),
        ('result["q\\"]"]', ("result", 'q"]'), "true"),
        ("0", ("0",), '"key"'),
        ("größe", ("größe",), "9007199254740993"),
        ('["gr\\u00f6\\u00dfe"]', ("größe",), "9007199254740993"),
    ],
)
def test_a_path_leads_to_a_part(text: str, path: StatePath, found: str) -> None:
    assert parse_path(text) == path
    assert part(STATE, path) == found


@pytest.mark.parametrize(
    "text",
    [
        *(
            "nothing",
            "messages[2]",
            "messages[-3]",
            "messages.content",
            "result[0]",
            "result.total.x",
        ),
        *("messages[0][0]", "messages[0].content[0]", "messages[999999999]"),
    ],
)
def test_what_is_not_there_is_null(text: str) -> None:
    assert part(STATE, parse_path(text)) == "null"


@pytest.mark.parametrize("state", [None, 1, "text", [1], []])
def test_a_state_that_is_no_object_has_no_parts(state: object) -> None:
    assert part(state, ("a",)) == "null"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must begin with a key"),
        ("[0]", "must begin with a key"),
        ("[0].a", "must begin with a key"),
        (".a", "at character 1"),
        ("a.", "at character 2"),
        ("a..b", "at character 2"),
        ("a b", "at character 2"),
        ("a[", "at character 2"),
        ("a[]", "at character 2"),
        ("a[x]", "at character 2"),
        ("a[1.5]", "at character 2"),
        ("a[--1]", "at character 2"),
        ("a[1", "at character 2"),
        ("a]", "at character 2"),
        ("a[0]b", "at character 5"),
        ("a.[0]", "at character 2"),
        ("a['x']", "at character 2"),
        ('a["x]', "at character 2"),
        ('a["\\x"]', "no JSON string"),
        ("a[9999999999]", "at character 2"),
        ("a" * (MAX_PATH + 1), "at most 512 characters"),
    ],
)
def test_what_is_no_path_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_path(text)
