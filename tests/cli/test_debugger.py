"""The prompt at a pause, and `graphwire attach`, at a terminal."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from graphwire import Client, Resume
from graphwire.enums import RunStatus, ThreadStatus
from graphwire.errors import ConnectionLostError
from graphwire_server.cli.connection import Connection
from graphwire_server.cli.debugger.commands import GoOn
from graphwire_server.cli.debugger.session import Debugger
from graphwire_server.cli.exit_codes import ExitCode
from rich.console import Console

from tests.cli.command import COMMAND, ID, AtATerminal, call, environment, in_order, masked
from tests.e2e.gates import Gate
from tests.servers import ZOO, ServerProcess

QUESTION = "What is the weather in San Francisco?"
TWO_CITIES = "What is the weather in San Francisco and Oslo?"
THREE_CITIES = "What is the weather in San Francisco, Oslo and Cairo?"
CONDITION = 'state.messages[-1].tool_calls.exists(t, t.name == "get_weather")'
PROMPT = "(graphwire) "
DRAWING = """
     ╭───────────╮
     │ __start__ │
     ╰─────┬─────╯
           │
      ╭────▼────╮
      │  agent  │
      ╰─▲──┬────╯
        │  ├╌╌╌╌╌╌╌╌╌╌╮
        │  ╎          ╎
  ┏━━━━━┷━━▼━┓   ╭────▼────╮
  ┃ ▶ action ┃   │ __end__ │
  ┗━━━━━━━━━━┛   ╰─────────╯
"""
_USED = re.compile(r"  <n> s(  \d+ tokens)?")
LOG = ("--input", '{"log": []}')


def dialogue(terminal: AtATerminal) -> str:
    """Returns what can be seen in the end, with ids and durations taken out."""
    return masked(terminal.picture)


def before_action(
    server: str, question: str = QUESTION, *, env: Mapping[str, str] | None = None
) -> AtATerminal:
    """A run of the agent at a terminal, that pauses before its tool calls are carried out."""
    return AtATerminal("run", "agent", question, "-b", "action", "-s", server, env=env)


def test_a_pause_shows_why_where_what_waits_and_what_has_changed(weather: str) -> None:
    words = ("run", "agent", QUESTION, "--break", f"action if {CONDITION}")
    with AtATerminal(*words, "-s", weather) as run:
        run.answer(PROMPT, "continue")
        assert run.wait() == 0
    shown = f"""
▶ before action
  if {CONDITION}
{DRAWING}
tool calls
  1  get_weather(city="San Francisco")

state
  + messages[0]  human  What is the weather in San Francisco?
  + messages[1]  ai  I'll look up the weather in San Francisco.  get_weather(ci…

