"""The log of events: committed first, then shown; read from anywhere, by anyone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from graphwire import errors
from graphwire.v1 import payload_pb2, run_pb2
from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.runs.event_log import EventLog, RunRecorder
from graphwire_server.runs.events import end_event
from graphwire_server.storage.interface import Reader, StorageError, Transaction
from graphwire_server.storage.records import EventRecord, RunStatus
from graphwire_server.storage.sqlite import SqliteStorage

from tests.storage.builders import a_run, a_thread

T = TypeVar("T")


class HeldStorage:
    """A storage whose writes a test can hold up, or have fail."""

    def __init__(self, storage: SqliteStorage) -> None:
        self._storage = storage
        self._go = asyncio.Event()
        self._go.set()
        self.failure: Exception | None = None
        self.writes = 0

    def hold(self) -> None:
        self._go.clear()

    def release(self) -> None:
        self._go.set()

    async def read(self, work: Callable[[Reader], T]) -> T:
        return await self._storage.read(work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        self.writes += 1
        await self._go.wait()
        if self.failure is not None:
            raise self.failure
        return await self._storage.write(work)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[HeldStorage]:
    """A storage with a thread, and two runs on threads of their own."""
    sqlite = await SqliteStorage.open(tmp_path / "graphwire.db")

    def fill(tx: Transaction) -> None:
        for name in ("run", "other"):
            tx.insert_thread(a_thread(name))
            tx.insert_run(a_run(name, name, status=RunStatus.RUNNING))

    await sqlite.write(fill)
    yield HeldStorage(sqlite)
    await sqlite.close()


@pytest.fixture
async def log(storage: HeldStorage) -> AsyncIterator[EventLog]:
    """A log on it that sends a heartbeat after 50 ms."""
    log = EventLog(storage, heartbeat_seconds=0.05)  # type: ignore[arg-type]  # all that it uses
    log.start()
    yield log
    storage.release()
    await log.stop()


@pytest.fixture
def recorder(log: EventLog) -> RunRecorder:
    """The recorder of the run called "run"."""
    return log.recorder(a_run("run", "run"))


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


async def end(storage: HeldStorage, log: EventLog, recorder: RunRecorder) -> None:
    """Ends a run as the executor does."""
    await recorder.flushed()

    def work(tx: Transaction) -> None:
        tx.append_events(recorder.seal([end_event(RunStatus.SUCCEEDED, None, "")]))
        tx.change_run(recorder.run_id, RunStatus.SUCCEEDED, now=2)

    await storage.write(work)
    log.close(recorder)


async def rest(reader: AsyncIterator[EventRecord | None]) -> list[EventRecord]:
    async with asyncio.timeout(10):
        return [record async for record in reader if record is not None]


async def test_an_event_is_shown_when_it_is_committed_and_not_before(
    storage: HeldStorage, log: EventLog, recorder: RunRecorder
) -> None:
    reader = log.follow("run", after=0)
    storage.hold()
    recorder.append(tick(1))
    assert await anext(reader) is None  # a heartbeat: nothing to show
    assert await anext(reader) is None
    storage.release()
    assert numbers(await take(reader, 1)) == [(1, "1")]
    kept = await storage.read(lambda db: db.events("run", after=0, limit=10))
    assert numbers(kept) == [(1, "1")]


async def test_what_gathers_while_the_disk_is_busy_is_committed_together(
    storage: HeldStorage, log: EventLog, recorder: RunRecorder
) -> None:
    other = log.recorder(a_run("other", "other"))
    storage.hold()
    recorder.append(tick(0))
    await asyncio.sleep(0)
    for number in range(1, 50):
        recorder.append(tick(number))
        other.append(tick(number))
    await asyncio.sleep(0)
    assert storage.writes == 1
    storage.release()
    await asyncio.gather(recorder.flushed(), other.flushed())
    assert storage.writes == 2
    assert numbers(await take(log.follow("run", after=0), 50))[-1] == (50, "49")
    assert numbers(await take(log.follow("other", after=0), 49))[-1] == (49, "49")


async def test_readers_get_the_rest_from_wherever_they_are_and_stop_at_the_end(
    storage: HeldStorage, log: EventLog, recorder: RunRecorder
) -> None:
    # More than is kept at hand, and more than is read at once.
    count = 1200
    early = asyncio.create_task(rest(log.follow("run", after=0)))
    for number in range(1, count + 1):
        recorder.append(tick(number))
        if number % 100 == 0:
            await recorder.flushed()
    late = asyncio.create_task(rest(log.follow("run", after=0)))
    near = asyncio.create_task(rest(log.follow("run", after=count - 5)))
    await end(storage, log, recorder)
    whole = await early
    assert [record.sequence for record in whole] == list(range(1, count + 2))
    last = pb.RunEvent.FromString(whole[-1].data)
    assert last.end.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert await late == whole
    assert await near == whole[count - 5 :]
    for after in (0, 1, 600, count, count + 1):
        assert await rest(log.follow("run", after=after)) == whole[after:]


async def test_a_reader_beyond_the_last_event_is_refused(
    log: EventLog, recorder: RunRecorder
) -> None:
    recorder.append(tick(1))
    await recorder.flushed()
    with pytest.raises(errors.SequenceOutOfRangeError) as refusal:
        await anext(log.follow("run", after=2))
    assert refusal.value.metadata == {"last_sequence": "1"}
    with pytest.raises(errors.RunNotFoundError):
        await anext(log.follow("nowhere", after=0))


async def test_pieces_of_a_message_are_joined_while_they_wait_and_never_after(
    storage: HeldStorage, log: EventLog, recorder: RunRecorder
) -> None:
    start = pb.MessageStart(node="speak")
    recorder.append(piece("one", start=start))
    await recorder.flushed()
    storage.hold()
    recorder.append(piece(" two"))
    await asyncio.sleep(0)  # on its way to the disk
    for text in (" three", " four"):
        recorder.append(piece(text))
    recorder.append(piece("", usage=pb.Usage(total_tokens=4), last=True))
    recorder.append(piece("next", "n", start=start))
    recorder.append(piece(" one", "n"))
    recorder.append(tick(1))
    recorder.append(piece("!", "n"))
    elsewhere = piece("?", "n")
    elsewhere.namespace.append("child:1")
    recorder.append(elsewhere)
    storage.release()
    await recorder.flushed()
    records = await take(log.follow("run", after=0), 7)
    shown = [pb.RunEvent.FromString(record.data) for record in records]
    assert [
        (e.message.message_id, "".join(c.text for c in e.message.content), e.message.last)
        for e in shown
    ] == [
        ("m", "one", False),
        ("m", " two", False),
        ("m", " three four", True),
        ("n", "next one", False),
        ("", "", False),  # the tick
        ("n", "!", False),
        ("n", "?", False),
    ]
    assert [e.message.HasField("start") for e in shown[:4]] == [True, False, False, True]
    assert shown[2].message.usage.total_tokens == 4


async def test_a_run_that_is_far_ahead_of_the_disk_waits_for_it(
    storage: HeldStorage, recorder: RunRecorder
) -> None:
    storage.hold()
    recorder.append(tick(0))
    await asyncio.sleep(0)  # on its way to the disk
    for number in range(999):
        recorder.append(tick(number))
        await recorder.keep_pace()
    recorder.append(tick(999))
    waiting = asyncio.create_task(recorder.keep_pace())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    storage.release()
    await asyncio.wait_for(waiting, 10)
    await recorder.keep_pace()


async def test_events_that_cannot_be_kept_fail_their_run_and_no_other(
    storage: HeldStorage, log: EventLog, recorder: RunRecorder
) -> None:
    recorder.append(tick(1))
    await recorder.flushed()
    storage.failure = StorageError("the disk is full")
    recorder.append(tick(2))
    with pytest.raises(StorageError, match="the disk is full"):
        await recorder.flushed()
    with pytest.raises(StorageError, match="the disk is full"):
        await recorder.keep_pace()
    storage.failure = None
    other = log.recorder(a_run("other", "other"))
    other.append(tick(1))
    await other.flushed()
    assert numbers(await take(log.follow("other", after=0), 1)) == [(1, "1")]
    kept = await storage.read(lambda db: db.events("run", after=0, limit=10))
    assert numbers(kept) == [(1, "1")]


async def test_nothing_comes_after_the_end(
    storage: HeldStorage, log: EventLog, recorder: RunRecorder
) -> None:
    recorder.append(tick(1))
    await end(storage, log, recorder)
    recorder.append(tick(2))
    await recorder.flushed()
    records = await rest(log.follow("run", after=0))
    assert [record.sequence for record in records] == [1, 2]
    assert pb.RunEvent.FromString(records[-1].data).HasField("end")


async def test_the_last_events_can_be_sealed_again_when_their_commit_has_failed(
    storage: HeldStorage, log: EventLog, recorder: RunRecorder
) -> None:
    recorder.append(tick(1))
    await recorder.flushed()
    last = [end_event(RunStatus.SUCCEEDED, None, "")]
    assert [record.sequence for record in recorder.seal(last)] == [2]
    assert [record.sequence for record in recorder.seal(last)] == [2]


async def test_at_shutdown_readers_are_told_where_to_go_on(
    storage: HeldStorage, log: EventLog, recorder: RunRecorder
) -> None:
    waiting = log.follow("run", after=0)
    recorder.append(tick(1))
    await take(waiting, 1)
    ended = log.recorder(a_run("other", "other"))
    behind = log.follow("other", after=0)
    ended.append(tick(1))
    await take(behind, 1)
    await end(storage, log, ended)
    log.end_streams()
    with pytest.raises(errors.ShuttingDownError) as told:
        await rest(waiting)
    assert told.value.metadata == {"run_id": "run", "last_sequence": "1"}
    assert told.value.retry_after == 1.0
    # Who comes now gets what there is, and then the same; an end is an end.
    late = log.follow("run", after=0)
    assert numbers(await take(late, 1)) == [(1, "1")]
    with pytest.raises(errors.ShuttingDownError):
        await rest(late)
    assert [record.sequence for record in await rest(behind)] == [2]
    assert [record.sequence for record in await rest(log.follow("other", after=0))] == [1, 2]
