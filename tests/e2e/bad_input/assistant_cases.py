"""Bad requests to Assistants."""

from __future__ import annotations

from tests.e2e.bad_input.case import Bad
from tests.e2e.bad_input.requests import INVALID, NOT_FOUND

CASES = [
    *(
        case
        for rpc in ("GetAssistant", "GetAssistantGraph", "GetAssistantSchemas")
        for case in [
            Bad(rpc, "no assistant_id", {}, INVALID, "MISSING_FIELD", ("assistant_id",)),
            Bad(
                rpc,
                "an assistant that is not there",
                {"assistant_id": "liner"},
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
    Bad(
        "ListAssistants",
        "a negative page",
        {"page_size": -1},
        INVALID,
        "INVALID_FIELD",
        ("page_size",),
    ),
    Bad(
        "ListAssistants",
        "a page token of nothing",
        {"page_token": "x"},
        INVALID,
        "INVALID_PAGE_TOKEN",
        ("page_token",),
    ),
]
