"""What the tests of the prompt share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphwire.enums import PauseKind
from graphwire.values import Pause

from tests.cli.command import AtATerminal, masked

QUESTION = "What is the weather in San Francisco?"
TWO_CITIES = "What is the weather in San Francisco and Oslo?"
THREE_CITIES = "What is the weather in San Francisco, Oslo and Cairo?"
PROMPT = "(graphwire) "
LOG = ("--input", '{"log": []}')


def dialogue(terminal: AtATerminal) -> str:
    """Returns what can be seen in the end, with ids and durations taken out."""
    return masked(terminal.picture)


def a_pause(kind: PauseKind, node: str, **more: Any) -> Pause:
    """A pause, as a client has it."""
    given: dict[str, Any] = {
        "pause_id": "p",
        "thread_id": "t",
        "run_id": "r",
        "namespace": (),
        "interrupt_id": "",
        "value": None,
        "response_schema": None,
        "checkpoint_id": "c",
        "create_time": None,
    }
    return Pause(kind=kind, node=node, **(given | more))


def before_action(
    server: str, question: str = QUESTION, *, env: Mapping[str, str] | None = None
) -> AtATerminal:
    """A run of the agent at a terminal, that pauses before its tool calls are carried out."""
    return AtATerminal("run", "agent", question, "-b", "action", "-s", server, env=env)
