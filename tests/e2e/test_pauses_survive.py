"""kill -9: what was paused is still paused after a restart, and what was in flight goes on.

One server is killed while threads stand in every way that there is; each test looks at one of
them, on the server that was started again on the same database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, join, payload, shapes, value
from tests.e2e.driven import DrivenThread, Events, resume
from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")
ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE
MANUAL = run_pb2.RECOVERY_POLICY_MANUAL

Setting = Callable[[DrivenThread, Gate], None]


@dataclass
class Survivor:
    """A thread on both sides of the kill.

    Attributes:
        thread: The thread, on the server that was started again.
        gate: Where its nodes wait.
        was: The thread as it was before the kill.
        history: Its states then.
        runs: Its runs then, newest first.
        events: What its runs had streamed, by their ids.
    """

    thread: DrivenThread
    gate: Gate
    was: threads_pb2.Thread
    history: list[threads_pb2.ThreadState]
    runs: list[run_pb2.Run]
    events: dict[str, Events]

    @property
    def lost_run_id(self) -> str:
        """The run that was in flight."""
        (run_id,) = (r.run_id for r in self.runs if r.status == run_pb2.RUN_STATUS_RUNNING)
        return run_id


def ran(*names: str) -> list[tuple[object, ...]]:
    """The updates of nodes that write their names."""
    return [("updates", name, {"log": [name]}) for name in names]


def before(node: str) -> list[tuple[object, ...]]:
    """The last events of a run that pauses before a node."""
    return [("interrupted", [("BREAKPOINT_BEFORE", node)], [node]), PAUSED]


# --- before the kill ---


def at_a_breakpoint(thread: DrivenThread, gate: Gate) -> None:
    thread.start("linear", interrupt_before=["b", "c"])


def after_the_last_node(thread: DrivenThread, gate: Gate) -> None:
    thread.start("linear", interrupt_after=["c"])


def at_a_second_question(thread: DrivenThread, gate: Gate) -> None:
    thread.start("ask_twice")
    thread.resume(answer=1)


def half_answered(thread: DrivenThread, gate: Gate) -> None:
    thread.start("ask_parallel")
    thread.resume(answers={thread.pauses[0].pause_id: 1})


def in_a_subgraph_and_at_a_question(thread: DrivenThread, gate: Gate) -> None:
    thread.start("stop_and_ask")


def edited(thread: DrivenThread, gate: Gate) -> None:
    thread.start("linear", interrupt_before=["b"])
    thread.edit({"log": ["x"]})


def failed(thread: DrivenThread, gate: Gate) -> None:
    thread.start("boom")


def stateless(thread: DrivenThread, gate: Gate) -> None:
    request = runs_pb2.CreateRunRequest(assistant_id="ask", input=payload({"log": ["in"]}))
    run = thread.runs_stub.CreateRun(request, timeout=DEADLINE).run
    thread.thread_id = run.thread_id
    thread.wait(run.run_id)


def paused_before_a_queue(thread: DrivenThread, gate: Gate) -> None:
    in_flight_before_a_queue(thread, gate)
    gate.open()
    until(lambda: thread.status == "INTERRUPTED", "the first run has paused")


def in_flight(thread: DrivenThread, gate: Gate, **fields: Any) -> None:
    thread.create(assistant_id="gated", input=gate.input, interrupt_before=["after"], **fields)
    gate.wait_begun()


def in_flight_before_a_queue(thread: DrivenThread, gate: Gate) -> None:
    in_flight(thread, gate)
    for name in ("first", "second"):
        given = payload({"log": [name]})
        thread.create(assistant_id="gated", input=given, multitask_strategy=ENQUEUE)


def approved_and_in_flight(thread: DrivenThread, gate: Gate, **fields: Any) -> None:
    given = {"log": ["in"], "path": str(gate.path)}
    thread.start("gated", given, interrupt_before=["gate", "after"])
    thread.create(resume=resume({}), **fields)
    gate.wait_begun()


def in_flight_beside_a_question(thread: DrivenThread, gate: Gate, **fields: Any) -> None:
    thread.create(assistant_id="ask_beside_gate", input=gate.input, **fields)
    gate.wait_begun()
    until(lambda: any(t.interrupts for t in thread.state().tasks), "the question is asked")


def in_flight_beside_a_breakpoint(thread: DrivenThread, gate: Gate, **fields: Any) -> None:
    thread.create(assistant_id="loop_beside_gate", input=gate.input, **fields)
    gate.wait_begun()
    until(lambda: inside(thread) == ["step"], "the subgraph stands before its breakpoint")


def manual(thread: DrivenThread, gate: Gate) -> None:
    in_flight(thread, gate, recovery_policy=MANUAL)


def manual_before_a_queue(thread: DrivenThread, gate: Gate) -> None:
    manual(thread, gate)
    given = payload({"log": ["queued"]})
    thread.create(assistant_id="gated", input=given, multitask_strategy=ENQUEUE)


def manual_and_approved(thread: DrivenThread, gate: Gate) -> None:
    approved_and_in_flight(thread, gate, recovery_policy=MANUAL)


def manual_beside_a_question(thread: DrivenThread, gate: Gate) -> None:
    in_flight_beside_a_question(thread, gate, recovery_policy=MANUAL)


def manual_beside_a_breakpoint(thread: DrivenThread, gate: Gate) -> None:
    in_flight_beside_a_breakpoint(thread, gate, recovery_policy=MANUAL)


SETTINGS: tuple[Setting, ...] = (
    at_a_breakpoint,
    after_the_last_node,
    at_a_second_question,
    half_answered,
    in_a_subgraph_and_at_a_question,
    edited,
    failed,
    stateless,
    paused_before_a_queue,
    in_flight,
    in_flight_before_a_queue,
    approved_and_in_flight,
    in_flight_beside_a_question,
    in_flight_beside_a_breakpoint,
    manual,
    manual_before_a_queue,
    manual_and_approved,
    manual_beside_a_question,
    manual_beside_a_breakpoint,
)
#: Those in which a run was in flight that goes on by itself, and that does not.
GOES_ON, IS_LEFT = SETTINGS[9:14], SETTINGS[14:]


def inside(thread: DrivenThread) -> list[str]:
    """Returns the nodes that come next in the thread's subgraphs."""
    return [node for task in thread.state(subgraphs=True).tasks for node in task.state.next]


