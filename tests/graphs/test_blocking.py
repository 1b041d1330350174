"""A node that holds the event loop is found and named, once; nothing else is blamed."""

from __future__ import annotations

import asyncio
import importlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import structlog
from graphwire_server.graphs.blocking import BlockingWatch

from tests.processes import Program

WriteProject = Callable[..., Path]
Log = MutableMapping[str, Any]

THRESHOLD = 0.1

FLOW = """
import asyncio, threading, time
from typing import TypedDict
from langchain_core.runnables import RunnableLambda
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph

#: Held by the test: what waits for it blocks the loop until the watch has spoken.
reported = threading.Event()

class State(TypedDict):
    word: str

def block():
    assert reported.wait(30)  # the blocking line

async def helper():
    block()

async def blocking(state):
    await asyncio.sleep(0)
    block()

async def awaiting(state):
    await helper()

async def gathering(state):
    await asyncio.gather(asyncio.sleep(0), helper())

def in_a_thread(state):
    time.sleep(0.5)

async def routed(state):
    return {"word": "x"}

async def router(state):
    block()
    return END

def one(node, name):
    builder = StateGraph(State)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder.compile()

def with_router():
    builder = StateGraph(State)
    builder.add_node("routed", routed)
    builder.add_edge(START, "routed")
    builder.add_conditional_edges("routed", router)
    return builder.compile()

@task
async def fetch(word):
    block()
    return word

@entrypoint()
async def workflow(state):
    return await fetch("x")

graphs = {
    "blocking": one(blocking, "blocking"),
    "awaiting": one(awaiting, "awaiting"),
    "gathering": one(gathering, "gathering"),
    "lambda": one(RunnableLambda(blocking), "lambda"),
    "child": one(one(blocking, "blocking"), "child"),
    "router": with_router(),
    "workflow": workflow,
    "thread": one(in_a_thread, "thread"),
}
"""
BLOCKING_LINE = 1 + FLOW.split("\n").index("    assert reported.wait(30)  # the blocking line")


class Reports:
    """A structlog processor that keeps the warnings about the code here, and signals each.

    Others are true as well, on a slow machine: langgraph imports some modules late.
    """

    def __init__(self) -> None:
        self.entries: list[Log] = []
        self.event = threading.Event()

    def __call__(self, _logger: object, level: str, entry: Log) -> Log:
        here = entry["where"].startswith(("flow.py:", f"{__file__}:"))
        if here and entry["function"] != "<module>":
            self.entries.append({**entry, "level": level})
            self.event.set()
        raise structlog.DropEvent


@pytest.fixture
def reports() -> Iterator[Reports]:
    kept = Reports()
    before = structlog.get_config()
    structlog.configure(processors=[kept], cache_logger_on_first_use=False)
    yield kept
    structlog.configure(**before)


