"""Every kind of graph that a project may name, opened with the server's persistence."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from graphwire_server.graphs.load_errors import GraphBuildError, GraphLoadError
from graphwire_server.graphs.loader import prepare
from graphwire_server.graphs.project import load_project
from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import AccessContext

WriteProject = Callable[..., Path]
Graph = Pregel[Any, Any, Any, Any]

#: What all the projects below start with: a builder, and a list of what happened.
BASE = """
import asyncio, contextlib, functools, threading
from dataclasses import dataclass
from typing import Annotated, Optional, TYPE_CHECKING, TypedDict
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_store
from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import ServerRuntime

seen = []

class State(TypedDict):
    word: str

def answer(state):
    return {"word": state["word"] + "!"}

def new_builder(node="answer"):
    builder = StateGraph(State)
    builder.add_node(node, answer)
    builder.add_edge(START, node)
    builder.add_edge(node, END)
    return builder

def build(config):
    seen.append(config)
    return new_builder(config["configurable"].get("node", "default")).compile()
"""


class OtherStore(InMemoryStore):
    """A store that is somebody's own."""


SAVER: BaseCheckpointSaver[Any] = InMemorySaver()
STORE = OtherStore()


async def load(write_project: WriteProject, code: str, **graphs: str) -> GraphRegistry:
    """Loads a project of one file: BASE and `code`; the graph is `graph` unless named."""
    names = graphs or {"agent": "graph"}
    root = write_project(
        {"flow.py": BASE + code},
        {"graphs": {name: f"./flow.py:{symbol}" for name, symbol in names.items()}},
    )
    project = load_project(root)
    prepare(project)
    return await GraphRegistry.load(project, checkpointer=SAVER, store=STORE)


async def load_one(write_project: WriteProject, code: str) -> LoadedGraph:
    loaded = (await load(write_project, code)).get("agent")
    assert loaded is not None
    return loaded


async def refusal(write_project: WriteProject, code: str) -> GraphLoadError:
    with pytest.raises(GraphLoadError) as caught:
        await load(write_project, code)
    assert caught.value.graph == "agent"
    assert caught.value.file == "flow.py"
    return caught.value


def symbol(name: str) -> Any:
    return getattr(sys.modules["flow"], name)


async def nodes(
    loaded: LoadedGraph, access: AccessContext = "threads.create_run", **configurable: object
) -> list[str]:
    async with loaded.open(access, {"configurable": configurable}) as graph:
        return [name for name in graph.nodes if name != "__start__"]


async def test_the_registry_knows_its_graphs_by_name(write_project: WriteProject) -> None:
    before = datetime.now(UTC)
    root = write_project(
        {"flow.py": BASE + "graph = new_builder().compile()"},
        {
            "graphs": {
                "zoo": "./flow.py:graph",
                "ape": {"path": "flow:graph", "description": "An ape."},
            }
        },
    )
    project = load_project(root)
    prepare(project)
    registry = await GraphRegistry.load(project, checkpointer=SAVER, store=STORE)
    assert registry.names == ("ape", "zoo")
    assert registry.get("bee") is None
    ape, zoo = registry.get("ape"), registry.get("zoo")
    assert ape is not None
    assert zoo is not None
    assert (ape.name, ape.description) == ("ape", "An ape.")
    assert (zoo.name, zoo.description) == ("zoo", "")
    assert before <= ape.load_time <= datetime.now(UTC)


@pytest.mark.parametrize(
    "code",
    [
        "graph = new_builder().compile()",
        "graph = new_builder()",
        "graph = new_builder().compile().with_config(tags=['x'])",
        "def graph(): return new_builder().compile()",
        "def graph(): return new_builder()",
        "async def graph(): return new_builder().compile()",
        "graph = functools.partial(lambda node: new_builder(node), 'answer')",
        "graph = lambda: asyncio.sleep(0, new_builder())",
        "def graph(node: str = 'answer'): return new_builder(node)",
        "def graph(*args, **kwargs): return new_builder()",
        "class graph:\n    def __new__(cls): return new_builder()",
        # Needs a thread of its own when it is imported, and when it is called.
        "asyncio.run(asyncio.sleep(0)); graph = new_builder()",
        "def graph():\n    asyncio.run(asyncio.sleep(0))\n    return new_builder()",
    ],
)
async def test_what_makes_one_graph_for_good_is_static(
    write_project: WriteProject, code: str
) -> None:
    loaded = await load_one(write_project, code)
    assert not loaded.dynamic
    async with loaded.open("assistants.read", {}) as one, loaded.open("threads.read", {}) as two:
        assert one is two
        assert list(one.nodes) == ["__start__", "answer"]
        assert one.checkpointer is SAVER
        assert one.store is STORE


