"""What the server takes for granted about langgraph's private parts, each proved by itself.

All of them are used in `graphs/langgraph_compat.py`; what is built on them (the tap, the doors,
the gate, the position) says in its own tests what it does.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, cast

import pytest
from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.doors import with_doors
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.langgraph_repairs import make_sync_durability_total
from graphwire_server.graphs.places import Namespace, Task, namespace_of
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.cache.base import FullKey
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config, get_store, get_stream_writer
from langgraph.errors import NodeError
from langgraph.func import task as as_task
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore
from langgraph.types import CachePolicy, Command, RetryPolicy, Send

from tests.graphs.driven import names
from tests.graphs.small import INPUT, Log, asks, beside, chain, writes

THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}
MODES = frozenset({"values", "updates", "tasks", "checkpoints", "custom", "messages"})

Part = tuple[Namespace, str, Any]


class Saver(InMemorySaver):
    """Notes when it is called: not when what it returns is awaited."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def aput(self, *args: Any, **kwargs: Any) -> Any:
        self.log.append("put")
        return super().aput(*args, **kwargs)

    def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        path: str = "",
    ) -> Coroutine[Any, Any, None]:
        self.log.append(f"put_writes {','.join(channel for channel, _ in writes)}")
        return super().aput_writes(config, writes, task_id, path)


class Stream:
    """Streams a graph through the tap.

    Attributes:
        parts: What came.
        log: The same in short, with the calls of the saver.
        custom: What nodes wrote.
        refuses: The nodes before which it raises what stops the engine.
    """

    def __init__(self, graph: StateGraph[Any], **options: Any) -> None:
        self.parts: list[Part] = []
        self.log: list[str] = []
        self.custom: list[Any] = []
        self.refuses: set[str] = set()
        self.graph = cast(AnyPregel, graph.compile(checkpointer=Saver(self.log), **options))

    async def run(
        self, given: Any, *, config: RunnableConfig = THREAD, modes: frozenset[str] = MODES
    ) -> list[str]:
        self.parts.clear()
        self.log.clear()
        tapped = compat.tapped(self.graph, config, self._take, modes, self.custom.append)
        async for _ in self.graph.astream(given, tapped, stream_mode=[], durability="sync"):
            pass
        return self.log

    def of(self, kind: str) -> list[tuple[list[str], Any]]:
        """The parts of one kind: their path and data."""
        return [(names(namespace), data) for namespace, mode, data in self.parts if mode == kind]

    async def tasks(self) -> dict[str, str]:
        """The ids of the tasks that come next, by node."""
        return {task.name: task.id for task in (await self.graph.aget_state(THREAD)).tasks}

    def _take(self, part: Part) -> None:
        namespace, mode, data = part
        self.parts.append(part)
        where = "/".join(names(namespace))
        if mode == "tasks":
            mode = f"{'start' if 'input' in data else 'end'} {data['name']}"
        elif mode == "updates":
            mode = f"updates {','.join(data)}"
        self.log.append(f"{where}: {mode}" if where else mode)
        if mode.startswith("start") and data["name"] in self.refuses:
            raise compat.held()


# --- the stream ---


async def test_parts_come_while_the_engine_works_and_before_it_calls_the_saver() -> None:
    stream = Stream(chain(one=writes("one"), two=writes("two")))
    log = await stream.run(INPUT)
    assert log == [
        *["checkpoints", "put_writes log,branch:to:one", "values", "put", "put", "checkpoints"],
        *["start one", "put_writes log,branch:to:two", "updates one", "end one"],
        *["values", "put", "checkpoints"],
        *["start two", "put_writes log", "updates two", "end two"],
        *["values", "put", "checkpoints"],
    ]


async def test_what_a_task_wrote_is_put_right_before_it_is_told_of() -> None:
    log = await Stream(beside(a=writes("a"), b=writes("b"))).run(INPUT)
    wrote = [n for n, said in enumerate(log) if said == "put_writes log"]
    assert sorted(log[n + 1] for n in wrote) == ["updates a", "updates b"]