@pytest.fixture
def flow(
    write_project: WriteProject, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    root = write_project({"flow.py": FLOW})
    monkeypatch.syspath_prepend(str(root))
    module = importlib.import_module("flow")
    module.reported = reports.event  # type: ignore[attr-defined]
    return module


@pytest.fixture
async def watch(flow: ModuleType) -> AsyncIterator[BlockingWatch]:
    assert flow.__file__ is not None
    watch = BlockingWatch([Path(flow.__file__).parent], threshold=THRESHOLD)
    watch.start(asyncio.get_running_loop())
    yield watch
    watch.stop()


@pytest.mark.parametrize(
    ("graph", "node"),
    [
        ("blocking", "blocking"),
        ("awaiting", "awaiting"),
        ("gathering", "gathering"),
        ("lambda", "lambda"),
        ("child", "blocking"),
        ("router", "routed"),
        ("workflow", "fetch"),
    ],
)
@pytest.mark.usefixtures("watch")
async def test_a_node_that_blocks_is_named_with_the_line_that_does(
    flow: ModuleType, reports: Reports, graph: str, node: str
) -> None:
    stream = flow.graphs[graph].astream({"word": "x"}, stream_mode="tasks", subgraphs=True)
    started = {task["id"] async for _, task in stream if task["name"] == node}
    (entry,) = reports.entries
    assert 0.1 <= entry.pop("blocked_for") < 20
    assert entry.pop("task_id") in started
    assert entry == {
        "event": "event_loop_blocked",
        "level": "warning",
        "where": f"flow.py:{BLOCKING_LINE}",
        "function": "block",
        "node": node,
        "advice": "Nothing else is served meanwhile: use an async library here, or make the node "
        "a plain `def`, which runs in a thread.",
    }


@pytest.mark.usefixtures("watch")
async def test_each_stall_is_logged_once(flow: ModuleType, reports: Reports) -> None:
    for stall in range(2):
        reports.event.clear()
        flow.block()
        time.sleep(4 * THRESHOLD)  # noqa: ASYNC251  # goes on blocking: the same stall
        assert len(reports.entries) == stall + 1
        # The watch asks again only when the loop has answered.
        await asyncio.sleep(0.5 * THRESHOLD)


@pytest.mark.usefixtures("watch")
async def test_code_that_is_no_node_is_named_without_one(
    flow: ModuleType, reports: Reports
) -> None:
    flow.block()
    (entry,) = reports.entries
    assert (entry["where"], entry["node"], entry["task_id"]) == (f"flow.py:{BLOCKING_LINE}", "", "")
    assert entry["advice"] == "Nothing else is served meanwhile."


@pytest.mark.usefixtures("watch")
async def test_code_outside_of_the_project_is_named_by_its_own_file(reports: Reports) -> None:
    assert reports.event.wait(30)
    (entry,) = reports.entries
    assert entry["where"].startswith(f"{Path(__file__)}:")
    assert entry["function"] == "test_code_outside_of_the_project_is_named_by_its_own_file"


@pytest.mark.usefixtures("watch")
async def test_a_plain_function_blocks_nothing_and_is_not_logged(
    flow: ModuleType, reports: Reports
) -> None:
    await flow.graphs["thread"].ainvoke({"word": "x"})
    assert reports.entries == []
    # It would have been: the watch is awake.
    flow.block()
    assert len(reports.entries) == 1


async def test_a_watch_that_is_stopped_says_nothing_more(reports: Reports) -> None:
    watch = BlockingWatch([Path()], threshold=THRESHOLD)
    watch.start(asyncio.get_running_loop())
    watch.stop()
    assert not [t for t in threading.enumerate() if t.name == "graphwire-blocking-watch"]
    time.sleep(3 * THRESHOLD)  # noqa: ASYNC251
    assert reports.entries == []


def test_a_watch_ends_with_its_loop() -> None:
    watch = BlockingWatch([Path()], threshold=THRESHOLD)
    loop = asyncio.new_event_loop()
    loop.call_soon(watch.start, loop)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    (thread,) = [t for t in threading.enumerate() if t.name == "graphwire-blocking-watch"]
    thread.join(10)
    assert not thread.is_alive()


def test_a_threshold_has_to_be_positive() -> None:
    with pytest.raises(ValueError, match="threshold has to be above 0, not 0"):
        BlockingWatch([Path()], threshold=0)


STOPPED = """
import asyncio, pathlib, sys, structlog
from graphwire_server.graphs.blocking import BlockingWatch

async def main():
    watch = BlockingWatch([pathlib.Path()], threshold=1.0)
    watch.start(asyncio.get_running_loop())
    await asyncio.sleep(0.5)
    print("blocking", flush=True)
    sys.stdin.readline()
    await asyncio.sleep(0.5)
    watch.stop()
    print("done", flush=True)

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stdout))
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_process_that_was_stopped_is_no_false_alarm() -> None:
    with Program(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "blocking\n"
        # The loop is held for 0.4 s of its own time, and for 1.5 s in which nothing ran.
        time.sleep(0.3)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.1)
        output, _ = process.communicate("\n", timeout=60)
    assert output == "done\n"
