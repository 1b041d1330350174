"""Whose threads and assistants a caller gets to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from graphwire_server.storage.containment import contains


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may see; what is given must all be true.

    Attributes:
        owner: Threads of this owner; None for any.
        metadata: Metadata that contains this JSON object (text), as in `ThreadFilter`; empty for
            any.
        lists: Metadata that has lists under these keys with at least these elements: each as
            (key, a JSON array as text).
        also: Metadata that contains this JSON object (text) besides; empty for any.
        choices: What at least one of these lets pass; of each tuple, which is not empty. They say
            nothing of owners.
    """

    owner: str | None = None
    metadata: str = ""
    lists: tuple[tuple[str, str], ...] = ()
    also: str = ""
    choices: tuple[tuple[Access, ...], ...] = ()

    @property
    def may_end(self) -> bool:
        """Whether a thread may come to be admitted no more: metadata changes, owners stay."""
        return bool(self.metadata or self.lists or self.also)

    def admits(self, owner: str, metadata: str) -> bool:
        """Says whether a thread or assistant is among them.

        Args:
            owner: Of a thread: its owner.
            metadata: Its metadata: a JSON object as text.
        """
        if self.owner is not None and self.owner != owner:
            return False
        if not (self.metadata or self.lists or self.also or self.choices):
            return True
        return self._admits(orjson.loads(metadata))

    def _admits(self, document: Any) -> bool:
        wanted = [orjson.loads(text) for text in (self.metadata, self.also) if text]
        if not all(contains(document, each) for each in wanted):
            return False
        if not all(has_all(document, key, orjson.loads(wanted)) for key, wanted in self.lists):
            return False
        return all(any(each._admits(document) for each in choice) for choice in self.choices)


@dataclass(frozen=True, slots=True)
class Belonging:
    """To whom a thread belongs.

    Attributes:
        thread_id: The thread.
        owner: Its owner.
        metadata: Its metadata: a JSON object as text.
    """

    thread_id: str
    owner: str
    metadata: str


#: Everything.
ALL = Access()


def has_all(document: Any, key: str, wanted: list[Any]) -> bool:
    """Says whether a JSON object has a list under a key that has all these elements."""
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list):
        return False
    return all(any(_equal(one, other) for one in found) for other in wanted)


def _equal(one: Any, other: Any) -> bool:
    return contains([one], [other])
