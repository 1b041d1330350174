"""A run as people watch it: what its nodes say and do, and a line that tells how it goes."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from graphwire.enums import RunStatus, StreamMode
from graphwire.events import (
    AttemptStarted,
    Checkpoint,
    Custom,
    End,
    Event,
    Interrupted,
    Message,
    Metadata,
    TaskFinished,
    TaskStarted,
    Updates,
    Values,
)
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.message import OpenMessage, compact
from graphwire_server.cli.visible import kept
from graphwire_server.wording import counted

_INDENT = 2
_REFRESH = 12
_LOST = "the server can't be reached, trying again"
#: How many rows of a terminal one channel's update may take.
_UPDATE_ROWS = 6
_STYLES = {
    RunStatus.SUCCEEDED: ("✓", "green"),
    RunStatus.INTERRUPTED: ("‖", "yellow"),
    RunStatus.CANCELLED: ("–", "yellow"),
}


class Retrying(Protocol):
    """What may be lost for a while."""

    @property
    def retrying(self) -> bool:
        """Whether it is lost at present, and is tried again."""


class View(Protocol):
    """Shows the events of a run."""

    def show(self, event: Event) -> None:
        """Shows an event."""

    def note(self, text: str) -> None:
        """Takes what is to be said beside the progress, from now on."""

    def follow(self, connection: Retrying) -> None:
        """Takes that from which the events come, to tell when it is lost."""

    def __enter__(self) -> Self:
        """Begins to show."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leaves the terminal as it was."""


class JsonView(View):
    """One JSON object a line on stdout."""

    def show(self, event: Event) -> None:
        """Writes the event."""
        jsonlines.write(jsonlines.event_object(event))

    def note(self, text: str) -> None:
        """Does nothing: there is no line of progress."""

    def follow(self, connection: Retrying) -> None:
        """Does nothing."""

    def __enter__(self) -> Self:
        """Does nothing."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Does nothing."""


