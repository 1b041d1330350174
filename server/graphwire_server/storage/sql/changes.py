"""What the works of one transaction have changed, as far as others are to hear of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from graphwire_server.storage.interface import CHANGES
from graphwire_server.storage.records import ChangeKind

#: The time, the kind, and the id of the pause, run or thread.
Change = tuple[int, ChangeKind, str]

#: The most changes in one statement.
_AT_ONCE = 500


class Changes:
    """Gathers changes, to be written in one statement with the commit."""

    def __init__(self) -> None:
        self._kept: list[Change] = []
        self._noted: list[Change] = []
        self._kept_topics: dict[str, None] = {}
        self._noted_topics: dict[str, None] = {}

    @property
    def topics(self) -> Collection[str]:
        """What is to be announced after the commit."""
        return self._kept_topics.keys()

    def note(self, kind: ChangeKind, subject: str, time: int, *topics: str) -> None:
        """Notes a change, and what else than CHANGES is to be announced of it."""
        self._noted.append((time, kind, subject))
        self.announce(CHANGES, *topics)

    def announce(self, *topics: str) -> None:
        """Notes what is to be announced."""
        self._noted_topics.update(dict.fromkeys(topics))

    def settle(self, *, kept: bool) -> None:
        """Keeps what the work has noted that is over, or forgets it."""
        if kept:
            self._kept += self._noted
            self._kept_topics.update(self._noted_topics)
        self._noted, self._noted_topics = [], {}

    def in_parts(self) -> Iterator[Sequence[Change]]:
        """Yields the changes that are kept, each part few enough for one statement."""
        for start in range(0, len(self._kept), _AT_ONCE):
            yield self._kept[start : start + _AT_ONCE]
