"""How a reader waits for news."""

from __future__ import annotations

import asyncio


class Wake:
    """Wakes one reader. (`asyncio.wait_for` on an Event would make a task for each wait.)"""

    def __init__(self) -> None:
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None

    def clear(self) -> None:
        """Forgets that it was set."""
        self._woken = False

    def set(self) -> None:
        """Wakes the reader, now or when it comes to wait."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, timeout: float) -> bool:
        """Waits until it is set; returns False when that takes longer than `timeout` seconds."""
        if self._woken:
            return True
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(max(timeout, 0), _give_up, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        return self._woken


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
