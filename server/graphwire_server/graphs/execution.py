"""Executes a graph on a thread: what the engine gets, and what it streams."""

from __future__ import annotations

import dataclasses
import inspect
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Send
from pydantic import BaseModel

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.run_user import calling_user, user_config
from graphwire_server.graphs.tap import Tap

__all__ = [
    "Beginning",
    "ExecutionOptions",
    "Fresh",
    "GoOn",
    "RunnableConfig",
    "Steer",
    "execute",
    "open_config",
    "run_config",
    "with_context",
]


@dataclass(frozen=True, slots=True)
class Fresh:
    """Starts with new input."""

    value: Any


@dataclass(frozen=True, slots=True)
class GoOn:
    """Goes on from where the thread stands; `answers` by LangGraph's interrupt id.

    Each must be of a question that waits: the engine gives others to whichever comes next.
    """

    answers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Steer:
    """Updates the state, goes to nodes (each with an input of its own, or None), answers."""

    update: Any = None
    goto: Sequence[tuple[str, Any]] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)


Beginning = Fresh | GoOn | Steer


@dataclass(frozen=True, slots=True)
class ExecutionOptions:
    """How to execute.

    Attributes:
        config: LangGraph's config: thread, recursion limit, tags, configurable, metadata.
        context: The run's context; None for none.
        durability: LangGraph's durability.
    """

    config: RunnableConfig
    context: Mapping[str, Any] | None
    durability: Literal["sync", "async", "exit"]


async def execute(
    graph: AnyPregel, beginning: Beginning, options: ExecutionOptions, tap: Tap
) -> None:
    """Runs a graph to its end, or to where it stops; `tap` takes what it streams.

    Raises what the graph raises.
    """
    config = compat.tapped(graph, options.config, tap.take, tap.engine_modes, tap.write)
    parts = graph.astream(
        _input(beginning),
        config,
        context=cast(Any, _context(graph, options.context)),
        stream_mode=[],
        durability=options.durability,
    )
    try:
        # Whoever stops listening wants the nodes to stop, now and not at some later time.
        async with aclosing(cast(AsyncGenerator[Any], parts)) as stream:
            async for _ in stream:
                pass
    finally:
        tap.finish()


def _context(graph: AnyPregel, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Returns the context of a run: without one, what the graph's schema has as defaults."""
    schema = graph.context_schema
    if given is not None or not isinstance(schema, type):
        return given
    if not (dataclasses.is_dataclass(schema) or issubclass(schema, BaseModel)):
        return None
    required = inspect.Parameter.empty
    parameters = inspect.signature(schema).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return None if any(p.default is required for p in named) else {}


def _input(beginning: Beginning) -> Any:
    match beginning:
        case Fresh(value):
            return value
        case GoOn(answers):
            return Command(resume=dict(answers)) if answers else None
        case Steer():
            return command_of(beginning)


def command_of(steer: Steer) -> Command[Any]:
    """Returns LangGraph's Command."""
    nodes = [node if arg is None else Send(node, arg) for node, arg in steer.goto]
    return Command(update=steer.update, goto=nodes, resume=dict(steer.answers) or None)


def with_context(
    configurable: Mapping[str, Any] | None, context: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Returns what a graph finds in its config: the context, and over it configurable values.

    LangGraph's server does so, for graphs that know nothing of contexts; it takes one of both.
    """
    return {**(context or {}), **(configurable or {})}


def open_config(
    configurable: Mapping[str, Any] | None = None, context: Mapping[str, Any] | None = None
) -> RunnableConfig:
    """Returns the config with which a graph is opened to be looked at, not run."""
    values = {**with_context(configurable, context), **user_config(calling_user.get())}
    return {"configurable": values} if values else {}


def run_config(
    *,
    run_id: str,
    thread_id: str,
    assistant_id: str,
    graph_id: str,
    checkpoint_id: str,
    recursion_limit: int,
    tags: Sequence[str],
    configurable: Mapping[str, Any],
    context: Mapping[str, Any] | None,
    metadata: Mapping[str, Any],
    user: Mapping[str, Any],
) -> RunnableConfig:
    """Returns LangGraph's config of a run; `checkpoint_id` is empty for the thread's head."""
    own = {"thread_id": thread_id, "assistant_id": assistant_id, "graph_id": graph_id}
    at = {"checkpoint_id": checkpoint_id} if checkpoint_id else {}
    values = with_context(configurable, context)
    return {
        "run_id": uuid.UUID(run_id),
        "recursion_limit": recursion_limit,
        "tags": list(tags),
        "configurable": {**values, **user_config(user), **own, **at, "checkpoint_ns": ""},
        "metadata": {**metadata, **own, "run_id": run_id},
    }
