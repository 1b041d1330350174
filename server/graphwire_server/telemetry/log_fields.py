"""What every log line says of the call or the run that it is about.

One dict in one context variable: what runs in a task, in tasks and threads that it starts, and
in whatever library they call, writes lines with the fields of the call, or of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

_fields: ContextVar[dict[str, str] | None] = ContextVar("graphwire_log_fields", default=None)

#: Longer values are no ids.
_LONGEST = 128


def begin(fields: dict[str, str]) -> None:
    """Sets the fields of the current task, and of what it starts from now on."""
    _fields.set(fields)


def note(**fields: str) -> None:
    """Adds fields to those of the current call or run; ids that are none are left out."""
    there = _fields.get()
    if there is None:
        return
    for name, value in fields.items():
        if value and len(value) <= _LONGEST and value.isprintable():
            there[name] = value


def current() -> Mapping[str, str]:
    """Returns the fields of the current call or run."""
    return _fields.get() or {}


def add_fields(logger: Any, method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Adds the fields to a line that does not say them itself: a processor of structlog."""
    for name, value in (_fields.get() or {}).items():
        line.setdefault(name, value)
    return line
