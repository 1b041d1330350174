"""Who calls. Without authentication everybody is the same."""

from __future__ import annotations

ANONYMOUS = "anonymous"


def current_principal() -> str:
    """Returns the principal of the call that is being served."""
    return ANONYMOUS
