"""Reviews of tool calls: what was edited runs once and as edited, what was rejected never."""

from __future__ import annotations

from typing import Any

from graphwire.v1 import review_pb2

from tests.crash.player import Player, Review
from tests.crash.scenarios.base import INPUT, before, scenario, stands_before
from tests.e2e.drive import payload

AT_TOOLS = stands_before("tools")
GATE = [before("tools")]


def approve() -> review_pb2.ToolCallReview:
    """It runs as it is."""
    return review_pb2.ToolCallReview(approve=review_pb2.ApproveToolCall())


def edit(n: int) -> review_pb2.ToolCallReview:
    """It runs with another number."""
    return review_pb2.ToolCallReview(edit=review_pb2.EditToolCall(args=payload({"n": n})))


def reject(message: str) -> review_pb2.ToolCallReview:
    """It does not run."""
    return review_pb2.ToolCallReview(reject=review_pb2.RejectToolCall(message=message))


def respond(content: Any) -> review_pb2.ToolCallReview:
    """It does not run; this is its result."""
    return review_pb2.ToolCallReview(respond=review_pb2.RespondToToolCall(content=payload(content)))


EACH: Review = {"a": approve(), "b": edit(20), "c": reject("no"), "d": respond("four")}
REVIEWED = "a 1: 1, b 20: 20, c 3: error no, d 4: four"


@scenario("agent", log=["input", "model", REVIEWED], gates=GATE)
def review_of_tool_calls(me: Player) -> None:
    (pause,) = me.paused(me.start(INPUT, interrupt_before=["tools"]), AT_TOOLS)
    me.done(me.review(pause, EACH))
    me.called("a 1, b 20")


@scenario(
    "agent",
    log=["input", "model", "a 1: error no, b 2: two, c 3: error no, d 4: error no"],
    gates=GATE,
)
def review_that_leaves_nothing_to_run(me: Player) -> None:
    (pause,) = me.paused(me.start(INPUT, interrupt_before=["tools"]), AT_TOOLS)
    none: Review = {name: reject("no") for name in "acd"} | {"b": respond("two")}
    me.done(me.review(pause, none))
    me.called()


@scenario("agent", log=["input", "model", REVIEWED], gates=[before("tools"), before("report")])
def review_before_a_further_breakpoint(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["tools", "report"])
    (pause,) = me.paused(run, AT_TOOLS)
    run = me.review(pause, EACH)
    (pause,) = me.paused(run, stands_before("report"))
    me.called("a 1, b 20")
    me.done(me.resume(pause))


@scenario("agent_that_sends", log=["input", "model", REVIEWED], gates=GATE)
def reviews_of_calls_that_are_sent(me: Player) -> None:
    pauses = me.paused(me.start(INPUT, interrupt_before=["tools"]), *[AT_TOOLS] * 4)
    for rest in (3, 2, 1, 0):
        (pause, name), *_ = [(p, c.tool_call_id) for p in pauses for c in p.tool_calls]
        run = me.review(pause, {name: EACH[name]})
        if rest:
            left = me.paused(run, *[AT_TOOLS] * rest)
            me.same([p for p in pauses if p.pause_id != pause.pause_id], left)
            pauses = left
    me.done(run)
    me.called("a 1", "b 20")


@scenario(
    "agent",
    log=["input", "model", REVIEWED],
    otherwise=["input", "model", "a 1: 1, b 2: error never, c 3: 3, d 4: 4"],
    gates=GATE,
)
def reviews_at_once(me: Player) -> None:
    (pause,) = me.paused(me.start(INPUT, interrupt_before=["tools"]), AT_TOOLS)
    other: Review = {name: approve() for name in "acd"} | {"b": reject("never")}
    run = me.review_at_once(pause, EACH, other)
    me.done(run)
    won = me.values["log"][-1] == REVIEWED
    me.called("a 1, b 20" if won else "a 1, c 3, d 4")
