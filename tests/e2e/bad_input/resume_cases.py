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

REFUND, MAIL = {"tool_call_id": "r"}, {"tool_call_id": "m"}
BOTH = {"tool_calls": [{**REFUND, "approve": {}}, {**MAIL, "approve": {}}]}

#: Reviews of a refund and a mail: what is wrong, the decisions, the reason, the field after
#: `tool_calls`, and what else the answer says.
REVIEWS: list[tuple[str, list[Any], str, str, dict[str, str]]] = [
    (
        "a call that is not decided on",
        [{**MAIL, "reject": {}}],
        "REVIEW_MISMATCH",
        "",
        {"text": "decide on each tool call; missing: r", "tool_calls": "r, m"},
    ),
    ("no decision at all", [], "REVIEW_MISMATCH", "", {"tool_calls": "r, m"}),
    (
        "a call that is not there",
        [{**REFUND, "approve": {}}, {"tool_call_id": "x", "approve": {}}],
        "REVIEW_MISMATCH",
        "[1].tool_call_id",
        {"text": "there is no tool call 'x'", "tool_calls": "r, m"},
    ),
    (
        "one of several calls without its id",
        [{"approve": {}}, {**MAIL, "approve": {}}],
        "REVIEW_MISMATCH",
        "[0].tool_call_id",
        {"text": "say which tool call", "tool_calls": "r, m"},
    ),
    (
        "a call that is decided on twice",
        [{**REFUND, "approve": {}}, {**REFUND, "reject": {}}],
        "REVIEW_MISMATCH",
        "[1].tool_call_id",
        {"text": "is decided on twice", "tool_calls": "r, m"},
    ),
    (
        "a call without a decision",
        [{**REFUND, "approve": {}}, MAIL],
        "MISSING_FIELD",
        "[1].decision",
        {"text": "one of `approve`, `edit`, `reject` or `respond`"},
    ),
    (
        "arguments that are no object",
        [{**REFUND, "edit": {"args": as_json("[1]")}}],
        "INVALID_PAYLOAD",
        "[0].edit.args.json",
        {"text": "must be a JSON object"},
    ),
    ("no arguments", [{**REFUND, "edit": {}}], "MISSING_FIELD", "[0].edit.args", {}),
    (
        "a name that is too long",
        [{**REFUND, "edit": {"args": as_json("{}"), "name": "x" * 257}}],
        "INVALID_FIELD",
        "[0].edit.name",
        {"text": "at most 256 are allowed"},
    ),
    (
        "a message that is too long",
        [{**REFUND, "reject": {"message": "x" * 16_385}}],
        "INVALID_FIELD",
        "[0].reject.message",
        {"text": "at most 16384 are allowed"},
    ),
    ("no content", [{**REFUND, "respond": {}}], "MISSING_FIELD", "[0].respond.content", {}),
]


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
        *case(
            "a review of a pause that never was",
            "calling",
            {"reviews": {UNKNOWN_ID: {}}},
            BROKEN,
            not_open,
            covers="resume.reviews",
        ),
        *case(
            "a review of a question",
            "asking",
            {"reviews": {"world.asking_pause": {"tool_calls": [{"approve": {}}]}}},
            INVALID,
            "INVALID_FIELD",
            named=["resume.reviews[{world.asking_pause}]"],
            text="a review is for a pause before a node",
        ),
        *case(
            "a review of a breakpoint without tool calls, by id",
            "stopped",
            {"reviews": {"world.stopped_pause": {"tool_calls": [{"approve": {}}]}}},
            INVALID,
            "REVIEW_MISMATCH",
            named=["resume.reviews[{world.stopped_pause}]"],
            text="there is nothing to decide on",
        ),
        *case(
            "a review where no tool calls wait",
            "stopped",
            {"review": {"tool_calls": [{"approve": {}}]}},
            BROKEN,
            not_open,
            covers="resume.review",
        ),
        *case(
            "review and reviews together",
            "calling",
            {"review": BOTH, "reviews": {"world.calling_pause": BOTH}},
            INVALID,
            "INVALID_FIELD",
            named=["resume.review"],
        ),
        *(
            bad_case
            for path, given in (
                ("resume.review", lambda review: {"review": review}),
                (
                    "resume.reviews[{world.calling_pause}]",
                    lambda review: {"reviews": {"world.calling_pause": review}},
                ),
            )
            for what, calls, reason, field, more in REVIEWS
            for bad_case in case(
                f"{path}: {what}",
                "calling",
                given({"tool_calls": calls}),
                INVALID,
                reason,
                named=[f"{path}.tool_calls{field}"],
                **more,
            )
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
