"""Principals that share a server: whose run is executed next, and whose has to wait."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from graphwire import errors
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.queue_limits import QueueLimits
from graphwire_server.runs.request import InputStart, RunRequest
from graphwire_server.storage.records import RunRecord, RunStatus
from langgraph.graph import START, StateGraph

from tests.graphs.small import Log
from tests.runs.in_process import Services, serving


class Hall:
    """A graph whose runs note that they began, and wait until they are let go.

    Attributes:
        begun: Who has begun, in order: what each run was given.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}
        self._news = asyncio.Condition()

    def graph(self) -> Any:
        async def wait(state: Log) -> Log:
            name = state["log"][-1]
            self.begun.append(name)
            async with self._news:
                self._news.notify_all()
            await self._door(name).wait()
            return {}

        builder: Any = StateGraph(Log)
        builder.add_node("wait", wait)
        builder.add_edge(START, "wait")
        return builder.compile()

    def _door(self, name: str) -> asyncio.Event:
        return self._doors.setdefault(name, asyncio.Event())

    def let_go(self, name: str) -> None:
        self._door(name).set()

    async def until_begun(self, count: int) -> None:
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: len(self.begun) >= count)


async def begin(services: Services, name: str, **fields: Any) -> RunRecord:
    """Starts a run of the principal that its name begins with: `ann-1`."""
    start = InputStart({"log": [name]})
    return await services.begin(start, principal=name.partition("-")[0], **fields)


async def test_a_thousand_runs_of_one_delay_a_single_one_of_another_by_one_slot(
    tmp_path: Path,
) -> None:
    hall = Hall()
    async with serving(tmp_path, hall.graph(), slots=1) as services:
        runs = [await begin(services, f"many-{i}") for i in range(1000)]
        assert [run.status for run in runs[:2]] == [RunStatus.RUNNING, RunStatus.PENDING]
        single = await begin(services, "single-0")
        for count in range(1, 5):
            await hall.until_begun(count)
            hall.let_go(hall.begun[-1])
        assert hall.begun[:4] == ["many-0", "many-1", "single-0", "many-2"]
        assert (await services.end_of(single)).status == "SUCCEEDED"


async def test_slots_are_shared_among_those_who_wait(tmp_path: Path) -> None:
    hall = Hall()
    async with serving(tmp_path, hall.graph(), slots=4) as services:
        for i in range(12):
            await begin(services, f"ann-{i}")
        await hall.until_begun(4)
        for i in range(4):
            await begin(services, f"bob-{i}")
        # Those that end are followed by others until both have as many.
        for i in range(4):
            hall.let_go(f"ann-{i}")
            await hall.until_begun(5 + i)
        assert sorted(hall.begun[4:]) == ["ann-4", "ann-5", "bob-0", "bob-1"]


async def test_who_comes_when_a_slot_is_free_does_not_take_it_from_those_who_wait(
    tmp_path: Path,
) -> None:
    hall = Hall()
    async with serving(tmp_path, hall.graph(), slots=1) as services:
        await begin(services, "ann-0")
        await hall.until_begun(1)
        waits = await begin(services, "bob-0")
        assert waits.status is RunStatus.PENDING
        hall.let_go("ann-0")
        # All the while others arrive.
        count = 1
        while "bob-0" not in hall.begun:
            late = await begin(services, f"ann-{count}")
            assert late.status is RunStatus.PENDING
            count += 1
        assert hall.begun == ["ann-0", "bob-0"]


async def test_nobody_has_more_at_once_than_his_limit_and_others_do_not_wait_for_him(
    tmp_path: Path,
) -> None:
    hall = Hall()
    limits = QueueLimits(running_of_one=2)
    async with serving(tmp_path, hall.graph(), queue=limits) as services:
        mine = [await begin(services, f"ann-{i}") for i in range(4)]
        assert [run.status for run in mine] == [RunStatus.RUNNING] * 2 + [RunStatus.PENDING] * 2
        assert (await begin(services, "bob-0")).status is RunStatus.RUNNING
        await hall.until_begun(3)
        hall.let_go("ann-1")
        await hall.until_begun(4)
        assert hall.begun[3] == "ann-2"
        hall.let_go("ann-0")
        await hall.until_begun(5)
        assert hall.begun[4] == "ann-3"