c continue  e 1 edit a call  r 1 reject it  s step  u until NODE  h help  q quit
(graphwire) continue
"""
    assert shown in dialogue(run), dialogue(run)
    assert in_order(run.screen, ["● action\n", "  get_weather → {", "✓ succeeded"])


def test_the_documentation_shows_a_session_as_it_is(weather: str) -> None:
    documentation = Path(__file__).parents[2] / "docs" / "command-line.md"
    section = documentation.read_text().partition("## The debugger\n")[2]
    session = section.partition("```console\n")[2].partition("```")[0]
    command, _, shown = session.partition("\n")
    words = shlex.split(command)[2:]
    editor = {"EDITOR": "sed -i s/San.Francisco/Oslo/"}
    typed = re.findall(r"^\(graphwire\) (.*)$", shown, re.MULTILINE)
    with AtATerminal(*words, env={**editor, "GRAPHWIRE_TARGET": weather}) as run:
        for line in typed:
            run.answer(PROMPT, line)
        assert run.wait() == 0
    assert _USED.sub("", dialogue(run).strip()) == _USED.sub("", masked(shown).strip())


def test_steps_go_into_subgraphs_over_them_and_out(zoo: str) -> None:
    with AtATerminal("run", "stop_after_child", *LOG, "--step", "-s", zoo) as run:
        run.answer(PROMPT, "step")
        run.read_until("▶ before child › one\n")
        run.read_until("┃ ▶ child/one ┃")
        run.answer(PROMPT, "breakpoints")
        run.read_until("1  child/two:after  compiled into the graph\n")
        run.answer(PROMPT, "finish")
        # The breakpoint that is compiled in holds on the way.
        run.read_until("▶ after child › two\n")
        run.read_until("  compiled into the graph\n")
        run.read_until("┃ child/two ▶ ┃")
        run.answer(PROMPT, "next")
        run.read_until("▶ before after\n")
        run.answer(PROMPT, "c")
        assert run.wait() == 0
    with AtATerminal("run", "ask_in_child", *LOG, "--step", "-s", zoo) as run:
        run.read_until("▶ before before\n")
        run.answer(PROMPT, "breakpoints")
        run.read_until("there are none: break NODE adds one\n")
        run.answer(PROMPT, "n")
        run.read_until("▶ before child\n")
        run.read_until('state, since the last pause\n  + log[0]  "before"\n')
        run.answer(PROMPT, "n")
        run.read_until("? at a question of child › ask\n")
        run.read_until('state of child\n  + log  ["before", "first"]\n')
        run.answer(PROMPT, "state log[-1]")
        run.read_until('"first"\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_until_goes_to_a_node(zoo: str) -> None:
    with AtATerminal("run", "linear", *LOG, "--step", "-s", zoo) as run:
        run.answer(PROMPT, "until")
        run.read_until("until which node? As in: until action\n")
        run.answer(PROMPT, "until nowhere")
        run.read_until("the graph has no node 'nowhere'; it has: a, b, c\n")
        run.answer(PROMPT, "u c")
        run.read_until("▶ before c\n")
        run.read_until('  + log[0]  "a"\n  + log[1]  "b"\n')
        run.answer(PROMPT, "c")
        assert run.wait() == 0
    assert "▶ before b" not in run.screen


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


def test_what_is_no_json_is_edited_again_or_dropped(weather: str) -> None:
    editor = {"EDITOR": "sed -i s/}//"}
    with before_action(weather, env=editor) as run:
        run.answer(PROMPT, "e 1")
        run.read_until("not JSON: Expecting ',' delimiter (line 4, column 1)\n")
        run.answer("edit it again? [y/n] ", "n")
        run.read_until("nothing was changed\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_the_state_is_edited_in_the_editor(weather: str) -> None:
    editor = {"EDITOR": "sed -i s/San.Francisco/Oslo/"}
    with before_action(weather, env=editor) as run:
        run.answer(PROMPT, "edit")
        run.read_until('  1  get_weather(city="Oslo")\n')
        run.read_until(
            "state, since the last pause\n"
            '  ~ messages[0].content  …ther in San Francisco?" → …ther in Oslo?"\n'
            '  ~ messages[1].content  …ther in San Francisco." → …ther in Oslo."\n'
            '  ~ messages[1].tool_calls[0].args.city  "San Francisco" → "Oslo"\n'
        )
        run.answer(PROMPT, "history")
        run.read_until(" 1 ▶   2      update    action ")
        run.read_until(" 2     1      loop      action ")
        run.answer(PROMPT, "c")
        run.read_until("It is -2 °C and snowy in Oslo")
        assert run.wait() == 0


def test_an_edited_list_is_what_was_saved_whatever_its_reducer_does(zoo: str) -> None:
    editor = {"EDITOR": """sed -i 's/"a"/"x"/'"""}
    with AtATerminal("run", "linear", *LOG, "-b", "c", "-s", zoo, env=editor) as run:
        run.answer(PROMPT, "edit")
        run.read_until('state, since the last pause\n  ~ log[0]  "a" → "x"\n(graphwire) ')
        run.type("edit as b c\n")
        run.read_until("edit what? `edit` the state, `edit as NODE`, or `edit 1`, a call\n")
        run.answer(PROMPT, "state log")
        run.read_until('[\n  "x",\n  "b"\n]\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_in_a_subgraph_its_own_state_is_edited(zoo: str) -> None:
    editor = {"EDITOR": """sed -i 's/"first"/"x"/'"""}
    words = ("run", "ask_in_child", *LOG, "-b", "child/ask")
    with AtATerminal(*words, "-s", zoo, env=editor) as run:
        run.answer(PROMPT, "edit")
        run.read_until('state of child, since the last pause\n  ~ log[1]  "first" → "x"\n')
        run.answer(PROMPT, "c")
        run.answer(PROMPT, "a Ann")
        run.read_until('log ["before", "x", "child: \'Ann\'"]')
        assert run.wait() == 0


def test_an_edit_as_another_node_changes_what_comes_next(zoo: str) -> None:
    with AtATerminal("run", "linear", *LOG, "-b", "*", "-s", zoo, env={"EDITOR": "true"}) as run:
        run.answer(PROMPT, "edit as b")
        run.read_until("▶ before c\n")
        run.answer(PROMPT, "c")
        assert run.wait() == 0
    assert "● b" not in run.screen


def test_an_edit_as_a_node_asks_before_other_branches_are_left_behind(zoo: str) -> None:
    with AtATerminal("run", "ask_parallel", *LOG, "-s", zoo, env={"EDITOR": "true"}) as run:
        asked = (
            "right would no longer wait: only what follows left would come next\n"
            "edit all the same? [y/n] "
        )
        run.answer(PROMPT, "edit as left")
        run.read_until(asked)
        run.type("\n")
        run.read_until("nothing was changed\n")
        run.answer(PROMPT, "edit as left")
        run.read_until("edit all the same? [y/n] ")
        run.type("y\n")
        run.read_until("▶ before done\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    # What follows from the node comes next again: nothing is left behind.
    words = ("run", "ask_parallel", *LOG, "-b", "left", "-b", "right", "-s", zoo)
    with AtATerminal(*words, env={"EDITOR": "true"}) as run:
        run.answer(PROMPT, "edit as __start__")
        run.read_until("2 ▶ before right\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert "no longer wait" not in run.screen


def test_without_an_editor_that_works_nothing_is_changed(weather: str) -> None:
    editor = {"EDITOR": "false"}
    with before_action(weather, env=editor) as run:
        run.answer(PROMPT, "edit")
        run.read_until("false ended with code 1: nothing was changed\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


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


def test_an_answer_that_does_not_fit_leaves_the_question_open(zoo: str) -> None:
    with AtATerminal("run", "ask_schema", *LOG, "-s", zoo) as run:
        run.read_until("? at a question of ask\n")
        run.read_until('"question": "amount"')
        run.read_until('  answer: {"type": "object", "properties": {"amount": ')
        run.answer(PROMPT, 'answer {"amount": 0}')
        run.read_until("the answer does not fit the response schema at $.amount: 0 is less than")
        run.answer(PROMPT, "answer {")
        run.read_until("not JSON: Expecting property name enclosed in double quotes (column 2)\n")
        run.answer(PROMPT, "continue")
        run.answer("ask › ", "")
        run.read_until("type an answer: text, or JSON\n")
        run.answer("ask › ", '{"amount": 7}')
        run.read_until("log [\"amount: {'amount': 7}\"]")
        assert run.wait() == 0


def test_until_checks_its_node_before_it_asks_for_an_answer(zoo: str) -> None:
    with AtATerminal("run", "ask", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "until nowhere")
        run.read_until("the graph has no node 'nowhere'; it has: ask, after\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    with AtATerminal("run", "ask_in_child", *LOG, "-s", zoo) as child:
        child.answer(PROMPT, "until child/nowhere")
        child.read_until("the graph has no node 'child/nowhere'; it has: child/")
        child.answer(PROMPT, "q")
        assert child.wait() == 4
    assert "ask › " not in run.screen


@pytest.mark.parametrize("typed", ["w", "b", "h", "q", "?", "where", "until ask", "state log"])
def test_a_command_is_no_answer_unless_it_is_meant_as_one(zoo: str, typed: str) -> None:
    with AtATerminal("run", "ask", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "c")
        run.answer("ask › ", typed)
        run.answer(f"send '{typed}' as the answer? [y/N] ", "")
        run.read_until("nothing was sent: commands are typed here, at (graphwire)\n")
        run.answer(PROMPT, "c")
        run.answer("ask › ", typed)
        run.answer(f"send '{typed}' as the answer? [y/N] ", "y")
        run.read_until(f"log [\"name: '{typed}'\"]")
        assert run.wait() == 0


@pytest.mark.parametrize("typed", ["a trip to Oslo", "next", "quit smoking", "whereabouts"])
def test_what_only_begins_like_a_command_is_an_answer(zoo: str, typed: str) -> None:
    with AtATerminal("run", "ask", *LOG, "-s", zoo) as run:
        # What follows `answer` is an answer, whatever it is.
        if typed == "next":
            run.answer(PROMPT, f"answer {typed}")
        else:
            run.answer(PROMPT, "c")
            run.answer("ask › ", typed)
        run.read_until(f"log [\"name: '{typed}'\"]")
        assert run.wait() == 0
    assert "[y/N]" not in run.screen


def test_the_pauses_of_a_fan_out_show_what_each_task_was_sent(zoo: str) -> None:
    with AtATerminal("run", "fanout", *LOG, "--break", "work", "-s", zoo) as run:
        for n in (1, 2, 3):
            run.read_until(f'{n} ▶ before work\n    work gets {{"n": {n}}}\n')
        run.answer(PROMPT, "where")
        run.read_until('    work gets {"n": 3}\n')
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_of_two_questions_each_is_answered_by_its_number(zoo: str) -> None:
    with AtATerminal("run", "ask_parallel", *LOG, "-s", zoo) as run:
        run.read_until("1 ? at a question of left\n")
        run.read_until("2 ? at a question of right\n")
        run.answer(PROMPT, "answer yes")
        run.read_until("which of the questions? By its number, as in: answer 2 yes\n")
        run.answer(PROMPT, "answer 2 yes")
        run.read_until("not answered yet: at a question of left\n")
        run.answer(PROMPT, "answer 1 1")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    assert '  log ["left: 1"]\n' in run.screen
    assert "  log [\"right: 'yes'\"]\n" in run.screen


def test_an_answer_that_is_kept_is_shown_with_its_question(zoo: str) -> None:
    with AtATerminal("run", "ask_parallel", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "answer 2 yes")
        run.answer(PROMPT, "show")
        run.read_until("1 ? at a question of left\n")
        run.read_until("2 ? at a question of right\n")
        run.read_until("\n    ↩ answered: yes\n")
        run.answer(PROMPT, "where")
        run.read_until("1 ? at a question of left  a question\n")
        run.read_until("2 ? at a question of right  a question\n")
        run.read_until("\n    ↩ answered: yes\n")
        run.answer(PROMPT, "answer 1 no")
        assert run.wait() == 0
    assert run.screen.count("↩ answered") == 2


def test_the_pauses_that_commands_are_about_are_chosen_by_number(zoo: str) -> None:
    with AtATerminal("run", "both_stop", *LOG, "-s", zoo) as run:
        run.read_until("1 ▶ before left › danger\n")
        run.read_until("2 ▶ before right › danger\n")
        run.answer(PROMPT, "use 3")
        run.read_until("use which pauses? Numbers from 1 to 2, or all\n")
        run.answer(PROMPT, "2")
        run.read_until("1 · before left › danger\n")
        run.read_until("2 ▶ before right › danger\n")
        run.answer(PROMPT, "where")
        run.read_until("1 ▶ before left › danger  a breakpoint  not in use\n")
        run.read_until("2 ▶ before right › danger  a breakpoint\n")
        run.answer(PROMPT, "c")
        run.read_until("‖ paused")
        run.read_until("▶ before left › danger\n")
        run.answer(PROMPT, "c")
        assert run.wait() == 0


def test_a_fork_pauses_at_its_checkpoint_and_goes_on_from_there(zoo: str) -> None:
    with AtATerminal("run", "linear", *LOG, "-b", "c", "-s", zoo) as run:
        run.answer(PROMPT, "fork")
        run.read_until("which checkpoint? Its number in `history`, or its id\n")
        run.answer(PROMPT, "fork 9")
        run.read_until("history has no number 9\n")
        run.answer(PROMPT, "fork 2")
        run.read_until("a new branch from ")
        run.read_until("▶ before b\n")
        run.answer(PROMPT, "b")
        run.read_until("1  c\n(graphwire) ")
        run.type("history\n")
        run.read_until(" 1 ▶   2      fork      b ")
        run.answer(PROMPT, "state")
        run.read_until('"a"\n  ]')
        run.answer(PROMPT, "c")
        run.read_until("▶ before c\n")
        run.answer(PROMPT, "c")
        assert run.wait() == 0


def test_breakpoints_are_listed_set_and_deleted(weather: str) -> None:
    with before_action(weather) as run:
        run.answer(PROMPT, "break agent:after if size(state.messages) > 3")
        run.read_until("set: agent:after if size(state.messages) > 3\n")
        run.answer(PROMPT, "break agent if state.nothing > 3")
        run.read_until("line 1, column 7: the state has no 'nothing'; it has: messages\n")
        run.answer(PROMPT, "break agent:beside")
        run.read_until("'agent:beside': a node is followed by :before or :after; ")
        run.answer(PROMPT, "breakpoints")
        run.read_until("1  action\n2  agent:after if size(state.messages) > 3\n")
        run.answer(PROMPT, "delete 1")
        run.read_until("deleted: action\n")
        run.answer(PROMPT, "delete 2")
        run.read_until("there is no breakpoint 2\n")
        run.answer(PROMPT, "c")
        run.read_until("▶ after agent\n  if size(state.messages) > 3\n")
        run.answer(PROMPT, "c")
        assert run.wait() == 0


def test_breakpoints_of_the_graph_stay(zoo: str) -> None:
    with AtATerminal("run", "stops", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "b")
        run.read_until("1  b  compiled into the graph\n2  c:after  compiled into the graph\n")
        run.answer(PROMPT, "d 1")
        run.read_until("it is compiled into the graph: it can't be taken away from here\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_where_says_all_about_where_the_thread_stands(zoo: str) -> None:
    with AtATerminal("run", "ask_in_child", *LOG, "-b", "child/ask", "-s", zoo) as run:
        run.answer(PROMPT, "where")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert """\
