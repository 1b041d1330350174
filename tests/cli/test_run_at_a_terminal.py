"""`graphwire run` at a terminal: tokens as they come, progress, and what Ctrl-C does."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import AtATerminal, call, in_order, masked
from tests.e2e.gates import Gate

QUESTION = "What is the weather in San Francisco?"
CYAN = b"\x1b[36m"
PROMPT = "(graphwire) "


def test_what_nodes_say_and_do_is_shown_as_it_comes(weather: str) -> None:
    with AtATerminal("run", "agent", QUESTION, "-s", weather) as run:
        assert run.wait() == 0
    shown = [
        "agent on thread ",
        "● agent\n",
        "  I'll look up the weather in San Francisco.\n",
        '  get_weather(city="San Francisco")',
        "● action\n",
        '  get_weather → {"city": "San Francisco", "temperature_c": 16, "sky": "foggy",\n',
        '  "wind_kmh": 24}\n',
        "● agent\n",
        "  It is 16 °C and foggy in San Francisco, with wind at 24 km/h. Take a jacket.\n",
        "✓ succeeded",
    ]
    assert in_order(run.screen, shown), run.screen
    assert CYAN in run.raw


def test_without_prompts_it_stops_at_once_and_without_colours_it_has_none(weather: str) -> None:
    words = ("run", "agent", QUESTION, "-b", "action", "--no-prompt")
    with AtATerminal(*words, "-s", weather, env={"NO_COLOR": "1"}) as run:
        assert run.wait() == 4
    assert PROMPT not in run.screen
    assert CYAN not in run.raw


def test_yes_goes_on_at_breakpoints_and_asks_what_nodes_ask(zoo: str) -> None:
    words = ("run", "stop_and_ask", "--input", '{"log": []}', "--yes")
    with AtATerminal(*words, "-s", zoo) as run:
        run.read_until("2 ? at a question of ask\n")
        run.answer(PROMPT, "answer 2 yes")
        run.answer(PROMPT, "continue")
        run.read_until("log [\"beside: 'yes'\"]")
        assert run.wait() == 0


def test_ctrl_c_pauses_and_a_second_one_leaves_the_run_to_that(zoo: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    words = ("run", "gated", "--input", gate.input.json)
    with AtATerminal(*words, "-s", zoo, columns=100) as run:
        run.read_until("gate 0.")
        run.read_until("Ctrl-C pauses it")
        run.interrupt()
        run.read_until("…   Ctrl-C again leaves it to that")
        run.interrupt()
        run.read_until(
            "graphwire: the run was asked to pause, before its next node; come back to it, or stop "
            "it:\n    graphwire attach "
        )
        assert run.wait() == 130
    attach, cancel = run.screen.splitlines()[-2:]
    gate.open()
    with AtATerminal(*attach.split()[1:]) as again:
        again.read_until("▶ before after\n")
        again.answer(PROMPT, "q")
        assert again.wait() == 4
    given_up = call(*cancel.split()[1:])
    assert masked(given_up.out) == "<id> INTERRUPTED\n"


def test_ctrl_c_pauses_a_run_before_whatever_comes_next(zoo: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    with AtATerminal("run", "gated", "--input", gate.input.json, "-s", zoo) as run:
        run.read_until("gate 0.")
        run.interrupt()
        run.read_until("pausing…")
        gate.open()
        run.read_until("▶ before after\n")
        run.answer(PROMPT, "continue")
        run.read_until("● after\n")
        assert run.wait() == 0


def test_with_nobody_to_ask_ctrl_c_leaves_the_run_going(zoo: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    words = ("run", "gated", "--input", gate.input.json, "--no-prompt")
    with AtATerminal(*words, "-s", zoo) as run:
        run.read_until("Ctrl-C leaves it running")
        run.interrupt()
        assert run.wait() == 130
    gate.open()
    [command] = [line for line in run.screen.splitlines() if "runs join" in line]
    assert '● after\n  log ["after"]\n' in call(*command.split()[1:]).out


def test_a_run_that_fails_says_how_to_come_back_to_its_thread(zoo: str) -> None:
    words = ("run", "loop", "--input", '{"log": []}', "--config", '{"recursion_limit": 2}')
    with AtATerminal(*words, "-s", zoo, columns=200) as run:
        assert run.wait() == 1
    *_, failed, back, command = run.screen.splitlines()
    assert failed.startswith("graphwire: the run failed: GraphRecursionError: ")
    assert back == "graphwire: to look at the thread, or go on from there:"
    with AtATerminal(*command.split()[1:]) as again:
        again.read_until("▶ error  next: step\n")
        # The run that failed takes none any more; the one that goes on does.
        again.answer(PROMPT, "break nowhere")
        again.read_until("the graph has no node 'nowhere'")
        for spec in ("step:after", "step if state.count > 1"):
            again.answer(PROMPT, f"break {spec}")
            again.read_until(f"set for the next run: {spec}\n")
        again.answer(PROMPT, "breakpoints")
        again.read_until("1  step:after  set for the next run\n")
        again.read_until("2  step if state.count > 1  set for the next run\n")
        again.answer(PROMPT, "delete 2")
        again.read_until("deleted: step if state.count > 1\n")
        again.answer(PROMPT, "c")
        again.read_until("▶ after step\n")
        again.answer(PROMPT, "breakpoints")
        again.read_until("1  step:after\n")
        again.answer(PROMPT, "q")
        assert again.wait() == 4
    stateless = AtATerminal(*words, "--stateless", "-s", zoo)
    with stateless:
        assert stateless.wait() == 1
    assert "attach" not in stateless.screen
