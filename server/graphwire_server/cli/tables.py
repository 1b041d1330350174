"""Tables, and how times, ids and statuses look in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.json import JSON
from rich.table import Table
from rich.text import Text

from graphwire_server.cli.visible import one_line, visible_text

_STATUS_STYLES = {
    "IDLE": "green",
    "SUCCEEDED": "green",
    "BUSY": "cyan",
    "PENDING": "cyan",
    "RUNNING": "cyan",
    "INTERRUPTED": "yellow",
    "CANCELLED": "dim",
    "ERROR": "red",
    "FAILED": "red",
    "TIMED_OUT": "red",
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def show_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    """Prints a table; nothing but its header if there are no rows. The first column is an id."""
    box = SIMPLE_HEAD if console.is_terminal else None
    table = Table(box=box, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, column in enumerate(columns):
        # An id has to be whole to be copied.
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        # Escaped beforehand, so that the columns are as wide as what is shown.
        table.add_row(*map(visible_text if box else _one_line, row))
    _print(console, table)


def show_fields(console: Console, fields: Sequence[tuple[str, Text | JSON | None]]) -> None:
    """Prints names and values below one another; those without a value are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields:
        if value is not None:
            grid.add_row(name, visible_text(value) if isinstance(value, Text) else value)
    _print(console, grid)


def status_text(status: str) -> Text:
    """Returns a status in its colour."""
    return Text(status, style=_STATUS_STYLES.get(status, ""))


def time_text(console: Console, time: datetime | None) -> Text:
    """Returns a time: for people how long ago, for programs RFC 3339 in UTC."""
    if time is None:
        return Text("")
    if not console.is_terminal:
        return Text(time.strftime("%Y-%m-%dT%H:%M:%SZ"))
    seconds = max(0, int((datetime.now(UTC) - time).total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return Text(f"{seconds // size} {unit} ago")
    return Text("just now" if seconds < 5 else f"{seconds} s ago")


def time_until(time: datetime) -> str:
    """Returns how long it is until a time, such as `in 5 min`; `now` when it has come."""
    seconds = int((time - datetime.now(UTC)).total_seconds())
    for size, unit in _UNITS:
        if seconds >= size:
            return f"in {seconds // size} {unit}"
    return f"in {seconds} s" if seconds > 0 else "now"


def optional(text: str, style: str = "") -> Text | None:
    """Returns a text, or None for an empty one."""
    return Text(text, style=style) if text else None


def json_value(value: Any) -> JSON | None:
    """Returns a value as indented JSON, or None for nothing."""
    return None if value in (None, {}, []) else JSON.from_data(value)


def _one_line(cell: Text) -> Text:
    """Returns a cell for programs, to which each line is a row."""
    return one_line(visible_text(cell))


def _print(console: Console, table: Table) -> None:
    """Prints a table; for programs without blanks at the ends of its lines."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        console.print(Text(line.rstrip()), soft_wrap=True)
