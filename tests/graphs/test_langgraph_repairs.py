"""What is changed in langgraph is needed still, and does what it is to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import pytest
from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs import langgraph_repairs
from graphwire_server.graphs.langgraph_repairs import GraphAtWork
from graphwire_server.graphs.places import Namespace
from graphwire_server.graphs.stops import STOPPED_AFTER
from langgraph._internal._constants import RESUME
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import InvalidUpdateError
from langgraph.graph import START, StateGraph
from langgraph.pregel import _algo
from langgraph.pregel._loop import PregelLoop
from langgraph.types import Command, _interrupt_id, interrupt

from tests.graphs.small import Log, chain, writes

INPUT: Any = {"log": []}
THREAD: Any = {"configurable": {"thread_id": "t"}}


@pytest.fixture(autouse=True)
def unrepaired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each test begin with langgraph as it is installed, and leave it as it was."""
    for owner, name in (
        (_algo, "_scratchpad"),
        (PregelLoop, "_first"),
        (PregelLoop, "_put_checkpoint"),
        (PregelLoop, "put_writes"),
        (PregelLoop, "_resume_error_handlers_if_applicable"),
    ):
        current = getattr(owner, name)
        monkeypatch.setattr(owner, name, getattr(current, "__wrapped__", current))


def two_questions() -> Any:
    """A graph whose node asks twice."""

    async def asks(state: Log) -> Log:
        return {"log": [interrupt("first?"), interrupt("second?")]}

    builder: Any = StateGraph(Log)
    builder.add_node("asks", asks)
    builder.add_edge(START, "asks")
    return builder.compile(checkpointer=InMemorySaver())


async def question(graph: Any) -> Any:
    """The question that waits; None if there is none."""
    interrupts = (await graph.aget_state(THREAD)).interrupts
    return interrupts[0] if interrupts else None


async def answered_twice(graph: Any) -> Any:
    """Answers the first question twice; returns what is asked then."""
    await graph.ainvoke(INPUT, THREAD)
    first = await question(graph)
    await graph.ainvoke(Command(resume={first.id: "one"}), THREAD)
    assert (await question(graph)).value == "second?"
    await graph.ainvoke(Command(resume={first.id: "two"}), THREAD)
    return await question(graph)


async def test_a_stale_answer_would_answer_the_next_question() -> None:
    assert await answered_twice(two_questions()) is None


async def test_an_answer_is_for_the_question_with_its_id() -> None:
    langgraph_repairs.make_answers_exact()
    langgraph_repairs.make_answers_exact()
    graph = two_questions()
    second = await answered_twice(graph)
    assert second.value == "second?"
    result = await graph.ainvoke(Command(resume={second.id: "two"}), THREAD)
    assert result["log"] == ["one", "two"]


async def handled_beside_a_question() -> list[str]:
    """Runs a node that fails and is handled beside one that asks; returns what the handler did."""
    ran: list[str] = []

    async def fails(state: Log) -> Log:
        raise RuntimeError("always")

    async def handler(state: Log) -> Log:
        ran.append("handler")
        return {"log": ["handled"]}

    async def asks(state: Log) -> Log:
        return {"log": [interrupt("sure?")]}

    builder: Any = StateGraph(Log)
    builder.add_node("fails", fails, error_handler=handler)
    builder.add_node("asks", asks)
    builder.add_edge(START, "fails")
    builder.add_edge(START, "asks")
    graph = builder.compile(checkpointer=InMemorySaver())
    await graph.ainvoke(INPUT, THREAD)
    result = await graph.ainvoke(Command(resume="yes"), THREAD)
    assert sorted(result["log"]) == ["handled", "yes"]
    return ran


async def test_an_error_handler_that_has_finished_would_run_again() -> None:
    assert await handled_beside_a_question() == ["handler", "handler"]


async def test_an_error_handler_runs_once() -> None:
    langgraph_repairs.make_error_handlers_run_once()
    langgraph_repairs.make_error_handlers_run_once()
    assert await handled_beside_a_question() == ["handler"]


