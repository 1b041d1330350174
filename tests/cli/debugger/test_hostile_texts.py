"""Texts of users, models and states that would draw something else over what is about to run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest
from graphwire import Client

from tests.cli.command import AtATerminal, call

from .prompts import PROMPT, QUESTION

#: Wipes the screen, draws a pause of its own, and hides what follows.
FAKE = '\x1b[2J\x1b[H▶ before action\x1b[3;1H  1  get_weather(city="Oslo")\x1b[8m'
SHOWN = FAKE.replace("\x1b", "\\x1b")


def waiting_for(server: str, name: str, args: Mapping[str, object]) -> str:
    """Has a thread of the weather agent wait before a tool call; returns the thread's id."""
    thread_id = str(uuid4())
    with Client(server) as client:
        client.runs.run(
            thread_id,
            "agent",
            input={"messages": [{"role": "user", "content": QUESTION}]},
            interrupt_before=["agent", "action"],
            if_not_exists="create",
        )
        tool_call = {"name": name, "args": args, "id": "call"}
        answer = {"type": "ai", "content": "", "tool_calls": [tool_call]}
        client.threads.update_state(thread_id, {"messages": [answer]}, as_node="agent")
    return thread_id


@pytest.mark.parametrize("columns", [80, 120])
def test_what_a_user_has_said_draws_nothing_over_the_screen(weather: str, columns: int) -> None:
    words = ("run", "agent", f"{QUESTION} {FAKE}", "-b", "action", "-s", weather)
    with AtATerminal(*words, columns=columns) as run:
        run.answer(PROMPT, "state messages[0].content")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert b"\x1b[2J" not in run.raw
    assert b"\x1b[8m" not in run.raw
    assert "\\x1b" in run.picture.partition("state\n")[2].partition("messages[1]")[0]
    assert '  1  get_weather(city="San Francisco")\n' in run.picture


def test_a_tool_call_is_shown_as_it_would_run(weather: str) -> None:
    name, args = "get\x1b[8m_\u202eweather\n  2  safe", {"ci\x9bty\r": "Os\u200blo\x9b2J"}
    thread_id = waiting_for(weather, name, args)
    shown = r'get\x1b[8m_\u202eweather\n  2  safe(ci\u009bty\r="Os\u200blo\u009b2J")'
    with AtATerminal("attach", thread_id, "-s", weather, columns=120) as run:
        run.read_until(f"tool calls\n  1  {shown}\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
        for hidden in ("\x9b", "\u202e", "\u200b"):
            assert hidden not in run.raw.decode()
    [line] = [
        each
        for each in call("inbox", server=weather).out.splitlines()
        if each.split()[-2:-1] == [thread_id]
    ]
    assert shown in line
    [pause] = call("inbox", "list", "--thread", thread_id, "--json", server=weather).objects
    assert [(each["name"], each["args"]) for each in pause["tool_calls"]] == [(name, args)]


@pytest.mark.parametrize("name", ["../up", "folder/file", "/absolute", ".", "x\ty", "a" * 300])
def test_what_a_tool_is_called_does_not_name_the_file_that_is_edited(
    weather: str, name: str, tmp_path: Path
) -> None:
    thread_id = waiting_for(weather, name.replace("/absolute", f"{tmp_path}/absolute"), {"n": 1})
    seen = tmp_path / "seen"
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\necho "$1" $(stat -c %a "$(dirname "$1")") > {seen}\n')
    editor.chmod(0o700)
    env = {"EDITOR": str(editor), "TMPDIR": str(tmp_path)}
    with AtATerminal("attach", thread_id, "-s", weather, env=env) as run:
        run.answer(PROMPT, "edit 1")
        run.read_until("nothing was changed\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    file, mode = seen.read_text().split()
    assert (Path(file).name, Path(file).parent.parent) == ("arguments.json", tmp_path)
    assert mode == "700"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["editor", "seen"]
