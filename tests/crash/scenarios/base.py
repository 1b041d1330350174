"""What a scenario is: a graph, a script for its client, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.crash.player import Player

Script = Callable[[Player], None]
Shape = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """A node that runs only as often as it was approved.

    Attributes:
        node: The node, with its path.
        why: The kind of the pauses that let it run.
        at: The node of those pauses, with its path: another one for pauses after a node.
        free: How often it may run without.
    """

    node: str
    why: str
    at: str
    free: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One shape of run.

    Attributes:
        name: Its name.
        graph: The assistant that it runs.
        script: Plays the client's part, and expects what must happen on the way.
        gates: The nodes that need approvals.
        log: The list `log` of the state in the end.
        steps: The list `steps` of the state in the end: what subgraphs did.
    """

    name: str
    graph: str
    script: Script
    gates: tuple[Gate, ...]
    log: tuple[str, ...]
    steps: tuple[str, ...]

    @property
    def count(self) -> int:
        """The counter of the state in the end."""
        return sum(worth(entry) for entry in self.log)


#: All scenarios, by name. Filled by `scenario`.
SCENARIOS: dict[str, Scenario] = {}


def scenario(
    graph: str,
    *,
    log: Sequence[str],
    steps: Sequence[str] = (),
    gates: Sequence[Gate] = (),
) -> Callable[[Script], Script]:
    """Makes a scenario of a script; see `Scenario`."""

    def make(script: Script) -> Script:
        name: str = script.__name__
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(name, graph, script, tuple(gates), tuple(log), tuple(steps))
        return script

    return make


def before(node: str) -> Gate:
    """A breakpoint before a node."""
    return Gate(node, "BREAKPOINT_BEFORE", node)


def after(node: str, *, then: str, free: int = 0) -> Gate:
    """A breakpoint after a node, which keeps the next one waiting."""
    return Gate(then, "BREAKPOINT_AFTER", node, free)


def stands_before(node: str) -> Shape:
    """The shape of a pause before a node."""
    return ("BREAKPOINT_BEFORE", node)


def stands_after(node: str) -> Shape:
    """The shape of a pause after a node."""
    return ("BREAKPOINT_AFTER", node)


def question(node: str, text: str) -> Shape:
    """The shape of a question."""
    return ("INTERRUPT", node, text)


def worth(entry: str) -> int:
    """By how much an entry of the log goes with a rise of the counter."""
    if entry.startswith("input"):
        return 100
    return 10 if entry.startswith(("edit", "update")) else 1


def entry(name: str) -> dict[str, Any]:
    """An input, edit or update that leaves this entry in the log."""
    return {"log": [name], "count": worth(name)}


INPUT = entry("input")
