"""Tool calls at a pause: edited, approved, rejected, answered."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from graphwire import Reject, ToolCall
from graphwire.enums import PauseKind
from graphwire_server.cli.debugger.screen import show_calls
from graphwire_server.cli.debugger.verdicts import Verdicts, WaitingCall
from rich.console import Console

from .prompts import PROMPT, THREE_CITIES, TWO_CITIES, a_pause, before_action


def test_a_call_is_edited_in_the_editor_and_runs_so(weather: str) -> None:
    editor = {"EDITOR": "sed -i s/San.Francisco/Oslo/"}
    with before_action(weather, env=editor) as run:
        run.answer(PROMPT, "edit 2")
        run.read_until("which call, 1 to 1? As in: edit 1\n")
        run.answer(PROMPT, "edit 1")
        run.read_until('  1  get_weather(city="San Francisco")\n     ✎ get_weather(city="Oslo")\n')
        run.answer(PROMPT, "c")
        run.read_until('get_weather → {"city": "Oslo"')
        run.read_until("It is -2 °C and snowy in Oslo")
        assert run.wait() == 0


@pytest.mark.parametrize("approval", ["approve 1", "ok", "approve"])
def test_an_edited_call_that_is_approved_runs_as_edited(weather: str, approval: str) -> None:
    editor = {"EDITOR": "sed -i s/San.Francisco/Oslo/"}
    with before_action(weather, env=editor) as run:
        run.answer(PROMPT, "edit 1")
        run.read_until('     ✎ get_weather(city="Oslo")\nkept: continue runs it as edited\n')
        run.answer(PROMPT, approval)
        assert run.wait() == 0
    assert re.findall(r'get_weather → \{"city": "([^"]+)', run.screen) == ["Oslo"]


@pytest.mark.parametrize("last", ["reject 2 too cold", "respond 2 too cold"])
def test_an_edit_is_sent_only_after_a_yes_to_it(weather: str, last: str) -> None:
    editor = {"EDITOR": "sed -i s/San.Francisco/Cairo/"}
    with before_action(weather, TWO_CITIES, env=editor) as run:
        run.answer(PROMPT, "edit 1")
        run.read_until("kept: continue asks about 2, approve lets the rest run\n")
        run.answer(PROMPT, last)
        run.read_until('     ✎ get_weather(city="Cairo")\n')
        run.read_until("kept: continue runs it as edited\n")
        run.read_until(PROMPT)
        assert "● action" not in run.screen
        run.type("continue\n")
        assert run.wait() == 0
    results = re.findall(r'get_weather → (?:\{"city": )?"?([^",\n]+)', run.screen)
    assert sorted(results) == ["Cairo", "too cold"]


def test_a_call_that_was_edited_and_approved_waits_for_the_others_only(weather: str) -> None:
    editor = {"EDITOR": "sed -i s/San.Francisco/Cairo/"}
    with before_action(weather, TWO_CITIES, env=editor) as run:
        for line in ("edit 1", "approve 1", "approve 2"):
            run.answer(PROMPT, line)
        assert run.wait() == 0
    assert sorted(re.findall(r'get_weather → \{"city": "([^"]+)', run.screen)) == ["Cairo", "Oslo"]


def test_calls_are_rejected_and_answered_one_by_one(weather: str) -> None:
    with before_action(weather, TWO_CITIES) as run:
        run.answer(PROMPT, "reject too cold")
        run.read_until("which call, 1 to 2? As in: reject 1 too dear\n")
        run.answer(PROMPT, "reject 2 too cold")
        run.read_until(
            'tool calls\n  1  get_weather(city="San Francisco")\n  2  get_weather(city="Oslo")\n'
            "     ✗ rejected: too cold\n"
            "kept: continue asks about 1, approve lets the rest run\n"
        )
        run.answer(PROMPT, "respond 1 It is sunny.")
        run.read_until("get_weather → ")
        assert run.wait() == 0
    assert "get_weather → It is sunny." in run.screen
    assert "get_weather → too cold" in run.screen
    assert '"temperature_c"' not in run.screen


def test_calls_that_nobody_decided_on_run_beside_others_only_after_a_yes(weather: str) -> None:
    with before_action(weather, THREE_CITIES) as run:
        run.answer(PROMPT, "reject 2 too cold")
        run.read_until("kept: continue asks about 1 and 3, approve lets the rest run\n")
        for typed in ("continue", "step", "until agent"):
            run.answer(PROMPT, typed)
            run.read_until(
                '  1  get_weather(city="San Francisco")\n  3  get_weather(city="Cairo")\n'
            )
            run.answer("run 1 and 3 as they are? [y/N] ", "")
            run.read_until("nothing was sent: decide on the rest, or approve all of it\n")
        run.answer(PROMPT, "c")
        run.read_until("run 1 and 3 as they are? [y/N] ")
        run.type("\x04")
        run.answer(PROMPT, "approve 3")
        run.read_until("kept: continue asks about 1, approve lets the rest run\n")
        assert "● action" not in run.screen
        run.answer(PROMPT, "c")
        run.read_until('  1  get_weather(city="San Francisco")\nrun 1 as it is? [y/N] ')
        run.type("y\n")
        assert run.wait() == 0
    results = re.findall(r'get_weather → (?:\{"city": )?"?([^",\n]+)', run.screen)
    assert sorted(results) == ["Cairo", "San Francisco", "too cold"]


@pytest.mark.parametrize(
    ("typed", "cities"),
    [(["continue"], ["Oslo", "San Francisco"]), (["edit 1", "approve"], ["Cairo", "Oslo"])],
)
def test_calls_run_unasked_with_no_verdict_at_all_or_one_on_each(
    weather: str, typed: list[str], cities: list[str]
) -> None:
    editor = {"EDITOR": "sed -i s/San.Francisco/Cairo/"}
    with before_action(weather, TWO_CITIES, env=editor) as run:
        for line in typed:
            run.answer(PROMPT, line)
        assert run.wait() == 0
    assert "[y/N]" not in run.screen
    assert sorted(re.findall(r'get_weather → \{"city": "([^"]+)', run.screen)) == cities


def test_a_single_rejection_goes_on_at_once(weather: str) -> None:
    with before_action(weather) as run:
        run.answer(PROMPT, "r")
        assert run.wait() == 0
    assert '"temperature_c"' not in run.screen


def test_calls_are_folded_below_their_names_and_one_id_is_told() -> None:
    calls = tuple(
        ToolCall(tool_call_id="same", name="send", args={"text": text})
        for text in ("one two three four five six seven", "x" * 40)
    )
    paused = a_pause(PauseKind.BREAKPOINT_BEFORE, "tools", tool_calls=calls)
    shown, waiting = StringIO(), [WaitingCall(paused, call) for call in calls]
    verdicts = Verdicts()
    verdicts.decide(waiting[0], Reject("no"))
    show_calls(Console(file=shown, width=34), waiting, verdicts)
    assert [row.rstrip() for row in shown.getvalue().splitlines()] == [
        "",
        "tool calls",
        '  1  send(text="one two three four',
        '     five six seven")',
        "     ✗ rejected: no",
        '  2  send(text="xxxxxxxxxxxxxxxxxx',
        '     xxxxxxxxxxxxxxxxxxxxxx")',
        "     has the id of 1: a verdict on",
        "     one is on both",
        "     ✗ rejected: no",
    ]
