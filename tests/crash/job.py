"""One job of the campaign: some scenarios, and how their server is ended meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from tests.crash.blows import Blow
from tests.crash.scenarios import SCENARIOS

_ALL = "all"


@dataclass(frozen=True, slots=True)
class Job:
    """Some scenarios at once on one server, and the blows that it gets.

    Attributes:
        scenarios: Their names.
        blows: The ways to end the server, one after the other; none: it is left alone.
    """

    scenarios: tuple[str, ...]
    blows: tuple[Blow, ...] = ()

    def __str__(self) -> str:
        """Returns it as `parse` reads it: `queue,goto:before@17,kill@0.25`."""
        everything = set(self.scenarios) == set(SCENARIOS)
        names = _ALL if everything else ",".join(self.scenarios)
        return f"{names}:{','.join(map(str, self.blows))}"

    @classmethod
    def parse(cls, text: str) -> Job:
        """Reads it.

        Raises:
            ValueError: It is no job.
        """
        names, _, blows = text.partition(":")
        return cls(read_names(names), tuple(Blow.parse(blow) for blow in blows.split(",") if blow))


def read_names(text: str) -> tuple[str, ...]:
    """Reads names of scenarios: `queue,goto`, or `all`.

    Raises:
        ValueError: There is no such scenario.
    """
    names = tuple(SCENARIOS) if text == _ALL else tuple(text.split(","))
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise ValueError(f"no scenario is called {unknown[0]!r}")
    return names
