"""Answers are single use: whoever comes second learns who was first, when, and with which run."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import grpc
import pytest
from graphwire.v1 import pause_pb2, run_pb2

from tests.e2e.drive import Refusal, get_run, reason_of, refusal_of, refused
from tests.e2e.driven import DrivenThread, resume
from tests.e2e.gates import Gate

RESUMED, SUPERSEDED = "RESUMED", "SUPERSEDED"


def told(refusal: Refusal, key: str, run: run_pb2.Run, answered_by: str) -> None:
    """Checks that a refusal tells of the answer that came first."""
    time = run.create_time.ToJsonString()
    assert refusal.metadata == {
        "pause_id": key,
        "status": RESUMED,
        "time": time,
        "run_id": run.run_id,
        "principal": "anonymous",
        **({"answered_by": answered_by} if answered_by else {}),
    }
    assert refusal.precondition[1] == f"pause/{key}"
    for part in (time, run.run_id, answered_by or "anonymous"):
        assert part in refusal.text


@pytest.mark.parametrize("by", ["pause_id", "interrupt_id"])
def test_a_second_answer_by_id_says_who_answered(thread: DrivenThread, by: str) -> None:
    thread.start("ask")
    (pause,) = thread.pauses
    run = get_run(thread.runs_stub, thread.resume(answer=1, answered_by="ann")[0].run_id)
    key = getattr(pause, by)
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(answers={key: 2}, answered_by="bob")
    told(refusal, key, run, "ann")


def test_a_second_resume_of_a_breakpoint_says_who_resumed_it(thread: DrivenThread) -> None:
    thread.start("linear", interrupt_before=["b"])
    (pause,) = thread.pauses
    run = get_run(thread.runs_stub, thread.resume()[0].run_id)
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(pause_ids=[pause.pause_id])
    told(refusal, pause.pause_id, run, "")


def test_a_second_plain_answer_says_who_answered(thread: DrivenThread) -> None:
    thread.start("ask")
    (pause,) = thread.pauses
    run = get_run(thread.runs_stub, thread.resume(answer=1, answered_by="ann")[0].run_id)
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(answer=2)
    told(refusal, pause.pause_id, run, "ann")
    # Also in a command.
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.command(update={"log": ["x"]}, resumes={"answer": 2})
    told(refusal, pause.pause_id, run, "ann")


@pytest.mark.parametrize("how", ["pause_ids", "answers", "interrupt", "answer"])
def test_while_the_first_answer_is_at_work_the_second_hears_of_it_and_not_of_a_busy_thread(
    thread: DrivenThread, gates: Any, how: str
) -> None:
    gate: Gate = gates()
    first = Gate(gate.path.with_name(f"{gate.path.name} 0"))
    second = Gate(gate.path.with_name(f"{gate.path.name} 1"))
    first.open()
    thread.start("ask_at_gates", json.loads(gate.input.json))
    (pause,) = thread.pauses
    run_id = thread.create(resume=resume({"answer": 1, "answered_by": "ann"}))
    second.wait_begun()
    again: dict[str, dict[str, Any]] = {
        "pause_ids": {"pause_ids": [pause.pause_id]},
        "answers": {"answers": {pause.pause_id: 2}},
        "interrupt": {"answers": {pause.interrupt_id: 2}},
        "answer": {"answer": 2},
    }
    with refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(**again[how])
    key = pause.interrupt_id if how == "interrupt" else pause.pause_id
    told(refusal, key, get_run(thread.runs_stub, run_id), "ann")
    second.open()
    thread.wait(run_id)


NOBODYS = "00000000-0000-4000-8000-000000000000"


def told_besides(refusal: Refusal, pause: pause_pb2.Pause, run: run_pb2.Run) -> dict[str, str]:
    """Checks that a refusal tells of an answer of ann's; returns what its metadata has besides."""
    time = run.create_time.ToJsonString()
    for part in (pause.pause_id, time, run.run_id, "by ann (anonymous)"):
        assert part in refusal.text
    assert "cancel" not in refusal.text
    said = {"pause_id": pause.pause_id, "status": RESUMED, "time": time}
    said |= {"principal": "anonymous", "answered_by": "ann"}
    assert said.items() <= refusal.metadata.items()
    return {key: each for key, each in refusal.metadata.items() if key not in said}


