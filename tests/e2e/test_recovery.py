"""Runs whose server is lost or stopped: what goes on by itself, from where, and what does not.

test_pauses_survive.py kills a server with many threads at once; here it has one at a time.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, join, payload, refused, shapes, value
from tests.e2e.driven import DrivenThread, Events, command, resume
from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess

DONE = ("end", "SUCCEEDED")
EVERYTHING = [mode for mode in run_pb2.StreamMode.values() if mode]
SUCCEEDED, FAILED = run_pb2.RUN_STATUS_SUCCEEDED, run_pb2.RUN_STATUS_FAILED


class Mortal:
    """A server that a test kills, with one thread on it.

    Attributes:
        process: The server.
        thread: The thread, on the server as it runs now.
    """

    def __init__(self, process: ServerProcess) -> None:
        """Takes a server that runs, and makes the thread."""
        self.process = process
        self._channel = grpc.insecure_channel(process.address)
        self.thread = self._driven("")

    def lose(self, *opened: Gate) -> None:
        """Kills the server, opens gates, and starts it again."""
        self.process.kill()
        for gate in opened:
            gate.open()
        self.start_again()

    def start_again(self) -> None:
        """Starts the server again when it has ended."""
        self.close()
        self.process.start()
        self._channel = grpc.insecure_channel(self.process.address)
        self.thread = self._driven(self.thread.thread_id)

    def events(self, run_id: str) -> Events:
        """Returns the events of a run, once it has ended."""
        return join(self.thread.runs_stub, run_id)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _driven(self, thread_id: str) -> DrivenThread:
        runs = runs_pb2_grpc.RunsStub(self._channel)
        return DrivenThread(runs, threads_pb2_grpc.ThreadsStub(self._channel), thread_id)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that these tests kill, one after another."""
    process = ServerProcess(tmp_path_factory.mktemp("recovery") / "graphwire.db")
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


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


def told(events: Events, kind: str) -> list[tuple[object, ...]]:
    """The events of one kind, in short."""
    return [said for said in shapes(events) if said[0] == kind]


# --- steps ---


def test_a_run_that_loses_its_server_in_each_step_tells_of_each_step_once(
    mortal: Mortal, tmp_path: Path
) -> None:
    steps = [Gate(tmp_path / f"step {number}") for number in range(3)]
    given = payload({"log": ["in"], "path": str(tmp_path / "step")})
    run_id = mortal.thread.create(assistant_id="stairs", input=given, stream_modes=EVERYTHING)
    for step in steps:
        step.wait_begun()
        mortal.lose(step)
        step.wait_begun()
    run = mortal.thread.wait(run_id).run
    assert (run.status, run.attempt) == (SUCCEEDED, 4)
    assert mortal.thread.log == ["in", "step", "step", "step"]
    events = mortal.events(run_id)
    updates = [value(e.updates.update)["count"] for e in events if e.HasField("updates")]
    values = [value(e.values.values)["log"] for e in events if e.HasField("values")]
    checkpoints = [e.checkpoint.step for e in events if e.HasField("checkpoint")]
    assert updates == [1, 2, 3]
    assert values == [["in", *["step"] * count] for count in range(4)]
    assert checkpoints == [-1, 0, 1, 2, 3]
    assert len(told(events, "task_finished")) == 3
    # A node that was in the middle begins again, and says so.
    assert len(told(events, "task_started")) == 6
    attempts = [event.attempt for event in events]
    started = [event.attempt for event in events if event.HasField("attempt_started")]
    assert (attempts, started) == (sorted(attempts), [2, 3, 4])


def test_a_stateless_run_goes_on_as_well(mortal: Mortal, gate: Gate) -> None:
    request = runs_pb2.CreateRunRequest(assistant_id="gated", input=gate.input)
    run = mortal.thread.runs_stub.CreateRun(request, timeout=DEADLINE).run
    mortal.thread.thread_id = run.thread_id
    gate.wait_begun()
    mortal.lose(gate)
    ended = mortal.thread.wait(run.run_id)
    assert ended.run.status == SUCCEEDED
    assert value(ended.values)["log"] == ["in", "before", "gate", "after"]


