"""What goes on from an older checkpoint goes on as the assistant by which that was made."""

from __future__ import annotations

import pytest
from graphwire.v1 import run_pb2, runs_pb2

from tests.e2e.drive import DEADLINE, get_run, refused, shapes
from tests.e2e.driven import DrivenThread
from tests.e2e.made import PAUSED, Driver, Runs, breakpoint_

DISCARD = run_pb2.ON_PAUSE_DISCARD
BEFORE_B: tuple[str, list[str], list[tuple[str, ...]]] = (
    "INTERRUPTED",
    ["b"],
    [("BREAKPOINT_BEFORE", "b")],
)


@pytest.fixture
def careful(made: Driver) -> str:
    """An assistant that asks before `b`, of the graph `linear`."""
    return made.create(breakpoints=[breakpoint_("b", label="four eyes")]).assistant_id


@pytest.fixture
def held(thread: DrivenThread, careful: str) -> str:
    """A checkpoint at which it asked; since then the thread has gone on as `linear`."""
    assert shapes(thread.start(careful))[-1] == PAUSED
    checkpoint_id = thread.now.checkpoint_id
    thread.start("linear", {"log": ["other"]}, on_pause=DISCARD)
    assert (thread.status, thread.now.assistant_id) == ("IDLE", "linear")
    return checkpoint_id


@pytest.mark.parametrize("names_it", [False, True])
def test_a_replay_waits_where_its_assistant_asks(
    thread: DrivenThread, careful: str, held: str, names_it: bool
) -> None:
    events = thread.resume(checkpoint_id=held, assistant_id=careful if names_it else "")
    assert (shapes(events)[1:], thread.stands()) == ([PAUSED], BEFORE_B)
    [pause] = thread.pauses
    assert (pause.assistant_id, pause.breakpoints[0].label) == (careful, "four eyes")
    run = get_run(thread.runs_stub, events[0].run_id)
    assert (run.assistant_id, thread.now.assistant_id) == (careful, careful)
    # Somebody approves it: the state is that of the branch.
    thread.resume()
    assert thread.log == ["in", "a", "b", "c"]


def test_it_goes_on_as_no_other_assistant(thread: DrivenThread, held: str) -> None:
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.resume(checkpoint_id=held, assistant_id="linear")


def test_a_command_waits_there_too(thread: DrivenThread, careful: str, held: str) -> None:
    events = thread.command(goto=["b"], checkpoint_id=held)
    assert (shapes(events)[1:], thread.stands()) == ([PAUSED], BEFORE_B)
    assert thread.pauses[0].assistant_id == careful


def test_an_edit_there_waits_as_its_assistant_asks(
    thread: DrivenThread, careful: str, held: str
) -> None:
    thread.edit({"log": ["edited"]}, as_node="a", checkpoint_id=held)
    assert (thread.stands(), thread.now.assistant_id) == (BEFORE_B, careful)
    edited = thread.now.checkpoint_id
    # What stands on an edit belongs to whoever made what that stands on.
    thread.start("linear", {"log": ["other"]}, on_pause=DISCARD)
    assert shapes(thread.resume(checkpoint_id=edited))[1:] == [PAUSED]
    assert thread.stands() == BEFORE_B
    thread.resume()
    assert thread.log == ["in", "a", "edited", "b", "c"]
    assert thread.now.assistant_id == careful


def test_what_follows_an_edit_there_goes_on_as_its_assistant(
    thread: DrivenThread, careful: str, held: str
) -> None:
    thread.edit({"log": ["edited"]}, as_node="__start__", checkpoint_id=held)
    events = thread.resume()
    assert get_run(thread.runs_stub, events[0].run_id).assistant_id == careful
    assert thread.stands() == BEFORE_B
    assert thread.pauses[0].assistant_id == careful


def test_an_edit_there_is_of_no_other_assistant(thread: DrivenThread, held: str) -> None:
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.edit({"log": ["x"]}, as_node="a", checkpoint_id=held, assistant_id="linear")


def test_where_the_run_was_deleted_nothing_goes_on(
    thread: DrivenThread, careful: str, held: str, runs: Runs
) -> None:
    [first] = [run for run in thread.runs() if run.assistant_id == careful]
    runs.DeleteRun(runs_pb2.DeleteRunRequest(run_id=first.run_id), timeout=DEADLINE)
    with thread.refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH") as refusal:
        thread.resume(checkpoint_id=held)
    assert "by a run that is not there any more" in refusal.text
    with refused("FAILED_PRECONDITION", "ASSISTANT_MISMATCH"):
        thread.edit({"log": ["x"]}, as_node="a", checkpoint_id=held)
    # New input says itself as what it runs.
    thread.start("linear", {"log": ["new"]}, checkpoint_id=held)
    assert thread.log == ["in", "a", "new", "a", "b", "c"]


def test_what_was_made_without_a_breakpoint_goes_on_without_one(
    thread: DrivenThread, careful: str
) -> None:
    thread.start("linear")
    before_b = thread.checkpoint("b")
    thread.start(careful, {"log": ["careful"]})
    assert thread.status == "INTERRUPTED"
    thread.resume(checkpoint_id=before_b)
    assert (thread.status, thread.now.assistant_id) == ("IDLE", "linear")
    assert thread.log == ["in", "a", "b", "c"]


def test_a_batch_and_a_single_run_are_treated_alike(
    thread: DrivenThread, careful: str, held: str, runs: Runs
) -> None:
    request = runs_pb2.CreateRunRequest(
        thread_id=thread.thread_id, resume=run_pb2.Resume(), checkpoint_id=held
    )
    [run] = runs.CreateRuns(runs_pb2.CreateRunsRequest(requests=[request]), timeout=DEADLINE).runs
    thread.wait(run.run_id)
    assert (run.assistant_id, thread.stands()) == (careful, BEFORE_B)
