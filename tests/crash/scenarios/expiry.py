"""Pauses whose time is over, with servers lost around that moment, and answers just then."""

from __future__ import annotations

from typing import Any

from google.protobuf import duration_pb2
from graphwire.v1 import breakpoint_pb2

from tests.crash.errors import RefusedError
from tests.crash.player import Player
from tests.crash.scenarios.base import (
    INPUT,
    before,
    breakpoint_at,
    question,
    scenario,
    stands_before,
)

RESUME, REJECT, CANCEL = (
    breakpoint_pb2.ON_EXPIRY_RESUME,
    breakpoint_pb2.ON_EXPIRY_REJECT,
    breakpoint_pb2.ON_EXPIRY_CANCEL,
)
LINEAR = ["input", "a", "b", "c"]
AT_B = stands_before("b")
#: The shortest time that a pause may have.
SOON = duration_pb2.Duration(seconds=1)
#: How long before the end of that time somebody answers who is nearly too late, in seconds.
JUST_BEFORE = 0.01


def expiring(node: str, on_expiry: breakpoint_pb2.OnExpiry.ValueType, **fields: Any) -> Any:
    """A breakpoint that nobody needs to wait for."""
    return breakpoint_at(node, expires_after=SOON, on_expiry=on_expiry, **fields)


@scenario("linear", log=LINEAR, gates=[before("b"), before("c")])
def expiry_that_resumes(me: Player) -> None:
    run = me.start(INPUT, breakpoints=[expiring("b", RESUME), breakpoint_at("c")])
    (pause,) = me.left_at(run, AT_B)
    run = me.expired(pause)
    me.done(me.resume(*me.paused(run, stands_before("c"))))


@scenario(
    "agent",
    log=["input", "model", ", ".join(f"{c} {n}: error late" for n, c in enumerate("abcd", 1))],
    gates=[before("tools")],
)
def expiry_that_rejects(me: Player) -> None:
    stop = expiring("tools", REJECT, expiry_message="late")
    (pause,) = me.left_at(me.start(INPUT, breakpoints=[stop]), stands_before("tools"))
    me.done(me.expired(pause))
    me.called()


@scenario("linear", log=LINEAR, gates=[before("b")], renewed=True)
def expiry_that_cancels(me: Player) -> None:
    run = me.start(INPUT, breakpoints=[expiring("b", CANCEL)])
    (pause,) = me.left_at(run, AT_B)
    me.given_up(pause)
    _go_on(me)


@scenario(
    "mixed",
    log=["input", "beside? answer 1", "danger1", "danger2", "join"],
    gates=[before("danger1"), before("danger2")],
)
def expiry_of_one_of_two_branches(me: Player) -> None:
    stops = [expiring("danger1", RESUME), breakpoint_at("danger2")]
    run = me.start(INPUT, breakpoints=stops)
    first, second = me.left_at(run, stands_before("danger1"), stands_before("danger2"))
    run = me.expired(first)
    asked, rest = me.paused(run, question("ask", "beside?"), stands_before("danger2"))
    me.same([second], [rest])
    me.done(me.resume(asked, rest))


@scenario("linear", log=LINEAR, gates=[before("b")])
def approval_beside_an_expiry_that_resumes(me: Player) -> None:
    (pause,) = me.left_at(me.start(INPUT, breakpoints=[expiring("b", RESUME)]), AT_B)
    me.wait_until(pause.expire_time, JUST_BEFORE)
    try:
        run = me.resume(pause)
    except RefusedError as refused:
        me.too_late(refused)
        run = me.expired(pause)
    me.done(run)


@scenario("linear", log=LINEAR, gates=[before("b")], renewed=True)
def approval_beside_an_expiry_that_cancels(me: Player) -> None:
    (pause,) = me.left_at(me.start(INPUT, breakpoints=[expiring("b", CANCEL)]), AT_B)
    me.wait_until(pause.expire_time, JUST_BEFORE)
    try:
        me.done(me.resume(pause))
    except RefusedError as refused:
        me.too_late(refused)
        me.given_up(pause)
        _go_on(me)


def _go_on(me: Player) -> None:
    """Goes on from what was given up: it pauses there anew, now for as long as it takes."""
    run = me.resume(clear_breakpoints=True, interrupt_before=["b"])
    me.done(me.resume(*me.paused(run, AT_B)))
