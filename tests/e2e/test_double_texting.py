"""New input for a thread that is busy, which makes room for itself: INTERRUPT and ROLLBACK."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import duration_pb2
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc

from tests.e2e.drive import DEADLINE, checked, get_run, payload, shapes
from tests.e2e.driven import DrivenThread, command
from tests.e2e.gates import Gate, until

ENQUEUE, INTERRUPT, ROLLBACK = (
    run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    run_pb2.MULTITASK_STRATEGY_INTERRUPT,
    run_pb2.MULTITASK_STRATEGY_ROLLBACK,
)
DISCARD = run_pb2.ON_PAUSE_DISCARD
PENDING, RUNNING, INTERRUPTED, SUCCEEDED, CANCELLED = (
    run_pb2.RUN_STATUS_PENDING,
    run_pb2.RUN_STATUS_RUNNING,
    run_pb2.RUN_STATUS_INTERRUPTED,
    run_pb2.RUN_STATUS_SUCCEEDED,
    run_pb2.RUN_STATUS_CANCELLED,
)
STEPS = ["before", "gate", "after"]


def status(thread: DrivenThread, run_id: str) -> run_pb2.RunStatus.ValueType:
    return get_run(thread.runs_stub, run_id).status


def text(thread: DrivenThread, said: str, graph: str = "gated", **fields: Any) -> str:
    """Starts a run with more input for a thread."""
    return thread.create(assistant_id=graph, input=payload({"log": [said]}), **fields)


@pytest.mark.parametrize("graph", ["gated", "gated_sync"])
@pytest.mark.parametrize("strategy", [INTERRUPT, ROLLBACK], ids=["INTERRUPT", "ROLLBACK"])
def test_the_new_run_takes_the_place_of_all_that_are_active(
    thread: DrivenThread,
    gate: Gate,
    runs: runs_pb2_grpc.RunsStub,
    graph: str,
    strategy: run_pb2.MultitaskStrategy.ValueType,
) -> None:
    first = thread.create(assistant_id=graph, input=gate.input)
    gate.wait_begun()
    streamed = runs.JoinRun(runs_pb2.JoinRunRequest(run_id=first), timeout=DEADLINE)
    queued = [text(thread, "never", graph, multitask_strategy=ENQUEUE) for _ in range(2)]
    path = str(gate.path)
    new = thread.create(
        assistant_id=graph,
        input=payload({"log": ["new"], "path": path}),
        multitask_strategy=strategy,
    )
    assert [status(thread, run_id) for run_id in queued] == [CANCELLED, CANCELLED]
    assert thread.status == "BUSY"
    if graph == "gated_sync":
        # Its node can't be stopped, and is waited for.
        assert (status(thread, first), status(thread, new)) == (RUNNING, PENDING)
        assert get_run(runs, first).cancel_requested
    gate.open()
    assert thread.wait(new).run.status == SUCCEEDED
    assert shapes(checked([r.event for r in streamed])) == [
        ("updates", "before", {"log": ["before"]}),
        ("end", "CANCELLED"),
    ]
    rolled_back = strategy == ROLLBACK
    assert [(r.status, r.rolled_back) for r in reversed(thread.runs())] == [
        (CANCELLED, rolled_back),
        (CANCELLED, False),
        (CANCELLED, False),
        (SUCCEEDED, False),
    ]
    assert get_run(runs, new).multitask_strategy == strategy
    assert thread.log == [*([] if rolled_back else ["in", "before"]), "new", *STEPS]
    assert thread.stands() == ("IDLE", [], [])


@pytest.mark.parametrize("strategy", [INTERRUPT, ROLLBACK], ids=["INTERRUPT", "ROLLBACK"])
def test_on_a_thread_that_is_not_busy_it_is_a_run_like_others(
    thread: DrivenThread, strategy: run_pb2.MultitaskStrategy.ValueType
) -> None:
    events = thread.start("linear", multitask_strategy=strategy)
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    thread.start("linear", interrupt_before=["b"])
    with thread.refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED"):
        thread.start("linear", multitask_strategy=strategy)


def test_a_question_that_is_open_beside_a_cancelled_run_is_given_up(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.create(assistant_id="ask_beside_gate", input=gate.input)
    gate.wait_begun()
    new = thread.create(
        assistant_id="ask_beside_gate",
        input=payload({"log": ["new"]}),
        multitask_strategy=INTERRUPT,
    )
    gate.wait_begun()
    assert (status(thread, first), status(thread, new)) == (CANCELLED, RUNNING)
    gate.open()
    assert thread.wait(new).run.status == INTERRUPTED
    (pause,) = thread.pauses
    assert pause.run_id == new
    thread.resume(answer="yes")
    assert sorted(thread.log) == ["beside: 'yes'", "gate", "in", "new"]


def test_what_waits_again_after_a_rollback_is_given_up_for_the_new_run(
    thread: DrivenThread, gate: Gate
) -> None:
    thread.stream(assistant_id="gated", input=gate.input, interrupt_before=["gate"])
    resumed = thread.create(resume={})
    gate.wait_begun()
    new = text(thread, "new", multitask_strategy=ROLLBACK)
    gate.wait_begun()
    gate.open()
    assert thread.wait(new).run.status == SUCCEEDED
    assert get_run(thread.runs_stub, resumed).rolled_back
    assert thread.log == ["in", "before", "new", *STEPS]
    assert thread.stands() == ("IDLE", [], [])


def test_the_new_run_may_start_later_and_what_waits_meanwhile_can_be_resumed(
    thread: DrivenThread, gate: Gate
) -> None:
    thread.stream(assistant_id="gated", input=gate.input, interrupt_before=["gate"])
    resumed = thread.create(resume={})
    gate.wait_begun()
    later = text(
        thread,
        "later",
        multitask_strategy=ROLLBACK,
        start_delay=duration_pb2.Duration(seconds=2),
    )
    assert thread.wait(resumed).run.rolled_back
    assert thread.stands() == ("INTERRUPTED", ["gate"], [("BREAKPOINT_BEFORE", "gate")])
    gate.open()
    assert thread.wait(later).run.status == SUCCEEDED
    assert thread.log == ["in", "before", "later", *STEPS]
    assert thread.stands() == ("IDLE", [], [])


def test_a_command_takes_the_place_of_a_run_as_well(thread: DrivenThread, gate: Gate) -> None:
    first = thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    gate.path.touch()
    events = thread.command(update={"log": ["told"]}, goto=["after"], multitask_strategy=INTERRUPT)
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    assert status(thread, first) in (CANCELLED, SUCCEEDED)
    assert "told" in thread.log


@pytest.mark.parametrize("goto", [["after"], []], ids=["elsewhere", "nowhere"])
def test_a_command_does_not_go_on_with_the_node_that_it_has_stopped(
    thread: DrivenThread, gate: Gate, goto: list[str]
) -> None:
    thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    said = command({"update": {"log": ["said"]}, "goto": goto})
    run_id = thread.create(command=said, multitask_strategy=INTERRUPT)
    gate.open()
    assert thread.wait(run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert thread.log == ["in", "before", "said", *goto]
    assert (thread.status, list(thread.now.next)) == ("IDLE", [])
    # Nobody has waited there again.
    assert not Path(f"{gate.path}.begun").exists()


def test_of_many_who_interrupt_at_once_the_last_one_runs(
    thread: DrivenThread, gate: Gate, runs: runs_pb2_grpc.RunsStub
) -> None:
    thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()

    def interrupt(number: int) -> str:
        return thread.create(
            assistant_id="gated",
            input=gate.input,
            multitask_strategy=ROLLBACK if number % 2 else INTERRUPT,
        )

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(interrupt, range(16)))
    gate.open()
    until(lambda: thread.status == "IDLE")
    ended = [get_run(runs, run_id) for run_id in made]
    assert {run.status for run in ended} == {CANCELLED, SUCCEEDED}
    newest = max(ended, key=lambda run: run.create_time.ToNanoseconds())
    assert [run.run_id for run in ended if run.status == SUCCEEDED] == [newest.run_id]
    assert thread.log[-3:] == STEPS


# --- ON_PAUSE_DISCARD of a run that is queued ---


def test_a_queued_run_that_discards_goes_on_where_the_one_before_it_pauses(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.create(assistant_id="gated", input=gate.input, interrupt_before=["after"])
    gate.wait_begun()
    behind = text(thread, "behind", multitask_strategy=ENQUEUE, on_pause=DISCARD)
    gate.open()
    assert thread.wait(behind).run.status == SUCCEEDED
    assert status(thread, first) == INTERRUPTED
    assert thread.log == ["in", "before", "gate", "behind", *STEPS]
    assert thread.stands() == ("IDLE", [], [])


def test_one_that_is_not_due_yet_gives_the_pause_up_when_it_begins(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.create(assistant_id="gated", input=gate.input, interrupt_before=["after"])
    gate.wait_begun()
    behind = text(
        thread,
        "behind",
        multitask_strategy=ENQUEUE,
        on_pause=DISCARD,
        start_delay=duration_pb2.Duration(seconds=2),
    )
    gate.open()
    assert thread.wait(first).run.status == INTERRUPTED
    assert thread.stands() == ("INTERRUPTED", ["after"], [("BREAKPOINT_BEFORE", "after")])
    assert thread.wait(behind).run.status == SUCCEEDED
    assert thread.log == ["in", "before", "gate", "behind", *STEPS]
    assert thread.stands() == ("IDLE", [], [])


def test_a_queued_command_that_discards_drops_the_nodes_that_wait(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.create(assistant_id="gated", input=gate.input, interrupt_before=["gate"])
    thread.wait(first)
    resumed = thread.create(resume={}, interrupt_before=["after"])
    gate.wait_begun()
    behind = thread.create(
        command={"goto": [{"node": "before"}]},
        clear_breakpoints=True,
        multitask_strategy=ENQUEUE,
        on_pause=DISCARD,
    )
    gate.open()
    assert thread.wait(resumed).run.status == INTERRUPTED
    assert thread.wait(behind).run.status == SUCCEEDED
    # `after` was given up: it runs once, after the second gate.
    assert thread.log == ["in", "before", "gate", *STEPS]


def test_one_that_does_not_discard_holds_up_those_behind_it_that_do(
    thread: DrivenThread, gate: Gate
) -> None:
    first = thread.create(assistant_id="gated", input=gate.input, interrupt_before=["after"])
    gate.wait_begun()
    patient = text(thread, "patient", multitask_strategy=ENQUEUE)
    hasty = text(thread, "hasty", multitask_strategy=ENQUEUE, on_pause=DISCARD)
    gate.open()
    assert thread.wait(first).run.status == INTERRUPTED
    assert thread.status == "INTERRUPTED"
    assert (status(thread, patient), status(thread, hasty)) == (PENDING, PENDING)
    thread.resume()
    assert [thread.wait(run_id).run.status for run_id in (patient, hasty)] == [SUCCEEDED] * 2
    assert thread.log == ["in", *STEPS, "patient", *STEPS, "hasty", *STEPS]
