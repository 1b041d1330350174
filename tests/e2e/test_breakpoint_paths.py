"""Breakpoints in subgraphs, named by the nodes that lead there."""

from __future__ import annotations

import pytest

from tests.e2e.driven import DrivenThread
from tests.e2e.stopping import DONE, after, all_the_way, at, ended, in_force, met, pauses_of


def test_a_path_leads_to_a_node_of_a_subgraph(thread: DrivenThread) -> None:
    events = thread.start("nest", breakpoints=[at("child/two", breakpoint_id="deep")])
    assert ended(events) == ("INTERRUPTED", ["before child/two"])
    (pause,) = pauses_of(events)
    assert met(pause) == [("deep", "RUN")]
    (element,) = pause.namespace
    assert element.startswith("child:")
    assert thread.stands() == (
        "INTERRUPTED",
        ["child"],
        [("BREAKPOINT_BEFORE", "child/two")],
    )
    assert all_the_way(thread, events) == [["before child/two"]]
    assert thread.log[-3:] == ["y", "two", "end"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("child", [["before child"]]),
        ("child/one", [["before child/one"]]),
        ("child/*", [["before child/one"], ["before child/low"], ["before child/two"]]),
        ("child/low/y", [["before child/low/y"]]),
        ("child/low/*", [["before child/low/x"], ["before child/low/y"]]),
        ("*", [["before begin"], ["before child"], ["before end"]]),
    ],
)
def test_a_path_holds_before_each_node_that_it_names(
    thread: DrivenThread, node: str, expected: list[list[str]]
) -> None:
    events = thread.start("nest", breakpoints=[at(node)])
    assert all_the_way(thread, events) == expected
    plain = DrivenThread(thread.runs_stub, thread.threads_stub)
    assert all_the_way(plain, plain.start("nest", interrupt_before=[node])) == expected


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("child", [["after child"]]),
        ("child/two", [["after child/two"]]),
        ("child/*", [["after child/one"], ["after child/low"], ["after child/two"]]),
        ("child/low/x", [["after child/low/x"]]),
        ("child/low/*", [["after child/low/x"], ["after child/low/y"]]),
    ],
)
def test_a_path_holds_after_each_node_that_it_names(
    thread: DrivenThread, node: str, expected: list[list[str]]
) -> None:
    events = thread.start("nest", breakpoints=[after(node)])
    assert all_the_way(thread, events) == expected
    plain = DrivenThread(thread.runs_stub, thread.threads_stub)
    assert all_the_way(plain, plain.start("nest", interrupt_after=[node])) == expected


def test_a_star_beside_paths_covers_the_root_alone(thread: DrivenThread) -> None:
    events = thread.start("nest", interrupt_before=["child/one", "end", "*"])
    assert all_the_way(thread, events) == [
        ["before begin"],
        ["before child"],
        ["before child/one"],
        ["before end"],
    ]


def test_paths_of_two_subgraphs_beside_each_other_are_apart(thread: DrivenThread) -> None:
    events = thread.start("pair", breakpoints=[at("left/b"), after("right/c"), at("right/d")])
    assert ended(events) == (
        "INTERRUPTED",
        ["after right/c", "before left/b", "before right/d"],
    )
    left = [p.pause_id for p in thread.pauses if p.node == "b"]
    events = thread.resume(pause_ids=left)
    assert ended(events)[1] == ["after right/c", "before right/d"]
    assert all_the_way(thread, events) == [ended(events)[1]]
    assert thread.log[-1] == "done"


def test_a_subgraph_with_a_memory_has_paths_too(thread: DrivenThread) -> None:
    breakpoints = [at("child/two"), after("child/one")]
    for _ in range(2):
        events = thread.start("remembers_where", breakpoints=breakpoints)
        assert all_the_way(thread, events) == [["after child/one", "before child/two"]]


