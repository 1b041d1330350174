"""What the checks go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphwire.v1 import pause_pb2, run_event_pb2, run_pb2, threads_pb2

from tests.crash.blows import Death
from tests.crash.caller import Followed
from tests.crash.ledger import Entry, Kind
from tests.crash.scenarios.base import Scenario


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be.

    Attributes:
        check: In short, what was broken.
        text: How.
    """

    check: str
    text: str

    def __str__(self) -> str:
        """Returns both."""
        return f"{self.check}: {self.text}"


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run as it stands in the database.

    Attributes:
        run: The run.
        events: All of its events.
    """

    run: run_pb2.Run
    events: Sequence[run_event_pb2.RunEvent]

    @property
    def status(self) -> str:
        """Where it is in its life."""
        return run_pb2.RunStatus.Name(self.run.status).removeprefix("RUN_STATUS_")


@dataclass(frozen=True, slots=True)
class Evidence:
    """All there is to know about one play of a scenario.

    Attributes:
        scenario: The scenario.
        ledger: What nodes and client did, in order.
        followed: The runs as the client saw them.
        runs: The runs as they stand in the database, oldest first.
        pauses: The pauses of the thread as they stand in the database.
        thread: The thread in the end.
        state: Its state in the end.
        values: The values of that state.
        deaths: The ends of the server meanwhile.
        broken: Whether the script was broken off: then it came to no end.
    """

    scenario: Scenario
    ledger: Sequence[Entry]
    followed: Sequence[Followed]
    runs: Sequence[LoggedRun]
    pauses: Sequence[pause_pb2.Pause]
    thread: threads_pb2.Thread
    state: threads_pb2.ThreadState
    values: Any
    deaths: Sequence[Death]
    broken: bool = False

    @property
    def resumed(self) -> list[Entry]:
        """What the client approved and answered, but for what the server has refused."""
        resumed: list[Entry] = []
        for entry in self.ledger:
            if entry.kind in (Kind.APPROVED, Kind.ANSWERED):
                resumed.append(entry)
            elif entry.kind is Kind.REFUSED:
                said = entry.pause, entry.answer
                latest = next((e for e in reversed(resumed) if (e.pause, e.answer) == said), None)
                if latest is not None:
                    resumed.remove(latest)
        return resumed
