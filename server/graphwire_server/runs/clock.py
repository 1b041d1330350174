"""Time and identity, injected so that one place decides both."""

from __future__ import annotations

import time
import uuid


def now_us() -> int:
    """Returns the time: microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def new_id() -> str:
    """Returns a new unique id (UUID 4)."""
    return str(uuid.uuid4())
