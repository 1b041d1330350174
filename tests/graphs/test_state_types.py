"""What the types of a state say of conditions, whatever the state is written in."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from graphwire_server.graphs.conditions import ConditionError, Variables, compile_condition
from graphwire_server.graphs.state_types import state_types
from langgraph.channels import EphemeralValue, LastValue, Topic
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel, Field


class Color(Enum):
    """A choice."""

    RED = "red"


class Typed(TypedDict, total=False):
    """A state as a TypedDict."""

    n: int
    score: Annotated[float, "at most 1"]
    name: str
    done: bool
    log: Annotated[list[str], operator.add]
    by_name: NotRequired[Annotated[dict[str, int], operator.or_]]


@dataclass
class Data:
    """The same as a dataclass."""

    n: int = 0
    score: Annotated[float, LastValue] = 0.5
    name: str = ""
    done: bool = False
    log: Annotated[list[str], operator.add] = field(default_factory=list)
    by_name: Annotated[dict[str, int], operator.or_] = field(default_factory=dict)


class Model(BaseModel):
    """The same as a pydantic model."""

    n: int = Field(default=0, ge=0)
    score: Annotated[float, Field(le=1)] = 0.5
    name: str = ""
    done: bool = False
    log: Annotated[list[str], operator.add] = []
    by_name: Annotated[dict[str, int], operator.or_] = {}


class Loose(TypedDict, total=False):
    """What nothing is known of."""

    any: Any
    maybe: int | None
    either: int | str
    literal: Literal["a"]
    color: Color
    when: datetime
    item: Data
    items: tuple[int, ...]
    topic: Annotated[str, Topic]
    passing: Annotated[str, EphemeralValue]


def graph_of(state: Any, **fields: Any) -> Any:
    builder: Any = StateGraph(state, **fields)
    builder.add_node("node", lambda s: {})
    builder.add_edge(START, "node")
    return builder.compile()


def refusal(state: Any, text: str) -> tuple[int, str]:
    """Returns the column and the message of what is wrong with a condition."""
    with pytest.raises(ConditionError) as caught:
        compile_condition(text, state_types(graph_of(state)))
    return caught.value.position.column, caught.value.message


def holds(state: Any, text: str, values: Mapping[str, object]) -> bool:
    condition = compile_condition(text, state_types(graph_of(state)))
    return condition.holds(
        Variables(
            node="node",
            step=1,
            task_id="id",
            task_input=dict,
            state=lambda: values,
            metadata=dict,
        )
    )


REFUSED = {
    'state.n > "x"': (9, "there is no number > string"),
    'state["n"] > "x"': (12, "there is no number > string"),
    'state.n == "x"': (9, "a number is never equal to a string"),
    "state.n": (1, "a condition is true or false, and this is a number"),
    "!state.n": (1, "there is no ! for a number"),
    "state.n && true": (7, "&& takes bools, and this is a number"),
    "size(state.n) > 1": (1, "there is no size(number)"),
    "state.score.of > 1": (13, "a number has no field 'of'"),
    "state.score == true": (13, "a number is never equal to a bool"),
    "state.name > 1": (12, "there is no string > int"),
    "state.name == 1": (12, "a string is never equal to an int"),
    "state.name[0] == 'a'": (11, "a string has no members"),
    "state.done == 1": (12, "a bool is never equal to an int"),
    "!state.log": (1, "there is no ! for a list"),
    "state.log": (1, "a condition is true or false, and this is a list"),
    "state.log.last == 'a'": (11, "a list has no field 'last'"),
    "state.log > 3": (11, "there is no list > int"),
    "state.by_name > 3": (15, "there is no map > int"),
    "[1].exists(i, i > state.name)": (17, "there is no int > string"),
}


@pytest.mark.parametrize("state", [Typed, Data, Model])
@pytest.mark.parametrize("text", REFUSED)
def test_what_can_never_be_is_refused_with_its_place(state: type, text: str) -> None:
    column, message = refusal(state, text)
    assert (column, message[: len(REFUSED[text][1])]) == REFUSED[text]


def test_messages_are_a_list() -> None:
    assert refusal(MessagesState, "!state.messages") == (1, "there is no ! for a list")
    assert holds(MessagesState, "size(state.messages) == 0", {"messages": []})
    assert state_types(graph_of(Annotated[list[Any], add_messages])) is None


VALUES: dict[str, Any] = {
    "n": 3,
    "score": 0.5,
    "name": "ann",
    "done": False,
    "log": ["a"],
    "by_name": {"a": 1},
}


@pytest.mark.parametrize("state", [Typed, Data, Model])
@pytest.mark.parametrize(
    "text",
    [
        "state.n > 2 && state.n > 2.5 && state.n + 1 == 4 && state.n < 4u",
        "state.score < 1 && state.score * 2.0 == 1.0",
        "double(state.n) * 1.5 > 4.0 && string(state.n) == '3' && type(state.n) == int",
        "state.n in [1, 3] && [1, 3][-state.n + 2] == 3",
        "{state.n: true}[3]",
        "state.name.startsWith('a') && size(state.name) == 3",
        "!state.done && state.done == false",
        "state.log[-1] == 'a' && 'a' in state.log && state.log.exists(l, l == 'a')",
        "state.by_name.a > 0 && state.by_name['a'] == 1 && has(state.by_name.a)",
        # What nodes may have written, whatever is declared.
        "state.n != null && state.name != null && state.log != null && null != state.by_name",
        "(state.done ? 'x' : state.name) != null",
        "state.score != 'NaN' && state.n != '123456789012345678901234567890'",
        "state.n != state.name",
    ],
)
def test_what_may_be_is_let_through(state: type, text: str) -> None:
    assert holds(state, text, VALUES)


def test_a_number_may_be_one_of_another_type() -> None:
    assert holds(Typed, "state.n * 2.0 == 3.0", {"n": 1.5})
    assert holds(Typed, "state.score + 1 == 3", {"score": 2})
    assert holds(Typed, "state.score == 'NaN'", {"score": float("nan")})


@pytest.mark.parametrize("key", Loose.__annotations__)
def test_of_what_may_be_several_things_nothing_is_said(key: str) -> None:
    types = state_types(graph_of(Loose))
    for text in ("state.{} > 1", "state.{} == 'a'", "!state.{}", "state.{}[0].x"):
        compile_condition(text.format(key) + " || true", types)


class Narrow(TypedDict):
    """One of a graph's schemas."""

    n: int
    own: int


class Wide(TypedDict):
    """Another, which has one key otherwise."""

    n: str
    more: str


def test_what_two_schemas_say_otherwise_is_not_known() -> None:
    types = state_types(graph_of(Wide, input_schema=Narrow))
    assert types is not None
    compile_condition("state.n > 1 || state.n > 'a'", types)
    with pytest.raises(ConditionError, match="there is no number > string"):
        compile_condition("state.own > state.more", types)


def test_a_state_whose_types_nobody_can_resolve_is_known_by_its_keys() -> None:
    class Torn(TypedDict):
        n: int

    graph = graph_of(Torn)
    Torn.__annotations__["other"] = "Nowhere"
    types = state_types(graph)
    assert types is not None
    compile_condition("state.n > 'x'", types)
    with pytest.raises(ConditionError, match="the state has no 'x'"):
        compile_condition("state.x", types)
