"""Breakpoints: places at which runs pause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from graphwire.enums import BreakpointPosition, BreakpointSource, OnExpiry


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A place at which runs pause.

    Attributes:
        node: Where: the name of a node; `"*"` for each node; in a subgraph the names that
            lead there, as in `"child/confirm"` or `"child/*"`.
        condition: Pause only where this CEL expression is true, over `state`, `node`, `step`,
            `metadata`, `task.input` and `task.id`. Empty: always.
        position: On which side of the node.
        breakpoint_id: Identifies it among the breakpoints of a run; empty: the server chooses.
        label: For people, shown with each pause.
        skip_first: How many tasks it lets pass before it pauses for the first time.
        expires_after: How long a pause waits (seconds, or a timedelta); None: for ever.
        on_expiry: What happens then. Required with `expires_after`.
        expiry_message: For REJECT: what each tool call is answered; empty: the server's words.
        source: Who has set it; only in what the server returns.
    """

    node: str
    condition: str = ""
    position: BreakpointPosition | str = BreakpointPosition.BEFORE
    breakpoint_id: str = ""
    label: str = ""
    skip_first: int = 0
    expires_after: float | timedelta | None = None
    on_expiry: OnExpiry | str | None = None
    expiry_message: str = ""
    source: BreakpointSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetBreakpoint:
    """A breakpoint at which a run has paused.

    Attributes:
        breakpoint_id: Its id; empty for a plain name, and for one compiled into the graph.
        label: Its label.
        source: Who has set it.
        condition: Its condition; empty if it has none.
        condition_error: Why the condition could not be evaluated; empty if it was true.
    """

    breakpoint_id: str
    label: str
    source: BreakpointSource
    condition: str
    condition_error: str
