"""What has changed between two states, and breakpoints as they are typed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from graphwire import Breakpoint
from graphwire.values import AssistantGraph, GraphEdge, GraphNode
from graphwire_server.cli.breakspec import breakpoint_text, read_breakpoint
from graphwire_server.cli.debugger.edits import _fits
from graphwire_server.cli.debugger.standing import value_at
from graphwire_server.cli.differences import difference_text, differences
from graphwire_server.cli.drawing import draw_graph
from graphwire_server.cli.inputs import example_input, input_of_text, takes_messages

HUMAN = {"type": "human", "content": "Hi", "id": "1"}
AI = {
    "type": "ai",
    "content": "Let me\nsee.",
    "id": "2",
    "tool_calls": [{"name": "look", "args": {"at": "it"}, "id": "c"}],
}


def rows(old: Any, new: Any, width: int = 60) -> list[str]:
    """Returns the changes as they are shown."""
    return [difference_text(change, width).plain for change in differences(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ({"n": 1}, {"n": 1}, []),
        ({}, {"n": 1}, ["+ n  1"]),
        ({"n": 1}, {}, ["- n  1"]),
        ({"n": 1}, {"n": None}, ["~ n  1 → null"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}, ["~ a.b  1 → 3"]),
        ({"log": ["a"]}, {"log": ["a", "b"]}, ['+ log[1]  "b"']),
        ({"log": ["a", "b"]}, {"log": ["a"]}, ['- log[1]  "b"']),
        ({"log": ["a"]}, {"log": {"x": 1}}, ['~ log  ["a"] → {"x": 1}']),
        (
            {},
            {"messages": [HUMAN, AI]},
            ["+ messages[0]  human  Hi", '+ messages[1]  ai  Let me see.  look(at="it")'],
        ),
        (
            {"messages": [HUMAN]},
            {"messages": [{**HUMAN, "content": "Bye"}]},
            ['~ messages[0].content  "Hi" → "Bye"'],
        ),
        ({"messages": [HUMAN]}, {"messages": [{**HUMAN, "response_metadata": {"x": 1}}]}, []),
        (
            {"messages": [HUMAN]},
            {"messages": [AI]},
            ['~ messages[0]  ai  Let me see.  look(at="it")'],
        ),
        ([1, 2], [1, 3], ["~ [1]  2 → 3"]),
    ],
)
def test_changes_are_named_by_their_place(old: Any, new: Any, shown: list[str]) -> None:
    assert rows(old, new) == shown


def test_a_change_takes_one_row_and_shows_both_sides() -> None:
    [row] = rows({"text": "x" * 500}, {"text": "y" * 500}, 60)
    assert len(row) == 60
    assert row.startswith('~ text  "xxx')
    assert "… → " in row
    assert row.endswith("y…")
    [row] = rows({"text": "x" * 90 + "left"}, {"text": "x" * 90 + "right"}, 60)
    assert row == '~ text  …xxxxxxxxleft" → …xxxxxxxxright"'


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("action", Breakpoint("action")),
        (" child/confirm:after ", Breakpoint("child/confirm", position="AFTER")),
        ("a:before", Breakpoint("a")),
        ("*  if step > 3", Breakpoint("*", "step > 3")),
        (
            'a:after if state.x == " if "',
            Breakpoint("a", 'state.x == " if "', position="AFTER"),
        ),
        ("iffy", Breakpoint("iffy")),
    ],
)
def test_a_breakpoint_is_read_and_shown_as_it_is_typed(typed: str, meant: Breakpoint) -> None:
    read = read_breakpoint(typed)
    assert read == meant
    assert read_breakpoint(breakpoint_text(read)) == read


_NO_SIDE = (
    "'{}': a node is followed by :before or :after; a node of a subgraph is written as a path, {}"
)


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("", "name a node, as in: action if state.count > 3"),
        (":after", "name a node, as in: action if state.count > 3"),
        ("a if", "'a if' has no condition after `if`"),
        ("a:beside", _NO_SIDE.format("a:beside", "a/beside")),
        ("a:unknown", _NO_SIDE.format("a:unknown", "a/unknown")),
        ("a:b:after", _NO_SIDE.format("a:b:after", "a/b:after")),
    ],
)
def test_what_is_no_breakpoint_says_what_is_missing(typed: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="^" + wrong.replace("?", r"\?") + "$"):
        read_breakpoint(typed)


STATE = {"messages": [HUMAN, AI], "n": {"m": 1}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("n", {"m": 1}),
        ("n.m", 1),
        ("messages[0].content", "Hi"),
        ("messages[-1].tool_calls[0].args.at", "it"),
    ],
)
def test_a_path_leads_into_a_state(path: str, value: Any) -> None:
    assert value_at(STATE, path) == value


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("m", "the state has no m; it has: messages, n"),
        ("n.x", "n has no x; it has: m"),
        ("messages[7]", r"messages has 2 items and no \[7\]"),
        ("messages[x]", r"messages has 2 items and no \[x\]"),
        ("n.m.o", "n.m has no parts, and no o"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(path: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"^{wrong}$"):
        value_at(STATE, path)


def test_a_message_is_what_was_wanted_when_it_says_the_same() -> None:
    assert _fits([HUMAN], [{**HUMAN, "additional_kwargs": {}}])
    assert not _fits([HUMAN], [{**HUMAN, "content": "Bye"}])
    assert not _fits([HUMAN], [HUMAN, AI])


CHAT = {"type": "object", "properties": {"messages": {"type": "array"}}}
LOG = {"type": "object", "properties": {"log": {"type": "array"}}, "required": ["log"]}


def test_input_is_json_or_what_a_user_says() -> None:
    assert input_of_text("Hello!", CHAT) == {"messages": [{"role": "user", "content": "Hello!"}]}
    assert input_of_text("{hm", CHAT) == {"messages": [{"role": "user", "content": "{hm"}]}
    assert input_of_text('{"log": []}', LOG) == {"log": []}
    assert input_of_text("7", {"type": "integer"}) == 7
    with pytest.raises(
        ValueError, match=r'^the graph takes no messages: give JSON, such as \{"log'
    ):
        input_of_text("Hello!", LOG)


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        (LOG, '{"log": []}'),
        ({"properties": {"a": {"type": "string"}, "b": {}}}, '{"a": "…"}'),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, '{"a": "x"}'),
        ({"properties": {"a": {"default": 3}}}, '{"a": 3}'),
        ({"properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}, '{"a": 1}'),
        (
            {"$defs": {"P": {"properties": {"n": {"type": "boolean"}}}}, "$ref": "#/$defs/P"},
            '{"n": true}',
        ),
        ({"type": "number"}, "1.5"),
        ({}, "{}"),
        (None, "{}"),
    ],
)
def test_an_example_fits_the_schema(schema: Any, example: str) -> None:
    assert example_input(schema) == example
    assert not takes_messages(schema)


def test_a_marked_node_has_a_bold_frame_and_its_caption() -> None:
    names = ("__start__", "a", "b")
    graph = AssistantGraph(
        nodes=tuple(
            GraphNode(node_id=n, name=n, interrupt_before=n == "b", interrupt_after=False)
            for n in names
        ),
        edges=tuple(
            GraphEdge(source=s, target=t, label="", conditional=False) for s, t in pairwise(names)
        ),
        mermaid="",
    )
    assert draw_graph(graph, {"a": "▶ a"}).text.plain == (
        "╭───────────╮\n│ __start__ │\n╰─────┬─────╯\n      │\n ┏━━━━▼━━━━┓\n ┃   ▶ a   ┃\n"
        " ┗━━━━┯━━━━┛\n      │\n ╭────▼────╮\n │   ◆ b   │\n ╰─────────╯"
    )
