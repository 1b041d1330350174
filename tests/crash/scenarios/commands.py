"""Commands: updates and goto, alone and together with answers and approvals."""

from __future__ import annotations

from tests.crash.player import Player
from tests.crash.scenarios.base import (
    INPUT,
    before,
    entry,
    question,
    scenario,
    stands_before,
)

UPDATE = entry("update")
LINEAR = ["input", "a", "b", "c"]


@scenario("linear", log=["input", "a", "update", "b", "c"], gates=[before("b")])
def update_at_a_breakpoint(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b"])
    me.done(me.command(*me.paused(run, stands_before("b")), update=UPDATE))


@scenario(
    "ask_in_turn", log=["input", "update", "one? answer 1", "update 2", "two? answer 2", "after"]
)
def update_with_an_answer(me: Player) -> None:
    run = me.start(INPUT)
    run = me.command(*me.paused(run, question("one", "one?")), update=UPDATE)
    second = me.paused(run, question("two", "two?"))
    me.done(me.command(*second, update=entry("update 2")))


@scenario(
    "ask_twice", log=["input", "update", "update 2", "first? answer 1, second? answer 2", "after"]
)
def update_between_two_questions_of_one_node(me: Player) -> None:
    run = me.start(INPUT)
    run = me.command(*me.paused(run, question("ask", "first?")), update=UPDATE)
    second = me.paused(run, question("ask", "second?"))
    me.done(me.command(*second, update=entry("update 2")))


@scenario("linear", log=[*LINEAR, "update", "b", "c"])
def goto(me: Player) -> None:
    me.done(me.start(INPUT))
    me.done(me.command(update=UPDATE, goto=["b"]))


@scenario("linear", log=["input", "a", "update", "b", "c", "c"], gates=[before("b")])
def goto_beside_what_waits(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b"])
    me.done(me.command(*me.paused(run, stands_before("b")), update=UPDATE, goto=["c"]))


@scenario(
    "linear",
    log=[*LINEAR, "update", "b", "c"],
    gates=[before("b")],
)
def goto_a_breakpoint(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b"])
    me.done(me.resume(*me.paused(run, stands_before("b"))))
    run = me.command(update=UPDATE, goto=["b"])
    me.done(me.resume(*me.paused(run, stands_before("b"))))
