"""Every test that takes `client` runs with both clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest
from graphwire import AsyncClient, Client
from graphwire._retry import Retry

from .scripted import Proxy, ScriptedServer

Connect = Callable[..., AsyncClient]


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A server that answers as the test says."""
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def proxy(scripted: ScriptedServer) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    proxy = Proxy(scripted.port)
    yield proxy
    proxy.close()


@pytest.fixture(params=["async", "sync"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Makes clients of either kind, and closes them; both are used with `await`."""
    clients: list[Any] = []

    def make(*args: Any, **options: Any) -> AsyncClient:
        if request.param == "async":
            clients.append(AsyncClient(*args, **options))
        else:
            clients.append(_Awaitable(Client(*args, **options)))
        return cast(AsyncClient, clients[-1])

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(connect: Connect, scripted: ScriptedServer) -> AsyncClient:
    """A client of the scripted server."""
    return connect(scripted.target)


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Lists the delays between tries, in seconds, of which each takes but a hundredth."""
    found: list[float] = []
    delay = Retry.delay

    def short(self: Retry, *args: Any, **kwargs: Any) -> float | None:
        seconds = delay(self, *args, **kwargs)
        if seconds is None:
            return None
        found.append(seconds)
        return seconds / 100

    monkeypatch.setattr(Retry, "delay", short)
    return found


@pytest.fixture
def no_delays(delays: list[float]) -> None:
    """Makes the delays between tries a hundredth of what they are."""


class _Awaitable:
    """The synchronous client, with each call made in a thread and awaited."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._wrapped, name)
        if name in ("threads", "runs", "pauses", "assistants", "server"):
            return _Awaitable(attribute)
        if name in ("list", "history", "versions", "stream", "join", "watch"):
            return lambda *args, **kwargs: _Iterated(attribute(*args, **kwargs))

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.to_thread(attribute, *args, **kwargs)

        return call


class _Iterated:
    """A synchronous iterator, with each step made in a thread and awaited."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __aiter__(self) -> _Iterated:
        return self

    async def __anext__(self) -> Any:
        over = object()
        item = await asyncio.to_thread(next, self._wrapped, over)
        if item is over:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        await asyncio.to_thread(self._wrapped.close)

    async def __aenter__(self) -> _Iterated:
        await asyncio.to_thread(self._wrapped.__enter__)
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await asyncio.to_thread(self._wrapped.__exit__, *raised)
