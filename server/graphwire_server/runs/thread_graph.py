"""The graph to which a thread's state belongs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from graphwire_server.graphs.breakpoints import Breakpoint, breakpoints_in
from graphwire_server.graphs.execution import open_config
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph
from graphwire_server.runs.assistants import find, to_open
from graphwire_server.storage.interface import Reader, Storage


@asynccontextmanager
async def open_thread_graph(
    storage: Storage,
    registry: GraphRegistry,
    thread_id: str,
    assistant_id: str,
    access: Literal["threads.read", "threads.update"],
) -> AsyncIterator[tuple[LoadedGraph, AnyPregel]]:
    """Yields the graph to which a thread's state belongs, loaded and opened."""
    loaded, configurable = await storage.read(
        lambda db: to_open(db, registry, thread_id, assistant_id), short=True
    )
    async with loaded.open(access, open_config(configurable)) as graph:
        yield loaded, graph


def breakpoints_of(db: Reader, registry: GraphRegistry, assistant_id: str) -> Sequence[Breakpoint]:
    """Returns the breakpoints of an assistant, as it is now."""
    assistant = find(db, registry, assistant_id)
    return breakpoints_in(assistant.breakpoints) if assistant is not None else ()