async def test_a_binding_with_only_a_config_is_the_graph_with_that_config(
    write_project: WriteProject,
) -> None:
    code = """
from langchain_core.runnables import RunnableBinding
graph = RunnableBinding(bound=new_builder().compile(), config={"tags": ["x"]})
"""
    loaded = await load_one(write_project, code)
    async with loaded.open("assistants.read", {}) as graph:
        assert graph.config is not None
        assert graph.config["tags"] == ["x"]


async def test_an_entrypoint_function_is_a_graph(write_project: WriteProject) -> None:
    code = """
@entrypoint()
async def graph(word: str, *, previous=None) -> str:
    return (previous or "") + word
"""
    loaded = await load_one(write_project, code)
    assert not loaded.dynamic
    async with loaded.open("threads.create_run", {}) as graph:
        config = {"configurable": {"thread_id": "entrypoint"}}
        assert await graph.ainvoke("a", cast(Any, config)) == "a"
        assert await graph.ainvoke("b", cast(Any, config)) == "ab"


@pytest.mark.parametrize("checkpointer", ["None", "True", "False", "InMemorySaver()"])
async def test_the_servers_checkpointer_replaces_what_a_graph_carries(
    write_project: WriteProject, checkpointer: str
) -> None:
    code = f"own = {checkpointer}\ngraph = new_builder().compile(checkpointer=own)"
    loaded = await load_one(write_project, code)
    config: Any = {"configurable": {"thread_id": f"replaced-{checkpointer}"}}
    async with loaded.open("threads.create_run", config) as graph:
        assert await graph.ainvoke({"word": "hi"}, config) == {"word": "hi!"}
        assert (await graph.aget_state(config)).values == {"word": "hi!"}
    assert await SAVER.aget_tuple(config) is not None
    assert symbol("graph").checkpointer is symbol("own")
    if checkpointer == "InMemorySaver()":
        assert symbol("own").storage == {}


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("None", False),
        ("InMemoryStore()", False),
        ("Mine()", True),
        ("InMemoryStore(index={'dims': 1, 'embed': lambda texts: [[1.0] for _ in texts]})", True),
    ],
)
async def test_the_servers_store_replaces_none_and_the_one_in_memory(
    write_project: WriteProject, own: str, kept: bool
) -> None:
    code = f"""
class Mine(InMemoryStore): ...
own = {own}
graph = new_builder().compile(store=own)
def make(config): return graph
"""
    with structlog.testing.capture_logs() as log:
        registry = await load(write_project, code, static="graph", dynamic="make")
    # Of a store with an index it is told that it stays, and is lost with the process.
    told = [entry["graph"] for entry in log if entry["event"] == "store_in_memory"]
    assert told == (["static"] if "index=" in own else [])
    for name in registry.names:
        loaded = registry.get(name)
        assert loaded is not None
        async with loaded.open("threads.create_run", {}) as graph:
            assert graph.store is (symbol("own") if kept else STORE)
    assert symbol("graph").store is symbol("own")


@pytest.mark.parametrize(
    "code",
    [
        "def graph(config: RunnableConfig): return build(config)",
        "def graph(config): return build(config)",
        "def graph(config=None): return build(config)",
        "def graph(cfg): return build(cfg)",
        "def graph(cfg: dict): return build(cfg)",
        "def graph(settings: 'RunnableConfig', model: str = 'x'): return build(settings)",
        "def graph(model: str = 'x', *, settings: RunnableConfig): return build(settings)",
        "def graph(model='x', settings: RunnableConfig | None = None, /): return build(settings)",
        "def graph(a: Optional[RunnableConfig] = None): return build(a)",
        "def graph(a: Annotated[RunnableConfig, 1]): return build(a)",
        "def graph(a: 'RunnableConfig', b: 'NoSuch' = None): return build(a)",
        "async def graph(config): return build(config)",
        "class Maker:\n    def __call__(self, config): return build(config)\ngraph = Maker()",
        "@contextlib.contextmanager\ndef graph(config): yield build(config)",
        "@contextlib.asynccontextmanager\nasync def graph(config): yield build(config)",
        "def graph(config): yield build(config)",
        "async def graph(config): yield build(config)",
        "async def inner(config): return build(config)\ndef graph(config): return inner(config)",
    ],
)
async def test_a_factory_with_a_config_makes_a_graph_for_each_call(
    write_project: WriteProject, code: str
) -> None:
    loaded = await load_one(write_project, code)
    assert loaded.dynamic
    assert symbol("seen") == [{"configurable": {}}]
    assert await nodes(loaded, node="first") == ["first"]
    assert await nodes(loaded) == ["default"]
    async with loaded.open("threads.create_run", {}) as graph:
        assert graph.checkpointer is SAVER


