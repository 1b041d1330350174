"""Reads what a checkpoint holds, without asking the graph what comes next.

A graph's own types may refuse a state that is stored already. Then there is no saying which
tasks it has, but the state can still be shown, and another checkpoint be chosen.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from graphwire_server import jsontext
from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.breakpoints import Met
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.stops import STOPPED_AFTER, met_after


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint as it is stored; JSON as text.

    Attributes:
        checkpoint_id: Its id.
        parent_checkpoint_id: The one before it; empty for the first.
        values: The state: the channels that the graph shows.
        metadata: LangGraph's metadata, an object.
        created_at: When it was made, ISO 8601.
    """

    checkpoint_id: str
    parent_checkpoint_id: str
    values: str
    metadata: str
    created_at: str


async def stored_checkpoint(
    graph: AnyPregel, config: RunnableConfig, *, shown: Collection[str] | None = None
) -> Stored | None:
    """Returns the checkpoint that a config names, or the head; None if there is none.

    `shown` are the channels that its graph shows, if that is a subgraph.
    """
    found = await saver_of(graph).aget_tuple(config)
    if found is None:
        return None
    shown = graph.stream_channels_list if shown is None else shown
    values = {k: v for k, v in found.checkpoint["channel_values"].items() if k in shown}
    parent = (found.parent_config or {}).get("configurable", {})
    return Stored(
        checkpoint_id=found.checkpoint["id"],
        parent_checkpoint_id=str(parent.get("checkpoint_id") or ""),
        values=jsontext.dumps(values),
        metadata=jsontext.dumps({k: v for k, v in found.metadata.items() if k != STOPPED_AFTER}),
        created_at=found.checkpoint["ts"],
    )


async def stopped_after(graph: AnyPregel, config: RunnableConfig) -> dict[str, tuple[Met, ...]]:
    """Returns the breakpoints that were met after the nodes before a checkpoint, by node."""
    found = await saver_of(graph).aget_tuple(config)
    return met_after(found.metadata if found is not None else None)


async def pending(
    graph: AnyPregel, config: RunnableConfig
) -> tuple[dict[str, compat.TaskWrites], tuple[Any, ...]]:
    """Returns what is known of the step after a checkpoint.

    Returns:
        What its tasks have written, by task id; and what was sent to it (LangGraph's Send).
    """
    found = await saver_of(graph).aget_tuple(config)
    if found is None:
        return {}, ()
    return compat.task_writes(found.pending_writes or ()), compat.sends(found)


def saver_of(graph: AnyPregel) -> BaseCheckpointSaver[str]:
    """Returns the server's saver, which every graph that the registry opens carries."""
    saver = graph.checkpointer
    assert isinstance(saver, BaseCheckpointSaver)
    return saver
