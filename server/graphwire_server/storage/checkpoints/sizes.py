"""How large the state in a checkpoint is, and how large it may be."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from graphwire_server.storage.checkpoints.body import is_small
from graphwire_server.storage.checkpoints.cache import Key

#: Of how many checkpoints the sizes of their values are kept at hand.
_AT_HAND = 10_000

#: Where input is until the first step, which puts it into the state.
_INPUT = "__start__"


class StateTooLargeError(ValueError):
    """A checkpoint would hold more than may be kept; it is not kept.

    Attributes:
        size: How much it is, in bytes.
        limit: How much may be.
    """

    def __init__(self, what: str, size: int, limit: int) -> None:
        """Says what is too large."""
        super().__init__(f"{what} has {size} bytes; the server keeps {limit} (max_state_bytes)")
        self.size = size
        self.limit = limit


class WritesTooLargeError(StateTooLargeError):
    """What a task wrote, or what a caller writes as if it were one, is too large by itself."""


class StateSizes:
    """The sizes of the values of those checkpoints that others are made from."""

    def __init__(self, limit: int) -> None:
        """Takes the limit in bytes."""
        self.limit = limit
        self._at_hand: OrderedDict[Key, Mapping[str, int]] = OrderedDict()

    def check(
        self,
        key: Key,
        parent: Key,
        values: Mapping[str, object],
        new: Mapping[str, int],
        measure: Callable[[str], int],
    ) -> None:
        """Adds a checkpoint up.

        Args:
            key: The checkpoint.
            parent: The one that it is made from.
            values: All its values, by channel.
            new: The sizes of those that are new; of the small ones none is needed.
            measure: Returns the size of a channel's value, which takes a while.

        Raises:
            StateTooLargeError: It is too large.
        """
        before = self._at_hand.get(parent)
        sizes = {channel: size for channel, size in new.items() if channel != _INPUT}
        for channel, value in values.items():
            if channel in sizes or channel == _INPUT or is_small(value):
                continue
            if before is not None and channel in before:
                sizes[channel] = before[channel]
            else:
                sizes[channel] = measure(channel)
        size = sum(sizes.values())
        if size > self.limit:
            largest = max(sizes, key=lambda channel: sizes[channel])
            raise StateTooLargeError(
                f"the state of the thread, with {sizes[largest]} bytes in {largest!r},",
                size,
                self.limit,
            )
        self._at_hand.pop(parent, None)
        self._at_hand[key] = sizes
        if len(self._at_hand) > _AT_HAND:
            self._at_hand.popitem(last=False)

    def check_writes(self, size: int) -> None:
        """Refuses what a task wrote if it alone is too large. Raises WritesTooLargeError."""
        if size > self.limit:
            raise WritesTooLargeError("what the node wrote", size, self.limit)
