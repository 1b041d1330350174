"""Headings, code and questions: everything on the screen but the events."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

_WIDTH = 92


class Terminal:
    """Writes to standard output and, where a person sits at it, asks.

    Attributes:
        console: For what else is to be written.
        interactive: Whether there is somebody to ask.
    """

    def __init__(self) -> None:
        """Takes standard output, no wider than reads well."""
        self.console = Console(highlight=False)
        self.console.width = min(self.console.width, _WIDTH)
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()

    def title(self, text: str, subtitle: str) -> None:
        """Writes what this is."""
        content = Group(Text(text, style="bold"), Text(subtitle, style="dim"))
        self.console.print(Panel(content, border_style="cyan", padding=(0, 2)))

    def step(self, number: int, text: str) -> None:
        """Writes the headline of a step."""
        title = Text.assemble((f" {number} ", "bold reverse cyan"), " ", (text, "bold"))
        self.console.print()
        self.console.print(Rule(title, align="left", style="cyan"))

    def code(self, source: str) -> None:
        """Writes the call that comes next."""
        syntax = Syntax(source, "python", theme="ansi_dark", background_color="default")
        self._indented(syntax.highlight(source))

    def command(self, line: str) -> None:
        """Writes a command on one line, however long, so that it can be copied."""
        self.console.print(Text(f"  {line}", style="green"), soft_wrap=True)

    def say(self, *parts: str | tuple[str, str]) -> None:
        """Writes a sentence, made of texts and of (text, style)."""
        self._indented(Text.assemble(*parts))

    def facts(self, title: str, rows: Sequence[tuple[str, str]], style: str) -> None:
        """Writes a panel of names and what they stand for."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, Text(value))
        self._panel(title, table, style)

    def panel(self, title: str, text: str, style: str) -> None:
        """Writes a text with a frame round it."""
        self.console.print()
        self._panel(title, Text(text), style)

    async def choose(self, question: str, choices: Sequence[str]) -> str:
        """Asks for one of several words, or its first letter; the first is the default."""
        while True:
            answer = (await self.ask(question, choices[0])).lower()
            for choice in choices:
                if answer in (choice, choice[0]):
                    return choice
            self.say((f"Please answer one of: {', '.join(choices)}.", "yellow"))

    async def ask(self, question: str, default: str) -> str:
        """Asks for a line of text; an empty one, or the end of the input, means the default."""
        prompt = Text.assemble("  ", (question, "bold"), (f" ({default})", "dim"), ": ")
        self.console.print(prompt, end="", soft_wrap=True)
        return (await read_line()).strip() or default

    def _panel(self, title: str, content: RenderableType, style: str) -> None:
        panel = Panel(content, title=title, title_align="left", border_style=style, padding=(0, 2))
        self.console.print(panel)

    def _indented(self, text: Text) -> None:
        text.rstrip()
        self.console.print(Padding(text, (0, 0, 0, 2), expand=False))


async def read_line() -> str:
    """Returns the next line that is typed; empty at the end of the input.

    Unlike `input` it leaves the event loop free, and Ctrl-C cancels it.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        loop.remove_reader(sys.stdin)
        line.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        return await line
    finally:
        loop.remove_reader(sys.stdin)
