"""The latest values that were written or read, encoded: what the next ones are compared with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from graphwire_server.storage.checkpoints.values import Known

#: A checkpoint: thread, namespace, id.
Key = tuple[str, str, str]

_ENTRY = 600


class ValueCache:
    """For a checkpoint, its large channel values; those used last are kept.

    A checkpoint that was put takes the place of the one that it was made from. It is asked for
    by whoever puts the next one on top of it: only what a checkpoint itself holds is ever the
    base of a difference in its child, so what was put and never committed is the base of nothing
    that is committed.
    """

    def __init__(self, limit: int) -> None:
        """Makes it; `limit` is in bytes, and one checkpoint is kept whatever its size."""
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[Key, Mapping[str, Known]] = OrderedDict()

    @property
    def size(self) -> int:
        """Returns how much memory it takes, roughly, in bytes."""
        return self._size

    def get(self, key: Key) -> Mapping[str, Known]:
        """Returns what is known of a checkpoint's values, by channel."""
        known = self._entries.get(key)
        if known is None:
            return {}
        self._entries.move_to_end(key)
        return known

    def peek(self, key: Key) -> Mapping[str, Known]:
        """Does the same on any thread: it does not count as a use."""
        return self._entries.get(key, {})

    def put(self, key: Key, known: Mapping[str, Known], *, instead_of: Key | None = None) -> None:
        """Notes a checkpoint's values, and forgets those of another one."""
        if instead_of is not None:
            self.forget(instead_of)
        self.forget(key)
        if not known:
            return
        self._entries[key] = known
        self._size += _size(known)
        while self._size > self._limit and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._size -= _size(oldest)

    def forget(self, key: Key) -> None:
        """Forgets a checkpoint's values."""
        known = self._entries.pop(key, None)
        if known is not None:
            self._size -= _size(known)


def _size(known: Mapping[str, Known]) -> int:
    return _ENTRY + sum(value.size for value in known.values())
