"""The latest events of a run, at hand for those who follow it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from graphwire_server.storage.records import EventRecord

#: How many of a run's latest events are kept at hand, and how many bytes of them.
_EVENTS = 256
_BYTES = 1024 * 1024


class Tail:
    """The latest of a run's committed events, without a gap; the last one in any case."""

    def __init__(self) -> None:
        """Makes an empty one."""
        self._events: deque[EventRecord] = deque()
        self._size = 0

    @property
    def first(self) -> int | None:
        """The sequence of the first event at hand; None if there is none."""
        return self._events[0].sequence if self._events else None

    def extend(self, events: Iterable[EventRecord]) -> None:
        """Adds the events that come next."""
        for event in events:
            self._events.append(event)
            self._size += len(event.data)
        while len(self._events) > _EVENTS or (self._size > _BYTES and len(self._events) > 1):
            self._size -= len(self._events.popleft().data)

    def since(self, after: int) -> list[EventRecord] | None:
        """Returns the events after a sequence; None if not all of them are at hand."""
        if not self._events or self._events[0].sequence > after + 1:
            return None
        return [event for event in self._events if event.sequence > after]


def within(events: Sequence[EventRecord], size: int) -> Sequence[EventRecord]:
    """Returns the first events, up to so many bytes of them; one at the least, if there is one."""
    total = 0
    for number, event in enumerate(events):
        total += len(event.data)
        if total > size and number:
            return events[:number]
    return events
