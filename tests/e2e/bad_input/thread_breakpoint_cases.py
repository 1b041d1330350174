"""Bad breakpoints, for every request that brings some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import INVALID
from tests.e2e.bad_input.world import World

#: Makes a request of breakpoints, in protobuf's JSON form.
Request = Callable[[World, Sequence[Mapping[str, Any]]], Mapping[str, Any]]

_EXPIRES = {"node": "b", "expires_after": "60s", "on_expiry": "ON_EXPIRY_CANCEL"}

#: What is wrong, the second of two breakpoints, the reason, and which of its fields is named.
_BAD: list[tuple[str, dict[str, Any], str, str]] = [
    ("no node", {}, "MISSING_FIELD", "node"),
    ("a node that is not there", {"node": "z"}, "UNKNOWN_NODE", "node"),
    ("a subgraph that is not there", {"node": "a/z"}, "UNKNOWN_NODE", "node"),
    ("an id that is none", {"node": "b", "breakpoint_id": "-x"}, "INVALID_FIELD", "breakpoint_id"),
    ("an id twice", {"node": "b", "breakpoint_id": "one"}, "INVALID_FIELD", "breakpoint_id"),
    ("no CEL", {"node": "b", "condition": "state."}, "INVALID_CONDITION", "condition"),
    ("no such name", {"node": "b", "condition": "stat == 1"}, "INVALID_CONDITION", "condition"),
    ("a long condition", {"node": "b", "condition": "1" * 4097}, "INVALID_FIELD", "condition"),
    ("a long label", {"node": "b", "label": "x" * 257}, "INVALID_FIELD", "label"),
    ("a negative skip", {"node": "b", "skip_first": -1}, "INVALID_FIELD", "skip_first"),
    ("too much to skip", {"node": "b", "skip_first": 10_001}, "INVALID_FIELD", "skip_first"),
    ("no time", {**_EXPIRES, "expires_after": "0.5s"}, "INVALID_FIELD", "expires_after"),
    ("too much time", {**_EXPIRES, "expires_after": "31622401s"}, "INVALID_FIELD", "expires_after"),
    ("nothing to happen", {"node": "b", "expires_after": "60s"}, "MISSING_FIELD", "on_expiry"),
    ("never", {"node": "b", "on_expiry": "ON_EXPIRY_CANCEL"}, "INVALID_FIELD", "on_expiry"),
    ("words for nobody", {**_EXPIRES, "expiry_message": "x"}, "INVALID_FIELD", "expiry_message"),
    ("a source", {"node": "b", "source": "BREAKPOINT_SOURCE_RUN"}, "INVALID_FIELD", "source"),
]


def bad_breakpoints(rpc: str, field: str, request: Request) -> list[Bad]:
    """The ways in which the breakpoints of a request for `linear` can be wrong.

    Args:
        rpc: The RPC.
        field: The path of the list.
        request: Makes the request.
    """
    first = {"node": "a", "breakpoint_id": "one"}

    def case(what: str, bad: list[dict[str, Any]], reason: str, named: str, text: str = "") -> Bad:
        return Bad(
            rpc,
            f"breakpoints: {what}",
            lambda world: request(world, bad),
            INVALID,
            reason,
            (named,),
            text=text,
        )

    return [
        *(
            case(what, [first, bad], reason, f"{field}[1].{name}")
            for what, bad, reason, name in _BAD
        ),
        case("too many", [{"node": "a"}] * 101, "INVALID_FIELD", field, "at most 100 breakpoints"),
    ]
