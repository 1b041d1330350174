"""What conditions of breakpoints mean, and what they read for that."""

# ruff: noqa: E501 - in the tables a case is a line.

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, NoReturn

import pytest
from graphwire_server import jsontext
from graphwire_server.graphs.conditions import (
    ConditionFailed,
    Variables,
    compile_condition,
)
from langchain_core.messages import AIMessage, HumanMessage

from .asked import failure, holds, known, variables

REFUND = 'state.messages[-1].tool_calls.exists(t, t.name == "refund" && t.args.amount > 100)'


def calls(*amounts: object) -> AIMessage:
    return AIMessage(
        "",
        tool_calls=[
            {"name": "refund", "args": {"amount": amount}, "id": str(index)}
            for index, amount in enumerate(amounts)
        ],
    )


def unread() -> NoReturn:
    pytest.fail("read, though the condition does not name it")


class ReadOnly(Mapping[str, object]):
    """A state that says what was read of it."""

    def __init__(self, **values: object) -> None:
        self.values_ = values
        self.read: list[str] = []

    def __getitem__(self, key: str) -> object:
        self.read.append(key)
        return self.values_[key]

    def __contains__(self, key: object) -> bool:
        return key in self.values_

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def test_the_condition_of_the_docs() -> None:
    condition = compile_condition(REFUND, known("messages"))
    assert condition.names == frozenset({"state"})
    assert condition.reads == frozenset({"messages"})
    before = HumanMessage("please")
    assert condition.holds(variables({"messages": [before, calls(5, 101)]}))
    assert not condition.holds(variables({"messages": [calls(101), calls(5, 100)]}))
    assert not condition.holds(variables({"messages": [calls(101), calls()]}))
    with pytest.raises(ConditionFailed, match="line 1, column 20: there is no 'tool_calls' here"):
        condition.holds(variables({"messages": [before]}))
    with pytest.raises(ConditionFailed, match=r"there is no \[-1\] in a list of 0"):
        condition.holds(variables({"messages": []}))


def test_a_condition_is_compiled_once_for_a_state() -> None:
    text = f"{REFUND} && true"
    condition = compile_condition(text, known("messages"))
    assert compile_condition(text, known("messages")) is condition
    others = [compile_condition(text, known("messages", "other")), compile_condition(text, None)]
    assert condition not in others


@pytest.mark.parametrize(
    "text", ["state.name.matches('^a+$')", f"state.name == '{1024 * 'x'}'"], ids=["pattern", "long"]
)
def test_a_condition_that_takes_much_memory_is_not_remembered(text: str) -> None:
    assert compile_condition(text, None) is not compile_condition(text, None)


@pytest.mark.parametrize(
    "text",
    [
        'node == "tools"',
        "step == 3 && step > 2u && step < 3.5",
        'task.id == "t-1"',
        'task.input.city == "Vienna" && has(task.input.city) && !has(task.input.zip)',
        "has(task.id) && has(task.input)",
        'metadata.user == "ann" && metadata["user"] == "ann" && "user" in metadata',
        "state.n == 1 && state['n'] == 1 && .state.n == 1",
        "size(state) == 1 && state == {'n': 1} && state.exists(k, k == 'n')",
    ],
)
def test_variables(text: str) -> None:
    asked = variables({"n": 1}, task_input={"city": "Vienna"}, metadata={"user": "ann"})
    assert compile_condition(text, known("n")).holds(asked)


@pytest.mark.parametrize(
    "text, names, reads",
    [
        ("step > 3", {"step"}, set()),
        ("true", set(), set()),
        ('state.a == 1 || state["b"] == state.a', {"state"}, {"a", "b"}),
        ('"c" in state && has(state.d)', {"state"}, {"c", "d"}),
        ("state.a.exists(state, state.b)", {"state"}, {"a"}),
        ("state.a == 1 && size(state) > 1", {"state"}, None),
        ("state[node] == 1", {"state", "node"}, None),
        ("task.input.x && metadata.y", {"task", "metadata"}, set()),
        ("[{'x': 1}].exists(task, task.x == 1)", set(), set()),
    ],
)
def test_what_a_condition_reads(text: str, names: set[str], reads: set[str] | None) -> None:
    condition = compile_condition(text, None)
    assert condition.names == frozenset(names)
    assert condition.reads == (None if reads is None else frozenset(reads))


