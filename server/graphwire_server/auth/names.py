"""Which texts can name a caller, and what a graph is told of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: The longest name of a principal or owner, in characters.
MAX_NAME = 512


def wrong_name(name: object) -> str:
    """Returns what is wrong with the name of a principal or owner; empty if nothing is.

    A name stands in log lines and in the database, and is compared as it is.
    """
    if not isinstance(name, str):
        return f"has to be a text, not {type(name).__name__}"
    if not name:
        return "is empty"
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if not name.isprintable() or name != name.strip():
        return "has blanks at its ends, or characters that can't be printed"
    return ""


def described(principal: str, permissions: Iterable[str]) -> dict[str, Any]:
    """Returns what a graph is told of a caller that has no user object of a project."""
    return {
        "identity": principal,
        "display_name": principal,
        "is_authenticated": True,
        "permissions": sorted(permissions),
    }
