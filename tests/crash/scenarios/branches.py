"""Parallel branches: what is approved or answered in one releases no other."""

from __future__ import annotations

from tests.crash.player import Player
from tests.crash.scenarios.base import (
    INPUT,
    before,
    question,
    scenario,
    stands_before,
)

WORK = stands_before("work")
DANGER = stands_before("child/danger")
ASKED = question("ask", "beside?")
FAN_OUT = ["input", "split", "work 1", "work 2", "work 3", "join"]


@scenario("fan_out", log=FAN_OUT, gates=[before("work")])
def send_with_a_breakpoint(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["work"])
    me.done(me.resume(*me.paused(run, WORK, WORK, WORK)))


@scenario("fan_out", log=FAN_OUT, gates=[before("work"), before("join")])
def send_with_a_breakpoint_approved_one_by_one(me: Player) -> None:
    pauses = me.paused(me.start(INPUT, interrupt_before=["work", "join"]), WORK, WORK, WORK)
    while pauses:
        run = me.resume(pauses.pop())
        if pauses:
            me.same(pauses, me.paused(run, *[WORK] * len(pauses)))
    me.done(me.resume(*me.paused(run, stands_before("join"))))


@scenario(
    "mixed",
    log=["input", "beside? answer 1", "danger1", "danger2", "join"],
    gates=[before("danger1"), before("danger2")],
)
def answer_beside_a_breakpoint(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["danger1", "danger2"])
    first, second = me.paused(run, stands_before("danger1"), stands_before("danger2"))
    me.not_begun("ask")
    asked, rest = me.paused(me.resume(first), ASKED, stands_before("danger2"))
    me.same([second], [rest])
    rest = me.paused(me.resume(asked), stands_before("danger2"))[0]
    me.same([second], [rest])
    me.done(me.resume(rest))


def _answer_beside_a_subgraph(me: Player) -> None:
    stopped, asked = me.paused(me.start(INPUT), DANGER, ASKED)
    rest = me.paused(me.resume(asked), DANGER)
    me.same([stopped], rest)
    me.done(me.resume(*rest))


@scenario(
    "stop_beside_question",
    log=["input", "beside? answer 1", "join"],
    steps=["one", "danger"],
    gates=[before("child/danger")],
)
def answer_beside_a_breakpoint_in_a_subgraph(me: Player) -> None:
    _answer_beside_a_subgraph(me)


@scenario(
    "stop_beside_question_kept",
    log=["input", "beside? answer 1", "join"],
    steps=["one", "danger"],
    gates=[before("child/danger")],
)
def answer_beside_a_breakpoint_in_a_subgraph_with_memory(me: Player) -> None:
    _answer_beside_a_subgraph(me)


@scenario(
    "stop_beside_question",
    log=["input", "beside? answer 1", "join"],
    steps=["one", "danger"],
    gates=[before("child/danger")],
)
def breakpoint_in_a_subgraph_beside_a_question(me: Player) -> None:
    stopped, asked = me.paused(me.start(INPUT), DANGER, ASKED)
    rest = me.paused(me.resume(stopped), ASKED)
    me.same([asked], rest)
    me.done(me.resume(*rest))


@scenario(
    "stop_beside_question",
    log=["input", "beside? answer 1", "join"],
    steps=["one", "danger"],
    gates=[before("child/danger")],
)
def breakpoint_and_question_together(me: Player) -> None:
    me.done(me.resume(*me.paused(me.start(INPUT), DANGER, ASKED)))


@scenario(
    "two_stopping",
    log=["input", "join"],
    steps=["left1", "left2", "right1", "right2"],
    gates=[before("left/left2"), before("right/right2")],
)
def two_subgraphs_approved_one_by_one(me: Player) -> None:
    shapes = stands_before("left/left2"), stands_before("right/right2")
    left, right = me.paused(me.start(INPUT), *shapes)
    rest = me.paused(me.resume(right), shapes[0])
    me.same([left], rest)
    me.done(me.resume(*rest))


@scenario(
    "stop_beside_slow",
    log=["input", "join"],
    steps=["one", "danger", "slow0", "slow1", "slow2", "slow3"],
    gates=[before("child/danger")],
)
def breakpoint_beside_a_branch_that_goes_on(me: Player) -> None:
    me.done(me.resume(*me.paused(me.start(INPUT), DANGER)))
