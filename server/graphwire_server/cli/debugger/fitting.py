"""Whether an answer fits its question, told before it is sent."""

from __future__ import annotations

import json
from typing import Any

from graphwire.values import Pause

#: What a check may cost, in steps, as for the server's: a fraction of a second.
_MAX_STEPS = 50_000


def misfit(pause: Pause, answer: Any) -> str:
    """Returns why an answer does not fit the schema of its question, as the server would say it.

    Empty if it fits, or if that is for the server to say: where the schema can't be used or the
    check costs too much, and where only a client is installed.
    """
    if pause.response_schema is None or pause.response_schema_error:
        return ""
    try:
        # The server's own check, so that both say the same. It is loaded where something is asked.
        from graphwire_server.runs.answer_schema import (
            Steps,
            TooCostlyError,
            UnusableSchemaError,
            read_schema,
            unfit,
        )
    except ImportError:
        return ""
    try:
        problem = unfit(read_schema(json.dumps(pause.response_schema)), answer, Steps(_MAX_STEPS))
    except (TooCostlyError, UnusableSchemaError):
        return ""
    if problem is None:
        return ""
    return f"the answer does not fit the response schema at {problem.json_path}: {problem.message}"
