"""What callers do in a soak. Each scenario checks all that it has started, to the end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphwire import (
    Approve,
    AsyncClient,
    Breakpoint,
    Custom,
    Edit,
    End,
    Event,
    Reject,
    Resume,
    RunStatus,
    ThreadStatus,
)
from graphwire.errors import (
    NothingToResumeError,
    PauseNotOpenError,
    RunEndedError,
    ThreadBusyError,
)
from graphwire.reviews import Decision

from tests.forked import Forked
from tests.soak.doomed import stream_until_killed
from tests.soak.servers import TTL

#: How long what is waited for may take on a busy machine, in seconds.
PATIENCE = 120.0


@dataclass
class Tally:
    """What has happened so far.

    Attributes:
        played: How often each scenario was played.
        wrong: What went wrong.
        ended: The runs whose end watchers must tell of.
        runs: How many runs were started and checked.
    """

    played: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    runs: int = 0


class Caller:
    """Somebody who plays scenarios, each on a server by chance.

    Attributes:
        chance: What is random.
    """

    def __init__(
        self,
        clients: list[AsyncClient],
        addresses: list[str],
        tally: Tally,
        seed: str,
        folder: Path,
    ) -> None:
        """Takes the clients of all servers, and an empty folder."""
        self.chance = random.Random(seed)
        self._clients = clients
        self._addresses = addresses
        self._tally = tally
        self._folder = folder
        self._ledgers = 0

    @property
    def client(self) -> AsyncClient:
        """A client of one of the servers."""
        return self.chance.choice(self._clients)

    @property
    def address(self) -> str:
        """The address of one of the servers."""
        return self.chance.choice(self._addresses)

    def ledger(self) -> Path:
        """Returns a new file for nodes to write in."""
        self._ledgers += 1
        return self._folder / f"ledger-{self._ledgers}"

    async def thread(self) -> str:
        """Makes a thread, which is kept for a while."""
        return (await self.client.threads.create(ttl=TTL)).thread_id

    async def check(self, run_id: str, *statuses: RunStatus, watched: bool = True) -> list[Event]:
        """Checks a run: its end, and that its events are all there; returns them."""
        result = await self.client.runs.wait(run_id, timeout=PATIENCE)
        assert result.run.status in statuses, f"run {run_id} is {result.run.status}"
        events = [event async for event in self.client.runs.join(run_id, timeout=PATIENCE)]
        check_whole(events)
        assert events[-1].status is result.run.status  # type: ignore[attr-defined]
        self._tally.runs += 1
        if watched:
            self._tally.ended.add(run_id)
        return events

    async def gone(self, thread_id: str) -> None:
        """Deletes a thread, or leaves it to the retention."""
        if self.chance.random() < 0.5:
            await self.client.threads.delete(thread_id)


def check_whole(events: list[Event]) -> None:
    """Checks that events are a whole stream: all of them, once, in order."""
    sequences = [event.sequence for event in events]
    assert sequences == list(range(1, len(events) + 1)), sequences
    assert isinstance(events[-1], End), events[-1]


def read_once(ledger: Path, *lines: str) -> None:
    """Checks what nodes have written into a file, and removes it."""
    found = ledger.read_text().splitlines() if ledger.exists() else []
    assert found == list(lines), found
    ledger.unlink(missing_ok=True)


def flood(caller: Caller, **fields: Any) -> dict[str, Any]:
    """The input of a run of `flood`."""
    return {"log": [], "count": caller.chance.randint(5, 100), "size": 200, **fields}


async def plain(caller: Caller) -> None:
    """A stream from its beginning to its end."""
    count, ledger = caller.chance.randint(1, 6), caller.ledger()
    given = {"log": [], "count": count, "path": str(ledger)}
    modes = caller.chance.sample(["values", "updates", "custom", "tasks", "checkpoints"], 2)
    stream = caller.client.runs.stream(None, "counted", input=given, stream_modes=modes)
    events = [event async for event in stream]
    check_whole(events)
    await caller.check(stream.run_id, RunStatus.SUCCEEDED)
    read_once(ledger, *(f"step {number}" for number in range(count)))


async def breakpoints(caller: Caller) -> None:
    """A run that stops before each step, and is resumed on any server."""
    thread_id, ledger, count = await caller.thread(), caller.ledger(), caller.chance.randint(1, 4)
    given = {"log": [], "count": count, "path": str(ledger)}
    result = await caller.client.runs.run(
        thread_id, "counted", input=given, interrupt_before=["step"], timeout=PATIENCE
    )
    for _ in range(count):
        assert result.run.status is RunStatus.INTERRUPTED
        await caller.check(result.run.run_id, RunStatus.INTERRUPTED)
        result = await caller.client.runs.run(thread_id, resume=True, timeout=PATIENCE)
    await caller.check(result.run.run_id, RunStatus.SUCCEEDED)
    assert result.values["log"] == [f"step {number}" for number in range(count)]
    read_once(ledger, *result.values["log"])


async def answers(caller: Caller) -> None:
    """A question that two answer at once: one of them counts."""
    thread_id, ledger = await caller.thread(), caller.ledger()
    asked = await caller.client.runs.run(
        thread_id, "asks", input={"log": [], "path": str(ledger)}, timeout=PATIENCE
    )
    (pause,) = asked.pauses

    async def answer(text: str) -> str | None:
        resume = Resume(answers={pause.pause_id: text})
        try:
            run = await caller.client.runs.create(thread_id, resume=resume)
        except (PauseNotOpenError, NothingToResumeError, ThreadBusyError):
            return None
        await caller.check(run.run_id, RunStatus.SUCCEEDED, watched=False)
        return text

    given = [text for text in await asyncio.gather(answer("a"), answer("b")) if text]
    assert len(given) == 1, given
    read_once(ledger, f"answer {given[0]}")
    await caller.gone(thread_id)


async def reviews(caller: Caller) -> None:
    """A tool call that is approved, edited or rejected."""
    thread_id, ledger = await caller.thread(), caller.ledger()
    given = {"messages": [{"role": "user", "content": "refund me"}], "path": str(ledger)}
    paused = await caller.client.runs.run(
        thread_id, "agent", input=given, interrupt_before=["tools"], timeout=PATIENCE
    )
    await caller.check(paused.run.run_id, RunStatus.INTERRUPTED)
    decisions: list[tuple[Decision, list[str]]] = [
        (Approve(), ["refund 5"]),
        (Edit({"amount": 7}), ["refund 7"]),
        (Reject("no"), []),
    ]
    decision, lines = caller.chance.choice(decisions)
    run = await caller.client.runs.create(thread_id, resume=Resume(review=decision))
    await caller.check(run.run_id, RunStatus.SUCCEEDED)
    read_once(ledger, *lines)


async def expiries(caller: Caller) -> None:
    """A pause that nobody sees to: the server goes on, or gives up."""
    thread_id, ledger = await caller.thread(), caller.ledger()
    on_expiry = caller.chance.choice(["resume", "cancel"])
    point = Breakpoint("step", expires_after=1, on_expiry=on_expiry)
    paused = await caller.client.runs.run(
        thread_id,
        "counted",
        input={"log": [], "count": 1, "path": str(ledger)},
        breakpoints=[point],
        timeout=PATIENCE,
    )
    await caller.check(paused.run.run_id, RunStatus.INTERRUPTED)
    async with asyncio.timeout(PATIENCE):
        while (await caller.client.threads.get(thread_id)).status is not ThreadStatus.IDLE:
            await asyncio.sleep(0.1)
    read_once(ledger, *(["step 0"] if on_expiry == "resume" else []))


async def joins(caller: Caller) -> None:
    """Somebody who reads the events of a thread on which others run."""
    thread_id = await caller.thread()
    run_ids: list[str] = []

    async def run_two() -> None:
        for _ in range(2):
            run = await caller.client.runs.create(
                thread_id, "flood", input=flood(caller), stream_modes=["custom"]
            )
            run_ids.append(run.run_id)
            await caller.check(run.run_id, RunStatus.SUCCEEDED)

    events: list[Event] = []
    async with caller.client.threads.join(thread_id, timeout=PATIENCE) as stream:
        running = asyncio.create_task(run_two())
        async for event in stream:
            events.append(event)
            if sum(isinstance(each, End) for each in events) == 2:
                break
    await running
    for run_id in run_ids:
        check_whole([event for event in events if event.run_id == run_id])


async def slow_reader(caller: Caller) -> None:
    """A reader that stops after an event, and reads the rest late, or never."""
    given = flood(caller, count=300, size=2000)
    run = await caller.client.runs.create(None, "flood", input=given, stream_modes=["custom"])
    stream = caller.client.runs.join(run.run_id, timeout=PATIENCE)
    events = [await anext(stream)]
    await caller.check(run.run_id, RunStatus.SUCCEEDED)
    await asyncio.sleep(caller.chance.random() * 2)
    if caller.chance.random() < 0.5:
        events += [event async for event in stream]
        check_whole(events)
        assert sum(isinstance(event, Custom) for event in events) == 300
    await stream.aclose()


async def cancels(caller: Caller) -> None:
    """Runs that are cancelled, by a call or by leaving their stream."""
    given = flood(caller, count=1000, pace=0.01)
    options: dict[str, Any] = {"input": given, "stream_modes": ["custom"]}
    if caller.chance.random() < 0.5:
        stream = caller.client.runs.stream(None, "flood", on_disconnect="cancel", **options)
        for _ in range(caller.chance.randint(1, 4)):
            await anext(stream)
        await stream.aclose()
        run_id = stream.run_id
    else:
        run_id = (await caller.client.runs.create(None, "flood", **options)).run_id
        await caller.client.runs.cancel(run_id)
        with suppress(RunEndedError):
            await caller.client.runs.cancel(run_id)
    await caller.check(run_id, RunStatus.CANCELLED)


async def deletes(caller: Caller) -> None:
    """A thread that is deleted with a run at work on it, after one that has ended."""
    thread_id = await caller.thread()
    result = await caller.client.runs.run(thread_id, "flood", input=flood(caller), timeout=PATIENCE)
    await caller.check(result.run.run_id, RunStatus.SUCCEEDED, watched=False)
    await caller.client.runs.delete(result.run.run_id)
    run = await caller.client.runs.create(
        thread_id, "flood", input=flood(caller, count=1000, pace=0.01)
    )
    await caller.client.runs.cancel(run.run_id, wait=True, timeout=PATIENCE)
    await caller.check(run.run_id, RunStatus.CANCELLED, watched=False)
    await caller.client.threads.delete(thread_id)
    assert [found async for found in caller.client.threads.list(thread_ids=[thread_id])] == []


async def watches(caller: Caller) -> None:
    """Somebody who watches a thread for one run."""
    thread_id = await caller.thread()
    async with caller.client.threads.watch(thread_ids=[thread_id], timeout=PATIENCE) as watching:
        run = await caller.client.runs.create(thread_id, "flood", input=flood(caller))
        kinds = []
        async for change in watching:
            assert change.run is not None
            assert change.run.run_id == run.run_id
            kinds.append(change.kind.value)
            if change.kind.value == "RUN_ENDED":
                break
    assert kinds == ["RUN_STARTED", "RUN_ENDED"], kinds
    await caller.check(run.run_id, RunStatus.SUCCEEDED)


async def killed_clients(caller: Caller) -> None:
    """A client that is killed in the middle of a stream, whose run ends with it."""
    told = caller.ledger()
    process = Forked(stream_until_killed, caller.address, str(told))
    async with asyncio.timeout(PATIENCE):
        while not (told.exists() and told.read_text().endswith("\n")):
            await asyncio.sleep(0.02)
    process.kill()
    await asyncio.to_thread(process.wait, PATIENCE)
    await caller.check(told.read_text().strip(), RunStatus.CANCELLED)
    told.unlink()


Scenario = Callable[[Caller], Awaitable[None]]

#: The scenarios, and how often each is played beside the others.
SCENARIOS: dict[Scenario, int] = {
    plain: 6,
    breakpoints: 4,
    answers: 3,
    reviews: 3,
    expiries: 2,
    joins: 3,
    slow_reader: 2,
    cancels: 3,
    deletes: 2,
    watches: 3,
    killed_clients: 1,
}
