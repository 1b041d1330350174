"""`graphwire graph` and `graphwire version`."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from graphwire_server.cli import drawing

from tests.cli.command import AtATerminal, call

WEATHER = """\
   ╭───────────╮
   │ __start__ │
   ╰─────┬─────╯
         │
    ╭────▼────╮
    │  agent  │
    ╰─▲──┬────╯
      │  ├╌╌╌╌╌╌╌╌╌╌╮
      │  ╎          ╎
╭─────┴──▼─╮   ╭────▼────╮
│  action  │   │ __end__ │
╰──────────╯   ╰─────────╯

╌ conditional
"""


def test_a_graph_is_drawn_as_text(weather: str) -> None:
    result = call("graph", "agent", server=weather)
    assert (result.code, result.out, result.err) == (0, WEATHER, "")
    assert call("graph", server=weather).out == WEATHER


def test_breakpoints_and_opened_subgraphs_are_drawn(zoo: str) -> None:
    stops = call("graph", "stops", server=zoo).out
    assert "│  ◆ b  │" in stops.replace("   ", "  ")
    assert stops.endswith("\n◆ breakpoint before or after the node\n")
    opened = call("graph", "ask_in_child", "--depth", "1", server=zoo).out
    assert "│ child/first │" in opened


def test_a_graph_comes_as_mermaid_or_json(weather: str) -> None:
    mermaid = call("graph", "agent", "--mermaid", server=weather)
    assert "graph TD;" in mermaid.out
    [graph] = call("graph", "agent", "--json", server=weather).objects
    assert {node["node_id"] for node in graph["nodes"]} == {
        "__start__",
        "agent",
        "action",
        "__end__",
    }
    assert graph["mermaid"].strip() == mermaid.out.strip()


ROUTER = """\
__start__  ─▶ start
start      ╌▶ left, right
left       ─▶ __end__
right      ─▶ __end__
__end__

╌ conditional
"""


def test_a_terminal_that_is_too_narrow_gets_a_list_and_is_told_how_wide_the_drawing_is(
    zoo: str,
) -> None:
    with AtATerminal("graph", "router", "-s", zoo, columns=25) as drawn:
        assert drawn.wait() == 0
    lines = "\n".join(line.rstrip() for line in drawn.screen.splitlines())
    assert lines + "\n" == (
        "graphwire: the drawing takes 26 columns, this terminal has 25\n"
        "    instead: where each node leads; piped to `less -S` it is drawn\n" + ROUTER
    )


def test_a_graph_too_large_for_a_drawing_is_listed(
    zoo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "MOST_PIECES", 4)
    listed = call("graph", "router", server=zoo)
    assert (listed.code, listed.out) == (0, ROUTER)
    assert listed.err == (
        "graphwire: the drawing would have 5 lines from one row to the next, "
        "no more than 4 are drawn\n"
        "    instead: where each node leads; with --mermaid other programs can draw it\n"
    )
    monkeypatch.setattr(drawing, "MOST_PIECES", 5)
    assert "│  start  │" in call("graph", "router", server=zoo).out


def test_versions_are_shown_of_both_ends(weather: str) -> None:
    [versions] = call("version", "--json", server=weather).objects
    assert versions["client"] == versions["server"] == version("graphwire")
    assert versions["server_langgraph"] == version("langgraph")
    shown = call("version", server=weather)
    assert shown.out == (
        f"client  {versions['client']}, Python {versions['python']}\n"
        f"server  {versions['server']} at {weather}, langgraph {versions['server_langgraph']}, "
        f"Python {versions['server_python']}\n"
    )


def test_no_server_is_no_error_for_version() -> None:
    result = call("version", server="127.0.0.1:1")
    assert result.out.splitlines()[1] == "server  none at 127.0.0.1:1"
    assert (result.code, result.err) == (0, "")
