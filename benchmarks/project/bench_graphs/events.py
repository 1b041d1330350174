"""One node that writes many custom events."""

from __future__ import annotations

import asyncio
from typing import TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import StreamWriter

#: After so many events the node lets the event loop turn, as one that waits for data would.
_AT_A_TIME = 100


class Events(TypedDict):
    """How many events to write."""

    count: int


async def write(state: Events, writer: StreamWriter) -> None:
    """Writes events numbered from 0."""
    for number in range(state["count"]):
        writer({"number": number, "text": "about as much as a line of progress says"})
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)


_builder = StateGraph(Events)
_builder.add_node("write", write)
_builder.add_edge(START, "write")
graph = _builder.compile(name="events")
