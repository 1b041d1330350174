"""The events at hand are the latest, bounded in number and in bytes."""

from __future__ import annotations

from graphwire_server.runs.tail import Tail, within
from graphwire_server.storage.records import EventRecord


def events(sizes: dict[int, int]) -> list[EventRecord]:
    return [EventRecord("run", sequence, b"x" * size) for sequence, size in sizes.items()]


def test_the_latest_events_are_at_hand() -> None:
    tail, made = Tail(), events(dict.fromkeys(range(1, 301), 10))
    assert (tail.first, tail.since(0)) == (None, None)
    tail.extend(made[:1])
    assert (tail.first, tail.since(0), tail.since(1)) == (1, made[:1], [])
    tail.extend(made[1:])
    assert (tail.first, tail.since(43)) == (45, None)
    assert tail.since(44) == made[44:]
    assert tail.since(300) == []


def test_large_events_leave_sooner_and_the_last_one_stays() -> None:
    tail, made = Tail(), events(dict.fromkeys(range(1, 8), 300_000))
    tail.extend(made)
    assert (tail.first, tail.since(4)) == (5, made[4:])
    huge = events({8: 5_000_000})
    tail.extend(huge)
    assert (tail.first, tail.since(7), tail.since(6)) == (8, huge, None)
    small = events({9: 1})
    tail.extend(small)
    assert (tail.first, tail.since(8)) == (9, small)


def test_a_reader_takes_some_at_a_time() -> None:
    made = events({1: 60, 2: 40, 3: 1, 4: 500})
    assert within([], 100) == []
    assert within(made, 100) == made[:2]
    assert within(made, 1_000) == made
    assert within(made[3:], 100) == made[3:]
    assert within(made[2:], 100) == made[2:3]
