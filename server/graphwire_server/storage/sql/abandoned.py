"""Reads whose caller has gone: they are interrupted, and their connection is free again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from graphwire_server.storage.interface import StorageError

#: How long such a read may go on, in seconds. Most end sooner, and cost nothing more.
_PATIENCE = 0.1


class AbandonedReads:
    """Sees reads off that nobody waits for any more."""

    def __init__(self) -> None:
        """Starts with none."""
        # The event loop keeps only weak references to tasks.
        self._under_way: set[asyncio.Task[None]] = set()

    def see_off(
        self,
        over: Awaitable[object],
        interrupt: Callable[[], Awaitable[None]],
        give_back: Callable[[], None],
    ) -> None:
        """Has a read end soon, and then its connection given back.

        Args:
            over: Is done when the read is.
            interrupt: Ends what the database is doing for it; called until it is over, since it
                may come between two statements.
            give_back: Called in the end.
        """
        task = asyncio.create_task(self._see_off(over, interrupt, give_back))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _see_off(
        self,
        over: Awaitable[object],
        interrupt: Callable[[], Awaitable[None]],
        give_back: Callable[[], None],
    ) -> None:
        read = asyncio.ensure_future(over)
        try:
            while not (await asyncio.wait([read], timeout=_PATIENCE))[0]:
                await interrupt()
            with suppress(StorageError):  # it is closed
                await read
        finally:
            give_back()
