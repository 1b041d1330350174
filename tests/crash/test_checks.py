"""The checks: each finds what it is there for, and nothing in a crash that went well.

The evidence is that of a run that stops before node `b`, is resumed, and asks in `c`; its
server is killed while `b` runs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from graphwire.v1 import pause_pb2, payload_pb2, run_event_pb2, run_pb2, threads_pb2

from tests.crash.blows import Blow, BlowKind, Death
from tests.crash.caller import Followed
from tests.crash.checks import Evidence, check
from tests.crash.checks.events import check_attempts
from tests.crash.checks.evidence import LoggedRun
from tests.crash.ledger import Entry, Kind
from tests.crash.player import Player
from tests.crash.scenarios.base import Gate, Scenario

KILLED_AT = 500


def _nothing(me: Player) -> None:
    """No script: the evidence is made here."""


SCENARIO = Scenario(
    name="made up",
    graph="linear",
    script=_nothing,
    gates=(Gate("b", "BREAKPOINT_BEFORE", "b"),),
    log=("input", "a", "b", "c? answer 1"),
    steps=(),
)

ANSWER = {"to": "c?", "text": "answer 1"}
NAMES = {"A": "a", "B": "b", "C": "c"}


@dataclass
class Story:
    """What happened, to be changed by a test."""

    ledger: list[Entry] = field(default_factory=list)
    runs: list[list[run_event_pb2.RunEvent]] = field(default_factory=list)
    seen: list[list[run_event_pb2.RunEvent]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    thread: threads_pb2.Thread = field(default_factory=threads_pb2.Thread)
    state: threads_pb2.ThreadState = field(default_factory=threads_pb2.ThreadState)
    pauses: list[pause_pb2.Pause] = field(default_factory=list)
    broken: bool = False

    def show(self) -> None:
        """Numbers the events anew, and has the client see all of them."""
        for n, run in enumerate(self.runs):
            number(run)
            for one in run:
                one.run_id = f"run{n}"
        self.seen = copy.deepcopy(self.runs)

    @property
    def evidence(self) -> Evidence:
        """All of it, as a scenario leaves it behind."""
        return Evidence(
            scenario=SCENARIO,
            ledger=sorted(self.ledger, key=lambda entry: entry.at),
            followed=[Followed(f"run{n}", "t", seen) for n, seen in enumerate(self.seen)],
            runs=[_logged(f"run{n}", events) for n, events in enumerate(self.runs)],
            thread=self.thread,
            state=self.state,
            pauses=self.pauses,
            values=self.values,
            deaths=[Death(KILLED_AT, Blow(BlowKind.KILL, 1))],
            broken=self.broken,
        )

    def found(self, reference: Evidence | None = None) -> set[str]:
        """The checks that find something."""
        return {violation.check for violation in check(self.evidence, reference)}


def node(at: int, kind: Kind, task: str, **fields: Any) -> Entry:
    """A line of a node."""
    return Entry(kind=kind, at=at, node=NAMES[task], task=task, run="run", **fields)


def event(at: int, number: int, attempt: int = 1, **what: Any) -> run_event_pb2.RunEvent:
    """An event of a run, numbered by `logged`."""
    made = run_event_pb2.RunEvent(sequence=number, attempt=attempt, **what)
    made.event_time.FromMicroseconds(at)
    return made


def finished(task: str) -> run_event_pb2.TaskFinishedEvent:
    """A task with a result."""
    result = payload_pb2.Payload(json="{}")
    return run_event_pb2.TaskFinishedEvent(task_id=task, node=NAMES[task], result=result)


def _logged(run_id: str, events: list[run_event_pb2.RunEvent]) -> LoggedRun:
    run = run_pb2.Run(run_id=run_id, last_sequence=len(events))
    if events and events[-1].HasField("end"):
        run.status = events[-1].end.status
        run.end_time.FromMicroseconds(events[-1].event_time.ToMicroseconds())
    for one in events:
        one.run_id = run_id
    return LoggedRun(run, events)


def number(events: list[run_event_pb2.RunEvent]) -> None:
    """Numbers the events of a run anew."""
    for sequence, one in enumerate(events, start=1):
        one.sequence = sequence


INTERRUPTED = run_event_pb2.EndEvent(status=run_pb2.RUN_STATUS_INTERRUPTED)
SUCCEEDED = run_event_pb2.EndEvent(status=run_pb2.RUN_STATUS_SUCCEEDED)
AT_B = pause_pb2.Pause(
    pause_id="p1", kind=pause_pb2.PAUSE_KIND_BREAKPOINT_BEFORE, node="b", task_id="B"
)
AT_C = pause_pb2.Pause(
    pause_id="p2", kind=pause_pb2.PAUSE_KIND_INTERRUPT, node="c", task_id="C", interrupt_id="I"
)


def resolved(pause: pause_pb2.Pause, run_id: str, at: int, **fields: Any) -> pause_pb2.Pause:
    """The record of a pause that a run went on from."""
    record = copy.deepcopy(pause)
    record.status = pause_pb2.PAUSE_STATUS_RESUMED
    record.resolution.run_id = run_id
    record.resolution.time.FromMicroseconds(at)
    record.MergeFrom(pause_pb2.Pause(**fields))
    return record


PAUSING = run_event_pb2.InterruptedEvent(pauses=[AT_B])
ASKING = run_event_pb2.InterruptedEvent(pauses=[AT_C])
METADATA = run_event_pb2.MetadataEvent(thread_id="t")
SECOND = run_event_pb2.AttemptStartedEvent(attempt=2)


def a_kill_that_went_well() -> Story:
    """Run 0 stops before b, run 1 is killed in b and stops at a question, run 2 answers it."""
    story = Story(
        ledger=[
            node(100, Kind.BEGAN, "A", given={"log": ["input"]}),
            node(110, Kind.ENDED, "A"),
            Entry(
                kind=Kind.APPROVED, at=200, node="b", task="B", pause="p1", why="BREAKPOINT_BEFORE"
            ),
            node(300, Kind.BEGAN, "B", given={"log": ["input", "a"]}),
            node(600, Kind.BEGAN, "B", given={"log": ["input", "a"]}),
            node(610, Kind.ENDED, "B"),
            node(620, Kind.BEGAN, "C", given={"log": ["input", "a", "b"]}),
            Entry(kind=Kind.ANSWERED, at=700, node="c", pause="p2", question="c?", answer=ANSWER),
            node(720, Kind.BEGAN, "C", given={"log": ["input", "a", "b"]}),
            node(721, Kind.TOLD, "C", question="c?", answer=ANSWER),
            node(722, Kind.ENDED, "C"),
        ],
        runs=[
            [
                event(90, 1, metadata=METADATA),
                event(120, 2, task_finished=finished("A")),
                event(130, 3, interrupted=PAUSING),
                event(131, 4, end=INTERRUPTED),
            ],
            [
                event(290, 1, metadata=METADATA),
                event(299, 2, task_started=run_event_pb2.TaskStartedEvent(task_id="B")),
                event(590, 3, 2, attempt_started=SECOND),
                event(615, 4, 2, task_finished=finished("B")),
                event(630, 5, 2, interrupted=ASKING),
                event(631, 6, 2, end=INTERRUPTED),
            ],
            [
                event(710, 1, metadata=METADATA),
                event(730, 2, task_finished=finished("C")),
                event(740, 3, end=SUCCEEDED),
            ],
        ],
        values={"log": ["input", "a", "b", "c? answer 1"], "steps": [], "count": 103},
        pauses=[resolved(AT_B, "run1", 290), resolved(AT_C, "run2", 710)],
        thread=threads_pb2.Thread(status=threads_pb2.THREAD_STATUS_IDLE),
    )
    story.pauses[1].resolution.answer.json = json.dumps(ANSWER)
    story.show()
    return story


def test_a_crash_that_went_well_violates_nothing() -> None:
    story = a_kill_that_went_well()
    assert story.found(story.evidence) == set()


# --- what must not happen, and which check finds it ---


def _without_approval(story: Story) -> None:
    del story.ledger[2]


def _approval_was_refused(story: Story) -> None:
    story.ledger.append(Entry(kind=Kind.REFUSED, at=201, pause="p1"))


def _approved_too_late(story: Story) -> None:
    story.ledger[2] = replace(story.ledger[2], at=301)


def _approved_for_another_kind_of_pause(story: Story) -> None:
    story.ledger[2] = replace(story.ledger[2], why="BREAKPOINT_AFTER")


def _one_approval_for_two_tasks(story: Story) -> None:
    story.ledger.append(
        Entry(kind=Kind.BEGAN, at=612, node="b", task="B2", given={"log": ["input", "a"]})
    )


def _approved_for_another_task(story: Story) -> None:
    story.ledger[2] = replace(story.ledger[2], task="B2")


def _two_pauses_of_one_task(story: Story) -> None:
    again = copy.deepcopy(AT_B)
    again.pause_id = "p3"
    story.runs[0][2].interrupted.pauses.append(again)
    story.show()


def _pause_renewed(story: Story) -> None:
    again = copy.deepcopy(AT_B)
    again.pause_id = "p3"
    story.runs[1][4].interrupted.pauses.append(again)
    story.show()


def _pause_open_after_it_was_resumed(story: Story) -> None:
    story.runs[1][4].interrupted.pauses.append(AT_B)
    story.show()


def _pause_never_resumed(story: Story) -> None:
    story.pauses[0].status = pause_pb2.PAUSE_STATUS_SUPERSEDED


def _pause_still_open(story: Story) -> None:
    story.pauses[1].status = pause_pb2.PAUSE_STATUS_OPEN


def _pause_resumed_by_nobody(story: Story) -> None:
    story.pauses.append(resolved(AT_B, "run1", 200, pause_id="p3"))


def _pause_without_its_run(story: Story) -> None:
    story.pauses[0].resolution.run_id = ""


def _pause_with_another_answer(story: Story) -> None:
    story.pauses[1].resolution.answer.json = '"something else"'


def _pause_without_a_record(story: Story) -> None:
    del story.pauses[0]


def _pause_of_two_tasks(story: Story) -> None:
    story.runs[1][4].interrupted.pauses[0].pause_id = "p1"
    story.ledger[7] = replace(story.ledger[7], pause="p1")
    story.show()


def _answer_of_another_question(story: Story) -> None:
    story.ledger[7] = replace(story.ledger[7], question="b?", node="b")


def _answer_before_it_was_given(story: Story) -> None:
    story.ledger[7] = replace(story.ledger[7], at=800)


def _answer_changed(story: Story) -> None:
    other = {"to": "c?", "text": "answer 2"}
    story.ledger += [
        replace(story.ledger[7], at=701, answer=other, pause="p3"),
        node(721, Kind.TOLD, "C", question="c?", answer=other),
    ]


def _began_again_unanswered(story: Story) -> None:
    story.ledger.append(node(650, Kind.BEGAN, "C", given={"log": ["input", "a", "b"]}))


def _answer_lost(story: Story) -> None:
    del story.ledger[9]


def _answer_used_twice(story: Story) -> None:
    story.ledger.append(
        Entry(kind=Kind.TOLD, at=725, node="c", task="C2", question="c?", answer=ANSWER)
    )


def _finished_task_ran_again(story: Story) -> None:
    story.ledger.append(node(616, Kind.BEGAN, "B", given={"log": ["input", "a"]}))


def _finished_task_ran_again_after_only_a_client_saw_it(story: Story) -> None:
    story.seen[1].insert(2, event(310, 3, run_id="run1", task_finished=finished("B")))


def _sequence_missing(story: Story) -> None:
    del story.runs[1][3]


def _sequence_twice(story: Story) -> None:
    story.runs[0][2].sequence = 2


def _event_gone(story: Story) -> None:
    del story.runs[1][3]
    number(story.runs[1])


def _event_changed(story: Story) -> None:
    story.runs[1][3].task_finished.result.json = '{"log": ["b"]}'


def _event_of_a_lost_log_was_seen(story: Story) -> None:
    story.seen[2].append(event(741, 4, run_id="run2", end=SUCCEEDED))


def _run_gone(story: Story) -> None:
    story.runs.pop()


def _no_metadata(story: Story) -> None:
    del story.runs[2][0]
    number(story.runs[2])


def _metadata_twice(story: Story) -> None:
    story.runs[1].insert(2, event(589, 0, metadata=METADATA))
    number(story.runs[1])


def _end_twice(story: Story) -> None:
    story.runs[1].insert(2, event(310, 0, end=INTERRUPTED))
    number(story.runs[1])


def _no_end(story: Story) -> None:
    story.runs[2].pop()
    story.seen[2].pop()


def _end_without_its_pauses(story: Story) -> None:
    del story.runs[1][4]
    number(story.runs[1])


def _no_new_attempt(story: Story) -> None:
    del story.runs[1][2]
    number(story.runs[1])
    for one in story.runs[1]:
        one.attempt = 1


def _attempt_not_counted(story: Story) -> None:
    story.runs[1][3].attempt = 1


def _attempt_skipped(story: Story) -> None:
    story.runs[1][2].attempt_started.attempt = 3


def _stuck(story: Story) -> None:
    story.thread.status = threads_pb2.THREAD_STATUS_BUSY


def _still_paused(story: Story) -> None:
    story.thread.pauses.add(node="b")


def _state_behind(story: Story) -> None:
    story.state.next.append("c")


def _input_applied_twice(story: Story) -> None:
    story.values["log"] = ["input", "input", "a", "b", "c? answer 1"]


def _counted_twice(story: Story) -> None:
    story.values["count"] = 203


def _run_that_nobody_started(story: Story) -> None:
    story.seen.pop()


def _custom_event_lost(story: Story) -> None:
    for tick in (0, 2):
        data = payload_pb2.Payload(json=json.dumps({"task": "B", "tick": tick}))
        story.runs[1].insert(4, event(612, 0, 2, custom=run_event_pb2.CustomEvent(data=data)))
    number(story.runs[1])


def _token_lost(story: Story) -> None:
    said(story, "Good ")
    story.values["messages"] = [{"id": "m", "content": "Good morning"}]


def said(story: Story, *pieces: str) -> None:
    """Has run 2 say something."""
    for piece in reversed(pieces):
        story.runs[2].insert(1, event(725, 0, message=message(piece)))
    story.show()


def message(text: str) -> run_event_pb2.MessageEvent:
    """A piece of a message."""
    piece = run_event_pb2.ContentPiece(text=text)
    return run_event_pb2.MessageEvent(message_id="m", content=[piece])


RECORD = "pause record"
LOG, LOST, CHANGED = "event log", "event lost", "event changed"

FOUND: list[tuple[Callable[[Story], None], set[str]]] = [
    (_without_approval, {"unapproved", RECORD}),
    (_approval_was_refused, {"unapproved", RECORD}),
    (_approved_too_late, {"unapproved"}),
    (_approved_for_another_kind_of_pause, {"unapproved"}),
    (_approved_for_another_task, {"unapproved"}),
    (_two_pauses_of_one_task, {"pause twice", "pause renewed", RECORD}),
    (_pause_renewed, {"pause renewed", RECORD}),
    (_pause_open_after_it_was_resumed, {"pause resolved and open"}),
    (_pause_of_two_tasks, {"pause of two", "pause resolved and open", RECORD}),
    (_pause_never_resumed, {RECORD}),
    (_pause_still_open, {RECORD}),
    (_pause_resumed_by_nobody, {RECORD}),
    (_pause_without_its_run, {RECORD}),
    (_pause_with_another_answer, {RECORD}),
    (_pause_without_a_record, {RECORD}),
    (_one_approval_for_two_tasks, {"unapproved", "task too many"}),
    (_answer_of_another_question, {"wrong answer", "unanswered"}),
    (_answer_before_it_was_given, {"answer from nowhere", "unanswered"}),
    (_answer_changed, {"answer changed", "task too many", "task missing"}),
    (_began_again_unanswered, {"unanswered"}),
    (_answer_lost, {"answer lost", "task too many", "task missing"}),
    (_answer_used_twice, {"answer used twice"}),
    (_finished_task_ran_again, {"finished task ran again"}),
    (_finished_task_ran_again_after_only_a_client_saw_it, {"finished task ran again", CHANGED}),
    (_sequence_missing, {LOG, CHANGED, LOST}),
    (_sequence_twice, {LOG, CHANGED}),
    (_event_gone, {CHANGED, LOST}),
    (_event_changed, {CHANGED}),
    (_event_of_a_lost_log_was_seen, {LOST}),
    (_run_gone, {LOG, RECORD}),
    (_no_metadata, {LOG, CHANGED, LOST}),
    (_metadata_twice, {LOG, CHANGED}),
    (_end_twice, {LOG, CHANGED}),
    (_no_end, {LOG}),
    (_end_without_its_pauses, {LOG, CHANGED, LOST}),
    (_no_new_attempt, {LOG, CHANGED, LOST}),
    (_attempt_not_counted, {LOG, CHANGED}),
    (_attempt_skipped, {LOG, CHANGED}),
    (_stuck, {"outcome"}),
    (_still_paused, {"outcome"}),
    (_state_behind, {"outcome"}),
    (_input_applied_twice, {"state"}),
    (_counted_twice, {"state"}),
    (_run_that_nobody_started, {"outcome"}),
    (_custom_event_lost, {"custom", CHANGED}),
    (_token_lost, {"message"}),
]


@pytest.mark.parametrize(("happens", "found"), FOUND)
def test_what_must_not_happen_is_found(happens: Callable[[Story], None], found: set[str]) -> None:
    story = a_kill_that_went_well()
    happens(story)
    assert story.found(a_kill_that_went_well().evidence) == found


def test_a_task_too_many_and_one_with_another_input_are_found() -> None:
    reference = a_kill_that_went_well().evidence
    story = a_kill_that_went_well()
    story.ledger[6] = replace(story.ledger[6], given={"log": ["input", "input", "a", "b"]})
    assert story.found(reference) == {"task too many", "task missing"}


# --- what may happen ---


def _not_begun_before_the_kill(story: Story) -> None:
    run = story.runs[1]
    del run[1:3]
    for one in run:
        one.attempt = 1


def _at_its_end_before_the_kill(story: Story) -> None:
    """All that is left to do after the restart is to say so."""
    run = story.runs[1]
    finish = run[3]
    finish.event_time.FromMicroseconds(450)
    del run[2]
    for one in run:
        one.attempt = 1
    story.ledger[4:6] = [node(440, Kind.ENDED, "B")]
    story.ledger[5] = replace(story.ledger[5], at=460)


def _void_pieces_of_an_earlier_attempt(story: Story) -> None:
    said(story, "Good ", "morning")
    run = story.runs[2]
    for one, at in zip(run[:2], (480, 490), strict=True):
        one.event_time.FromMicroseconds(at)
    void = run[2]
    void.event_time.FromMicroseconds(491)
    run[3:3] = [
        event(701, 0, 2, attempt_started=SECOND),
        event(702, 0, 2, message=message("Hello")),
    ]
    for one in run[3:]:
        one.attempt = 2
    story.values["messages"] = [{"id": "m", "content": "Hello"}]


@pytest.mark.parametrize(
    "happens",
    [
        _not_begun_before_the_kill,
        _at_its_end_before_the_kill,
        _void_pieces_of_an_earlier_attempt,
    ],
)
def test_what_may_happen_is_no_violation(happens: Callable[[Story], None]) -> None:
    story = a_kill_that_went_well()
    happens(story)
    story.show()
    assert story.found(a_kill_that_went_well().evidence) == set()


@pytest.mark.parametrize(
    ("status", "attempt", "deaths", "right"),
    [
        ("CANCELLED", 2, 1, True),
        ("CANCELLED", 3, 2, True),
        ("CANCELLED", 2, 0, False),
        ("CANCELLED", 3, 1, False),
        ("FAILED", 2, 1, False),
    ],
)
def test_only_a_run_that_was_to_be_cancelled_may_end_in_an_attempt_that_never_began(
    status: str, attempt: int, deaths: int, right: bool
) -> None:
    end = run_event_pb2.EndEvent(status=run_pb2.RunStatus.Value(f"RUN_STATUS_{status}"))
    events = [event(90, 1, metadata=METADATA), event(590, 2, attempt, end=end)]
    killed = [Death(500 + n, Blow(BlowKind.KILL, 1)) for n in range(deaths)]
    wrong = [f"event 2 is of attempt {attempt}, and not 1"]
    found = [text for text in check_attempts(events, killed) if "of attempt" in text]
    assert found == ([] if right else wrong)


def test_of_a_script_that_was_broken_off_only_what_has_happened_is_checked() -> None:
    story = a_kill_that_went_well()
    story.broken = True
    story.values = {}
    _answer_lost(story)
    assert story.found(a_kill_that_went_well().evidence) == set()
    _without_approval(story)
    assert story.found(a_kill_that_went_well().evidence) == {"unapproved"}