(graphwire) where
thread      <id>  interrupted
assistant   ask_in_child
run         <id>  interrupted
checkpoint  <id>  step 1
next        child

1 ▶ before child › ask  a breakpoint
    pause <id>
    set for the run
(graphwire) q
""" in dialogue(run), dialogue(run)


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
    started = subprocess.Popen(
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


def test_the_prompt_outlives_its_server(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "zoo.db", ZOO).start()
    with AtATerminal("run", "ask_parallel", *LOG, "--step", "-s", server.address) as run:
        run.read_until("▶ before left\n")
        run.answer(PROMPT, "c")
        run.read_until("? at a question of right\n")
        run.answer(PROMPT, "a 1 kept")
        run.read_until("not answered yet: at a question of right\n")
        server.kill()
        run.answer(PROMPT, "b")
        run.read_until("the server can't be reached: try again when it is back\n")
        server.start()
        run.read_until(PROMPT)
        # gRPC connects again in its own time.
        while "there are none: break NODE adds one\n" not in run.screen:
            run.type("b\n")
            run.read_until(PROMPT)
        # What was decided before is still there.
        run.type("a 2 found\n")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    thread = ID.findall(run.screen)[0]
    with Client(server.address) as client:
        assert client.threads.state(thread).values["log"][-3:-1] == [
            "left: 'kept'",
            "right: 'found'",
        ]
    assert server.stop() == 0


def test_leaving_without_a_server_says_how_to_come_back(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "zoo.db", ZOO).start()
    with AtATerminal("run", "ask", *LOG, "-s", server.address) as run:
        run.read_until(PROMPT)
        server.kill()
        run.type("q\n")
        thread = ID.findall(run.screen)[0]
        run.read_until(f"graphwire: no server at {server.address}; to come back to the thread:\n")
        run.read_until("    graphwire attach ")
        assert run.wait() == 3
    assert thread in run.screen.partition("graphwire attach ")[2]


class Scripted:
    """A prompt that is asked twice, and remembers what it was told."""

    def __init__(self, *, knows: bool) -> None:
        self.knows, self.told = knows, list[str]()
        self._wanted = iter([GoOn(Resume()), None])

    def ask(self, thread_id: str) -> GoOn | None:
        return next(self._wanted)

    def lost(self, thread_id: str) -> bool:
        self.told.append(thread_id)
        return self.knows


@pytest.mark.parametrize("knows", [True, False])
def test_where_a_run_is_lost_with_its_server_the_prompt_asks_again(knows: bool) -> None:
    def gone(*_: object, **__: object) -> NoReturn:
        raise ConnectionLostError("gone")

    idle = SimpleNamespace(status=ThreadStatus.IDLE, pauses=())
    client: Any = SimpleNamespace(
        threads=SimpleNamespace(get=lambda _: idle), runs=SimpleNamespace(stream=gone)
    )
    prompt: Any = Scripted(knows=knows)
    debugger = Debugger(client, Connection(), Console(), prompt=prompt)
    if knows:
        assert debugger.attach("thread") is ExitCode.OK
    else:
        with pytest.raises(ConnectionLostError):
            debugger.attach("thread")
    assert prompt.told == ["thread"]


def test_an_answer_to_what_others_have_answered_is_said_to_be_dropped(zoo: str) -> None:
    with AtATerminal("run", "ask_parallel", *LOG, "-s", zoo) as run:
        run.answer(PROMPT, "a 1 mine")
        run.read_until("not answered yet: at a question of right\n")
        [thread] = ID.findall(run.screen)[:1]
        with Client(zoo) as client:
            left = client.threads.get(thread).pauses[0].pause_id
            client.runs.run(thread, resume=Resume(answers={left: "theirs"}, answered_by="ann"))
        run.answer(PROMPT, "where")
        run.read_until(
            "what was decided at a question of left is dropped: the pause was resolved meanwhile "
            "by ann\n"
        )
        run.answer(PROMPT, "a yes")
        run.read_until("✓ succeeded")
        assert run.wait() == 0
    assert run.screen.count("is dropped") == 1


def test_somebody_else_may_be_faster(weather: str) -> None:
    with before_action(weather) as run:
        run.read_until(PROMPT)
        [thread] = ID.findall(run.screen)[:1]
        assert call("run", "-t", thread, "--resume", "--clear-breakpoints", "-s", weather).code == 0
        run.type("c\n")
        run.read_until("is not open any more: it was resumed \nat ")
        run.read_until("■ idle  nothing is next\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 0


def test_wrong_commands_say_what_would_be_right(zoo: str) -> None:
    with AtATerminal("run", "linear", *LOG, "-b", "b", "-s", zoo) as run:
        for typed, said in (
            ("fly", "there is no command 'fly': help lists them"),
            ("brek x", "there is no command 'brek': did you mean break?"),
            ("continue now", "nothing may follow here, and there is 'now'"),
            ("answer yes", "nothing is asked here"),
            ("approve", "no tool call waits here: continue goes on"),
            ("reject 1", "no tool call waits here"),
            ("state nothing", "the state has no nothing; it has: log"),
            ("state log[7]", "log has 1 item and no [7]"),
            ("input x", "the thread is paused: go on from there, or leave with quit"),
            ("delete", "delete which breakpoint? By its number in `breakpoints`, or its id"),
            ("help fly", "there is no command 'fly': help lists them"),
            (
                "break report:confirm",
                "'report:confirm': a node is followed by :before or :after; a node of a subgraph \n"
                "is written as a path, report/confirm",
            ),
            ("break b if", "'b if' has no condition after `if`"),
        ):
            run.answer(PROMPT, typed)
            run.read_until(f"{said}\n")
        run.read_until(PROMPT)
        run.type("half a line")
        run.read_until("half a line")
        run.interrupt()
        run.answer(PROMPT, "help until")
        run.read_until("until NODE  also: u\ngoes on until that node is next\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_a_terminal_that_is_too_small_gets_the_neighbours(zoo: str) -> None:
    with AtATerminal("run", "linear", *LOG, "-b", "b", "-s", zoo, rows=20) as run:
        run.read_until("▶ before b\n\n  a → [▶ b] → c\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_without_colours_the_prompt_has_none(weather: str) -> None:
    words = ("run", "agent", QUESTION, "-b", "action", "-s", weather)
    with AtATerminal(*words, env={"NO_COLOR": "1"}) as run:
        run.answer(PROMPT, "r 1")
        assert run.wait() == 0
    assert re.search(rb"\x1b\[[0-9;]*3[0-9]m", run.raw) is None


@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_fits(zoo: str, columns: int) -> None:
    with AtATerminal("run", "linear", *LOG, "-b", "b", "-s", zoo, columns=columns) as run:
        run.answer(PROMPT, "help")
        run.read_until("  q, quit ")
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    helped = run.screen.partition("(graphwire) help\n")[2].partition(PROMPT)[0]
    assert all(len(line) <= columns for line in helped.splitlines())
    assert in_order(helped, ["go on\n", "what waits\n", "the state\n", "where\n", "else\n"])
    assert all(re.match(r"  \w+, \w+|  use |\S", line) for line in helped.splitlines())