@pytest.mark.parametrize(
    "graph, how",
    [
        *product(
            ("ask_at_gates", "gated"), ("plain", "unknown pause", "command", "goto", "expected")
        ),
        ("ask_at_gates", "answer and expected"),  # of a breakpoint nothing is asked
    ],
)
def test_whoever_names_no_pause_hears_who_was_first_as_well(
    thread: DrivenThread, gates: Any, graph: str, how: str
) -> None:
    """While the first is at work, and when he is done; of a question, and of a breakpoint."""
    gate: Gate = gates()
    given = json.loads(gate.input.json)
    if graph == "gated":
        second = gate
        thread.start("gated", given, interrupt_before=["gate"])
        first: dict[str, Any] = {"answered_by": "ann"}
    else:
        Gate(gate.path.with_name(f"{gate.path.name} 0")).open()
        second = Gate(gate.path.with_name(f"{gate.path.name} 1"))
        thread.start("ask_at_gates", given)
        first = {"answer": 1, "answered_by": "ann"}
    (pause,) = thread.pauses
    run_id = thread.create(resume=resume(dict(first)))
    second.wait_begun()
    run = get_run(thread.runs_stub, run_id)

    def again() -> None:
        match how:
            case "command":
                thread.command(update={"log": ["x"]}, resumes={})
            case "goto":
                thread.command(goto=["after"], resumes={})
            case "plain":
                thread.resume()
            case "unknown pause":
                thread.resume(pause_ids=[NOBODYS])
            case "expected":
                thread.resume(expected_checkpoint_id=pause.checkpoint_id, answered_by="bob")
            case "answer and expected":
                thread.resume(answer=2, expected_checkpoint_id=pause.checkpoint_id)

    which = "PAUSE_NOT_OPEN" if "expected" in how else "THREAD_BUSY"
    with refused("FAILED_PRECONDITION", which) as refusal:
        again()
    if "expected" in how:
        told(refusal, pause.pause_id, run, "ann")
    else:
        assert told_besides(refusal, pause, run) == {
            "thread_id": thread.thread_id,
            "run_id": run_id,
            "resolved_by_run_id": run_id,
        }
    second.open()
    if graph == "ask_at_gates":  # it asks again
        Gate(gate.path.with_name(f"{gate.path.name} 2")).open()
        thread.wait(run_id)
        return
    thread.wait(run_id)

    which = {"unknown pause": "PAUSE_NOT_OPEN"}.get(how, "NOTHING_TO_RESUME")
    which = "PAUSE_NOT_OPEN" if "expected" in how else which
    with thread.refused("FAILED_PRECONDITION", which) as refusal:
        again()
    if "expected" in how:
        told(refusal, pause.pause_id, run, "ann")
    elif how != "unknown pause":
        about = told_besides(refusal, pause, run)
        assert about == {"thread_id": thread.thread_id, "run_id": run_id}


def test_whoever_has_seen_a_checkpoint_that_was_edited_hears_what_became_of_the_pause(
    thread: DrivenThread,
) -> None:
    thread.start("linear", interrupt_before=["b"])
    (pause,) = thread.pauses
    thread.edit({"log": ["edit"]})
    with thread.refused("FAILED_PRECONDITION", "CHECKPOINT_MISMATCH") as refusal:
        thread.resume(expected_checkpoint_id=pause.checkpoint_id)
    assert refusal.metadata["checkpoint_id"] == thread.now.checkpoint_id
    assert refusal.metadata["pause_id"] == pause.pause_id
    assert refusal.metadata["status"] == SUPERSEDED
    assert f"pause, {pause.pause_id} (node 'b'), is not open any more: it was superseded" in (
        refusal.text
    )


def test_a_thread_that_was_never_paused_has_nothing_to_tell(thread: DrivenThread) -> None:
    thread.start("linear")
    with thread.refused("FAILED_PRECONDITION", "NOTHING_TO_RESUME") as refusal:
        thread.resume()
    assert refusal.metadata == {"thread_id": thread.thread_id}
    with thread.refused("FAILED_PRECONDITION", "CHECKPOINT_MISMATCH") as refusal:
        thread.resume(expected_checkpoint_id=NOBODYS)
    assert refusal.metadata == {"checkpoint_id": thread.now.checkpoint_id}


def test_what_still_waits_where_another_question_was_answered_can_be_answered(
    thread: DrivenThread,
) -> None:
    """Both have seen the same checkpoint, and each his question."""
    thread.start("ask_parallel")
    one, two = thread.pauses
    seen = one.checkpoint_id
    thread.resume(answers={one.pause_id: 1}, expected_checkpoint_id=seen, answered_by="ann")
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(answers={one.pause_id: 3}, expected_checkpoint_id=seen)
    assert refusal.metadata["answered_by"] == "ann"
    thread.resume(answer=2, expected_checkpoint_id=seen, answered_by="bob")
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(expected_checkpoint_id=seen)
    assert refusal.metadata["answered_by"] == "bob"
    assert refusal.metadata["pause_id"] == two.pause_id