@pytest.mark.parametrize("takes_over", [True, False])
async def test_graphs_at_work_are_told_of(takes_over: bool) -> None:
    told: list[GraphAtWork] = []

    def hear(graph: GraphAtWork) -> bool:
        told.append(graph)
        return takes_over

    langgraph_repairs.tell_of_graphs(lambda _: False)
    langgraph_repairs.tell_of_graphs(hear)
    builder: Any = StateGraph(Log)
    builder.add_node("node", writes("node"))
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=InMemorySaver(), interrupt_before=["node"])
    result = await graph.ainvoke(INPUT, THREAD)
    assert result["log"] == (["node"] if takes_over else [])
    (first,) = told
    assert (first.namespace, first.nodes) == ((), ("node",))
    assert (first.before, first.after, first.metadata) == (("node",), (), {})
    if not takes_over:
        await graph.ainvoke(None, THREAD)
        head = (await graph.aget_state_history(THREAD).__anext__()).parent_config
        assert told[1].checkpoint_id == head["configurable"]["checkpoint_id"]
        assert told[1].metadata["source"] == "loop"


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_the_end_of_a_step_is_told_before_the_next_one_begins(
    durability: Literal["sync", "async", "exit"],
) -> None:
    told: list[object] = []

    def hear(part: tuple[Namespace, str, Any]) -> None:
        if "input" in part[2]:
            told.append(part[2]["name"])

    def ends(namespace: Namespace) -> Mapping[str, str]:
        told.append(("ends", namespace))
        return {"two": "[]"} if "two" in told else {}

    stopped: list[tuple[Namespace, str, Mapping[str, str]]] = []
    langgraph_repairs.tell_of_steps(lambda _: {}, lambda *_: None)
    langgraph_repairs.tell_of_steps(ends, lambda *stop: stopped.append(stop))
    graph = chain(one=writes("one"), two=writes("two")).compile(checkpointer=InMemorySaver())
    config = compat.tapped(graph, THREAD, hear, {"tasks"}, told.append)
    await graph.ainvoke(INPUT, config, durability=durability)
    # The first step is that of the entry, which is hidden.
    assert told == [("ends", ()), "one", ("ends", ()), "two", ("ends", ())]
    head = await graph.aget_state(THREAD)
    assert stopped == [((), head.config["configurable"]["checkpoint_id"], {"two": "[]"})]
    assert dict(head.metadata or {})[STOPPED_AFTER] == {"two": "[]"}
    # What does not stream to the run is nothing of it.
    await graph.ainvoke(INPUT, {"configurable": {"thread_id": "other"}}, durability=durability)
    assert len(told) == 5


async def asked_without_checkpoints() -> list[str]:
    """The ids under which a graph without checkpoints asks, when it starts anew."""

    async def asks(state: Log) -> Log:
        return {"log": [interrupt("sure?")]}

    child = chain(one=writes("one"), asks=asks).compile(checkpointer=False)
    graph = chain(child=child).compile(checkpointer=InMemorySaver())
    config = compat.tapped(graph, THREAD, lambda part: None, {"tasks"}, lambda value: None)
    await graph.ainvoke(INPUT, config)
    first = await question(graph)
    await graph.ainvoke(None, config)
    return [first.id, (await question(graph)).id]


async def test_a_graph_without_checkpoints_would_ask_under_another_id_each_time() -> None:
    first, second = await asked_without_checkpoints()
    assert first != second


async def test_a_graph_without_checkpoints_asks_under_the_same_id() -> None:
    langgraph_repairs.tell_of_steps(lambda _: {}, lambda *_: None)
    first, second = await asked_without_checkpoints()
    assert first == second


async def test_answers_reach_a_task_of_which_nothing_is_written_all_at_once() -> None:
    langgraph_repairs.make_answers_exact()
    graph = two_questions()
    ids = [_interrupt_id("asks:1", number) for number in range(3)]
    answers = {ids[0]: "one", ids[1]: "two"}
    for written, expected in (([], ["one", "two"]), ([("1", RESUME, ["ONE"])], ["ONE", "two"])):
        scratchpad = _algo._scratchpad(None, written, "1", "asks:1", answers, 0, 9)
        assert scratchpad.resume == expected
    assert await answered_twice(graph) is not None


# --- commands ---


def counts() -> Any:
    """A graph with a channel that takes one value a step."""

    class State(TypedDict, total=False):
        count: int

    builder: Any = StateGraph(State)
    builder.add_node("node", lambda state: None)
    builder.add_edge(START, "node")
    return builder.compile(checkpointer=InMemorySaver())


async def test_without_the_repair_two_updates_at_the_end_spoil_a_thread() -> None:
    graph = counts()
    await graph.ainvoke({"count": 0}, THREAD)
    await graph.ainvoke(Command(update={"count": 1}), THREAD)
    following: list[Any] = [Command(update={"count": 2}), {"count": 3}]
    for value in following:
        with pytest.raises(InvalidUpdateError):
            await graph.ainvoke(value, THREAD)


async def test_with_the_repair_the_later_update_holds() -> None:
    langgraph_repairs.make_later_commands_count()
    graph = counts()
    await graph.ainvoke({"count": 0}, THREAD)
    for count in (1, 2, 3):
        assert await graph.ainvoke(Command(update={"count": count}), THREAD) == {"count": count}
    assert await graph.ainvoke({"count": 4}, THREAD) == {"count": 4}
