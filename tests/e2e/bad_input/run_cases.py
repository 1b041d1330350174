"""Bad requests to Runs."""

from __future__ import annotations

from typing import Any

from tests.e2e.bad_input.case import Bad, Fields
from tests.e2e.bad_input.world import UNKNOWN_ID, World

INPUT = {"assistant_id": "linear", "input": {"json": '{"log": ["in"]}'}}
INVALID, NOT_FOUND = "INVALID_ARGUMENT", "NOT_FOUND"
BROKEN = "FAILED_PRECONDITION"

BAD_THREAD_IDS = ["-x", ".", "a b", "a/b", "a\n", "ä", "x" * 129]
BAD_UUIDS = ["x", UNKNOWN_ID[:-1], f"{{{UNKNOWN_ID}}}", UNKNOWN_ID.replace("-", ""), "٠" * 32]
BAD_REQUEST_IDS = ["x" * 129, "a\n", "ä", "a\x00"]


def _start(
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


def _input(**more: Any) -> dict[str, Any]:
    return {**INPUT, **more}


def _resume(thread: str, resume: dict[str, Any], **more: Any) -> Fields:
    """A resume of a thread of the world; "{name}" in it stands for what the world has."""
    return lambda world: {
        "thread_id": getattr(world, thread),
        "resume": _filled(resume, world),
        **more,
    }


def _command(thread: str, command: dict[str, Any], **more: Any) -> Fields:
    return lambda world: {
        "thread_id": getattr(world, thread),
        "command": _filled(command, world),
        **more,
    }


def _filled(value: Any, world: World) -> Any:
    if isinstance(value, str) and value.startswith("world."):
        return getattr(world, value.removeprefix("world."))
    if isinstance(value, dict):
        return {_filled(k, world): _filled(v, world) for k, v in value.items()}
    return [_filled(v, world) for v in value] if isinstance(value, list) else value


def _json(text: str) -> dict[str, str]:
    return {"json": text}


THREAD = [
    *(
        case
        for bad in BAD_THREAD_IDS
        for case in _start(
            f"thread_id {bad[:5]!r}", _input(thread_id=bad), INVALID, "INVALID_FIELD", "thread_id"
        )
    ),
    *_start(
        "a thread that is not there",
        _input(thread_id="nowhere"),
        NOT_FOUND,
        "THREAD_NOT_FOUND",
        covers="thread_id",
        text="there is no thread nowhere",
    ),
    *_start("a resume of no thread", {"resume": {}}, INVALID, "MISSING_FIELD", "thread_id"),
    *_start(
        "a resume of a thread that is not there",
        {"thread_id": "nowhere", "resume": {}},
        NOT_FOUND,
        "THREAD_NOT_FOUND",
    ),
    *_start(
        "a command for no thread",
        {"assistant_id": "linear", "command": {"goto": [{"node": "b"}]}},
        INVALID,
        "MISSING_FIELD",
        "thread_id",
    ),
    *_start(
        "a checkpoint of no thread",
        _input(checkpoint_id=UNKNOWN_ID),
        INVALID,
        "MISSING_FIELD",
        "thread_id",
    ),
    *_start(
        "input for a paused thread",
        lambda world: _input(thread_id=world.stopped),
        BROKEN,
        "THREAD_INTERRUPTED",
        text="is paused before or in: b",
    ),
    *_start(
        "input for a busy thread",
        lambda world: _input(thread_id=world.busy, assistant_id="gated"),
        BROKEN,
        "THREAD_BUSY",
    ),
]

ASSISTANT = [
    *_start(
        "no assistant",
        {"input": INPUT["input"]},
        INVALID,
        "MISSING_FIELD",
        "assistant_id",
        text="ask_twice",
    ),
    *_start(
        "an assistant that is not there",
        _input(assistant_id="liner"),
        NOT_FOUND,
        "ASSISTANT_NOT_FOUND",
        covers="assistant_id",
        text="there is no assistant 'liner'; there are: ",
    ),
    *_start(
        "another assistant than the thread's",
        lambda world: _input(thread_id=world.done, assistant_id="router"),
        BROKEN,
        "ASSISTANT_MISMATCH",
        assistant_id="linear",
    ),
    *_start(
        "a resume with another assistant than the thread's",
        _resume("stopped", {}, assistant_id="router"),
        BROKEN,
        "ASSISTANT_MISMATCH",
        assistant_id="linear",
    ),
]

INPUTS = [
    *_start("no start", {"assistant_id": "linear"}, INVALID, "MISSING_FIELD", "start"),
    *_start("null", _input(input=_json("null")), INVALID, "INVALID_FIELD", "input"),
    *_start("{}", _input(input=_json("{}")), INVALID, "INVALID_FIELD", "input"),
    *_start("null, as a value", _input(input={"value": None}), INVALID, "INVALID_FIELD", "input"),
    *_start("{}, as a value", _input(input={"value": {}}), INVALID, "INVALID_FIELD", "input"),
    *_start(
        "null for an entrypoint",
        {"assistant_id": "echo", "input": _json("null")},
        INVALID,
        "INVALID_FIELD",
        "input",
    ),
    *_start(
        "a list for an object",
        _input(input=_json("[1]")),
        INVALID,
        "INVALID_FIELD",
        "input",
        text="is an object with the keys log, count, path, not an array",
    ),
    *_start(
        "no key that the graph knows",
        _input(input=_json('{"lgo": ["in"]}')),
        INVALID,
        "INVALID_FIELD",
        "input",
        text="the graph has no input 'lgo'; it has: log, count, path",
    ),
]


def _resumes(prefix: str) -> list[Bad]:
    """What can be wrong about a resume, by itself or in a command."""

    def case(
        what: str, thread: str, resume: dict[str, Any], code: str, reason: str, **more: Any
    ) -> list[Bad]:
        inside = {"resume": resume} if prefix else resume
        fields = _command(thread, inside) if prefix else _resume(thread, inside)
        named = tuple(f"{prefix}{name}" for name in more.pop("named", ()))
        covers = f"{prefix}{more.pop('covers')}" if "covers" in more else ""
        return _start(f"{prefix}{what}", fields, code, reason, *named, covers=covers, **more)

    nothing, not_open = "NOTHING_TO_RESUME", "PAUSE_NOT_OPEN"
    yes = _json('"yes"')
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
            "an answer that would release a breakpoint",
            "mixed",
            {"answers": {"world.mixed_question": yes}},
            BROKEN,
            "PAUSES_NOT_COVERED",
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
            {"answer": _json('{"amount": 0}')},
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
        *case(
            "another checkpoint than expected",
            "stopped",
            {"expected_checkpoint_id": UNKNOWN_ID},
            BROKEN,
            "CHECKPOINT_MISMATCH",
        ),
    ]


