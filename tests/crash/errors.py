"""What goes wrong in a scenario."""

from __future__ import annotations


class BrokenError(Exception):
    """Something is not as the contract says it must be.

    Attributes:
        check: In short, what was broken.
        text: How.
    """

    def __init__(self, check: str, text: str) -> None:
        """Says what was broken, and how."""
        super().__init__(f"{check}: {text}")
        self.check = check
        self.text = text


class RefusedError(BrokenError):
    """The server has refused a call.

    Attributes:
        reason: The reason that it gave.
    """

    def __init__(self, reason: str, text: str) -> None:
        """Says why, and what."""
        super().__init__(f"refused {reason}", text)
        self.reason = reason


class AbandonedError(Exception):
    """There will be no server any more: something is wrong with it."""
