"""A checkpoint's metadata as JSON text.

By the standard library: unlike the faster ones it keeps whatever LangGraph lets through, such
as integers of any size, NaN, and text with half a surrogate pair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

_encoder = json.JSONEncoder(separators=(",", ":"))


def dumps(metadata: Mapping[str, Any]) -> str:
    """Returns metadata as text."""
    return _encoder.encode(metadata)


def loads(text: str) -> dict[str, Any]:
    """Returns the metadata of a text."""
    return cast("dict[str, Any]", json.loads(text))
