"""A soak from its beginning to its end."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphwire import AsyncClient, Thread, ThreadChangeKind

from tests.soak.sampler import Sampler
from tests.soak.scenarios import PATIENCE, SCENARIOS, Caller, Scenario, Tally
from tests.soak.servers import TTL, Servers, running_servers

#: After so many wrong things it is over.
_MOST_WRONG = 20
#: From this time on, in seconds, all that was not deleted is also gone by the retention.
_LONG = 2 * TTL


@dataclass(frozen=True, slots=True)
class Plan:
    """What a soak is to do.

    Attributes:
        seconds: How long it loads the servers.
        seed: Of what is random.
        callers: How many there are at once.
        postgres: Two servers on Postgres, in the place of one on SQLite.
        sample_seconds: How often it measures.
    """

    seconds: float
    seed: int
    callers: int = 8
    postgres: bool = False
    sample_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it.

    Attributes:
        wrong: What went wrong; nothing is right.
        figures: What was measured, line by line.
        played: How often each scenario was played.
    """

    wrong: list[str]
    figures: list[str] = field(default_factory=list)
    played: Counter[str] = field(default_factory=Counter)


class Watcher:
    """Watches all threads on one server, and counts the ends of runs.

    Attributes:
        ends: How often it was told of the end of each run.
    """

    def __init__(self, client: AsyncClient) -> None:
        """Takes a client."""
        self.ends: Counter[str] = Counter()
        self._client = client

    async def watch(self, opened: asyncio.Event) -> None:
        """Watches until it is cancelled."""
        async with self._client.threads.watch(kinds=[ThreadChangeKind.RUN_ENDED]) as changes:
            opened.set()
            async for change in changes:
                assert change.run is not None
                self.ends[change.run.run_id] += 1

    def missing(self, ended: set[str]) -> set[str]:
        """Returns the runs of whose end it was not told."""
        return ended - self.ends.keys()


def soak(plan: Plan, folder: Path, say: Callable[[str], None]) -> Report:
    """Loads servers, and returns what came of it.

    Raises:
        AssertionError: A server did not stop as it should.
    """
    with running_servers(folder, postgres=plan.postgres) as servers:
        report = asyncio.run(_soak(plan, servers, folder, say))
    report.wrong.extend(f"in a server's log: {line}" for line in servers.faults()[:_MOST_WRONG])
    return report


async def _soak(plan: Plan, servers: Servers, folder: Path, say: Callable[[str], None]) -> Report:
    tally = Tally()
    async with AsyncExitStack() as stack:
        addresses = [process.address for process in servers.processes]
        clients = [await stack.enter_async_context(AsyncClient(a)) for a in addresses]
        sampler = Sampler(servers, clients)
        landmarks = [await _landmark(clients[0]) for _ in range(10)]
        watchers, watching = [Watcher(client) for client in clients], []
        for watcher in watchers:
            opened = asyncio.Event()
            watching.append(asyncio.create_task(watcher.watch(opened)))
            await opened.wait()
        callers = []
        for number in range(plan.callers):
            own = folder / f"caller-{number}"
            own.mkdir()
            callers.append(Caller(clients, addresses, tally, f"{plan.seed} {number}", own))
        await _play(callers, tally, plan, sampler, say)
        tally.wrong += await _afterwards(plan, clients[0], landmarks, watchers, tally)
        tally.wrong += [f"grows: {each}" for each in sampler.trends() if each.grows]
        for task in watching:
            # One that has failed has told nobody so far.
            if task.done():
                tally.wrong.append(f"a watcher ended: {task.exception()!r}")
            task.cancel()
        await asyncio.wait(watching)
    figures = [f"{tally.runs} runs checked", *sampler.summary(), *map(str, sampler.trends())]
    return Report(tally.wrong, figures, tally.played)


async def _play(
    callers: list[Caller],
    tally: Tally,
    plan: Plan,
    sampler: Sampler,
    say: Callable[[str], None],
) -> None:
    """Has callers play scenarios for as long as the plan says, and measures meanwhile."""
    deadline, stop = time.monotonic() + plan.seconds, asyncio.Event()

    async def play_on(caller: Caller) -> None:
        scenarios, weights = list(SCENARIOS), list(SCENARIOS.values())
        # Each of them at least once, however short the time.
        first = caller.chance.sample(scenarios, len(scenarios))
        share = first[:: plan.callers] if len(callers) > 1 else first
        while time.monotonic() < deadline and len(tally.wrong) < _MOST_WRONG:
            (chosen,) = caller.chance.choices(scenarios, weights)
            await _play_one(share.pop() if share else chosen, caller, tally)

    sampling = asyncio.create_task(sampler.sample_until(stop, seconds=plan.sample_seconds))
    playing = [asyncio.create_task(play_on(caller)) for caller in callers]
    while not all(task.done() for task in playing):
        await asyncio.wait(playing, timeout=30)
        say(f"{tally.runs} runs checked, {len(tally.wrong)} things wrong")
    stop.set()
    await asyncio.gather(sampling, *playing)
    await sampler.sample()


async def _play_one(scenario: Scenario, caller: Caller, tally: Tally) -> None:
    name = scenario.__name__
    try:
        async with asyncio.timeout(2 * PATIENCE):
            await scenario(caller)
    except Exception:  # noqa: BLE001  # whatever it is, it is wrong
        tally.wrong.append(f"{name}: {traceback.format_exc(limit=-3, chain=False)}")
    else:
        tally.played[name] += 1


async def _landmark(client: AsyncClient) -> Thread:
    """Makes a thread that waits, and that nothing of all this may touch."""
    thread = await client.threads.create(ttl=0, metadata={"landmark": True})
    await client.runs.run(thread.thread_id, "asks", input={"log": ["here"]}, timeout=PATIENCE)
    return await client.threads.get(thread.thread_id)


async def _afterwards(
    plan: Plan,
    client: AsyncClient,
    landmarks: list[Thread],
    watchers: list[Watcher],
    tally: Tally,
) -> list[str]:
    """Returns what is wrong when all have gone."""
    wrong = []
    for thread in landmarks:
        if await client.threads.get(thread.thread_id) != thread:
            wrong.append(f"thread {thread.thread_id} has changed")
        (state,) = [await client.threads.state(thread.thread_id)]
        if state.values != {"log": ["here"]}:
            wrong.append(f"the state of thread {thread.thread_id} is {state.values}")
    await _until(lambda: not any(watcher.missing(tally.ended) for watcher in watchers))
    for watcher in watchers:
        if missing := watcher.missing(tally.ended):
            wrong.append(f"a watcher was not told of the end of {len(missing)} runs: {missing}")
        twice = [run_id for run_id, times in watcher.ends.items() if times > 1]
        if twice:
            wrong.append(f"a watcher was told twice of the end of {twice}")
    if plan.seconds >= _LONG:
        kept = len(landmarks)
        left = await _until_async(client.threads.count, kept, seconds=4 * TTL)
        if left != kept:
            wrong.append(f"{left} threads are left, and {kept} are to be kept")
    return wrong


async def _until(condition: Callable[[], bool]) -> None:
    """Waits until a condition is true, or for so long that it will not be."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.1)


async def _until_async(get: Callable[[], Any], wanted: Any, *, seconds: float) -> Any:
    """Asks until the answer is the wanted one, or for so long; returns the last."""
    deadline = time.monotonic() + seconds
    while (found := await get()) != wanted and time.monotonic() < deadline:
        await asyncio.sleep(1)
    return found
