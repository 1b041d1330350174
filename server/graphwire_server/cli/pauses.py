"""A thread that is paused: why, where, and what is about to happen."""

from __future__ import annotations

from collections.abc import Sequence

from graphwire.enums import PauseKind
from graphwire.values import Pause
from rich.console import Console, Group, RenderableType
from rich.json import JSON
from rich.panel import Panel
from rich.text import Text

from graphwire_server.cli.message import call_text, compact
from graphwire_server.cli.visible import kept


def where(pause: Pause) -> str:
    """Returns why and where a thread is paused, such as `before action`."""
    path = " › ".join([*(part.partition(":")[0] for part in pause.namespace), pause.node])
    match pause.kind:
        case PauseKind.BREAKPOINT_BEFORE | PauseKind.PAUSE:
            return f"before {path}"
        case PauseKind.BREAKPOINT_AFTER:
            return f"after {path}"
        case PauseKind.INTERRUPT:
            return f"at a question of {path}"
    return f"at {path}"


def sent(pause: Pause) -> tuple[Text, ...]:
    """Returns what a task of a fan-out was sent, by which it is told apart; () if nothing."""
    if pause.task_input is None:
        return ()
    return (Text(f"{pause.node} gets {compact(pause.task_input)}", style="dim"),)


def show_pauses(console: Console, pauses: Sequence[Pause]) -> None:
    """Prints what a thread is paused at."""
    title = ", ".join(where(pause) for pause in pauses)
    body: list[RenderableType] = []
    for pause in pauses:
        body += sent(pause)
        body += [call_text(call.name, call.args) for call in pause.tool_calls]
        if pause.kind is PauseKind.INTERRUPT:
            body.extend(_question(console, pause, several=len(pauses) > 1))
    if not console.is_terminal or not body:
        console.print(Text(f"paused {title}"), *body, sep="\n", soft_wrap=True)
        return
    console.print(
        Panel.fit(
            Group(*body),
            title=Text(title),
            title_align="left",
            border_style="yellow",
            padding=(0, 2),
        )
    )


def _question(console: Console, pause: Pause, *, several: bool) -> list[RenderableType]:
    label = Text(f"{pause.node} asks: " if several else "", style="dim")
    value = pause.value
    if isinstance(value, str):
        question: list[RenderableType] = [label + Text(kept(value))]
    elif console.is_terminal:
        shown = JSON.from_data(value)
        # Who approves must see all of it.
        shown.text.no_wrap, shown.text.overflow = False, "fold"
        question = [*([label] if several else []), shown]
    else:
        question = [label + Text(compact(value))]
    if pause.response_schema is not None:
        question.append(Text(f"answer: {compact(pause.response_schema)}", style="dim"))
    if pause.response_schema_error:
        question.append(Text(f"not checked: {pause.response_schema_error}", style="yellow"))
    return question
