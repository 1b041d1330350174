"""In the end every run has ended, the thread is at rest, and the state is as it should be."""

from __future__ import annotations

from collections.abc import Iterator

from graphwire.v1 import threads_pb2

from tests.crash.checks.evidence import Evidence, Violation
from tests.crash.scenarios.base import worth
from tests.e2e.drive import pause_shape


def check(evidence: Evidence) -> Iterator[Violation]:
    """Checks a scenario that came to its end."""
    thread, state = evidence.thread, evidence.state
    status = threads_pb2.ThreadStatus.Name(thread.status)
    if thread.status != threads_pb2.THREAD_STATUS_IDLE or thread.next or thread.pauses:
        pauses = [pause_shape(pause) for pause in thread.pauses]
        yield Violation(
            "outcome", f"the thread is {status}, next {[*thread.next]}, paused at {pauses}"
        )
    if state.next or state.checkpoint_id != thread.checkpoint_id:
        yield Violation(
            "outcome",
            f"the state is at {state.checkpoint_id}, next {[*state.next]}, and the thread at "
            f"{thread.checkpoint_id}",
        )
    started = {run.run_id for run in evidence.followed}
    if others := {run.run.run_id for run in evidence.runs} - started:
        yield Violation("outcome", f"nobody started {others}")
    scenario, values = evidence.scenario, evidence.values or {}
    log = [*scenario.log]
    if scenario.otherwise and values.get("log") == [*scenario.otherwise]:
        log = [*scenario.otherwise]
    expected = {"log": log, "steps": [*scenario.steps], "count": sum(map(worth, log))}
    for key, value in expected.items():
        found = values.get(key, [])
        if found != value:
            yield Violation("state", f"{key} is {found}, and not {value}")