async def test_the_queue_of_one_is_full_and_that_of_another_is_not(tmp_path: Path) -> None:
    hall = Hall()
    limits = QueueLimits(queued=4, queued_of_one=2)
    async with serving(tmp_path, hall.graph(), slots=1, queue=limits) as services:
        for name in ("ann-0", "ann-1", "ann-2", "bob-0"):
            await begin(services, name)
        with pytest.raises(errors.LimitReachedError) as caught:
            await begin(services, "ann-3")
        assert caught.value.metadata == {
            "limit": "max_queued_runs_per_principal",
            "value": "3",
            "maximum": "2",
        }
        assert caught.value.message == (
            "the queue is full: 2 runs of yours wait for their turn, and the server takes 2 "
            "(max_queued_runs_per_principal); try again when it is shorter"
        )
        await begin(services, "bob-1")
        with pytest.raises(errors.LimitReachedError) as caught:
            await begin(services, "eve-0")
        assert caught.value.metadata["limit"] == "max_queued_runs"


async def test_of_a_queue_for_one_run_it_is_said_that_it_waits(tmp_path: Path) -> None:
    hall = Hall()
    limits = QueueLimits(queued=1, queued_of_one=0)
    async with serving(tmp_path, hall.graph(), slots=1, queue=limits) as services:
        await begin(services, "ann-0")
        await begin(services, "ann-1")
        with pytest.raises(errors.LimitReachedError) as caught:
            await begin(services, "bob-0")
        assert caught.value.message == (
            "the queue is full: 1 run waits for its turn, and the server takes 1 "
            "(max_queued_runs); try again when it is shorter"
        )


async def test_a_batch_that_the_queue_never_takes_is_not_to_be_tried_again(tmp_path: Path) -> None:
    hall = Hall()
    limits = QueueLimits(queued=4, queued_of_one=2)
    ann = Caller(principal="ann")

    def run(name: str, **fields: Any) -> RunRequest:
        return RunRequest(InputStart({"log": [name]}), assistant_id="g", **fields)

    async def refused(services: Services, requests: list[RunRequest]) -> errors.LimitReachedError:
        with pytest.raises(errors.LimitReachedError) as caught:
            await services.runs.start_all(requests, request_id="", callers=[ann] * len(requests))
        return caught.value

    async with serving(tmp_path, hall.graph(), slots=1, queue=limits) as services:
        await begin(services, "ann-0")
        too_many = await refused(services, [run(f"ann-{n}") for n in range(1, 5)])
        assert too_many.message == (
            "3 of these runs would have to wait for their turn, and the server lets at most 2 "
            "wait (max_queued_runs_per_principal): start fewer at once"
        )
        assert (too_many.retry_after, too_many.metadata["value"]) == (None, "3")
        delayed = [run(f"ann-{n}", start_delay=3_600_000_000) for n in range(5)]
        assert (await refused(services, delayed)).metadata["limit"] == "max_queued_runs"
        # With one at work, these find no room either; once that has ended, they do.
        three = [run(f"ann-{n}") for n in range(1, 4)]
        assert (await refused(services, three)).retry_after == 1.0


async def test_start_delays_and_the_order_on_a_thread_are_kept(tmp_path: Path) -> None:
    hall = Hall()
    async with serving(tmp_path, hall.graph(), slots=1) as services:
        first = await begin(services, "ann-0")
        await hall.until_begun(1)
        # Behind each other on one thread, whoever has fewer at work.
        for name in ("ann-1", "bob-1"):
            await begin(services, name, thread_id=first.thread_id, multitask="ENQUEUE")
        await begin(services, "eve-1", start_delay=3_600_000_000)
        await begin(services, "ann-2")
        for count in range(1, 4):
            await hall.until_begun(count)
            hall.let_go(hall.begun[-1])
        await hall.until_begun(4)
        assert [name for name in hall.begun if name in ("ann-1", "bob-1")] == ["ann-1", "bob-1"]
        assert "eve-1" not in hall.begun
