"""When a JSON document contains another."""

from __future__ import annotations

from typing import Any


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
