"""What waits where the state does not show it: in graphs that the code of a node calls, in those
without checkpoints, and in handlers of errors. It holds, and it is resumed."""

from __future__ import annotations

from typing import Any

import pytest
from graphwire.v1 import run_pb2

from tests.e2e.drive import pause_shape, payload, value
from tests.e2e.driven import DrivenThread
from tests.e2e.test_gate import after, by_path

ASSISTANTS = ["calls_beside_ask", "calls_beside_ask_in_thread"]


@pytest.mark.parametrize("called", [None, "sync", "async", "exit"])
@pytest.mark.parametrize("assistant", ASSISTANTS)
def test_the_answer_of_a_sibling_releases_no_breakpoint_after_a_node(
    thread: DrivenThread, assistant: str, called: str | None
) -> None:
    config = run_pb2.RunConfig(configurable=payload({"called": called} if called else {}))
    thread.start(assistant, config=config)
    pauses = by_path(thread.pauses)
    assert sorted(pauses) == ["ask", "call/two"]
    thread.resume(answers={pauses["ask"].pause_id: 1})
    assert thread.stands() == ("INTERRUPTED", ["call"], [after("call/two")])
    assert thread.pauses == [pauses["call/two"]]
    thread.resume()
    assert thread.log == ["in", "beside: 1", "called", "call", "one", "two", "three", "done"]


def test_a_handler_of_errors_asks_and_is_answered(thread: DrivenThread) -> None:
    thread.start("handler_asks")
    (first,) = thread.pauses
    assert (first.node, list(first.namespace)) == ("__error_handler__fails", [])
    assert value(first.value) == "first?"
    # Whoever approves it without a word answers nothing, and nothing is skipped.
    with thread.refused("INVALID_ARGUMENT", "ANSWER_REQUIRED", "resume"):
        thread.resume()
    thread.resume(answer=1)
    (second,) = thread.pauses
    assert value(second.value) == "second?"
    thread.resume(answer=2)
    assert thread.log == ["in", "fails: 1, 2"]


@pytest.mark.parametrize("durability", list(run_pb2.Durability.values()))
def test_a_subgraph_without_checkpoints_takes_all_its_answers(
    thread: DrivenThread, durability: run_pb2.Durability.ValueType
) -> None:
    thread.start("ask_twice_without_saver", durability=durability)
    (first,) = thread.pauses
    thread.resume(answer=1)
    (second,) = thread.pauses
    assert (first.node, second.node) == ("child", "child")
    assert first.pause_id != second.pause_id
    assert thread.log == ["in", "before"]
    thread.resume(answer=2)
    assert thread.log == ["in", "before", "in", "before", "one: 1", "two: 2", "after"]


@pytest.mark.parametrize("assistant", ["calls_twice", "calls_thrice_at_once"])
def test_each_of_several_calls_asks_and_stops(thread: DrivenThread, assistant: str) -> None:
    thread.start(assistant)
    seen: list[tuple[Any, ...]] = []
    while thread.status == "INTERRUPTED":
        pauses = thread.pauses
        assert len(seen) < 9
        seen.append(pause_shape(pauses[0])[:1])
        if pauses[0].interrupt_id:
            thread.resume(answers={pauses[0].pause_id: len(seen)})
        else:
            thread.resume(pause_ids=[pauses[0].pause_id])
    calls = 2 if assistant == "calls_twice" else 3
    assert sorted(seen) == [("BREAKPOINT_BEFORE",)] * calls + [("INTERRUPT",)] * calls
    assert thread.log.count("danger") == calls
    assert thread.log[-1] == "after"


def test_a_stop_that_nobody_could_pass_fails_and_says_why(thread: DrivenThread) -> None:
    thread.start("calls_what_stops_again")
    assert thread.stands() == ("INTERRUPTED", ["call"], [after("call/one")])
    end = thread.resume()[-1].end
    assert (end.error.type, end.error.node) == ("UnresumablePause", "call")
    assert "checkpointer=False" in end.error.message
    assert (thread.status, thread.log) == ("ERROR", ["in"])


def test_a_graph_with_a_memory_takes_its_input_in_the_first_step_of_a_resume(
    thread: DrivenThread,
) -> None:
    seen = []
    for _ in "12":
        thread.start("calls_graph_with_memory", interrupt_before=["call"])
        while thread.status == "INTERRUPTED":
            seen.append(list(by_path(thread.pauses)))
            thread.resume()
    assert seen == [["call"], ["call/two"]] * 2
    once = ["given", "one", "two"]
    assert thread.log == ["in", "called", *once, "after", "in", "called", *once, *once, "after"]