def test_nothing_is_read_that_is_not_named() -> None:
    state = ReadOnly(a=[1, 2], b=3)
    asked = Variables(
        node="n", step=1, task_id="t", task_input=unread, state=lambda: state, metadata=unread
    )
    assert compile_condition("state.a[-1] == 2 && state.a[0] == 1", None).holds(asked)
    assert state.read == ["a", "a"]
    assert compile_condition("has(state.b) && 'a' in state && !has(state.c)", None).holds(asked)
    assert state.read == ["a", "a"]
    unasked = Variables(
        node="n", step=1, task_id="t", task_input=unread, state=unread, metadata=unread
    )
    assert not compile_condition("step > 3 && state.a == 1", None).holds(unasked)


def test_only_what_is_reached_becomes_json() -> None:
    class Counted(AIMessage):
        """A message that counts how often it is made into JSON."""

        def model_dump(self, **options: Any) -> dict[str, Any]:
            dumped.append(self.id)
            return super().model_dump(**options)

    dumped: list[str | None] = []
    messages = [Counted(content="x", id=str(index)) for index in range(10_000)]
    assert holds("state.m[-1].content == 'x' && state.m[-1].type == 'ai'", m=messages)
    assert dumped == ["9999"]
    assert holds("state.m.size() == 10000 && has(state.m)", m=messages)
    assert dumped == ["9999"]
    assert holds("state.m.exists(m, m.id == '2')", m=messages)
    assert dumped == ["9999", "0", "1", "2"]


# JSON.


class Color(Enum):
    """A type that has no JSON form of its own."""

    RED = "red"


class Shade(StrEnum):
    """One that is a string."""

    DARK = "dark"


@dataclass
class Place:
    """A part of a state."""

    name: str
    tags: tuple[str, ...]