async def test_a_factory_may_change_the_config_it_gets(write_project: WriteProject) -> None:
    code = "def graph(config): config['configurable']['node'] = 'mine'; return build(config)"
    loaded = await load_one(write_project, code)
    config: Any = {"configurable": {"node": "yours"}, "tags": ["t"]}
    async with loaded.open("threads.create_run", config) as graph:
        assert "mine" in graph.nodes
    assert config == {"configurable": {"node": "yours"}, "tags": ["t"]}


@pytest.mark.parametrize(
    "code",
    [
        "def graph(runtime: ServerRuntime): return note(runtime)",
        "def graph(runtime): return note(runtime)",
        "async def graph(r: ServerRuntime[Ctx]): return note(r)",
        "async def graph(r: 'ServerRuntime[Ctx]'): return note(r)",
        "def graph(r: ServerRuntime[Ctx] | None = None): return note(r)",
        "def graph(r: ServerRuntime, c: RunnableConfig): return note(r)",
        "def graph(c: RunnableConfig, r: 'ServerRuntime[NoSuch]'): return note(r)",
        "def graph(config, runtime): return note(runtime)",
        "@contextlib.asynccontextmanager\nasync def graph(r: ServerRuntime): yield note(r)",
    ],
)
async def test_a_factory_with_a_runtime_is_told_what_for(
    write_project: WriteProject, code: str
) -> None:
    base = """
@dataclass
class Ctx:
    user: str

def note(runtime):
    run = runtime.execution_runtime
    seen.append((runtime.access_context, runtime.user, runtime.store, run and run.context))
    return new_builder()
"""
    loaded = await load_one(write_project, base + code)
    assert loaded.dynamic
    context = symbol("Ctx")("ann")
    async with loaded.open("threads.create_run", {}, context):
        pass
    async with loaded.open("threads.update", {}, context):
        pass
    assert symbol("seen") == [
        ("assistants.read", None, STORE, None),
        ("threads.create_run", None, STORE, context),
        ("threads.update", None, STORE, None),
    ]


async def test_a_context_comes_in_the_type_that_the_factory_names(
    write_project: WriteProject,
) -> None:
    code = """
@dataclass
class Ctx:
    user: str

def graph(runtime: ServerRuntime[Ctx]):
    if run := runtime.execution_runtime:
        seen.append(run.context)
    return new_builder()
"""
    loaded = await load_one(write_project, code)
    async with loaded.open("threads.create_run", {}, {"user": "ann"}):
        pass
    assert symbol("seen") == [symbol("Ctx")("ann")]
    with pytest.raises(GraphBuildError, match="unexpected keyword argument 'usr'"):
        async with loaded.open("threads.create_run", {}, {"usr": "ann"}):
            pass


MANAGERS = {
    "async": """
@contextlib.asynccontextmanager
async def graph():
    seen.append("open")
    try:
        yield new_builder()
    except BaseException as error:
        seen.append(type(error).__name__)
        {on_error}
    finally:
        seen.append("close")
""",
    "sync": """
@contextlib.contextmanager
def graph():
    seen.append("open")
    try:
        yield new_builder()
    except BaseException as error:
        seen.append(type(error).__name__)
        {on_error}
    finally:
        seen.append("close")
""",
}


