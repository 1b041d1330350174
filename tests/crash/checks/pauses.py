"""Each thing that waits has one pause, which is answered once and then never seen again."""

from __future__ import annotations

from collections.abc import Iterator

from graphwire.v1 import pause_pb2

from tests.crash.checks.evidence import Evidence, Violation
from tests.e2e.drive import pause_shape

#: What waits: the kind of its pause, the task (or checkpoint), the node, the question.
What = tuple[int, str, str, str]


def check(evidence: Evidence) -> Iterator[Violation]:
    """Holds the pauses of all runs against each other, and against what was approved."""
    resumed: dict[str, int] = {}
    for entry in evidence.resumed:
        resumed.setdefault(entry.pause, entry.at)
    waiting: dict[What, str] = {}
    named: dict[str, What] = {}
    for run in evidence.runs:
        for event in run.events:
            pauses = event.interrupted.pauses
            at = event.event_time.ToMicroseconds()
            if len({_what(pause) for pause in pauses}) < len(pauses):
                shapes = [pause_shape(pause) for pause in pauses]
                yield Violation("pause twice", f"run {run.run.run_id} ended at {shapes}")
            for pause in pauses:
                what, pause_id = _what(pause), pause.pause_id
                if named.setdefault(pause_id, what) != what:
                    text = f"{pause_id} is of {named[pause_id]} and of {what}"
                    yield Violation("pause of two", text)
                if resumed.get(pause_id, at) < at:
                    yield Violation(
                        "pause resumed and open",
                        f"{pause_id} {pause_shape(pause)} was resumed at {resumed[pause_id]}, and "
                        f"run {run.run.run_id} ended there at {at}",
                    )
                first = waiting.setdefault(what, pause_id)
                if first != pause_id and not evidence.scenario.renewed:
                    text = f"{pause_shape(pause)} was {first} and is {pause_id}"
                    yield Violation("pause renewed", text)


def _what(pause: pause_pb2.Pause) -> What:
    return pause.kind, pause.task_id, pause.node, pause.interrupt_id
