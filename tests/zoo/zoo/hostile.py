"""Graphs that do what no graph should: the server has to survive them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph_sdk.runtime import ServerRuntime

from zoo.log import Log, writes
from zoo.questions import chain


class UnprintableError(Exception):
    """An exception whose text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class CustomExit(BaseException):
    """What only derives from BaseException."""


def _fail_as(kind: str) -> Any:
    match kind:
        case "exit":
            sys.exit("bye")
        case "exit 3":
            sys.exit(3)
        case "ctrl-c":
            raise KeyboardInterrupt
        case "group":
            raise BaseExceptionGroup("several", [SystemExit(1), ValueError("inner")])
        case "exception group":
            raise ExceptionGroup("several", [KeyError("k"), ValueError("inner")])
        case "custom":
            raise CustomExit("custom")
        case "unprintable":
            raise UnprintableError
        case "cancelled":
            raise asyncio.CancelledError
        case "stop":
            raise StopIteration
        case "stop async":
            raise StopAsyncIteration
        case "generator exit":
            raise GeneratorExit
        case "timeout":
            raise TimeoutError("mine")
        case "surrogate":
            raise ValueError("\udc80 and \x00")
        case "long":
            raise ValueError("x" * 5_000_000)
        case "no update":
            return "not an update"
        case "unknown channel":
            return {"nothing": 1}
        case "two values":
            return [{"count": 1}, {"count": 2}]
    raise AssertionError(kind)


async def _fail(state: Log) -> Any:
    return _fail_as(state["path"])


async def _fail_later(state: Log) -> Any:
    async def later() -> Any:
        await asyncio.sleep(0)
        return _fail_as(state["path"])

    return await asyncio.create_task(later())


def _fail_in_thread(state: Log) -> Any:
    return _fail_as(state["path"])


def _fails(node: Any) -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("fine", writes("fine"))
    graph.add_node("fail", node)
    graph.add_edge(START, "fine")
    graph.add_edge("fine", "fail")
    return graph


def _fails_beside() -> StateGraph[Any]:
    graph = _fails(_fail)
    graph.add_node("beside", writes("beside"))
    graph.add_edge("fine", "beside")
    return graph


def _fails_in_child() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("child", _fails(_fail).compile())
    graph.add_edge(START, "child")
    return graph


def _fails_in_router() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("fine", writes("fine"))
    graph.add_edge(START, "fine")
    graph.add_conditional_edges("fine", lambda state: _fail_as(state["path"]), ["fine"])
    return graph


fails = _fails(_fail).compile()
fails_later = _fails(_fail_later).compile()
fails_sync = _fails(_fail_in_thread).compile()
fails_beside = _fails_beside().compile()
fails_in_child = _fails_in_child().compile()
fails_in_router = _fails_in_router().compile()


async def _ignore_cancelling(state: Log) -> Log:
    path = Path(state["path"])
    Path(f"{path}.begun").touch()
    while not path.exists():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)
    Path(f"{path}.returned").touch()
    return {"log": ["gate"]}


def _stubborn() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("gate", _ignore_cancelling)
    graph.add_node("after", writes("after"))
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "after")
    return graph


stubborn = _stubborn().compile()


@contextlib.asynccontextmanager
async def moody(config: RunnableConfig, runtime: ServerRuntime[None]) -> AsyncIterator[Any]:
    """Makes a graph, or fails in the way that `mood` says, where `when` says."""
    chosen = config.get("configurable", {})
    moods = {"bad": RuntimeError("not today"), "worse": SystemExit("never"), "": None}
    mood = moods[chosen.get("mood", "")]
    if mood is not None and chosen["when"] == runtime.access_context:
        raise mood
    yield _fails(writes("well")).compile()
    if mood is not None and chosen["when"] == f"leaving {runtime.access_context}":
        raise mood


async def _write_a_lock(state: Log) -> Any:
    return {"count": threading.Lock()}


writes_a_lock = chain(fine=writes("fine"), locks=_write_a_lock, after=writes("after")).compile()
writes_a_lock_in_child = chain(child=writes_a_lock).compile()
