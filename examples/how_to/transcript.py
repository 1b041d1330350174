"""The events of a run as lines: sequence number, kind, content."""

from __future__ import annotations

import json
import re
from typing import Any

from graphwire import (
    End,
    Event,
    Interrupted,
    Message,
    MessageRole,
    Metadata,
    RunStatus,
    Updates,
)
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_MARGIN = 21
_SPEAKER_STYLES = {MessageRole.ASSISTANT: "cyan", MessageRole.TOOL: "magenta"}
_STATUS_STYLES = {RunStatus.SUCCEEDED: "bold green", RunStatus.INTERRUPTED: "bold yellow"}


class Transcript:
    """Writes each event as it comes; the text of a message grows on its line."""

    def __init__(self, console: Console) -> None:
        """Writes to a console."""
        self._console = console
        self._open_message = ""
        self._column = 0

    def show(self, event: Event) -> None:
        """Writes an event."""
        match event:
            case Message():
                self._show_message(event)
            case Metadata(run_id=run, resumed_run_id=resumed, assistant_id=assistant):
                what = f"continues run {resumed[:8]}" if resumed else f"assistant {assistant}"
                self._line(event, "metadata", Text(f"run {run[:8]}, {what}"))
            case Updates(node=node, update=update):
                content = Text.assemble((node, "bold"), "  ", _summary(update))
                self._line(event, "updates", content)
            case Interrupted(pauses=pauses):
                for pause in pauses:
                    stop = Text.assemble((pause.kind, "yellow"), " ", (pause.node, "bold yellow"))
                    self._line(event, "interrupted", stop)
                    self._line(None, "", Text(f"pause {pause.pause_id}", style="dim"))
            case End(status=status, error=error):
                self._line(event, "end", Text(status, style=_STATUS_STYLES.get(status, "bold red")))
                if error:
                    self._console.print(Text(f"{error.type}: {error.message}", style="red"))
            case _:
                self._line(event, type(event).__name__.lower(), Text())

    def _show_message(self, message: Message) -> None:
        if message.message_id != self._open_message:
            self._begin(message, "message")
            self._open_message = message.message_id
            self._write(f"{message.role.lower()}: ", "dim")
        self._write(message.text, _SPEAKER_STYLES.get(message.role, ""))
        for piece in message.tool_calls:
            if piece.name:
                self._new_line()
                self._write(f"calls {piece.name} ", "bold yellow")
            self._write(piece.args, "yellow")
        if message.last:
            if message.usage is not None:
                self._new_line()
                self._write(f"to #{message.sequence}, {message.usage.output_tokens} tokens", "dim")
            self._close()

    def _line(self, event: Event | None, kind: str, content: Text) -> None:
        self._begin(event, kind)
        content.truncate(self._console.width - _MARGIN, overflow="ellipsis")
        self._console.print(content)

    def _begin(self, event: Event | None, kind: str) -> None:
        self._close()
        number = f"#{event.sequence}" if event else ""
        margin = Text.assemble((f"{number:>6}", "dim"), "  ", (f"{kind:<13}", "bold"))
        self._console.print(margin, end="")
        self._column = _MARGIN

    def _write(self, piece: str, style: str) -> None:
        """Writes a piece of a message; a word that does not fit goes to the next line."""
        for word in re.findall(r"\n|[^\S\n]*\S+|[^\S\n]+", piece):
            if word == "\n":
                self._new_line()
                continue
            if self._column + cell_len(word.rstrip()) > self._console.width:
                self._new_line()
                word = word.lstrip()
            self._column += cell_len(word)
            self._console.print(Text(word, style=style), end="", soft_wrap=True)

    def _new_line(self) -> None:
        self._console.print()
        self._console.print(" " * _MARGIN, end="")
        self._column = _MARGIN

    def _close(self) -> None:
        if self._open_message:
            self._console.print()
            self._open_message = ""


def call_text(call: Any) -> str:
    """Returns a tool call as `name(argument=value)`."""
    arguments = ", ".join(
        f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in call["args"].items()
    )
    return f"{call['name']}({arguments})"


def message_text(message: Any) -> str:
    """Returns the text of a message, whose content may also be a list of blocks."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(b if isinstance(b, str) else b.get("text", "") for b in content)


def _summary(update: Any) -> str:
    """Says what is in an update of a graph whose state is a list of messages."""
    messages = update.get("messages", []) if isinstance(update, dict) else []
    return "; ".join(_message_summary(m) for m in messages) or json.dumps(update)


def _message_summary(message: Any) -> str:
    if calls := message.get("tool_calls"):
        return "tool call " + ", ".join(call_text(call) for call in calls)
    return f"{message['type']} message {message_text(message)}"
