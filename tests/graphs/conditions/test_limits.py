"""How long and deep a condition may be, and what it may cost."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from graphwire_server.graphs.conditions import (
    MAX_LENGTH,
    MAX_NESTING,
    TOGETHER,
    ConditionError,
    ConditionFailed,
    Purse,
    compile_condition,
)
from langchain_core.messages import HumanMessage

from .asked import failure, holds, refusal, variables


def test_length() -> None:
    text = "true" + " " * (MAX_LENGTH - 4)
    assert holds(text)
    assert refusal(text + " ") == (MAX_LENGTH, "has 4097 characters, and 4096 are allowed")


@pytest.mark.parametrize(
    "opening, inside, closing",
    [
        ("(", "true", ")"),
        ("!", "true", ""),
        ("[", "1", "][0] == 1 || true"),
        ("{'a': ", "1", "}"),
        ("size(", "''", ")"),
        ("true ? true : ", "true", ""),
        ("", "state", ".a"),
        ("", "state", "[0]"),
        ("", "1", "+1"),
        ("[1].all(x, ", "true", ")"),
        ("-", "step", ""),
    ],
)
def test_nesting(opening: str, inside: str, closing: str) -> None:
    with pytest.raises(ConditionError, match=f"is nested deeper than {MAX_NESTING} levels"):
        compile_condition(opening * MAX_NESTING + inside + closing * MAX_NESTING, None)


def test_what_is_allowed_does_not_overflow_the_stack() -> None:
    depth = MAX_NESTING - 2
    all_of_all = "[1].all(x, " * depth + "x == 1" + ")" * depth
    chosen = "(" * depth + "true" + ")" * depth
    summed = "+".join(["1"] * (depth + 1)) + f" == {depth + 1}"
    limit, used = sys.getrecursionlimit(), stack_depth()
    sys.setrecursionlimit(used + 350)
    try:
        assert holds(all_of_all)
        assert holds(chosen)
        assert holds(summed)
    finally:
        sys.setrecursionlimit(limit)


def stack_depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def test_long_chains_are_not_deep() -> None:
    assert not holds("||".join(["false"] * 500))
    assert holds("||".join(f"step=={n}" for n in range(300)))
    assert holds("&&".join(f"step!={n}" for n in range(4, 300)))


LONG = list(range(100_000))


@pytest.mark.parametrize(
    "text",
    [
        "state.x.all(a, state.x.all(b, state.x.all(c, true)))",
        "state.x.exists(a, a < 0)",
        "state.x.all(a, 1 / 0 == 1)",
        "state.x.all(a, 1 / 0 == 1 || 1 / 0 == 2)",
        "state.x.map(a, state.x.map(b, [a, b])) == []",
        "state.x.filter(a, true) == []",
        "state.x.map(a, a > 0, a) == []",
        "-1 in state.x",
        "state.x == state.y",
        "state.x.map(a, [a, a] + [a] + [a]) == []",
        "state.x.map(a, state.s + state.s) == []",
        "state.x.all(a, state.s == state.t)",
        "state.x.all(a, !state.s.contains('b'))",
        "state.x.all(a, state.s <= state.t)",
        "state.x.all(a, state.s.matches('^(a|b|aa)*$'))",
        "state.x.all(a, state.s.matches('(?:a?){300}a{300}'))",
        "state.x.all(a, !state.s.matches('b' + string(a)))",
        "state.x.all(a, timestamp('2026-01-01T00:00:00Z').getHours('Europe/Vienna') == 1)",
        "state.m.all(m, m.type == 'human')",
        "state.d.all(k, k != 'a')",
        "state.d == state.e",
    ],
)
def test_cost_is_bounded(text: str) -> None:
    state = {
        "x": LONG,
        "y": list(LONG),
        "s": "a" * 100_000,
        "t": "".join(["a"] * 100_000),
        "m": [HumanMessage("hi")] * 1 + [HumanMessage("hi") for _ in range(10_000)],
        "d": dict.fromkeys(map(str, LONG)),
        "e": dict.fromkeys(map(str, LONG)),
    }
    condition, asked = compile_condition(text, None), variables(state)
    with pytest.raises(ConditionFailed, match=r"^costs more than 100000 steps$"):
        condition.holds(asked)


def test_a_budget_is_for_one_evaluation() -> None:
    condition = compile_condition("state.x.all(a, a >= 0)", None)
    for _ in range(10):
        assert condition.holds(variables({"x": LONG[:20_000]}))


def test_cycles_and_depth() -> None:
    first: list[Any] = []
    first.append(first)
    second: list[Any] = []
    second.append(second)
    assert failure("state.a == state.b", a=first, b=second) == (
        "line 1, column 9: values nested deeper than 100 levels are not compared"
    )
    assert holds("state.a[0][0][0].size() == 1", a=first)


def test_a_purse_is_for_all_that_are_asked_with_it() -> None:
    condition = compile_condition("state.x.all(a, a >= 0)", None)
    asked, purse = variables({"x": LONG[:10_000]}), Purse()
    before = purse.left
    assert condition.holds(asked, purse)
    cost = before - purse.left
    for _ in range(TOGETHER // cost - 1):
        assert condition.holds(asked, purse)
    assert 0 <= purse.left < cost
    together = r"^the conditions of this step cost more than 1000000 steps together$"
    for _ in range(2):
        with pytest.raises(ConditionFailed, match=together):
            condition.holds(asked, purse)
        assert purse.left < 0


def test_a_purse_has_more_for_each_task_but_never_more_than_all() -> None:
    purse = Purse()
    purse.add_task()
    assert purse.left == TOGETHER
    cheap = compile_condition("state.n > 3", None)
    for _ in range(100_000):
        purse.add_task()
        assert not cheap.holds(variables({"n": 1}), purse)
    assert purse.left > TOGETHER - 100


def test_one_that_costs_too_much_by_itself_says_so_and_takes_its_budget_from_the_purse() -> None:
    purse = Purse()
    with pytest.raises(ConditionFailed, match=r"^costs more than 100000 steps$"):
        compile_condition("state.x.all(a, a >= 0)", None).holds(variables({"x": LONG}), purse)
    assert TOGETHER - 110_000 < purse.left <= TOGETHER - 100_000
