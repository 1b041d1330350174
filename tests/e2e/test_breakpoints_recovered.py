"""What was said of a run's breakpoints holds when its server is killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.drive import value
from tests.e2e.driven import resume
from tests.e2e.gates import Gate
from tests.e2e.stopping import (
    DONE,
    INTO,
    OUT,
    OVER,
    add,
    after,
    at,
    ended,
    in_force,
    pause_run,
    pauses_at,
    remove,
)
from tests.e2e.test_recovery import Mortal
from tests.servers import ServerProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that these tests kill, one after another."""
    process = ServerProcess(tmp_path_factory.mktemp("recovered") / "graphwire.db")
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture
def mortal(process: ServerProcess) -> Iterator[Mortal]:
    """A server that may be killed; whatever it has gone through before, it runs."""
    if not process.is_running:
        process.start()
    mortal = Mortal(process)
    yield mortal
    mortal.close()


def at_gate(mortal: Mortal, gate: Gate, assistant: str, **fields: Any) -> str:
    """Starts a run, and returns its id once its node waits at the gate."""
    run_id = mortal.thread.create(assistant_id=assistant, input=gate.input, **fields)
    gate.wait_begun()
    return run_id


def step_gate(gate: Gate, number: int) -> Gate:
    """The gate of a round of `stairs`."""
    return Gate(gate.path.with_name(f"{gate.path.name} {number}"))


def test_breakpoints_that_were_added_hold_after_a_kill(mortal: Mortal, gate: Gate) -> None:
    run_id = at_gate(mortal, gate, "gated", breakpoints=[at("after", breakpoint_id="gone")])
    add(mortal.thread.runs_stub, run_id, at("after", "state.log[-1] == 'gate'", breakpoint_id="x"))
    remove(mortal.thread.runs_stub, run_id, "gone")
    mortal.lose(gate)
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["before after"])
    assert in_force(mortal.thread.runs_stub, run_id) == [("after", "x", "RUN")]
    assert ended(mortal.thread.resume()) == DONE


def test_a_run_that_was_to_pause_pauses_after_a_kill(mortal: Mortal, gate: Gate) -> None:
    run_id = at_gate(mortal, gate, "gated_child")
    pause_run(mortal.thread.runs_stub, run_id)
    mortal.lose(gate)
    # The node that was at work begins anew, so it waits as well.
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["pause child/gate"])
    assert ended(mortal.thread.resume()) == DONE


def test_a_run_that_was_to_pause_goes_on_with_what_was_approved(mortal: Mortal, gate: Gate) -> None:
    given = {"log": ["in"], "path": str(gate.path)}
    mortal.thread.start("gated", given, interrupt_before=["gate"])
    run_id = mortal.thread.create(resume=resume({}))
    gate.wait_begun()
    pause_run(mortal.thread.runs_stub, run_id)
    mortal.lose(gate)
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["pause after"])


def test_pauses_that_were_asked_for_can_be_resumed_after_a_kill(mortal: Mortal, gate: Gate) -> None:
    run_id = at_gate(mortal, gate, "gate_beside_ask")
    pause_run(mortal.thread.runs_stub, run_id)
    gate.open()
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["pause left/two", "question right"])
    mortal.lose()
    thread = mortal.thread
    (question,) = pauses_at(thread, "right")
    assert ended(thread.resume(pause_ids=pauses_at(thread, "two"))) == (
        "INTERRUPTED",
        ["question right"],
    )
    assert pauses_at(thread, "right") == [question]


def test_tasks_that_were_let_pass_are_counted_once_whoever_runs_them(
    mortal: Mortal, gate: Gate
) -> None:
    gates = [step_gate(gate, number) for number in range(3)]
    run_id = mortal.thread.create(
        assistant_id="stairs", input=gate.input, breakpoints=[at("step", skip_first=2)]
    )
    gates[0].wait_begun()
    mortal.lose(gates[0])  # the first one is let pass again, and counted once
    gates[1].wait_begun()
    mortal.lose(gates[1], gates[2])
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["before step"])
    assert value(mortal.thread.state().values)["count"] == 2
    mortal.lose()
    assert ended(mortal.thread.resume()) == DONE


def test_hits_are_counted_on_by_the_next_run_after_a_kill(mortal: Mortal) -> None:
    thread = mortal.thread
    events = thread.start(
        "loop", breakpoints=[at("step", skip_first=2), after("step", "step == 1")]
    )
    assert ended(events) == ("INTERRUPTED", ["after step"])
    mortal.lose()
    assert ended(mortal.thread.resume()) == ("INTERRUPTED", ["before step"])
    assert value(mortal.thread.state().values)["count"] == 2


def test_a_verdict_after_a_node_stands_after_a_kill(mortal: Mortal, gate: Gate) -> None:
    run_id = at_gate(mortal, gate, "gated", breakpoints=[after("gate", "state.log[-1] == 'gate'")])
    mortal.lose(gate)
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["after gate"])
    mortal.lose()
    assert mortal.thread.stands()[0] == "INTERRUPTED"
    assert ended(mortal.thread.resume()) == DONE


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(INTO, ["pause child/two"]), (OVER, ["pause child/two"]), (OUT, ["pause end"])],
)
def test_a_step_ends_where_it_would_have_after_a_kill(
    mortal: Mortal, gate: Gate, mode: int, expected: list[str]
) -> None:
    given = {"log": ["in"], "path": str(gate.path)}
    mortal.thread.start("gated_child", given, breakpoints=[at("child/gate")])
    run_id = mortal.thread.create(resume=resume({"step": mode}))
    gate.wait_begun()
    mortal.lose(gate)
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", expected)


def test_a_step_out_from_after_a_node_goes_on_out_after_a_kill(mortal: Mortal, gate: Gate) -> None:
    given = {"log": ["in"], "path": str(gate.path)}
    mortal.thread.start("gated_child", given, breakpoints=[after("child/one")])
    run_id = mortal.thread.create(resume=resume({"step": OUT}))
    gate.wait_begun()
    mortal.lose(gate)
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["pause end"])


def test_a_run_to_a_node_stops_there_after_a_kill(mortal: Mortal, gate: Gate) -> None:
    given = {"log": ["in"], "path": str(gate.path)}
    mortal.thread.start("gated_child", given, breakpoints=[at("child/one")])
    run_id = mortal.thread.create(resume=resume({"run_to": "child/two"}))
    gate.wait_begun()
    mortal.lose(gate)
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["pause child/two"])


def test_a_step_from_where_nothing_was_paused_runs_no_further_after_a_kill(
    mortal: Mortal, gate: Gate
) -> None:
    run_id = at_gate(mortal, gate, "gated")
    mortal.thread.cancel(run_id)
    run_id = mortal.thread.create(resume=resume({"step": INTO}))
    gate.wait_begun()
    mortal.lose(gate)
    # The step has to be taken again: nobody knows any more from where it was.
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["pause gate"])
    assert ended(mortal.thread.resume(step=INTO)) == ("INTERRUPTED", ["pause after"])


def test_a_run_that_was_to_pause_pauses_when_its_server_stops(mortal: Mortal, gate: Gate) -> None:
    run_id = at_gate(mortal, gate, "gated")
    add(mortal.thread.runs_stub, run_id, at("after", breakpoint_id="x"))
    pause_run(mortal.thread.runs_stub, run_id)
    mortal.process.signal(signal.SIGTERM)
    gate.open()
    assert mortal.process.wait() == 0
    mortal.start_again()
    assert ended(mortal.events(run_id)) == ("INTERRUPTED", ["before after"])
