"""Where the command writes: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from copy import copy
from typing import IO, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.protocol import rich_cast
from rich.segment import Segment
from rich.text import Text

from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.visible import visible, visible_text

#: Wide enough that nothing is folded where no terminal sets a width.
_UNBOUNDED = 10_000


class VisibleConsole(Console):
    """A console on which only its own colours and movements of the cursor are obeyed.

    What a terminal would obey, or not show, of the texts that are printed is escaped.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Renders as any console, with texts as `visible` makes them."""
        renderable = rich_cast(renderable)
        match renderable:
            # Before they are laid out, and measured for that: escaped they take more room.
            case Padding(renderable=Text() as inside):
                renderable = copy(renderable)
                renderable.renderable = visible_text(inside)
            case Text():
                renderable = visible_text(renderable)
            case str():
                renderable = visible(renderable)
        for segment in super().render(renderable, options):
            if segment.control is None:
                yield segment._replace(text=visible(segment.text))
            else:
                yield segment


def out() -> Console:
    """Returns the console for results."""
    return _console(sys.stdout)


def err() -> Console:
    """Returns the console for everything that is not a result."""
    return _console(sys.stderr)


def at_terminal() -> bool:
    """Returns whether a person can read what is printed and type an answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def fail(message: str, code: ExitCode, *, detail: str = "") -> NoReturn:
    """Writes `graphwire: <message>` as one line to stderr, and exits.

    Args:
        message: What is wrong, and what would be right.
        code: The exit code.
        detail: Written below, on a line of its own: a line of source, a command to copy.
    """
    say(message, detail, style="red")
    raise typer.Exit(code)


def say(message: str, *details: str, style: str = "yellow") -> None:
    """Writes `graphwire: <message>` as one line to stderr, and details below it."""
    console = err()
    text = " ".join(line.strip() for line in message.splitlines())
    console.print(Text.assemble(("graphwire:", f"bold {style}"), " ", text), soft_wrap=True)
    for detail in filter(None, details):
        console.print(Text(f"    {detail.strip()}"), soft_wrap=True)


def _console(file: IO[str]) -> Console:
    bounded = file.isatty() or "COLUMNS" in os.environ
    # Text from graphs and servers is shown as it is: no markup, no emoji, no colouring.
    return VisibleConsole(
        file=file,
        width=None if bounded else _UNBOUNDED,
        markup=False,
        emoji=False,
        highlight=False,
    )
