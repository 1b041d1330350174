"""Which nodes finished in the latest step, as told by the parts of a stream."""

from __future__ import annotations

from graphwire_server.graphs.position import StepTracker

ROOT: tuple[str, ...] = ()
CHILD = ("child:1",)


def test_a_step_is_over_when_all_that_started_has_ended() -> None:
    steps = StepTracker()
    assert list(steps.last_step(ROOT)) == []
    for node in ("a", "b"):
        steps.started(ROOT, node)
        steps.finished(ROOT, node)
        assert list(steps.last_step(ROOT)) == [node]


def test_nodes_that_run_beside_each_other_are_one_step() -> None:
    steps = StepTracker()
    for node in ("a", "work", "work"):
        steps.started(ROOT, node)
    for node in ("work", "a", "work"):
        steps.finished(ROOT, node)
    assert list(steps.last_step(ROOT)) == ["work", "a", "work"]
    steps.started(ROOT, "join")
    assert list(steps.last_step(ROOT)) == []


def test_a_node_that_asks_or_fails_has_not_finished_and_ends_the_step() -> None:
    steps = StepTracker()
    steps.started(ROOT, "a")
    steps.started(ROOT, "asks")
    steps.stopped(ROOT, "asks")
    steps.finished(ROOT, "a")
    assert list(steps.last_step(ROOT)) == ["a"]
    steps.started(ROOT, "handler")
    steps.finished(ROOT, "handler")
    assert list(steps.last_step(ROOT)) == ["handler"]


def test_a_result_that_was_there_before_anything_started_counts() -> None:
    steps = StepTracker()
    steps.finished(ROOT, "kept")
    assert list(steps.last_step(ROOT)) == ["kept"]
    steps.started(ROOT, "next")
    steps.finished(ROOT, "next")
    assert list(steps.last_step(ROOT)) == ["next"]


def test_each_namespace_has_its_own_steps() -> None:
    steps = StepTracker()
    steps.started(ROOT, "child")
    steps.started(CHILD, "one")
    steps.finished(CHILD, "one")
    steps.started(CHILD, "two")
    steps.finished(CHILD, "two")
    assert (list(steps.last_step(CHILD)), list(steps.last_step(ROOT))) == (["two"], [])
    steps.finished(ROOT, "child")
    assert list(steps.last_step(ROOT)) == ["child"]
