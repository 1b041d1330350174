"""Whether an answer fits its question, told before it is sent."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from graphwire.enums import PauseKind
from graphwire.values import Pause
from graphwire_server.cli.debugger.fitting import misfit


def asking(schema: Any, error: str = "") -> Pause:
    return Pause(
        pause_id="p",
        thread_id="t",
        run_id="r",
        kind=PauseKind.INTERRUPT,
        node="ask",
        namespace=(),
        interrupt_id="i",
        value="?",
        response_schema=schema,
        response_schema_error=error,
        checkpoint_id="c",
        create_time=None,
    )


def test_an_answer_is_told_where_it_does_not_fit() -> None:
    asked = asking({"properties": {"n": {"type": "integer", "minimum": 0}}})
    assert misfit(asked, {"n": 3}) == ""
    assert misfit(asked, {"n": -1}) == (
        "the answer does not fit the response schema at $.n: -1 is less than the minimum of 0"
    )
    assert misfit(asking(None), {"n": -1}) == ""


@pytest.mark.parametrize(
    ("schema", "error", "answer"),
    [
        ({"type": "nothing"}, "", 3),
        ({"type": "string"}, "it can't be used", 3),
        ({"items": {"type": "string"}}, "", [*["x"] * 60_000, 3]),
    ],
)
def test_what_can_not_be_told_here_is_for_the_server_to_say(
    schema: Any, error: str, answer: Any
) -> None:
    assert misfit(asking(schema, error), answer) == ""


def test_with_a_client_alone_the_server_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graphwire_server.runs.answer_schema", None)
    assert misfit(asking({"type": "string"}), 3) == ""
