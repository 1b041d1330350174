"""JSON Schemas of graphs, whatever their state is written in."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

import orjson
import pytest
from graphwire_server.graphs.schemas import Schemas, describe
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from pydantic import BaseModel


class Inner(TypedDict):
    """A part of a state."""

    n: int


class Typed(TypedDict):
    """A state of typing.TypedDict, which pydantic refuses below Python 3.12."""

    log: Annotated[list[str], operator.add]
    inner: list[Inner]
    maybe: Inner | None
    extra: NotRequired[int]


class Model(BaseModel):
    """A pydantic state."""

    log: list[str]


@dataclass
class Data:
    """A dataclass."""

    log: list[str]


class Opaque:
    """Nothing that JSON has a word for."""


class Strange(TypedDict):
    """A state that can't be described."""

    opaque: Opaque


def schemas(state: type, context: Any = None) -> Schemas:
    """The schemas of a graph with this state and context."""
    graph: Any = StateGraph(state, context_schema=context)
    graph.add_node("node", lambda s: s)
    graph.add_edge(START, "node")
    return describe(graph.compile())


def test_a_state_of_typing_typed_dict_is_described_with_what_is_required() -> None:
    state = orjson.loads(schemas(Typed).state or "null")
    assert sorted(state["properties"]) == ["extra", "inner", "log", "maybe"]
    assert state["required"] == ["log", "inner", "maybe"]
    assert state["properties"]["log"] == {
        "items": {"type": "string"},
        "title": "Log",
        "type": "array",
    }
    assert state["properties"]["inner"]["items"] == {"$ref": "#/$defs/Inner"}
    assert state["$defs"]["Inner"]["required"] == ["n"]


@pytest.mark.parametrize("state", [Model, Data])
def test_models_and_dataclasses_are_described(state: type) -> None:
    found = schemas(state)
    assert found.input == found.output == found.state
    assert orjson.loads(found.state or "null")["required"] == ["log"]


def test_the_context_is_described_and_left_out_where_there_is_none() -> None:
    assert orjson.loads(schemas(Typed, Data).context or "null")["title"] == "Data"
    assert schemas(Typed).context is None


def test_an_entrypoint_has_input_and_output_but_no_state() -> None:
    @entrypoint()
    def double(n: int) -> int:
        return n * 2

    found = describe(double)
    assert orjson.loads(found.input or "null")["type"] == "integer"
    assert orjson.loads(found.output or "null")["type"] == "integer"
    assert found.state is None


def test_a_type_without_a_schema_leaves_its_schema_out() -> None:
    assert schemas(Strange).state is None
