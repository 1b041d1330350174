"""A project's own types, as its schemas name them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict

from pydantic import BaseModel, SecretStr


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Inner:
    color: Color


@dataclass
class Outer:
    inner: Inner
    inners: list[Inner] = field(default_factory=list)


class Model(BaseModel):
    name: str
    size: Size = Size.LARGE
    parts: dict[str, Part | None] = {}


class Part(BaseModel):
    secret: SecretStr


class Part2(BaseModel):
    """Reached by nothing."""

    n: int


Alias = NewType("Alias", Outer)


class Fields(TypedDict):
    point: Point


class State(TypedDict, total=False):
    color: Color
    sizes: Sequence[Size]
    model: Annotated[Model | None, "not a type"]
    alias: Mapping[str, Alias]
    fields: Fields
    flag: Literal[Color.RED, "no"]
    anything: Any
    secret: SecretStr


class Send(TypedDict):
    only_here: Annotated[set[Point], "of one node's input"]


class Context(BaseModel):
    user: Part2