class HumanView(View):
    """Text for people; on a terminal it grows as it comes, over a line of progress."""

    def __init__(
        self,
        console: Console,
        modes: Collection[StreamMode] = (),
        *,
        goes_on: bool = False,
        note: str = "Ctrl-C leaves it running",
        shown: set[str] | None = None,
    ) -> None:
        """Shows on a console.

        Args:
            console: Where; what is not a terminal gets whole lines only.
            modes: The stream modes that were asked for. Without TASKS or DEBUG, nodes that
                start and finish show in the line of progress alone.
            goes_on: Whether the run before it has been shown just now.
            note: What is said beside the progress.
            shown: The updates that runs before it have shown, to which its own are added: a
                result that was kept from one of them is not shown again.
        """
        self._console = console
        self._on_terminal = console.is_terminal and not console.is_dumb_terminal
        self._show_tasks = StreamMode.TASKS in modes or StreamMode.DEBUG in modes
        self._width = max(20, console.width - _INDENT) if self._on_terminal else None
        self._goes_on = goes_on
        self._note = note
        self._connection: Retrying | None = None
        self._shown = set() if shown is None else shown
        self._shown_before = frozenset(self._shown)
        self._open: dict[str, OpenMessage] = {}
        self._shown_messages: set[str] = set()
        self._section: tuple[tuple[str, ...], str] | None = None
        self._tasks: dict[str, tuple[str, float]] = {}
        self._tokens: dict[str, int] = {}
        self._began = time.monotonic()
        self._began_at: datetime | None = None
        self._spinner = Spinner("dots", style="cyan")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begins the line of progress."""
        if self._on_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._bottom,
                refresh_per_second=_REFRESH,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends it; what had begun to be written stays."""
        self._end_messages()
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Takes what is to be said beside the progress, from now on."""
        self._note = text

    def follow(self, connection: Retrying) -> None:
        """Takes that from which the events come, to tell when it is lost."""
        self._connection = connection

    def show(self, event: Event) -> None:
        """Shows an event."""
        match event:
            case Metadata():
                self._began_at = event.time
                where = f"{event.assistant_id} on thread {event.thread_id}"
                if not self._goes_on:
                    self._print(Text(where, style="dim"))
            case Message():
                self._show_message(event)
            case Updates():
                self._show_update(event)
            case Custom(data=data):
                text = data if isinstance(data, str) else compact(data)
                self._row(Text.assemble(("• ", "blue"), kept(text)))
            case TaskStarted() | TaskFinished():
                self._show_task(event)
            case Values(values=values):
                self._mark("values", compact(values))
            case Checkpoint():
                after = f", next {', '.join(event.next)}" if event.next else ""
                self._mark("checkpoint", f"{event.checkpoint_id} step {event.step}{after}")
            case AttemptStarted():
                self._open.clear()
                self._mark("recovered", f"attempt {event.attempt}: {event.reason}")
            case Interrupted():
                self._end_messages()
            case End():
                self._show_end(event)

    def _show_message(self, piece: Message) -> None:
        message = self._open.get(piece.message_id)
        if message is None:
            message = OpenMessage(piece, self._console, self._width)
            self._open[piece.message_id] = message
            self._shown_messages.add(piece.message_id)
        message.feed(piece)
        if piece.usage is not None:
            self._tokens[piece.message_id] = piece.usage.total_tokens
        # One message at a time: those that speak at the same time wait for the first.
        while self._open:
            message_id, first = next(iter(self._open.items()))
            rows = first.take()
            if rows or first.tail:
                self._head(first.namespace, first.node)
            if first.done:
                del self._open[message_id]
            for row in rows:
                self._row(row)
            if not first.done:
                break

    def _end_messages(self) -> None:
        for message in self._open.values():
            message.end()
            rows = message.take()
            if rows:
                self._head(message.namespace, message.node)
            for row in rows:
                self._row(row)
        self._open.clear()

    def _show_update(self, event: Updates) -> None:
        update = event.update
        said = f"{event.namespace} {event.node} {compact(update)}"
        self._shown.add(said)
        if event.cached and said in self._shown_before:
            return
        if isinstance(update, dict):
            unseen = {k: v for k, v in update.items() if not self._is_shown(v)}
            rows = [Text.assemble((f"{k} ", "cyan"), compact(v)) for k, v in unseen.items()]
            all_seen = bool(update) and not unseen
        else:
            rows = [] if update is None else [Text(compact(update))]
            all_seen = False
        if not all_seen:
            self._head(event.namespace, event.node)
        for row in rows:
            if self._width is not None:
                row.truncate(self._width * _UPDATE_ROWS, overflow="ellipsis")
            self._row(row)

    def _is_shown(self, value: Any) -> bool:
        """Tells whether what a channel got is messages that have been shown already.

        A subgraph gives back old messages along with those that it has made.
        """
        items = value if isinstance(value, list) else [value]
        return all(_is_message(item) for item in items) and any(
            item["id"] in self._shown_messages for item in items
        )

    def _show_task(self, event: TaskStarted | TaskFinished) -> None:
        if isinstance(event, TaskStarted):
            self._tasks[event.task_id] = (event.node, time.monotonic())
            if self._section == (event.namespace, event.node):
                self._section = None  # the node runs again: it gets a heading again
            detail = "starts"
        else:
            self._tasks.pop(event.task_id, None)
            failure = event.error
            detail = f"failed: {failure.type}: {failure.message}" if failure else "finished"
        if self._show_tasks:
            self._mark(_path(event.namespace, event.node), detail)

    def _show_end(self, event: End) -> None:
        self._end_messages()
        self._tasks.clear()
        sign, style = _STYLES.get(event.status, ("✗", "red"))
        said = event.status.value.lower().replace("_", " ")
        parts = [f"{sign} {'paused' if event.status is RunStatus.INTERRUPTED else said}"]
        if self._began_at is not None:
            parts.append(f"{(event.time - self._began_at).total_seconds():.1f} s")
        if total := sum(self._tokens.values()):
            parts.append(counted(total, "token"))
        self._section = None
        self._print("")
        self._print(Text.assemble((parts[0], style), *((f"  {p}", "dim") for p in parts[1:])))

    def _mark(self, name: str, detail: str) -> None:
        self._section = None
        self._print(Text.assemble((f"◇ {name} ", "dim cyan"), (detail, "dim")))

    def _head(self, namespace: tuple[str, ...], node: str) -> None:
        if self._section != (namespace, node):
            self._section = (namespace, node)
            self._print("")
            self._print(Text.assemble(("● ", "cyan"), (_path(namespace, node), "bold")))

    def _row(self, row: Text) -> None:
        row.rstrip()
        self._print(_indented(row) if self._on_terminal else Text(" " * _INDENT) + row)

    def _print(self, what: RenderableType) -> None:
        if self._live is not None:
            self._live.refresh()  # what is printed now must not stand below as well
        # Whatever is not a terminal gets its lines unfolded.
        self._console.print(what, soft_wrap=not self._on_terminal)

    def _bottom(self) -> RenderableType:
        """Returns what stands below the lines that are complete."""
        now = time.monotonic()
        tasks = list(self._tasks.values())
        nodes = ", ".join(f"{node} {now - since:.1f} s" for node, since in tasks[:3])
        more = f" and {len(tasks) - 3} more" if len(tasks) > 3 else ""
        doing = (f"{nodes}{more}" or "waiting", "cyan")
        if self._connection is not None and self._connection.retrying:
            doing = (_LOST, "red")
        self._spinner.update(
            text=Text.assemble(
                doing,
                (f"  {now - self._began:.1f} s in all   {self._note}", "dim"),
                no_wrap=True,
                overflow="ellipsis",
            )
        )
        return Group(*self._growing(), "", self._spinner)

    def _growing(self) -> Iterable[RenderableType]:
        first = next(iter(self._open.values()), None)
        rows = first.tail if first is not None else []
        return [_indented(row) for row in rows]


def _indented(row: Text) -> Padding:
    return Padding(row, (0, 0, 0, _INDENT), expand=False)


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and item.keys() >= {"id", "type", "content"}


def _path(namespace: tuple[str, ...], node: str) -> str:
    """Returns where a node is: `outer › inner › node`."""
    return " › ".join([*(part.partition(":")[0] for part in namespace), node])
