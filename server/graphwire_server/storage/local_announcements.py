"""Announcements within one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

Listener = Callable[[Sequence[str]], None]


class LocalAnnouncements:
    """Tells listeners of one event loop what was announced, once for each turn of the loop."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._topics: dict[str, None] = {}
        self._closed = False

    def listen(self, listener: Listener) -> None:
        """Adds a listener."""
        self._listeners.append(listener)

    def announce(self, *topics: str) -> None:
        """Has the listeners called with topics, and all else that this turn announces."""
        if self._closed:
            return
        if topics and not self._topics:
            asyncio.get_running_loop().call_soon(self._tell)
        self._topics.update(dict.fromkeys(topics))

    def tell(self, topics: Sequence[str]) -> None:
        """Calls the listeners soon, each by itself: what one raises, the others never see."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.call_soon(listener, topics)

    def close(self) -> None:
        """Tells nothing any more."""
        self._closed = True
        self._listeners.clear()

    def _tell(self) -> None:
        topics = tuple(self._topics)
        self._topics.clear()
        self.tell(topics)
