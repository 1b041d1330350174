"""A sheet of characters on which boxes and lines are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from rich.text import Text


class Side(IntFlag):
    """The sides of a cell that a line touches."""

    NONE = 0
    UP = 1
    RIGHT = 2
    DOWN = 4
    LEFT = 8


_VERTICAL = Side.UP | Side.DOWN
_HORIZONTAL = Side.LEFT | Side.RIGHT
_SOLID = {
    _VERTICAL: "│",
    _HORIZONTAL: "─",
    Side.DOWN | Side.RIGHT: "╭",
    Side.DOWN | Side.LEFT: "╮",
    Side.UP | Side.RIGHT: "╰",
    Side.UP | Side.LEFT: "╯",
    _VERTICAL | Side.RIGHT: "├",
    _VERTICAL | Side.LEFT: "┤",
    _HORIZONTAL | Side.DOWN: "┬",
    _HORIZONTAL | Side.UP: "┴",
    _VERTICAL | _HORIZONTAL: "┼",
}
#: A box: its upper line, its sides, its lower line.
_FRAME = ("╭─╮", "│", "╰─╯")
_BOLD_FRAME = ("┏━┓", "┃", "┗━┛")
_DASHED = {_VERTICAL: "╎", _HORIZONTAL: "╌"}


@dataclass(slots=True)
class _Cell:
    char: str
    style: str
    net: object = None
    sides: Side = Side.NONE
    dashed: bool = False


class Canvas:
    """Characters by line and column, both from 0. It grows as it is drawn on."""

    def __init__(self) -> None:
        """Begins with an empty sheet."""
        self._cells: dict[tuple[int, int], _Cell] = {}

    @property
    def width(self) -> int:
        """Returns how many columns are in use."""
        return max((column for _, column in self._cells), default=-1) + 1

    def write(self, line: int, column: int, text: str, style: str = "") -> None:
        """Writes text over whatever is there."""
        for offset, char in enumerate(text):
            self._cells[line, column + offset] = _Cell(char, style)

    def box(
        self,
        line: int,
        left: int,
        right: int,
        text: str,
        style: str = "",
        *,
        marked: bool = False,
    ) -> None:
        """Draws a box of three lines with a text in its middle; a marked one in bold lines."""
        inside = right - left - 1
        above, side, below = _BOLD_FRAME if marked else _FRAME
        border = "bold yellow" if marked else "dim"
        self.write(line, left, f"{above[0]}{above[1] * inside}{above[2]}", border)
        self.write(line + 1, left, side, border)
        self.write(line + 1, left + 1, text.center(inside), style)
        self.write(line + 1, right, side, border)
        self.write(line + 2, left, f"{below[0]}{below[1] * inside}{below[2]}", border)

    def draw(self, line: int, column: int, sides: Side, *, net: object, dashed: bool) -> None:
        """Draws a piece of a net's line; pieces of one net join, of two nets cross."""
        cell = self._cells.get((line, column))
        if cell is not None and cell.net is net:
            sides |= cell.sides
        elif cell is not None and cell.net is not None and not sides & _VERTICAL:
            return  # what goes down passes over what goes across
        glyph = _DASHED.get(sides) if dashed else None
        self._cells[line, column] = _Cell(glyph or _SOLID[sides], "", net, sides, dashed)

    def text(self) -> Text:
        """Returns the sheet, without blanks at the ends of lines."""
        height = max((line for line, _ in self._cells), default=-1) + 1
        lines = []
        for line in range(height):
            width = max((column for at, column in self._cells if at == line), default=-1) + 1
            text = Text()
            for column in range(width):
                cell = self._cells.get((line, column))
                text.append(cell.char if cell else " ", cell.style if cell else "")
            text.rstrip()
            lines.append(text)
        return Text("\n").join(lines)
