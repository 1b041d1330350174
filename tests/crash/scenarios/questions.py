"""Runs that ask, one question or several, and get their answers in every order."""

from __future__ import annotations

from tests.crash.player import Player
from tests.crash.scenarios.base import INPUT, before, question, scenario, stands_before

LEFT = question("left", "left?")
MIDDLE = question("middle", "middle?")
RIGHT = question("right", "right?")
PARTS = [question("work", f"part {part}?") for part in (1, 2, 3)]


@scenario("ask", log=["input", "before", "name? answer 1", "after"])
def one_question(me: Player) -> None:
    run = me.start(INPUT)
    me.done(me.resume(*me.paused(run, question("ask", "name?"))))


@scenario("ask", log=["input", "before", "name? answer 1", "after"], gates=[before("ask")])
def question_behind_a_breakpoint(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["ask"])
    run = me.resume(*me.paused(run, stands_before("ask")))
    me.done(me.resume(*me.paused(run, question("ask", "name?"))))


@scenario("ask_twice", log=["input", "first? answer 1, second? answer 2", "after"])
def two_questions_in_one_node(me: Player) -> None:
    run = me.start(INPUT)
    run = me.resume(*me.paused(run, question("ask", "first?")))
    me.done(me.resume(*me.paused(run, question("ask", "second?"))))


@scenario("ask_in_turn", log=["input", "one? answer 1", "two? answer 2", "after"])
def questions_in_turn(me: Player) -> None:
    run = me.start(INPUT)
    run = me.resume(*me.paused(run, question("one", "one?")))
    me.done(me.resume(*me.paused(run, question("two", "two?"))))


@scenario("ask_in_loop", log=["input", "turn 1? answer 1", "turn 2? answer 2", "turn 3? answer 3"])
def question_in_a_loop(me: Player) -> None:
    run = me.start(INPUT)
    for turn in (1, 2, 3):
        run = me.resume(*me.paused(run, question("turn", f"turn {turn}?")))
    me.done(run)


@scenario(
    "ask_beside",
    log=["input", "free", "left? answer 1", "middle? answer 2", "right? answer 3", "join"],
)
def questions_answered_at_once(me: Player) -> None:
    run = me.start(INPUT)
    me.done(me.resume(*me.paused(run, LEFT, MIDDLE, RIGHT)))


@scenario(
    "ask_beside",
    log=["input", "free", "left? answer 3", "middle? answer 1", "right? answer 2", "join"],
)
def questions_answered_one_by_one(me: Player) -> None:
    left, middle, right = me.paused(me.start(INPUT), LEFT, MIDDLE, RIGHT)
    rest = me.paused(me.resume(middle), LEFT, RIGHT)
    me.same([left, right], rest)
    rest = me.paused(me.resume(right), LEFT)
    me.same([left], rest)
    me.done(me.resume(left))


@scenario(
    "ask_each",
    log=["input", "split", "part 1? answer 2", "part 2? answer 1", "part 3? answer 3", "join"],
)
def send_with_questions(me: Player) -> None:
    first, second, third = me.paused(me.start(INPUT), *PARTS)
    rest = me.paused(me.resume(second), PARTS[0], PARTS[2])
    me.same([first, third], rest)
    me.done(me.resume(*rest))
