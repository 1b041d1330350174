"""Whether an answer fits the JSON Schema that its question gives, at a cost that is bounded.

The schema is the graph's, the answer anybody's who may answer: neither may hold up the server.
A schema is used as a whole or not at all (`usable.py`), which it decides by itself, so that a
question whose schema can't be used is answered like one without. One that is used is always kept:
an answer that costs too much to check is refused (`checking.py`).
"""

from __future__ import annotations

from graphwire_server.runs.answer_schema.checking import Steps, TooCostlyError, Unfit, unfit
from graphwire_server.runs.answer_schema.usable import (
    Schema,
    UnusableSchemaError,
    read_schema,
    why_unusable,
)

__all__ = [
    "Schema",
    "Steps",
    "TooCostlyError",
    "Unfit",
    "UnusableSchemaError",
    "read_schema",
    "unfit",
    "why_unusable",
]