async def test_subgraphs_and_graphs_that_a_node_calls_inherit_the_tap() -> None:
    called = chain(deep=writes("deep")).compile()

    async def call(state: Log, config: RunnableConfig) -> Any:
        return await called.ainvoke(state, config)

    stream = Stream(chain(child=chain(inner=writes("inner")).compile(), calls=call))
    log = await stream.run(INPUT)
    assert [said for said in log if "start" in said] == [
        "start child",
        "child: start inner",
        "start calls",
        "calls: start deep",
    ]


async def test_a_graph_that_is_called_in_a_thread_streams_from_there() -> None:
    def inside(state: Log) -> Log:
        return {"log": ["inside"]}

    called = chain(inside=inside).compile()

    def call(state: Log, config: RunnableConfig) -> Any:
        return called.invoke(state, config)

    stream = Stream(chain(calls=call))
    log = await stream.run(INPUT)
    assert "calls: start inside" in log
    assert "calls: updates inside" in log


async def test_values_that_come_with_a_stop_have_it_among_their_keys() -> None:
    stream = Stream(chain(one=writes("one"), ask=asks("two?")))
    await stream.run(INPUT)
    *_, (_, before), (_, last) = stream.of("values")
    assert before == {"log": ["in", "one"]}
    assert [waiting.value for waiting in last["__interrupt__"]] == ["two?"]


async def test_the_runtime_of_a_graph_above_brings_the_writer_and_the_store() -> None:
    async def node(state: Log) -> Log:
        get_stream_writer()("written")
        await get_store().aput(("a",), "b", {"c": 1})
        return {"log": []}

    def plain(state: Log) -> Log:
        get_stream_writer()(str(get_config()["configurable"]["checkpoint_ns"]))
        return {"log": []}

    store = InMemoryStore()
    stream = Stream(chain(child=chain(inner=node).compile(), plain=plain), store=store)
    await stream.run(INPUT)
    assert stream.custom[0] == "written"
    assert names(namespace_of(stream.custom[1])) == ["plain"]
    assert store.get(("a",), "b") is not None


async def test_messages_come_by_a_callback_with_the_place_of_their_node() -> None:
    async def speak(state: Log) -> Log:
        model = GenericFakeChatModel(messages=iter([AIMessage("one two", id="m")]))
        return {"log": [(await model.ainvoke("Hello!")).text]}

    stream = Stream(chain(child=chain(speak=speak).compile()))
    await stream.run(INPUT)
    messages = stream.of("messages")
    assert {tuple(where) for where, _ in messages} == {("child",)}
    assert [(chunk.content, about["langgraph_node"]) for _, (chunk, about) in messages] == [
        (text, "speak") for text in ("one", " ", "two")
    ]


# --- stops ---


async def test_raising_at_the_start_of_a_task_stops_the_step_and_leaves_no_trace() -> None:
    ran: list[str] = []

    async def notes(state: Log) -> Log:
        ran.append("a")
        return {"log": ["a"]}

    stream = Stream(beside(a=notes, b=writes("b")))
    stream.refuses.add("b")
    log = await stream.run(INPUT)
    assert log[-3:] == ["start a", "start b", "updates __interrupt__"]
    state = await stream.graph.aget_state(THREAD)
    assert (ran, state.values, state.next) == ([], INPUT, ("a", "b"))
    assert [(task.error, task.interrupts, task.result) for task in state.tasks] == [
        (None, (), None)
    ] * 2


async def test_raising_in_a_task_stops_that_task_and_leaves_no_trace_of_it() -> None:
    async def holds(state: Log) -> Log:
        raise compat.held()

    stream = Stream(beside(a=holds, b=writes("b")))
    log = await stream.run(INPUT)
    assert log.count("put_writes log") == 1
    assert log[-1] == "updates __interrupt__"
    state = await stream.graph.aget_state(THREAD)
    assert (state.values, state.next) == ({"log": ["in", "b"]}, ("a",))
    assert [(task.name, task.error, task.interrupts) for task in state.tasks] == [
        ("a", None, ()),
        ("b", None, ()),
    ]


