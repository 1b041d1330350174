"""What the server takes for granted about langgraph, each proved against the installed one.

They run langgraph by itself. Where one of these fails after an update, so does what the
server builds on it: `graphs/langgraph_compat.py`, `graphs/tap.py`, `graphs/position.py`,
`graphs/state.py`. What it takes for granted about langgraph's private parts is in
test_langgraph_internals.py.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Literal, cast

import pytest
from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs import langgraph_repairs
from graphwire_server.graphs.langgraph_compat import AnyPregel
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import InvalidUpdateError
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.pregel._loop import AsyncPregelLoop, SyncPregelLoop
from langgraph.types import Command, Interrupt, Send, interrupt

from tests.graphs.small import INPUT, Log, asks, beside, chain, fails, writes

Durability = Literal["sync", "async", "exit"]
Part = dict[str, Any]

THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


def saved(graph: StateGraph[Any], **options: Any) -> AnyPregel:
    return cast(AnyPregel, graph.compile(checkpointer=InMemorySaver(), **options))


async def parts(
    graph: AnyPregel,
    given: Any,
    *modes: str,
    config: RunnableConfig = THREAD,
    subgraphs: bool = True,
    **options: Any,
) -> list[Part]:
    """Streams as the server does."""
    stream = graph.astream(
        given,
        config,
        stream_mode=cast(Any, list(modes)),
        subgraphs=subgraphs,
        version="v2",
        **options,
    )
    return [cast(Part, part) async for part in stream]


async def parts_and_error(graph: AnyPregel, mode: str) -> tuple[list[Part], Exception]:
    """Streams a graph that fails; returns what it streamed, and what it raised."""
    shown: list[Part] = []
    stream = graph.astream(
        INPUT, THREAD, stream_mode=cast(Any, [mode]), subgraphs=True, version="v2"
    )
    try:
        async for part in stream:
            shown.append(cast(Part, part))  # noqa: PERF401  # it raises on the way
    except ValueError as error:
        return shown, error
    raise AssertionError("it did not fail")


async def open_ids(graph: AnyPregel) -> list[str]:
    """The ids of the interrupts that wait, in the order of their tasks."""
    snapshot = await graph.aget_state(THREAD)
    return [waiting.id for task in snapshot.tasks for waiting in task.interrupts]


# --- stream parts ---


async def test_parts_have_a_type_a_namespace_and_data() -> None:
    graph = saved(chain(before=writes("before"), child=chain(inner=writes("inner")).compile()))
    shown = await parts(graph, INPUT, "values", "updates", "tasks", "checkpoints", "custom")
    assert {part["type"] for part in shown} == {"values", "updates", "tasks", "checkpoints"}
    (inside,) = {part["ns"] for part in shown} - {()}
    (task_id,) = {
        part["data"]["id"]
        for part in shown
        if part["type"] == "tasks" and not part["ns"] and part["data"]["name"] == "child"
    }
    assert inside == (f"child:{task_id}",)


async def test_a_task_is_told_of_when_it_starts_and_when_it_has_ended() -> None:
    graph = saved(chain(one=writes("one"), ask=asks("two?")))
    started_one, ended_one, started_ask, ended_ask = await parts(graph, INPUT, "tasks")
    task_id = started_one["data"]["id"]
    assert started_one["data"] == {
        "id": task_id,
        "name": "one",
        "input": {"log": ["in"]},
        "triggers": ("branch:to:one",),
    }
    assert ended_one["data"] == {
        "id": task_id,
        "name": "one",
        "error": None,
        "result": {"log": ["one"]},
        "interrupts": [],
    }
    assert started_ask["data"]["name"] == "ask"
    (waiting,) = ended_ask["data"]["interrupts"]
    assert (waiting["value"], ended_ask["data"]["error"]) == ("two?", None)
    assert waiting["id"] == (await open_ids(graph))[0]


async def test_the_error_of_a_task_is_the_exception_while_the_run_goes_on() -> None:
    graph = saved(chain(fails=fails))
    shown, _ = await parts_and_error(graph, "tasks")
    failure = compat.task_failure(shown[-1]["data"]["error"], "fails")
    assert (failure.type, failure.message, failure.node) == ("ValueError", "as it is", "fails")


@pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
@pytest.mark.parametrize("compiled_in", [True, False])
async def test_a_stop_at_a_breakpoint_is_an_update_of_interrupt_that_is_empty(
    where: str, compiled_in: bool
) -> None:
    options: dict[str, Any] = {where: ["one"]}
    graph = saved(chain(one=writes("one")), **(options if compiled_in else {}))
    shown = await parts(graph, INPUT, "updates", **({} if compiled_in else options))
    assert shown[-1] == {"type": "updates", "ns": (), "data": {"__interrupt__": ()}}


async def test_a_question_is_an_update_of_interrupt_that_brings_it_from_each_level() -> None:
    graph = saved(chain(child=chain(ask=asks("deep?")).compile()))
    shown = await parts(graph, INPUT, "updates")
    inner, outer = shown
    (waiting,) = outer["data"]["__interrupt__"]
    assert isinstance(waiting, Interrupt)
    assert (waiting.value, outer["ns"]) == ("deep?", ())
    assert (inner["ns"][0].partition(":")[0], inner["data"]) == ("child", outer["data"])


@pytest.mark.parametrize("entry", [True, False])
async def test_values_that_come_with_interrupts_repeat_what_was_streamed_before(
    entry: bool,
) -> None:
    @entrypoint(checkpointer=InMemorySaver())
    async def asking(value: Any) -> Any:
        return interrupt("value?")

    graph: AnyPregel = asking if entry else saved(chain(one=writes("one"), ask=asks("two?")))
    shown = [(p["data"], bool(p["interrupts"])) for p in await parts(graph, INPUT, "values")]
    if entry:
        assert shown == [({}, True)]
    else:
        log = {"log": ["in", "one"]}
        assert shown == [({"log": ["in"]}, False), (log, False), (log, True)]


async def test_an_entrypoint_that_goes_on_shows_values_of_none_until_it_returns() -> None:
    @entrypoint(checkpointer=InMemorySaver())
    async def asking(value: Any) -> Any:
        return interrupt("value?")

    await parts(asking, INPUT, "values")
    shown = await parts(asking, Command(resume="yes"), "values")
    assert [part["data"] for part in shown] == [None, "yes"]


async def test_a_result_that_was_there_already_comes_as_a_cached_update_and_as_no_end() -> None:
    graph = saved(beside(quick=writes("quick"), ask=asks("slow?")))
    await parts(graph, INPUT, "updates")
    (waiting,) = await open_ids(graph)
    answer: Command[Any] = Command(resume={waiting: "yes"})
    shown = await parts(graph, answer, "updates", "tasks")
    cached = [p for p in shown if p["type"] == "updates" and compat.node_updates(p["data"])[1]]
    assert [compat.node_updates(part["data"])[0] for part in cached] == [
        {"quick": {"log": ["quick"]}}
    ]
    tasks = [part["data"] for part in shown if part["type"] == "tasks"]
    assert {task["name"] for task in tasks if "input" in task} == {"quick", "ask"}
    assert [task["name"] for task in tasks if "input" not in task] == ["ask"]


async def test_whoever_closes_the_stream_stops_the_nodes() -> None:
    stopped = asyncio.Event()

    async def endless(state: Log) -> Log:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return {"log": []}

    graph = saved(beside(quick=writes("quick"), endless=endless))
    stream = graph.astream(INPUT, THREAD, stream_mode=["updates"], version="v2")
    async with aclosing(cast(Any, stream)) as open_stream:
        async for _ in open_stream:
            assert not stopped.is_set()
            break
    assert stopped.is_set()


# --- questions ---


async def test_interrupts_have_ids_that_stay_and_that_tell_tasks_apart() -> None:
    graph = StateGraph(Log)
    graph.add_node("ask", asks("which?"))
    graph.add_conditional_edges(START, lambda _: [Send("ask", {"log": []}) for _ in range(3)])
    sends = saved(graph)
    await parts(sends, INPUT, "updates")
    ids = await open_ids(sends)
    assert len(set(ids)) == 3
    assert await open_ids(sends) == ids
    await parts(sends, Command(resume={ids[1]: "this"}), "updates")
    assert set(await open_ids(sends)) == {ids[0], ids[2]}


async def test_an_answer_by_id_goes_to_the_question_with_that_id_and_no_other() -> None:
    graph = saved(beside(left=asks("left?"), right=asks("right?")))
    await parts(graph, INPUT, "updates")
    left, right = await open_ids(graph)
    await parts(graph, Command(resume={right: "R"}), "updates")
    assert await open_ids(graph) == [left]
    await parts(graph, Command(resume={left: "L"}), "updates")
    assert (await graph.aget_state(THREAD)).values == {"log": ["in", "left? L", "right? R"]}


async def test_an_answer_to_a_question_that_was_answered_goes_to_the_next_one() -> None:
    graph = saved(chain(ask=asks("first?", "second?")))
    await parts(graph, INPUT, "updates")
    (first,) = await open_ids(graph)
    await parts(graph, Command(resume={first: "A"}), "updates")
    shown = await parts(graph, Command(resume={first: "A"}), "updates")
    assert [part["data"] for part in shown] == [{"ask": {"log": ["first? A", "second? A"]}}]


# --- errors ---


async def test_an_exception_has_a_note_for_each_level_the_innermost_first() -> None:
    graph = saved(chain(middle=chain(low=chain(fails=fails).compile()).compile()))
    with pytest.raises(ValueError, match="as it is") as caught:
        await parts(graph, INPUT, "tasks")
    notes = list(caught.value.__notes__)
    assert [note.partition("'")[2].partition("'")[0] for note in notes] == [
        "fails",
        "low",
        "middle",
    ]
    node, path = compat.failed_task(caught.value)
    assert (node, [part.partition(":")[0] for part in path]) == ("fails", ["middle", "low"])
    # Read once, they are gone: the same object may be raised by another run.
    assert compat.failed_task(caught.value) == ("", ())


async def test_the_path_in_the_notes_is_the_namespace_of_the_stream() -> None:
    graph = saved(chain(child=chain(one=writes("one"), fails=fails).compile()))
    shown, error = await parts_and_error(graph, "tasks")
    namespaces = {part["ns"] for part in shown}
    assert compat.failed_task(error) == ("fails", max(namespaces, key=len))


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ValueError("plain"), ("ValueError", "plain")),
        (ValueError('it\'s "quoted"\n'), ("ValueError", 'it\'s "quoted"\n')),
        (ValueError(), ("ValueError", "")),
        (ValueError("two", 2), ("ValueError", "('two', 2)")),
        (KeyError("key"), ("KeyError", "key")),
        (ZeroDivisionError(object), ("ZeroDivisionError", "<class 'object'>")),
    ],
)
async def test_a_checkpoint_keeps_the_repr_of_an_exception(
    error: Exception, failure: tuple[str, str]
) -> None:
    async def raises(state: Log) -> Log:
        raise error

    graph = saved(chain(raises=raises))
    with pytest.raises(type(error)):
        await parts(graph, INPUT, "updates")
    (task,) = (await graph.aget_state(THREAD)).tasks
    assert repr(error) == str(task.error)
    found = compat.task_failure(task.error, "raises")
    assert (found.type, found.message, found.node) == (*failure, "raises")


# --- state ---


async def test_a_subgraph_that_waits_shows_in_the_task_that_runs_it() -> None:
    graph = saved(
        chain(child=chain(one=writes("one"), two=writes("two")).compile(interrupt_before=["two"]))
    )
    await parts(graph, INPUT, "updates")
    (task,) = (await graph.aget_state(THREAD, subgraphs=True)).tasks
    below = cast(Any, task.state)
    assert (below.next, below.values) == (("two",), {"log": ["in", "one"]})
    assert [inner.name for inner in below.tasks] == ["two"]
    # The root has not moved meanwhile.
    assert (await graph.aget_state(THREAD)).values == INPUT


async def test_an_unknown_checkpoint_has_a_state_without_a_time() -> None:
    graph = saved(chain(one=writes("one")))
    await parts(graph, INPUT, "updates")
    unknown = "00000000-0000-0000-0000-000000000000"
    config: RunnableConfig = {"configurable": {"thread_id": "1", "checkpoint_id": unknown}}
    assert (await graph.aget_state(config)).created_at is None
    assert (await graph.aget_state(THREAD)).created_at is not None
    assert (await graph.aget_state({"configurable": {"thread_id": "2"}})).created_at is None


async def test_copy_makes_the_same_state_anew_where_it_stands() -> None:
    graph = saved(chain(one=writes("one"), two=writes("two")))
    await parts(graph, INPUT, "updates", interrupt_before=["two"])
    old = await graph.aget_state(THREAD)
    await graph.aupdate_state(old.config, None, compat.COPY_NODE)
    new = await graph.aget_state(THREAD)
    assert (new.values, new.next) == (old.values, old.next) == ({"log": ["in", "one"]}, ("two",))
    assert new.config != old.config
    assert cast(Any, new.metadata)["source"] == "fork"
    # And where questions wait, they wait no more: they are to be asked again.
    asking = saved(chain(ask=asks("which?")))
    await parts(asking, INPUT, "updates")
    await asking.aupdate_state(THREAD, None, compat.COPY_NODE)
    assert (await asking.aget_state(THREAD)).next == ("ask",)
    assert await open_ids(asking) == []


async def test_an_edit_as_the_end_drops_what_waits() -> None:
    graph = saved(chain(one=writes("one"), two=writes("two")))
    await parts(graph, INPUT, "updates", interrupt_before=["two"])
    await graph.aupdate_state(THREAD, None, compat.END_NODE)
    ended = await graph.aget_state(THREAD)
    assert (ended.values, ended.next) == ({"log": ["in", "one"]}, ())


@pytest.mark.parametrize("as_node", [compat.INPUT_NODE, compat.START_NODE])
async def test_an_edit_as_the_start_acts_as_new_input(as_node: str) -> None:
    graph = saved(chain(one=writes("one")))
    await parts(graph, INPUT, "updates")
    await graph.aupdate_state(THREAD, {"log": ["again"]}, as_node)
    edited = await graph.aget_state(THREAD)
    assert edited.next == ("one",) if as_node == compat.START_NODE else ("__start__",)
    await parts(graph, None, "updates")
    values = (await graph.aget_state(THREAD)).values
    assert values == {"log": ["in", "one", "again", "one"]}


async def test_an_edit_that_names_no_node_where_several_ran_is_ambiguous() -> None:
    graph = saved(beside(left=writes("left"), right=writes("right")))
    await parts(graph, INPUT, "updates")
    with pytest.raises(InvalidUpdateError, match="Ambiguous update"):
        await graph.aupdate_state(THREAD, {"log": ["edited"]})


# --- graphs ---


def test_the_entry_is_among_the_nodes_and_breakpoints_are_lists_or_a_star() -> None:
    graph = cast(
        AnyPregel,
        chain(one=writes("one"), two=writes("two")).compile(
            interrupt_before=["two"], interrupt_after="*"
        ),
    )
    assert list(graph.nodes) == [compat.START_NODE, "one", "two"]
    assert compat.node_names(graph) == ("one", "two")
    assert compat.static_breakpoints(graph) == (("two",), ("*",))


def test_subgraphs_are_found_as_nodes_and_in_what_nodes_call() -> None:
    inner = chain(one=writes("one")).compile()

    async def call(state: Log) -> Any:
        return await inner.ainvoke(state)

    graph = cast(AnyPregel, chain(child=inner, calls=call, plain=writes("plain")).compile())
    assert dict(compat.subgraphs(graph)) == {"child": inner, "calls": inner}


def test_a_copy_of_a_graph_forgets_the_types_of_its_state() -> None:
    graph = cast(AnyPregel, chain(one=writes("one")).compile())
    allowed: set[tuple[str, ...]] = {("module", "Type")}
    graph._serde_allowlist = allowed
    assert graph.copy({})._serde_allowlist != allowed
    copy = compat.copy_with(graph, {"name": "copy"})
    assert (copy._serde_allowlist, copy.name) == (allowed, "copy")


# --- durability ---


@pytest.fixture
def without_shim(monkeypatch: pytest.MonkeyPatch) -> None:
    """langgraph as it is installed."""
    for loop in (AsyncPregelLoop, SyncPregelLoop):
        monkeypatch.delattr(loop, "_put_checkpoint_fut", raising=False)


def unsaved_child() -> AnyPregel:
    return saved(chain(child=chain(inside=writes("inside")).compile(checkpointer=False)))


@pytest.mark.usefixtures("without_shim")
async def test_sync_durability_fails_where_a_subgraph_saves_nothing() -> None:
    with pytest.raises(AttributeError, match="_put_checkpoint_fut"):
        await unsaved_child().ainvoke(INPUT, THREAD, durability="sync")


@pytest.mark.usefixtures("without_shim")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_with_the_shim_every_durability_works_everywhere(durability: Durability) -> None:
    langgraph_repairs.make_sync_durability_total()
    langgraph_repairs.make_sync_durability_total()
    result = await unsaved_child().ainvoke(INPUT, THREAD, durability=durability)
    assert result == {"log": ["in", "in", "inside"]}
    graph = saved(chain(one=writes("one"), two=writes("two")))
    await graph.ainvoke(INPUT, THREAD, durability=durability)
    assert (await graph.aget_state(THREAD)).values == {"log": ["in", "one", "two"]}


@pytest.mark.usefixtures("without_shim")
def test_the_shim_serves_graphs_that_run_without_asyncio_too() -> None:
    langgraph_repairs.make_sync_durability_total()

    def inside(state: Log) -> Log:
        return {"log": ["inside"]}

    graph = saved(chain(child=chain(inside=inside).compile(checkpointer=False)))
    result = graph.invoke(INPUT, THREAD, durability="sync")
    assert result == {"log": ["in", "in", "inside"]}


async def test_an_edit_gives_up_the_node_that_a_command_went_to() -> None:
    async def goes(state: Log) -> Command[Any]:
        return Command(goto="danger")

    graph = StateGraph(Log)
    graph.add_node("goes", goes, destinations=("danger",))
    graph.add_node("danger", writes("danger"))
    graph.add_edge(START, "goes")
    compiled = graph.compile(checkpointer=InMemorySaver(), interrupt_before=["danger"])
    thread: RunnableConfig = {"configurable": {"thread_id": "edited"}}
    await compiled.ainvoke({"log": ["in"]}, thread)
    assert (await compiled.aget_state(thread)).next == ("danger",)
    await compiled.aupdate_state(thread, {"log": ["edit"]})
    assert (await compiled.aget_state(thread)).next == ()
