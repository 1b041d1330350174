"""One long answer, token by token, straight from the graph."""

from __future__ import annotations

import time
from typing import Any, cast

from bench_graphs.tokens import graph
from langchain_core.messages import AIMessageChunk

from benchmarks.workload import TOKEN, talk


async def speak(tokens: int) -> float:
    """Streams an answer as fast as it comes; returns the tokens per second."""
    start = time.perf_counter()
    texts = [
        cast(tuple[AIMessageChunk, Any], part)[0].text
        async for part in graph.astream(cast(Any, talk(tokens, 0)), stream_mode="messages")
    ]
    rate = tokens / (time.perf_counter() - start)
    assert "".join(texts) == TOKEN * tokens
    return rate


async def delays(tokens: int, interval: float) -> list[float]:
    """Returns the seconds from each token's being spoken in the graph to its being here."""
    arrived: list[float] = []
    spoken: list[float] = []
    async for part in graph.astream(
        cast(Any, talk(tokens, interval)), stream_mode=["messages", "updates"]
    ):
        mode, data = cast(tuple[str, Any], part)
        if mode == "messages":
            arrived += [time.monotonic()] * (len(data[0].text) // len(TOKEN))
        else:
            spoken = data["speak"]["spoken"]
    return [here - there for here, there in zip(arrived, spoken, strict=True)]