def test_with_exit_the_run_starts_from_its_beginning_and_applies_its_input_once(
    mortal: Mortal, gate: Gate
) -> None:
    run_id = mortal.thread.create(
        assistant_id="gated", input=gate.input, durability=run_pb2.DURABILITY_EXIT
    )
    gate.wait_begun()
    # With that a node does not wait for what came before it.
    told = 1 + len(ran("before"))
    until(lambda: mortal.thread.runs()[0].last_sequence == told, "the step before is told of")
    mortal.lose(gate)
    assert mortal.thread.wait(run_id).run.status == SUCCEEDED
    assert mortal.thread.log == ["in", "before", "gate", "after"]
    assert shapes(mortal.events(run_id)) == [
        *ran("before"),
        ("attempt_started",),
        *ran("before", "gate", "after"),
        DONE,
    ]


# --- answers ---


def test_an_answer_is_given_to_its_question_and_to_no_other(mortal: Mortal, tmp_path: Path) -> None:
    first, second, third = gates = [Gate(tmp_path / f"ask {number}") for number in range(3)]
    first.open()
    mortal.thread.start("ask_at_gates", {"log": ["in"], "path": str(tmp_path / "ask")})
    for gate in gates:
        gate.close()

    # Before the node has taken the answer: it is given again.
    run_id = mortal.thread.create(resume=resume({"answer": "A"}))
    first.wait_begun()
    mortal.lose(first)
    second.wait_begun()
    # After that: it is not, since the next question would take it.
    mortal.lose(second)
    run = mortal.thread.wait(run_id).run
    assert (run.status, run.attempt) == (run_pb2.RUN_STATUS_INTERRUPTED, 3)
    asked = ("INTERRUPT", "ask", "second?")
    assert mortal.thread.stands() == ("INTERRUPTED", ["ask"], [asked])

    second.close()
    run_id = mortal.thread.create(resume=resume({"answer": "B"}))
    second.wait_begun()
    mortal.lose(second)
    third.wait_begun()
    mortal.lose(third)
    assert mortal.thread.wait(run_id).run.status == SUCCEEDED
    assert mortal.thread.log == ["in", "A, B", "after"]


# --- commands, forks and cancelled runs ---


def test_an_update_is_applied_once(mortal: Mortal, gate: Gate) -> None:
    cancelled = mortal.thread.create(assistant_id="gated", input=gate.input)
    gate.wait_begun()
    mortal.thread.cancel(cancelled)
    run_id = mortal.thread.create(command=command({"update": {"log": ["u"]}}))
    gate.wait_begun()
    mortal.lose(gate)
    assert mortal.thread.wait(run_id).run.status == SUCCEEDED
    assert mortal.thread.log == ["in", "before", "u", "gate", "after"]


def test_a_node_that_a_command_has_gone_to_runs_again_and_its_update_is_applied_once(
    mortal: Mortal, gate: Gate
) -> None:
    gate.open()
    mortal.thread.stream(assistant_id="gated", input=gate.input)
    gate.close()
    run_id = mortal.thread.create(command=command({"update": {"log": ["u"]}, "goto": ["gate"]}))
    gate.wait_begun()
    mortal.lose(gate)
    assert mortal.thread.wait(run_id).run.status == SUCCEEDED
    assert mortal.thread.log == ["in", "before", "gate", "after", "u", "gate", "after"]
    assert shapes(mortal.events(run_id)) == [
        ("attempt_started",),
        *ran("gate", "after"),
        DONE,
    ]


def test_an_older_checkpoint_is_copied_once(mortal: Mortal, gate: Gate) -> None:
    gate.open()
    mortal.thread.stream(assistant_id="gated", input=gate.input)
    gate.close()
    before_gate = mortal.thread.checkpoint("gate")
    run_id = mortal.thread.create(resume=resume({}), checkpoint_id=before_gate)
    gate.wait_begun()
    mortal.lose(gate)
    assert mortal.thread.wait(run_id).run.status == SUCCEEDED
    assert mortal.thread.log == ["in", "before", "gate", "after"]
    sources = [value(state.metadata)["source"] for state in mortal.thread.history()]
    assert sources.count("fork") == 1


def test_a_run_that_was_to_be_cancelled_does_not_go_on(mortal: Mortal, gate: Gate) -> None:
    run_id = mortal.thread.create(assistant_id="gated_sync", input=gate.input)
    gate.wait_begun()
    request = runs_pb2.CancelRunRequest(run_id=run_id)
    cancelling = mortal.thread.runs_stub.CancelRun(request, timeout=DEADLINE).run
    # A plain function can't be stopped: the run waits for it, and so does its end.
    assert cancelling.status == run_pb2.RUN_STATUS_RUNNING
    mortal.lose()
    assert mortal.thread.wait(run_id).run.status == run_pb2.RUN_STATUS_CANCELLED
    assert not Path(f"{gate.path}.begun").exists()
    assert mortal.thread.stands() == ("IDLE", ["gate"], [])


