"""`graphwire_contains(document, wanted)`: JSON containment as a function of SQL; and the same
for any element of an array, `graphwire_any_contains(elements, wanted)`."""

from __future__ import annotations

from typing import Any

import orjson


def contains(document: Any, wanted: Any) -> bool:
    """Says whether a JSON document contains another.

    Each key of `wanted` must be there with an equal value, and so on in the objects
    within; lists are compared element by element. 1 equals 1.0 and does not equal true.
    """
    # A list in place of recursion: documents may be deeper than the interpreter's stack.
    pairs = [(document, wanted, False)]
    while pairs:
        have, want, exactly = pairs.pop()
        if isinstance(want, dict):
            if not isinstance(have, dict) or (exactly and len(have) != len(want)):
                return False
            if not want.keys() <= have.keys():
                return False
            pairs.extend((have[key], value, exactly) for key, value in want.items())
        elif isinstance(want, list):
            if not isinstance(have, list) or len(have) != len(want):
                return False
            pairs.extend((one, other, True) for one, other in zip(have, want, strict=True))
        elif isinstance(have, bool) is not isinstance(want, bool) or have != want:
            return False
    return True


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