async def test_a_stop_in_a_subgraph_stops_the_graphs_above_it() -> None:
    stream = Stream(chain(child=chain(one=writes("one"), two=writes("two")).compile()))
    stream.refuses.add("two")
    log = await stream.run(INPUT)
    # Of them only the root tells of it.
    assert log[-2:] == ["child: start two", "updates __interrupt__"]
    assert (await stream.graph.aget_state(THREAD)).next == ("child",)


async def test_raising_when_a_subgraph_has_ended_keeps_it_from_being_left() -> None:
    child = chain(one=writes("one")).compile()

    async def leaves(state: Log, config: RunnableConfig) -> Log:
        await child.ainvoke(state, config)
        raise compat.held()

    stream = Stream(chain(child=leaves))
    await stream.run(INPUT)
    state = await stream.graph.aget_state(THREAD, subgraphs=True)
    assert state.next == ("child",)
    # It stands at its end, and goes on from there.
    below = cast(Any, state.tasks[0].state)
    assert (below.next, below.values) == ((), {"log": ["in", "one"]})


# --- tasks ---


async def test_the_ids_of_tasks_follow_from_their_checkpoint_and_from_nothing_else() -> None:
    stream = Stream(beside(a=writes("a"), b=writes("b")))
    stream.refuses.add("a")
    await stream.run(INPUT)
    ids = await stream.tasks()
    told = {data["name"]: data["id"] for _, data in stream.of("tasks")}
    assert ids == {**told, "b": ids["b"]}
    again: list[Any] = [None, Command(update={"log": ["u"]})]
    for given in again:
        await stream.run(given)
        assert await stream.tasks() == ids
    await stream.graph.aupdate_state(THREAD, None, compat.COPY_NODE)
    assert set((await stream.tasks()).values()).isdisjoint(ids.values())


async def test_sends_to_one_node_are_tasks_of_their_own() -> None:
    graph = StateGraph(Log)
    graph.add_node("work", writes("work"))
    graph.add_conditional_edges(START, lambda _: [Send("work", {"log": []}) for _ in range(3)])
    stream = Stream(graph)
    stream.refuses.add("work")
    await stream.run(INPUT)
    tasks = (await stream.graph.aget_state(THREAD)).tasks
    assert len({task.id for task in tasks}) == 3


async def test_a_task_finds_itself_in_its_config() -> None:
    seen: list[Task | None] = []

    async def looks(state: Log, config: RunnableConfig) -> Log:
        seen.append(compat.task_of(config))
        return {"log": []}

    stream = Stream(chain(child=chain(inner=looks).compile(), outer=looks))
    await stream.run(INPUT)
    started = [
        Task(data["id"], data["name"], namespace)
        for namespace, mode, data in stream.parts
        if mode == "tasks" and "input" in data
    ]
    assert seen == [task for task in started if task.node != "child"]


class _Reviewed:
    """A task that writes besides what it returns."""

    runs = True

    def __init__(self, given: Any) -> None:
        self.input = given

    def result(self) -> Any:
        return None

    def output(self, returned: Any) -> tuple[Any, list[tuple[str, Any]]]:
        return returned, [("log", ["besides"])]


async def test_a_task_reads_the_state_before_its_step_and_writes_before_it_returns() -> None:
    read: list[Any] = []
    attempts = 0

    async def node(given: Any, config: RunnableConfig) -> Any:
        async def run(_: Any) -> Any:
            nonlocal attempts
            read.append(compat.read_channel(config, "log"))
            attempts += 1
            return {"log": ["returned"]}

        returned = await compat.run_reviewed(_Reviewed(given), config, run)
        if attempts == 1:
            raise RuntimeError
        return returned

    builder: Any = StateGraph(Log)
    again = RetryPolicy(initial_interval=0.01, retry_on=RuntimeError)
    builder.add_node("node", node, retry_policy=again)
    builder.add_conditional_edges(START, lambda state: [Send("node", "its own")])
    result = await builder.compile().ainvoke({"log": ["in"]})
    assert read == [["in"], ["in"]]
    # What a failed attempt wrote is gone.
    assert result["log"] == ["in", "besides", "returned"]


