"""Bad requests about the breakpoints of runs, and about how far a run goes."""

from __future__ import annotations

from typing import Any

from tests.e2e.bad_input.breakpoint_cases import bad_breakpoints
from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import (
    BAD_REQUEST_IDS,
    BAD_UUIDS,
    BROKEN,
    INPUT,
    INVALID,
    NOT_FOUND,
    command_for,
    in_world,
    resume_of,
    start,
)
from tests.e2e.bad_input.world import UNKNOWN_ID

_RPCS = ("PauseRun", "ListRunBreakpoints", "AddRunBreakpoints", "RemoveRunBreakpoints")
#: What each needs besides a run.
_MORE: dict[str, dict[str, Any]] = {
    "AddRunBreakpoints": {"breakpoints": [{"node": "b"}]},
    "RemoveRunBreakpoints": {"breakpoint_ids": ["x"]},
}


def _of_a_run(rpc: str) -> list[Bad]:
    """What can be wrong about a run_id."""
    more = _MORE.get(rpc, {})
    return [
        Bad(rpc, "no run_id", more, INVALID, "MISSING_FIELD", ("run_id",)),
        *(
            Bad(
                rpc,
                f"run_id {bad[:5]!r}",
                {"run_id": bad, **more},
                INVALID,
                "INVALID_FIELD",
                ("run_id",),
            )
            for bad in BAD_UUIDS
        ),
        Bad(
            rpc,
            "a run that is not there",
            {"run_id": UNKNOWN_ID, **more},
            NOT_FOUND,
            "RUN_NOT_FOUND",
            text=f"there is no run {UNKNOWN_ID}",
        ),
    ]


def _ended(rpc: str) -> Bad:
    return Bad(
        rpc,
        "a run that has ended",
        in_world({"run_id": "world.done_run", **_MORE.get(rpc, {})}),
        BROKEN,
        "RUN_ENDED",
        metadata={"status": "SUCCEEDED"},
    )


def _run_to(field: str, fields: Any) -> list[Bad]:
    return [
        *start(
            f"{field} of no node",
            fields({"run_to": "d"}),
            INVALID,
            "UNKNOWN_NODE",
            f"{field}.run_to",
            nodes="a, b, c",
        ),
        *start(
            f"{field} beside a step",
            fields({"run_to": "c", "step": "STEP_MODE_INTO"}),
            INVALID,
            "INVALID_FIELD",
            f"{field}.run_to",
        ),
    ]


CASES = [
    *(case for rpc in _RPCS for case in _of_a_run(rpc)),
    *(_ended(rpc) for rpc in _RPCS if rpc != "ListRunBreakpoints"),
    *(
        case
        for rpc in ("StreamRun", "CreateRun")
        for case in bad_breakpoints(rpc, INPUT, {**INPUT, "assistant_id": "no_saver_child"})
    ),
    # There is no run of a graph that keeps no checkpoints.
    *bad_breakpoints("AddRunBreakpoints", {"run_id": "world.stopped_run"}, None),
    Bad(
        "AddRunBreakpoints",
        "no breakpoints",
        in_world({"run_id": "world.busy_run"}),
        INVALID,
        "MISSING_FIELD",
        ("breakpoints",),
    ),
    *(
        Bad(
            "AddRunBreakpoints",
            f"request_id {bad[:5]!r}",
            in_world(
                {"run_id": "world.stopped_run", "request_id": bad, "breakpoints": [{"node": "b"}]}
            ),
            INVALID,
            "INVALID_FIELD",
            ("request_id",),
        )
        for bad in BAD_REQUEST_IDS
    ),
    Bad(
        "RemoveRunBreakpoints",
        "no breakpoints",
        in_world({"run_id": "world.busy_run"}),
        INVALID,
        "MISSING_FIELD",
        ("breakpoint_ids",),
    ),
    Bad(
        "RemoveRunBreakpoints",
        "an empty id",
        in_world({"run_id": "world.busy_run", "breakpoint_ids": ["x", ""]}),
        INVALID,
        "MISSING_FIELD",
        ("breakpoint_ids[1]",),
    ),
    Bad(
        "RemoveRunBreakpoints",
        "a breakpoint that is not there",
        in_world({"run_id": "world.busy_run", "breakpoint_ids": ["x"]}),
        NOT_FOUND,
        "BREAKPOINT_NOT_FOUND",
        text="has no breakpoint 'x' of its own",
    ),
    *_run_to("resume", lambda resume: resume_of("stopped", resume)),
    *_run_to("command.resume", lambda resume: command_for("stopped", {"resume": resume})),
]
