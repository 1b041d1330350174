"""Graphs drawn as text: every shape is readable, and lines lead where edges do."""

from __future__ import annotations

import re

import pytest
from graphwire.values import AssistantGraph, GraphEdge, GraphNode
from graphwire_server.cli import drawing as drawings
from graphwire_server.cli.drawing import (
    MOST_COLUMNS,
    MOST_PIECES,
    Drawing,
    TooLargeError,
    draw_graph,
)
from graphwire_server.cli.drawing.listing import list_graph
from hypothesis import given, settings
from hypothesis import strategies as st

LINEAR = """
╭───────────╮
│ __start__ │
╰─────┬─────╯
      │
 ╭────▼────╮
 │  fetch  │
 ╰────┬────╯
      │
╭─────▼─────╮
│ summarise │
╰─────┬─────╯
      │
 ╭────▼────╮
 │ __end__ │
 ╰─────────╯
"""
BRANCH = """
             ╭───────────╮
             │ __start__ │
             ╰─────┬─────╯
                   │
             ╭─────▼────╮
             │ classify │
             ╰─────┬────╯
     ╭╌╌╌╌╌╌╌╌╌╌╌╌╌┼╌╌╌╌╌╌╌╌╌╌╌╌╌╌╮
   money         help             ╎
╭────▼────╮   ╭────▼────╮   ╭─────▼─────╮
│ billing │   │ support │   │ smalltalk │
╰────┬────╯   ╰────┬────╯   ╰─────┬─────╯
     ╰─────────────┼──────────────╯
                   │
              ╭────▼────╮
              │ __end__ │
              ╰─────────╯
"""
LOOP = """
 ╭───────────╮
 │ __start__ │
 ╰─────┬─────╯
       │
╭──────▼──────╮
│    write    │
╰───┬────▲────╯
    │ revise
    │    ╎
 ╭──▼────┴──╮
 │  review  │
 ╰─────┬────╯
      ok
  ╭────▼────╮
  │ publish │
  ╰────┬────╯
       │
  ╭────▼────╮
  │ __end__ │
  ╰─────────╯
"""
TWO_TO_TWO = """
             ╭───────────╮
             │ __start__ │
             ╰─────┬─────╯
            ╭──────┴──────╮
            │             │
       ╭────▼────╮   ╭────▼────╮
       │    a    │   │    b    │
       ╰────┬────╯   ╰────┬────╯
     ╭──────┴──────┬──────╯
     │             │
╭────▼────╮   ╭────▼────╮
│    c    │   │    d    │
╰────┬────╯   ╰────┬────╯
     ╰──────┬──────╯
            │
       ╭────▼────╮
       │ __end__ │
       ╰─────────╯
"""
TEN_NODES = """
                   ╭───────────╮
                   │ __start__ │
                   ╰─────┬─────╯
                         │
                 ╭───────▼──────╮
                 │     plan     │
                 ╰───┬─────▲────╯
                     │  replan
                     │     ╰╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╮
      ╭──────────────┼──────────────╮        ╎
      │              │              │        ╎
╭─────▼────╮   ╭─────▼────╮   ╭─────▼────╮   ╎
│  search  │   │  browse  │   │  recall  │   ╎
╰─────┬────╯   ╰──────┬───╯   ╰─────┬────╯   ╎
      ╰───────────────┼─────────────╯        ╎
                      │                      ╎
                ╭─────▼────╮                 ╎
                │   rank   │                 ╎
                ╰──────┬───╯                 ╎
                       │                     ╎
                ╭──────▼──────╮              ╎
                │    draft    │              ╎
                ╰───┬────▲────╯              ╎
                    │  again                 ╎
                    │    ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╯
                    │    ╎
                 ╭──▼────┴──╮
                 │ critique │
                 ╰─────┬────╯
                     good
                  ╭────▼────╮
                  │ approve │
                  ╰───┬─────╯
                      ├╌╌╌╌╌╌╌╮
                      ╎       ╎
                ╭─────▼────╮  ╎
                │   send   │  ╎
                ╰─────┬────╯  ╎
                      │       ╎
                 ╭────▼────╮  ╎
                 │   log   │  ╎
                 ╰──────┬──╯  ╎
                        │     ╎
                      ╭─▼─────▼─╮
                      │ __end__ │
                      ╰─────────╯
"""


