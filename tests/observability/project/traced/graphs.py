"""Graphs whose nodes make spans and log lines of their own, as instrumented libraries do."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any, TypedDict

import structlog
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from opentelemetry import baggage, propagate, trace

if "TRACED_SPANS" in os.environ:
    # A project that traces by itself, into a file.
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    _provider = TracerProvider()
    _file = Path(os.environ["TRACED_SPANS"]).open("a")  # noqa: SIM115  # for as long as it runs
    _provider.add_span_processor(
        SimpleSpanProcessor(
            ConsoleSpanExporter(out=_file, formatter=lambda s: s.to_json(indent=None) + "\n")
        )
    )
    trace.set_tracer_provider(_provider)

_tracer = trace.get_tracer("project")
_plain = logging.getLogger("project.plain")
_struct = structlog.get_logger("project.struct")


class State(TypedDict, total=False):
    """What the nodes have seen.

    Attributes:
        seen: What `look` found: headers, as an HTTP client would send them.
        gate: A file to wait for.
    """

    seen: dict[str, str]
    gate: str


def plain(state: State) -> State:
    """A node in a thread, which makes a span."""
    with _tracer.start_as_current_span("work of plain"):
        headers: dict[str, str] = {}
        propagate.inject(headers)
    tenant = baggage.get_baggage("tenant")
    return {"seen": {**headers, "tenant": str(tenant)}}


async def inner(state: State) -> State:
    """A node of a subgraph."""
    with _tracer.start_as_current_span("work of inner"):
        await asyncio.sleep(0)
    return {}


async def ask(state: State) -> State:
    """A node with a question."""
    interrupt("go on?")
    return {}


async def boom(state: State) -> State:
    """A node that fails."""
    raise ValueError("no luck")


async def wait(state: State) -> State:
    """A node that waits for a file, having said so with another one."""
    Path(f"{state['gate']}.begun").touch()
    while not Path(state["gate"]).exists():
        await asyncio.sleep(0.01)
    return {}


def cling(state: State) -> State:
    """The same in a thread, where nothing stops it."""
    Path(f"{state['gate']}.begun").touch()
    while not Path(state["gate"]).exists():
        time.sleep(0.01)
    return {}


async def block(state: State) -> State:
    """A node that blocks the event loop until there is a file."""
    Path(f"{state['gate']}.begun").touch()
    while not Path(state["gate"]).exists():
        time.sleep(0.01)  # noqa: ASYNC251  # that is what it is for
    return {}


def logging_node(state: State) -> State:
    """A node in a thread, which logs in both ways."""
    _plain.warning("from plain logging")
    _struct.warning("from structlog")
    return {}


def _line(*nodes: Any) -> StateGraph[Any]:
    graph = StateGraph(State)
    names = [name for name, _ in nodes]
    for name, node in nodes:
        graph.add_node(name, node)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph


_child = _line(("inner", inner)).compile()

flow = _line(("plain", plain), ("child", _child)).compile()
asks = _line(("first", plain), ("ask", ask)).compile()
fails = _line(("boom", boom)).compile()
waits = _line(("first", inner), ("wait", wait)).compile()
clings = _line(("cling", cling)).compile()
blocks = _line(("block", block)).compile()
logs = _line(("log", logging_node)).compile()
