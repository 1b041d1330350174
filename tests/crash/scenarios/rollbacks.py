"""Runs that make room for others, are rolled back, or give up what they are paused at."""

from __future__ import annotations

from graphwire.v1 import run_pb2

from tests.crash.player import Player
from tests.crash.scenarios.base import (
    INPUT,
    before,
    entry,
    question,
    scenario,
    stands_before,
)

ENQUEUE, INTERRUPT, ROLLBACK = (
    run_pb2.MULTITASK_STRATEGY_ENQUEUE,
    run_pb2.MULTITASK_STRATEGY_INTERRUPT,
    run_pb2.MULTITASK_STRATEGY_ROLLBACK,
)
GATED = ["before", "gate", "after"]
AT_GATE = stands_before("gate")
AT_BEFORE = stands_before("before")
ASKED = question("ask", "name?")
SECOND = entry("input 2")


@scenario("gated", log=["input", *GATED, "input 3", *GATED])
def rollback(me: Player) -> None:
    me.open_gate()
    me.done(me.start(INPUT))
    me.close_gate()
    before = me.thread.checkpoint_id
    run_id = me.create(SECOND)
    me.wait_begun("gate", run_id, times=2)
    me.roll_back(run_id)
    me.back_at(before)
    me.open_gate()
    me.done(me.start(entry("input 3")))


@scenario("gated", log=["input 2", *GATED])
def rollback_of_the_first_run(me: Player) -> None:
    run_id = me.create(INPUT)
    me.wait_begun("gate", run_id)
    me.roll_back(run_id)
    me.back_at("")
    me.open_gate()
    me.done(me.start(SECOND))


@scenario("gated", log=["input", *GATED], gates=[before("gate")], renewed=True)
def rollback_of_an_approval(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["gate"])
    (pause,) = me.paused(run, AT_GATE)
    run_id = me.create_resume(pause)
    me.wait_begun("gate", run_id)
    me.roll_back(run_id)
    me.back_at(pause.checkpoint_id)
    (again,) = me.open(AT_GATE)
    me.superseded(pause, again)
    me.open_gate()
    me.done(me.resume(again))


@scenario("gated", log=["input", *GATED], gates=[before("before")], renewed=True)
def rollback_of_an_approval_behind_what_was_approved(me: Player) -> None:
    """The node that was approved has run, and was finished: it runs again, when approved anew."""
    (pause,) = me.paused(me.start(INPUT, interrupt_before=["before"]), AT_BEFORE)
    run_id = me.create_resume(pause)
    me.wait_begun("gate", run_id)
    me.roll_back(run_id)
    me.back_at(pause.checkpoint_id)
    (again,) = me.open(AT_BEFORE)
    me.open_gate()
    me.done(me.resume(again))


@scenario("ask_gated", log=["input", "name? answer 2", "gate", "after"], renewed=True)
def rollback_of_an_answer(me: Player) -> None:
    (pause,) = me.paused(me.start(INPUT), ASKED)
    run_id = me.create_resume(pause)
    me.wait_begun("gate", run_id)
    me.roll_back(run_id)
    me.back_at(pause.checkpoint_id)
    (again,) = me.open(ASKED)
    me.open_gate()
    me.done(me.resume(again))


@scenario("gated", log=["input", "before", "input 2", *GATED])
def new_input_that_interrupts(me: Player) -> None:
    first = me.create(INPUT)
    me.wait_begun("gate", first)
    second = me.create(SECOND, multitask_strategy=INTERRUPT)
    me.ended(me.follow(first), "CANCELLED")
    me.open_gate()
    me.done(me.follow(second))


@scenario("gated", log=["input 2", *GATED], gates=[before("after")])
def new_input_that_rolls_back(me: Player) -> None:
    stops = {"interrupt_before": ["after"]}
    first = me.create(INPUT, **stops)
    me.wait_begun("gate", first)
    queued = me.create(entry("never"), multitask_strategy=ENQUEUE, **stops)
    second = me.create(SECOND, multitask_strategy=ROLLBACK, **stops)
    me.rolled_back(first)
    me.ended(me.follow(queued), "CANCELLED")
    me.open_gate()
    me.done(me.resume(*me.paused(me.follow(second), stands_before("after"))))


@scenario("gated", log=["input", "before", "input 2", *GATED], gates=[before("gate")], renewed=True)
def new_input_that_rolls_an_approval_back(me: Player) -> None:
    """What waits again is given up for the new run, which pauses there itself."""
    (pause,) = me.paused(me.start(INPUT, interrupt_before=["gate"]), AT_GATE)
    first = me.create_resume(pause)
    me.wait_begun("gate", first)
    second = me.create(SECOND, multitask_strategy=ROLLBACK, interrupt_before=["gate"])
    me.rolled_back(first)
    me.open_gate()
    me.done(me.resume(*me.paused(me.follow(second), AT_GATE)))


@scenario("linear", log=["input", "a", "b", "c"], gates=[before("b")], renewed=True)
def pause_that_is_given_up(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b"])
    (pause,) = me.paused(run, stands_before("b"))
    me.give_up(run.run_id)
    me.open()
    (again,) = me.paused(me.resume(), stands_before("b"))
    me.superseded(pause, again)
    me.done(me.resume(again))


@scenario("linear", log=["input", "a", "b", "c"], gates=[before("b")], renewed=True)
def approval_beside_giving_up(me: Player) -> None:
    first = me.start(INPUT, interrupt_before=["b"])
    (pause,) = me.paused(first, stands_before("b"))
    run, _ = me.resume_beside(pause, lambda: me.give_up(first.run_id))
    if run is None:
        me.open()
        run = me.resume(*me.paused(me.resume(), stands_before("b")))
    me.done(run)
