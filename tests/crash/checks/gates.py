"""No gated node begins unless a pause for it was approved before."""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.checks.evidence import Evidence, Violation
from tests.crash.ledger import Kind
from tests.crash.scenarios.base import Gate


def check(evidence: Evidence) -> Iterator[Violation]:
    """Holds the ledger against the gates.

    Each approved pause lets one task of the node run, as often as it takes: the ledger has
    the approval before the task's first beginning.
    """
    for gate in evidence.scenario.gates:
        yield from _check_gate(evidence, gate)


def _check_gate(evidence: Evidence, gate: Gate) -> Iterator[Violation]:
    refused = {entry.pause for entry in evidence.ledger if entry.kind is Kind.REFUSED}
    approved: set[str] = set()
    begun: set[str] = set()
    for entry in evidence.ledger:
        if (entry.kind, entry.why, entry.node) == (Kind.APPROVED, gate.why, gate.at):
            approved |= {entry.pause} - refused
        elif (entry.kind, entry.node) == (Kind.BEGAN, gate.node) and entry.task not in begun:
            begun.add(entry.task)
            if len(begun) > gate.free + len(approved):
                yield Violation(
                    "unapproved",
                    f"task {entry.task} of {gate.node} began, the {len(begun)}. one, when "
                    f"{len(approved)} pauses ({gate.why} {gate.at}) were approved",
                )