def graph(*edges: str, before: str = "", alone: str = "") -> AssistantGraph:
    """Makes a graph from edges: `a > b`, conditional `a ? b`, labelled `a ? b: label`."""
    nodes: dict[str, None] = {}
    made = []
    for edge in edges:
        ends, _, label = edge.partition(": ")
        source, arrow, target = ends.split()
        nodes |= {source: None, target: None}
        made.append(GraphEdge(source=source, target=target, label=label, conditional=arrow == "?"))
    return AssistantGraph(
        nodes=tuple(
            GraphNode(
                node_id=name, name=name, interrupt_before=name == before, interrupt_after=False
            )
            for name in [*nodes, *alone.split()]
        ),
        edges=tuple(made),
        mermaid="",
    )


@pytest.mark.parametrize(
    "drawn, edges",
    [
        (LINEAR, ["__start__ > fetch", "fetch > summarise", "summarise > __end__"]),
        (
            BRANCH,
            [
                *("__start__ > classify", "classify ? billing: money", "classify ? support: help"),
                *("classify ? smalltalk: smalltalk", "billing > __end__", "support > __end__"),
                "smalltalk > __end__",
            ],
        ),
        (
            LOOP,
            [
                *("__start__ > write", "write > review", "review ? write: revise"),
                *("review ? publish: ok", "publish > __end__"),
            ],
        ),
        (
            TWO_TO_TWO,
            [
                *("__start__ > a", "__start__ > b", "a > c", "a > d", "b > c", "b > d"),
                *("c > __end__", "d > __end__"),
            ],
        ),
        (
            TEN_NODES,
            [
                *("__start__ > plan", "plan > search", "plan > browse", "plan > recall"),
                *("search > rank", "browse > rank", "recall > rank", "rank > draft"),
                *("draft > critique", "critique ? draft: again", "critique ? plan: replan"),
                *("critique ? approve: good", "approve ? send", "approve ? __end__"),
                *("send > log", "log > __end__"),
            ],
        ),
    ],
    ids=["linear", "branch", "loop", "two to two", "ten nodes"],
)
def test_a_graph_looks_like_this(drawn: str, edges: list[str]) -> None:
    drawing = draw_graph(graph(*edges))
    assert "\n" + drawing.text.plain + "\n" == drawn
    assert drawing.width == max(map(len, drawn.splitlines()))


def test_signs_that_need_words_have_them() -> None:
    plain = draw_graph(graph("__start__ > a", "a > __end__"))
    assert plain.legend == ""
    every = graph("__start__ > a", "a ? a", "a ? __end__", before="a", alone="b")
    drawing = draw_graph(every)
    assert "│ ◆ a ↺ │" in drawing.text.plain.replace("  ", " ")
    assert drawing.legend == (
        "╌ conditional   ◆ breakpoint before or after the node   ↺ may run again   "
        "no line: reached by a Send or a Command"
    )


def test_several_edges_between_two_nodes_are_one_line_with_their_labels() -> None:
    drawing = draw_graph(
        graph("__start__ > a", "a ? b: yes", "a ? b: maybe", "a ? b: b", "b > __end__")
    )
    assert drawing.text.plain.count("▼") == 3
    assert "yes, maybe" in drawing.text.plain


def test_a_line_is_not_moved_off_the_sheet_to_make_it_straight() -> None:
    drawing = draw_graph(
        graph(
            *("__start__ > answer", "check > ok", "route > search", "ask > rank_documents"),
            *("refine > ask", "search > ask", "check > answer: a longer label"),
            *("__start__ > rank_documents", "read_documents > grade_document", "ok > answer"),
            *("redo > refine", "__start__ > route", "grade_document > check", "answer > route"),
            *("grade_document > redo: a longer label", "rank_documents > read_documents"),
        )
    )
    assert not cut_off(drawing)


# Two of these three edges go down one row, the third goes down two.
TRIANGLE = ("__start__ > a", "a > __end__", "__start__ ? __end__")


def test_a_drawing_has_just_so_many_lines_and_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "MOST_PIECES", 4)
    whole = draw_graph(graph(*TRIANGLE))
    height = len(whole.text.plain.splitlines())
    assert draw_graph(graph(*TRIANGLE), columns=whole.width, height=height) == whole
    with pytest.raises(TooLargeError, match=f"no more than {whole.width - 1} are drawn"):
        draw_graph(graph(*TRIANGLE), columns=whole.width - 1)
    with pytest.raises(TooLargeError, match=f"there is room for {height - 1}"):
        draw_graph(graph(*TRIANGLE), height=height - 1)
    monkeypatch.setattr(drawings, "MOST_PIECES", 3)
    with pytest.raises(TooLargeError, match="4 lines from one row to the next, no more than 3"):
        draw_graph(graph(*TRIANGLE))


