"""Regular expressions, by RE2: the time is linear in the text, whatever the pattern."""

from __future__ import annotations

from typing import Any

import re2

from graphwire_server.graphs.conditions.errors import Failure
from graphwire_server.graphs.conditions.frame import Frame

#: The longest pattern, in characters.
_LONGEST = 1000
#: The largest program, in RE2's instructions: the time is at worst proportional to it.
_LARGEST = 2000
#: How many instructions by characters are run in a step, at the worst.
_RUN = 50

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.never_capture = True
# re2 keeps the last 128 patterns, each with at most so many bytes for its states.
_OPTIONS.max_mem = 1 << 20


def compiled(pattern: str) -> Any:
    """Returns a pattern, compiled. Raises Failure if it is none, or too large."""
    if len(pattern) > _LONGEST:
        raise Failure(f"a pattern may have {_LONGEST} characters; this one has {len(pattern)}")
    try:
        made = re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        raise Failure(f"{pattern!r} is no pattern of RE2: {_text(error)}") from None
    except UnicodeEncodeError:
        raise Failure("the pattern has a lone surrogate, which is no character") from None
    if made.programsize > _LARGEST:
        raise Failure(f"the pattern {pattern!r} is too large, with all its repetitions")
    return made


def found(frame: Frame, pattern: Any, text: str) -> bool:
    """Says whether a pattern is found anywhere in a text."""
    frame.charge(2 + len(text) * pattern.programsize // _RUN)
    return pattern.search(text) is not None


def _text(error: Exception) -> str:
    [what] = error.args or ("",)
    return what.decode(errors="replace") if isinstance(what, bytes) else str(what)
