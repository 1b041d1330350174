"""Which contexts fit a graph's context schema, whatever that is written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass, field
from datetime import date
from enum import Enum
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NotRequired,
    Required,
    TypedDict,
)

import pytest
import typing_extensions
from graphwire_server.graphs.contexts import context_misfit
from pydantic import BaseModel, Field, with_config
from pydantic.dataclasses import dataclass as pydantic_dataclass

if TYPE_CHECKING:
    from decimal import Decimal as Unknown


class Colour(Enum):
    """A choice."""

    RED = "red"


class Limits(TypedDict):
    """A part of a context."""

    most: int


@dataclass
class Place:
    """Another part."""

    city: str


class Opaque:
    """Nothing of which pydantic knows."""


class Typed(TypedDict):
    """A context whose annotations are text, so that NotRequired is not in its key sets."""

    user: str
    level: NotRequired[int]
    ratio: NotRequired[float]
    maybe: NotRequired[Limits | None]
    colour: NotRequired[Colour]
    day: NotRequired[date]
    tags: NotRequired[set[str]]
    kind: NotRequired[Annotated[Literal["a", "b"], "said of it"]]
    noted: Annotated[NotRequired[int], "said of it"]
    place: NotRequired[Place]
    places: NotRequired[dict[str, list[Place]]]
    opaque: NotRequired[Opaque]
    whatever: NotRequired[Any]
    made: NotRequired[type[int]]


class Partial(TypedDict, total=False):
    """A context of which little must be there."""

    user: Required[str]
    level: int


class Inherited(Partial):
    """One that adds to another."""

    more: bool


class Closed(typing_extensions.TypedDict, closed=True):
    """A context without other keys."""

    user: typing_extensions.ReadOnly[str]


@with_config(extra="forbid")
class Forbids(TypedDict):
    """The same, in pydantic's words."""

    user: str


class Unresolved(TypedDict):
    """A context with a name that only type checkers know."""

    price: Unknown
    level: int


@dataclass
class Data:
    """A dataclass."""

    user: str
    level: int = 1
    limits: Limits | None = None
    places: list[Place] = field(default_factory=list)
    made: str = field(default="", init=False)
    known: ClassVar[int] = 1
    _: KW_ONLY
    opaque: Opaque | None = None


@dataclass
class Picky:
    """A dataclass with an opinion of its own."""

    user: str
    twice: InitVar[int] = 1

    def __post_init__(self, twice: int) -> None:
        if twice > 1:
            raise LookupError("not twice")


@dataclass
class OwnInit:
    """A dataclass that is made of something else."""

    level: int

    def __init__(self, level: str, **others: Any) -> None:
        self.level = int(level)


@dataclass
class UnresolvedData:
    """A dataclass with a name that only type checkers know."""

    price: Unknown
    level: int = 1


class Model(BaseModel):
    """A model, which reads numbers in texts."""

    level: int


@pydantic_dataclass
class Validated:
    """A dataclass that does so as well."""

    level: int


@pytest.mark.parametrize(
    ("schema", "context"),
    [
        (Typed, {"user": "Ada"}),
        (Typed, {"user": "Ada", "level": 2, "ratio": 1, "maybe": None, "colour": "red"}),
        (Typed, {"user": "Ada", "maybe": {"most": 1}, "day": "2026-11-26", "tags": ["x"]}),
        (Typed, {"user": "Ada", "place": {"city": "Rome"}, "places": {"x": [{"city": "Rome"}]}}),
        (Typed, {"user": "Ada", "opaque": 1, "whatever": [None], "made": "int"}),
        (Typed, {"user": "Ada", "another": 1}),
        (Partial, {"user": "Ada"}),
        (Inherited, {"user": "Ada", "more": True}),
        (Closed, {"user": "Ada"}),
        (Unresolved, {"level": "x"}),
        (Data, {"user": "Ada", "level": 2, "limits": {"most": 1}, "opaque": 1}),
        (Data, {"user": "Ada", "places": [{"city": "Rome"}]}),
        (Picky, {"user": "Ada", "twice": 1}),
        (OwnInit, {"level": "3", "another": 1}),
        (UnresolvedData, {"price": 1, "level": "x"}),
        (Model, {"level": "1", "another": 1}),
        (Validated, {"level": "1"}),
        (Opaque, {"level": "1"}),
        (None, {"level": "1"}),
    ],
)
def test_a_context_that_the_graph_can_use_fits(schema: Any, context: dict[str, Any]) -> None:
    assert context_misfit(schema, context) == ""


INTEGER = "Input should be a valid integer"
TEXT = "Input should be a valid string"


@pytest.mark.parametrize(
    ("schema", "context", "problem"),
    [
        (Typed, {"level": 1}, "user: Field required"),
        (Typed, {"user": None}, f"user: {TEXT}"),
        (Typed, {"user": "Ada", "level": "1"}, f"level: {INTEGER}"),
        (Typed, {"user": "Ada", "level": True}, f"level: {INTEGER}"),
        (Typed, {"user": "Ada", "maybe": {"most": "1"}}, f"maybe.most: {INTEGER}"),
        (Typed, {"user": "Ada", "maybe": {}}, "maybe.most: Field required"),
        (Typed, {"user": "Ada", "colour": "blue"}, "colour: Input should be 'red'"),
        (Typed, {"user": "Ada", "kind": "c"}, "kind: Input should be 'a' or 'b'"),
        (Typed, {"user": "Ada", "noted": "1"}, f"noted: {INTEGER}"),
        (Typed, {"user": "Ada", "tags": ["x", 1]}, f"tags.1: {TEXT}"),
        (Typed, {"user": "Ada", "places": {"x": [{"city": 1}]}}, f"places.x.0.city: {TEXT}"),
        (Partial, {"level": 1}, "user: Field required"),
        (Inherited, {"user": "Ada"}, "more: Field required"),
        (Closed, {"user": "Ada", "uzer": 1}, "uzer: there is no such key; it has: user"),
        (Forbids, {"user": "Ada", "uzer": 1}, "uzer: there is no such key; it has: user"),
        (Data, {"level": 1}, "user: Field required"),
        (Data, {"user": "Ada", "level": "1"}, f"level: {INTEGER}"),
        (Data, {"user": "Ada", "limits": {"most": "1"}}, f"limits.most: {INTEGER}"),
        (Data, {"user": "Ada", "places": ["Rome"]}, "places.0: Input should be an object"),
        (Picky, {"user": "Ada", "twice": 2}, "LookupError: not twice"),
        (OwnInit, {}, "level: Field required"),
        (Model, {"level": "x"}, f"level: {INTEGER}, unable to parse string as an integer"),
        (Validated, {}, "level: Field required"),
    ],
)
def test_a_context_that_does_not_fit_is_told_by_its_place(
    schema: Any, context: dict[str, Any], problem: str
) -> None:
    assert context_misfit(schema, context) == problem


@pytest.mark.parametrize("wrong", ["uzer", "made", "known"])
def test_a_dataclass_takes_no_other_keys_than_it_is_made_of(wrong: str) -> None:
    assert context_misfit(Data, {"user": "Ada", wrong: "x"}) == (
        f"{wrong}: there is no such key; it has: user, level, limits, places, opaque"
    )


def test_what_is_said_of_a_type_counts_too() -> None:
    schema: Callable[..., Any] = TypedDict("schema", {"level": Annotated[int, Field(gt=0)]})
    assert context_misfit(schema, {"level": 1}) == ""
    assert context_misfit(schema, {"level": 0}) == "level: Input should be greater than 0"
