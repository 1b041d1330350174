"""Graphs that only the code of a node calls: they have no doors, and their breakpoints hold."""

from __future__ import annotations

import pytest
from graphwire.v1 import run_pb2

from tests.e2e.drive import payload
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
