"""One lock for each thread, for work that takes more than one transaction."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class ThreadLocks:
    """Keeps starting a run and editing the state of the same thread apart."""

    def __init__(self) -> None:
        """Starts with no lock taken."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, thread_id: str) -> asyncio.Lock:
        """Returns the lock of a thread; for an empty id a lock of its own."""
        if not thread_id:
            return asyncio.Lock()
        return self._locks.setdefault(thread_id, asyncio.Lock())
