"""A sheet of characters on which boxes and lines are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

#: The sides of a cell that a line touches; added up where it touches several.
UP, RIGHT, DOWN, LEFT = 1, 2, 4, 8
VERTICAL = UP | DOWN
HORIZONTAL = LEFT | RIGHT
_SOLID = {
    VERTICAL: "│",
    HORIZONTAL: "─",
    DOWN | RIGHT: "╭",
    DOWN | LEFT: "╮",
    UP | RIGHT: "╰",
    UP | LEFT: "╯",
    VERTICAL | RIGHT: "├",
    VERTICAL | LEFT: "┤",
    HORIZONTAL | DOWN: "┬",
    HORIZONTAL | UP: "┴",
    VERTICAL | HORIZONTAL: "┼",
}
#: A box: its upper line, its sides, its lower line.
_FRAME = ("╭─╮", "│", "╰─╯")
_BOLD_FRAME = ("┏━┓", "┃", "┗━┛")
_DASHED = {VERTICAL: "╎", HORIZONTAL: "╌"}


@dataclass(slots=True)
class _Cell:
    char: str
    style: str
    net: object = None
    sides: int = 0


class Canvas:
    """Characters by line and column, both from 0. It grows as it is drawn on."""

    def __init__(self) -> None:
        """Begins with an empty sheet."""
        self._lines: list[dict[int, _Cell]] = []

    @property
    def width(self) -> int:
        """Returns how many columns are in use."""
        return max((max(cells, default=-1) for cells in self._lines), default=-1) + 1

    def write(self, line: int, column: int, text: str, style: str = "") -> None:
        """Writes text over whatever is there."""
        cells = self._line(line)
        for at, char in enumerate(text, column):
            cells[at] = _Cell(char, style)

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

    def draw(self, line: int, column: int, sides: int, *, net: object, dashed: bool) -> None:
        """Draws a piece of a net's line; pieces of one net join, of two nets cross."""
        cells = self._line(line)
        cell = cells.get(column)
        if cell is not None and cell.net is net:
            sides |= cell.sides
        elif cell is not None and cell.net is not None and not sides & VERTICAL:
            return  # what goes down passes over what goes across
        glyph = _DASHED.get(sides) if dashed else None
        cells[column] = _Cell(glyph or _SOLID[sides], "", net, sides)

    def text(self) -> Text:
        """Returns the sheet, without blanks at the ends of lines."""
        return Text("\n").join(_text(cells) for cells in self._lines)

    def _line(self, number: int) -> dict[int, _Cell]:
        while len(self._lines) <= number:
            self._lines.append({})
        return self._lines[number]


_BLANK = _Cell(" ", "")


def _text(cells: Mapping[int, _Cell]) -> Text:
    text = Text()
    row = [cells.get(column, _BLANK) for column in range(max(cells, default=-1) + 1)]
    for style, run in groupby(row, key=lambda cell: cell.style):
        text.append("".join(cell.char for cell in run), style)
    text.rstrip()
    return text
