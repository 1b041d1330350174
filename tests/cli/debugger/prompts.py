"""What the tests of the prompt share."""

from __future__ import annotations

from collections.abc import Mapping

from tests.cli.command import AtATerminal, masked

QUESTION = "What is the weather in San Francisco?"
TWO_CITIES = "What is the weather in San Francisco and Oslo?"
THREE_CITIES = "What is the weather in San Francisco, Oslo and Cairo?"
PROMPT = "(graphwire) "
LOG = ("--input", '{"log": []}')


def dialogue(terminal: AtATerminal) -> str:
    """Returns what can be seen in the end, with ids and durations taken out."""
    return masked(terminal.picture)


def before_action(
    server: str, question: str = QUESTION, *, env: Mapping[str, str] | None = None
) -> AtATerminal:
    """A run of the agent at a terminal, that pauses before its tool calls are carried out."""
    return AtATerminal("run", "agent", question, "-b", "action", "-s", server, env=env)
