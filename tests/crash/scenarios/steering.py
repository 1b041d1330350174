"""What is said of a run while it is there: breakpoints, pauses, steps."""

from __future__ import annotations

from graphwire.v1 import run_pb2

from tests.crash.player import Player
from tests.crash.scenarios.base import (
    INPUT,
    asked_for,
    before,
    behind_a_stop,
    breakpoint_at,
    entry,
    scenario,
    stands_before,
    stopped,
)

INTO, OVER, OUT = run_pb2.STEP_MODE_INTO, run_pb2.STEP_MODE_OVER, run_pb2.STEP_MODE_OUT
ENQUEUE = run_pb2.MULTITASK_STRATEGY_ENQUEUE
GATED = ["input", "before", "gate", "after"]
LINEAR = ["input", "a", "b", "c"]
LOG = ["input", "before", "after"]
STEPS = ["one", "two", "three"]
INSIDE = ["one", "gate", "three"]
BESIDE = ["left1", "left2", "right1", "right2"]


# --- live breakpoints ---


@scenario("gated", log=GATED, gates=[before("after")])
def breakpoint_added_while_a_node_works(me: Player) -> None:
    run_id = me.create(INPUT)
    me.wait_begun("gate", run_id)
    me.add(run_id, breakpoint_at("after"))
    me.open_gate()
    (pause,) = me.paused(me.follow(run_id), stands_before("after"))
    me.met(pause, "after")
    me.done(me.resume(pause))


@scenario("gated_inside", log=LOG, steps=INSIDE, gates=[before("child/three"), before("after")])
def breakpoints_added_inside_and_outside(me: Player) -> None:
    run_id = me.create(INPUT)
    me.wait_begun("child/gate", run_id)
    me.add(run_id, breakpoint_at("child/three", condition="state.steps.size() == 2"))
    me.add(run_id, breakpoint_at("after"))
    me.open_gate()
    (pause,) = me.paused(me.follow(run_id), stands_before("child/three"))
    me.done(me.resume(*me.paused(me.resume(pause), stands_before("after"))))


@scenario("gated", log=GATED)
def breakpoint_removed_while_a_node_works(me: Player) -> None:
    run_id = me.create(INPUT, breakpoints=[breakpoint_at("after")])
    me.wait_begun("gate", run_id)
    me.remove(run_id, "after")
    me.open_gate()
    me.done(me.follow(run_id))


@scenario("gated", log=GATED, gates=[before("after")])
def breakpoint_in_the_place_of_another(me: Player) -> None:
    never = breakpoint_at("after", breakpoint_id="never", condition="state.count == 0")
    run_id = me.create(INPUT, breakpoints=[never])
    me.wait_begun("gate", run_id)
    me.remove(run_id, "never")
    me.add(run_id, breakpoint_at("after", breakpoint_id="always"))
    me.open_gate()
    (pause,) = me.paused(me.follow(run_id), stands_before("after"))
    me.met(pause, "always")
    me.done(me.resume(pause))


@scenario("linear", log=LINEAR, gates=[before("b"), before("c")])
def breakpoints_changed_at_a_pause(me: Player) -> None:
    run = me.start(INPUT, breakpoints=[breakpoint_at("b")])
    (pause,) = me.paused(run, stands_before("b"))
    me.add(run.run_id, breakpoint_at("c"))
    me.remove(run.run_id, "b")  # its pause stays
    (pause,) = me.paused(me.resume(pause), stands_before("c"))
    me.met(pause, "c")
    me.done(me.resume(pause))


# --- PauseRun ---
#
# A node that was at work when the server was lost begins no more: then it is what waits, and
# whoever resumes it has the run go on to its end.


@scenario("gated", log=GATED, gates=[behind_a_stop("after")])
def pause_while_a_node_works(me: Player) -> None:
    run_id = me.create(INPUT)
    me.wait_begun("gate", run_id)
    me.pause(run_id)
    me.pause(run_id)
    me.open_gate()
    run = me.follow(run_id)
    (pause,) = me.paused_somewhere(run, (stopped("after"), stopped("gate")))
    me.met(pause)
    me.done(me.resume(pause))


@scenario("gated_inside", log=LOG, steps=INSIDE, gates=[behind_a_stop("child/three")])
def pause_in_a_subgraph(me: Player) -> None:
    run_id = me.create(INPUT)
    me.wait_begun("child/gate", run_id)
    me.pause(run_id)
    me.open_gate()
    places = stopped("child/three"), stopped("child/gate")
    me.done(me.resume(*me.paused_somewhere(me.follow(run_id), places)))


@scenario("gated_last", log=["input", "before", "gate"])
def pause_with_nothing_left_to_hold(me: Player) -> None:
    run_id = me.create(INPUT)
    me.wait_begun("gate", run_id)
    me.pause(run_id)
    me.open_gate()
    run = me.follow(run_id)
    if run.pauses:
        run = me.resume(*me.paused(run, stopped("gate")))
    me.done(run)


