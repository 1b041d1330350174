"""Conditions: equality is that of JSON, and any text compiles or is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from graphwire_server.graphs.conditions import (
    MAX_LENGTH,
    ConditionError,
    ConditionFailed,
    compile_condition,
)
from hypothesis import example, given
from hypothesis import strategies as st

from .asked import holds, variables

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def literal(value: object) -> str:
    """Writes a JSON value as an expression, whose types are not checked."""
    match value:
        case None | bool() | float() | int():
            return f"dyn({json.dumps(value)})"
        case str():
            escaped = "".join(f"\\U{ord(character):08x}" for character in value)
            return f"dyn('{escaped}')"
        case list():
            return f"dyn([{', '.join(map(literal, value))}])"
        case dict():
            entries = (f"{literal(key)}: {literal(inner)}" for key, inner in value.items())
            return f"dyn({{{', '.join(entries)}}})"
    raise AssertionError(value)


def same(left: object, right: object) -> bool:
    """Says whether two JSON values are the same for CEL."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


@given(json_values, json_values)
@example(1, True)
@example([0], [False])
@example({"a": 0.0}, {"a": -0.0})
def test_equality_is_that_of_json(left: Any, right: Any) -> None:
    written = f"{literal(left)} == {literal(left)} && {literal(left)} == state.left"
    if len(written) <= MAX_LENGTH:
        assert holds(written, left=left)
    assert holds("state.left == state.right", left=left, right=right) is same(left, right)
    assert holds("state.left in [state.right]", left=left, right=right) is same(left, right)


def compiles_or_is_refused(text: str) -> None:
    # Anything that is raised but these is a bug.
    with suppress(ConditionError, ConditionFailed):
        condition = compile_condition(text, None)
        assert condition.holds(variables({"a": 1, "s": "x", "t": [True]})) in (True, False)


@given(st.text(alphabet="stae.x[]()!&|<>=+-*/%?:'\"1 ,{}`\\in\n0.5u#", max_size=30))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    compiles_or_is_refused(text)


PARTS = """
state state.s state.t [ ] ( ) . , ? : && || == != < in + - * / % ! 1 2.5 -1 0u 'a' b'a' true null
x .size() .exists(x, .map(x, [0] [-1] {} has( size( string( int( type( task.input node step
"""


@given(st.lists(st.sampled_from(PARTS.split()), max_size=12).map(" ".join))
def test_any_words_compile_or_are_refused(text: str) -> None:
    compiles_or_is_refused(text)
