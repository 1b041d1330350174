"""Breakpoints with conditions, that skip their first hits, and in subgraphs."""

from __future__ import annotations

from graphwire.v1 import breakpoint_pb2

from tests.crash.player import Player
from tests.crash.scenarios.base import (
    INPUT,
    Gate,
    before,
    breakpoint_at,
    scenario,
    stands_after,
    stands_before,
)

AFTER = breakpoint_pb2.BREAKPOINT_POSITION_AFTER
LOOP = ["input", "turn", "turn", "turn"]
FAN_OUT = ["input", "split", "work 1", "work 2", "work 3", "join"]
LOG = ["input", "before", "after"]
STEPS = ["one", "two", "three"]
TURN = stands_before("turn")


def _turn(number: int) -> Gate:
    """The turn of a loop, from 1, before which a condition holds."""
    return before("turn", given={"count": 99 + number})


@scenario("loop", log=LOOP, gates=[_turn(2)])
def condition_that_is_true_once(me: Player) -> None:
    stop = breakpoint_at("turn", condition='state.log.filter(e, e == "turn").size() == 1')
    (pause,) = me.paused(me.start(INPUT, breakpoints=[stop]), TURN)
    me.met(pause, "turn")
    me.ran("turn", 1)
    me.done(me.resume(pause))


@scenario("loop", log=LOOP)
def condition_that_is_false(me: Player) -> None:
    me.done(me.start(INPUT, breakpoints=[breakpoint_at("turn", condition="state.count > 1000")]))


@scenario("loop", log=LOOP, gates=[_turn(1), _turn(3)])
def condition_that_fails(me: Player) -> None:
    stop = breakpoint_at("turn", condition='state.log[1] == "none" || state.count == 102')
    (pause,) = me.paused(me.start(INPUT, breakpoints=[stop]), TURN)
    me.met(pause, "turn", failed=True)
    me.not_begun("turn")
    (pause,) = me.paused(me.resume(pause), TURN)
    me.met(pause, "turn")
    me.ran("turn", 2)
    me.done(me.resume(pause))


@scenario(
    "loop",
    log=LOOP,
    gates=[Gate("turn", "BREAKPOINT_AFTER", "turn", given={"count": 102})],
)
def condition_after_a_node(me: Player) -> None:
    stop = breakpoint_at("turn", condition="state.count == 102", position=AFTER)
    (pause,) = me.paused(me.start(INPUT, breakpoints=[stop]), stands_after("turn"))
    me.met(pause, "turn")
    me.ran("turn", 2)
    me.done(me.resume(pause))


@scenario("fan_out", log=FAN_OUT, gates=[before("work", given={"part": 2})])
def condition_on_what_a_task_gets(me: Player) -> None:
    stop = breakpoint_at("work", condition="task.input.part == 2")
    (pause,) = me.paused(me.start(INPUT, breakpoints=[stop]), stands_before("work"))
    me.not_begun("work")
    me.done(me.resume(pause))


@scenario("loop", log=LOOP, gates=[_turn(3)])
def skip_first(me: Player) -> None:
    run = me.start(INPUT, breakpoints=[breakpoint_at("turn", skip_first=2)])
    (pause,) = me.paused(run, TURN)
    me.ran("turn", 2)
    me.done(me.resume(pause))


@scenario("loop", log=LOOP, gates=[_turn(2), _turn(3)])
def skip_first_counted_over_resumes(me: Player) -> None:
    """The second breakpoint skips the turn before which the first one holds."""
    stops = [
        breakpoint_at("turn", breakpoint_id="second", condition="state.count == 101"),
        breakpoint_at("turn", breakpoint_id="third", skip_first=2),
    ]
    (pause,) = me.paused(me.start(INPUT, breakpoints=stops), TURN)
    me.met(pause, "second")
    me.ran("turn", 1)
    (pause,) = me.paused(me.resume(pause), TURN)
    me.met(pause, "third")
    me.ran("turn", 2)
    me.done(me.resume(pause))


@scenario("loop", log=LOOP, gates=[_turn(3)])
def skip_first_where_a_condition_is_true(me: Player) -> None:
    stop = breakpoint_at("turn", condition="state.count > 100", skip_first=1)
    (pause,) = me.paused(me.start(INPUT, breakpoints=[stop]), TURN)
    me.ran("turn", 2)
    me.done(me.resume(pause))


@scenario("fan_out", log=FAN_OUT, gates=[before("work", given={"part": 3})])
def skip_first_among_parallel_tasks(me: Player) -> None:
    run = me.start(INPUT, breakpoints=[breakpoint_at("work", skip_first=2)])
    (pause,) = me.paused(run, stands_before("work"))
    me.not_begun("work")
    me.done(me.resume(pause))


def _by_path(me: Player) -> None:
    stops = [
        breakpoint_at("child/two", condition='state.steps == ["one"]'),
        breakpoint_at("child/two", breakpoint_id="not", condition="state.steps.size() > 1"),
        breakpoint_at("child/three", position=AFTER),
    ]
    (pause,) = me.paused(me.start(INPUT, breakpoints=stops), stands_before("child/two"))
    me.met(pause, "child.two")
    (pause,) = me.paused(me.resume(pause), stands_after("child/three"))
    me.done(me.resume(pause))


BY_PATH = [before("child/two"), Gate("after", "BREAKPOINT_AFTER", "child/three")]


@scenario("inside", log=LOG, steps=STEPS, gates=BY_PATH)
def breakpoint_by_path(me: Player) -> None:
    _by_path(me)


@scenario("inside_kept", log=LOG, steps=STEPS, gates=BY_PATH)
def breakpoint_by_path_with_memory(me: Player) -> None:
    _by_path(me)


@scenario("inside", log=LOG, steps=STEPS, gates=[before(f"child/{step}") for step in STEPS])
def breakpoint_at_all_nodes_of_a_subgraph(me: Player) -> None:
    run = me.start(INPUT, breakpoints=[breakpoint_at("child/*", breakpoint_id="all")])
    for step in STEPS:
        run = me.resume(*me.paused(run, stands_before(f"child/{step}")))
    me.done(run)
