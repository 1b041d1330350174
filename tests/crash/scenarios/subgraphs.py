"""Subgraphs that ask and stop, with a memory of their own and without."""

from __future__ import annotations

from tests.crash.player import Player
from tests.crash.scenarios.base import (
    INPUT,
    after,
    before,
    question,
    scenario,
    stands_after,
    stands_before,
)

LOG = ["input", "before", "after"]
ASKED = ["one", "inside? answer 1", "three"]
STOPPED = ["confirm", "danger", "report"]
STOPS = [before("child/confirm"), before("child/danger")]
STEPS = ["one", "two", "three"]
AFTER_ONE = after("child/one", then="child/two")
AFTER_LAST = after("child/three", then="after")


def _answer(me: Player) -> None:
    run = me.start(INPUT)
    me.done(me.resume(*me.paused(run, question("child/two", "inside?"))))


def _approve_twice(me: Player) -> None:
    run = me.start(INPUT)
    run = me.resume(*me.paused(run, stands_before("child/confirm")))
    me.done(me.resume(*me.paused(run, stands_before("child/danger"))))


def _go_on_after(me: Player, node: str) -> None:
    me.done(me.resume(*me.paused(me.start(INPUT), stands_after(node))))


@scenario("ask_inside", log=LOG, steps=ASKED)
def question_in_a_subgraph(me: Player) -> None:
    _answer(me)


@scenario("ask_inside_kept", log=LOG, steps=ASKED)
def question_in_a_subgraph_with_memory(me: Player) -> None:
    _answer(me)


@scenario("stop_inside", log=LOG, steps=STOPPED, gates=STOPS)
def breakpoints_in_a_subgraph(me: Player) -> None:
    _approve_twice(me)


@scenario("stop_inside_kept", log=LOG, steps=STOPPED, gates=STOPS)
def breakpoints_in_a_subgraph_with_memory(me: Player) -> None:
    _approve_twice(me)


@scenario("stop_after_inside", log=LOG, steps=STEPS, gates=[AFTER_ONE])
def breakpoint_after_a_node_of_a_subgraph(me: Player) -> None:
    _go_on_after(me, "child/one")


@scenario("stop_after_inside_kept", log=LOG, steps=STEPS, gates=[AFTER_ONE])
def breakpoint_after_a_node_of_a_subgraph_with_memory(me: Player) -> None:
    _go_on_after(me, "child/one")


@scenario("stop_after_last_inside", log=LOG, steps=STEPS, gates=[AFTER_LAST])
def breakpoint_after_the_last_node_of_a_subgraph(me: Player) -> None:
    _go_on_after(me, "child/three")


@scenario("stop_after_last_inside_kept", log=LOG, steps=STEPS, gates=[AFTER_LAST])
def breakpoint_after_the_last_node_of_a_subgraph_with_memory(me: Player) -> None:
    _go_on_after(me, "child/three")


@scenario("stop_inside", log=LOG, steps=STOPPED, gates=[*STOPS, before("child"), before("after")])
def breakpoints_inside_and_outside(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["child", "after"])
    for node in ("child", "child/confirm", "child/danger", "after"):
        run = me.resume(*me.paused(run, stands_before(node)))
    me.done(run)


@scenario(
    "deep",
    log=LOG,
    steps=["one", "deep? answer 1", "three"],
    gates=[before("child/low/two"), after("child/low/two", then="child/low/three")],
)
def everything_two_levels_down(me: Player) -> None:
    run = me.start(INPUT)
    run = me.resume(*me.paused(run, stands_before("child/low/two")))
    run = me.resume(*me.paused(run, question("child/low/two", "deep?")))
    me.done(me.resume(*me.paused(run, stands_after("child/low/two"))))
