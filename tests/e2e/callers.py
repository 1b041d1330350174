"""Many callers at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.e2e.drive import DEADLINE

T = TypeVar("T")

CALLERS = 8


def at_once(call: Callable[[], T]) -> list[T]:
    """What callers get who make the same call at the same time."""
    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        return [one.result(DEADLINE) for one in calls]