def test_where_a_node_goes_is_known_only_where_it_alone_says_so() -> None:
    builder: Any = StateGraph(Log)
    for name in ("edge", "branch", "join", "last", "chooses"):
        builder.add_node(name, writes(name), destinations=("last", "__end__"))
    builder.add_node("plain", writes("plain"))
    builder.add_edge(START, "edge")
    builder.add_edge("edge", "last")
    builder.add_edge(["join", "plain"], "last")
    builder.add_conditional_edges("branch", lambda state: "last", ["last"])
    graph = builder.compile()
    found = {name: compat.destinations(graph, name) for name in graph.nodes}
    assert {name for name, ends in found.items() if ends} == {"chooses", "last"}
    assert found["chooses"] == ("last",)


async def test_the_entry_and_nodes_with_a_tag_are_hidden_and_no_task_is_told_of() -> None:
    seen: list[Task | None] = []

    async def looks(state: Log, config: RunnableConfig) -> Log:
        seen.append(compat.task_of(config))
        return {"log": []}

    stream = Stream(chain(hidden=looks, shown=writes("shown")))
    stream.graph.nodes["hidden"].tags = ["langsmith:hidden"]
    log = await stream.run(INPUT)
    assert [task.node for task in seen if task] == ["hidden"]
    assert [said for said in log if said.startswith("start")] == ["start shown"]
    assert compat.node_names(stream.graph) == ("shown",)


async def test_an_error_handler_runs_in_the_step_of_the_node_and_its_start_is_not_told() -> None:
    seen: list[Task | None] = []

    async def breaks(state: Log) -> Log:
        raise ValueError("handle this")

    async def handle(state: Log, error: NodeError, config: RunnableConfig) -> Log:
        seen.append(compat.task_of(config))
        return {"log": [error.node]}

    graph = StateGraph(Log)
    graph.add_node("breaks", breaks, error_handler=handle)
    graph.add_edge(START, "breaks")
    stream = Stream(graph)
    log = await stream.run(INPUT)
    (handler,) = seen
    assert handler is not None
    assert (handler.node, names(handler.namespace)) == ("__error_handler__breaks", ["breaks"])
    assert [said for said in log if said.startswith("start")] == ["start breaks"]
    assert compat.node_names(stream.graph) == ("breaks",)


async def test_a_function_that_is_called_as_a_task_is_told_of_as_one() -> None:
    @as_task
    async def helper() -> str:
        return "help"

    async def calls(state: Log) -> Log:
        return {"log": [await helper()]}

    stream = Stream(chain(calls=calls))
    log = await stream.run(INPUT)
    assert [said for said in log if "start" in said] == ["start calls", "start helper"]


async def test_writes_say_whether_a_task_has_finished_and_how_many_answers_it_had() -> None:
    graph = beside(done=writes("done"), ask=asks("first?", "second?"), other=asks("other?"))
    stream = Stream(graph)
    await stream.run(INPUT)
    ids = await stream.tasks()
    (first,) = [
        w.id for w in (await stream.graph.aget_state(THREAD)).interrupts if w.value == "first?"
    ]
    await stream.run(Command(resume={first: "A"}))
    found = await stream.graph.checkpointer.aget_tuple(THREAD)  # type: ignore[union-attr]
    statuses = compat.task_writes(found.pending_writes or ())  # type: ignore[union-attr]
    assert {node: statuses[task_id][:2] for node, task_id in ids.items()} == {
        "done": (True, 0),
        "ask": (False, 1),
        "other": (False, 0),
    }


# --- questions ---


