"""What has changed between two states, in a few rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.text import Text

from graphwire_server.cli.message import call_text, compact

_DEPTH = 3
_STYLES = {"+": "green", "~": "yellow", "-": "red"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One change.

    Attributes:
        sign: `+` for what is new, `~` for what is another value now, `-` for what is gone.
        path: Where, such as `messages[2]`.
        old: The value before; None for what is new.
        new: The value now; None for what is gone.
    """

    sign: Literal["+", "~", "-"]
    path: str
    old: Any
    new: Any


def differences(old: Any, new: Any, path: str = "", depth: int = _DEPTH) -> Iterator[Difference]:
    """Returns what has changed, in the order of the new value; removals of a dict come last."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping) and depth and not _is_message(new):
        for key, value in new.items():
            place = f"{path}.{key}" if path else str(key)
            if key not in old:
                yield from _added(place, value)
            else:
                yield from differences(old[key], value, place, depth - 1)
        for key, value in old.items():
            if key not in new:
                yield Difference("-", f"{path}.{key}" if path else str(key), value, None)
    elif isinstance(old, list) and isinstance(new, list) and depth:
        kept = min(len(old), len(new))
        for index in range(kept):
            yield from differences(old[index], new[index], f"{path}[{index}]", depth - 1)
        for index in range(kept, len(new)):
            yield Difference("+", f"{path}[{index}]", None, new[index])
        for index in range(kept, len(old)):
            yield Difference("-", f"{path}[{index}]", old[index], None)
    else:
        yield Difference("~", path, old, new)


def difference_text(change: Difference, width: int) -> Text:
    """Returns a change as one row of at most so many columns."""
    row = Text(no_wrap=True, overflow="ellipsis")
    row.append(f"{change.sign} ", _STYLES[change.sign])
    row.append(f"{change.path}  " if change.path else "", "cyan")
    if change.sign == "~" and not _is_message(change.new):
        # Both sides are to be seen: the old one takes half of what there is, at the most.
        before = value_text(change.old)
        before.truncate(max(8, (width - len(row.plain)) // 2 - 3), overflow="ellipsis")
        row += before
        row.append(" → ", "dim")
    row += value_text(change.old if change.sign == "-" else change.new)
    row.truncate(width, overflow="ellipsis")
    return row


def value_text(value: Any) -> Text:
    """Returns a value on one line; a chat message as who says what, and calls which tools."""
    if not _is_message(value):
        return Text(compact(value))
    row = Text.assemble((str(value["type"]), "bold"), "  ")
    content = value.get("content")
    if isinstance(content, str):
        row.append(" ".join(content.split()))
    elif content:
        row.append(compact(content))
    for call in value.get("tool_calls") or ():
        row.append("  " if row.plain.strip() != str(value["type"]) else "")
        row += call_text(str(call.get("name")), call.get("args"))
    return row


def _added(path: str, value: Any) -> Iterator[Difference]:
    """Returns what is new: of a list of messages each of them."""
    if isinstance(value, list) and value and all(map(_is_message, value)):
        for index, message in enumerate(value):
            yield Difference("+", f"{path}[{index}]", None, message)
    else:
        yield Difference("+", path, None, value)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() >= {"type", "content"}
