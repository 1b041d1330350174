"""A checkpoint's metadata as JSON text.

By the standard library: unlike the faster ones it keeps whatever LangGraph lets through, such
as integers of any size, NaN, and text with half a surrogate pair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

#: How the keys begin by which a graph is told who runs it.
_CALLER = "langgraph_auth_"

_encoder = json.JSONEncoder(separators=(",", ":"))


def dumps(metadata: Mapping[str, Any]) -> str:
    """Returns metadata as text."""
    return _encoder.encode(metadata)


def loads(text: str) -> dict[str, Any]:
    """Returns the metadata of a text."""
    return cast("dict[str, Any]", json.loads(text))


def without_caller(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns metadata without who runs the graph, which LangGraph copies from its config."""
    return {key: value for key, value in metadata.items() if not key.startswith(_CALLER)}
