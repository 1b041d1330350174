"""Text that comes in pieces, as rows that are complete and a row that is still growing."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from graphwire_server.cli.visible import kept


class Flow:
    """Folds text between words as it comes.

    Attributes:
        tail: The row that is not complete yet.
    """

    def __init__(self, console: Console, width: int | None) -> None:
        """Begins empty; with no width, rows end only where the text says so."""
        self.tail = ""
        self._return = ""
        self._console = console
        self._width = width

    def feed(self, text: str) -> list[str]:
        """Takes more text; returns the rows that it completes."""
        text = f"{self.tail}{self._return}{text}"
        # The newline that makes an end of a line of it may be still to come.
        self._return = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r").replace("\r\n", "\n")
        *lines, last = kept(text).split("\n")
        rows = [row for line in lines for row in self._fold(line)]
        *complete, self.tail = self._fold(last)
        return rows + complete

    def end(self) -> list[str]:
        """Returns the last row, if there is anything in it."""
        rows, self.tail, self._return = [self.tail] if self.tail else [], "", ""
        return rows

    def _fold(self, line: str) -> list[str]:
        if self._width is None or len(line) * 2 <= self._width:
            return [line]
        folded = Text(line).wrap(self._console, self._width)
        return [row.plain for row in folded] or [""]
