"""Bad resumes and commands."""

from __future__ import annotations

from typing import Any

from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import (
    BAD_UUIDS,
    BROKEN,
    INVALID,
    as_json,
    command_for,
    resume_of,
    start,
)
from tests.e2e.bad_input.world import UNKNOWN_ID


def _resumes(prefix: str) -> list[Bad]:
    """What can be wrong about a resume, by itself or in a command."""

    def case(
        what: str, thread: str, resume: dict[str, Any], code: str, reason: str, **more: Any
    ) -> list[Bad]:
        inside = {"resume": resume} if prefix else resume
        fields = command_for(thread, inside) if prefix else resume_of(thread, inside)
        named = tuple(f"{prefix}{name}" for name in more.pop("named", ()))
        covers = f"{prefix}{more.pop('covers')}" if "covers" in more else ""
        return start(f"{prefix}{what}", fields, code, reason, *named, covers=covers, **more)

    nothing, not_open = "NOTHING_TO_RESUME", "PAUSE_NOT_OPEN"
    yes = as_json('"yes"')
    return [
        *case("resume of a new thread", "new", {}, BROKEN, nothing, covers="resume"),
        *case("resume of a finished thread", "done", {}, BROKEN, nothing),
        *case("resume of a busy thread", "busy", {}, BROKEN, "THREAD_BUSY"),
        *case(
            "resume of a question without an answer",
            "asking",
            {},
            INVALID,
            "ANSWER_REQUIRED",
            named=["resume"],
        ),
        *case(
            "pause_ids with an empty one",
            "stopped",
            {"pause_ids": ["world.stopped_pause", ""]},
            INVALID,
            "INVALID_FIELD",
            named=["resume.pause_ids[1]"],
        ),
        *case(
            "a pause that never was",
            "stopped",
            {"pause_ids": [UNKNOWN_ID]},
            BROKEN,
            not_open,
            covers="resume.pause_ids",
            pause_id=UNKNOWN_ID,
        ),
        *case(
            "a pause that was resumed",
            "done",
            {"pause_ids": ["world.resumed_pause"]},
            BROKEN,
            not_open,
            status="RESUMED",
            principal="anonymous",
        ),
        *case(
            "a pause of another thread",
            "stopped",
            {"pause_ids": ["world.asking_pause"]},
            BROKEN,
            not_open,
        ),
        *case(
            "a question named but not answered",
            "asking",
            {"pause_ids": ["world.asking_pause"]},
            INVALID,
            "ANSWER_REQUIRED",
            named=["resume"],
        ),
        *case(
            "an answer to a breakpoint, by id",
            "stopped",
            {"answers": {"world.stopped_pause": yes}},
            INVALID,
            "INVALID_FIELD",
            named=["resume.answers[{world.stopped_pause}]"],
        ),
        *case(
            "an answer to what was never asked",
            "asking",
            {"answers": {"nobody": yes}},
            BROKEN,
            not_open,
            covers="resume.answers",
        ),
        *case(
            "two answers to one question",
            "asking",
            {"answers": {"world.asking_pause": yes, "world.asking_interrupt": yes}},
            INVALID,
            "INVALID_FIELD",
            named=["resume.answers[{world.asking_second}]"],
        ),
        *case(
            "answer and answers together",
            "asking",
            {"answer": yes, "answers": {"world.asking_pause": yes}},
            INVALID,
            "INVALID_FIELD",
            named=["resume.answer"],
        ),
        *case("an answer to a breakpoint", "stopped", {"answer": yes}, BROKEN, not_open),
        *case(
            "one answer to two questions",
            "asking_twice",
            {"answer": yes},
            INVALID,
            "AMBIGUOUS_ANSWER",
            named=["resume.answer"],
        ),
        *case(
            "an answer that does not fit its schema",
            "asking_by_schema",
            {"answer": as_json('{"amount": 0}')},
            INVALID,
            "ANSWER_MISMATCH",
            named=["resume.answer"],
            json_path="$.amount",
        ),
        *(
            bad_case
            for bad in BAD_UUIDS
            for bad_case in case(
                f"expected_checkpoint_id {bad[:5]!r}",
                "stopped",
                {"expected_checkpoint_id": bad},
                INVALID,
                "INVALID_FIELD",
                named=["resume.expected_checkpoint_id"],
            )
        ),
        *(
            bad_case
            for bad in ("x" * 257, "a\nb", "a\x00")
            for bad_case in case(
                f"answered_by {bad[:5]!r}",
                "stopped",
                {"answered_by": bad},
                INVALID,
                "INVALID_FIELD",
                named=["resume.answered_by"],
            )
        ),
        *case(
            "another checkpoint than expected",
            "stopped",
            {"expected_checkpoint_id": UNKNOWN_ID},
            BROKEN,
            "CHECKPOINT_MISMATCH",
        ),
    ]


COMMANDS = [
    *start("an empty command", command_for("done", {}), INVALID, "MISSING_FIELD", "command"),
    *start(
        "a command for a paused thread",
        command_for("stopped", {"goto": [{"node": "c"}]}),
        BROKEN,
        "THREAD_INTERRUPTED",
        covers="command.goto",
    ),
    *start(
        "a command for a new thread",
        command_for("new", {"goto": [{"node": "c"}]}),
        BROKEN,
        "NOTHING_TO_RESUME",
    ),
    *start(
        "an update with null",
        command_for("done", {"update": as_json("null")}),
        INVALID,
        "INVALID_FIELD",
        "command.update",
    ),
    *start(
        "an update with {}",
        command_for("done", {"update": as_json("{}")}),
        INVALID,
        "INVALID_FIELD",
        "command.update",
    ),
    *start(
        "an update with a list",
        command_for("done", {"update": as_json("[1]")}),
        INVALID,
        "INVALID_FIELD",
        "command.update",
    ),
    *start(
        "an update of a channel that is not there",
        command_for("done", {"update": as_json('{"log": ["x"], "lgo": 1}')}),
        INVALID,
        "INVALID_FIELD",
        "command.update",
        text="the graph has no channel 'lgo'; it has: log, count, path",
    ),
    *start(
        "a goto to no node",
        command_for("done", {"goto": [{"node": "b"}, {}]}),
        INVALID,
        "MISSING_FIELD",
        "command.goto[1].node",
    ),
    *start(
        "a goto to a node that is not there",
        command_for("done", {"goto": [{"node": "b"}, {"node": "B"}]}),
        INVALID,
        "UNKNOWN_NODE",
        "command.goto[1].node",
        nodes="a, b, c",
    ),
    *start(
        "a goto with null",
        command_for("done", {"goto": [{"node": "c", "input": as_json("null")}]}),
        INVALID,
        "INVALID_FIELD",
        "command.goto[0].input",
    ),
]

CASES = [*_resumes(""), *_resumes("command."), *COMMANDS]
