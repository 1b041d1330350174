"""Gates for the zoo's graphs that wait, and waiting itself, always with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from graphwire.v1 import payload_pb2

from tests.e2e.drive import DEADLINE, payload


def until(condition: Callable[[], object], what: str = "", *, seconds: float = DEADLINE) -> None:
    """Waits until a condition is true; fails, saying what was waited for, when it takes long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        time.sleep(0.01)


@dataclass(frozen=True)
class Gate:
    """What the nodes of `gated`, `gated_sync` and the like wait for.

    Attributes:
        path: A file; a node waits until it is there.
    """

    path: Path

    @property
    def input(self) -> payload_pb2.Payload:
        """The input of a run that is to wait here."""
        return payload({"log": ["in"], "path": str(self.path)})

    @property
    def returned(self) -> bool:
        """Whether the node of `gated_sync` has returned."""
        return Path(f"{self.path}.returned").exists()

    def wait_begun(self) -> None:
        """Waits until a node waits here; called again, until the next one does."""
        mark = Path(f"{self.path}.begun")
        until(mark.exists, f"a node waits at {self.path.name}")
        mark.unlink()

    def wait_returned(self) -> None:
        """Waits until the node of `gated_sync` has returned."""
        until(lambda: self.returned, f"the node at {self.path.name} has returned")

    def open(self) -> None:
        """Lets nodes go on that wait here, and those to come."""
        self.path.touch()

    def close(self) -> None:
        """Has nodes wait here again, and forgets those that did."""
        self.path.unlink(missing_ok=True)
        Path(f"{self.path}.begun").unlink(missing_ok=True)