@pytest.mark.parametrize(
    ("name", "close", "nodes"),
    [
        ("bigin", "begin", "begin, child, end"),
        ("child/tow", "child/two", "child/one, child/low, child/two"),
        ("child/low/z", "child/low/", "child/low/x, child/low/y"),
        ("child/low/x/y", "child/low/y", "child/low/x, child/low/y"),
        ("nothing/at/all", "", "begin, child, end"),
        ("begin/x", "begin", "begin, child, end"),
        ("child/", "child", "child/one, child/low, child/two"),
        ("/child", "child", "begin, child, end"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_the_nodes_nearest_to_it(
    thread: DrivenThread, name: str, close: str, nodes: str
) -> None:
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "breakpoints[0].node") as no:
        thread.start("nest", breakpoints=[at(name)])
    assert no.metadata == {"node": name, "nodes": nodes}
    assert ("did you mean" in no.text) == bool(close)
    assert close in no.text
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_before[1]") as no:
        thread.start("nest", interrupt_before=["begin", name])
    assert no.metadata == {"node": name, "nodes": nodes}
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_after[0]"):
        thread.start("nest", interrupt_after=[name])


@pytest.mark.parametrize("name", ["call/one", "call/*"])
def test_a_graph_that_the_code_of_a_node_calls_takes_none(thread: DrivenThread, name: str) -> None:
    with thread.refused("FAILED_PRECONDITION", "UNSUPPORTED_BREAKPOINT") as no:
        thread.start("calls_graph", breakpoints=[at(name)])
    assert no.metadata == {"path": "call", "field": "breakpoints[0].node"}
    with thread.refused("FAILED_PRECONDITION", "UNSUPPORTED_BREAKPOINT"):
        thread.start("calls_graph", interrupt_after=[name])


@pytest.mark.parametrize(
    ("assistant", "name"), [("calls_graph", "call/oen"), ("forgets_where", "child/oen")]
)
def test_nothing_is_suggested_that_would_be_refused(
    thread: DrivenThread, assistant: str, name: str
) -> None:
    with thread.refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "breakpoints[0].node") as no:
        thread.start(assistant, breakpoints=[at(name)])
    assert f"did you mean '{name[:-3]}one'" not in no.text


@pytest.mark.parametrize("name", ["child/one", "child/*"])
def test_a_graph_without_checkpoints_takes_none(thread: DrivenThread, name: str) -> None:
    with thread.refused("FAILED_PRECONDITION", "UNSUPPORTED_BREAKPOINT") as no:
        thread.start("forgets_where", breakpoints=[at(name)])
    assert no.metadata == {"path": "child", "field": "breakpoints[0].node"}
    with thread.refused("FAILED_PRECONDITION", "UNSUPPORTED_BREAKPOINT"):
        thread.start("forgets_where", interrupt_before=[name])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b", [["before a/b"]]),
        ("a/c", [["before a/c"]]),
        ("d/e", [["before d/e"]]),
        ("d/e/f", [["before d/e/f"]]),
        ("d/e/*", [["before d/e/f"]]),
        ("a/*", [["before a/b"], ["before a/c"]]),
    ],
)
def test_a_name_that_is_a_node_s_whole_name_comes_first(
    thread: DrivenThread, name: str, expected: list[list[str]]
) -> None:
    events = thread.start("slashed", breakpoints=[at(name)])
    in_root = {pause.node for pause in pauses_of(events) if not pause.namespace}
    assert in_root == ({name} if name in ("a/b", "d/e") else set())
    assert all_the_way(thread, events) == expected


def test_a_resume_adds_paths_and_inherits_them(thread: DrivenThread) -> None:
    thread.start("nest", interrupt_before=["begin"])
    events = thread.resume(interrupt_before=["child/low/y"], breakpoints=[at("child/one")])
    assert ended(events) == ("INTERRUPTED", ["before child/one"])
    run_id = events[0].run_id
    names = [node for node, _, _ in in_force(thread.runs_stub, run_id)]
    assert names == ["begin", "child/low/y", "child/one"]
    assert all_the_way(thread, events) == [["before child/one"], ["before child/low/y"]]


def test_paths_are_shown_of_a_run_as_they_were_given(thread: DrivenThread) -> None:
    thread.start("nest", interrupt_before=["child/*"], interrupt_after=["child/low/x"])
    (run,) = thread.runs()
    assert list(run.interrupt_before) == ["child/*"]
    assert list(run.interrupt_after) == ["child/low/x"]


def test_a_place_that_a_run_goes_to_may_be_a_path(thread: DrivenThread) -> None:
    thread.start("nest", interrupt_before=["begin"])
    events = thread.resume(run_to="child/low/y")
    assert ended(events) == ("INTERRUPTED", ["pause child/low/y"])
    assert ended(thread.resume()) == DONE
