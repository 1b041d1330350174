"""Time and identity, injected so that one place decides both."""

from __future__ import annotations

import time

from uuid_utils import uuid7


def now_us() -> int:
    """Returns the time: microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def new_id() -> str:
    """Returns a new unique id (UUID 7).

    Such ids rise with the time: what is made together stands together in the indexes.
    """
    return str(uuid7())