VALUES: dict[str, object] = {
    "color": Color.RED,
    "shade": Shade.DARK,
    "place": Place("Graz", ("a", "b")),
    "when": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "data": b"\x00\xff",
    "keys": {1: "one", 2.5: "more", None: "none", "x": "y", (1, 2): "pair"},
    "set": {3, 1, 2},
    "large": 2**63,
    "huge": 2**64,
    "nan": float("nan"),
    "infinite": [float("inf"), float("-inf")],
    "model": HumanMessage("hi", id="m-1"),
    "text": "grüß dich 🙂",
    "nested": [[{"a": [1, 2.5, None, True]}]],
    "object": object,
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_what_jsontext_makes_of_it(name: str) -> None:
    form = json.loads(jsontext.dumps(VALUES[name]))
    assert holds("state.value == state.form", value=VALUES[name], form=form)
    assert holds("state.form == state.value", value=VALUES[name], form=form)
    assert not holds("state.value == state.form", value=VALUES[name], form=[form])


def test_members_of_objects() -> None:
    assert holds("state.place.tags[1] == 'b' && state.place.name == 'Graz'", **VALUES)
    assert holds("timestamp(state.when) < timestamp('2026-02-01T00:00:00Z')", **VALUES)
    assert holds("state.keys['1'] == 'one' && state.keys['null'] == 'none'", **VALUES)
    assert holds("'[1,2]' in state.keys && state.keys.exists(k, k == '[1,2]')", **VALUES)
    assert not holds("'2' in state.keys || 1 in state.keys || has(state.keys.z)", **VALUES)
    assert holds("state.large == 9223372036854775808u && type(state.large) == uint", **VALUES)


# Meaning: the behaviours of the language definition.


@pytest.mark.parametrize(
    "text",
    [
        # Literals.
        r""" "\x41\u00e9\U0001F642\101\n\"" == "A\u00e9🙂A" + '\n"' """,
        r""" r"\n" == "\\n" && R'a\' == 'a\\' && '''a'b''' == "a'b" && "\`\?" == '`?' """,
        r""" b"\xff\101é" == b'\377A\303\251' && br"\x" == b"\\x" && b'a' != b'b' """,
        '"""a\nb""" == "a\\nb" && r"""a"b\\""" == "a\\"b\\\\"',
        "0x1F == 31 && 0xFFu == 255u && 1e3 == 1000.0 && .5 == 0.5 && 1.5e-1 == 0.15",
        "-9223372036854775808 == -9223372036854775807 - 1 && -0x10 == -16",
        "18446744073709551615u > 9223372036854775807",
        "[] == [] && [1,] == [1] && {} == {} && {'a': 1,} == {'a': 1}",
        "// a comment\ntrue // another",
        "{'a': {'b': [1]}}.a.b[0] == 1 && {'a-b': 1}.`a-b` == 1",
        "{'for': 1, 'function': 2}.for == 1 && {'function': 2}.function == 2",
        # Numbers.
        "7 / 2 == 3 && -7 / 2 == -3 && 7 % -2 == 1 && -7 % 2 == -1 && 7u % 4u == 3u",
        "1.0 / 0.0 > 1e308 && -1.0 / 0.0 < -1e308 && 1.0 / -0.0 < 0.0",
        "0.0 / 0.0 != 0.0 / 0.0 && !(0.0 / 0.0 < 1.0) && !(0.0 / 0.0 >= 1.0)",
        "1 == 1.0 && 1u == 1 && 1.0 == 1u && 1 < 1.5 && 2u > 1.5 && -1 < 0u && 1 <= 1u",
        "9007199254740993 > 9007199254740992.0",
        "dyn(1) == 1.0 && dyn(1) != true && dyn(0) != false && dyn('1') != 1",
        "1 + 2 * 3 - 4 == 3 && (1 + 2) * 3 == 9 && 2 - 1 - 1 == 0 && - -1 == 1",
        "-(-1) == 1 && !!true && -1.5 < 0.0 && 5-1 == 4",
        # Texts.
        '"a" + "b" == "ab" && "a" < "b" && "B" < "a" && b"a" + b"b" == b"ab" && b"a" < b"b"',
        'size("grüß🙂") == 5 && "abc".size() == 3 && size(b"é") == 2',
        '"abc".contains("b") && "abc".startsWith("ab") && "abc".endsWith("bc") && "".contains("")',
        '"abc".matches("b") && matches("abc", "^a.c$") && !"abc".matches("^b") && "é".matches("^.$")',
        r""" "2026-01".matches(r"^\d{4}-\d\d$") && "a".matches("(?i)A") && 'x'.matches(node + '|x') """,
        # Lists and maps.
        "1 in [1, 2] && 1.0 in [1, 2] && !(3 in [1, 2]) && 'a' in {'a': 1} && !(dyn(true) in [1])",
        "[1, 2] + [3] == [1, 2, 3] && [1, [2]] == [1.0, [2u]] && [1] != [1, 2] && size([1, 2]) == 2",
        "{'a': 1, 'b': 2} == {'b': 2.0, 'a': 1u} && {'a': 1} != {'a': 2} && {'a': 1} != {'b': 1}",
        "{1: 'a'}[1u] == 'a' && {1: 'a'}[1.0] == 'a' && {1u: 'a'}[1] == 'a'",
        "{true: 'a', 1: 'b'}[true] == 'a' && {true: 'a', 1: 'b'}[1] == 'b' && !(dyn(false) in {0: 1})",
        "[1, 2, 3][0] == 1 && [1, 2, 3][-1] == 3 && [1, 2, 3][-3] == 1 && [1, 2][1.0] == 2",
        "[5, 6][dyn(-1)] == 6 && [5, 6][1u] == 6 && [5, 6][1 - 2] == 6",
        # Conditionals.
        "true ? true : 1 / 0 == 1",
        "(false ? 1 : true ? 2 : 3) == 2",
        "1 < 2 ? 'a' == 'a' : false",
        # Macros.
        "[1, 2].all(x, x > 0) && ![1, 2].all(x, x > 1) && [].all(x, false) && ![].exists(x, true)",
        "[1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x > 1) && ![1, 2].exists_one(x, x > 0)",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "[1, 2, 3].filter(x, x % 2 == 1) == [1, 3] && {'a': 1, 'b': 2}.filter(k, k > 'a') == ['b']",
        "{'a': 1}.all(k, k == 'a') && {'a': 1}.map(k, {'a': 1}[k]) == [1] && {1: 2}.exists(k, k == 1)",
        "[[1, 2], [3]].exists(x, x.all(x, x > 2)) && [1].all(x, [2].all(y, x < y && step == 3))",
        "[1].map(node, node)[0] == 1 && node == 'tools'",
        "has({'a': null}.a) && !has({'a': 1}.b) && has({'a': {'b': 1}}.a.b)",
        # Conversions.
        "int('-42') == -42 && int(3.9) == 3 && int(-3.9) == -3 && int(7u) == 7 && int(1e3) == 1000",
        "uint(5) == 5u && uint('5') == 5u && uint(2.9) == 2u && double(2) == 2.0 && double('1e3') == 1e3",
        "double('NaN') != double('NaN') && double('-Infinity') < 0.0 && double(3u) == 3.0",
        "string(1) == '1' && string(1u) == '1' && string(1.5) == '1.5' && string(2.0) == '2'",
        "string(true) == 'true' && string(b'abc') == 'abc' && bytes('é') == b'é' && string('a') == 'a'",
        "bool('true') && !bool('0') && bool(true) && dyn(1) == 1",
        "type(1) == int && type(1u) == uint && type('') == string && type(null) == null_type",
        "type([]) == list && type({}) == map && type(1.0) == double && type(type(1)) == type",
        "type(b'') == bytes && type(true) == bool && type(1) != type(1.0)",
        # Times.
        "timestamp('2026-01-31T12:00:00.123456789Z') == timestamp('2026-01-31T13:00:00.123456789+01:00')",
        "timestamp('2026-01-31T12:00:00Z') + duration('36h') == timestamp('2026-02-02T00:00:00Z')",
        "timestamp('2026-02-01T00:00:00Z') - timestamp('2026-01-31T00:00:00Z') == duration('24h')",
        "timestamp(0) == timestamp('1970-01-01T00:00:00Z') && int(timestamp('1970-01-01T00:01:00Z')) == 60",
        "string(timestamp('0999-01-31T12:00:00.5+01:00')) == '0999-01-31T11:00:00.5Z'",
        "string(duration('-1h30m1.5s')) == '-5401.5s' && duration('1.5h') == duration('90m')",
        "duration('1ms') + duration('1us') - duration('1ns') == duration('1000999ns')",
        "duration('0') < duration('1ns') && duration('-1s') < duration('0s')",
        "timestamp('2026-01-31T23:30:05.25Z').getHours() == 23",
        "timestamp('2026-01-31T23:30:00Z').getHours('Europe/Vienna') == 0",
        "timestamp('2026-01-31T23:30:00Z').getDate('+01:00') == 1",
        "timestamp('2026-01-31T23:30:00Z').getMinutes('-00:45') == 45",
        "timestamp('2026-02-01T00:00:00Z').getMonth() == 1",
        "timestamp('2026-02-01T00:00:00Z').getDayOfMonth() == 0",
        "timestamp('2026-02-01T00:00:00Z').getDayOfYear() == 31",
        "timestamp('2026-02-01T00:00:00Z').getDayOfWeek() == 0",
        "timestamp('2026-02-01T00:00:00Z').getFullYear() == 2026",
        "timestamp('2026-02-01T00:00:07.125Z').getSeconds() == 7",
        "timestamp('2026-02-01T00:00:07.125Z').getMilliseconds() == 125",
        "duration('3730.5s').getHours() == 1 && duration('3730s').getMinutes() == 62",
        "duration('-3730.5s').getSeconds() == -3730 && duration('1.5s').getMilliseconds() == 500",
    ],
)
def test_meaning(text: str) -> None:
    assert holds(text) is True


@pytest.mark.parametrize("error", ["1 / 0 == 1", "state.none", "state.text"])
def test_and_and_or_do_not_mind_the_order(error: str) -> None:
    for text in (f"{error} && false", f"false && {error}", f"{error} && {error} && false"):
        assert holds(text, text="x") is False
    for text in (f"{error} || true", f"true || {error}", f"true && ({error} || true)"):
        assert holds(text, text="x") is True
    wanted = failure(error + " && true", text="x")
    assert failure(f"true && {error}", text="x").split(": ")[1] == wanted.split(": ")[1]
    for text in ("{} || false", "false || {}", "!({})", "[1].all(x, {})", "{} ? true : true"):
        failure(text.format(error), text="x")


def test_all_and_exists_do_not_mind_errors_that_decide_nothing() -> None:
    assert holds("[0, 1, 2].exists(x, 2 / x == 1)")
    assert not holds("[0, 1, 2].all(x, 2 / x == 2)")
    assert failure("[0, 1].exists(x, 2 / x == 1)") == "line 1, column 20: division by zero"
    assert failure("[0, 1].all(x, 2 / x == 2)") == "line 1, column 17: division by zero"
    assert failure("[1, 0].exists_one(x, 1 / x == 1)") == "line 1, column 24: division by zero"
    assert holds("state.m.exists(m, m.n > 1)", m=[{}, {"n": "x"}, {"n": 2}])
    assert not holds("state.m.all(m, m)", m=[1, False])


# What fails.


@pytest.mark.parametrize(
    "text, message",
    [
        ("state.none == 1", "line 1, column 7: there is no 'none' here"),
        ("true &&\n  state.a.b", "line 2, column 11: there is no 'b' here"),
        ("state['none'] == 1", "line 1, column 6: there is no 'none' here"),
        ("state.n.x", "line 1, column 9: an int has no field 'x'"),
        ("has(state.n.x)", "line 1, column 13: an int has no fields"),
        ("has(state.none.x)", "line 1, column 11: there is no 'none' here"),
        ("state.n[0]", "line 1, column 8: an int has no members"),
        ("state.l[2] == 1", "line 1, column 8: there is no [2] in a list of 2"),
        ("state.l[-3] == 1", "line 1, column 8: there is no [-3] in a list of 2"),
        (
            "state.l['a'] == 1",
            "line 1, column 8: a list's index is an int, and this is a string",
        ),
        ("state.l[0.5] == 1", "line 1, column 8: a list's index is an int, and this is a double"),
        ("state.l.all(x, x > 'a')", "line 1, column 18: there is no int > string"),
        ("state.n.all(x, true)", "line 1, column 9: only lists and maps have members"),
        ("state.n in state.n", "line 1, column 9: 'in' looks into a list or a map, and this is an int"),
        ("state.n", "is an int, not true or false"),
        ("state.nothing", "is null, not true or false"),
        ("!state.n", "line 1, column 1: there is no ! for an int"),
        ("-state.s == 1", "line 1, column 1: there is no - for a string"),
        ("state.n && true", "line 1, column 7: && takes bools, and this is an int"),
        ("false || state.s", "line 1, column 16: || takes bools, and this is a string"),
        ("state.n ? true : false", "line 1, column 7: what stands before ? is a bool, and this is an int"),
        (
            "state.f + 1 > 2",
            "line 1, column 9: there is no double + int; convert one side, as in double(…)",
        ),
        ("size(state.n) == 1", "line 1, column 1: there is no size(int)"),
        ("state.n.contains('a')", "line 1, column 9: there is no int.contains(string)"),
        ("state.n.matches('a')", "line 1, column 9: matches() takes a string, and this is an int"),
        ("state.l.exists(x, x)", "line 1, column 19: a bool should be here, and this is an int"),
        ("state.l.filter(x, x) == []", "line 1, column 19: a bool should be here, and this is an int"),
        ("9223372036854775807 + step > 0", "line 1, column 21: an int overflows its 64 bits"),
        ("-9223372036854775808 - step > 0", "line 1, column 22: an int overflows its 64 bits"),
        ("9223372036854775807 * step > 0", "line 1, column 21: an int overflows its 64 bits"),
        ("-9223372036854775808 / -1 > 0", "line 1, column 22: an int overflows its 64 bits"),
        ("-(-9223372036854775808) > 0", "line 1, column 1: an int overflows its 64 bits"),
        ("0u - 1u > 0u", "line 1, column 4: a uint overflows: it is from 0 to 2^64-1"),
        ("step % 0 == 0", "line 1, column 6: division by zero"),
        ("int(1e19) > 0", "line 1, column 1: an int overflows its 64 bits"),
        ("int(0.0 / 0.0) > 0", "line 1, column 1: nan is no whole number"),
        ("int('1_0') > 0", "line 1, column 1: '1_0' is no int"),
        ("uint(-1) > 0u", "line 1, column 1: a uint overflows: it is from 0 to 2^64-1"),
        ("double('1,5') > 0.0", "line 1, column 1: '1,5' is no double"),
        ("bool('yes')", "line 1, column 1: 'yes' is no bool"),
        (r"string(b'\xff') == ''", "line 1, column 1: these bytes are no string in UTF-8"),
        ("{state.s: 1, 's': 2}.s == 1", "line 1, column 14: the key 's' occurs twice"),
        ("{state.f: 1} == {}", "line 1, column 8: a map's key is a string, an int, a uint or a bool; this is a double"),
        ("state.s.matches(state.s + '(')", "line 1, column 9: 's(' is no pattern of RE2: missing ): s("),
        ("timestamp(state.s) > timestamp(0)", "line 1, column 1: 's' is no timestamp, as 2026-01-31T12:00:00Z is"),
        ("timestamp(state.naive) > timestamp(0)", "line 1, column 1: the timestamp '2026-01-31T12:00:00' has no offset from UTC, such as Z or +02:00"),
        ("timestamp(253402300800) > timestamp(0)", "line 1, column 1: a timestamp outside the years 1 to 9999"),
        ("timestamp(0) - duration('999999h') < timestamp(0) && timestamp(0).getHours('No/Where') == 0", "line 1, column 67: there is no time zone 'No/Where'"),
    ],
)  # fmt: skip
def test_failure(text: str, message: str) -> None:
    state = {
        "a": {},
        "n": 1,
        "f": 1.5,
        "s": "s",
        "l": [1, 2],
        "nothing": None,
        "naive": datetime(2026, 1, 31, 12),  # noqa: DTZ001  # that is the point
    }
    assert failure(text, **state) == message


def test_objects_that_raise_fail_the_condition() -> None:
    class Broken(Mapping[str, object]):
        """A state that can't be read."""

        def __getitem__(self, key: str) -> object:
            raise OSError("secret")

        def __iter__(self) -> Iterator[str]:
            return iter(())

        def __len__(self) -> int:
            return 1

    with pytest.raises(ConditionFailed, match=r"^can't be evaluated: OSError$"):
        compile_condition("state.a == 1", None).holds(variables(Broken()))
    assert holds("state.a.__unserializable__.endsWith('Bad')", a=Bad())


class Bad:
    """An object without a JSON form, nor a repr."""

    def __repr__(self) -> str:
        raise ValueError


# What is refused when it arrives.
