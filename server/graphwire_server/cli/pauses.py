"""A thread that is paused: why, where, and what is about to happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphwire.enums import PauseKind
from graphwire.values import Pause
from rich.console import Console, Group, RenderableType
from rich.json import JSON
from rich.panel import Panel
from rich.text import Text

from graphwire_server.cli.message import call_text, compact


@dataclass(frozen=True, slots=True)
class PendingCalls:
    """The tool calls that a paused thread is about to make.

    Attributes:
        channel: The state's channel with the message.
        message: The message that asks for them, as it is in the state.
    """

    channel: str
    message: dict[str, Any]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Returns the calls, each with `name`, `args` and `id`."""
        calls: list[dict[str, Any]] = self.message["tool_calls"]
        return calls

    def with_args(self, number: int, args: dict[str, Any]) -> dict[str, Any]:
        """Returns the update of the state that gives one call other arguments.

        The message keeps its id, so it takes the place of the old one.
        """
        calls = [
            {**call, "args": args} if place == number else call
            for place, call in enumerate(self.calls)
        ]
        return {self.channel: [{**self.message, "tool_calls": calls}]}


def pending_calls(values: Any, pauses: Sequence[Pause]) -> PendingCalls | None:
    """Finds the tool calls that wait: those of the last message, before a node of the root."""
    if not isinstance(values, dict) or not any(
        pause.kind is PauseKind.BREAKPOINT_BEFORE and not pause.namespace for pause in pauses
    ):
        return None
    for channel in sorted(values, key=lambda name: name != "messages"):
        match values[channel]:
            case [*_, {"type": "ai", "id": str(), "tool_calls": [_, *_]} as message]:
                return PendingCalls(channel, message)
    return None


def where(pause: Pause) -> str:
    """Returns why and where a thread is paused, such as `before action`."""
    path = " › ".join([*(part.partition(":")[0] for part in pause.namespace), pause.node])
    match pause.kind:
        case PauseKind.BREAKPOINT_BEFORE:
            return f"before {path}"
        case PauseKind.BREAKPOINT_AFTER:
            return f"after {path}"
        case PauseKind.INTERRUPT:
            return f"at a question of {path}"
    return f"at {path}"


def show_pauses(console: Console, pauses: Sequence[Pause], pending: PendingCalls | None) -> None:
    """Prints what a thread is paused at."""
    title = ", ".join(where(pause) for pause in pauses)
    calls = pending.calls if pending is not None else []
    body: list[RenderableType] = [call_text(call["name"], call["args"]) for call in calls]
    for pause in pauses:
        if pause.kind is PauseKind.INTERRUPT:
            body.extend(_question(console, pause, several=len(pauses) > 1))
    if not console.is_terminal:
        console.print(Text(f"paused {title}"), *body, sep="\n", soft_wrap=True)
        return
    content = Group(*body) if body else Text("(no tool call waits)", style="dim")
    console.print(
        Panel.fit(content, title=title, title_align="left", border_style="yellow", padding=(0, 2))
    )


def _question(console: Console, pause: Pause, *, several: bool) -> list[RenderableType]:
    label = Text(f"{pause.node} asks: " if several else "", style="dim")
    value = pause.value
    if isinstance(value, str):
        question: list[RenderableType] = [label + Text(value)]
    elif console.is_terminal:
        shown = JSON.from_data(value)
        # Who approves must see all of it.
        shown.text.no_wrap, shown.text.overflow = False, "fold"
        question = [*([label] if several else []), shown]
    else:
        question = [label + Text(compact(value))]
    if pause.response_schema is not None:
        question.append(Text(f"answer: {compact(pause.response_schema)}", style="dim"))
    return question
