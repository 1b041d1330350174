"""A chat message that is being received, as rows to print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graphwire.enums import MessageRole
from graphwire.events import Message, ToolCallPiece
from rich.console import Console
from rich.text import Text

from graphwire_server.cli.flow import Flow
from graphwire_server.cli.visible import kept, visible_name
from graphwire_server.wording import counted

#: How many rows of a tool's result are shown on a terminal.
_RESULT_ROWS = 8


class OpenMessage:
    """A message of which not all pieces have come.

    Attributes:
        node: The node that it comes from.
        namespace: Where that node is.
        done: Whether its last piece has come.
    """

    def __init__(self, first: Message, console: Console, width: int | None) -> None:
        """Begins with the first piece, which is still to be fed."""
        self.node = first.node
        self.namespace = first.namespace
        self.done = False
        self._role = first.role
        self._short = width is not None and first.role is MessageRole.TOOL
        self._style = "" if first.role is MessageRole.ASSISTANT else "dim"
        self._flow = Flow(console, width)
        self._reasoning = Flow(console, width)
        self._calls: dict[int, _ToolCall] = {}
        self._ready: list[Text] = []
        self._taken = 0
        if first.role is not MessageRole.ASSISTANT:
            speaker = first.name or first.type
            self._ready.extend(self._rows(self._flow.feed(f"{speaker} → " if speaker else "")))

    def feed(self, piece: Message) -> None:
        """Takes a piece."""
        if piece.reasoning:
            self._ready.extend(self._rows(self._reasoning.feed(piece.reasoning), "dim italic"))
        if piece.text:
            self._ready.extend(self._rows(self._reasoning.end(), "dim italic"))
            self._ready.extend(self._rows(self._flow.feed(piece.text)))
        for block in piece.blocks:
            self._ready.extend(self._rows(self._flow.end()))
            self._ready.append(Text(compact(block), style="dim"))
        for call in piece.tool_calls:
            self._ready.extend(self._rows(self._flow.end()))
            self._take_call(call)
        if piece.last:
            self.end()

    def end(self) -> None:
        """Takes it that no more pieces come."""
        self.done = True
        self._ready.extend(self._rows(self._reasoning.end(), "dim italic"))
        self._ready.extend(self._rows(self._flow.end()))
        self._ready.extend(call.text() for _, call in sorted(self._calls.items()))
        self._calls.clear()

    def take(self) -> list[Text]:
        """Returns the rows that are complete and have not been taken yet."""
        rows, self._ready = self._ready, []
        if not self._short:
            return rows
        shown = rows[: max(0, _RESULT_ROWS - self._taken)]
        self._taken += len(rows)
        if self.done and (left_out := self._taken - _RESULT_ROWS) > 0:
            shown.append(Text(f"… {counted(left_out, 'more line')}", style="dim italic"))
        return shown

    @property
    def tail(self) -> list[Text]:
        """Returns the rows that are still growing."""
        if self._short and self._taken >= _RESULT_ROWS:
            return []
        rows = self._rows([flow.tail for flow in (self._reasoning, self._flow) if flow.tail])
        return rows + [call.text() for _, call in sorted(self._calls.items())]

    def _rows(self, rows: list[str], style: str | None = None) -> list[Text]:
        return [Text(row, style=self._style if style is None else style) for row in rows]

    def _take_call(self, piece: ToolCallPiece) -> None:
        call = self._calls.setdefault(piece.index, _ToolCall())
        call.name += piece.name
        call.args += piece.args


class _ToolCall:
    """A tool call that is being received."""

    def __init__(self) -> None:
        self.name = ""
        self.args = ""

    def text(self) -> Text:
        try:
            args = json.loads(self.args or "{}")
        except json.JSONDecodeError:
            name = visible_name(self.name)
            return Text.assemble((name, "bold magenta"), (f"({kept(self.args)}", "dim"))
        return call_text(self.name, args)


def call_text(name: str, args: Any) -> Text:
    """Returns a tool call as `name(key=value, …)`."""
    if isinstance(args, Mapping):
        inside = ", ".join(f"{visible_name(key)}={compact(value)}" for key, value in args.items())
    else:
        inside = compact(args)
    return Text.assemble((visible_name(name), "bold magenta"), "(", inside, ")")


def compact(value: Any) -> str:
    """Returns a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