@pytest.mark.parametrize("kind", MANAGERS)
async def test_a_context_manager_is_held_while_the_graph_is_open(
    write_project: WriteProject, kind: str
) -> None:
    loaded = await load_one(write_project, MANAGERS[kind].format(on_error="raise"))
    seen = symbol("seen")
    assert loaded.dynamic
    assert seen == ["open", "close"]
    async with loaded.open("threads.create_run", {}):
        assert seen == ["open", "close", "open"]
    assert seen == ["open", "close", "open", "close"]


@pytest.mark.parametrize("kind", MANAGERS)
@pytest.mark.parametrize("on_error", ["raise", "pass"])
@pytest.mark.parametrize("error", [KeyError("mine"), asyncio.CancelledError()])
async def test_a_factory_sees_what_ends_the_block_and_cannot_swallow_it(
    write_project: WriteProject, kind: str, on_error: str, error: BaseException
) -> None:
    loaded = await load_one(write_project, MANAGERS[kind].format(on_error=on_error))
    with pytest.raises(type(error)) as caught:
        async with loaded.open("threads.create_run", {}):
            raise error
    assert caught.value is error
    assert symbol("seen")[2:] == ["open", type(error).__name__, "close"]


@pytest.mark.parametrize("kind", MANAGERS)
async def test_a_clean_up_that_fails_does_not_hide_what_ended_the_block(
    write_project: WriteProject, kind: str
) -> None:
    loaded = await load_one(
        write_project, MANAGERS[kind].format(on_error="raise RuntimeError('closing')")
    )
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async with loaded.open("threads.create_run", {}):
            raise error
    assert caught.value is error
    assert error.__notes__ == ["then the factory failed to clean up: RuntimeError: closing"]


async def test_a_clean_up_that_fails_after_a_good_block_is_reported(
    write_project: WriteProject,
) -> None:
    code = """
@contextlib.asynccontextmanager
async def graph():
    yield new_builder()
    if len(seen):
        raise RuntimeError("closing")
    seen.append(1)
"""
    loaded = await load_one(write_project, code)
    with pytest.raises(GraphBuildError, match="RuntimeError: closing"):
        async with loaded.open("threads.create_run", {}):
            pass


async def test_a_sync_factory_and_a_sync_context_manager_run_in_threads(
    write_project: WriteProject,
) -> None:
    code = """
def make(config):
    seen.append(threading.get_ident())
    return new_builder()

@contextlib.contextmanager
def manager():
    seen.append(threading.get_ident())
    yield new_builder()
    seen.append(threading.get_ident())
"""
    registry = await load(write_project, code, make="make", manager="manager")
    for name in registry.names:
        loaded = registry.get(name)
        assert loaded is not None
        async with loaded.open("threads.create_run", {}):
            pass
    assert len(symbol("seen")) == 6
    assert threading.get_ident() not in symbol("seen")


async def test_a_cancelled_open_still_leaves_what_its_thread_enters(
    write_project: WriteProject,
) -> None:
    code = """
entering, go_on = threading.Event(), threading.Event()
go_on.set()

@contextlib.contextmanager
def graph():
    entering.set()
    go_on.wait()
    seen.append("open")
    try:
        yield new_builder()
    finally:
        seen.append("close")
"""
    loaded = await load_one(write_project, code)
    entering, go_on = symbol("entering"), symbol("go_on")
    entering.clear()
    go_on.clear()

    async def open_it() -> None:
        async with loaded.open("threads.create_run", {}):
            pass

    task = asyncio.create_task(open_it())
    await asyncio.to_thread(entering.wait)
    task.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert symbol("seen") == ["open", "close", "open", "close"]


async def test_a_factory_that_fails_when_it_is_opened_says_so(write_project: WriteProject) -> None:
    code = """
def graph(config):
    if "user" in config["configurable"]:
        raise PermissionError("not you")
    return new_builder()
"""
    loaded = await load_one(write_project, code)
    with pytest.raises(GraphBuildError) as caught:
        await nodes(loaded, user="ann")
    assert str(caught.value) == 'graph "agent" can\'t be built: PermissionError: not you'
    assert caught.value.name == "agent"
    assert isinstance(caught.value.original, PermissionError)
    assert caught.value.__cause__ is caught.value.original


