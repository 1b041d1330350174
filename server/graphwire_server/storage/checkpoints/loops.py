"""Keeps work on one event loop, wherever it is called from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class HasLoop(Protocol):
    """Something that lives on one event loop."""

    _loop: asyncio.AbstractEventLoop


S = TypeVar("S", bound=HasLoop)


def on_own_loop(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Makes a method run on its object's loop, also if it is awaited on another.

    That happens where a node, in a thread of its own, has a loop of its own: `asyncio.run`.
    The caller's context goes along.
    """

    @wraps(method)
    async def on_loop(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if asyncio.get_running_loop() is self._loop:
            return await method(self, *args, **kwargs)
        there = asyncio.run_coroutine_threadsafe(method(self, *args, **kwargs), self._loop)
        return await asyncio.wrap_future(there)

    return on_loop


async def next_of(items: AsyncIterator[T]) -> tuple[T, ...]:
    """Returns the next item alone, or nothing after the last."""
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return ()


def iterate_on_own_loop(
    method: Callable[Concatenate[S, P], AsyncIterator[T]],
) -> Callable[Concatenate[S, P], AsyncIterator[T]]:
    """Does the same for a method that yields."""

    @wraps(method)
    async def on_loop(self: S, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        items = method(self, *args, **kwargs)
        if asyncio.get_running_loop() is self._loop:
            async for item in items:
                yield item
            return

        while True:
            there = asyncio.run_coroutine_threadsafe(next_of(items), self._loop)
            found = await asyncio.wrap_future(there)
            if not found:
                return
            yield found[0]

    return on_loop
