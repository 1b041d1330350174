"""`graphwire run` at a terminal: tokens as they come, progress, and questions at a pause."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import AtATerminal, call, in_order, masked
from tests.e2e.gates import Gate

QUESTION = "What is the weather in San Francisco?"
CYAN = b"\x1b[36m"
PROMPT = "c continue  e edit the call  s stop\n› "


def test_at_a_pause_the_call_can_be_edited_and_then_continued(weather: str) -> None:
    with AtATerminal("run", "agent", QUESTION, "-b", "action", "-s", weather) as run:
        run.read_until('│  get_weather(city="San Francisco")  │')
        run.answer(PROMPT, "x")
        run.read_until("type one of: c, e, s\n")
        run.answer("› ", "edit")
        # The line comes filled in; Ctrl-U empties it.
        run.read_until('get_weather › {"city": "San Francisco"}')
        run.type('\x15{"city": "Oslo"\n')
        run.read_until("not JSON: Expecting ',' delimiter (column 16)\n")
        run.answer('get_weather › {"city": "Oslo"', "}")
        run.read_until('│  get_weather(city="Oslo")  │')
        run.answer(PROMPT, "c")
        assert run.wait() == 0
    shown = [
        "agent on thread ",
        "● agent\n",
        "  I'll look up the weather in San Francisco.\n",
        '  get_weather(city="San Francisco")',
        "‖ paused",
        "╭─ before action ─",
        "╭─ before action ─",
        "● action\n",
        '  get_weather → {"city": "Oslo", "temperature_c": -2, "sky": "snowy",\n',
        '  "wind_kmh": 11}\n',
        "● agent\n",
        "  It is -2 °C and snowy in Oslo, with wind at 11 km/h. Dress warmly.\n",
        "✓ succeeded",
    ]
    assert in_order(run.screen, shown), run.screen
    assert CYAN in run.raw


def test_stopping_leaves_the_thread_paused_and_says_how_to_go_on(weather: str) -> None:
    with AtATerminal("run", "agent", QUESTION, "-b", "action", "-s", weather) as run:
        run.answer(PROMPT, "s")
        assert run.wait() == 4
    assert in_order(
        masked(run.screen),
        ["graphwire: paused before action; to go on:\n", "    graphwire run --thread <id> --r"],
    )


def test_without_prompts_it_stops_at_once_and_without_colours_it_has_none(weather: str) -> None:
    words = ("run", "agent", QUESTION, "-b", "action", "--no-prompt")
    with AtATerminal(*words, "-s", weather, env={"NO_COLOR": "1"}) as run:
        assert run.wait() == 4
    assert "c continue" not in run.screen
    assert CYAN not in run.raw


def test_a_question_is_asked_and_answered(zoo: str) -> None:
    with AtATerminal("run", "ask", "--input", '{"log": []}', "-s", zoo) as run:
        run.read_until("╭─ at a question of ask ─")
        run.answer("a answer  s stop\n› ", "a")
        run.answer("ask › ", "")
        run.read_until("type an answer: text, or JSON\n")
        run.answer("ask › ", '{"name": "Ann"}')
        run.read_until("log [\"name: {'name': 'Ann'}\"]")
        assert run.wait() == 0


def test_ctrl_d_at_a_question_stops(zoo: str) -> None:
    with AtATerminal("run", "ask", "--input", '{"log": []}', "-s", zoo) as run:
        run.read_until("a answer  s stop\n› ")
        run.type("\x04")
        assert run.wait() == 4


def test_a_resume_without_an_answer_asks_for_it(zoo: str) -> None:
    paused = call("run", "ask_parallel", "--input", '{"log": []}', server=zoo)
    thread = paused.out.splitlines()[0].rpartition(" ")[2]
    with AtATerminal("run", "-t", thread, "--resume", "-s", zoo) as run:
        run.answer("a answer  s stop\n› ", "a")
        run.answer("left › ", "1")
        run.answer("right › ", "no")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    assert '  log ["left: 1"]\n' in run.screen
    assert "  log [\"right: 'no'\"]\n" in run.screen


def test_the_line_of_progress_names_the_node_and_ctrl_c_leaves_the_run_going(
    zoo: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    words = ("run", "gated", "--input", gate.input.json)
    with AtATerminal(*words, "-s", zoo) as run:
        run.read_until("gate 0.")
        run.read_until("Ctrl-C leaves it running")
        run.interrupt()
        run.read_until("graphwire: the run goes on; watch it again, or stop it:\n")
        run.read_until("graphwire runs join ")
        assert run.wait() == 130
    join, cancel = run.screen.splitlines()[-2:]
    gate.open()
    joined = call(*join.split()[1:])
    assert '● gate\n  log ["gate"]\n\n● after\n  log ["after"]\n' in joined.out
    assert joined.code == 0
    too_late = call(*cancel.split()[1:])
    assert too_late.err.endswith("has ended already: SUCCEEDED [RUN_ENDED]\n")