COMMANDS = [
    *_start("an empty command", _command("done", {}), INVALID, "MISSING_FIELD", "command"),
    *_start(
        "a command for a paused thread",
        _command("stopped", {"goto": [{"node": "c"}]}),
        BROKEN,
        "THREAD_INTERRUPTED",
    ),
    *_start(
        "a command for a new thread",
        _command("new", {"goto": [{"node": "c"}]}),
        BROKEN,
        "NOTHING_TO_RESUME",
    ),
    *_start(
        "an update with null",
        _command("done", {"update": _json("null")}),
        INVALID,
        "INVALID_FIELD",
        "command.update",
    ),
    *_start(
        "an update with {}",
        _command("done", {"update": _json("{}")}),
        INVALID,
        "INVALID_FIELD",
        "command.update",
    ),
    *_start(
        "an update with a list",
        _command("done", {"update": _json("[1]")}),
        INVALID,
        "INVALID_FIELD",
        "command.update",
    ),
    *_start(
        "an update of a channel that is not there",
        _command("done", {"update": _json('{"log": ["x"], "lgo": 1}')}),
        INVALID,
        "INVALID_FIELD",
        "command.update",
        text="the graph has no channel 'lgo'; it has: log, count, path",
    ),
    *_start(
        "a goto to no node",
        _command("done", {"goto": [{"node": "b"}, {}]}),
        INVALID,
        "MISSING_FIELD",
        "command.goto[1].node",
    ),
    *_start(
        "a goto to a node that is not there",
        _command("done", {"goto": [{"node": "b"}, {"node": "B"}]}),
        INVALID,
        "UNKNOWN_NODE",
        "command.goto[1].node",
        nodes="a, b, c",
    ),
    *_start(
        "a goto past a breakpoint",
        _command("done", {"goto": [{"node": "c"}]}, interrupt_before=["c"]),
        BROKEN,
        "GOTO_PAST_BREAKPOINT",
        covers="command.goto",
        node="c",
    ),
    *_start(
        "a goto with null",
        _command("done", {"goto": [{"node": "c", "input": _json("null")}]}),
        INVALID,
        "INVALID_FIELD",
        "command.goto[0].input",
    ),
]