async def test_the_ids_of_questions_follow_from_their_task_and_their_number() -> None:
    stream = Stream(chain(child=chain(ask=asks("first?", "second?")).compile()))
    await stream.run(INPUT)
    (inner,) = [
        Task(data["id"], "ask", namespace)
        for namespace, mode, data in stream.parts
        if mode == "tasks" and "input" in data and data["name"] == "ask"
    ]
    first, second = compat.question_ids(inner, 2)
    assert [w.id for w in (await stream.graph.aget_state(THREAD)).interrupts] == [first]
    await stream.run(Command(resume={first: "A"}))
    assert [w.id for w in (await stream.graph.aget_state(THREAD)).interrupts] == [second]


async def test_an_answer_by_id_is_taken_though_several_questions_wait() -> None:
    stream = Stream(beside(a=asks("a?"), b=asks("b?")))
    await stream.run(INPUT)
    first, _ = (await stream.graph.aget_state(THREAD)).interrupts
    await stream.run(Command(resume={first.id: "A"}))
    assert (await stream.graph.aget_state(THREAD)).values == {"log": ["in", "a? A"]}


# --- subgraphs ---


@pytest.mark.parametrize("checkpointer", [None, True])
async def test_the_checkpoints_of_a_subgraph_name_those_of_the_graphs_above(
    checkpointer: bool | None,
) -> None:
    child = chain(one=writes("one"), two=writes("two")).compile(checkpointer=checkpointer)
    stream = Stream(chain(child=child))
    stream.refuses.add("two")
    await stream.run(INPUT)
    state = await stream.graph.aget_state(THREAD, subgraphs=True)
    below = cast(Any, state.tasks[0].state)
    assert below.metadata["parents"] == {"": state.config["configurable"]["checkpoint_id"]}


@pytest.mark.parametrize("checkpointer", [None, True, False])
async def test_a_subgraph_keeps_its_checkpoints_where_its_config_says(
    checkpointer: bool | None,
) -> None:
    child = chain(one=writes("one")).compile(checkpointer=checkpointer)
    make_sync_durability_total()
    told: list[Namespace] = []

    async def runs(state: Log, config: RunnableConfig) -> Any:
        told.append(compat.subgraph_namespace(cast(AnyPregel, child), config))
        return await child.ainvoke(state, config)

    stream = Stream(chain(child=runs))
    await stream.run(INPUT)
    saver = cast(Saver, stream.graph.checkpointer)
    kept = {found.config["configurable"]["checkpoint_ns"] for found in saver.list(THREAD)} - {""}
    if checkpointer is False:
        assert kept == set()
    else:
        assert kept == {"|".join(told[0])}
        assert told[0] == ("child",) if checkpointer else names(told[0]) == ["child"]


async def test_where_the_root_resumes_a_subgraph_with_memory_resumes_its_memory() -> None:
    child = chain(one=writes("one")).compile(checkpointer=True)
    ran: list[bool] = []

    def runs(anew: bool) -> Any:
        async def node(state: Log, config: RunnableConfig) -> Any:
            inside = compat.beginning(config) if anew else config
            result = await child.ainvoke(state, inside)
            ran.append(result["log"].count("one") == 2)
            return {"log": []}

        return node

    for anew in (False, True):
        stream = Stream(chain(child=runs(anew)))
        await stream.run(INPUT)
        stream.refuses.add("child")
        await stream.run(INPUT)
        stream.refuses.clear()
        await stream.run(None)
    assert ran == [False, False, False, True]


# --- commands ---


