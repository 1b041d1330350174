"""Reads that nobody waits for any more do not keep others waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from graphwire_server.storage.interface import Reader, Storage

#: More than there are connections to read with.
MANY = 6
#: How long, in seconds, what is waited for may take on a busy machine.
PATIENCE = 30.0


def endless(db: Any) -> None:
    """Reads something that takes longer than any test."""
    if db._session.locks_rows:
        db._session.execute("SELECT pg_sleep(3600)").fetchone()
    else:
        db._session.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
        ).fetchone()


def quick(db: Reader) -> int:
    """Reads something that does not."""
    return db.now()


async def test_a_read_whose_caller_has_gone_is_interrupted(storage: Storage) -> None:
    abandoned = [asyncio.create_task(storage.read(endless)) for _ in range(MANY)]
    # Until all connections are taken.
    await asyncio.sleep(0.2)
    for task in abandoned:
        task.cancel()
    assert all(
        isinstance(result, asyncio.CancelledError)
        for result in await asyncio.gather(*abandoned, return_exceptions=True)
    )
    async with asyncio.timeout(PATIENCE):
        for _ in range(2 * MANY):
            assert await storage.read(quick) > 0


async def test_it_is_interrupted_also_if_it_was_between_two_statements(storage: Storage) -> None:
    def thoughtful(db: Any) -> None:
        # Nothing is there to be interrupted, for longer than an abandoned read may go on.
        time.sleep(0.5)
        endless(db)

    abandoned = [asyncio.create_task(storage.read(thoughtful)) for _ in range(MANY)]
    await asyncio.sleep(0.1)
    for task in abandoned:
        task.cancel()
    async with asyncio.timeout(PATIENCE):
        for _ in range(2 * MANY):
            assert await storage.read(quick) > 0


async def test_it_is_interrupted_also_while_no_thread_of_the_loop_is_free(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    with ThreadPoolExecutor(1) as busy:
        monkeypatch.setattr(asyncio.get_running_loop(), "_default_executor", busy)
        busy.submit(released.wait)
        try:
            abandoned = [asyncio.create_task(storage.read(endless)) for _ in range(MANY)]
            await asyncio.sleep(0.2)
            for task in abandoned:
                task.cancel()
            async with asyncio.timeout(PATIENCE):
                assert await storage.read(quick) > 0
        finally:
            released.set()


async def test_a_quick_read_whose_caller_has_gone_leaves_the_others_alone(
    storage: Storage,
) -> None:
    async with asyncio.timeout(PATIENCE):
        for _ in range(20):
            reads = [asyncio.create_task(storage.read(quick)) for _ in range(2 * MANY)]
            await asyncio.sleep(0)
            for task in reads[::2]:
                task.cancel()
            results = await asyncio.gather(*reads, return_exceptions=True)
            assert all(isinstance(result, int) for result in results[1::2])


async def test_a_storage_that_is_closed_under_an_abandoned_read_closes(storage: Storage) -> None:
    task = asyncio.create_task(storage.read(endless))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task])
    async with asyncio.timeout(PATIENCE):
        await storage.close()
