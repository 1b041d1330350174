"""Lists of threads."""

from __future__ import annotations

import random
import time

from graphwire.v1.threads_pb2 import (
    THREAD_STATUS_IDLE,
    THREAD_STATUS_INTERRUPTED,
    CountThreadsRequest,
    ListThreadsRequest,
    ThreadFilter,
)

from benchmarks.over_grpc.calls import Stubs

_PAUSED = ThreadFilter(statuses=[THREAD_STATUS_INTERRUPTED])
_IDLE = ThreadFilter(statuses=[THREAD_STATUS_IDLE])
_LARGEST_PAGE = 1000


async def count_paused(stubs: Stubs) -> int:
    """Returns how many threads are paused."""
    return (await stubs.threads.CountThreads(CountThreadsRequest(filter=_PAUSED))).count


async def paused_threads(stubs: Stubs, count: int) -> list[str]:
    """Returns the ids of so many paused threads, chosen at random from all."""
    thread_ids: list[str] = []
    token = ""
    while True:
        page = await stubs.threads.ListThreads(
            ListThreadsRequest(filter=_PAUSED, page_size=_LARGEST_PAGE, page_token=token)
        )
        thread_ids += [thread.thread_id for thread in page.threads]
        token = page.next_page_token
        if not token:
            return random.sample(thread_ids, count)


async def list_pages(stubs: Stubs, samples: int, page_size: int) -> dict[str, list[float]]:
    """Returns the seconds that pages take.

    Returns:
        "paused": pages of paused threads, each the one after the last, from the first on.
        "idle": the first page of idle threads.
    """
    times: dict[str, list[float]] = {"paused": [], "idle": []}
    token = ""
    for _ in range(samples):
        start = time.perf_counter()
        page = await stubs.threads.ListThreads(
            ListThreadsRequest(filter=_PAUSED, page_size=page_size, page_token=token)
        )
        times["paused"].append(time.perf_counter() - start)
        assert 0 < len(page.threads) <= page_size
        token = page.next_page_token

        start = time.perf_counter()
        await stubs.threads.ListThreads(ListThreadsRequest(filter=_IDLE, page_size=page_size))
        times["idle"].append(time.perf_counter() - start)
    return times