def streamed(thread: DrivenThread, run: run_pb2.Run) -> Events:
    """Reads what there is of a run's events."""
    call = thread.runs_stub.JoinRun(runs_pb2.JoinRunRequest(run_id=run.run_id), timeout=DEADLINE)
    events = [next(call).event for _ in range(run.last_sequence)]
    call.cancel()
    return events


@pytest.fixture(scope="module")
def survivors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Setting, Survivor]]:
    """Kills a server in the middle of everything, and starts it again."""
    folder: Path = tmp_path_factory.mktemp("killed")
    server = ServerProcess(folder / "graphwire.db").start()
    try:
        yield from _survivors(server, folder)
        assert server.stop() == 0, server.log
    finally:
        server.stop()


def _survivors(server: ServerProcess, folder: Path) -> Iterator[dict[Setting, Survivor]]:
    found: dict[Setting, Survivor] = {}
    with grpc.insecure_channel(server.address) as channel:
        stubs = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
        for setting in SETTINGS:
            thread, gate = DrivenThread(*stubs), Gate(folder / setting.__name__)
            setting(thread, gate)
            was, history, runs = thread.now, thread.history(), thread.runs()
            events = {run.run_id: streamed(thread, run) for run in runs}
            found[setting] = Survivor(thread, gate, was, history, runs, events)
        server.kill()
    for survivor in found.values():
        survivor.gate.open()
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        stubs = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
        for survivor in found.values():
            survivor.thread = DrivenThread(*stubs, survivor.was.thread_id)
        yield found


# --- after it: what was at rest ---


def as_it_was(survivor: Survivor) -> Survivor:
    """Returns a thread at rest once it is sure that nothing about it has changed."""
    thread = survivor.thread
    assert thread.now == survivor.was
    assert thread.history() == survivor.history
    assert list(thread.state().pauses) == list(survivor.was.pauses)
    assert thread.runs() == survivor.runs
    for run in survivor.runs:
        if run.HasField("end_time"):
            assert join(thread.runs_stub, run.run_id) == survivor.events[run.run_id]
            assert thread.wait(run.run_id).run == run
    return survivor