BREAKPOINTS = [
    case
    for name in ("interrupt_before", "interrupt_after")
    for case in [
        *_start(
            f"{name} of a node that is not there",
            _input(**{name: ["a", "B"]}),
            INVALID,
            "UNKNOWN_NODE",
            f"{name}[1]",
            nodes="a, b, c",
        ),
        *_start(
            f"{name} of the entry",
            _input(**{name: ["__start__"]}),
            INVALID,
            "UNKNOWN_NODE",
            f"{name}[0]",
        ),
        *_start(
            f"{name} of nothing",
            _input(**{name: ["a", ""]}),
            INVALID,
            "INVALID_FIELD",
            f"{name}[1]",
        ),
        *_start(
            f"{name} of too many", _input(**{name: ["a"] * 1001}), INVALID, "INVALID_FIELD", name
        ),
        *_start(
            f"{name} of a node that is not there, in a resume",
            _resume("stopped", {}, **{name: ["z"]}),
            INVALID,
            "UNKNOWN_NODE",
            f"{name}[0]",
        ),
    ]
]

RESERVED = ["__pregel_resuming", "thread_id", "run_id", "checkpoint_ns", "langgraph_x", "__"]


def _with_key(key: str) -> dict[str, dict[str, Any]]:
    """Requests with a key in each object in which some are reserved, by the object's path."""
    return {
        "config.configurable": {"config": {"configurable": _json(f'{{"a": 1, "{key}": 1}}')}},
        "context": {"context": {"value": {key: 1}}},
        "metadata": {"metadata": _json(f'{{"{key}": null}}')},
    }


def _at(thread: str, checkpoint_id: str) -> Fields:
    """New input at a checkpoint of a thread of the world."""
    return lambda world: _input(thread_id=getattr(world, thread), checkpoint_id=checkpoint_id)


SETTINGS = [
    *_start(
        "stream mode UNSPECIFIED",
        _input(stream_modes=["STREAM_MODE_VALUES", "STREAM_MODE_UNSPECIFIED"]),
        INVALID,
        "INVALID_FIELD",
        "stream_modes[1]",
    ),
    *(
        case
        for limit in (-1, 1001, 2**31 - 1)
        for case in _start(
            f"recursion_limit {limit}",
            _input(config={"recursion_limit": limit}),
            INVALID,
            "INVALID_FIELD",
            "config.recursion_limit",
            text="must be 1 to 1000, or 0 for the server's default",
        )
    ),
    *_start(
        "too many tags",
        _input(config={"tags": ["x"] * 101}),
        INVALID,
        "INVALID_FIELD",
        "config.tags",
    ),
    *(
        case
        for key in RESERVED
        for field, fields in _with_key(key).items()
        for case in _start(
            f"{key} in {field}", _input(**fields), INVALID, "RESERVED_KEY", field, key=key
        )
    ),
    *_start(
        "context that does not fit its schema",
        {**INPUT, "assistant_id": "contextual", "context": _json('{"nam": "Ada"}')},
        INVALID,
        "INVALID_FIELD",
        "context",
        text="does not fit the graph's context schema",
    ),
    *(
        case
        for bad in BAD_UUIDS
        for case in _start(
            f"checkpoint_id {bad[:5]!r}",
            _at("done", bad),
            INVALID,
            "INVALID_FIELD",
            "checkpoint_id",
        )
    ),
    *_start(
        "a checkpoint that is not there",
        _at("done", UNKNOWN_ID),
        NOT_FOUND,
        "CHECKPOINT_NOT_FOUND",
    ),
    *_start(
        "a checkpoint of another thread",
        lambda world: _input(thread_id=world.done, checkpoint_id=world.stopped_checkpoint),
        NOT_FOUND,
        "CHECKPOINT_NOT_FOUND",
    ),
    *_start(
        "a checkpoint of a thread that is not there",
        _input(thread_id="nowhere", checkpoint_id=UNKNOWN_ID),
        NOT_FOUND,
        "THREAD_NOT_FOUND",
    ),
    *_start(
        "a resume that waits its turn",
        _resume("stopped", {}, multitask_strategy="MULTITASK_STRATEGY_ENQUEUE"),
        INVALID,
        "INVALID_FIELD",
        "multitask_strategy",
    ),
    *_start(
        "a resume that waits its turn, in a command",
        _command("stopped", {"resume": {}}, multitask_strategy="MULTITASK_STRATEGY_ENQUEUE"),
        INVALID,
        "INVALID_FIELD",
        "multitask_strategy",
    ),
    *(
        case
        for delay in ("-1s", "-0.000000001s", "86400.000000001s", "86401s")
        for case in _start(
            f"start_delay {delay}",
            _input(start_delay=delay),
            INVALID,
            "INVALID_FIELD",
            "start_delay",
            text="must be 0 s to 24 h",
        )
    ),
    *_start(
        "a resume with a delay",
        _resume("stopped", {}, start_delay="1s"),
        INVALID,
        "INVALID_FIELD",
        "start_delay",
    ),
    *(
        case
        for bad in BAD_REQUEST_IDS
        for case in _start(
            f"request_id {bad[:5]!r}",
            _input(request_id=bad),
            INVALID,
            "INVALID_FIELD",
            "request_id",
        )
    ),
]


