"""What must hold after a scenario, whatever has happened to the server meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.checks import answers, events, gates, outcome, pauses, speech, tasks
from tests.crash.checks.evidence import Evidence, Violation

__all__ = ["Evidence", "Violation", "check"]


def check(evidence: Evidence, reference: Evidence | None) -> Iterator[Violation]:
    """Checks everything.

    Args:
        evidence: What there is to know about one play of a scenario.
        reference: The same of an undisturbed play; None: this is one.
    """
    yield from gates.check(evidence)
    yield from answers.check(evidence)
    yield from tasks.check(evidence)
    yield from pauses.check(evidence)
    yield from events.check(evidence)
    yield from speech.check(evidence)
    if not evidence.broken:
        yield from pauses.check_records(evidence)
        yield from outcome.check(evidence)
        if reference is not None and not evidence.scenario.otherwise:
            yield from tasks.compare(evidence, reference)
