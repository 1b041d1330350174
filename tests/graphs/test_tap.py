"""The tap: what a graph streams, as events, at the moment in which it happens."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any, TypedDict

import pytest
from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.graphs.execution import Fresh, GoOn
from graphwire_server.graphs.places import Namespace, Task
from graphwire_server.graphs.tap import Tap, Told
from graphwire_server.storage.sqlite import SqliteStorage
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.config import get_stream_writer
from langgraph.errors import GraphInterrupt
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from tests.graphs.driven import EVERYTHING, Driver, names
from tests.graphs.small import INPUT, Log, asks, beside, chain, fails, writes

CHILD: Namespace = ("child:1",)


class Kept:
    """Keeps what a tap tells, in short; and is the gate that it asks."""

    def __init__(self, *, doors: bool = True) -> None:
        self.log: list[str] = []
        self.threads: set[int] = set()
        self.refuses: set[str] = set()
        self._doors = doors

    def append(self, event: pb.RunEvent) -> None:
        kind = event.WhichOneof("event")
        node = getattr(getattr(event, str(kind)), "node", "")
        self.log.append(" ".join(filter(None, [*names(event.namespace), kind, node])))
        self.threads.add(threading.get_ident())

    def step_starts(self, namespace: Namespace) -> None:
        self.log.append(" ".join(["step", *names(namespace)]))

    def engine_stopped(self) -> None:
        self.log.append("stopped")

    def announce(self, task: Task) -> bool:
        self.log.append(f"announce {task.node}")
        if task.node in self.refuses:
            raise GraphInterrupt(())
        return self._doors


async def made(kept: Kept, *modes: str, subgraphs: bool = True, told: Told | None = None) -> Tap:
    """A tap for some modes, all if none are given."""
    tap = Tap(kept, modes=frozenset(modes) or EVERYTHING, subgraphs=subgraphs, told=told)
    tap.connect(kept)
    return tap


def started(node: str, number: int = 1) -> dict[str, Any]:
    return {"id": f"{node}{number}", "name": node, "input": {}, "triggers": ()}


def finished(node: str, error: Any = None) -> dict[str, Any]:
    return {"id": f"{node}1", "name": node, "error": error, "result": {}, "interrupts": []}


def cached(node: str) -> dict[str, Any]:
    return {node: {}, "__metadata__": {"cached": True}}


def at_checkpoint(name: str) -> dict[str, Any]:
    return {
        "config": {"configurable": {"checkpoint_id": name}},
        "parent_config": None,
        "values": {},
        "metadata": {},
        "next": [],
    }


# --- tasks ---


async def test_a_task_is_announced_first_and_told_of_when_it_begins() -> None:
    kept = Kept()
    tap = await made(kept)
    tap.take(((), "tasks", started("a")))
    tap.take(((), "tasks", started("b")))
    assert kept.log == ["step", "announce a", "step", "announce b"]
    tap.begin("b1")
    tap.begin("b1")
    tap.begin("unknown")
    assert kept.log[4:] == ["task_started b"]


async def test_what_comes_to_no_door_is_told_of_at_once() -> None:
    kept = Kept(doors=False)
    tap = await made(kept)
    tap.take((CHILD, "tasks", started("helper")))
    assert kept.log == ["step child", "announce helper", "child task_started helper"]


async def test_what_must_not_start_is_not_told_of_and_stops_the_engine_where_it_is() -> None:
    kept = Kept()
    kept.refuses.add("b")
    tap = await made(kept)
    tap.take(((), "tasks", started("a")))
    with pytest.raises(GraphInterrupt):
        tap.take(((), "tasks", started("b")))
    tap.finish()
    assert kept.log[-1] == "stopped"
    assert not [said for said in kept.log if said.startswith("task_started")]


async def test_the_first_task_that_fails_is_noted() -> None:
    tap = await made(Kept())
    assert tap.failed == ("", ())
    tap.take((CHILD, "tasks", finished("inner", ValueError("x"))))
    tap.take(((), "tasks", finished("child", ValueError("x"))))
    assert tap.failed == ("inner", CHILD)


# --- what is wanted ---


async def test_only_the_modes_that_are_wanted_are_told_but_the_engine_is_asked_for_more() -> None:
    kept = Kept()
    tap = await made(kept, "values")
    assert tap.engine_modes == {"values", "updates", "tasks"}
    tap.take(((), "tasks", started("a")))
    tap.begin("a1")
    tap.take(((), "updates", {"a": {}}))
    tap.take(((), "tasks", finished("a")))
    tap.take(((), "values", {}))
    tap.write("no custom events")
    assert kept.log == ["step", "announce a", "values"]


async def test_subgraphs_are_told_of_only_where_they_are_wanted() -> None:
    for subgraphs, told in ((True, ["child values", "values"]), (False, ["values"])):
        kept = Kept()
        tap = await made(kept, subgraphs=subgraphs)
        tap.take((CHILD, "values", {}))
        tap.take(((), "values", {}))
        assert kept.log == told


# --- stops ---


async def test_a_stop_at_the_root_is_noted_and_told_by_nobody() -> None:
    kept = Kept()
    tap = await made(kept)
    paused = []
    for namespace in (CHILD, ()):
        tap.take((namespace, "updates", {"__interrupt__": ()}))
        tap.take((namespace, "values", {"__interrupt__": ()}))
        paused.append(tap.paused)
    assert (paused, kept.log) == ([False, True], [])


async def test_the_empty_update_of_a_node_that_fails_is_dropped_and_any_other_is_not() -> None:
    kept = Kept()
    tap = await made(kept)
    tap.take(((), "updates", {"a": None}))
    assert kept.log == []
    tap.take(((), "tasks", finished("a", ValueError("x"))))
    assert kept.log == ["task_finished a"]
    tap.take(((), "updates", {"b": None}))
    tap.take(((), "tasks", finished("b")))
    tap.take(((), "updates", {"c": None}))
    tap.finish()
    assert kept.log[1:] == ["updates b", "task_finished b", "updates c", "stopped"]


# --- a further attempt ---


async def test_a_further_attempt_tells_no_kept_result_again() -> None:
    kept = Kept()
    tap = await made(kept, told=Told({(): ("work", "a"), CHILD: ("one",)}, frozenset()))
    for namespace, node in (((), "work"), ((), "a"), (CHILD, "one")):
        tap.take((namespace, "updates", cached(node)))
    assert kept.log == []
    # Of two tasks of one node, one had finished; and a new result is none that was kept.
    tap.take(((), "updates", cached("work")))
    tap.take(((), "updates", {"a": {}}))
    tap.take((CHILD, "updates", cached("two")))
    assert kept.log == ["updates work", "updates a", "child updates two"]


async def test_a_first_attempt_tells_kept_results_as_cached() -> None:
    kept = Kept()
    tap = await made(kept)
    tap.take(((), "updates", cached("a")))
    assert kept.log == ["updates a"]


async def test_a_further_attempt_does_not_tell_from_where_it_goes_on() -> None:
    kept = Kept()
    tap = await made(kept, told=Told({}, frozenset({"c1"})))
    tap.take(((), "values", {}))
    tap.take(((), "checkpoints", at_checkpoint("c1")))
    tap.take(((), "checkpoints", at_checkpoint("c2")))
    assert kept.log == ["checkpoint"]
    # Each graph goes on from a place of its own.
    tap.take(((), "tasks", started("a")))
    tap.take((CHILD, "values", {}))
    tap.take(((), "values", {}))
    assert kept.log[1:] == ["step", "announce a", "values"]


# --- threads ---


async def test_what_is_streamed_on_another_thread_is_told_on_the_loop_in_its_order() -> None:
    kept = Kept()
    tap = await made(kept)

    def stream() -> None:
        tap.take((CHILD, "tasks", started("a")))
        tap.take((CHILD, "updates", {"a": {}}))
        tap.take((CHILD, "tasks", finished("a")))
        kept.refuses.add("b")
        with pytest.raises(GraphInterrupt):
            tap.take((CHILD, "tasks", started("b")))

    await asyncio.to_thread(stream)
    tap.begin("a1")
    # It is asked at once, since it decides.
    assert [said for said in kept.log if said.startswith("announce")] == [
        "announce a",
        "announce b",
    ]
    assert [said for said in kept.log if not said.startswith("announce")] == [
        "step child",
        "child updates a",
        "child task_finished a",
        "step child",
        "child task_started a",
    ]
    assert kept.threads == {threading.get_ident()}


# --- real graphs ---


def short(driver: Driver) -> list[str]:
    """What a run has told, in short."""
    kept = Kept()
    for event in driver.events:
        kept.append(event)
    return kept.log


async def test_a_step_is_told_in_its_order(storage: SqliteStorage) -> None:
    async def node(state: Log) -> Log:
        get_stream_writer()({"custom": True})
        return {"log": ["a"]}

    driver = Driver(chain(a=node).compile(), storage)
    await driver.run(Fresh(INPUT))
    assert short(driver) == [
        *["checkpoint", "values", "checkpoint"],
        *["task_started a", "custom", "updates a", "task_finished a"],
        *["values", "checkpoint"],
    ]


async def test_custom_events_come_from_where_they_are_written(storage: SqliteStorage) -> None:
    def in_thread(state: Log) -> Log:
        get_stream_writer()("thread")
        return {"log": []}

    async def deep(state: Log) -> Log:
        get_stream_writer()("deep")
        return {"log": []}

    graph = chain(plain=in_thread, child=chain(deep=deep).compile())
    driver = Driver(graph.compile(), storage)
    await driver.run(Fresh(INPUT), modes=frozenset({"custom"}))
    assert short(driver) == ["custom", "child custom"]


async def test_nothing_is_told_of_what_waits(storage: SqliteStorage) -> None:
    graph = beside(ask=asks("q?"), other=asks("r?"))
    driver = Driver(graph.compile(), storage)
    await driver.run(Fresh(INPUT))
    first, _ = (await driver.position()).questions()
    await driver.run(GoOn({first.interrupt_id: 1}), modes=frozenset({"tasks", "updates"}))
    assert short(driver) == ["task_started ask", "updates ask", "task_finished ask"]


async def test_of_a_node_that_fails_its_end_is_told(storage: SqliteStorage) -> None:
    driver = Driver(chain(a=writes("a"), fails=fails).compile(), storage)
    with pytest.raises(ValueError, match="as it is"):
        await driver.run(Fresh(INPUT), modes=frozenset({"tasks", "updates"}))
    assert short(driver)[-2:] == ["task_started fails", "task_finished fails"]


class Chat(TypedDict):
    """What speakers say."""

    messages: Annotated[list[AnyMessage], add_messages]


@pytest.mark.parametrize("subgraphs", [True, False])
async def test_a_message_of_a_subgraph_comes_in_pieces_or_whole_from_the_node_above(
    storage: SqliteStorage, subgraphs: bool
) -> None:
    async def speak(state: Chat) -> dict[str, Any]:
        model = GenericFakeChatModel(messages=iter([AIMessage("one two", id="answer")]))
        return {"messages": [await model.ainvoke(state["messages"])]}

    inner = StateGraph(Chat)
    inner.add_node("speak", speak)
    inner.add_edge(START, "speak")
    outer = StateGraph(Chat)
    outer.add_node("child", inner.compile())
    outer.add_edge(START, "child")
    driver = Driver(outer.compile(), storage)
    hello = Fresh({"messages": [("user", "Hello!")]})
    await driver.run(hello, modes=frozenset({"messages"}), subgraphs=subgraphs)
    said = [
        (names(e.namespace), e.message.start.node, "".join(p.text for p in e.message.content))
        for e in driver.events
    ]
    if subgraphs:
        assert "".join(text for _, _, text in said) == "one two"
        assert {tuple(where) for where, _, _ in said} == {("child",)}
        assert said[0][1] == "speak"
    else:
        assert said == [([], "child", "one two")]
