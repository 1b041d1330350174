"""Bad requests to Assistants."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.bad_input.breakpoint_cases import bad_breakpoints
from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import (
    BAD_REQUEST_IDS,
    BAD_THREAD_IDS,
    BROKEN,
    INVALID,
    NOT_FOUND,
    as_json,
)
from tests.e2e.bad_input.run_cases import RESERVED

#: What each RPC on one assistant needs besides its id.
_OF_ONE: dict[str, dict[str, Any]] = {
    "GetAssistant": {},
    "GetAssistantGraph": {},
    "GetAssistantSchemas": {},
    "UpdateAssistant": {"name": "x"},
    "DeleteAssistant": {},
    "ListAssistantVersions": {},
    "SetLatestAssistantVersion": {"version": 1},
}
#: What is needed to create or change one, and the same for a graph with a closed subgraph.
_CREATE = {"graph_id": "linear"}
_UPDATE = {"assistant_id": "linear"}


def _both(what: str, fields: dict[str, Any], reason: str, field: str, text: str = "") -> list[Bad]:
    """The same for both RPCs that say what an assistant is."""
    return [
        Bad(rpc, what, {**needed, **fields}, INVALID, reason, (field,), text=text)
        for rpc, needed in (("CreateAssistant", _CREATE), ("UpdateAssistant", _UPDATE))
    ]


CASES = [
    *(
        case
        for rpc, fields in _OF_ONE.items()
        for case in [
            Bad(rpc, "no assistant_id", fields, INVALID, "MISSING_FIELD", ("assistant_id",)),
            Bad(
                rpc,
                "an assistant that is not there",
                {**fields, "assistant_id": "liner"},
                NOT_FOUND,
                "ASSISTANT_NOT_FOUND",
                text="there is no assistant 'liner'; did you mean 'linear'? There are: ",
            ),
        ]
    ),
    *(
        Bad(
            "GetAssistantGraph",
            f"depth {depth}",
            {"assistant_id": "linear", "depth": depth},
            INVALID,
            "INVALID_FIELD",
            ("depth",),
        )
        for depth in (-1, 101)
    ),
    *(
        case
        for rpc, fields in (
            ("ListAssistants", {}),
            ("ListAssistantVersions", {"assistant_id": "linear"}),
        )
        for case in [
            Bad(
                rpc,
                "a negative page",
                {**fields, "page_size": -1},
                INVALID,
                "INVALID_FIELD",
                ("page_size",),
            ),
            Bad(
                rpc,
                "a page token of nothing",
                {**fields, "page_token": "x"},
                INVALID,
                "INVALID_PAGE_TOKEN",
                ("page_token",),
            ),
        ]
    ),
    *(
        Bad(
            rpc,
            "a long name to look for",
            {"filter": {"name": "x" * 257}},
            INVALID,
            "INVALID_FIELD",
            ("filter.name",),
        )
        for rpc in ("ListAssistants", "CountAssistants")
    ),
    *(
        Bad(
            "CreateAssistant",
            f"assistant_id {bad[:5]!r}",
            {**_CREATE, "assistant_id": bad},
            INVALID,
            "INVALID_FIELD",
            ("assistant_id",),
        )
        for bad in BAD_THREAD_IDS
    ),
    Bad("CreateAssistant", "no graph", {}, INVALID, "MISSING_FIELD", ("graph_id",)),
    *(
        Bad(
            rpc,
            "a graph that is not there",
            {**fields, "graph_id": "liner"},
            NOT_FOUND,
            "ASSISTANT_NOT_FOUND",
            covers="graph_id",
            text="langgraph.json has no graph 'liner'; it has: account, ask, ",
        )
        for rpc, fields in (
            ("CreateAssistant", {}),
            ("UpdateAssistant", {"assistant_id": "made-of-linear"}),
        )
    ),
    Bad(
        "CreateAssistant",
        "an id that a graph has",
        {"graph_id": "linear", "assistant_id": "router"},
        "ALREADY_EXISTS",
        "ASSISTANT_EXISTS",
        covers="assistant_id",
    ),
    Bad(
        "CreateAssistant",
        "an id that is taken",
        {"graph_id": "linear", "assistant_id": "made-of-linear"},
        "ALREADY_EXISTS",
        "ASSISTANT_EXISTS",
        covers="assistant_id",
    ),
    Bad(
        "UpdateAssistant",
        "nothing to change",
        _UPDATE,
        INVALID,
        "MISSING_FIELD",
        ("name",),
        text="what to change, of graph_id, name, description, config, context, metadata and",
    ),
    Bad(
        "UpdateAssistant",
        "another graph for a graph",
        {**_UPDATE, "graph_id": "router"},
        BROKEN,
        "ASSISTANT_BUILT_IN",
        covers="graph_id",
    ),
    Bad(
        "DeleteAssistant",
        "a graph",
        {"assistant_id": "linear"},
        BROKEN,
        "ASSISTANT_BUILT_IN",
        covers="assistant_id",
    ),
    *(
        Bad(
            "SetLatestAssistantVersion",
            f"version {version}",
            {"assistant_id": "linear", "version": version},
            INVALID,
            reason,
            ("version",),
        )
        for version, reason in ((0, "MISSING_FIELD"), (-1, "INVALID_FIELD"))
    ),
    *(
        Bad(
            "SetLatestAssistantVersion",
            f"version 2 of {name}",
            {"assistant_id": name, "version": 2},
            NOT_FOUND,
            "ASSISTANT_NOT_FOUND",
            covers="version",
            text=f"assistant '{name}' has no version 2; its newest is 1",
        )
        for name in ("linear", "made-of-linear")
    ),
    *_both("a long name", {"name": "x" * 257}, "INVALID_FIELD", "name"),
    *_both("a name with NUL", {"name": "a\0b"}, "INVALID_FIELD", "name"),
    *_both("a long description", {"description": "x" * 4097}, "INVALID_FIELD", "description"),
    *_both("a NUL", {"description": "\0"}, "INVALID_FIELD", "description"),
    *(
        case
        for case in _both(
            "a negative recursion_limit",
            {"config": {"recursion_limit": -1}},
            "INVALID_FIELD",
            "config.recursion_limit",
            "must be 1 to 1000, or 0 for the server's default",
        )
    ),
    *(
        Bad(
            rpc,
            "a recursion_limit beyond that of the server",
            {**needed, "config": {"recursion_limit": 1001}},
            "OUT_OF_RANGE",
            "BEYOND_LIMIT",
            ("config.recursion_limit",),
        )
        for rpc, needed in (("CreateAssistant", _CREATE), ("UpdateAssistant", _UPDATE))
    ),
    *_both(
        "metadata of many keys",
        {"metadata": {"json": json.dumps({f"k{i}": i for i in range(129)})}},
        "INVALID_PAYLOAD",
        "metadata.json",
        "has 129 keys; metadata may have 128 (max_metadata_keys)",
    ),
    *_both("too many tags", {"config": {"tags": ["x"] * 101}}, "INVALID_FIELD", "config.tags"),
    *_both(
        "a tag that hides",
        {"config": {"tags": ["langsmith:hidden"]}},
        "INVALID_FIELD",
        "config.tags",
    ),
    *(
        case
        for key in RESERVED
        for field, fields in (
            ("context", {"context": as_json(f'{{"{key}": 1}}')}),
            ("config.configurable", {"config": {"configurable": as_json(f'{{"{key}": 1}}')}}),
        )
        for case in _both(f"{key} in {field}", fields, "RESERVED_KEY", field)
    ),
    *(
        case
        for bad in BAD_REQUEST_IDS
        for case in _both(
            f"request_id {bad[:5]!r}",
            {"name": "x", "request_id": bad},
            "INVALID_FIELD",
            "request_id",
        )
    ),
    *bad_breakpoints("CreateAssistant", _CREATE, {"graph_id": "no_saver_child"}),
    *bad_breakpoints("UpdateAssistant", _UPDATE, {"assistant_id": "no_saver_child"}, inside=True),
]
