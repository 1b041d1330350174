"""From pause to pause: steps, going to a node, breakpoints, forks."""

from __future__ import annotations

import pytest

from tests.cli.command import AtATerminal

from .prompts import LOG, PROMPT, before_action


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


@pytest.mark.parametrize("typed", ["step", "until middle/low/three"])
def test_who_goes_into_a_subgraph_sees_what_its_nodes_do(zoo: str, typed: str) -> None:
    with AtATerminal("run", "levels", *LOG, "-b", "middle", "-s", zoo) as run:
        run.answer(PROMPT, typed)
        run.read_until("▶ before middle › ")
        run.answer(PROMPT, "c")
        assert run.wait() == 0
    for node in ("one", "low › two", "low › three", "four"):
        assert run.screen.count(f"● middle › {node}\n") == 1


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
