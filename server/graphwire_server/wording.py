"""Words that depend on a number."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns a number of something: `1 run`, `2 runs`.

    Args:
        number: How many.
        noun: Of what, if it is one.
        plural: If it is none or several; empty: the noun with an s.
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
