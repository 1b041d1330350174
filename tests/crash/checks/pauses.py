"""Each thing that waits has one pause, which is resolved once, as the client has said."""

from __future__ import annotations

from collections.abc import Iterator

from graphwire.v1 import pause_pb2
from graphwire.v1.breakpoint_pb2 import ON_EXPIRY_REJECT

from tests.crash.checks.evidence import Evidence, Violation
from tests.crash.ledger import Kind
from tests.e2e.drive import pause_shape, value

#: What waits: the kind of its pause, the task (or checkpoint), the node, the question.
What = tuple[int, str, str, str]


def check(evidence: Evidence) -> Iterator[Violation]:
    """Holds the pauses with which runs ended against each other, and what has become of them."""
    resolved = {
        pause.pause_id: pause.resolution.time.ToMicroseconds()
        for pause in evidence.pauses
        if pause.HasField("resolution")
    }
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
                if resolved.get(pause_id, at) < at:
                    yield Violation(
                        "pause resolved and open",
                        f"{pause_id} {pause_shape(pause)} was resolved at {resolved[pause_id]}, "
                        f"and run {run.run.run_id} ended there at {at}",
                    )
                first = waiting.setdefault(what, pause_id)
                if first != pause_id and not evidence.scenario.renewed:
                    text = f"{pause_shape(pause)} was {first} and is {pause_id}"
                    yield Violation("pause renewed", text)


def check_records(evidence: Evidence) -> Iterator[Violation]:
    """Holds the records of all pauses against what the client has done with them."""
    resumed = {entry.pause: entry for entry in evidence.resumed}
    for entry in evidence.ledger:
        if entry.kind is Kind.ROLLED_BACK:
            resumed.pop(entry.pause, None)
    runs = {run.run.run_id for run in evidence.runs}
    told = {p.pause_id for run in evidence.runs for e in run.events for p in e.interrupted.pauses}
    if lost := told - {pause.pause_id for pause in evidence.pauses}:
        yield Violation("pause record", f"there are none of {lost}")
    taken: dict[What, str] = {}
    for pause in evidence.pauses:
        status, resolution = pause_pb2.PauseStatus.Name(pause.status), pause.resolution
        where = f"{pause.pause_id} {pause_shape(pause)} is {status}"
        if pause.status == pause_pb2.PAUSE_STATUS_OPEN:
            yield Violation("pause record", f"{where} in the end")
        if (pause.status == pause_pb2.PAUSE_STATUS_RESUMED) != (pause.pause_id in resumed):
            rejected = resolution.expired and pause.on_expiry == ON_EXPIRY_REJECT
            if not rejected:
                yield Violation("pause record", f"{where}, resumed: {[*resumed]}")
        if pause.status != pause_pb2.PAUSE_STATUS_RESUMED:
            continue
        if resolution.run_id not in runs:
            yield Violation("pause record", f"{where} by run {resolution.run_id!r}, of {runs}")
        answer = resumed[pause.pause_id].answer if pause.pause_id in resumed else None
        found = value(resolution.answer) if resolution.HasField("answer") else None
        if found != answer:
            yield Violation("pause record", f"{where} with {found}, and not with {answer}")
        if taken.setdefault(_what(pause), pause.pause_id) != pause.pause_id:
            yield Violation("pause record", f"{where}, and so is {taken[_what(pause)]}")


def _what(pause: pause_pb2.Pause) -> What:
    return pause.kind, pause.task_id, pause.node, pause.interrupt_id
