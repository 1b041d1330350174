"""The event log: whole, in order, and nothing in it that a client saw otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from graphwire.v1 import run_event_pb2, run_pb2

from tests.crash.blows import Death
from tests.crash.caller import Followed
from tests.crash.checks.evidence import Evidence, LoggedRun, Violation

Events = Sequence[run_event_pb2.RunEvent]

#: What may follow a restart without a new attempt: the run ends, and executes nothing.
_MERE_END = {"interrupted", "end"}
#: What there may be of a run that has not begun to execute.
_NOT_BEGUN = {"metadata"}


def check(evidence: Evidence) -> Iterator[Violation]:
    """Checks the log of each run, and holds it against what the client saw."""
    logged = {run.run.run_id: run for run in evidence.runs}
    for run in evidence.runs:
        where = f"run {run.run.run_id}"
        for text in (*_check_order(run), *check_attempts(run.events, evidence.deaths)):
            yield Violation("event log", f"{where}: {text}")
    for followed in evidence.followed:
        if followed.run_id in logged:
            yield from _check_seen(followed, logged[followed.run_id])
        elif followed.run_id:
            yield Violation("event log", f"run {followed.run_id} was followed, and is gone")


def _check_order(run: LoggedRun) -> Iterator[str]:
    sequences = [event.sequence for event in run.events]
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"sequences are {sequences}"
    if {event.run_id for event in run.events} - {run.run.run_id}:
        yield "it has events of another run"
    kinds = [event.WhichOneof("event") for event in run.events]
    if kinds.count("metadata") != 1 or kinds[:1] != ["metadata"]:
        yield f"`metadata` is not just first: {kinds}"
    if not run.run.HasField("end_time"):
        yield f"it is {run.status}, and has not ended"
        return
    if kinds.count("end") != 1 or kinds[-1:] != ["end"]:
        yield f"`end` is not just last: {kinds}"
    elif run.events[-1].end.status != run.run.status:
        yield f"it is {run.status}, and its `end` says otherwise"
    if ("interrupted" in kinds) != (run.status == "INTERRUPTED"):
        yield f"it is {run.status}, and has `interrupted` {kinds.count('interrupted')} times"
    if run.run.last_sequence != len(run.events):
        yield f"last_sequence is {run.run.last_sequence}, and there are {len(run.events)} events"


def check_attempts(events: Events, deaths: Sequence[Death]) -> Iterator[str]:
    """Yields what is wrong with how the attempts at a run follow each other."""
    attempt = 1
    for event in events:
        if event.WhichOneof("event") == "attempt_started":
            attempt += 1
            if event.attempt_started.attempt != attempt:
                yield f"event {event.sequence} starts another attempt than {attempt}"
        # Each death may have had the run taken up once more, and no other thing may.
        taken_up = attempt < event.attempt <= 1 + len(deaths)
        if event.attempt != attempt and not (_is_mere_cancellation(event) and taken_up):
            yield f"event {event.sequence} is of attempt {event.attempt}, and not {attempt}"
    lives = _by_life(events, deaths)
    for number, life in enumerate(lives[1:], start=1):
        kinds = [event.WhichOneof("event") for event in life]
        earlier = {event.WhichOneof("event") for part in lives[:number] for event in part}
        if earlier <= _NOT_BEGUN or set(kinds) <= _MERE_END:
            continue
        if kinds[0] != "attempt_started":
            yield f"event {life[0].sequence} follows a restart, and is no `attempt_started`"


def _is_mere_cancellation(event: run_event_pb2.RunEvent) -> bool:
    """Tells whether a run that was to be cancelled may have ended here without going on."""
    ended = event.WhichOneof("event") == "end"
    return ended and event.end.status == run_pb2.RUN_STATUS_CANCELLED


def _by_life(events: Events, deaths: Sequence[Death]) -> list[Events]:
    """Returns the events that came before the first end of the server, then the next, …"""
    bounds = [0, *(death.at for death in deaths), 1 << 62]
    return [
        [e for e in events if since < e.event_time.ToMicroseconds() <= until]
        for since, until in pairwise(bounds)
    ]


def _check_seen(followed: Followed, run: LoggedRun) -> Iterator[Violation]:
    for event in followed.events:
        if event.sequence > len(run.events):
            text = f"{event.sequence} of run {followed.run_id} was seen, and is gone"
            yield Violation("event lost", f"{text}: {event}")
        elif _bytes(run.events[event.sequence - 1]) != _bytes(event):
            text = f"{event.sequence} of run {followed.run_id}"
            logged = run.events[event.sequence - 1]
            yield Violation("event changed", f"{text} was seen as {event}, and is now {logged}")


def _bytes(event: run_event_pb2.RunEvent) -> bytes:
    return event.SerializeToString(deterministic=True)
