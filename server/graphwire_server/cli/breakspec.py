"""Breakpoints as people type them: `NODE`, `NODE:after`, `NODE if CONDITION`."""

from __future__ import annotations

import re

from graphwire import Breakpoint
from graphwire.enums import BreakpointPosition

#: A colon between names, as LangGraph writes paths; not the one before a side.
_COLON = re.compile(r":(?!(?:before|after)$)")
_IF = re.compile(r"\s+if(?:\s+|$)")


def read_breakpoint(
    text: str, position: BreakpointPosition = BreakpointPosition.BEFORE
) -> Breakpoint:
    """Reads a breakpoint.

    Args:
        text: `NODE`, which may be a path into a subgraph, then `:before` or `:after`, then
            `if` and a condition in CEL.
        position: The side of the node where the text names none.

    Raises:
        ValueError: It is not one; the text says what is missing.
    """
    if (found := _IF.search(text)) is not None:
        place, condition = text[: found.start()], text[found.end() :].strip()
        if not condition:
            raise ValueError(f"{text.strip()!r} has no condition after `if`")
    else:
        place, condition = text, ""
    node, colon, side = place.strip().partition(":")
    if not node:
        raise ValueError("name a node, as in: action if state.count > 3")
    if colon:
        try:
            position = BreakpointPosition(side.upper())
        except ValueError:
            position = BreakpointPosition.UNKNOWN
        if position is BreakpointPosition.UNKNOWN:
            inside = _COLON.sub("/", place.strip())
            raise ValueError(
                f"{place.strip()!r}: a node is followed by :before or :after; "
                f"a node of a subgraph is written as a path, {inside}"
            )
    return Breakpoint(node, condition, position=position)


def breakpoint_text(breakpoint: Breakpoint) -> str:
    """Returns a breakpoint as it would be typed."""
    after = ":after" if breakpoint.position == BreakpointPosition.AFTER else ""
    condition = f" if {breakpoint.condition}" if breakpoint.condition else ""
    return f"{breakpoint.node}{after}{condition}"


def breakpoint_words(breakpoint: Breakpoint) -> str:
    """Returns a breakpoint in words, such as `before action if state.count > 3`."""
    side = "after" if breakpoint.position == BreakpointPosition.AFTER else "before"
    condition = f" if {breakpoint.condition}" if breakpoint.condition else ""
    return f"{side} {breakpoint.node}{condition}"
