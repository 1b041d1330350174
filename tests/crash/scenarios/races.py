"""Answers at once: of those that are for one pause, one takes effect."""

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

AT_B = stands_before("b")
LINEAR = ["input", "a", "b", "c"]
DANGERS = stands_before("danger1"), stands_before("danger2")


@scenario("linear", log=LINEAR, gates=[before("b")])
def approvals_at_once(me: Player) -> None:
    pauses = me.paused(me.start(INPUT, interrupt_before=["b"]), AT_B)
    (run,) = me.resume_at_once(pauses, pauses, pauses)
    me.done(run)


@scenario("ask", log=["input", "before", "name? answer 1", "after"])
def answers_at_once(me: Player) -> None:
    pauses = me.paused(me.start(INPUT), question("ask", "name?"))
    (run,) = me.resume_at_once(pauses, pauses)
    me.done(run)


@scenario(
    "mixed",
    log=["input", "beside? answer 1", "danger1", "danger2", "join"],
    gates=[before("danger1"), before("danger2")],
)
def approvals_of_two_branches_at_once(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["danger1", "danger2"])
    first, second = me.paused(run, *DANGERS)
    me.resume_at_once([first], [second])
    # Whoever came too late, or met a thread that was busy, says it again.
    pauses = list(me.thread.pauses)
    me.done(me.resume(*pauses))


@scenario(
    "linear",
    log=["input", "a", "edit", "b", "c"],
    otherwise=LINEAR,
    gates=[before("b")],
)
def approval_beside_an_edit(me: Player) -> None:
    (pause,) = me.paused(me.start(INPUT, interrupt_before=["b"]), AT_B)
    seen = pause.checkpoint_id
    run, state = me.resume_beside(
        pause, lambda: me.edit(entry("edit"), expected_checkpoint_id=seen)
    )
    if run is None:
        me.superseded(pause, *state.pauses)
        run = me.resume(*state.pauses)
    me.done(run)


@scenario(
    "linear",
    log=["input", "a", "input 2", "a", "b", "c"],
    otherwise=[*LINEAR, "input 2", "a", "b", "c"],
    gates=[before("b")],
)
def approval_beside_new_input(me: Player) -> None:
    """New input gives up what waits, or comes after the run that was approved."""
    (pause,) = me.paused(me.start(INPUT, interrupt_before=["b"]), AT_B)
    discard = {"on_pause": run_pb2.ON_PAUSE_DISCARD, "interrupt_before": ["b"]}
    run, other = me.resume_beside(
        pause, lambda: me.start(entry("input 2"), **discard), also_after=True
    )
    if run is not None:
        me.ended(run, "SUCCEEDED")
    if other is None:
        other = me.start(entry("input 2"), **discard)
    me.done(me.resume(*me.paused(other, AT_B)))
