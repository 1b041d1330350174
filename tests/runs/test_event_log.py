"""The log of events: committed first, then shown; read from anywhere, by anyone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from graphwire import errors
from graphwire.v1 import payload_pb2, run_pb2
from graphwire.v1 import run_event_pb2 as pb
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.events import sealed
from graphwire_server.runs.journal import Journal
from graphwire_server.storage.access import Access

from tests.runs.journals import HeldStorage, end, numbers, rest, take, tick


async def test_an_event_is_shown_when_it_is_committed_and_not_before(
    held_storage: HeldStorage, log: EventLog, journal: Journal
) -> None:
    reader = log.follow("run", after=0)
    held_storage.hold()
    journal.append(tick(1))
    assert await anext(reader) is None  # a heartbeat: nothing to show
    assert await anext(reader) is None
    held_storage.release()
    assert numbers(await take(reader, 1)) == [(1, "1")]
    assert await held_storage.events() == [(1, "1")]


async def test_readers_get_the_rest_from_wherever_they_are_and_stop_at_the_end(
    log: EventLog, journal: Journal
) -> None:
    # More than is kept at hand, and more than is read at once.
    count = 1200
    early = asyncio.create_task(rest(log.follow("run", after=0)))
    for number in range(1, count + 1):
        journal.append(tick(number))
        if number % 100 == 0:
            await journal.durable()
    late = asyncio.create_task(rest(log.follow("run", after=0)))
    near = asyncio.create_task(rest(log.follow("run", after=count - 5)))
    await end(journal)
    log.close(journal)
    whole = await early
    assert [record.sequence for record in whole] == list(range(1, count + 2))
    last = pb.RunEvent.FromString(whole[-1].data)
    assert last.end.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert await late == whole
    assert await near == whole[count - 5 :]
    for after in (0, 1, 600, count, count + 1):
        assert await rest(log.follow("run", after=after)) == whole[after:]


async def test_large_events_come_as_small_ones_do(log: EventLog, journal: Journal) -> None:
    # Each reader takes only some of them at once, from the journal as from the database.
    early = log.follow("run", after=0)
    for number in range(1, 41):
        text = f'"{number} {"x" * 40_000}"'
        journal.append(pb.RunEvent(custom=pb.CustomEvent(data=payload_pb2.Payload(json=text))))
    await journal.durable()
    first = await take(early, 3)
    await end(journal)
    log.close(journal)
    whole = [*first, *await rest(early)]
    assert [record.sequence for record in whole] == list(range(1, 42))
    assert await rest(log.follow("run", after=0)) == whole
    assert await rest(log.follow("run", after=39)) == whole[39:]


async def test_a_reader_goes_on_where_the_run_executes_no_more(
    held_storage: HeldStorage, log: EventLog, journal: Journal
) -> None:
    reader = log.follow("run", after=0)
    journal.append(tick(1))
    assert numbers(await take(reader, 1)) == [(1, "1")]
    # Handed back, and executed by another server, of which this one is told nothing.
    log.close(journal)
    elsewhere = sealed(tick(2), "run", 2, attempt=2)
    await held_storage.write(lambda tx: tx.append_events([elsewhere]))
    assert numbers(await take(reader, 1)) == [(2, "2")]


async def test_a_reader_beyond_the_last_event_is_refused(log: EventLog, journal: Journal) -> None:
    journal.append(tick(1))
    await journal.durable()
    with pytest.raises(errors.SequenceOutOfRangeError) as refusal:
        await anext(log.follow("run", after=2))
    assert refusal.value.metadata == {"last_sequence": "1"}
    with pytest.raises(errors.RunNotFoundError):
        await anext(log.follow("nowhere", after=0))


async def test_who_may_not_see_the_thread_any_more_reads_no_further(
    held_storage: HeldStorage, journal: Journal
) -> None:
    # One that never looks by itself.
    log = EventLog(held_storage, heartbeat_seconds=600, poll_seconds=600)  # type: ignore[arg-type]
    journal = Journal(journal.run, held_storage, on_commit=log.notify)  # type: ignore[arg-type]
    log.open(journal)

    async def mark(metadata: str) -> None:
        await held_storage.write(lambda tx: tx.update_thread("run", now=1, metadata=metadata))
        log.look_again("run")

    await mark('{"of": ["ada", "bob"]}')
    ada, bob = (
        log.follow("run", after=0, access=Access(lists=(("of", f'["{name}"]'),)))
        for name in ("ada", "bob")
    )
    journal.append(tick(1))
    assert numbers(await take(ada, 1)) == numbers(await take(bob, 1)) == [(1, "1")]
    # All that comes is at hand here; nobody has to ask the database for it.
    await mark('{"of": ["bob"]}')
    journal.append(tick(2))
    assert numbers(await take(bob, 1)) == [(2, "2")]
    with pytest.raises(errors.RunNotFoundError):
        await rest(ada)
    await mark("{}")
    with pytest.raises(errors.RunNotFoundError):
        await rest(bob)
    with pytest.raises(errors.RunNotFoundError):
        await rest(log.follow("run", after=0, access=Access(metadata='{"a": 1}')))


async def test_at_shutdown_readers_are_told_where_to_go_on(
    log: EventLog, journal: Journal, open_journal: Callable[[str], Journal]
) -> None:
    waiting = log.follow("run", after=0)
    journal.append(tick(1))
    await take(waiting, 1)
    ended = open_journal("other")
    behind = log.follow("other", after=0)
    ended.append(tick(1))
    await take(behind, 1)
    await end(ended)
    log.close(ended)
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
