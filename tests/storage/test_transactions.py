"""Contract: a write is kept wholly or not at all, and a read sees one state."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import orjson
import pytest
from graphwire_server.storage.interface import Reader, Storage, StorageError, Transaction
from graphwire_server.storage.records import PauseStatus, RunStatus, ThreadFilter

from .builders import a_pause, a_run, a_thread, add, an_event

TIMEOUT = 30


def count(reader: Reader) -> int:
    return reader.count_threads(ThreadFilter())


def insert_pair(name: str, tx: Transaction) -> str:
    """Adds a thread and its run: two rows of which there must never be one alone."""
    tx.insert_thread(a_thread(name))
    tx.insert_run(a_run(f"{name}-run", name))
    return name


def has_pair(name: str, reader: Reader) -> bool:
    thread, run = reader.thread(name), reader.run(f"{name}-run")
    assert (thread is None) == (run is None)
    return thread is not None


async def test_work_returns_its_value(storage: Storage) -> None:
    assert await storage.write(partial(insert_pair, "t")) == "t"
    assert await storage.read(partial(has_pair, "t")) is True


async def test_work_sees_its_own_changes(storage: Storage) -> None:
    def work(tx: Transaction) -> tuple[int, int]:
        before = count(tx)
        tx.insert_thread(a_thread())
        return before, count(tx)

    assert await storage.write(work) == (0, 1)


async def test_a_work_that_raises_leaves_nothing_and_raises_what_it_raised(
    storage: Storage,
) -> None:
    error = LookupError("mine")

    def work(tx: Transaction) -> None:
        insert_pair("t", tx)
        tx.append_events([an_event(1, "t-run")])
        raise error

    with pytest.raises(LookupError) as caught:
        await storage.write(work)
    assert caught.value is error
    assert await storage.read(partial(has_pair, "t")) is False
    assert await storage.write(partial(insert_pair, "t")) == "t"


async def test_a_read_raises_what_its_work_raised(storage: Storage) -> None:
    error = LookupError("mine")

    def work(reader: Reader) -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        await storage.read(work)
    assert caught.value is error


async def test_a_stop_iteration_hangs_nobody(storage: Storage) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await storage.read(lambda r: next(iter(())))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await storage.write(lambda tx: next(iter(())))
    assert await storage.write(partial(insert_pair, "t")) == "t"


async def test_a_failing_work_takes_no_other_with_it(storage: Storage) -> None:
    def work(number: int, tx: Transaction) -> int:
        insert_pair(f"{number:03}", tx)
        if number % 7 == 0:
            raise LookupError(number)
        if number % 11 == 0:
            tx.insert_thread(a_thread(f"{number:03}"))
        return number

    results = await asyncio.gather(
        *(storage.write(partial(work, number)) for number in range(100)), return_exceptions=True
    )
    for number, result in enumerate(results):
        kept = number % 7 != 0 and number % 11 != 0
        assert (result == number) is kept
        assert await storage.read(partial(has_pair, f"{number:03}")) is kept


async def test_writes_run_one_after_another_in_the_order_of_arrival(storage: Storage) -> None:
    await add(storage, a_thread(metadata="[]"))

    def append(number: int, tx: Transaction) -> None:
        thread = tx.thread("thread")
        assert thread is not None
        numbers = [*orjson.loads(thread.metadata), number]
        tx.update_thread("thread", now=number, metadata=orjson.dumps(numbers).decode())

    await asyncio.gather(*(storage.write(partial(append, number)) for number in range(300)))
    thread = await storage.read(lambda r: r.thread("thread"))
    assert thread is not None
    assert orjson.loads(thread.metadata) == list(range(300))


async def test_of_many_that_start_a_run_one_wins(storage: Storage) -> None:
    await add(storage, a_thread(), a_run())
    won = await asyncio.gather(
        *(
            storage.write(lambda tx: tx.change_run("run", RunStatus.RUNNING, now=1))
            for _ in range(20)
        )
    )
    assert sorted(won) == [False] * 19 + [True]


async def test_of_many_that_answer_a_pause_one_wins(storage: Storage) -> None:
    await add(storage, a_thread(), a_pause())

    def answer(number: int, tx: Transaction) -> bool:
        return tx.resolve_pause(
            "pause", PauseStatus.RESUMED, now=1, by_run_id=f"{number}", answer=f"{number}"
        )

    won = await asyncio.gather(*(storage.write(partial(answer, number)) for number in range(20)))
    (winner,) = [number for number, result in enumerate(won) if result]
    (pause,) = await storage.read(lambda r: r.pauses_of_run("run"))
    assert (pause.resolved_by_run_id, pause.answer) == (f"{winner}", f"{winner}")


async def test_a_read_sees_every_finished_write(storage: Storage) -> None:
    for number in range(30):
        await storage.write(partial(insert_pair, f"{number}"))
        seen = await asyncio.gather(*(storage.read(count) for _ in range(3)))
        assert seen == [number + 1] * 3


async def test_a_read_sees_one_state_while_others_write(storage: Storage) -> None:
    await add(storage, a_thread("old"))
    has_read, has_written = threading.Event(), threading.Event()

    def work(reader: Reader) -> tuple[int, int]:
        before = count(reader)
        has_read.set()
        assert has_written.wait(TIMEOUT)
        return before, count(reader)

    reading = asyncio.create_task(storage.read(work))
    assert await asyncio.to_thread(has_read.wait, TIMEOUT)
    await add(storage, a_thread("new"))
    has_written.set()
    assert await reading == (1, 1)
    assert await storage.read(count) == 2


async def test_a_cancelled_write_is_done_wholly_or_not_at_all(storage: Storage) -> None:
    for turns in range(12):
        name = f"{turns}"
        writing = asyncio.create_task(storage.write(partial(insert_pair, name)))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        # What follows it is done, and so whatever was done of it is done.
        await storage.write(partial(insert_pair, f"{name}-after"))
        await storage.read(partial(has_pair, name))
        assert await storage.read(partial(has_pair, f"{name}-after"))


async def test_a_cancelled_read_frees_its_place(storage: Storage) -> None:
    for turns in range(12):
        reading = asyncio.create_task(storage.read(count))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
    assert await asyncio.gather(*(storage.read(count) for _ in range(9))) == [0] * 9


async def test_reads_and_writes_from_many_tasks_all_come_true(storage: Storage) -> None:
    async def one(task: int) -> None:
        for number in range(10):
            name = f"{task}-{number}"
            await storage.write(partial(insert_pair, name))
            assert await storage.read(partial(has_pair, name))

    await asyncio.gather(*(one(task) for task in range(30)))
    assert await storage.read(count) == 300


async def test_closing_finishes_the_writes_under_way(storage: Storage) -> None:
    writes = [
        asyncio.create_task(storage.write(partial(insert_pair, f"{number}")))
        for number in range(50)
    ]
    await asyncio.sleep(0)
    await storage.close()
    assert await asyncio.gather(*writes) == [f"{number}" for number in range(50)]


async def test_a_closed_storage_says_so(storage: Storage) -> None:
    await storage.close()
    await storage.close()
    with pytest.raises(StorageError, match="closed"):
        await storage.write(count)
    with pytest.raises(StorageError, match="closed"):
        await storage.read(count)
    with pytest.raises(StorageError, match="closed"):
        storage.renew_server("s", ttl=1)
    storage.announce("topic")


async def test_two_may_close_at_once_and_one_may_give_up_waiting(storage: Storage) -> None:
    closing = [asyncio.create_task(storage.close()) for _ in range(3)]
    await asyncio.sleep(0)
    closing[0].cancel()
    results = await asyncio.gather(*closing, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None, None]
