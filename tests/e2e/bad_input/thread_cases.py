"""Bad requests to Threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import (
    BAD_REQUEST_IDS,
    BAD_THREAD_IDS,
    BAD_UUIDS,
    BROKEN,
    INVALID,
    NOT_FOUND,
)
from tests.e2e.bad_input.world import UNKNOWN_ID, World

EXISTS = "ALREADY_EXISTS"

BAD_TTLS = ("-1s", "-0.000000001s", "3153600000.000000001s", "315576000000s")

#: What else each RPC needs that takes a thread.
NEEDS: dict[str, dict[str, Any]] = {
    "GetThread": {},
    "UpdateThread": {"metadata": {"json": "{}"}},
    "DeleteThread": {},
    "GetThreadState": {},
    "UpdateThreadState": {"values": {"json": '{"log": ["x"]}'}, "assistant_id": "linear"},
    "ListThreadHistory": {},
}


def _thread(rpc: str, name: str, **more: str) -> Callable[[World], dict[str, Any]]:
    """A request for a thread of the world; "world.name" stands for what the world has."""
    return lambda world: {
        "thread_id": getattr(world, name),
        **NEEDS.get(rpc, {}),
        **{
            key: getattr(world, text[6:]) if text.startswith("world.") else text
            for key, text in more.items()
        },
    }


OF_A_THREAD = [
    case
    for rpc, needs in NEEDS.items()
    for case in [
        Bad(rpc, "no thread_id", needs, INVALID, "MISSING_FIELD", ("thread_id",)),
        *(
            Bad(
                rpc,
                f"thread_id {bad[:5]!r}",
                {**needs, "thread_id": bad},
                INVALID,
                "INVALID_FIELD",
                ("thread_id",),
            )
            for bad in BAD_THREAD_IDS
        ),
        Bad(
            rpc,
            "a thread that is not there",
            {**needs, "thread_id": "nowhere"},
            NOT_FOUND,
            "THREAD_NOT_FOUND",
            text="there is no thread nowhere",
        ),
    ]
]

CREATE = [
    *(
        Bad(
            "CreateThread",
            f"thread_id {bad[:5]!r}",
            {"thread_id": bad},
            INVALID,
            "INVALID_FIELD",
            ("thread_id",),
        )
        for bad in BAD_THREAD_IDS
    ),
    Bad(
        "CreateThread",
        "a thread that is there",
        lambda world: {"thread_id": world.new},
        EXISTS,
        "THREAD_EXISTS",
        covers="thread_id",
    ),
    Bad(
        "CreateThread",
        "a thread that is there, to be refused",
        lambda world: {"thread_id": world.new, "if_exists": "IF_EXISTS_REJECT"},
        EXISTS,
        "THREAD_EXISTS",
    ),
    *(
        Bad(
            "CreateThread",
            f"ttl {ttl}",
            {"ttl": ttl},
            INVALID,
            "INVALID_FIELD",
            ("ttl",),
            text="must be 0 s (for ever) to 36500 days",
        )
        for ttl in BAD_TTLS
    ),
    *(
        Bad(
            "CreateThread",
            f"request_id {bad[:5]!r}",
            {"request_id": bad},
            INVALID,
            "INVALID_FIELD",
            ("request_id",),
        )
        for bad in BAD_REQUEST_IDS
    ),
]

UPDATE = [
    Bad(
        "UpdateThread",
        "neither metadata nor ttl",
        lambda world: {"thread_id": world.new},
        INVALID,
        "MISSING_FIELD",
        ("metadata",),
    ),
    *(
        Bad(
            "UpdateThread",
            f"ttl {ttl}",
            _thread("UpdateThread", "new", ttl=ttl),
            INVALID,
            "INVALID_FIELD",
            ("ttl",),
            text="must be 0 s (for ever) to 36500 days",
        )
        for ttl in BAD_TTLS
    ),
    *(
        Bad(
            "UpdateThread",
            f"request_id {bad[:5]!r}",
            _thread("UpdateThread", "new", request_id=bad),
            INVALID,
            "INVALID_FIELD",
            ("request_id",),
        )
        for bad in BAD_REQUEST_IDS
    ),
]

DELETE = [
    Bad(
        "DeleteThread",
        "a busy thread",
        lambda world: {"thread_id": world.busy},
        BROKEN,
        "THREAD_BUSY",
    )
]

STATE = [
    *(
        Bad(
            rpc,
            f"checkpoint_id {bad[:5]!r}",
            _thread(rpc, "done", checkpoint_id=bad),
            INVALID,
            "INVALID_FIELD",
            ("checkpoint_id",),
        )
        for rpc in ("GetThreadState", "UpdateThreadState")
        for bad in BAD_UUIDS
    ),
    *(
        Bad(rpc, what, request, NOT_FOUND, "CHECKPOINT_NOT_FOUND", covers="checkpoint_id")
        for rpc in ("GetThreadState", "UpdateThreadState")
        for what, request in {
            "a checkpoint that is not there": _thread(rpc, "done", checkpoint_id=UNKNOWN_ID),
            "a checkpoint of another thread": _thread(
                rpc, "done", checkpoint_id="world.stopped_checkpoint"
            ),
            "a checkpoint of a new thread": _thread(rpc, "new", checkpoint_id=UNKNOWN_ID),
        }.items()
    ),
]


def _edit(what: str, thread: str, code: str, reason: str, *named: str, **more: Any) -> Bad:
    """A bad edit of a thread's state."""
    expected = {name: more.pop(name) for name in ("covers", "text", "metadata") if name in more}
    fields = {**NEEDS["UpdateThreadState"], "assistant_id": "", **more}
    return Bad(
        "UpdateThreadState",
        what,
        lambda world: {
            "thread_id": getattr(world, thread),
            **{key: value for key, value in fields.items() if value is not None},
        },
        code,
        reason,
        named,
        **expected,
    )


