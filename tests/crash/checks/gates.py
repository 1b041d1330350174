"""No gated node begins unless a pause for it was approved, and none that asks unless answered."""

from __future__ import annotations

from collections.abc import Iterator

from graphwire.v1 import pause_pb2

from tests.crash.checks.evidence import Evidence, Violation
from tests.crash.ledger import Entry, Kind
from tests.crash.player import pause_path
from tests.crash.scenarios.base import Gate


def check(evidence: Evidence) -> Iterator[Violation]:
    """Holds the ledger against the gates.

    Each approved pause lets one task of the node run, as often as it takes: the ledger has
    the approval before the task's first beginning. A pause before a node is for the task that
    it names; one after a node names the checkpoint, and lets as many tasks begin as there were
    such pauses.
    """
    for gate in evidence.scenario.gates:
        yield from _check_gate(evidence, gate)
    for run in evidence.runs:
        for event in run.events:
            asking = {
                pause_path(pause)
                for pause in event.interrupted.pauses
                if pause.kind == pause_pb2.PAUSE_KIND_INTERRUPT
            }
            for node in asking:
                yield from _check_asking(evidence, node, event.event_time.ToMicroseconds())


def _check_gate(evidence: Evidence, gate: Gate) -> Iterator[Violation]:
    resumed = evidence.resumed
    approved: dict[str, str] = {}
    begun: set[str] = set()
    free = 0
    for entry in evidence.ledger:
        if (entry.kind, entry.why) == (Kind.APPROVED, gate.why):
            if entry in resumed and gate.at in ("", entry.node):
                approved[entry.pause] = entry.task
        elif entry.kind is Kind.ROLLED_BACK:
            begun.discard(approved.pop(entry.pause, ""))
        elif (entry.kind, entry.node) == (Kind.BEGAN, gate.node) and entry.task not in begun:
            if not _is_given(entry, gate):
                continue
            begun.add(entry.task)
            if gate.why == "BREAKPOINT_AFTER":
                free = len(begun) - len(approved)
            elif gate.at:
                free += entry.task not in approved.values()
            else:
                free += not approved
            if free > gate.free:
                yield Violation(
                    "unapproved",
                    f"task {entry.task} of {gate.node} began, the {len(begun)}. one, when "
                    f"{len(approved)} pauses ({gate.why} {gate.at}) were approved, for "
                    f"{[*approved.values()]}",
                )


def _is_given(entry: Entry, gate: Gate) -> bool:
    """Tells whether a task got what the gate is about."""
    return gate.given is None or gate.given.items() <= entry.given.items()


def _check_asking(evidence: Evidence, node: str, since: int) -> Iterator[Violation]:
    """Checks the tasks of a node that wait for answers since some time."""
    ended = {e.task for e in evidence.ledger if e.kind is Kind.ENDED and e.at < since}
    waiting = {
        entry.task
        for entry in evidence.ledger
        if (entry.kind, entry.node) == (Kind.BEGAN, node) and entry.at < since
    } - ended
    resumed = evidence.resumed
    answered: set[str] = set()
    begun: set[str] = set()
    for entry in evidence.ledger:
        if entry.kind is Kind.ROLLED_BACK and entry.pause in answered:
            answered.remove(entry.pause)
            begun.clear()
        if entry.at < since or entry.node != node:
            continue
        if entry.kind is Kind.ANSWERED and entry in resumed:
            answered.add(entry.pause)
        elif entry.kind is Kind.BEGAN and entry.task in waiting - begun:
            begun.add(entry.task)
            if len(begun) > len(answered):
                yield Violation(
                    "unanswered",
                    f"task {entry.task} of {node} began again, the {len(begun)}. one, when "
                    f"{len(answered)} questions of that node were answered",
                )