# --- drains ---


@pytest.mark.parametrize("durability", ["SYNC", "ASYNC", "EXIT"])
def test_a_run_that_was_to_be_rolled_back_is_rolled_back_by_who_finds_it(
    mortal: Mortal, gate: Gate, durability: str
) -> None:
    gate.open()
    mortal.thread.start("gated_sync", {"log": ["in"], "path": str(gate.path)})
    gate.close()
    before = mortal.thread.stands(), mortal.thread.history()
    run_id = mortal.thread.create(
        assistant_id="gated_sync",
        input=payload({"log": ["second"]}),
        durability=run_pb2.Durability.Value(f"DURABILITY_{durability}"),
    )
    gate.wait_begun()
    request = runs_pb2.CancelRunRequest(run_id=run_id, action=runs_pb2.CANCEL_ACTION_ROLLBACK)
    run = mortal.thread.runs_stub.CancelRun(request, timeout=DEADLINE).run
    # Its node can't be stopped, so that it is under way still.
    assert (run.status, run.rolled_back) == (run_pb2.RUN_STATUS_RUNNING, False)
    mortal.lose()
    ended = mortal.thread.wait(run_id).run
    assert (ended.status, ended.rolled_back) == (run_pb2.RUN_STATUS_CANCELLED, True)
    assert (mortal.thread.stands(), mortal.thread.history()) == before
    assert mortal.thread.log == ["in", "before", "gate", "after"]
    gate.open()
    mortal.thread.start("gated_sync", {"log": ["third"]})
    assert mortal.thread.log[-4:] == ["third", "before", "gate", "after"]


def test_what_each_attempt_at_a_run_has_made_is_rolled_back(mortal: Mortal, gate: Gate) -> None:
    given = {"log": ["in"], "path": str(gate.path)}
    question = mortal.thread.start("ask_before_gate", given)[0].run_id
    before, history = mortal.thread.stands(), mortal.thread.history()
    (pause,) = mortal.thread.pauses
    run_id = mortal.thread.create(resume=resume({"answer": "old"}))
    gate.wait_begun()
    mortal.lose()
    gate.wait_begun()
    assert mortal.thread.history() != history
    request = runs_pb2.CancelRunRequest(
        run_id=run_id, action=runs_pb2.CANCEL_ACTION_ROLLBACK, wait=True
    )
    run = mortal.thread.runs_stub.CancelRun(request, timeout=DEADLINE).run
    assert (run.attempt, run.rolled_back) == (2, True)
    assert mortal.thread.stands() == before
    (again,) = mortal.thread.pauses
    assert again.pause_id != pause.pause_id
    assert again.run_id == question
    # A recovery is worth a look.
    lines = [line for line in mortal.process.log.splitlines() if run_id in line]
    (line,) = [line for line in lines if "run_recovered" in line]
    assert all(word in line for word in ("warning", mortal.thread.thread_id, "attempt"))
    assert "request_id=" in line
    gate.open()
    mortal.thread.resume(answer="new")
    inside = ["in", "before", "one", "child: 'new'", "gate"]
    assert mortal.thread.log == ["in", "before", *inside, "after"]


@pytest.mark.parametrize("strategy", ["INTERRUPT", "ROLLBACK"])
def test_one_that_takes_the_place_of_a_run_does_so_when_the_server_is_back(
    mortal: Mortal, gate: Gate, strategy: str
) -> None:
    given = payload({"log": ["in"], "path": str(gate.path)})
    first = mortal.thread.create(assistant_id="gated_sync", input=given)
    gate.wait_begun()
    new = mortal.thread.create(
        assistant_id="gated_sync",
        input=payload({"log": ["new"], "path": str(gate.path)}),
        multitask_strategy=run_pb2.MultitaskStrategy.Value(f"MULTITASK_STRATEGY_{strategy}"),
    )
    mortal.lose(gate)
    assert mortal.thread.wait(new).run.status == SUCCEEDED
    ended = mortal.thread.wait(first).run
    rolled_back = strategy == "ROLLBACK"
    assert (ended.status, ended.rolled_back) == (run_pb2.RUN_STATUS_CANCELLED, rolled_back)
    kept = [] if rolled_back else ["in", "before"]
    assert mortal.thread.log == [*kept, "new", "before", "gate", "after"]


