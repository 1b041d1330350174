"""`graphwire attach`, coming and going, and what others do meanwhile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from graphwire import Client
from graphwire.enums import RunStatus

from tests.cli.command import COMMAND, ID, AtATerminal, call, environment
from tests.e2e.gates import Gate
from tests.processes import Program

from .prompts import LOG, PROMPT, before_action


def test_leaving_says_how_to_come_back_and_attach_does(weather: str) -> None:
    with before_action(weather) as run:
        run.answer(PROMPT, "q")
        run.read_until("graphwire: the thread stays paused before action; to come back:\n")
        run.read_until("    graphwire attach ")
        assert run.wait() == 4
    *_, back = ID.findall(run.screen)
    with AtATerminal("attach", back, "-s", weather) as attached:
        attached.read_until("▶ before action\n")
        attached.answer(PROMPT, "c")
        attached.read_until("It is 16 °C and foggy in San Francisco")
        attached.read_until("■ idle  nothing is next\n")
        attached.answer(PROMPT, "c")
        attached.read_until("nothing is next: give new input with `input`, or `fork` a ")
        attached.answer(PROMPT, "input And in Oslo?")
        attached.read_until("I'll look up the weather in Oslo.")
        attached.read_until("It is -2 °C and snowy in Oslo")
        attached.answer(PROMPT, "q")
        assert attached.wait() == 0


def test_attaching_to_a_paused_thread_answers_it_and_stays(zoo: str) -> None:
    started = call("run", "ask", *LOG, "-s", zoo)
    [thread] = ID.findall(started.out)[:1]
    with AtATerminal("attach", thread, "-s", zoo) as attached:
        attached.read_until("? at a question of ask\n")
        attached.answer(PROMPT, "a Ann")
        attached.read_until("log [\"name: 'Ann'\"]")
        attached.read_until("■ idle  nothing is next\n")
        attached.read_until(PROMPT)
        attached.type("\x04")
        assert attached.wait() == 0


def test_attaching_to_a_run_shows_it_and_ctrl_c_pauses_it(zoo: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    started = Program(
        [*COMMAND, "run", "gated", "--input", gate.input.json, "--server", zoo],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with started:
        assert started.stdout is not None
        [thread] = ID.findall(started.stdout.readline())
        gate.wait_begun()
        with AtATerminal("attach", thread, "-s", zoo) as attached:
            attached.read_until("● before\n")
            attached.read_until("Ctrl-C pauses it")
            attached.interrupt()
            attached.read_until("pausing…")
            gate.open()
            attached.read_until("▶ before after\n")
            attached.answer(PROMPT, "q")
            assert attached.wait() == 4
        started.communicate()
    assert started.returncode == 4


def test_attaching_shows_runs_that_are_queued_one_after_the_other(zoo: str, tmp_path: Path) -> None:
    gates = [Gate(tmp_path / name) for name in ("first", "second")]
    first, second = (json.loads(gate.input.json) for gate in gates)
    with Client(zoo) as client:
        thread = client.threads.create().thread_id
        client.runs.create(thread, "gated", input=first)
        gates[0].wait_begun()
        client.runs.create(thread, "gated", input=second, multitask_strategy="ENQUEUE")
        with AtATerminal("attach", thread, "-s", zoo) as attached:
            for gate in gates:
                # It is at work for as long as it takes to be seen.
                attached.read_until("● before\n")
                gate.open()
                attached.read_until("● after\n")
                attached.read_until("✓ succeeded")
            attached.read_until("■ idle  nothing is next\n")
            attached.answer(PROMPT, "q")
            assert attached.wait() == 0


def test_attaching_asks_about_a_pause_though_a_run_is_queued_behind_it(
    zoo: str, tmp_path: Path
) -> None:
    gate, other = (Gate(tmp_path / name) for name in ("first", "second"))
    with Client(zoo) as client:
        thread = client.threads.create().thread_id
        given = json.loads(gate.input.json)
        first = client.runs.create(thread, "gated", input=given, interrupt_before=["after"])
        gate.wait_begun()
        given = json.loads(other.input.json)
        queued = client.runs.create(thread, "gated", input=given, multitask_strategy="ENQUEUE")
        gate.open()
        assert client.runs.wait(first.run_id).run.status is RunStatus.INTERRUPTED
        with AtATerminal("attach", thread, "-s", zoo) as attached:
            attached.read_until("▶ before after\n")
            attached.read_until(PROMPT)
            assert client.runs.get(queued.run_id).status is RunStatus.PENDING
            attached.type("c\n")
            attached.read_until("✓ succeeded")
            # Now it is the turn of the other one.
            attached.read_until("● before\n")
            other.open()
            attached.read_until("✓ succeeded")
            attached.read_until("■ idle  nothing is next\n")
            attached.answer(PROMPT, "q")
            assert attached.wait() == 0


@pytest.mark.parametrize("typed", ["show", "continue"])
def test_what_others_set_going_is_watched(zoo: str, tmp_path: Path, typed: str) -> None:
    gate = Gate(tmp_path / "gate")
    words = ("run", "gated", "--input", gate.input.json, "-b", "before")
    with AtATerminal(*words, "-s", zoo) as run, Client(zoo) as client:
        run.read_until(PROMPT)
        [thread] = ID.findall(run.screen)[:1]
        client.runs.create(thread, resume=True)
        gate.wait_begun()
        run.type(f"{typed}\n")
        run.read_until("● before\n")
        run.read_until("Ctrl-C pauses it")
        gate.open()
        run.read_until("● after\n")
        run.read_until("■ idle  nothing is next\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 0


def test_attach_needs_a_terminal_and_a_thread(zoo: str) -> None:
    result = call("attach", "no-such-thread", server=zoo)
    assert result.err == (
        "graphwire: attach needs a terminal: `graphwire threads show` and `graphwire runs join` "
        "do not\n"
    )
    assert (result.code, result.out) == (2, "")
    with AtATerminal("attach", "01a215e5-f191-718a-8329-5caa99402c38", "-s", zoo) as attached:
        attached.read_until("THREAD_NOT_FOUND")
        assert attached.wait() == 1
