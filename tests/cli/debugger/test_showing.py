"""What the prompt at a pause shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from graphwire.enums import PauseKind
from graphwire.values import AssistantGraph, GraphEdge, GraphNode
from graphwire_server.cli.debugger.screen import marks

from tests.cli.command import AtATerminal, in_order, masked

from .prompts import LOG, PROMPT, QUESTION, a_pause, dialogue

CONDITION = 'state.messages[-1].tool_calls.exists(t, t.name == "get_weather")'
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
    documentation = Path(__file__).parents[3] / "docs" / "command-line.md"
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


def test_the_pauses_of_a_fan_out_show_what_each_task_was_sent(zoo: str) -> None:
    with AtATerminal("run", "fanout", *LOG, "--break", "work", "-s", zoo) as run:
        for n in (1, 2, 3):
            run.read_until(f'{n} ▶ before work\n    work gets {{"n": {n}}}\n')
        run.answer(PROMPT, "where")
        run.read_until('    work gets {"n": 3}\n')
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


def test_a_graph_is_drawn_where_it_fits_the_terminal_alone(zoo: str) -> None:
    with AtATerminal("run", "linear", *LOG, "-b", "b", "-s", zoo, rows=24) as run:
        run.read_until("┃   ▶ b   ┃")
        run.read_until("state\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_a_subgraph_that_is_paused_is_drawn_below_its_graph(zoo: str) -> None:
    words = ("run", "levels", *LOG, "-b", "middle/low/three", "-s", zoo)
    with AtATerminal(*words, rows=29) as run:
        run.answer(PROMPT, "q")
        assert run.wait() == 4
    assert (
        """
  ╭───────────╮
  │ __start__ │
  ╰─────┬─────╯
        │
  ╭─────▼────╮
  │  before  │
  ╰─────┬────╯
        │
  ┏━━━━━▼━━━━┓
  ┃ ▶ middle ┃
  ┗━━━━━┯━━━━┛
        │
   ╭────▼────╮
   │ __end__ │
   ╰─────────╯

middle › low

  ╭─────────╮
  │   two   │
  ╰────┬────╯
       │
  ┏━━━━▼━━━━┓
  ┃ ▶ three ┃
  ┗━━━━━━━━━┛
"""
        in run.picture
    ), run.picture
    with AtATerminal(*words, rows=24) as run:
        run.read_until("┃ ▶ middle ┃")
        run.read_until("  middle › low: two → [▶ three]\n")
        run.answer(PROMPT, "q")
        assert run.wait() == 4


def test_a_marked_node_that_may_run_again_says_so() -> None:
    paused = a_pause(PauseKind.BREAKPOINT_AFTER, "tick")
    node = GraphNode(node_id="tick", name="tick", interrupt_before=False, interrupt_after=False)
    again = GraphEdge(source="tick", target="tick", label="", conditional=True)
    graph = AssistantGraph(nodes=(node,), edges=(again,), mermaid="")
    assert marks(graph, [paused]) == {"tick": "tick ↺ ▶"}


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