async def test_what_a_command_goes_to_shows_only_where_its_writes_are_applied() -> None:
    stream = Stream(chain(a=writes("a"), b=writes("b")))
    await stream.run(INPUT)
    stream.refuses |= {"a", "b"}
    goto = [Send("b", {"log": ["sent"]}), "a"]
    await stream.run(Command(update={"log": ["u"]}, goto=goto))
    told = {data["id"] for _, data in stream.of("tasks")}
    assert (await stream.graph.aget_state(THREAD)).next == ()

    saver = cast(Saver, stream.graph.checkpointer)
    found = await saver.aget_tuple(THREAD)
    assert found is not None
    assert {channel for channel, _ in compat.command_writes(found)} == {
        "log",
        "branch:to:a",
        "__pregel_tasks",
    }
    applied = await compat.command_applied(stream.graph, saver, found)
    assert compat.command_writes(applied) == []
    assert applied.checkpoint["channel_values"]["log"] == ["in", "a", "b", "u"]
    assert (applied.checkpoint["id"], applied.checkpoint["ts"]) == (
        found.checkpoint["id"],
        found.checkpoint["ts"],
    )
    # The engine applies them in memory whenever it goes on, and in the end once.
    await stream.run(None)
    assert {data["id"] for _, data in stream.of("tasks")} == told
    stream.refuses.clear()
    await stream.run(None)
    assert (await stream.graph.aget_state(THREAD)).values["log"].count("u") == 1


# --- doors ---


class Cache(InMemoryCache[Any]):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[FullKey] = []

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        self.asked += keys
        return await super().aget(keys)


async def test_a_node_behind_a_door_has_the_key_of_its_cached_results() -> None:
    numbers = iter(range(9))

    async def number(state: Log) -> Log:
        return {"log": [str(next(numbers))]}

    def plain(state: Log) -> Log:
        return {"log": [str(next(numbers))]}

    graph = StateGraph(Log)
    for name, node in {"number": number, "plain": plain}.items():
        graph.add_node(name, node, cache_policy=CachePolicy())
        graph.add_edge(START, name)
    cache = Cache()
    compiled = cast(AnyPregel, graph.compile(cache=cache))
    first = await compiled.ainvoke(INPUT)
    assert await with_doors(compiled).graph.ainvoke(INPUT) == first
    assert next(numbers) == 2
    # The namespace of a key ends in the name of its node.
    assert {key[0][-1] for key in cache.asked} == {"number", "plain"}


async def test_what_the_engine_knows_a_node_by_is_kept_behind_its_door() -> None:
    async def tries(state: Log) -> Log:
        tried.append(len(tried))
        if len(tried) < 2:
            raise ConnectionError
        return {"log": ["tried"]}

    tried: list[int] = []
    graph = StateGraph(Log)
    policy = RetryPolicy(initial_interval=0.001, max_attempts=2)
    graph.add_node("tries", tries, retry_policy=policy, metadata={"kept": True})
    graph.add_edge(START, "tries")
    graph.add_sequence([("piped", RunnableLambda(writes("piped")) | RunnableLambda(lambda x: x))])
    graph.add_edge("tries", "piped")
    plain = cast(AnyPregel, graph.compile())
    doored = with_doors(plain).graph
    assert await doored.ainvoke(INPUT) == {"log": ["in", "tried", "piped"]}
    for name, node in plain.nodes.items():
        behind = doored.nodes[name]
        kept: Mapping[str, Any] = {"tags": node.tags, "metadata": node.metadata}
        assert {"tags": behind.tags, "metadata": behind.metadata} == kept
        assert (behind.triggers, behind.retry_policy) == (node.triggers, node.retry_policy)


async def test_a_copy_with_doors_leaves_the_graph_itself_and_its_breakpoints_as_they_are() -> None:
    child = cast(
        AnyPregel, chain(one=writes("one")).compile(interrupt_before=["one"], name="child")
    )
    graph = cast(AnyPregel, chain(child=child).compile(interrupt_after=["child"]))
    bound = graph.nodes["child"].bound
    doored = with_doors(graph)
    assert compat.static_breakpoints(doored.graph) == ((), ())
    assert (graph.nodes["child"].bound, compat.static_breakpoints(child)) == (bound, (("one",), ()))
    assert compat.static_breakpoints(graph) == ((), ("child",))
    assert await doored.graph.ainvoke(INPUT) == {"log": ["in", "in", "one"]}
    # Its subgraphs are found as those of the graph are, for their states.
    assert [name for name, _ in compat.subgraphs(doored.graph)] == ["child"]
