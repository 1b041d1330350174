"""The threads of nodes: for each run it is known which of its calls have not returned."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import TypeVar

import pytest
from graphwire_server.graphs.node_threads import (
    LoopThreads,
    NodeThreads,
    current_run,
    graph_code,
    in_thread,
)

T = TypeVar("T")


@pytest.fixture
def pool() -> Iterator[NodeThreads]:
    """A pool of two threads."""
    pool = NodeThreads(2)
    yield pool
    pool.shutdown()


def submit_for(run_id: str, pool: NodeThreads, call: Callable[[], T]) -> Future[T]:
    token = current_run.set(run_id)
    try:
        return pool.submit(call)
    finally:
        current_run.reset(token)


class Blocker:
    """A call that goes on until it is told to return."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._go = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self._go.wait(30)
        return "returned"

    def release(self) -> None:
        self._go.set()


async def test_a_run_has_returned_when_all_of_its_calls_have(pool: NodeThreads) -> None:
    first, second = Blocker(), Blocker()
    futures = [submit_for("run", pool, blocker) for blocker in (first, second)]
    first.begun.wait(30)
    second.begun.wait(30)
    returned = asyncio.create_task(pool.returned("run"))
    first.release()
    await asyncio.to_thread(futures[0].result)
    await asyncio.sleep(0.01)
    assert not returned.done()
    second.release()
    await asyncio.wait_for(returned, 10)
    assert [future.result() for future in futures] == ["returned", "returned"]
    await asyncio.wait_for(pool.returned("run"), 10)


async def test_calls_of_others_are_not_waited_for(pool: NodeThreads) -> None:
    other, nobodys = Blocker(), Blocker()
    submit_for("other", pool, other)
    pool.submit(nobodys)
    await asyncio.wait_for(pool.returned("run"), 10)
    for blocker in (other, nobodys):
        blocker.release()
    await asyncio.wait_for(pool.returned("other"), 10)


async def test_calls_that_have_not_begun_are_dropped(pool: NodeThreads) -> None:
    busy = [Blocker(), Blocker()]
    for blocker in busy:
        submit_for("other", pool, blocker)
    called = threading.Event()
    waiting = submit_for("run", pool, called.set)
    await asyncio.wait_for(pool.returned("run"), 10)
    assert waiting.cancelled()
    for blocker in busy:
        blocker.release()
    await asyncio.wait_for(pool.returned("other"), 10)
    assert not called.is_set()


async def test_a_call_that_raises_has_returned(pool: NodeThreads) -> None:
    def fail() -> None:
        raise SystemExit("even so")

    future = submit_for("run", pool, fail)
    await asyncio.wait_for(pool.returned("run"), 10)
    assert isinstance(future.exception(), SystemExit)


async def test_asyncio_submits_for_the_run_of_its_task(pool: NodeThreads) -> None:
    blocker = Blocker()
    loop = asyncio.get_running_loop()

    async def node() -> str:
        return await loop.run_in_executor(pool, blocker)

    token = current_run.set("run")
    task = asyncio.create_task(node())
    current_run.reset(token)
    await asyncio.to_thread(blocker.begun.wait, 30)
    # That the task is cancelled does not make the call return.
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    returned = asyncio.create_task(pool.returned("run"))
    await asyncio.sleep(0.01)
    assert not returned.done()
    blocker.release()
    await asyncio.wait_for(returned, 10)


async def test_no_call_is_missed_while_others_return(pool: NodeThreads) -> None:
    # Calls are added by one thread and taken off by others, all the time.
    for _ in range(200):
        for _ in range(10):
            submit_for("run", pool, lambda: None)
        blocker = Blocker()
        submit_for("run", pool, blocker)
        returned = asyncio.create_task(pool.returned("run"))
        await asyncio.to_thread(blocker.begun.wait, 0.001)
        if blocker.begun.is_set():
            await asyncio.sleep(0)
            assert not returned.done()
        blocker.release()
        await asyncio.wait_for(returned, 10)


# --- which threads a call gets for which none are named ---


async def thread_name() -> str:
    """Returns what the thread of a call is called."""
    name: str = await in_thread(lambda: threading.current_thread().name)
    return name.partition("_")[0]


def on_a_loop(pool: NodeThreads, test: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs a test on an event loop with the threads that a server sets."""

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(LoopThreads(pool))
        await asyncio.wait_for(test(), 30)

    asyncio.run(run())


def test_graphs_get_the_threads_of_nodes_and_the_server_its_own(pool: NodeThreads) -> None:
    async def test() -> None:
        assert await thread_name() == "server"
        with graph_code():
            assert await thread_name() == "node"
        token = current_run.set("run")
        with graph_code():
            assert current_run.get() == "run"
        inside = asyncio.create_task(thread_name())
        current_run.reset(token)
        assert await inside == "node"
        assert await thread_name() == "server"

    on_a_loop(pool, test)


def test_the_servers_own_calls_need_no_thread_of_nodes(pool: NodeThreads) -> None:
    busy = [Blocker() for _ in range(3)]
    for blocker in busy:
        submit_for("run", pool, blocker)

    async def test() -> None:
        assert await thread_name() == "server"
        loop = asyncio.get_running_loop()
        assert await loop.getaddrinfo("localhost", 80)
        # To be done with them waits for no node either.
        await loop.shutdown_default_executor()

    try:
        on_a_loop(pool, test)
    finally:
        for blocker in busy:
            blocker.release()


async def test_whoever_waits_for_a_call_that_raises_stop_iteration_is_told() -> None:
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        await asyncio.wait_for(in_thread(lambda: next(iter(()))), 10)
    assert isinstance(caught.value.__cause__, StopIteration)
