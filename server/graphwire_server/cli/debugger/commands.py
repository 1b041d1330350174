"""What a command at the prompt is, and what can come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphwire import Breakpoint, Resume
from graphwire.start import NOT_GIVEN, RunOptions


@dataclass(frozen=True, slots=True)
class GoOn:
    """What is to run next.

    Attributes:
        resume: From where the thread stands.
        input: New input, if it is no resume.
        assistant_id: The assistant for that input; empty for a resume.
        options: The options of the run.
        breakpoints: Breakpoints that it takes beside those of the run before.
        stops_at_start: Whether the run is to pause before its first nodes.
        watches: Nothing of one's own: what others have set going is to be shown.
    """

    resume: Resume | None = None
    input: Any = NOT_GIVEN
    assistant_id: str = ""
    options: RunOptions = field(default_factory=lambda: RunOptions())
    breakpoints: Sequence[Breakpoint] = ()
    stops_at_start: bool = False
    watches: bool = False


class CommandError(Exception):
    """A command that can't be carried out; the text says why."""


class LeaveError(Exception):
    """The person leaves the prompt."""


#: Carries a command out, given what was typed after its name; returns what is to run next, or
#: None to ask for the next command.
Run = Callable[[str], GoOn | None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        name: Its name.
        aliases: Other names.
        arguments: What follows it, for the help.
        about: What it does.
        run: Carries it out.
        topic: Where it stands in the help.
    """

    name: str
    aliases: tuple[str, ...]
    arguments: str
    about: str
    run: Run
    topic: str


def nothing_after(rest: str) -> None:
    """Refuses words after a command that takes none.

    Raises:
        CommandError: There are some.
    """
    if rest:
        raise CommandError(f"nothing may follow here, and there is {rest!r}")
