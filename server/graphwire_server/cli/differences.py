"""What has changed between two states, in a few rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from rich.text import Text

from graphwire_server.cli.message import call_text, compact
from graphwire_server.cli.visible import kept, visible_name, visible_text

#: How deep a value is looked into; deep enough for an argument of a tool call of a message.
_DEPTH = 6
#: What a message says; the rest of it is of no interest here.
_SAID = ("type", "content", "name", "tool_calls", "tool_call_id", "status")
#: How many characters are shown of what two long texts have in common.
_COMMON = 8
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
    if _is_message(old) and _is_message(new):
        if old.get("id") != new.get("id") or old["type"] != new["type"]:
            yield Difference("~", path, old, new)
            return
        old, new = ({key: each[key] for key in _SAID if key in each} for each in (old, new))
    if isinstance(old, Mapping) and isinstance(new, Mapping) and depth:
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
    row.append(f"{visible_name(change.path)}  " if change.path else "", "cyan")
    if change.sign == "~" and not _is_message(change.new):
        # Both sides are to be seen: the old one takes half of what there is, at the most.
        half = max(8, (width - row.cell_len) // 2 - 2)
        before, after = value_text(change.old), value_text(change.new)
        if max(before.cell_len, after.cell_len) > half:
            before, after = _from_where_they_differ(before, after)
        before.truncate(half, overflow="ellipsis")
        row += before
        row.append(" → ", "dim")
        row += after
    else:
        row += value_text(change.old if change.sign == "-" else change.new)
    row.truncate(width, overflow="ellipsis")
    return row


def value_text(value: Any) -> Text:
    """Returns a value on one line; a chat message as who says what, and calls which tools.

    It is escaped already, so that it can be cut to a width.
    """
    if not _is_message(value):
        return visible_text(Text(compact(value)))
    row = Text.assemble((str(value["type"]), "bold"), "  ")
    content = value.get("content")
    if isinstance(content, str):
        row.append(kept(" ".join(content.split())))
    elif content:
        row.append(compact(content))
    for call in value.get("tool_calls") or ():
        row.append("  " if row.plain.strip() != str(value["type"]) else "")
        row += call_text(str(call.get("name")), call.get("args"))
    return visible_text(row)


def _from_where_they_differ(*texts: Text) -> tuple[Text, ...]:
    """Returns texts without most of the beginning that all of them have."""
    columns = zip(*(text.plain for text in texts), strict=False)
    same = takewhile(lambda column: len(set(column)) == 1, columns)
    common = sum(1 for _ in same) - _COMMON
    return tuple(Text("…") + text[common:] for text in texts) if common > 1 else texts


def _added(path: str, value: Any) -> Iterator[Difference]:
    """Returns what is new: of a list of messages each of them."""
    if isinstance(value, list) and value and all(map(_is_message, value)):
        for index, message in enumerate(value):
            yield Difference("+", f"{path}[{index}]", None, message)
    else:
        yield Difference("+", path, None, value)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() >= {"type", "content"}
