"""State that is edited, forked, replayed, or thrown away for new input."""

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

EDIT = entry("edit")
AT_B = stands_before("b")


@scenario("linear", log=["input", "a", "edit", "b", "c"], gates=[before("b")])
def edit_at_a_breakpoint(me: Player) -> None:
    (was,) = me.paused(me.start(INPUT, interrupt_before=["b"]), AT_B)
    (pause,) = me.edit(EDIT, expected_checkpoint_id=was.checkpoint_id).pauses
    me.superseded(was, pause)
    me.done(me.resume(pause))


@scenario("linear", log=["input", "a", "edit", "c"], gates=[before("b"), before("c")])
def edit_in_the_place_of_a_node(me: Player) -> None:
    (was,) = me.paused(me.start(INPUT, interrupt_before=["b", "c"]), AT_B)
    (pause,) = me.edit(EDIT, as_node="b").pauses
    me.superseded(was, pause)
    me.done(me.resume(pause))


@scenario("ask_in_turn", log=["input", "edit", "two? answer 1", "after"])
def edit_in_the_place_of_an_answer(me: Player) -> None:
    me.paused(me.start(INPUT), question("one", "one?"))
    (pause,) = me.edit(EDIT, as_node="one").pauses
    run = me.resume(pause)
    me.done(me.resume(*me.paused(run, question("two", "two?"))))


@scenario("linear", log=["input", "a", "b", "c"], gates=[before("b")])
def replay_of_an_approved_breakpoint(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b"])
    me.done(me.resume(*me.paused(run, AT_B)))
    run = me.replay(me.checkpoint("b"))
    me.done(me.resume(*me.paused(run, AT_B)))


@scenario("linear", log=["input", "a", "b", "c"], gates=[before("b")])
def replay_of_the_head(me: Player) -> None:
    (was,) = me.paused(me.start(INPUT, interrupt_before=["b"]), AT_B)
    (pause,) = me.paused(me.replay(was.checkpoint_id), AT_B)
    me.superseded(was, pause)
    me.done(me.resume(pause))


@scenario("linear", log=["input", "a", "input 2", "a", "b", "c"], gates=[before("b")])
def fork_with_new_input(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b"])
    me.done(me.resume(*me.paused(run, AT_B)))
    fork = me.checkpoint("b")
    run = me.start(entry("input 2"), interrupt_before=["b"], checkpoint_id=fork)
    me.done(me.resume(*me.paused(run, AT_B)))


@scenario("linear", log=["input", "a", "edit", "b", "c"], gates=[before("b")])
def fork_by_an_edit(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["b"])
    me.done(me.resume(*me.paused(run, AT_B)))
    (pause,) = me.edit(EDIT, checkpoint_id=me.checkpoint("b")).pauses
    me.done(me.resume(pause))


@scenario("linear", log=["input", "a", "input 2", "a", "b", "c"], gates=[before("b")])
def new_input_in_the_place_of_a_breakpoint(me: Player) -> None:
    discard = run_pb2.ON_PAUSE_DISCARD
    (was,) = me.paused(me.start(INPUT, interrupt_before=["b"]), AT_B)
    run = me.start(entry("input 2"), interrupt_before=["b"], on_pause=discard)
    (pause,) = me.paused(run, AT_B)
    me.superseded(was, pause)
    me.done(me.resume(pause))
