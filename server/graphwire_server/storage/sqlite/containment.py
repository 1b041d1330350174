"""JSON containment as functions of SQL: `graphwire_contains(document, wanted)`, the same for any
element of an array, `graphwire_any_contains(elements, wanted)`, and of a list under a key,
`graphwire_has_all(document, key, wanted)`."""

from __future__ import annotations

from typing import Any

import orjson

from graphwire_server.storage.access import has_all
from graphwire_server.storage.containment import contains


class Containment:
    """The function for one connection. A text that is no JSON contains nothing."""

    def __init__(self) -> None:
        # A scan asks for the same thing on each row.
        self._text: str | None = None
        self._wanted: Any = None

    def __call__(self, document: str | None, wanted: str) -> bool:
        """Says whether `document` contains `wanted`; both are JSON texts."""
        if document is None:
            return False
        if wanted != self._text:
            self._wanted = orjson.loads(wanted)
            self._text = wanted
        try:
            parsed = orjson.loads(document)
        except orjson.JSONDecodeError:
            return False
        return self._holds(parsed, self._wanted)

    def _holds(self, document: Any, wanted: Any) -> bool:
        return contains(document, wanted)


class AnyContainment(Containment):
    """The function for arrays: whether any element contains what is wanted."""

    def _holds(self, document: Any, wanted: Any) -> bool:
        return isinstance(document, list) and any(contains(each, wanted) for each in document)


def list_has_all(document: str, key: str, wanted: str) -> bool:
    """Says whether a JSON object has a list under `key` with all that `wanted` lists."""
    return has_all(orjson.loads(document), key, orjson.loads(wanted))
