"""What is wrong with a condition, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the text of a condition.

    Attributes:
        offset: In characters, from 0.
        line: From 1.
        column: In characters, from 1.
    """

    offset: int
    line: int
    column: int

    @classmethod
    def of(cls, text: str, offset: int) -> Position:
        """Returns the position of the character at an offset of a text, or of its end."""
        start = text.rfind("\n", 0, offset) + 1
        return cls(offset, text.count("\n", 0, offset) + 1, offset - start + 1)

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class ConditionError(ValueError):
    """A text is no condition: its syntax, a name or a type is wrong. `str()` says it all.

    Attributes:
        message: What is wrong, without the place.
        position: Where.
    """

    def __init__(self, message: str, position: Position) -> None:
        """Puts the place before the message."""
        super().__init__(f"{position}: {message}")
        self.message = message
        self.position = position


class ConditionFailed(Exception):
    """A condition is neither true nor false of what it was asked about.

    Attributes:
        message: What went wrong, with the place if there is one.
    """

    def __init__(self, message: str) -> None:
        """Takes the message."""
        super().__init__(message)
        self.message = message


class Refusal(Exception):
    """What compiling raises inside: a message and an offset."""

    def __init__(self, message: str, at: int) -> None:
        """Takes the message and the offset, in characters."""
        super().__init__(message)
        self.message = message
        self.at = at


class Failure(Exception):
    """What evaluating raises inside: CEL's error, which `&&`, `||` and macros can absorb.

    Attributes:
        message: What went wrong.
        at: The offset of the operation; None until that is known.
    """

    def __init__(self, message: str, at: int | None = None) -> None:
        """Takes the message and the offset, in characters."""
        super().__init__(message)
        self.message = message
        self.at = at


class ExhaustedError(Exception):
    """The budget is used up; nothing absorbs this."""
