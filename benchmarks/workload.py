"""What is run on both sides, and how its rate is taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

QUESTION = "What is the weather in San Francisco?"
ANSWER = "It is 16 °C and foggy in San Francisco, with wind at 24 km/h. Take a jacket."

#: Each token of the long answer: its length tells how many have come.
TOKEN = " word"


def talk(tokens: int, interval: float) -> dict[str, str | int | float]:
    """Returns the input for an answer of so many tokens, `interval` seconds before each."""
    return {"token": TOKEN, "tokens": tokens, "interval": interval}


async def rate(run: Callable[[], Awaitable[None]], *, at_once: int, seconds: float) -> float:
    """Runs again and again for a while, and returns how many runs ended per second."""
    start = time.perf_counter()
    ended = 0

    async def again_and_again() -> None:
        nonlocal ended
        while time.perf_counter() - start < seconds:
            await run()
            ended += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(again_and_again())
    return ended / (time.perf_counter() - start)