def test_of_what_was_superseded_it_is_said_and_by_whom(thread: DrivenThread) -> None:
    thread.start("ask")
    (pause,) = thread.pauses
    run_id = thread.start("ask", on_pause=run_pb2.ON_PAUSE_DISCARD)[0].run_id
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(answers={pause.pause_id: 1})
    assert refusal.metadata["status"] == SUPERSEDED
    assert refusal.metadata["principal"] == "anonymous"
    assert refusal.metadata["run_id"] == run_id
    assert "superseded" in refusal.text
    # The new question stands.
    thread.resume(answer=2)
    assert thread.log[-2:] == ["name: 2", "after"]


def test_what_the_thread_has_gone_past_is_said_before_that_it_has_moved_on(
    thread: DrivenThread,
) -> None:
    thread.start("ask_twice")
    pause, checkpoint = thread.pauses[0], thread.now.checkpoint_id
    thread.resume(answer=1, answered_by="ann")
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(answers={pause.pause_id: 2}, expected_checkpoint_id=checkpoint)
    assert refusal.metadata["answered_by"] == "ann"


def test_a_pause_of_another_thread_is_not_told_of(thread: DrivenThread) -> None:
    other = DrivenThread(thread.runs_stub, thread.threads_stub)
    other.start("ask")
    (pause,) = other.pauses
    other.resume(answer="secret", answered_by="ann")
    thread.start("ask")
    with thread.refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
        thread.resume(answers={pause.pause_id: 2})
    assert refusal.metadata == {"pause_id": pause.pause_id}
    assert "ann" not in refusal.text


def test_for_whom_is_part_of_the_request_that_is_repeated(thread: DrivenThread, once: str) -> None:
    thread.start("ask")
    first = thread.resume(answer=1, answered_by="ann", request_id=once)
    assert thread.resume(answer=1, answered_by="ann", request_id=once) == first
    with thread.refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        thread.resume(answer=1, answered_by="bob", request_id=once)


@pytest.mark.parametrize("how", ["named", "expected", "plain"])
@pytest.mark.parametrize("graph", ["ask", "linear"])
def test_of_many_who_answer_at_once_one_wins_and_all_others_hear_of_it(
    thread: DrivenThread, graph: str, how: str
) -> None:
    for _ in range(5):
        thread.start(graph, interrupt_before=["b"] if graph == "linear" else [])
        (pause,) = thread.pauses
        names = [f"caller-{number}" for number in range(8)]

        def answer(name: str, pause: pause_pb2.Pause = pause) -> str:
            fields: dict[str, Any] = {"answer": name} if graph == "ask" else {}
            if how == "expected":
                fields["expected_checkpoint_id"] = pause.checkpoint_id
            elif how == "named":
                fields = {"pause_ids": [pause.pause_id]}
                if graph == "ask":
                    fields = {"answers": {pause.pause_id: name}}
            try:
                thread.resume(**fields, answered_by=name)
            except grpc.RpcError as error:
                refusal = refusal_of(error)
                if how == "plain" and graph == "linear":
                    assert refusal.reason in ("THREAD_BUSY", "NOTHING_TO_RESUME")
                else:
                    assert refusal.reason == "PAUSE_NOT_OPEN"
                assert refusal.metadata["pause_id"] == pause.pause_id
                assert refusal.metadata["answered_by"] in refusal.text
                assert refusal.metadata["time"] in refusal.text
                return refusal.metadata["answered_by"]
            return "won"

        with ThreadPoolExecutor(8) as pool:
            outcomes = dict(zip(names, pool.map(answer, names), strict=True))
        (winner,) = [name for name, outcome in outcomes.items() if outcome == "won"]
        assert Counter(outcomes.values()) == {"won": 1, winner: 7}
        if graph == "ask":
            assert thread.log[-2:] == [f"name: {winner!r}", "after"]
        assert thread.status == "IDLE"


def test_partial_answers_at_once_each_count_once(thread: DrivenThread) -> None:
    """Two parallel questions, many answers to each: none is given twice, none to the other."""
    thread.start("ask_parallel")
    pauses = thread.pauses
    calls = [(pause, number) for pause in pauses for number in range(4)]

    def answer(pause: pause_pb2.Pause, number: int) -> bool:
        while True:
            try:
                thread.resume(answers={pause.pause_id: number}, answered_by=f"{number}")
            except grpc.RpcError as error:
                reason = reason_of(error)
            else:
                return True
            # The other question's answer is at work.
            if reason != "THREAD_BUSY":
                assert reason == "PAUSE_NOT_OPEN"
                return False

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda call: answer(*call), calls))
    assert sum(won[:4]) == sum(won[4:]) == 1
