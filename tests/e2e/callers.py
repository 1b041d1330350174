"""Many callers at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import grpc

from tests.e2e.drive import DEADLINE, reason_of

T = TypeVar("T")

CALLERS = 8

#: Starts something on a thread and returns the id of its run.
Start = Callable[[], str]


def at_once(call: Callable[[], T]) -> list[T]:
    """What callers get who make the same call at the same time."""
    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        return [one.result(DEADLINE) for one in calls]


def race(*starts: Start) -> list[str]:
    """Calls all at the same time; returns for each the id of its run, or why it was refused."""
    barrier = threading.Barrier(len(starts))

    def take_part(start: Start) -> str:
        barrier.wait(DEADLINE)
        try:
            return start()
        except grpc.RpcError as error:
            return reason_of(error)

    with ThreadPoolExecutor(len(starts)) as pool:
        return list(pool.map(take_part, starts))
