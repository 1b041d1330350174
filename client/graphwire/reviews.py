"""Tool calls that wait at a pause, and what a reviewer can decide about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call of a chat message that nobody has answered yet.

    Attributes:
        tool_call_id: Its id, as the model has given it.
        name: The tool.
        args: The arguments, a dict.
    """

    tool_call_id: str
    name: str
    args: Any


@dataclass(frozen=True, slots=True)
class Approve:
    """Runs the tool call as it is."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Runs the tool call with other arguments, or as another tool.

    Attributes:
        args: The arguments: all of them.
        name: Another tool; None: the same.
    """

    args: Mapping[str, Any]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Does not run the tool call; the model is told why.

    Attributes:
        message: What it is told; empty: that the call was rejected.
    """

    message: str = ""


@dataclass(frozen=True, slots=True)
class Respond:
    """Does not run the tool call; the model is given this as its result.

    Attributes:
        content: A string, or a list of content blocks; another JSON value is given as its
            JSON text.
    """

    content: Any


#: What becomes of one tool call.
Decision: TypeAlias = Approve | Edit | Reject | Respond
