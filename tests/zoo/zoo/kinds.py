"""Every kind of thing that langgraph.json may name."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send, interrupt
from langgraph_sdk.runtime import ServerRuntime
from pydantic import BaseModel

from zoo.log import Log, writes


@dataclass
class Person:
    """The context of `contextual`."""

    name: str
    language: str = "en"


async def _greet(state: Log, runtime: Runtime[Person]) -> Log:
    person = runtime.context
    return {"log": [f"{person.name} speaks {person.language}"]}


@dataclass
class Plan:
    """What the schema of `carries` says nothing of."""

    title: str


class Report(BaseModel):
    """The same, as a model."""

    plan: Plan


class Carrying(TypedDict, total=False):
    """A state whose schema does not say what is in it."""

    bag: dict[str, Any]
    sent: Annotated[list[str], operator.add]
    log: Annotated[list[str], operator.add]


async def _pack(state: Carrying) -> Carrying:
    return {"bag": {"plan": Plan("trip"), "reports": [Report(plan=Plan("work"))]}}


async def _ask(state: Carrying) -> Command[Any]:
    answer = interrupt("go on?")
    parts = [Send("deliver", {"to": Plan(f"{answer} {n}")}) for n in range(2)]
    return Command(goto=parts, update={"log": [state["bag"]["plan"].title]})


async def _deliver(given: Any) -> Carrying:
    return {"sent": [given["to"].title]}


async def _unpack(state: Carrying) -> Carrying:
    bag = state["bag"]
    return {"log": [bag["reports"][0].plan.title, *sorted(state["sent"])]}


def _carries() -> StateGraph[Any]:
    graph = StateGraph(Carrying)
    graph.add_node("pack", _pack)
    graph.add_node("ask", _ask)
    graph.add_node("deliver", RunnableLambda(_deliver))
    graph.add_node("unpack", _unpack)
    graph.add_edge(START, "pack")
    graph.add_edge("pack", "ask")
    graph.add_edge("deliver", "unpack")
    return graph


carries = _carries().compile()


def _contextual() -> StateGraph[Any, Any]:
    graph = StateGraph(Log, context_schema=Person)
    graph.add_node("greet", _greet)
    graph.add_edge(START, "greet")
    return graph


contextual = _contextual().compile()


@dataclass
class Mood:
    """A context that needs nothing."""

    mood: str = "calm"


class MoodModel(BaseModel):
    """The same as a model."""

    mood: str = "calm"


async def _feel(state: Log, runtime: Runtime[Any]) -> Log:
    return {"log": [runtime.context.mood]}


def _at_ease(schema: type[Any]) -> StateGraph[Any, Any]:
    graph = StateGraph(Log, context_schema=schema)
    graph.add_node("feel", _feel)
    graph.add_edge(START, "feel")
    return graph


at_ease = _at_ease(Mood).compile()
at_ease_model = _at_ease(MoodModel).compile()


async def _show(state: Log, config: RunnableConfig) -> Log:
    shown = config["configurable"]
    tags = ",".join(config.get("tags") or ())
    metadata = config["metadata"]
    return {
        "log": [
            f"colour={shown.get('colour')}",
            f"thread={shown['thread_id']}",
            f"tags={tags}",
            f"team={metadata.get('team')}",
            f"motto={os.environ['ZOO_MOTTO']}",
        ]
    }


def _configured() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("show", _show)
    graph.add_edge(START, "show")
    return graph


configured = _configured().compile()


async def _remember(state: Log, runtime: Runtime[None]) -> Log:
    assert runtime.store is not None
    item = await runtime.store.aget(("zoo",), "visits")
    visits = (item.value["n"] if item else 0) + 1
    await runtime.store.aput(("zoo",), "visits", {"n": visits})
    return {"count": visits}


def _remembers() -> StateGraph[Any]:
    graph = StateGraph(Log)
    graph.add_node("remember", _remember)
    graph.add_edge(START, "remember")
    return graph


remembers = _remembers().compile()


@task
async def _double(number: int) -> int:
    return number * 2


@entrypoint()
async def echo(value: Any) -> Any:
    """Doubles a number, and gives back anything else."""
    return await _double(value) if isinstance(value, int) else value


def by_config(config: RunnableConfig) -> Any:
    """Makes a graph with as many nodes as config["configurable"]["nodes"] says."""
    count = config.get("configurable", {}).get("nodes", 1)
    graph = StateGraph(Log)
    names = [f"node{n}" for n in range(count)]
    for source, target in zip([START, *names], names, strict=False):
        graph.add_node(target, writes(target))
        graph.add_edge(source, target)
    return graph


@contextlib.asynccontextmanager
async def by_runtime(runtime: ServerRuntime[None]) -> AsyncIterator[Any]:
    """Makes a graph whose node says why it was made."""
    graph = StateGraph(Log)
    graph.add_node("why", writes(runtime.access_context))
    graph.add_edge(START, "why")
    yield graph.compile()
