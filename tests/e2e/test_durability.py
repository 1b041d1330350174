"""Each durability with each kind of subgraph: it runs, pauses and goes on."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire.v1 import run_pb2

from tests.e2e.drive import shapes
from tests.e2e.driven import DrivenThread

PAUSED = ("end", "INTERRUPTED")
DONE = ("end", "SUCCEEDED")
ASKED = {"question": "child"}

SYNC, ASYNC, EXIT = (
    run_pb2.DURABILITY_SYNC,
    run_pb2.DURABILITY_ASYNC,
    run_pb2.DURABILITY_EXIT,
)

each_durability = pytest.mark.parametrize(
    "durability", [SYNC, ASYNC, EXIT], ids=["SYNC", "ASYNC", "EXIT"]
)
each_subgraph = pytest.mark.parametrize(
    "assistant",
    ["ask_in_child", "ask_in_child_with_memory"],
    ids=["checkpointer=None", "checkpointer=True"],
)


@each_durability
def test_a_graph_without_subgraphs_tells_the_same_with_each(
    thread: DrivenThread, durability: run_pb2.Durability.ValueType
) -> None:
    modes = [mode for mode in run_pb2.StreamMode.values() if mode]
    events = shapes(thread.start("linear", durability=durability, stream_modes=modes))
    logs = [["in"], ["in", "a"], ["in", "a", "b"], ["in", "a", "b", "c"]]
    assert [said for kind, *said in events if kind == "values"] == [[{"log": log}] for log in logs]
    assert [said[0] for kind, *said in events if kind == "updates"] == ["a", "b", "c"]
    assert [said[0] for kind, *said in events if kind == "task_started"] == ["a", "b", "c"]
    assert [said[1] for kind, *said in events if kind == "checkpoint"] == [-1, 0, 1, 2, 3]
    assert events[-1] == DONE
    # What differs is what is kept: of a run with EXIT only its end.
    kept = 1 if durability == EXIT else 5
    assert len(thread.history()) == kept
    assert thread.log == logs[-1]


@each_durability
@each_subgraph
def test_a_subgraph_pauses_at_a_question_and_goes_on_from_there(
    thread: DrivenThread, assistant: str, durability: run_pb2.Durability.ValueType
) -> None:
    fields: dict[str, Any] = {"durability": durability, "stream_subgraphs": True}
    first = thread.start(assistant, **fields)
    asked = ("INTERRUPT", "child/ask", ASKED)
    assert shapes(first)[-2:] == [("interrupted", [asked], ["child"]), PAUSED]
    assert thread.stands() == ("INTERRUPTED", ["child"], [asked])
    second = shapes(thread.resume(answer=1))
    # Nothing that was before the question is done again.
    assert second[0] == ("updates", "child", "ask", {"log": ["child: 1"]})
    assert second[-1] == DONE
    assert {run.durability for run in thread.runs()} == {durability}
    assert thread.log[-1] == "after"
    assert thread.log.count("child: 1") == 1


@each_durability
@pytest.mark.parametrize(
    "assistant", ["no_saver_child", "ask_in_child", "ask_in_child_with_memory"]
)
def test_a_second_run_on_the_thread_goes_as_the_first(
    thread: DrivenThread, assistant: str, durability: run_pb2.Durability.ValueType
) -> None:
    for answer in (1, 2):
        events = thread.start(assistant, durability=durability)
        if thread.status == "INTERRUPTED":
            events = thread.resume(answer=answer)
        assert shapes(events)[-1] == DONE
    assert thread.stands() == ("IDLE", [], [])


@pytest.mark.parametrize("asked", [ASYNC, EXIT], ids=["ASYNC", "EXIT"])
def test_questions_in_parallel_are_answered_one_by_one(
    thread: DrivenThread, asked: run_pb2.Durability.ValueType
) -> None:
    thread.start("ask_parallel", durability=asked)
    left, right = thread.pauses
    thread.resume(answers={right.pause_id: 2})
    assert thread.pauses == [left]
    thread.resume(answers={left.pause_id: 1})
    assert thread.log == ["in", "left: 1", "right: 2", "done"]


@pytest.mark.parametrize("asked", [ASYNC, EXIT], ids=["ASYNC", "EXIT"])
def test_a_command_does_the_same_with_each(
    thread: DrivenThread, asked: run_pb2.Durability.ValueType
) -> None:
    thread.start("ask", durability=asked)
    thread.command(update={"log": ["u"]}, resumes={"answer": 1})
    assert thread.log == ["in", "u", "name: 1", "after"]
    thread.command(goto=["ask"], durability=asked)
    assert thread.stands()[:2] == ("INTERRUPTED", ["ask"])
    thread.resume(answer=2)
    assert thread.log == ["in", "u", "name: 1", "after", "name: 2", "after"]
