"""What is wrong with a condition is said when it arrives, and where."""

# ruff: noqa: E501 - in the tables a case is a line.

from __future__ import annotations

import pytest
from graphwire_server.graphs.conditions import (
    ConditionError,
    Position,
    compile_condition,
)

from .asked import refusal


@pytest.mark.parametrize(
    "text, offset, message",
    [
        ("", 0, "there is no expression"),
        (" // nothing", 11, "there is no expression"),
        ("state.a +", 9, "the condition ends here, where a value should be"),
        ("(true", 5, "the condition ends here, where ')' should be"),
        ("true)", 4, "found ')', where an operator or the end should be"),
        ("true false", 5, "found 'false', where an operator or the end should be"),
        ("state.a = 1", 8, "'=' is not part of the language; equality is =="),
        ("true & true", 5, "'&' is not part of the language; 'and' is &&"),
        ("true and true", 5, "found 'and', where an operator or the end should be"),
        ("'abc", 0, "this string is not closed"),
        ('node == b"abc', 8, "this string is not closed"),
        (r"node == 'a\d'", 10, r"\d is no escape; a backslash is written \\"),
        (r"node == '\uD800'", 9, r"\uD800 is no character"),
        (r"b'\u0041' == b''", 2, r"\u0041 can't be in bytes, which are written as \x00 to \xff"),
        ("1abc == 1", 1, "'a' can't follow a number"),
        ("9223372036854775808 > 0", 0, "9223372036854775808 is more than the largest int, 9223372036854775807"),
        ("9223372036854775809 > 0", 0, "9223372036854775809 is outside the ints, which have 64 bits"),
        ("18446744073709551616u > 0u", 0, "18446744073709551616u is more than the largest uint, 18446744073709551615u"),
        ("state.in == 1", 6, "found 'in', where the name of a field should be"),
        ("while == 1", 0, "'while' is reserved: no variable is called so"),
        ("Foo{a: 1} == 1", 3, "values of message types can't be made in a condition"),
        ("[1, 2 == 1", 10, "the condition ends here, where ']' should be"),
        ("has(state)", 0, 'has() takes one field, as in has(state.user); or: "user" in state'),
        ("[1].all(x)", 4, "all() takes a variable and an expression: all(x, …)"),
        ("[1].all(x.y, true)", 10, "all() takes a variable's name first: all(x, …)"),
        ("foo == 1", 0, "there is no variable 'foo'; there are: state, node, step, metadata, task"),
        ("state.a == 1 &&\n  stat.b", 18, "there is no variable 'stat'; did you mean 'state'? There are: state, node, step, metadata, task"),
        ("[1].all(x, true) && x", 20, "there is no variable 'x'; there are: state, node, step, metadata, task"),
        ("task.inputs", 5, "task has no 'inputs'; it has: id, input"),
        ("task == 1", 0, "'task' is no value by itself: use task.input or task.id"),
        ("sise(node) > 1", 0, "there is no function sise(); did you mean 'size'?"),
        ("exists(state.a, x, true)", 0, "exists() goes through a list, as in state.messages.exists(x, …)"),
        ("node.int() == 1", 5, "int() is written int(x)"),
        ("contains(node, 'a')", 0, "contains() is written x.contains(…)"),
        ("1 + 2", 0, "a condition is true or false, and this is an int"),
        ("  node", 2, "a condition is true or false, and this is a string"),
        ("state.a.map(x, x)", 0, "a condition is true or false, and this is a list"),
        ('"a" && true', 0, "&& takes bools, and this is a string"),
        ("true || step", 8, "|| takes bools, and this is an int"),
        ('step + "x" == "a"', 5, "there is no int + string; convert the other side, as in string(…)"),
        ("step + 1.5 > 2", 5, "there is no int + double; convert one side, as in double(…)"),
        ("size(step) == 1", 0, "there is no size(int); there is: size(string), size(bytes), size(list), size(map)"),
        ("node.contains(1)", 5, "there is no string.contains(int); there is: string.contains(string)"),
        ("node == 1", 5, "a string is never equal to an int"),
        ("[1] == ['a']", 4, "a list(int) is never equal to a list(string)"),
        ("node == null", 5, "a string is never equal to null"),
        ("node < 1", 5, "there is no string < int"),
        ("node.name == 'a'", 5, "a string has no field 'name'"),
        ("node[0] == 'a'", 4, "a string has no members"),
        ("metadata[0] == 1", 8, "this map's key is a string, and this is an int"),
        ("[1]['a'] == 1", 3, "a list's index is an int, and this is a string"),
        ("1 in node", 5, "'in' looks into a list or a map, and this is a string"),
        ("'a' in [1]", 4, "a string is never in a list(int)"),
        ("node.exists(x, true)", 5, "exists() goes through a list or a map, and this is a string"),
        ("[1].exists(x, x + 1)", 16, "exists() takes a bool, and this is an int"),
        ("{1.5: 1} == {}", 1, "a map's key is a string, a number or a bool; this is a double"),
        ("-node == 1", 0, "there is no - for a string"),
        ("-5u == 1", 0, "there is no - for a uint"),
        ("step ? true : false", 0, "what stands before ? is a bool, and this is an int"),
        ("node.matches('(')", 13, "'(' is no pattern of RE2: missing ): ("),
        ("node.matches('(a+)\\\\1')", 13, "'(a+)\\\\1' is no pattern of RE2: invalid escape sequence: \\1"),
        ("node.matches('((a{100}){10}){2}')", 13, "'((a{100}){10}){2}' is no pattern of RE2: invalid repetition size: {2}"),
        ("timestamp('today') < timestamp(0)", 10, "'today' is no timestamp, as 2026-01-31T12:00:00Z is"),
        ("timestamp('2026-02-30T00:00:00Z') < timestamp(0)", 10, "there is no such time as '2026-02-30T00:00:00Z'"),
        ("duration('1 day') > duration('0s')", 9, "'1 day' is no duration, as 1h30m or 1.5s is"),
        ("é == 1", 0, "'é' is not part of the language"),
        ("state.a?.b == 1", 15, "the condition ends here, where ':' should be"),
    ],
)  # fmt: skip
def test_refusal(text: str, offset: int, message: str) -> None:
    assert refusal(text) == (offset, message)


def test_an_error_says_line_and_column() -> None:
    with pytest.raises(ConditionError) as caught:
        compile_condition("true &&\n  (foo)\n", None)
    assert caught.value.position == Position(offset=11, line=2, column=4)
    assert str(caught.value).startswith("line 2, column 4: there is no variable 'foo'")


@pytest.mark.parametrize(
    "text, offset",
    [("state.mesages == []", 6), ("has(state.mesages)", 10), ("state['mesages'] == []", 6),
     ("'mesages' in state", 0)],
)  # fmt: skip
def test_keys_that_the_state_has_not(text: str, offset: int) -> None:
    wanted = "the state has no 'mesages'; did you mean 'messages'? It has: messages, user"
    assert refusal(text, ["user", "messages"]) == (offset, wanted)
    compile_condition(text, None)
    many = [f"key{index:02}" for index in range(30)]
    assert refusal("state.x == 1", many)[1].endswith("key18, key19, …")
    assert refusal("state.x == 1", [])[1] == "the state has no 'x'; it has: nothing"
