"""No task runs again once it is finished, and none that an undisturbed server does not run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphwire.v1 import run_event_pb2

from tests.crash.checks.evidence import Evidence, Violation
from tests.crash.ledger import Entry, Kind

#: What a task has done: its node, what it got (when an update came with an answer, it got one
#: thing and then another), what it was told, whether it came to its end.
Trace = tuple[str, str, str, bool]


def check(evidence: Evidence) -> Iterator[Violation]:
    """Checks that what is in the log as finished has not begun after that, on any server.

    What a run has finished that was rolled back may begin again.
    """
    finished_at: dict[str, int] = {}
    undone = {run.run.run_id for run in evidence.runs if run.run.rolled_back}
    logged = (e for run in evidence.runs if run.run.run_id not in undone for e in run.events)
    seen = (e for run in evidence.followed if run.run_id not in undone for e in run.events)
    for event in finished([*logged, *seen]):
        task = event.task_finished.task_id
        at = event.event_time.ToMicroseconds()
        finished_at[task] = min(at, finished_at.get(task, at))
    for entry in evidence.ledger:
        if entry.kind is Kind.BEGAN and entry.at > finished_at.get(entry.task, entry.at):
            yield Violation(
                "finished task ran again",
                f"{entry.node} (task {entry.task}) began at {entry.at}; the log has it as "
                f"finished at {finished_at[entry.task]}",
            )


def compare(evidence: Evidence, reference: Evidence) -> Iterator[Violation]:
    """Compares with the tasks of an undisturbed play."""
    found, expected = _traces(evidence.ledger), _traces(reference.ledger)
    for trace in (found - expected).elements():
        yield Violation("task too many", _described(trace))
    for trace in (expected - found).elements():
        yield Violation("task missing", _described(trace))


def finished(events: Iterable[run_event_pb2.RunEvent]) -> Iterator[run_event_pb2.RunEvent]:
    """Returns the events that say that a task has come to its end, with its result."""
    for event in events:
        task = event.task_finished
        if task.HasField("result") and not task.HasField("error") and not task.interrupt_ids:
            yield event


def _traces(ledger: Iterable[Entry]) -> Counter[Trace]:
    return Counter(_trace(entries) for entries in _by_task(ledger).values())


def _trace(entries: Sequence[Entry]) -> Trace:
    given = [_text(entry.given) for entry in entries if entry.kind is Kind.BEGAN]
    told = {_text([e.question, _said(e.answer)]) for e in entries if e.kind is Kind.TOLD}
    ended = any(entry.kind is Kind.ENDED for entry in entries)
    return entries[0].node, " then ".join(dict.fromkeys(given)), ", ".join(sorted(told)), ended


def _said(answer: Any) -> Any:
    """An answer without who gave it: of those that race, either may win."""
    return {**answer, "by": 0} if isinstance(answer, dict) else answer


def _by_task(ledger: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Returns the entries of each task, from its first beginning."""
    tasks: dict[str, list[Entry]] = {}
    for entry in ledger:
        if entry.kind is Kind.BEGAN:
            tasks.setdefault(entry.task, []).append(entry)
        elif entry.task in tasks:
            tasks[entry.task].append(entry)
    return tasks


def _described(trace: Trace) -> str:
    node, given, told, ended = trace
    end = "came to its end" if ended else "did not come to its end"
    return f"{node} got {given}, was told {told or 'nothing'}, and {end}"


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
