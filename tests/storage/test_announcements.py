"""Contract: what is announced is heard, on the event loop and all together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from graphwire_server.storage.interface import Storage

TIMEOUT = 30


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self, *storages: Storage) -> None:
        self.calls: list[Sequence[str]] = []
        self._changed = asyncio.Event()
        for storage in storages:
            storage.listen(self)

    def __call__(self, topics: Sequence[str]) -> None:
        asyncio.get_running_loop()
        self.calls.append(topics)
        self._changed.set()

    @property
    def topics(self) -> list[str]:
        return [topic for topics in self.calls for topic in topics]

    async def until_called(self) -> None:
        """Waits until it has been called at all: from then on nothing is missed."""
        await self._until(lambda: bool(self.calls))

    async def until(self, *topics: str) -> None:
        """Waits until each of some topics has been heard."""
        await self._until(lambda: set(topics) <= set(self.topics))

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


async def test_what_is_announced_at_once_is_heard_together_and_once(storage: Storage) -> None:
    heard = Heard(storage)
    storage.announce("a", "b")
    storage.announce("a", "c")
    assert heard.calls == []
    await heard.until("a", "b", "c")
    assert [tuple(topics) for topics in heard.calls if topics] == [("a", "b", "c")]
    storage.announce("d")
    await heard.until("d")


async def test_every_listener_hears(storage: Storage) -> None:
    first, second = Heard(storage), Heard(storage)
    storage.announce("a")
    await first.until("a")
    await second.until("a")


async def test_to_announce_nothing_is_nothing(storage: Storage) -> None:
    heard = Heard(storage)
    storage.announce()
    storage.announce("a")
    await heard.until("a")
    assert [tuple(topics) for topics in heard.calls if topics] == [("a",)]


async def test_a_listener_that_raises_keeps_nothing_from_the_others(storage: Storage) -> None:
    loop = asyncio.get_running_loop()
    raised: list[object] = []
    loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))
    error = LookupError("mine")

    def listener(topics: Sequence[str]) -> None:
        raise error

    try:
        storage.listen(listener)
        heard = Heard(storage)
        storage.announce("a")
        await heard.until("a")
        assert error in raised
    finally:
        loop.set_exception_handler(None)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_closed_storage_tells_nothing(storage: Storage, times: int) -> None:
    heard = Heard(storage)
    for _ in range(times):
        await storage.close()
    storage.announce("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "a" not in heard.topics
