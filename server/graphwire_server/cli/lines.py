"""Lines that a person types: with editing, history and completion where the terminal has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from graphwire_server.cli.visible import visible_name

Completions = Callable[[str], Sequence[str]]


class LineReader:
    """Reads lines at a terminal. What was typed is kept for as long as it lives."""

    def __init__(self, console: Console) -> None:
        """Begins with an empty history."""
        self._coloured = console.color_system is not None and not console.no_color
        self._readline = _readline()
        self._history: list[str] = []

    def read(
        self, prompt: str, *, initial: str = "", completions: Completions | None = None
    ) -> str:
        """Reads a line.

        Args:
            prompt: What stands before it.
            initial: A text in the line to begin with, where the terminal can do that.
            completions: With it, the line is kept in the history, and the words that may
                follow what is typed are completed.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C.
        """
        prompt = visible_name(prompt)
        readline = self._readline
        if readline is None:
            return input(prompt)
        if self._coloured:
            # The marks tell readline which characters take no room.
            prompt = f"\x01\x1b[1;36m\x02{prompt}\x01\x1b[0m\x02"
        readline.set_auto_history(False)
        readline.clear_history()
        for line in self._history if completions is not None else ():
            readline.add_history(line)
        with self._completing(completions):
            readline.set_startup_hook(lambda: readline.insert_text(initial))
            try:
                line = input(prompt)
            finally:
                readline.set_startup_hook()
        if completions is not None and line.strip() and self._history[-1:] != [line]:
            self._history.append(line)
        return line

    @contextmanager
    def _completing(self, completions: Completions | None) -> Iterator[None]:
        readline = self._readline

        def complete(word: str, number: int) -> str | None:
            assert completions is not None
            before = readline.get_line_buffer()[: readline.get_begidx()]
            fitting = [each for each in completions(before) if each.startswith(word)]
            return f"{fitting[number]} " if number < len(fitting) else None

        before = readline.get_completer()
        readline.set_completer(None if completions is None else complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete" if completions is not None else "tab: self-insert")
        try:
            yield
        finally:
            readline.set_completer(before)


def _readline() -> Any:
    try:
        import readline
    except ImportError:  # Windows
        return None
    return readline
