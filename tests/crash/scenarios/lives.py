"""Runs that queue, have no thread, are cancelled, or talk."""

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

ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE
GATED = ["before", "gate", "after"]


@scenario("gated", log=["input", *GATED, "input 2", *GATED, "input 3", *GATED])
def queue(me: Player) -> None:
    runs = [me.create(INPUT)]
    me.wait_begun("gate", runs[0])
    runs += [me.create(entry(f"input {number}"), multitask_strategy=ENQUEUE) for number in (2, 3)]
    me.open_gate()
    for run_id in runs:
        me.ended(me.follow(run_id), "SUCCEEDED")


@scenario("gated", log=["input", *GATED, "input 2", *GATED], gates=[before("after")])
def queue_behind_a_breakpoint(me: Player) -> None:
    first = me.create(INPUT, interrupt_before=["after"])
    me.wait_begun("gate", first)
    second = me.create(entry("input 2"), interrupt_before=["after"], multitask_strategy=ENQUEUE)
    me.open_gate()
    (pause,) = me.paused(me.follow(first), stands_before("after"))
    me.ended(me.resume(pause), "SUCCEEDED")
    me.done(me.resume(*me.paused(me.follow(second), stands_before("after"))))


@scenario("ask", log=["input", "before", "name? answer 1", "after"])
def stateless(me: Player) -> None:
    run = me.start_stateless(INPUT)
    me.done(me.resume(*me.paused(run, question("ask", "name?"))))


@scenario("gated", log=["input", "before", "gate", "after"], gates=[before("after")])
def cancel_and_resume(me: Player) -> None:
    run_id = me.create(INPUT, interrupt_before=["after"])
    me.wait_begun("gate", run_id)
    me.cancel(run_id)
    me.ended(me.follow(run_id), "CANCELLED")
    me.open_gate()
    run = me.resume()
    me.done(me.resume(*me.paused(run, stands_before("after"))))


@scenario("talk", log=["input", "speak", "speak", "after"], gates=[before("again")])
def tokens_and_progress(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["again"])
    me.done(me.resume(*me.paused(run, stands_before("again"))))


@scenario("linear", log=["input", "a", "b", "c", "input 2", "a", "b", "c"])
def in_the_background(me: Player) -> None:
    for given in (INPUT, entry("input 2")):
        run_id = me.create(given)
        assert me.wait(run_id).run.run_id == run_id
        me.done(me.follow(run_id))
