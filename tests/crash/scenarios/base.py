"""What a scenario is: a graph, a script for its client, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwire.v1 import breakpoint_pb2

from tests.crash.player import Player

Script = Callable[[Player], None]
Shape = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """A node that runs only as often as it was approved.

    Attributes:
        node: The node, with its path.
        why: The kind of the pauses that let it run.
        at: The node of those pauses, with its path: another one for pauses after a node. Empty:
            a pause at any node lets it, and what comes then, run.
        free: How often it may run without.
        given: Only tasks count that were given these: what a condition is about.
    """

    node: str
    why: str
    at: str
    free: int = 0
    given: Mapping[str, Any] | None = None


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
        otherwise: The list `log` in the end, if the other one wins whom the script lets race.
            Which tasks run depends on that, then, and is not held against another play.
        renewed: Whether a task may get a pause anew for which nobody has changed the state.
    """

    name: str
    graph: str
    script: Script
    gates: tuple[Gate, ...]
    log: tuple[str, ...]
    steps: tuple[str, ...]
    otherwise: tuple[str, ...] = ()
    renewed: bool = False


#: All scenarios, by name. Filled by `scenario`.
SCENARIOS: dict[str, Scenario] = {}


def scenario(
    graph: str,
    *,
    log: Sequence[str],
    steps: Sequence[str] = (),
    gates: Sequence[Gate] = (),
    otherwise: Sequence[str] = (),
    renewed: bool = False,
) -> Callable[[Script], Script]:
    """Makes a scenario of a script; see `Scenario`."""

    def make(script: Script) -> Script:
        name: str = script.__name__
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(
            name,
            graph,
            script,
            tuple(gates),
            tuple(log),
            tuple(steps),
            tuple(otherwise),
            renewed,
        )
        return script

    return make


def before(node: str, *, given: Mapping[str, Any] | None = None) -> Gate:
    """A breakpoint before a node; `given`: before those of its tasks that get these."""
    return Gate(node, "BREAKPOINT_BEFORE", node, given=given)


def after(node: str, *, then: str, free: int = 0) -> Gate:
    """A breakpoint after a node, which keeps the next one waiting."""
    return Gate(then, "BREAKPOINT_AFTER", node, free)


def asked_for(node: str) -> Gate:
    """A node that waits since somebody has asked for it, with PauseRun or a step."""
    return Gate(node, "PAUSE", node)


def behind_a_stop(node: str, *, free: int = 0) -> Gate:
    """A node that waits, or comes after one that waits, since somebody has asked for it."""
    return Gate(node, "PAUSE", "", free)


def stands_before(node: str) -> Shape:
    """The shape of a pause before a node."""
    return ("BREAKPOINT_BEFORE", node)


def stands_after(node: str) -> Shape:
    """The shape of a pause after a node."""
    return ("BREAKPOINT_AFTER", node)


def stopped(node: str) -> Shape:
    """The shape of a pause that somebody has asked for."""
    return ("PAUSE", node)


def question(node: str, text: str) -> Shape:
    """The shape of a question."""
    return ("INTERRUPT", node, text)


def breakpoint_at(node: str, **fields: Any) -> breakpoint_pb2.Breakpoint:
    """A breakpoint; its id is the name of the node, unless `fields` say otherwise."""
    return breakpoint_pb2.Breakpoint(
        **{"breakpoint_id": node.replace("/", "."), **fields}, node=node
    )


def worth(entry: str) -> int:
    """By how much an entry of the log goes with a rise of the counter."""
    if entry.startswith("input"):
        return 100
    return 10 if entry.startswith(("edit", "update")) else 1


def entry(name: str) -> dict[str, Any]:
    """An input, edit or update that leaves this entry in the log."""
    return {"log": [name], "count": worth(name)}


INPUT = entry("input")
