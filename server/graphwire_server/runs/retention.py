"""What has had its time, and how it goes: in steps, each in a short transaction of its own.

What is decided from is locked until the step is committed, so nothing goes that is used again
meanwhile; and where several servers sweep one database, each step finds what no other is at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from graphwire_server.storage.checkpoints import pruning
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import Expiry, Extent, RunRecord

#: How many of a run's last events always stay: `end`, and before it `interrupted`, from which
#: WaitRun answers.
KEPT_EVENTS = 2

#: The most threads or runs in one step, and the most events of one run.
_AT_ONCE, _EVENTS_AT_ONCE = 50, 2000

#: How long a step takes, about, in seconds: others who write wait for it.
_STEP_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Swept:
    """What a step has removed.

    Attributes:
        extent: How much.
        more: Whether another step may find more.
    """

    extent: Extent
    more: bool


class _Step:
    """Adds up what a step removes, and says when it has taken long enough."""

    def __init__(self, found: int) -> None:
        self._left = found
        self._full = found == _AT_ONCE
        self._until = time.monotonic() + _STEP_SECONDS
        self._extent = Extent()

    def add(self, extent: Extent) -> bool:
        """Notes what went with one of those found; returns whether to go on to the next."""
        self._extent += extent
        self._left -= 1
        return time.monotonic() < self._until

    def swept(self, *, more: bool = False) -> Swept:
        """Returns what was removed."""
        return Swept(self._extent, more or self._full or self._left > 0)


def delete_threads(tx: Transaction, which: Expiry) -> Swept:
    """Deletes some threads that have had their time, with all that belongs to them."""
    found = tx.expired_threads(which, limit=_AT_ONCE)
    step = _Step(len(found))
    for thread_id in found:
        extent = tx.extent(thread_id)
        tx.delete_thread(thread_id)
        if not step.add(extent):
            break
    return step.swept()


def trim_events(tx: Transaction, *, before: int) -> Swept:
    """Removes events of some runs that ended before a time: all but the last ones of each."""
    found = tx.untrimmed_runs(before=before, limit=_AT_ONCE)
    step = _Step(len(found))
    rest = False
    for run in found:
        removed = min(removable(run), _EVENTS_AT_ONCE)
        trimmed = removed == removable(run)
        tx.remove_events(run.run_id, below=run.oldest_sequence + removed, trimmed=trimmed)
        rest = rest or not trimmed
        if not step.add(Extent(events=removed)):
            break
    return step.swept(more=rest)


def trim_changes(tx: Transaction, *, before: int) -> Swept:
    """Removes changes from before a time, of their log."""
    removed = tx.remove_changes(before=before, limit=_EVENTS_AT_ONCE)
    return Swept(Extent(), more=removed == _EVENTS_AT_ONCE)


def trim_webhooks(tx: Transaction, *, ended_before: int, made_before: int) -> Swept:
    """Removes what became of webhooks before a time, and those from before another."""
    removed = tx.remove_webhooks(ended_before=ended_before, made_before=made_before, limit=_AT_ONCE)
    return Swept(Extent(), more=removed >= _AT_ONCE)


def removable(run: RunRecord) -> int:
    """Returns how many events of a run that has ended can go."""
    return max(run.last_sequence - KEPT_EVENTS + 1 - run.oldest_sequence, 0)


def prune_checkpoints(tx: Transaction) -> Swept:
    """Deletes the checkpoints of some threads that are no part of where they stand."""
    found = tx.unpruned_threads(limit=_AT_ONCE)
    step = _Step(len(found))
    for thread_id in found:
        extent = Extent(checkpoints=prune_thread(tx, thread_id))
        tx.mark_pruned(thread_id)
        if not step.add(extent):
            break
    return step.swept()


def prune_thread(tx: Transaction, thread_id: str) -> int:
    """Deletes the checkpoints of a thread that no run is at; returns how many."""
    thread = tx.thread(thread_id)
    head = {thread.checkpoint_id} if thread is not None else ()
    return pruning.keep_latest(tx, thread_id, also=head)
