"""Postgres: who runs, changes and deletes an assistant on several servers at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.postgres import PostgresStorage
from graphwire_server.storage.records import ThreadStatus

from .builders import a_thread, an_assistant
from .conftest import OpenPostgres
from .two_servers import TIMEOUT, waiting_for_locks

T = TypeVar("T")


@pytest.fixture
async def a(open_postgres: OpenPostgres) -> PostgresStorage:
    """One server's storage, with an assistant."""
    storage = await open_postgres()
    await storage.write(lambda tx: tx.insert_assistant(an_assistant()))
    return storage


class Halted:
    """A transaction that does something, and ends when it is told to."""

    def __init__(self, storage: PostgresStorage, work: Callable[[Transaction], object]) -> None:
        self._started = threading.Event()
        self._go_on = threading.Event()

        def halted(tx: Transaction) -> None:
            work(tx)
            self._started.set()
            assert self._go_on.wait(TIMEOUT)

        self._task = asyncio.create_task(storage.write(halted))

    async def until_done(self) -> None:
        """Waits until it has done what it does."""
        assert await asyncio.to_thread(self._started.wait, TIMEOUT)

    async def finish(self) -> None:
        """Ends it."""
        self._go_on.set()
        await self._task


def busy_threads(tx: Transaction) -> list[str]:
    """Deletes the assistant, and returns its threads that work."""
    tx.assistant_head("mine")
    tx.delete_assistant("mine")
    return tx.threads_of_assistant("mine", statuses=(ThreadStatus.BUSY,))


async def test_who_deletes_an_assistant_sees_the_run_that_was_being_accepted(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    def accept(tx: Transaction) -> None:
        assert tx.keep_assistant("mine")
        tx.insert_thread(a_thread(assistant_id="mine", status=ThreadStatus.BUSY))

    accepting = Halted(a, accept)
    await accepting.until_done()
    deleting = asyncio.create_task(b.write(busy_threads))
    await waiting_for_locks(b)
    await accepting.finish()
    assert await deleting == ["thread"]


async def test_no_run_is_accepted_of_an_assistant_that_is_being_deleted(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    deleting = Halted(a, busy_threads)
    await deleting.until_done()
    accepting = asyncio.create_task(b.write(lambda tx: tx.keep_assistant("mine")))
    await waiting_for_locks(b)
    await deleting.finish()
    assert not await accepting


async def test_runs_are_accepted_of_an_assistant_that_is_being_changed(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    def change(tx: Transaction) -> None:
        assert tx.assistant_head("mine") is not None
        tx.add_assistant_version(an_assistant(version=2))

    changing = Halted(a, change)
    await changing.until_done()
    async with asyncio.timeout(TIMEOUT):
        assert await b.write(lambda tx: tx.keep_assistant("mine"))
    await changing.finish()


async def test_who_changes_an_assistant_sees_the_version_that_was_made_before(
    a: PostgresStorage, b: PostgresStorage
) -> None:
    second = an_assistant(version=2, name="second")

    def change(tx: Transaction) -> None:
        assert tx.assistant_head("mine") is not None
        tx.add_assistant_version(second)

    def change_again(tx: Transaction) -> None:
        head, there = tx.assistant_head("mine"), tx.assistant("mine")
        assert head is not None
        assert there == second
        tx.add_assistant_version(replace(there, version=head.newest + 1))

    changing = Halted(a, change)
    await changing.until_done()
    again = asyncio.create_task(b.write(change_again))
    await waiting_for_locks(b)
    await changing.finish()
    await again
    latest = await b.read(lambda r: r.assistant("mine"))
    assert latest == replace(second, version=3)
