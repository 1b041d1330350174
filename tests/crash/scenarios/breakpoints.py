"""Runs from fresh input, straight on and to breakpoints, at the root."""

from __future__ import annotations

from tests.crash.player import Player
from tests.crash.scenarios.base import (
    INPUT,
    after,
    before,
    scenario,
    stands_after,
    stands_before,
)


@scenario("linear", log=["input", "a", "b", "c"])
def fresh_input(me: Player) -> None:
    me.done(me.start(INPUT))


@scenario("threaded", log=["input", "a", "b", "c"], gates=[before("b")])
def plain_functions(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b"])
    me.done(me.resume(*me.paused(run, stands_before("b"))))


@scenario("linear", log=["input", "a", "b", "c"], gates=[before("b"), before("c")])
def interrupt_before(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b", "c"])
    run = me.resume(*me.paused(run, stands_before("b")))
    me.done(me.resume(*me.paused(run, stands_before("c")), bare=True))


@scenario("linear", log=["input", "a", "b", "c"], gates=[before("a"), before("b"), before("c")])
def interrupt_before_all(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["*"])
    for node in ("a", "b", "c"):
        run = me.resume(*me.paused(run, stands_before(node)))
    me.done(run)


@scenario("linear", log=["input", "a", "b", "c"], gates=[after("a", then="b")])
def interrupt_after(me: Player) -> None:
    run = me.start(INPUT, interrupt_after=["a", "c"])
    run = me.resume(*me.paused(run, stands_after("a")))
    me.done(me.resume(*me.paused(run, stands_after("c")), bare=True))


@scenario(
    "linear",
    log=["input", "a", "b", "c"],
    gates=[after("a", then="b"), before("b"), after("b", then="c")],
)
def interrupt_after_and_before(me: Player) -> None:
    run = me.start(INPUT, interrupt_after=["a", "b"], interrupt_before=["b"])
    run = me.resume(*me.paused(run, stands_after("a"), stands_before("b")))
    me.done(me.resume(*me.paused(run, stands_after("b"))))


@scenario("loop", log=["input", "turn", "turn", "turn"], gates=[before("turn")])
def loop_with_a_breakpoint_before(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["turn"])
    for _ in range(3):
        run = me.resume(*me.paused(run, stands_before("turn")))
    me.done(run)


@scenario("loop", log=["input", "turn", "turn", "turn"], gates=[after("turn", then="turn", free=1)])
def loop_with_a_breakpoint_after(me: Player) -> None:
    run = me.start(INPUT, interrupt_after=["turn"])
    for _ in range(3):
        run = me.resume(*me.paused(run, stands_after("turn")))
    me.done(run)
