"""Bad requests to Runs, those apart that resume or steer."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.bad_input.case import Bad, Fields
from tests.e2e.bad_input.requests import (
    BAD_REQUEST_IDS,
    BAD_THREAD_IDS,
    BAD_UUIDS,
    BROKEN,
    INPUT,
    INVALID,
    NOT_FOUND,
    as_json,
    command_for,
    resume_of,
    start,
    with_input,
)
from tests.e2e.bad_input.world import UNKNOWN_ID

THREAD = [
    *(
        case
        for bad in BAD_THREAD_IDS
        for case in start(
            f"thread_id {bad[:5]!r}",
            with_input(thread_id=bad),
            INVALID,
            "INVALID_FIELD",
            "thread_id",
        )
    ),
    *start(
        "a thread that is not there",
        with_input(thread_id="nowhere"),
        NOT_FOUND,
        "THREAD_NOT_FOUND",
        covers="thread_id",
        text="there is no thread nowhere",
    ),
    *start("a resume of no thread", {"resume": {}}, INVALID, "MISSING_FIELD", "thread_id"),
    *start(
        "a resume of a thread that is not there",
        {"thread_id": "nowhere", "resume": {}},
        NOT_FOUND,
        "THREAD_NOT_FOUND",
    ),
    *start(
        "a command for no thread",
        {"assistant_id": "linear", "command": {"goto": [{"node": "b"}]}},
        INVALID,
        "MISSING_FIELD",
        "thread_id",
    ),
    *start(
        "a checkpoint of no thread",
        with_input(checkpoint_id=UNKNOWN_ID),
        INVALID,
        "MISSING_FIELD",
        "thread_id",
    ),
    *start(
        "input for a paused thread",
        lambda world: with_input(thread_id=world.stopped),
        BROKEN,
        "THREAD_INTERRUPTED",
        text="is paused before or in: b",
    ),
    *start(
        "input for a busy thread",
        lambda world: with_input(thread_id=world.busy, assistant_id="gated"),
        BROKEN,
        "THREAD_BUSY",
    ),
]

ASSISTANT = [
    *start(
        "no assistant",
        {"input": INPUT["input"]},
        INVALID,
        "MISSING_FIELD",
        "assistant_id",
        text="ask_twice",
    ),
    *start(
        "an assistant that is not there",
        with_input(assistant_id="liner"),
        NOT_FOUND,
        "ASSISTANT_NOT_FOUND",
        covers="assistant_id",
        text="there is no assistant 'liner'; did you mean 'linear'? There are: ",
    ),
    *start(
        "another assistant than the thread's",
        lambda world: with_input(thread_id=world.done, assistant_id="router"),
        BROKEN,
        "ASSISTANT_MISMATCH",
        assistant_id="linear",
    ),
    *start(
        "a resume with another assistant than the thread's",
        resume_of("stopped", {}, assistant_id="router"),
        BROKEN,
        "ASSISTANT_MISMATCH",
        assistant_id="linear",
    ),
]

UNSUPPORTED = start(
    "a breakpoint compiled in where no pause could be resumed",
    {**INPUT, "assistant_id": "stop_without_saver"},
    BROKEN,
    "UNSUPPORTED_BREAKPOINT",
    text="a breakpoint is compiled into the subgraph child/inner, which keeps no checkpoints",
    path="child/inner",
)

INPUTS = [
    *start("no start", {"assistant_id": "linear"}, INVALID, "MISSING_FIELD", "start"),
    *start("null", with_input(input=as_json("null")), INVALID, "INVALID_FIELD", "input"),
    *start("{}", with_input(input=as_json("{}")), INVALID, "INVALID_FIELD", "input"),
    *start(
        "null, as a value", with_input(input={"value": None}), INVALID, "INVALID_FIELD", "input"
    ),
    *start("{}, as a value", with_input(input={"value": {}}), INVALID, "INVALID_FIELD", "input"),
    *start(
        "null for an entrypoint",
        {"assistant_id": "echo", "input": as_json("null")},
        INVALID,
        "INVALID_FIELD",
        "input",
    ),
    *start(
        "a list for an object",
        with_input(input=as_json("[1]")),
        INVALID,
        "INVALID_FIELD",
        "input",
        text="is an object with the keys log, count, path, not an array",
    ),
    *start(
        "no key that the graph knows",
        with_input(input=as_json('{"lgo": ["in"]}')),
        INVALID,
        "INVALID_FIELD",
        "input",
        text="the graph has no input 'lgo'; it has: log, count, path",
    ),
]


BREAKPOINTS = [
    case
    for name in ("interrupt_before", "interrupt_after")
    for case in [
        *start(
            f"{name} of a node that is not there",
            with_input(**{name: ["a", "B"]}),
            INVALID,
            "UNKNOWN_NODE",
            f"{name}[1]",
            nodes="a, b, c",
        ),
        *start(
            f"{name} of the entry",
            with_input(**{name: ["__start__"]}),
            INVALID,
            "UNKNOWN_NODE",
            f"{name}[0]",
        ),
        *start(
            f"{name} of nothing",
            with_input(**{name: ["a", ""]}),
            INVALID,
            "INVALID_FIELD",
            f"{name}[1]",
        ),
        *start(
            f"{name} of too many",
            with_input(**{name: ["a"] * 1001}),
            INVALID,
            "INVALID_FIELD",
            name,
        ),
        *start(
            f"{name} of a node that is not there, in a resume",
            resume_of("stopped", {}, **{name: ["z"]}),
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
        "config.configurable": {"config": {"configurable": as_json(f'{{"a": 1, "{key}": 1}}')}},
        "context": {"context": {"value": {key: 1}}},
        "metadata": {"metadata": as_json(f'{{"{key}": null}}')},
    }


def _at(thread: str, checkpoint_id: str) -> Fields:
    """New input at a checkpoint of a thread of the world."""
    return lambda world: with_input(thread_id=getattr(world, thread), checkpoint_id=checkpoint_id)


SETTINGS = [
    *start(
        "stream mode UNSPECIFIED",
        with_input(stream_modes=["STREAM_MODE_VALUES", "STREAM_MODE_UNSPECIFIED"]),
        INVALID,
        "INVALID_FIELD",
        "stream_modes[1]",
    ),
    *(
        case
        for limit in (-1, -(2**31))
        for case in start(
            f"recursion_limit {limit}",
            with_input(config={"recursion_limit": limit}),
            INVALID,
            "INVALID_FIELD",
            "config.recursion_limit",
            text="must be 1 to 1000, or 0 for the server's default",
        )
    ),
    *(
        case
        for limit in (1001, 2**31 - 1)
        for case in start(
            f"recursion_limit {limit}",
            with_input(config={"recursion_limit": limit}),
            "OUT_OF_RANGE",
            "BEYOND_LIMIT",
            "config.recursion_limit",
            text=f"is {limit}; this server allows 1 to 1000 (max_recursion_limit), or 0 for its",
        )
    ),
    *start(
        "a long tag",
        with_input(config={"tags": ["x", "x" * 257]}),
        INVALID,
        "INVALID_FIELD",
        "config.tags[1]",
        text="has 257 characters; at most 256",
    ),
    *start(
        "metadata of many keys",
        with_input(metadata={"json": json.dumps({f"k{i}": i for i in range(129)})}),
        INVALID,
        "INVALID_PAYLOAD",
        "metadata.json",
        text="has 129 keys; metadata may have 128 (max_metadata_keys)",
    ),
    *start(
        "large metadata",
        with_input(metadata={"json": json.dumps({"k": "x" * 65_536})}),
        INVALID,
        "INVALID_PAYLOAD",
        "metadata.json",
        text="has 65544 bytes of JSON text; metadata may have 65536 (max_metadata_bytes)",
    ),
    *start(
        "too many tags",
        with_input(config={"tags": ["x"] * 101}),
        INVALID,
        "INVALID_FIELD",
        "config.tags",
    ),
    *(
        case
        for key in RESERVED
        for field, fields in _with_key(key).items()
        for case in start(
            f"{key} in {field}", with_input(**fields), INVALID, "RESERVED_KEY", field, key=key
        )
    ),
    *start(
        "context that does not fit its schema",
        {**INPUT, "assistant_id": "contextual", "context": as_json('{"nam": "Ada"}')},
        INVALID,
        "INVALID_FIELD",
        "context",
        text="does not fit the graph's context schema",
    ),
    *(
        case
        for bad in BAD_UUIDS
        for case in start(
            f"checkpoint_id {bad[:5]!r}",
            _at("done", bad),
            INVALID,
            "INVALID_FIELD",
            "checkpoint_id",
        )
    ),
    *start(
        "a checkpoint that is not there",
        _at("done", UNKNOWN_ID),
        NOT_FOUND,
        "CHECKPOINT_NOT_FOUND",
    ),
    *start(
        "a checkpoint of another thread",
        lambda world: with_input(thread_id=world.done, checkpoint_id=world.stopped_checkpoint),
        NOT_FOUND,
        "CHECKPOINT_NOT_FOUND",
    ),
    *start(
        "a checkpoint of a thread that is not there",
        with_input(thread_id="nowhere", checkpoint_id=UNKNOWN_ID),
        NOT_FOUND,
        "THREAD_NOT_FOUND",
    ),
    *start(
        "a resume that waits its turn",
        resume_of("stopped", {}, multitask_strategy="MULTITASK_STRATEGY_ENQUEUE"),
        INVALID,
        "INVALID_FIELD",
        "multitask_strategy",
    ),
    *(
        case
        for strategy in ("INTERRUPT", "ROLLBACK")
        for case in start(
            f"a resume with {strategy}",
            resume_of("stopped", {}, multitask_strategy=f"MULTITASK_STRATEGY_{strategy}"),
            INVALID,
            "INVALID_FIELD",
            "multitask_strategy",
        )
    ),
    *start(
        "a thread that is to go, of a run that is not stateless",
        lambda world: with_input(thread_id=world.done, on_completion="ON_COMPLETION_DELETE"),
        INVALID,
        "INVALID_FIELD",
        "on_completion",
        text="use DeleteThread",
    ),
    *start(
        "a resume that waits its turn, in a command",
        command_for("stopped", {"resume": {}}, multitask_strategy="MULTITASK_STRATEGY_ENQUEUE"),
        INVALID,
        "INVALID_FIELD",
        "multitask_strategy",
    ),
    *(
        case
        for delay in ("-1s", "-0.000000001s", "86400.000000001s", "86401s")
        for case in start(
            f"start_delay {delay}",
            with_input(start_delay=delay),
            INVALID,
            "INVALID_FIELD",
            "start_delay",
            text="must be 0 s to 24 h",
        )
    ),
    *start(
        "a resume with a delay",
        resume_of("stopped", {}, start_delay="1s"),
        INVALID,
        "INVALID_FIELD",
        "start_delay",
    ),
    *(
        case
        for bad in BAD_REQUEST_IDS
        for case in start(
            f"request_id {bad[:5]!r}",
            with_input(request_id=bad),
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
        "WaitRun",
        "an on_disconnect that there is not",
        lambda world: {"run_id": world.done_run, "on_disconnect": 9},
        INVALID,
        "INVALID_FIELD",
        ("on_disconnect",),
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
        "CancelRun",
        "a rollback of a run that is paused",
        lambda world: {"run_id": world.stopped_run, "action": "CANCEL_ACTION_ROLLBACK"},
        BROKEN,
        "RUN_ENDED",
        text="only an active run is rolled back",
        metadata={"status": "INTERRUPTED"},
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

ACTIVE = {"statuses": ["RUN_STATUS_PENDING", "RUN_STATUS_RUNNING"]}

CANCELS = [
    Bad("CancelRuns", "nothing that says which", {}, INVALID, "MISSING_FIELD", ("statuses",)),
    Bad(
        "CancelRuns",
        "a thread without a status",
        lambda world: {"thread_id": world.busy},
        INVALID,
        "MISSING_FIELD",
        ("statuses",),
    ),
    *(
        Bad(
            "CancelRuns",
            f"{status}",
            {"statuses": ["RUN_STATUS_PENDING", f"RUN_STATUS_{status}"]},
            INVALID,
            "INVALID_FIELD",
            ("statuses[1]",),
        )
        for status in ("UNSPECIFIED", "SUCCEEDED", "INTERRUPTED")
    ),
    Bad(
        "CancelRuns",
        "runs, and a status",
        lambda world: {"run_ids": [world.busy_run], **ACTIVE},
        INVALID,
        "INVALID_FIELD",
        ("statuses",),
    ),
    Bad(
        "CancelRuns",
        "runs, and a thread",
        lambda world: {"run_ids": [world.busy_run], "thread_id": world.busy},
        INVALID,
        "INVALID_FIELD",
        ("thread_id",),
    ),
    Bad(
        "CancelRuns",
        "too many",
        {"run_ids": [UNKNOWN_ID] * 1001},
        INVALID,
        "INVALID_FIELD",
        ("run_ids",),
        text="has 1001 items; at most 1000 are allowed",
    ),
    Bad(
        "CancelRuns",
        "a run that is not there",
        lambda world: {"run_ids": [world.busy_run, UNKNOWN_ID]},
        NOT_FOUND,
        "RUN_NOT_FOUND",
    ),
    *(
        Bad(
            "CancelRuns",
            f"run_id {bad[:5]!r}",
            lambda world, bad=bad: {"run_ids": [world.busy_run, bad]},  # type: ignore[misc]
            INVALID,
            "INVALID_FIELD",
            ("run_ids[1]",),
        )
        for bad in BAD_UUIDS
    ),
    *(
        Bad(
            "CancelRuns",
            f"thread_id {bad[:5]!r}",
            {"thread_id": bad, **ACTIVE},
            INVALID,
            "INVALID_FIELD",
            ("thread_id",),
        )
        for bad in BAD_THREAD_IDS
    ),
    Bad(
        "CancelRuns",
        "a thread that is not there",
        {"thread_id": "nowhere", **ACTIVE},
        NOT_FOUND,
        "THREAD_NOT_FOUND",
    ),
]

BATCHES = [
    Bad("CreateRuns", "no request", {}, INVALID, "MISSING_FIELD", ("requests",)),
    Bad(
        "CreateRuns",
        "too many",
        {"requests": [INPUT] * 101},
        INVALID,
        "INVALID_FIELD",
        ("requests",),
        text="has 101 items; at most 100 are allowed",
    ),
    Bad(
        "CreateRuns",
        "a request_id for one of them",
        {"requests": [INPUT, with_input(request_id="mine")]},
        INVALID,
        "INVALID_FIELD",
        ("requests[1].request_id",),
    ),
    *(
        Bad(
            "CreateRuns",
            f"request_id {bad[:5]!r}",
            {"requests": [INPUT], "request_id": bad},
            INVALID,
            "INVALID_FIELD",
            ("request_id",),
        )
        for bad in BAD_REQUEST_IDS
    ),
]

WEBHOOKS = [
    case
    for what, url, text in (
        ("no URL", "example.com/hook", "must be a URL such as https://example.com/hook"),
        ("over plain http", "http://example.com/", "must be https"),
        ("with a password", "https://me:hush@example.com/", "must have no user and no password"),
        ("to this machine", "https://127.0.0.1/", "its host's is loopback"),
        ("to the metadata of a cloud", "https://169.254.169.254/", "its host's is link-local"),
        ("to an address in disguise", "https://[::ffff:10.0.0.1]/", "its host's is private"),
        ("to a number", "https://2130706433/", "its host is neither a name nor an address"),
        ("with a line break", "https://example.com/\r\nX: y", "must be printable ASCII"),
        ("too long", f"https://example.com/{'a' * 2048}", "must have at most 2048 characters"),
    )
    for case in start(
        f"a webhook {what}", with_input(webhook=url), INVALID, "INVALID_FIELD", "webhook", text=text
    )
]

CASES = [
    *THREAD,
    *ASSISTANT,
    *UNSUPPORTED,
    *INPUTS,
    *BREAKPOINTS,
    *SETTINGS,
    *OF_A_RUN,
    *LISTS,
    *CANCELS,
    *BATCHES,
    *WEBHOOKS,
]