EDIT = [
    _edit("no values", "done", INVALID, "MISSING_FIELD", "values", values=None),
    _edit("null", "done", INVALID, "MISSING_FIELD", "values", values={"json": "null"}),
    _edit("a number", "done", INVALID, "INVALID_UPDATE", "values", values={"json": "1"}),
    _edit("a list", "done", INVALID, "INVALID_UPDATE", "values", values={"json": "[1]"}),
    _edit(
        "no channel that is there",
        "done",
        INVALID,
        "INVALID_UPDATE",
        "values",
        values={"json": '{"lgo": 1}'},
    ),
    _edit(
        "a channel that is not there",
        "done",
        INVALID,
        "INVALID_UPDATE",
        "values",
        values={"json": '{"log": ["x"], "lgo": 1}'},
        text="lgo",
    ),
    _edit(
        "as a node that is not there",
        "done",
        INVALID,
        "UNKNOWN_NODE",
        "as_node",
        as_node="z",
        metadata={"nodes": "a, b, c"},
    ),
    _edit("as no clear node", "forked", INVALID, "AMBIGUOUS_NODE", "as_node"),
    *(
        _edit(
            f"expected_checkpoint_id {bad[:5]!r}",
            "done",
            INVALID,
            "INVALID_FIELD",
            "expected_checkpoint_id",
            expected_checkpoint_id=bad,
        )
        for bad in BAD_UUIDS
    ),
    _edit(
        "another checkpoint than expected",
        "done",
        BROKEN,
        "CHECKPOINT_MISMATCH",
        expected_checkpoint_id=UNKNOWN_ID,
    ),
    _edit("of a busy thread", "busy", BROKEN, "THREAD_BUSY"),
    _edit("of nobody's thread", "new", BROKEN, "ASSISTANT_REQUIRED", covers="assistant_id"),
    _edit(
        "an assistant that is not there",
        "new",
        NOT_FOUND,
        "ASSISTANT_NOT_FOUND",
        assistant_id="liner",
        text="There are: ",
    ),
    _edit("another assistant", "done", BROKEN, "ASSISTANT_MISMATCH", assistant_id="router"),
    *(
        _edit(
            f"request_id {bad[:5]!r}",
            "done",
            INVALID,
            "INVALID_FIELD",
            "request_id",
            request_id=bad,
        )
        for bad in BAD_REQUEST_IDS
    ),
]

LISTS = [
    Bad(
        "ListThreads",
        "a negative page",
        {"page_size": -1},
        INVALID,
        "INVALID_FIELD",
        ("page_size",),
    ),
    Bad(
        "ListThreads",
        "a page token of nothing",
        {"page_token": "x"},
        INVALID,
        "INVALID_PAGE_TOKEN",
        ("page_token",),
    ),
    Bad(
        "ListThreadHistory",
        "a negative page",
        lambda world: {"thread_id": world.done, "page_size": -1},
        INVALID,
        "INVALID_FIELD",
        ("page_size",),
    ),
    Bad(
        "ListThreadHistory",
        "a page token of nothing",
        lambda world: {"thread_id": world.done, "page_token": "x"},
        INVALID,
        "INVALID_PAGE_TOKEN",
        ("page_token",),
    ),
    *(
        Bad(
            rpc,
            "status UNSPECIFIED",
            {"filter": {"statuses": ["THREAD_STATUS_IDLE", "THREAD_STATUS_UNSPECIFIED"]}},
            INVALID,
            "INVALID_FIELD",
            ("filter.statuses[1]",),
        )
        for rpc in ("ListThreads", "CountThreads")
    ),
]

CASES = [*OF_A_THREAD, *CREATE, *UPDATE, *DELETE, *STATE, *EDIT, *LISTS]