async def test_a_factory_that_returns_no_graph_when_it_is_opened_says_so(
    write_project: WriteProject,
) -> None:
    code = "def graph(config): return config['configurable'].get('it', new_builder())"
    loaded = await load_one(write_project, code)
    with pytest.raises(GraphBuildError) as caught:
        await nodes(loaded, it=[])
    assert str(caught.value) == (
        'graph "agent" can\'t be built: the factory returned a value of type list; wanted is '
        "a compiled graph, a StateGraph builder or an @entrypoint function"
    )


@pytest.mark.parametrize(
    ("code", "line", "reason"),
    [
        ("graph = 3", "graph = 3", "it is of type int; wanted is {graph}, or a function"),
        ("graph = None", "graph = None", "it is of type NoneType; wanted is {graph}, or a "),
        (
            "graph: object = RunnableLambda(answer)",
            "graph: object = RunnableLambda(answer)",
            "it is of type langchain_core.runnables.base.RunnableLambda, not a graph; wanted is ",
        ),
        (
            "graph = new_builder().compile().with_retry()",
            "graph = new_builder().compile().with_retry()",
            "it is a graph inside a RunnableRetry (of with_retry(), bind(), with_listeners() or t",
        ),
        (
            "graph = new_builder().compile().bind(stop=['x'])",
            "graph = new_builder().compile().bind(stop=['x'])",
            "it is a graph inside a RunnableBinding (of with_retry(), bind(), with_listeners() or",
        ),
        (
            "async def make(): return new_builder()\ngraph = make()",
            "graph = make()",
            "it is a coroutine; name the async function itself, the server calls it",
        ),
        ("def graph(): pass", "def graph(): pass", "the factory returned None; wanted is {graph}"),
        ("def graph(): yield 1", "def graph(): yield 1", "the factory yielded a value of type int"),
        (
            "def graph(config, model, tools, top=1): pass",
            "def graph(config, model, tools, top=1): pass",
            "the factory has parameters that the server can't fill: model, tools; it gives `confi",
        ),
        (
            "def graph(*, model): pass",
            "def graph(*, model): pass",
            "the factory has parameters that the server can't fill: model; it gives `config: Runn",
        ),
        ("graph = iter", "graph = iter", "it is a callable whose parameters can't be read; name"),
        (
            "graph = StateGraph(State)",
            "graph = StateGraph(State)",
            "ValueError: Graph must have an entrypoint",
        ),
        (
            "def graph(config):\n    return config['configurable']['user']",
            "return config['configurable']['user']",
            "KeyError: 'user'; a factory is called once at the start, with an empty config and no",
        ),
        (
            "def graph():\n    return next(iter([]))",
            "return next(iter([]))",
            "RuntimeError: StopIteration; a factory is called once at the start, with an empty co",
        ),
        (
            "async def graph():\n    raise SystemExit(2)",
            "raise SystemExit(2)",
            "SystemExit: 2; a factory is called once at the start, with an empty config and no",
        ),
        (
            "@contextlib.contextmanager\ndef graph():\n    if False: yield",
            "def graph():",
            "RuntimeError: generator didn't yield; a factory is called once at the start, with a",
        ),
    ],
)
async def test_what_is_no_graph_stops_the_start_with_its_line_and_reason(
    write_project: WriteProject, code: str, line: str, reason: str
) -> None:
    error = await refusal(write_project, code)
    accepted = "a compiled graph, a StateGraph builder or an @entrypoint function"
    assert error.source == line
    lines = [text.strip() for text in (BASE + code).splitlines()]
    assert error.line == lines.index(line) + 1
    assert error.reason.startswith(reason.replace("{graph}", accepted))


async def test_the_first_graph_that_fails_stops_the_start(write_project: WriteProject) -> None:
    with pytest.raises(GraphLoadError) as caught:
        await load(write_project, "good = new_builder()", good="good", bad="bad", worse="worse")
    assert caught.value.graph == "bad"


def graph_modes(registry: GraphRegistry) -> Mapping[str, bool]:
    return {n: loaded.dynamic for n in registry.names if (loaded := registry.get(n))}


async def test_a_lone_parameter_with_a_type_and_a_default_of_its_own_keeps_it(
    write_project: WriteProject,
) -> None:
    code = """
def typed(model: str = "x"):
    assert model == "x"
    return new_builder()

def plain(cfg=None):
    assert cfg == {"configurable": {}}
    return new_builder()
"""
    registry = await load(write_project, code, typed="typed", plain="plain")
    assert graph_modes(registry) == {"plain": True, "typed": False}
