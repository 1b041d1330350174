"""Contract: events are read back in order, and request ids are kept for a while."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graphwire_server.storage.interface import IntegrityError, Storage
from graphwire_server.storage.records import EventRecord, RequestRecord

from .builders import a_request, a_run, a_thread, add, an_event


async def append(storage: Storage, *events: EventRecord) -> None:
    await storage.write(lambda tx: tx.append_events(events))


async def insert(storage: Storage, request: RequestRecord) -> None:
    await storage.write(lambda tx: tx.insert_request(request))


async def last_sequence(storage: Storage, run_id: str = "run") -> int:
    run = await storage.read(lambda r: r.run(run_id))
    assert run is not None
    return run.last_sequence


async def test_events_come_back_byte_for_byte_in_order(storage: Storage) -> None:
    await add(storage, a_thread(), a_run())
    events = [an_event(number, data=bytes([0, 255, number])) for number in range(1, 8)]
    await append(storage, *events[:3])
    await append(storage, *events[3:])

    async def read(after: int, limit: int) -> list[EventRecord]:
        return await storage.read(lambda r: r.events("run", after=after, limit=limit))

    assert await read(0, 99) == events
    assert await read(0, 3) == events[:3]
    assert await read(3, 2) == events[3:5]
    assert await read(7, 9) == []
    assert await storage.read(lambda r: r.events("nobody", after=0, limit=9)) == []


async def test_events_raise_the_last_sequence_of_their_runs(storage: Storage) -> None:
    await add(storage, a_thread(), a_run("a"), a_run("b"), a_run("c"))
    await append(storage, an_event(1, "a"), an_event(2, "b"), an_event(1, "b"), an_event(2, "a"))
    assert await last_sequence(storage, "a") == 2
    assert await last_sequence(storage, "b") == 2
    assert await last_sequence(storage, "c") == 0
    await append(storage, an_event(9, "a"))
    await append(storage, an_event(5, "a"))
    assert await last_sequence(storage, "a") == 9


async def test_appending_no_events_is_nothing(storage: Storage) -> None:
    await append(storage)


async def test_a_sequence_must_be_new(storage: Storage) -> None:
    await add(storage, a_thread(), a_run())
    await append(storage, an_event(1, data=b"first"))
    with pytest.raises(IntegrityError):
        await append(storage, an_event(2), an_event(1, data=b"second"))
    found = await storage.read(lambda r: r.events("run", after=0, limit=9))
    assert found == [an_event(1, data=b"first")]
    assert await last_sequence(storage) == 1


async def test_an_event_needs_its_run(storage: Storage) -> None:
    with pytest.raises(IntegrityError):
        await append(storage, an_event(1, "nobody"))


async def test_a_request_id_comes_back_as_it_was_put(storage: Storage) -> None:
    plain, stream = a_request("a"), a_request("b", subject="thread")
    for request in (plain, stream):
        await insert(storage, request)
    method = plain.method
    assert await storage.read(lambda r: r.request("alice", method, "a")) == plain
    assert await storage.read(lambda r: r.request("alice", method, "b")) == stream
    assert await storage.read(lambda r: r.request("alice", method, "c")) is None


async def test_a_request_id_is_one_for_each_principal_and_method(storage: Storage) -> None:
    first = a_request()
    others = [replace(first, principal="bob"), replace(first, method="/other")]
    for request in (first, *others):
        await insert(storage, request)
    assert await storage.read(lambda r: r.request("bob", first.method, "request")) == others[0]
    with pytest.raises(IntegrityError):
        await insert(storage, replace(first, fingerprint="other"))
    assert await storage.read(lambda r: r.request("alice", first.method, "request")) == first


async def test_request_ids_are_forgotten_by_age(storage: Storage) -> None:
    for number in range(4):
        await insert(storage, a_request(f"{number}", create_time=number))
    assert await storage.write(lambda tx: tx.forget_requests(before=2)) == 2
    assert await storage.write(lambda tx: tx.forget_requests(before=2)) == 0
    method = a_request().method
    assert await storage.read(lambda r: r.request("alice", method, "1")) is None
    assert await storage.read(lambda r: r.request("alice", method, "2")) is not None


async def test_a_page_of_events_can_be_bounded_by_their_bytes(storage: Storage) -> None:
    await add(storage, a_thread(), a_run())
    events = [an_event(number, data=b"x" * 100 * number) for number in range(1, 8)]
    await append(storage, *events)

    async def read(after: int, limit: int, max_bytes: int) -> list[EventRecord]:
        return await storage.read(
            lambda r: r.events("run", after=after, limit=limit, max_bytes=max_bytes)
        )

    assert await read(0, 9, 2_800) == events
    assert await read(0, 9, 2_799) == events[:6]
    assert await read(0, 3, 2_800) == events[:3]
    assert await read(2, 9, 700) == events[2:4]
    # A large one comes alone.
    assert await read(4, 9, 1) == [events[4]]
    assert await read(7, 9, 1) == []