def _of_a_run(rpc: str) -> list[Bad]:
    """What can be wrong about a run_id."""
    return [
        Bad(rpc, "no run_id", {}, INVALID, "MISSING_FIELD", ("run_id",)),
        *(
            Bad(rpc, f"run_id {bad[:5]!r}", {"run_id": bad}, INVALID, "INVALID_FIELD", ("run_id",))
            for bad in BAD_UUIDS
        ),
        Bad(
            rpc,
            "a run that is not there",
            {"run_id": UNKNOWN_ID},
            NOT_FOUND,
            "RUN_NOT_FOUND",
            text=f"there is no run {UNKNOWN_ID}",
        ),
    ]


OF_A_RUN = [
    *(
        case
        for rpc in ("WaitRun", "JoinRun", "GetRun", "CancelRun", "DeleteRun")
        for case in _of_a_run(rpc)
    ),
    Bad(
        "JoinRun",
        "before the first event",
        lambda world: {"run_id": world.done_run, "after_sequence": -1},
        INVALID,
        "INVALID_FIELD",
        ("after_sequence",),
    ),
    Bad(
        "JoinRun",
        "after the last event",
        lambda world: {"run_id": world.done_run, "after_sequence": 5},
        "OUT_OF_RANGE",
        "SEQUENCE_OUT_OF_RANGE",
        ("after_sequence",),
        metadata={"last_sequence": "4"},
    ),
    Bad(
        "CancelRun",
        "a run that has ended",
        lambda world: {"run_id": world.done_run},
        BROKEN,
        "RUN_ENDED",
        metadata={"status": "SUCCEEDED"},
    ),
    Bad(
        "DeleteRun",
        "a run that is under way",
        lambda world: {"run_id": world.busy_run},
        BROKEN,
        "RUN_ACTIVE",
        metadata={"status": "RUNNING"},
    ),
]

LISTS = [
    Bad("ListRuns", "no thread", {}, INVALID, "MISSING_FIELD", ("thread_id",)),
    *(
        Bad(
            "ListRuns",
            f"thread_id {bad[:5]!r}",
            {"thread_id": bad},
            INVALID,
            "INVALID_FIELD",
            ("thread_id",),
        )
        for bad in BAD_THREAD_IDS
    ),
    Bad(
        "ListRuns",
        "a thread that is not there",
        {"thread_id": "nowhere"},
        NOT_FOUND,
        "THREAD_NOT_FOUND",
    ),
    Bad(
        "ListRuns",
        "a negative page",
        lambda world: {"thread_id": world.done, "page_size": -1},
        INVALID,
        "INVALID_FIELD",
        ("page_size",),
    ),
    Bad(
        "ListRuns",
        "a page token of nothing",
        lambda world: {"thread_id": world.done, "page_token": "x"},
        INVALID,
        "INVALID_PAGE_TOKEN",
        ("page_token",),
    ),
]

CASES = [
    *THREAD,
    *ASSISTANT,
    *INPUTS,
    *_resumes(""),
    *_resumes("command."),
    *COMMANDS,
    *BREAKPOINTS,
    *SETTINGS,
    *OF_A_RUN,
    *LISTS,
]
