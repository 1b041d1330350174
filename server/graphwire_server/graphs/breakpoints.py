"""Breakpoints as they are kept, and where in a graph of graphs each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from graphwire_server.graphs.places import Path, Place

#: What stands for each node of a graph.
ALL = "*"


class BreakpointSource(StrEnum):
    """Who has set a breakpoint; the contract's `BreakpointSource` without its prefix."""

    RUN = "RUN"
    THREAD = "THREAD"
    ASSISTANT = "ASSISTANT"
    COMPILED = "COMPILED"


class OnExpiry(StrEnum):
    """What happens when nobody answers in time; the contract's `OnExpiry` without its prefix."""

    RESUME = "RESUME"
    REJECT = "REJECT"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A place at which runs pause; see the contract's `Breakpoint`.

    Attributes:
        breakpoint_id: Its id; empty for a plain name.
        node: Where: the names that lead there from the root, with "/" between them.
        after: Whether it is after the node.
        condition: A CEL expression; empty: always.
        label: For people.
        skip_first: How many tasks it lets pass first.
        expires_after: How long a pause waits, in microseconds; 0: for ever.
        on_expiry: What happens then; empty without expires_after.
        expiry_message: For REJECT: what each tool call is answered; empty: the server's words.
        source: Who has set it.
    """

    node: str
    breakpoint_id: str = ""
    after: bool = False
    condition: str = ""
    label: str = ""
    skip_first: int = 0
    expires_after: int = 0
    on_expiry: str = ""
    expiry_message: str = ""
    source: BreakpointSource = BreakpointSource.RUN


@dataclass(frozen=True, slots=True)
class Met:
    """A breakpoint that holds a task.

    Attributes:
        breakpoint: The breakpoint.
        condition_error: Why its condition could not be evaluated; empty if it was true.
    """

    breakpoint: Breakpoint
    condition_error: str = ""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a breakpoint is.

    Attributes:
        path: The graph: the names of the nodes that lead to it.
        node: The node there, or ALL.
    """

    path: Path
    node: str = field(default=ALL)


def locate(text: str, places: Mapping[Path, Place]) -> Located | None:
    """Returns where a breakpoint is that names its node as `text`; None if nowhere.

    A node may have "/" in its own name. The graph that is nearer to the root comes first.
    """
    for path in sorted(places, key=len):
        for node in (*places[path].nodes, ALL):
            if "/".join((*path, node)) == text:
                return Located(path, node)
    return None


def breakpoints_text(breakpoints: Sequence[Breakpoint]) -> str:
    """Returns breakpoints as the JSON array that is stored."""
    return orjson.dumps(breakpoints).decode()


def breakpoints_in(text: str) -> tuple[Breakpoint, ...]:
    """Reads breakpoints back from `breakpoints_text`."""
    return tuple(_breakpoint(each) for each in orjson.loads(text)) if text != "[]" else ()


def met_text(met: Sequence[Met]) -> str:
    """Returns the breakpoints that hold a task as the JSON array that is stored."""
    return orjson.dumps(met).decode()


def met_in(text: str) -> tuple[Met, ...]:
    """Reads them back from `met_text`."""
    if text == "[]":
        return ()
    return tuple(
        Met(_breakpoint(each["breakpoint"]), each["condition_error"]) for each in orjson.loads(text)
    )


def _breakpoint(fields: dict[str, Any]) -> Breakpoint:
    return Breakpoint(**{**fields, "source": BreakpointSource(fields["source"])})
