"""Bad requests to list pauses, and to follow threads."""

from __future__ import annotations

from typing import Any

from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import BAD_THREAD_IDS, BAD_UUIDS, INVALID, NOT_FOUND
from tests.e2e.bad_input.world import UNKNOWN_ID

EXPIRED = "OUT_OF_RANGE"
BAD_CURSORS = ["x", "1", "1.2.3", "-1.2", "1.2 ", "٣.1", f"{2**63}.1", "1." * 40]


def _pauses(what: str, path: str, **which: Any) -> Bad:
    return Bad("ListPauses", what, {"filter": which}, INVALID, "INVALID_FIELD", (path,))


LISTS = [
    Bad(
        "ListPauses", "a negative page", {"page_size": -1}, INVALID, "INVALID_FIELD", ("page_size",)
    ),
    Bad(
        "ListPauses",
        "a page token of nothing",
        {"page_token": "x"},
        INVALID,
        "INVALID_PAGE_TOKEN",
        ("page_token",),
    ),
    _pauses(
        "kind UNSPECIFIED",
        "filter.kinds[1]",
        kinds=["PAUSE_KIND_INTERRUPT", "PAUSE_KIND_UNSPECIFIED"],
    ),
    *(
        _pauses(f"thread_id {bad[:5]!r}", "filter.thread_id", thread_id=bad)
        for bad in BAD_THREAD_IDS
    ),
]

PAUSE = [
    Bad("GetPause", "no pause_id", {}, INVALID, "MISSING_FIELD", ("pause_id",)),
    *(
        Bad(
            "GetPause",
            f"pause_id {bad[:5]!r}",
            {"pause_id": bad},
            INVALID,
            "INVALID_FIELD",
            ("pause_id",),
        )
        for bad in BAD_UUIDS
    ),
    Bad(
        "GetPause",
        "a pause that is not there",
        {"pause_id": UNKNOWN_ID},
        NOT_FOUND,
        "PAUSE_NOT_FOUND",
        text=f"there is no pause {UNKNOWN_ID}",
    ),
]

WATCH = [
    *(
        Bad(
            "WatchThreads",
            f"cursor {bad[:12]!r}",
            {"cursor": bad},
            INVALID,
            "INVALID_FIELD",
            ("cursor",),
        )
        for bad in BAD_CURSORS
    ),
    Bad(
        "WatchThreads",
        "a cursor from beyond the log",
        {"cursor": "9.9"},
        EXPIRED,
        "CURSOR_EXPIRED",
        ("cursor",),
    ),
    Bad(
        "WatchThreads",
        "kind UNSPECIFIED",
        {"kinds": ["THREAD_CHANGE_KIND_UNSPECIFIED"]},
        INVALID,
        "INVALID_FIELD",
        ("kinds[0]",),
    ),
    *(
        Bad(
            "WatchThreads",
            f"thread_ids {bad[:5]!r}",
            {"filter": {"thread_ids": ["right", bad]}},
            INVALID,
            "INVALID_FIELD",
            ("filter.thread_ids[1]",),
        )
        for bad in BAD_THREAD_IDS
    ),
    Bad(
        "WatchThreads",
        "an empty id among thread_ids",
        {"filter": {"thread_ids": [""]}},
        INVALID,
        "INVALID_FIELD",
        ("filter.thread_ids[0]",),
    ),
    Bad(
        "WatchThreads",
        "too many thread_ids",
        {"filter": {"thread_ids": ["x"] * 1001}},
        INVALID,
        "INVALID_FIELD",
        ("filter.thread_ids",),
        text="has 1001 items; at most 1000 are allowed",
    ),
]

JOIN = [
    Bad("JoinThread", "no thread_id", {}, INVALID, "MISSING_FIELD", ("thread_id",)),
    *(
        Bad(
            "JoinThread",
            f"thread_id {bad[:5]!r}",
            {"thread_id": bad},
            INVALID,
            "INVALID_FIELD",
            ("thread_id",),
        )
        for bad in BAD_THREAD_IDS
    ),
    Bad(
        "JoinThread",
        "a thread that is not there",
        {"thread_id": "nowhere"},
        NOT_FOUND,
        "THREAD_NOT_FOUND",
        text="there is no thread nowhere",
    ),
    *(
        Bad(
            "JoinThread",
            f"cursor {bad[:12]!r}",
            lambda world, bad=bad: {"thread_id": world.done, "cursor": bad},  # type: ignore[misc]
            INVALID,
            "INVALID_FIELD",
            ("cursor",),
        )
        for bad in (*BAD_CURSORS, "1.2.3.4.5", f"{2**63}.1.1.1")
    ),
    Bad(
        "JoinThread",
        "a cursor of nothing",
        lambda world: {"thread_id": world.done, "cursor": "9.9.0.1"},
        EXPIRED,
        "CURSOR_EXPIRED",
        ("cursor",),
    ),
    Bad(
        "JoinThread",
        "only_new with a cursor",
        lambda world: {"thread_id": world.done, "cursor": "1.1.0.1", "only_new": True},
        INVALID,
        "INVALID_FIELD",
        ("only_new",),
    ),
]

CASES = [*LISTS, *PAUSE, *WATCH, *JOIN]
