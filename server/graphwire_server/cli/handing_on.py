"""How a setting is handed on to another process of the command."""

from __future__ import annotations


def as_option(name: str, value: object) -> str:
    """Returns a setting as the option that gives it to `graphwire serve`."""
    option = f"--{name.replace('_', '-')}"
    return option if value is True else f"{option}={value}"
