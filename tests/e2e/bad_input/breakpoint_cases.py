"""Bad breakpoints, in whatever request they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import BROKEN, INVALID, in_world

#: Each way to be wrong: what is wrong, the breakpoint, the reason, and the field.
_WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("no node", {"label": "x"}, "MISSING_FIELD", "node"),
    ("a node that is not there", {"node": "bb"}, "UNKNOWN_NODE", "node"),
    ("a subgraph that is not there", {"node": "a/z"}, "UNKNOWN_NODE", "node"),
    ("a bad id", {"node": "b", "breakpoint_id": "a b"}, "INVALID_FIELD", "breakpoint_id"),
    ("a long label", {"node": "b", "label": "x" * 257}, "INVALID_FIELD", "label"),
    ("a long condition", {"node": "b", "condition": "x" * 4097}, "INVALID_FIELD", "condition"),
    ("no condition", {"node": "b", "condition": "state."}, "INVALID_CONDITION", "condition"),
    (
        "a name of nothing",
        {"node": "b", "condition": "stat == 1"},
        "INVALID_CONDITION",
        "condition",
    ),
    ("a negative skip", {"node": "b", "skip_first": -1}, "INVALID_FIELD", "skip_first"),
    ("a long skip", {"node": "b", "skip_first": 10_001}, "INVALID_FIELD", "skip_first"),
    (
        "an expiry at once",
        {"node": "b", "expires_after": "0.5s", "on_expiry": "ON_EXPIRY_RESUME"},
        "INVALID_FIELD",
        "expires_after",
    ),
    (
        "an expiry in years",
        {"node": "b", "expires_after": "31622401s", "on_expiry": "ON_EXPIRY_RESUME"},
        "INVALID_FIELD",
        "expires_after",
    ),
    (
        "an expiry that does nothing",
        {"node": "b", "expires_after": "5s"},
        "MISSING_FIELD",
        "on_expiry",
    ),
    (
        "an action without an expiry",
        {"node": "b", "on_expiry": "ON_EXPIRY_CANCEL"},
        "INVALID_FIELD",
        "on_expiry",
    ),
    (
        "words that nobody is told",
        {
            "node": "b",
            "expires_after": "5s",
            "on_expiry": "ON_EXPIRY_RESUME",
            "expiry_message": "x",
        },
        "INVALID_FIELD",
        "expiry_message",
    ),
    (
        "somebody else's",
        {"node": "b", "source": "BREAKPOINT_SOURCE_COMPILED"},
        "INVALID_FIELD",
        "source",
    ),
]


def bad_breakpoints(
    rpc: str, fields: Mapping[str, Any], graph: Mapping[str, Any] | None, *, inside: bool = False
) -> list[Bad]:
    """Requests that bring one breakpoint too many, or a bad one.

    Args:
        rpc: The RPC.
        fields: All that it needs besides, for the graph `linear`.
        graph: The same, for a graph with a subgraph that keeps no checkpoints; None if the world
            has nothing of such a graph.
        inside: Whether they are in a BreakpointList.
    """
    path = "breakpoints.breakpoints" if inside else "breakpoints"

    def given(*breakpoints: Mapping[str, Any]) -> dict[str, Any]:
        listed = list(breakpoints)
        return {"breakpoints": {"breakpoints": listed} if inside else listed}

    good = {"node": "a"}
    cases = [
        *(
            Bad(
                rpc,
                f"a breakpoint with {what}",
                in_world({**fields, **given(good, wrong)}),
                INVALID,
                reason,
                (f"{path}[1].{field}",),
            )
            for what, wrong, reason, field in _WRONG
        ),
        Bad(
            rpc,
            "two breakpoints of one id",
            in_world({**fields, **given(*[{"node": "a", "breakpoint_id": "one"}] * 2)}),
            INVALID,
            "INVALID_FIELD",
            (f"{path}[1].breakpoint_id",),
        ),
        Bad(
            rpc,
            "too many breakpoints",
            in_world({**fields, **given(*[good] * 101)}),
            INVALID,
            "INVALID_FIELD",
            (path,),
            text="has 101 items; at most 100 are allowed",
        ),
    ]
    if graph is not None:
        nowhere = Bad(
            rpc,
            "a breakpoint where no pause could be resumed",
            in_world({**graph, **given({"node": "child/*"})}),
            BROKEN,
            "UNSUPPORTED_BREAKPOINT",
            covers=path,
            metadata={"path": "child"},
        )
        cases.append(nowhere)
    return cases
