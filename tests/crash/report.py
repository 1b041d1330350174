"""What a campaign has done and found, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.crash.blows import BlowKind
from tests.crash.checks import Evidence
from tests.crash.checks.evidence import LoggedRun
from tests.crash.worker import Play, Result
from tests.e2e.drive import shape


@dataclass
class Tally:
    """What was done and found so far.

    Attributes:
        ended: By kind: how many servers were ended.
        hits: By scenario and kind: how often a server was ended while it was played.
        violations: By scenario and check: how often it was violated.
    """

    ended: Counter[BlowKind] = field(default_factory=Counter)
    hits: Counter[tuple[str, BlowKind]] = field(default_factory=Counter)
    violations: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        """How many servers were ended."""
        return self.ended.total()

    def add(self, result: Result) -> None:
        """Adds a job."""
        self.ended.update(death.blow.kind for death in result.deaths)
        for play in result.plays:
            name = play.scenario.name
            self.hits.update((name, death.blow.kind) for death in play.deaths)
            self.violations.update((name, violation.check) for violation in play.violations)

    def lines(self) -> Iterator[str]:
        """Returns the tables."""
        names = list(dict.fromkeys(name for name, _ in self.hits))
        width = max(map(len, ("servers ended", *names)))
        yield " " * width + "".join(f"{kind:>8}" for kind in BlowKind) + "     all"
        yield f"{'servers ended':<{width}}" + _row(self.ended[kind] for kind in BlowKind)
        for name in names:
            yield f"{name:<{width}}" + _row(self.hits[name, kind] for kind in BlowKind)
        yield f"violations: {self.violations.total()}"
        for (name, check), count in sorted(self.violations.items()):
            yield f"{count:6}  {name}: {check}"


def _row(counts: Iterable[int]) -> str:
    numbers = [*counts]
    return "".join(f"{number:8}" for number in (*numbers, sum(numbers)))


def describe(play: Play) -> Iterator[str]:
    """Returns all there is to say about a play with violations."""
    yield "=" * 100
    yield f"scenario   {play.scenario.name}"
    yield f"again with python -m tests.crash --replay '{play.job}'"
    for death in play.deaths:
        yield f"server     ended at {death.at} by {death.blow}"
    for violation in play.violations:
        yield f"VIOLATION  {violation}"
    if play.evidence is not None:
        yield from _describe_evidence(play.evidence)
    yield "--- end of the server's log"
    yield play.server_log.rstrip()


def _describe_evidence(evidence: Evidence) -> Iterator[str]:
    yield "--- ledger"
    yield from map(str, evidence.ledger)
    for run in evidence.runs:
        yield from _describe_run(run)
    yield f"--- values in the end: {evidence.values}"


def _describe_run(run: LoggedRun) -> Iterator[str]:
    yield f"--- events of run {run.run.run_id}, {run.status}"
    for event in run.events:
        at = event.event_time.ToMicroseconds()
        said = str(shape(event))
        yield f"{at} {event.sequence:3} attempt {event.attempt} {said[:200]}"
