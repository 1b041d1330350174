"""Bad requests to Threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.e2e.bad_input.breakpoint_cases import bad_breakpoints
from tests.e2e.bad_input.case import Bad, Fields
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
    "CopyThread": {},
    "GetThreadStorage": {},
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


def _with_state(*supersteps: list[tuple[str, str]], **more: Any) -> dict[str, Any]:
    """A thread with a state: in each step nodes, and what they have returned as JSON text."""
    return {
        "assistant_id": "linear",
        "supersteps": [
            {"updates": [{"as_node": node, "values": {"json": text}} for node, text in step]}
            for step in supersteps
        ],
        **more,
    }


_INPUT = ("__input__", '{"log": ["in"]}')

_COMMANDS: list[tuple[str, dict[str, Any], str, str, str]] = [
    (
        "values and a command",
        {"values": {"json": "{}"}, "command": {"goto": [{"node": "b"}]}},
        "INVALID_FIELD",
        "",
        "give either `values` or `command`, not both",
    ),
    ("an empty command", {"command": {}}, "MISSING_FIELD", "", "`update` or `goto`"),
    (
        "a command that updates nothing",
        {"command": {"update": {"json": "null"}}},
        "INVALID_FIELD",
        ".update",
        "null and {} update nothing",
    ),
    (
        "a command that goes nowhere",
        {"command": {"goto": [{"node": ""}]}},
        "MISSING_FIELD",
        ".goto[0].node",
        "required",
    ),
    (
        "a command that sends null",
        {"command": {"goto": [{"node": "b", "input": {"json": "null"}}]}},
        "INVALID_FIELD",
        ".goto[0].input",
        "null is no input",
    ),
]

BEGINNINGS = [
    Bad(
        "CreateThread",
        what,
        request,
        code,
        reason,
        (f"supersteps{field}",) if field else (),
        covers=covers,
        text=text,
    )
    for what, request, code, reason, field, covers, text in [
        (
            "an assistant that is not there",
            {"assistant_id": "liner"},
            NOT_FOUND,
            "ASSISTANT_NOT_FOUND",
            "",
            "assistant_id",
            "did you mean 'linear'?",
        ),
        (
            "a step without updates",
            _with_state([_INPUT], []),
            INVALID,
            "MISSING_FIELD",
            "[1].updates",
            "",
            "",
        ),
        (
            "an update of nobody",
            _with_state([_INPUT], [("", "{}")]),
            INVALID,
            "MISSING_FIELD",
            "[1].updates[0].as_node",
            "",
            "",
        ),
        (
            "new input without values",
            {"assistant_id": "linear", "supersteps": [{"updates": [{"as_node": "__input__"}]}]},
            INVALID,
            "MISSING_FIELD",
            "[0].updates[0].values",
            "",
            "unless as_node names a node, which then writes nothing",
        ),
        (
            "the step after input without values",
            {"assistant_id": "linear", "supersteps": [{"updates": [{"as_node": "__start__"}]}]},
            INVALID,
            "MISSING_FIELD",
            "[0].updates[0].values",
            "",
            "unless as_node names a node, which then writes nothing",
        ),
        *(
            (
                what,
                {
                    "assistant_id": "linear",
                    "supersteps": [{"updates": [{"as_node": "a", **given}]}],
                },
                INVALID,
                reason,
                f"[0].updates[0].command{field}",
                "supersteps.updates.command.goto" if "goto" in field else "",
                text,
            )
            for what, given, reason, field, text in _COMMANDS
        ),
        (
            "new input of null",
            _with_state([("__input__", "null")]),
            INVALID,
            "MISSING_FIELD",
            "[0].updates[0].values",
            "",
            "unless as_node names a node, which then writes nothing",
        ),
        (
            "null of nobody",
            _with_state([_INPUT], [("", "null")]),
            INVALID,
            "MISSING_FIELD",
            "[1].updates[0].as_node",
            "",
            "",
        ),
        (
            "a node that is not there",
            _with_state([_INPUT], [("a", "{}"), ("z", "{}")]),
            INVALID,
            "UNKNOWN_NODE",
            "[1].updates[1].as_node",
            "",
            "it has: a, b, c",
        ),
        (
            "a channel that is not there",
            _with_state([_INPUT], [("a", '{"lgo": 1}')]),
            INVALID,
            "INVALID_UPDATE",
            "[1].updates[0].values",
            "",
            "lgo",
        ),
    ]
] + [
    Bad(
        "CreateThread",
        "too many steps",
        _with_state(*[[("a", "{}")]] * 1001),
        INVALID,
        "INVALID_FIELD",
        ("supersteps",),
        text="has 1001 items; at most 1000 are allowed",
    ),
    *(
        Bad(
            "CreateThread",
            f"{what} of nobody",
            request,
            INVALID,
            "MISSING_FIELD",
            ("assistant_id",),
        )
        for what, request in {
            "a state": _with_state([_INPUT], assistant_id=""),
            "breakpoints": {"breakpoints": [{"node": "a"}]},
        }.items()
    ),
    *bad_breakpoints(
        "CreateThread", {"assistant_id": "linear"}, {"assistant_id": "no_saver_child"}
    ),
    *bad_breakpoints("UpdateThread", {"thread_id": "world.done"}, None, inside=True),
]

COPY = [
    *(
        Bad(
            "CopyThread",
            f"new_thread_id {bad[:5]!r}",
            _thread("CopyThread", "done", new_thread_id=bad),
            INVALID,
            "INVALID_FIELD",
            ("new_thread_id",),
        )
        for bad in BAD_THREAD_IDS
    ),
    Bad(
        "CopyThread",
        "an id that is taken",
        _thread("CopyThread", "done", new_thread_id="world.new"),
        EXISTS,
        "THREAD_EXISTS",
        covers="new_thread_id",
    ),
    Bad(
        "CopyThread",
        "a busy thread",
        lambda world: {"thread_id": world.busy},
        BROKEN,
        "THREAD_BUSY",
    ),
    *(
        Bad(
            "CopyThread",
            f"request_id {bad[:5]!r}",
            _thread("CopyThread", "done", request_id=bad),
            INVALID,
            "INVALID_FIELD",
            ("request_id",),
        )
        for bad in BAD_REQUEST_IDS
    ),
]

_PRUNE: list[tuple[str, dict[str, Any], str, str, str]] = [
    (
        "no threads",
        {"strategy": "PRUNE_STRATEGY_DELETE"},
        "MISSING_FIELD",
        "thread_ids",
        "at least one",
    ),
    (
        "no strategy",
        {"thread_ids": ["nobody"]},
        "MISSING_FIELD",
        "strategy",
        "PRUNE_STRATEGY_KEEP_LATEST",
    ),
    (
        "an empty id",
        {"thread_ids": ["nobody", ""], "strategy": "PRUNE_STRATEGY_DELETE"},
        "INVALID_FIELD",
        "thread_ids[1]",
        "",
    ),
    (
        "an id that is none",
        {"thread_ids": ["a b"], "strategy": "PRUNE_STRATEGY_DELETE"},
        "INVALID_FIELD",
        "thread_ids[0]",
        "",
    ),
    (
        "too many threads",
        {"thread_ids": ["nobody"] * 1001, "strategy": "PRUNE_STRATEGY_DELETE"},
        "INVALID_FIELD",
        "thread_ids",
        "has 1001 items; at most 1000 are allowed",
    ),
]

PRUNE = [
    Bad("PruneThreads", what, request, INVALID, reason, (field,), text=text)
    for what, request, reason, field, text in _PRUNE
]

NAMESPACES = [
    *(
        Bad(rpc, f"namespace {what}", request, INVALID, "INVALID_FIELD", (field,))
        for rpc in ("GetThreadState", "UpdateThreadState", "ListThreadHistory")
        for what, namespace, field in [
            ("with an empty element", ["child:1", ""], "namespace[1]"),
            ("as one text", ["child:1|ask:2"], "namespace[0]"),
            ("with a NUL", ["child\0"], "namespace[0]"),
            ("with a long element", ["x" * 1001], "namespace[0]"),
            ("that is too deep", ["a:1"] * 101, "namespace"),
            ("of no subgraph", ["nobody:1"], "namespace"),
        ]
        for request in [
            lambda world, rpc=rpc, namespace=namespace: {
                **NEEDS[rpc],
                "thread_id": world.done,
                "namespace": namespace,
            }
        ]
    ),
    *(
        Bad(
            "ListThreadHistory",
            f"before_checkpoint_id {bad[:5]!r}",
            _thread("ListThreadHistory", "done", before_checkpoint_id=bad),
            INVALID,
            "INVALID_FIELD",
            ("before_checkpoint_id",),
        )
        for bad in BAD_UUIDS
    ),
    *(
        Bad(
            "ListThreadHistory",
            what,
            _thread("ListThreadHistory", "done", before_checkpoint_id=before),
            NOT_FOUND,
            "CHECKPOINT_NOT_FOUND",
            covers="before_checkpoint_id",
        )
        for what, before in {
            "before a checkpoint that is not there": UNKNOWN_ID,
            "before a checkpoint of another thread": "world.stopped_checkpoint",
        }.items()
    ),
]


def _masked(name: str) -> dict[str, Fields]:
    """Requests for one field of a thread."""
    return {
        "GetThread": lambda world: {"thread_id": world.done, "read_mask": name},
        "ListThreads": {"read_mask": name},
    }


SEARCH = [
    *(
        Bad(
            rpc,
            "a field that no thread has",
            request,
            INVALID,
            "INVALID_FIELD",
            ("read_mask",),
            text=f"Thread has no field '{name}'; it has: thread_id, status, metadata",
        )
        for name in ("value", "error.type")
        for rpc, request in _masked(name).items()
    ),
    *(
        Bad(
            "ListThreads",
            f"extract {what}",
            {"extract": extract},
            INVALID,
            "INVALID_FIELD",
            (field,),
        )
        for what, extract, field in [
            ("nothing", {"x": ""}, "extract[x]"),
            ("an index of the state", {"x": "[0]"}, "extract[x]"),
            ("no path", {"good": "a.b", "x": "a..b"}, "extract[x]"),
            ("a long path", {"x": "a" * 513}, "extract[x]"),
            ("without a name", {"": "a"}, "extract[]"),
            ("with a long name", {"x" * 129: "a"}, f"extract[{'x' * 128}]"),
            ("too much", {str(n): "a" for n in range(11)}, "extract"),
        ]
    ),
    *(
        Bad(rpc, f"filter.thread_ids {what}", request, INVALID, reason, (field,))
        for rpc in ("ListThreads", "CountThreads")
        for what, ids, reason, field in [
            ("with an empty id", ["a", ""], "INVALID_FIELD", "filter.thread_ids[1]"),
            ("with none", ["a b"], "INVALID_FIELD", "filter.thread_ids[0]"),
            ("that are too many", ["a"] * 1001, "INVALID_FIELD", "filter.thread_ids"),
        ]
        for request in [{"filter": {"thread_ids": ids}}]
    ),
]

UPDATE = [
    Bad(
        "UpdateThread",
        "neither metadata nor ttl nor breakpoints",
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

CASES = [
    *(*OF_A_THREAD, *CREATE, *BEGINNINGS, *UPDATE, *DELETE, *COPY, *PRUNE),
    *(*STATE, *NAMESPACES, *EDIT, *LISTS, *SEARCH),
]
