"""What a checkpoint says of breakpoints after the nodes that have led to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphwire_server.graphs.breakpoints import Met, met_in, met_text
from graphwire_server.graphs.places import Namespace

#: In the metadata of a checkpoint: by node, the breakpoints that were met after it.
STOPPED_AFTER = "graphwire_stopped_after"

#: By node, the breakpoints that were met after it.
MetAfter = Mapping[str, tuple[Met, ...]]


#: Returns the tool calls that wait somewhere, as JSON text: an array of {"id", "name", "args"}.
ToolCalls = Callable[[], str]


def no_tool_calls() -> str:
    """Returns that there are none."""
    return "[]"


@dataclass(frozen=True, slots=True)
class StoppedAfter:
    """A checkpoint at which breakpoints after nodes were met."""

    namespace: Namespace
    checkpoint_id: str
    met: MetAfter
    tool_calls: ToolCalls = field(default=no_tool_calls, compare=False)


def met_after(metadata: Mapping[str, Any] | None) -> dict[str, tuple[Met, ...]]:
    """Returns the breakpoints of which the metadata of a checkpoint tells, by node."""
    stored = (metadata or {}).get(STOPPED_AFTER)
    return {node: met_in(text) for node, text in stored.items()} if stored else {}


def stored_met(met: MetAfter) -> dict[str, str]:
    """Returns them as the metadata has them, under STOPPED_AFTER."""
    return {node: met_text(each) for node, each in met.items()}