@scenario(
    "gated_beside",
    log=["input", "join"],
    steps=BESIDE,
    gates=[behind_a_stop("left/left2"), behind_a_stop("join")],
)
def pauses_in_two_branches_resumed_one_by_one(me: Player) -> None:
    run_id = me.create(INPUT)
    me.wait_begun("left/left1", run_id)
    me.wait_begun("right/right1", run_id)
    me.pause(run_id)
    me.open_gate()
    lefts = stopped("left/left2"), stopped("left/left1")
    rights = stopped("right/right2"), stopped("right/right1")
    left, right = me.paused_somewhere(me.follow(run_id), lefts, rights)
    rest = me.paused_somewhere(me.resume(right), lefts)
    me.same([left], rest)
    me.done(me.resume(*rest))


@scenario(
    "gated",
    log=[*GATED, "input 2", "before", "gate", "after"],
    gates=[behind_a_stop("before", free=1)],
)
def pause_of_a_run_that_is_queued(me: Player) -> None:
    first = me.create(INPUT)
    me.wait_begun("gate", first)
    second = me.create(entry("input 2"), multitask_strategy=ENQUEUE)
    me.pause(second)
    me.open_gate()
    me.ended(me.follow(first), "SUCCEEDED")
    me.done(me.resume(*me.paused(me.follow(second), stopped("before"))))


# --- steps ---


@scenario("linear", log=LINEAR, gates=[before("a"), asked_for("b"), asked_for("c")])
def steps(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["a"])
    run = me.resume(*me.paused(run, stands_before("a")), step=OVER)
    run = me.resume(*me.paused(run, stopped("b")), step=INTO)
    me.done(me.resume(*me.paused(run, stopped("c"))))


@scenario(
    "inside",
    log=LOG,
    steps=STEPS,
    gates=[before("child"), asked_for("child/one"), asked_for("child/two"), asked_for("after")],
)
def steps_into_a_subgraph_and_out(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["child"])
    run = me.resume(*me.paused(run, stands_before("child")), step=INTO)
    run = me.resume(*me.paused(run, stopped("child/one")), step=OVER)
    run = me.resume(*me.paused(run, stopped("child/two")), step=OUT)
    me.done(me.resume(*me.paused(run, stopped("after")), step=OVER))


@scenario("inside", log=LOG, steps=STEPS, gates=[before("child"), asked_for("after")])
def step_over_a_subgraph(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["child"])
    run = me.resume(*me.paused(run, stands_before("child")), step=OVER)
    me.done(me.resume(*me.paused(run, stopped("after"))))


@scenario("inside", log=LOG, steps=STEPS, gates=[before("before"), asked_for("child/three")])
def run_to_a_node_of_a_subgraph(me: Player) -> None:
    run = me.start(INPUT, interrupt_before=["before"])
    run = me.resume(*me.paused(run, stands_before("before")), run_to="child/three")
    me.done(me.resume(*me.paused(run, stopped("child/three"))))


@scenario(
    "two_stopping",
    log=["input", "join"],
    steps=BESIDE,
    gates=[before("left/left2"), before("right/right2"), asked_for("join")],
)
def step_of_one_of_two_branches(me: Player) -> None:
    shapes = stands_before("left/left2"), stands_before("right/right2")
    left, right = me.paused(me.start(INPUT), *shapes)
    rest = me.paused(me.resume(left, step=OVER), shapes[1])
    me.same([right], rest)
    run = me.resume(right, step=OVER)
    me.done(me.resume(*me.paused(run, stopped("join"))))


# --- breakpoints of the thread ---


@scenario("gated", log=GATED, gates=[before("before"), before("after")])
def breakpoints_of_the_thread(me: Player) -> None:
    """They hold from the next run on, and `clear_breakpoints` drops only what runs have set."""
    me.set_breakpoints(breakpoint_at("before"), breakpoint_at("after"))
    (pause,) = me.paused(me.start(INPUT, interrupt_before=["gate"]), stands_before("before"))
    me.met(pause, "before")
    me.open_gate()
    run = me.resume(pause, clear_breakpoints=True)
    (pause,) = me.paused(run, stands_before("after"))
    me.met(pause, "after")
    me.done(me.resume(pause))


@scenario("gated", log=GATED, gates=[before("before")])
def breakpoints_of_the_thread_that_are_taken_back(me: Player) -> None:
    me.set_breakpoints(breakpoint_at("*", breakpoint_id="all"))
    (pause,) = me.paused(me.start(INPUT), stands_before("before"))
    me.set_breakpoints()  # its pause stays
    me.open_gate()
    me.done(me.resume(pause))
