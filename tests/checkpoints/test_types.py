"""Checkpoints are read into types that a graph's schemas name, and into no others."""

from __future__ import annotations

import collections
import datetime
import decimal
import importlib
import ipaddress
import logging
import pathlib
import uuid
from typing import Any, TypedDict

import pytest
from graphwire_server.storage.checkpoints.allowlist import reachable_types
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.interface import Storage
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph._internal import _serde
from langgraph.checkpoint.serde import jsonplus
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Interrupt, Overwrite, Send, interrupt
from pydantic import SecretStr

from . import types_of_a_project as project
from .builders import at, put, values_at

HERE = "tests.checkpoints.types_of_a_project"


def a_graph(saver: Saver | None = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    async def ask(state: project.State) -> project.State:
        interrupt(project.Outer(project.Inner(project.Color.RED)))
        return {}

    async def only(state: project.Send) -> project.State:
        return {}

    builder = StateGraph(project.State)
    builder.add_node("ask", ask)
    builder.add_node("only", only)
    builder.add_edge(START, "ask")
    return builder.compile(checkpointer=saver)


EVERY_TYPE = frozenset(
    (HERE, name) for name in ("Color", "Size", "Point", "Inner", "Outer", "Model", "Part")
) | {("pydantic.types", "SecretStr")}

VALUES: dict[str, Any] = {
    "color": project.Color.RED,
    "sizes": [project.Size.LARGE],
    "model": project.Model(name="m", parts={"p": project.Part(secret=SecretStr("s")), "q": None}),
    "alias": {"o": project.Outer(project.Inner(project.Color.RED), [])},
    "fields": {"point": project.Point(1, 2)},
}


def test_every_type_that_a_schema_names_is_reached() -> None:
    assert reachable_types(a_graph()) == EVERY_TYPE


def test_types_of_a_context_and_of_subgraphs_are_reached() -> None:
    class Outside(TypedDict):
        text: str

    builder = StateGraph(Outside, context_schema=project.Context)
    builder.add_node("child", a_graph())
    builder.add_edge(START, "child")
    assert reachable_types(builder.compile()) == EVERY_TYPE | {
        (HERE, "Context"),
        (HERE, "Part2"),
    }


def test_types_of_the_functional_api_are_reached() -> None:
    @entrypoint()
    async def flow(point: project.Point) -> project.Inner:
        return project.Inner(project.Color.RED)

    assert reachable_types(flow) == {(HERE, name) for name in ("Point", "Inner", "Color")}


def test_a_schema_that_can_not_be_resolved_hides_no_other() -> None:
    class Broken(TypedDict):
        nobody: Missing  # type: ignore[name-defined]  # noqa: F821

    builder: Any = StateGraph(project.State, input_schema=dict)
    builder.add_node("ask", lambda state: {})
    builder.add_edge(START, "ask")
    graph = builder.compile()
    graph.builder.schemas[Broken] = {}
    assert {(HERE, "Model"), (HERE, "Part")} <= reachable_types(graph)


async def test_types_that_a_schema_names_come_back(saver: Saver) -> None:
    allowed = saver.with_allowlist(reachable_types(a_graph()))
    await put(allowed, **VALUES)
    await allowed.aput_writes((await put(allowed)).config, [("x", VALUES["model"])], "task")
    listed = [found async for found in allowed.alist(at())]
    assert listed[1].checkpoint["channel_values"] == VALUES
    assert listed[0].pending_writes == [("task", "x", VALUES["model"])]
    assert type(listed[1].checkpoint["channel_values"]["fields"]["point"]) is project.Point


@pytest.mark.parametrize(("strict", "want"), [(True, project.Color.RED), (False, "red")])
async def test_a_graph_within_a_node_brings_its_types_along_if_langgraph_is_strict(
    saver: Saver, monkeypatch: pytest.MonkeyPatch, strict: bool, want: object
) -> None:
    monkeypatch.setattr(_serde, "STRICT_MSGPACK_ENABLED", strict)
    seen: list[Any] = []

    async def ask(state: project.State) -> project.State:
        interrupt("?")
        seen.append(state["color"])
        return {}

    child = StateGraph(project.State)
    child.add_node("ask", ask)
    child.add_edge(START, "ask")
    hidden = {"child": child.compile()}

    class Outside(TypedDict, total=False):
        text: str

    async def call(state: Outside) -> Outside:
        await hidden["child"].ainvoke({"color": project.Color.RED})
        return {}

    builder = StateGraph(Outside)
    builder.add_node("call", call)
    builder.add_edge(START, "call")
    graph = builder.compile(checkpointer=saver)
    assert (HERE, "Color") not in reachable_types(graph)
    await graph.ainvoke({}, at())
    await graph.ainvoke(Command(resume=1), at())
    assert seen == [want]


async def test_others_come_back_as_the_data_that_they_are_made_of(
    saver: Saver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonplus, "_warned_blocked_types", set())
    await put(saver, **VALUES)
    with caplog.at_level(logging.WARNING):
        found = await values_at(saver, at())
    assert found == {
        "color": "red",
        "sizes": [3],
        "model": {"name": "m", "size": 3, "parts": {"p": {"secret": "s"}, "q": None}},
        "alias": {"o": {"inner": {"color": "red"}, "inners": []}},
        "fields": {"point": {"x": 1, "y": 2}},
    }
    assert f"Blocked deserialization of {HERE}.Color" in caplog.text


async def test_nothing_is_imported_for_a_type_that_is_not_allowed(
    saver: Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(saver, **VALUES)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    assert (await values_at(saver, at()))["color"] == "red"


async def test_what_was_read_without_its_type_is_still_stored_with_it(storage: Storage) -> None:
    saver = storage.checkpointer
    first = await put(saver, model=VALUES["model"], n=1)
    read = await values_at(saver, at())
    read.pop("n")
    await put(saver, first, n=2)
    allowed = saver.with_allowlist(EVERY_TYPE)
    assert await values_at(allowed, at()) == {"model": VALUES["model"], "n": 2}


COMMON: tuple[Any, ...] = (
    HumanMessage("hello", id="1"),
    AIMessage("", tool_calls=[{"name": "t", "args": {"a": [1]}, "id": "c"}], id="2"),
    ToolMessage("done", tool_call_id="c", id="3", artifact={"deep": [None]}),
    Document("text", metadata={"a": 1}),
    Send("node", {"a": [1]}),
    Interrupt(value={"q": 1}, id="i"),
    Command(update={"a": 1}, goto="b"),
    Overwrite([1]),
    datetime.datetime(2026, 11, 25, 20, 56, tzinfo=datetime.UTC),
    datetime.date(2026, 11, 25),
    datetime.timedelta(days=1, microseconds=2),
    uuid.UUID(int=7),
    decimal.Decimal("1.20"),
    {1, 2},
    frozenset({"a"}),
    collections.deque([1]),
    b"bytes",
    pathlib.Path("/a/b"),
    ipaddress.ip_address("::1"),
)


async def test_langgraphs_own_types_and_the_common_ones_always_come_back(saver: Saver) -> None:
    values = {type(value).__name__: value for value in COMMON}
    lists: dict[str, Any] = {f"{name}-list": [value] * 20 for name, value in values.items()}
    first = await put(saver, **values, **lists)
    longer: dict[str, Any] = {name: [*some, some[0]] for name, some in lists.items()}
    await put(saver, first, **longer)
    found = await values_at(saver, at())
    assert found == values | longer
    for name, value in values.items():
        assert type(found[name]) is type(value)


async def test_errors_are_kept_as_text(saver: Saver) -> None:
    head = await put(saver)
    await saver.aput_writes(head.config, [("__error__", ValueError("no"))], "task")
    found = await saver.aget_tuple(at())
    assert found is not None
    assert found.pending_writes == [("task", "__error__", "ValueError('no')")]


async def test_a_run_that_can_not_be_kept_fails_and_says_why(saver: Saver) -> None:
    class State(TypedDict, total=False):
        anything: Any
        n: int

    async def bad(state: State) -> State:
        return {"anything": {"deep": [object()]}, "n": 1}

    builder = StateGraph(State)
    builder.add_node("bad", bad)
    builder.add_edge(START, "bad")
    graph = builder.compile(checkpointer=saver)
    for durability in ("sync", "async", "exit"):
        with pytest.raises(
            TypeError,
            match=r"channel 'anything' can't be kept in a checkpoint: its value, of type "
            r"builtins\.dict, is not serializable: .*object",
        ):
            await graph.ainvoke({"n": 0}, at(durability), durability=durability)
    state = await graph.aget_state(at("sync"))
    assert (state.values, state.next) == ({"n": 0}, ("bad",))


async def test_what_a_node_asks_is_read_with_the_types_of_its_graph(saver: Saver) -> None:
    plain = a_graph(saver)
    await plain.ainvoke({}, at())
    state = await plain.aget_state(at())
    assert state.interrupts[0].value == {"inner": {"color": "red"}, "inners": []}
    allowed = saver.with_allowlist(reachable_types(plain))
    state = await a_graph(allowed).aget_state(at())
    assert state.interrupts[0].value == project.Outer(project.Inner(project.Color.RED))