def test_a_breakpoint_is_resumed_by_its_old_pause_and_the_rest_still_hold(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = as_it_was(survivors[at_a_breakpoint])
    (pause,) = survivor.was.pauses
    events = survivor.thread.resume(pause_ids=[pause.pause_id])
    assert shapes(events) == [*ran("b"), *before("c")]
    assert events[0].metadata.resumed_run_id == pause.run_id
    assert shapes(survivor.thread.resume()) == [*ran("c"), DONE]
    assert survivor.thread.log == ["in", "a", "b", "c"]


def test_a_breakpoint_after_the_last_node_is_resumed(
    survivors: dict[Setting, Survivor],
) -> None:
    thread = as_it_was(survivors[after_the_last_node]).thread
    assert shapes(thread.resume()) == [DONE]
    assert thread.stands() == ("IDLE", [], [])


def test_a_question_gets_its_answer_and_keeps_the_one_given_before(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = as_it_was(survivors[at_a_second_question])
    thread = survivor.thread
    (pause,) = survivor.was.pauses
    first = survivor.events[survivor.runs[-1].run_id][-2].interrupted.pauses[0]
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(answers={first.pause_id: "stale"})
    thread.resume(answers={pause.pause_id: 2})
    assert thread.log == ["in", "1, 2", "after"]


def test_what_was_answered_before_the_kill_is_not_asked_again(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = as_it_was(survivors[half_answered])
    (pause,) = survivor.was.pauses
    survivor.thread.resume(answers={pause.pause_id: 2})
    assert survivor.thread.log == ["in", "left: 1", "right: 2", "done"]


def test_a_subgraph_goes_on_from_where_it_stood(survivors: dict[Setting, Survivor]) -> None:
    survivor = as_it_was(survivors[in_a_subgraph_and_at_a_question])
    pauses = {pause.node: pause.pause_id for pause in survivor.was.pauses}
    survivor.thread.resume(answers={pauses["ask"]: 1})
    assert [pause.pause_id for pause in survivor.thread.pauses] == [pauses["danger"]]
    survivor.thread.resume(pause_ids=[pauses["danger"]])
    assert survivor.thread.log == ["in", "beside: 1", "in", "one", "danger", "done"]


def test_an_edited_thread_goes_on_with_the_edit(survivors: dict[Setting, Survivor]) -> None:
    survivor = as_it_was(survivors[edited])
    survivor.thread.resume(pause_ids=[survivor.was.pauses[0].pause_id])
    assert survivor.thread.log == ["in", "a", "x", "b", "c"]


def test_a_failed_thread_can_be_mended(survivors: dict[Setting, Survivor]) -> None:
    thread = as_it_was(survivors[failed]).thread
    thread.edit({"count": 1}, as_node="fine")
    assert shapes(thread.resume()) == [*ran("explode"), DONE]


def test_the_thread_of_a_stateless_run_is_kept_until_it_is_answered(
    survivors: dict[Setting, Survivor],
) -> None:
    thread = as_it_was(survivors[stateless]).thread
    assert thread.now.stateless
    thread.resume(answer="x")
    assert thread.log == ["in", "name: 'x'", "after"]


def test_runs_that_waited_behind_a_pause_wait_on_and_then_take_their_turns(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = as_it_was(survivors[paused_before_a_queue])
    thread = survivor.thread
    second, first, _ = survivor.runs
    assert {run.status for run in (first, second)} == {run_pb2.RUN_STATUS_PENDING}
    assert shapes(thread.resume()) == [*ran("after"), DONE]
    thread.wait(first.run_id)
    thread.wait(second.run_id)
    assert thread.log == [
        *["in", "before", "gate", "after"],
        *["first", "before", "gate", "after"],
        *["second", "before", "gate", "after"],
    ]


# --- after it: what was in flight, and goes on ---


@pytest.mark.parametrize("setting", GOES_ON)
def test_a_run_in_flight_goes_on_by_itself_and_tells_nothing_twice(
    survivors: dict[Setting, Survivor], setting: Setting
) -> None:
    survivor = survivors[setting]
    thread, run_id = survivor.thread, survivor.lost_run_id
    run = thread.wait(run_id).run
    assert (run.status, run.attempt) == (run_pb2.RUN_STATUS_INTERRUPTED, 2)
    events, seen = join(thread.runs_stub, run_id), survivor.events[run_id]
    assert seen
    assert events[: len(seen)] == seen
    again = events[len(seen) :]
    assert [event.attempt for event in events] == [1] * len(seen) + [2] * len(again)
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds.count("attempt_started") == 1
    assert kinds[len(seen)] == "attempt_started"
    started = again[0].attempt_started
    assert (started.attempt, started.checkpoint_id) == (2, survivor.history[0].checkpoint_id)
    told = [update for update in shapes(seen) if update[0] == "updates"]
    assert not [update for update in shapes(again) if update in told]
    assert join(thread.runs_stub, run_id, after_sequence=len(seen)) == again


def test_a_run_in_flight_repeats_only_the_node_that_had_not_finished(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[in_flight]
    thread = survivor.thread
    thread.wait(survivor.lost_run_id)
    assert thread.stands() == ("INTERRUPTED", ["after"], [("BREAKPOINT_BEFORE", "after")])
    again = join(thread.runs_stub, survivor.lost_run_id, len(survivor.events[survivor.lost_run_id]))
    assert shapes(again) == [("attempt_started",), *ran("gate"), *before("after")]
    # What was before the step that was lost is as it was.
    assert thread.history()[2:] == survivor.history[1:]
    assert shapes(thread.resume()) == [*ran("after"), DONE]
    assert thread.log == ["in", "before", "gate", "after"]


def test_runs_that_waited_behind_one_in_flight_take_their_turns_after_it(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[in_flight_before_a_queue]
    thread = survivor.thread
    second, first, ahead = survivor.runs
    thread.wait(ahead.run_id)
    assert {run.status for run in thread.runs()[:2]} == {run_pb2.RUN_STATUS_PENDING}
    thread.resume()
    assert thread.wait(first.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert thread.wait(second.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert thread.log == [
        *["in", "before", "gate", "after"],
        *["first", "before", "gate", "after"],
        *["second", "before", "gate", "after"],
    ]
    assert thread.stands() == ("IDLE", [], [])


def test_what_was_approved_before_the_kill_is_approved_for_that_node_alone(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[approved_and_in_flight]
    thread = survivor.thread
    thread.wait(survivor.lost_run_id)
    assert thread.stands() == ("INTERRUPTED", ["after"], [("BREAKPOINT_BEFORE", "after")])
    approved = survivor.events[survivor.runs[-1].run_id][-2].interrupted.pauses[0]
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[approved.pause_id])
    assert thread.log == ["in", "before", "gate"]


def test_a_question_beside_a_node_in_flight_waits_when_that_is_done(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[in_flight_beside_a_question]
    thread = survivor.thread
    thread.wait(survivor.lost_run_id)
    asked = ("INTERRUPT", "ask", {"question": "beside"})
    assert thread.stands() == ("INTERRUPTED", ["ask"], [asked])
    (pause,) = thread.pauses
    assert pause.run_id == survivor.lost_run_id
    assert shapes(thread.resume(answers={pause.pause_id: 1}))[-1] == DONE
    assert sorted(thread.log) == ["beside: 1", "gate", "in"]


def test_a_breakpoint_beside_a_node_in_flight_still_holds(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[in_flight_beside_a_breakpoint]
    thread = survivor.thread
    thread.wait(survivor.lost_run_id)
    stop = ("BREAKPOINT_BEFORE", "child/step")
    assert thread.stands() == ("INTERRUPTED", ["child"], [stop])
    assert inside(thread) == ["step"]
    assert shapes(thread.resume())[-2:] == [("interrupted", [stop], ["child"]), PAUSED]
    assert value(thread.state(subgraphs=True).tasks[0].state.values)["count"] == 1


# --- after it: what was in flight, and is left to somebody ---


@pytest.mark.parametrize("setting", IS_LEFT)
def test_a_manual_run_in_flight_is_failed_as_lost_with_all_that_it_had_streamed(
    survivors: dict[Setting, Survivor], setting: Setting
) -> None:
    survivor = survivors[setting]
    thread, run_id = survivor.thread, survivor.lost_run_id
    run = thread.wait(run_id).run
    assert run.status == run_pb2.RUN_STATUS_FAILED
    assert run.recovery_policy == MANUAL
    assert (run.error.type, run.error.message) == (
        "ServerLost",
        "the server stopped while the run was executing",
    )
    assert run.HasField("end_time")
    events, seen = join(thread.runs_stub, run_id), survivor.events[run_id]
    assert seen
    assert events[: len(seen)] == seen
    assert [event.WhichOneof("event") for event in events[len(seen) :]] == ["end"]
    assert events[-1].end.status == run.status
    assert events[-1].end.error == run.error
    assert run.last_sequence == events[-1].sequence
    assert join(thread.runs_stub, run_id, after_sequence=len(seen)) == events[len(seen) :]


def test_the_thread_of_a_lost_run_can_be_read_and_goes_on_with_its_breakpoints(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[manual]
    thread = survivor.thread
    thread.wait(survivor.lost_run_id)
    assert thread.stands() == ("INTERRUPTED", ["gate"], [])
    assert thread.now.error.type == "ServerLost"
    assert value(thread.state().values)["log"] == ["in", "before"]
    assert thread.history() == survivor.history
    events = thread.resume()
    assert shapes(events) == [*ran("gate"), *before("after")]
    assert events[0].metadata.resumed_run_id == survivor.lost_run_id
    assert {run.recovery_policy for run in thread.runs()} == {MANUAL}
    assert shapes(thread.resume()) == [*ran("after"), DONE]
    assert thread.log == ["in", "before", "gate", "after"]


def test_runs_that_waited_behind_a_lost_run_wait_until_somebody_has_looked(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[manual_before_a_queue]
    thread = survivor.thread
    queued, _ = survivor.runs
    thread.wait(survivor.lost_run_id)
    assert thread.stands() == ("INTERRUPTED", ["gate"], [])
    assert shapes(thread.resume()) == [*ran("gate"), *before("after")]
    assert shapes(thread.resume()) == [*ran("after"), DONE]
    assert thread.wait(queued.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    ran_twice = ["before", "gate", "after"]
    assert thread.log == ["in", *ran_twice, "queued", *ran_twice]
    assert thread.stands() == ("IDLE", [], [])


def test_what_was_approved_before_the_kill_stays_approved_and_only_that(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[manual_and_approved]
    thread = survivor.thread
    thread.wait(survivor.lost_run_id)
    assert thread.stands() == ("INTERRUPTED", ["gate"], [])
    approved = survivor.events[survivor.runs[-1].run_id][-2].interrupted.pauses[0]
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        thread.resume(pause_ids=[approved.pause_id])
    assert shapes(thread.resume()) == [*ran("gate"), *before("after")]
    assert thread.log == ["in", "before", "gate"]


def test_a_question_that_stood_beside_the_lost_node_is_open(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[manual_beside_a_question]
    thread = survivor.thread
    thread.wait(survivor.lost_run_id)
    asked = ("INTERRUPT", "ask", {"question": "beside"})
    assert thread.stands() == ("INTERRUPTED", ["ask", "gate"], [asked])
    assert thread.now.error.type == "ServerLost"
    (pause,) = thread.pauses
    assert pause.run_id == survivor.lost_run_id
    assert shapes(thread.resume(answers={pause.pause_id: 1}))[-1] == DONE
    assert sorted(thread.log) == ["beside: 1", "gate", "in"]


def test_a_breakpoint_at_which_a_subgraph_stood_when_the_server_was_lost_still_holds(
    survivors: dict[Setting, Survivor],
) -> None:
    survivor = survivors[manual_beside_a_breakpoint]
    thread = survivor.thread
    thread.wait(survivor.lost_run_id)
    assert thread.stands() == ("INTERRUPTED", ["child", "gate"], [])
    stop = ("BREAKPOINT_BEFORE", "child/step")
    # The node beside it runs; the subgraph waits.
    assert shapes(thread.resume()) == [*ran("gate"), ("interrupted", [stop], ["child"]), PAUSED]
    assert inside(thread) == ["step"]
    assert shapes(thread.resume())[-2:] == [("interrupted", [stop], ["child"]), PAUSED]