def test_a_drain_beside_a_breakpoint_does_not_release_it(mortal: Mortal, gate: Gate) -> None:
    run_id = mortal.thread.create(assistant_id="loop_beside_gate", input=gate.input)
    gate.wait_begun()

    def inside() -> list[str]:
        tasks = mortal.thread.state(subgraphs=True).tasks
        return [node for task in tasks for node in task.state.next]

    until(lambda: inside() == ["step"], "the subgraph stands before its breakpoint")
    drains = mortal.process.log.count("draining")
    mortal.process.signal(signal.SIGTERM)
    until(lambda: mortal.process.log.count("draining") > drains)
    gate.open()
    assert mortal.process.wait() == 0
    mortal.start_again()
    run = mortal.thread.wait(run_id).run
    # Nothing but an approval could have it go on: it ended where it stood.
    assert (run.status, run.attempt) == (run_pb2.RUN_STATUS_INTERRUPTED, 1)
    stop = ("BREAKPOINT_BEFORE", "child/step")
    assert mortal.thread.stands() == ("INTERRUPTED", ["child"], [stop])
    assert shapes(mortal.events(run_id)) == [
        *ran("gate"),
        ("interrupted", [stop], ["child"]),
        ("end", "INTERRUPTED"),
    ]
    assert inside() == ["step"]


# --- what does not go on ---


def test_a_manual_run_is_left_where_it_was_and_so_is_what_continues_it(
    mortal: Mortal, gate: Gate
) -> None:
    manual = run_pb2.RECOVERY_POLICY_MANUAL
    run_id = mortal.thread.create(assistant_id="gated", input=gate.input, recovery_policy=manual)
    for _ in range(2):
        gate.wait_begun()
        mortal.lose()
        run = mortal.thread.wait(run_id).run
        assert (run.status, run.error.type) == (FAILED, "ServerLost")
        # Held for somebody to look at, as by a pause.
        assert mortal.thread.stands() == ("INTERRUPTED", ["gate"], [])
        with refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED"):
            mortal.thread.create(assistant_id="gated", input=gate.input)
        run_id = mortal.thread.create(resume=resume({}))
    gate.open()
    run = mortal.thread.wait(run_id).run
    assert (run.status, run.recovery_policy) == (SUCCEEDED, manual)
    assert mortal.thread.log == ["in", "before", "gate", "after"]


def test_a_run_that_comes_further_each_time_may_lose_any_number_of_servers(
    own_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    steps = [Gate(tmp_path / f"step {number}") for number in range(3)]
    given = payload({"log": ["in"], "path": str(tmp_path / "step")})
    with closing(Mortal(own_server(env={"GRAPHWIRE_MAX_RUN_ATTEMPTS": "2"}))) as mortal:
        run_id = mortal.thread.create(assistant_id="stairs", input=given)
        for step in steps:
            step.wait_begun()
            mortal.lose(step)
        run = mortal.thread.wait(run_id).run
        assert (run.status, run.attempt) == (SUCCEEDED, 4)
        assert mortal.thread.log == ["in", "step", "step", "step"]


def test_a_run_that_kills_its_server_each_time_fails_after_so_many_attempts(
    own_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    with closing(Mortal(own_server(env={"GRAPHWIRE_MAX_RUN_ATTEMPTS": "3"}))) as mortal:
        given = payload({"log": ["in"], "path": str(ledger)})
        run_id = mortal.thread.create(assistant_id="killer", input=given)
        for times in (1, 2, 3):
            assert mortal.process.wait() == -signal.SIGKILL
            assert ledger.read_text() == "begun\n" * times
            mortal.start_again()
        run = mortal.thread.wait(run_id).run
        assert (run.status, run.error.type) == (FAILED, "TooManyAttempts")
        assert run.error.message == (
            "each of 3 attempts at a step of the run ended with the loss of its server or of the "
            "database: a node may crash one of them"
        )
        assert ledger.read_text() == "begun\n" * 3
        assert mortal.thread.stands() == ("ERROR", ["kill"], [])
        assert told(mortal.events(run_id), "updates") == ran("before")
        other = DrivenThread(mortal.thread.runs_stub, mortal.thread.threads_stub)
        assert shapes(other.start("linear"))[-1] == DONE
