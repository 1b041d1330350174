"""What tests of journals and of the log have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from graphwire.v1 import payload_pb2
from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.runs.events import end_event
from graphwire_server.runs.journal import Journal, Sealing
from graphwire_server.storage.interface import Reader, Transaction
from graphwire_server.storage.records import EventRecord, Lease, RunStatus
from graphwire_server.storage.sqlite import SqliteStorage

T = TypeVar("T")

#: Under which all runs of these tests execute.
LEASE = Lease("server", 1)


class HeldStorage:
    """A storage whose writes a test can hold up, or have fail."""

    def __init__(self, storage: SqliteStorage) -> None:
        self._storage = storage
        self._go = asyncio.Event()
        self._go.set()
        self._reached = asyncio.Event()
        self.failure: Exception | None = None
        self.writes = 0

    def hold(self) -> None:
        """Holds up every write from now on."""
        self._go.clear()
        self._reached.clear()

    async def reached(self) -> None:
        """Waits until a write is held up."""
        await asyncio.wait_for(self._reached.wait(), 10)

    def release(self) -> None:
        """Lets writes go on."""
        self._go.set()

    async def read(self, work: Callable[[Reader], T], *, short: bool = False) -> T:
        return await self._storage.read(work, short=short)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        self.writes += 1
        self._reached.set()
        await self._go.wait()
        if self.failure is not None:
            raise self.failure
        return await self._storage.write(work)

    async def events(self, run_id: str = "run") -> list[tuple[int, str]]:
        """Sequences and what the ticks said, of all events that are kept."""
        return numbers(await self.read(lambda db: db.events(run_id, after=0, limit=10_000)))


def tick(number: int) -> pb.RunEvent:
    data = payload_pb2.Payload(json=str(number))
    return pb.RunEvent(custom=pb.CustomEvent(data=data))


def piece(text: str, message_id: str = "m", *, last: bool = False, **fields: Any) -> pb.RunEvent:
    content = [pb.ContentPiece(text=text)] if text else []
    message = pb.MessageEvent(message_id=message_id, content=content, last=last, **fields)
    return pb.RunEvent(message=message)


def numbers(records: list[EventRecord]) -> list[tuple[int, str]]:
    """Sequences and what the ticks said."""
    events = [pb.RunEvent.FromString(record.data) for record in records]
    assert [event.sequence for event in events] == [record.sequence for record in records]
    return [(event.sequence, event.custom.data.json) for event in events]


async def take(reader: AsyncIterator[EventRecord | None], count: int) -> list[EventRecord]:
    """Takes so many events, heartbeats left out."""
    taken: list[EventRecord] = []
    while len(taken) < count:
        record = await asyncio.wait_for(anext(reader), 10)
        if record is not None:
            taken.append(record)
    return taken


async def rest(reader: AsyncIterator[EventRecord | None]) -> list[EventRecord]:
    async with asyncio.timeout(10):
        return [record async for record in reader if record is not None]


def ends(run_id: str) -> Callable[[Transaction, Sealing], list[EventRecord]]:
    """Returns what ends a run as the executor does."""

    def work(tx: Transaction, seal: Sealing) -> list[EventRecord]:
        sealed = seal([end_event(RunStatus.SUCCEEDED, None, "")])
        tx.append_events(sealed)
        tx.change_run(run_id, RunStatus.SUCCEEDED, now=2)
        return sealed

    return work


async def end(journal: Journal) -> None:
    """Ends a run."""
    await journal.end(ends(journal.run.run_id))
