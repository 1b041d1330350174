"""What a person sees at a pause: why it is one, the graph, what waits, what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphwire import Approve, Edit, Reject, Respond
from graphwire.enums import BreakpointSource, OnExpiry, PauseKind
from graphwire.reviews import Decision
from graphwire.values import AssistantGraph, Pause
from rich.console import Console
from rich.json import JSON
from rich.padding import Padding
from rich.text import Text

from graphwire_server.cli.debugger.standing import Path, Standing, path_of
from graphwire_server.cli.debugger.verdicts import Verdicts, WaitingCall
from graphwire_server.cli.differences import difference_text, differences
from graphwire_server.cli.drawing import TooLargeError, draw_graph
from graphwire_server.cli.drawing.signs import REPEATS, node_path
from graphwire_server.cli.message import call_text, compact
from graphwire_server.cli.pauses import sent, where
from graphwire_server.cli.tables import time_until
from graphwire_server.cli.visible import kept, visible_text

#: How many changes of a state are shown.
_CHANGES = 10
#: How many lines of a terminal are left beside the drawing: why it is paused, and the prompt.
#: What comes below it moves it up, and `show` brings it back.
_OTHER_LINES = 3
#: Who has set a breakpoint, if it was not the run.
SET_BY = {
    BreakpointSource.THREAD: "set for the thread",
    BreakpointSource.ASSISTANT: "set for the assistant",
    BreakpointSource.COMPILED: "compiled into the graph",
}
_ON_EXPIRY = {
    OnExpiry.RESUME: "goes on by itself",
    OnExpiry.REJECT: "is rejected",
    OnExpiry.CANCEL: "is given up",
}


def sign(pause: Pause) -> str:
    """Returns the sign of a pause: a question, or where the run stands."""
    return "?" if pause.kind is PauseKind.INTERRUPT else "▶"


def show_pauses(
    console: Console, pauses: Sequence[Pause], selected: Sequence[Pause], verdicts: Verdicts
) -> None:
    """Shows why a thread is paused, several pauses with their numbers, and answers given so far."""
    for number, pause in enumerate(pauses, 1):
        chosen = pause in selected
        style = "bold yellow" if chosen else "dim"
        width = len(str(len(pauses)))
        prefix = f"{number:>{width}} " if len(pauses) > 1 else ""
        console.print(Text(f"{prefix}{sign(pause) if chosen else '·'} {where(pause)}", style))
        indent = len(prefix) + 2
        for row in [*sent(pause), *reasons(pause)]:
            console.print(Padding(row, (0, 0, 0, indent), expand=False))
        if pause.kind is PauseKind.INTERRUPT:
            for row in [*question(pause), *kept_answer(pause, verdicts)]:
                console.print(Padding(row, (0, 0, 0, indent), expand=False))


def reasons(pause: Pause, *, all_sources: bool = False, with_expiry: bool = True) -> Iterable[Text]:
    """Returns what is to be said about the breakpoints that hold a node.

    Args:
        pause: The pause.
        all_sources: Say also of the run's own breakpoints who has set them.
        with_expiry: Say when its time is over.
    """
    for met in pause.breakpoints:
        parts = [(f"“{met.label}”", "bold")] if met.label else []
        if met.condition:
            parts.append((f"if {met.condition}", "dim"))
        if (set_by := SET_BY.get(met.source)) is not None:
            parts.append((set_by, "dim"))
        elif all_sources:
            parts.append(("set for the run", "dim"))
        if parts:
            yield Text("  ").join(Text(text, style=style) for text, style in parts)
        if met.condition_error:
            yield Text(f"the condition failed: {met.condition_error}", style="red")
    if with_expiry and pause.expire_time is not None:
        then = _ON_EXPIRY.get(pause.on_expiry or OnExpiry.UNKNOWN, "ends")
        yield Text(f"{then} {time_until(pause.expire_time)}", style="yellow")


def question(pause: Pause) -> Iterable[Text]:
    """Returns what a node asks."""
    if isinstance(pause.value, str):
        yield Text(kept(pause.value))
    else:
        shown = JSON.from_data(pause.value, ensure_ascii=False).text
        # Who approves must see all of it.
        shown.no_wrap, shown.overflow = False, "fold"
        yield shown
    if pause.response_schema is not None:
        yield Text(f"answer: {compact(pause.response_schema)}", style="dim")
    if pause.response_schema_error:
        yield Text(f"not checked: {pause.response_schema_error}", style="yellow")


def kept_answer(pause: Pause, verdicts: Verdicts) -> Iterable[Text]:
    """Returns the answer that a question was given, and that was not sent yet."""
    if pause.pause_id in verdicts.answers:
        yield answered_text(verdicts.answers[pause.pause_id])


def answered_text(content: Any) -> Text:
    """Returns what a question, or a tool call, was answered with."""
    shown = content if isinstance(content, str) else compact(content)
    return Text(f"↩ answered: {shown}", style="cyan")


def show_graph(
    console: Console, graph: AssistantGraph, opened: AssistantGraph | None, pauses: Sequence[Pause]
) -> None:
    """Draws a graph with the nodes at which a thread is paused marked.

    Args:
        console: Where. If the graph with its subgraphs opened does not fit there, it is drawn as
            it is, and below it the subgraphs in which there are pauses, as far as they fit; what
            does not is told in a line for each pause.
        graph: The graph.
        opened: The same with its subgraphs opened, for pauses in them; None if there are none.
        pauses: The pauses.
    """
    room = console.height - _OTHER_LINES
    if opened is not None and _draw(console, opened, marks(opened, pauses), "", room):
        return
    parts = [("", graph, marks(graph, pauses))]
    if opened is not None:
        for path in dict.fromkeys(path_of(p.namespace) for p in pauses if p.namespace):
            inside = _inside(opened, path)
            parts.append((" › ".join(path), inside, marks(inside, pauses, path)))
    for name, part, captions in parts:
        if taken := _draw(console, part, captions, name, room):
            room -= taken
            continue
        rows = list(_neighbours(part, captions, console.width - 2, name))
        if rows:
            console.print()
        for row in rows:
            console.print(Padding(row, (0, 0, 0, 2), expand=False))
        room -= len(rows) + bool(rows)


def _draw(
    console: Console, graph: AssistantGraph, captions: Mapping[str, str], name: str, room: int
) -> int:
    """Draws a graph, below its name, if there are so many lines of room for it.

    Returns how many lines it has taken.
    """
    lines = 3 if name else 1
    try:
        drawing = draw_graph(graph, captions, columns=console.width - 2, height=room - lines)
    except TooLargeError:
        return 0
    console.print()
    if name:
        console.print(Text(name, style="dim"))
        console.print()
    console.print(Padding(drawing.text, (0, 0, 0, 2), expand=False))
    return lines + drawing.text.plain.count("\n") + 1


def _inside(opened: AssistantGraph, path: Path) -> AssistantGraph:
    """Returns the subgraph at a path of a graph that is drawn with its subgraphs opened."""
    inside = "".join(f"{name}:" for name in path)
    return replace(
        opened,
        nodes=tuple(
            replace(node, node_id=node.node_id.removeprefix(inside))
            for node in opened.nodes
            if node.node_id.startswith(inside)
        ),
        edges=tuple(
            replace(
                edge,
                source=edge.source.removeprefix(inside),
                target=edge.target.removeprefix(inside),
            )
            for edge in opened.edges
            if edge.source.startswith(inside) and edge.target.startswith(inside)
        ),
    )


def marks(graph: AssistantGraph, pauses: Sequence[Pause], path: Path = ()) -> dict[str, str]:
    """Returns the captions of the nodes at which a thread is paused, by node id.

    A node in a subgraph that is not drawn is marked where the subgraph is.

    Args:
        graph: The graph.
        pauses: The pauses.
        path: Where the graph is; only pauses in it count.
    """
    known = {node.node_id for node in graph.nodes}
    repeating = {edge.source for edge in graph.edges if edge.source == edge.target}
    captions: dict[str, str] = {}
    for pause in pauses:
        whole = (*path_of(pause.namespace), pause.node)
        if whole[: len(path)] != path:
            continue
        names = list(whole[len(path) :])
        while names and ":".join(names) not in known:
            names.pop()
        if not names:
            continue
        node_id = ":".join(names)
        after = pause.kind is PauseKind.BREAKPOINT_AFTER and len(names) == len(whole) - len(path)
        name = f"{node_path(node_id)}{f' {REPEATS}' if node_id in repeating else ''}"
        captions[node_id] = f"{name} ▶" if after else f"{sign(pause)} {name}"
    return captions


def _neighbours(
    graph: AssistantGraph, marked: Mapping[str, str], width: int, name: str
) -> Iterable[Text]:
    """Returns what comes before and after marked nodes of the graph with a name.

    Nodes with the same neighbours share a row.
    """
    rows: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for node_id, caption in marked.items():
        before = tuple(edge.source for edge in graph.edges if edge.target == node_id)
        after = tuple(edge.target for edge in graph.edges if edge.source == node_id)
        rows.setdefault((before, after), []).append(caption)
    for (before, after), captions in rows.items():
        # As many names as there is room for.
        for most in (4, 3, 2, 1):
            row = Text(f"{name}: " if name else "", "dim", no_wrap=True, overflow="ellipsis")
            row.append(f"{_some(before, most)} → " if before else "", "dim")
            row.append(f"[{_some(captions, most)}]", "bold yellow")
            row.append(f" → {_some(after, most)}" if after else "", "dim")
            if row.cell_len <= width:
                break
        yield row


def _some(names: Sequence[str], most: int) -> str:
    several = list(dict.fromkeys(names))
    more = f" and {len(several) - most} more" if len(several) > most else ""
    return ", ".join(several[:most]) + more


def show_calls(console: Console, calls: Sequence[WaitingCall], verdicts: Verdicts) -> None:
    """Shows the tool calls that wait, with their numbers and what was decided."""
    if not calls:
        return
    console.print()
    console.print(Text("tool calls", style="dim"))
    first: dict[tuple[str, str], int] = {}
    for number, waiting in enumerate(calls, 1):
        decision = verdicts.decision(waiting)
        console.print(call_row(console, number, waiting))
        if first.setdefault(waiting.key, number) != number:
            note = f"has the id of {first[waiting.key]}: a verdict on one is on both"
            console.print(Padding(Text(note, style="dim"), (0, 0, 0, 5), expand=False))
        if decision is not None:
            console.print(Padding(decision_text(waiting, decision), (0, 0, 0, 5), expand=False))


def call_row(console: Console, number: int, waiting: WaitingCall) -> Text:
    """Returns a tool call with its number, folded below its name."""
    begin = f"  {number}  "
    # Before it is measured: escaped it takes more room.
    call = visible_text(call_text(waiting.call.name, waiting.call.args))
    rows = call.wrap(console, max(20, console.width - len(begin)), overflow="fold")
    return Text(begin) + Text(f"\n{' ' * len(begin)}").join(rows)


def decision_text(waiting: WaitingCall, decision: Decision) -> Text:
    """Returns what was decided about a call."""
    match decision:
        case Edit(args, name):
            row = Text("✎ ", style="yellow")
            return row + call_text(name or waiting.call.name, args)
        case Reject(message):
            return Text(f"✗ rejected{f': {message}' if message else ''}", style="red")
        case Respond(content):
            return answered_text(content)
        case Approve():
            pass
    return Text("✓ approved", style="green")


def show_changes(
    console: Console, before: Mapping[Path, Any] | None, now: Mapping[Path, Any]
) -> None:
    """Shows what has changed in the states of graphs.

    Args:
        console: Where.
        before: What the graphs' values were when they were looked at last; None: never.
        now: What they are.
    """
    any_change = False
    for path in sorted(now, key=len):
        earlier = (before or {}).get(path)
        changes = list(differences({} if earlier is None else earlier, now[path] or {}))
        if not changes:
            continue
        any_change = True
        inside = f" of {' › '.join(path)}" if path else ""
        since = ", since the last pause" if earlier is not None else ""
        console.print()
        console.print(Text(f"state{inside}{since}", style="dim"))
        if (left_out := len(changes) - _CHANGES) > 0:
            console.print(Text(f"  … {left_out} more: `state` shows all", style="dim"))
        for change in changes[-_CHANGES:]:
            console.print(Text("  ") + difference_text(change, max(20, console.width - 2)))
    if not any_change:
        console.print()
        console.print(Text("state: no change since the last pause", style="dim"))


def show_end(console: Console, standing: Standing) -> None:
    """Shows where a thread stands that is not paused."""
    status, following = standing.thread.status, standing.state.next
    row = Text.assemble(
        ("▶ " if following else "■ ", "bold"),
        (f"{status.lower()}", "bold"),
        (f"  next: {', '.join(following)}" if following else "  nothing is next", "dim"),
    )
    console.print(row)
    if standing.thread.error is not None:
        error = standing.thread.error
        place = f" in {error.node}" if error.node else ""
        console.print(Text(f"  failed{place}: {error.type}: {error.message}", style="red"))