def dense(count: int) -> AssistantGraph:
    """Makes a graph in which each node may hand over to each other one."""
    names = [f"n{number}" for number in range(count)]
    return graph("__start__ > n0", *(f"{a} ? {b}" for a in names for b in names))


@pytest.mark.parametrize(
    "large, most",
    [
        (dense(30), f"no more than {MOST_PIECES} are drawn"),
        (graph(*(f"__start__ ? n{n}" for n in range(100))), f"no more than {MOST_COLUMNS} are"),
    ],
    ids=["too many lines", "too wide"],
)
def test_a_graph_too_large_for_a_drawing_is_refused_before_anything_is_arranged(
    large: AssistantGraph, most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arranged: list[object] = []
    monkeypatch.setattr(drawings, "order", arranged.append)
    with pytest.raises(TooLargeError, match=most):
        draw_graph(large)
    assert not arranged


def test_twenty_nodes_that_lead_to_each_other_are_still_drawn() -> None:
    drawing = draw_graph(dense(20))
    assert all(arrows(drawing, f"n{number}") for number in range(20))


def test_a_list_says_of_each_node_where_it_leads() -> None:
    listing = list_graph(
        graph(
            *("__start__ > a", "a > b", "a ? c:d: yes", "a ? a", "a ? c:d: maybe", "a > c:d2"),
            *("b > __end__", "c:d ? b"),
            before="a",
            alone="e",
        )
    )
    assert [(name, leads.plain) for name, leads in listing.rows] == [
        ("__start__", "─▶ a"),
        ("◆ a ↺", "─▶ b, c/d2"),
        ("", "╌▶ c/d (yes, maybe)"),
        ("b", "─▶ __end__"),
        ("c/d", "╌▶ b"),
        ("c/d2", ""),
        ("__end__", ""),
        ("e", ""),
    ]
    assert listing.legend == (
        "╌ conditional   ◆ breakpoint before or after the node   ↺ may run again   "
        "no line: reached by a Send or a Command"
    )


NAMES = ["__start__", *"abcdefgh", "__end__"]


@st.composite
def graphs(draw: st.DrawFn) -> AssistantGraph:
    """Any graph of up to ten nodes."""
    sources, targets = st.sampled_from(NAMES[:-1]), st.sampled_from(NAMES[1:])
    edges = st.builds(
        "{} {} {}{}".format,
        sources,
        st.sampled_from(">?"),
        targets,
        st.sampled_from(["", "", ": yes", ": a longer label"]),
    )
    return graph("__start__ > a", *draw(st.lists(edges, max_size=14)), "a > __end__")


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_any_graph_is_drawn_with_all_its_nodes_and_an_arrow_to_each_target(
    any_graph: AssistantGraph,
) -> None:
    drawing = draw_graph(any_graph)
    lines = drawing.text.plain.splitlines()
    for node in any_graph.nodes:
        assert arrows(drawing, node.node_id) == any(
            edge.target == node.node_id != edge.source for edge in any_graph.edges
        )
    assert all(line == line.rstrip() for line in lines)
    assert drawing.width == max(map(len, lines))
    assert not cut_off(drawing)


def cut_off(drawing: Drawing) -> list[str]:
    """Returns where a line comes from beyond the left edge of the sheet."""
    return [line for line in drawing.text.plain.splitlines() if line.startswith(("─", "╌"))]


def arrows(drawing: Drawing, name: str) -> bool:
    """Tells whether an arrow points at the box of a node; fails if it has not got just one."""
    lines = drawing.text.plain.splitlines()
    caption = re.compile(rf"│ +{name}(?: ↺)? +│")
    [(row, box)] = [
        (number, box) for number, line in enumerate(lines) for box in caption.finditer(line)
    ]
    left, right = box.span()
    top, bottom = lines[row - 1][left:right], lines[row + 1][left:right]
    assert (top[0], top[-1], bottom[0], bottom[-1]) == ("╭", "╮", "╰", "╯")
    return "▼" in top or "▲" in bottom
