"""Each question gets its own answer, the same one each time, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.checks.evidence import Evidence, Violation
from tests.crash.ledger import Entry, Kind


def check(evidence: Evidence) -> Iterator[Violation]:
    """Holds what nodes were told against what was asked and answered."""
    resumed = evidence.resumed
    given: dict[str, Entry] = {}
    told: dict[str, Entry] = {}
    for entry in evidence.ledger:
        if entry.kind is Kind.ANSWERED and entry in resumed:
            given[repr(entry.answer)] = entry
        elif entry.kind is Kind.TOLD:
            yield from _check_told(entry, given.get(repr(entry.answer)))
            first = told.setdefault(repr(entry.answer), entry)
            if first.task != entry.task:
                yield Violation(
                    "answer used twice", f"{entry.answer} went to {first.task} and {entry.task}"
                )
    yield from _check_changed(evidence)
    if not evidence.broken:
        for answer, entry in given.items():
            if answer not in told:
                yield Violation("answer lost", f"{entry.node} never got {answer}")


def _check_told(told: Entry, given: Entry | None) -> Iterator[Violation]:
    where = f"{told.node} (task {told.task}) asked {told.question!r} and was told {told.answer}"
    if given is None:
        yield Violation("answer from nowhere", where)
    elif (given.question, given.node) != (told.question, told.node):
        yield Violation("wrong answer", f"{where}, which was for {given.node} {given.question!r}")


def _check_changed(evidence: Evidence) -> Iterator[Violation]:
    first: dict[tuple[str, str], Entry] = {}
    for entry in evidence.ledger:
        if entry.kind is Kind.ROLLED_BACK:
            first = {key: told for key, told in first.items() if told.answer != entry.answer}
        elif entry.kind is Kind.TOLD:
            before = first.setdefault((entry.task, repr(entry.question)), entry)
            if before.answer != entry.answer:
                yield Violation(
                    "answer changed",
                    f"{entry.node} (task {entry.task}) asked {entry.question!r} and was told "
                    f"{before.answer}, then {entry.answer}",
                )
