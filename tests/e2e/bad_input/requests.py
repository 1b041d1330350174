"""Pieces of bad requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.e2e.bad_input.case import Bad, Fields
from tests.e2e.bad_input.world import UNKNOWN_ID, World

INPUT = {"assistant_id": "linear", "input": {"json": '{"log": ["in"]}'}}
INVALID, NOT_FOUND = "INVALID_ARGUMENT", "NOT_FOUND"
BROKEN = "FAILED_PRECONDITION"

BAD_THREAD_IDS = ["-x", ".", "a b", "a/b", "a\n", "ä", "x" * 129]
BAD_UUIDS = ["x", UNKNOWN_ID[:-1], f"{{{UNKNOWN_ID}}}", UNKNOWN_ID.replace("-", ""), "٠" * 32]
BAD_REQUEST_IDS = ["x" * 129, "a\n", "ä", "a\x00"]


def start(
    what: str,
    fields: Fields,
    code: str,
    reason: str,
    *named: str,
    covers: str = "",
    text: str = "",
    **metadata: str,
) -> list[Bad]:
    """The same for both RPCs that start runs."""
    return [
        Bad(rpc, what, fields, code, reason, named, covers, text, metadata)
        for rpc in ("StreamRun", "CreateRun")
    ]


def in_batch(case: Bad) -> Bad:
    """The same, as the second request of a batch."""

    def batch(world: World) -> dict[str, Any]:
        fields = case.request(world) if callable(case.request) else case.request
        return {"requests": [INPUT, dict(fields)]}

    return replace(
        case,
        rpc="CreateRuns",
        request=batch,
        fields=tuple(f"requests[1].{path}" for path in case.fields),
        covers=f"requests.{case.covers}" if case.covers else "",
        metadata={**case.metadata, "request_index": "1"},
    )


def with_input(**more: Any) -> dict[str, Any]:
    return {**INPUT, **more}


def resume_of(thread: str, resume: dict[str, Any], **more: Any) -> Fields:
    """A resume of a thread of the world; "{name}" in it stands for what the world has."""
    return lambda world: {
        "thread_id": getattr(world, thread),
        "resume": filled(resume, world),
        **more,
    }


def command_for(thread: str, command: dict[str, Any], **more: Any) -> Fields:
    return lambda world: {
        "thread_id": getattr(world, thread),
        "command": filled(command, world),
        **more,
    }


def in_world(fields: Mapping[str, Any]) -> Fields:
    """Fields in which "world.name" stands for what the world has."""
    return lambda world: filled(dict(fields), world)


def filled(value: Any, world: World) -> Any:
    if isinstance(value, str) and value.startswith("world."):
        return getattr(world, value.removeprefix("world."))
    if isinstance(value, dict):
        return {filled(k, world): filled(v, world) for k, v in value.items()}
    return [filled(v, world) for v in value] if isinstance(value, list) else value


def as_json(text: str) -> dict[str, str]:
    return {"json": text}
