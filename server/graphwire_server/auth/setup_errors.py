"""What is raised when authentication can't be set up as it is asked for."""

from __future__ import annotations

from difflib import get_close_matches


class AuthSetupError(Exception):
    """The server can't start: a setting of authentication, or a file that it names, is wrong.

    The text names the setting, the file and the key in it, and what would be right; it never
    shows what stands in a file of keys or tokens.
    """


class UnusableFileError(Exception):
    """A file of keys or tokens can't be used; the text says where and why, not what is in it."""


def did_you_mean(name: str, known: frozenset[str]) -> str:
    """Returns a hint at a known name that is close to one that isn't; else at all of them."""
    close = get_close_matches(name, sorted(known), 1)
    return f'did you mean "{close[0]}"?' if close else f"it may be {', '.join(sorted(known))}"
