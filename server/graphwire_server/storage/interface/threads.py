"""What the storage's `Reader` and `Transaction` do with threads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

from graphwire_server.storage.access import ALL, Access, Belonging
from graphwire_server.storage.records import (
    Expiry,
    Extent,
    Failure,
    Inheritance,
    ThreadFilter,
    ThreadPosition,
    ThreadRecord,
    ThreadSort,
    ThreadStatus,
    ThreadStorage,
)

NEWEST_FIRST = ThreadSort()

_THREAD = "thread/"


def thread_topic(thread_id: str) -> str:
    """Returns what is announced of a thread.

    That is when a run of it gets its place, when its metadata changes, and when it goes.
    """
    return f"{_THREAD}{thread_id}"


def thread_of(topic: str) -> str:
    """Returns the thread that a topic is about; empty if it is about none."""
    return topic.removeprefix(_THREAD) if topic.startswith(_THREAD) else ""


class ThreadReader(Protocol):
    """Reads of threads."""

    def thread(self, thread_id: str, *, values: bool = False) -> ThreadRecord | None:
        """Returns a thread, or None. Its `values`, which may be large, are read if asked for."""

    def threads(
        self,
        which: ThreadFilter,
        *,
        limit: int,
        sort: ThreadSort = NEWEST_FIRST,
        after: ThreadPosition | None = None,
    ) -> list[ThreadRecord]:
        """Returns at most `limit` threads, newest first if nothing else is said.

        `after` is the last row of the page before. The records come without `values`.
        """

    def values_of(self, thread_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yields (thread_id, values) of those among some threads that have values."""

    def count_threads(self, which: ThreadFilter) -> int:
        """Returns how many threads match."""

    def inheritance(self, thread_id: str) -> Inheritance | None:
        """Returns what `put_inheritance` has noted on a thread, or None."""

    def expired_threads(self, which: Expiry, *, limit: int, skip: int = 0) -> list[str]:
        """Returns ids of threads that have had their time, and are neither BUSY nor INTERRUPTED.

        Those whose time was over first come first; the first `skip` of them are left out.
        In a transaction, they stay as they are to its end, and those that another transaction
        is deciding on are left for the next time.
        """

    def unpruned_threads(self, *, limit: int, skip: int = 0) -> list[str]:
        """Returns ids of threads that may have checkpoints which are no part of where they stand.

        They have no run that is PENDING or RUNNING. Locks and `skip` are as in
        `expired_threads`.
        """

    def extent(self, thread_id: str) -> Extent:
        """Returns how much there is of a thread: itself, its runs, events and checkpoints."""

    def thread_storage(self, thread_id: str) -> ThreadStorage:
        """Returns how much a thread keeps in the database."""

    def threads_containing(
        self,
        thread_ids: Sequence[str],
        *,
        metadata: str | None,
        values: str | None,
        access: Access = ALL,
    ) -> set[str]:
        """Returns those of some threads whose metadata and state contain JSON objects (text).

        Threads of stateless runs are among them; None: whatever it is. See `ThreadFilter`.
        """

    def belonging(
        self, *, thread_id: str = "", run_id: str = "", pause_id: str = ""
    ) -> Belonging | None:
        """Returns to whom a thread belongs, or that of a run or a pause; None: there is none."""

    def belongings(
        self, *, thread_ids: Collection[str] = (), run_ids: Collection[str] = ()
    ) -> dict[str, Belonging]:
        """Returns to whom threads and runs belong, by their ids, in a few statements.

        Those that are not there are left out.
        """

    def breakpoint_hits(self, thread_id: str) -> dict[str, set[str]]:
        """Returns, by breakpoint, the tasks of a thread that it has let pass: see skip_first."""


class ThreadKeeper(ThreadReader, Protocol):
    """Changes threads."""

    def insert_thread(self, thread: ThreadRecord) -> None:
        """Adds a thread. The id must be new."""

    def update_thread(
        self,
        thread_id: str,
        *,
        now: int,
        status: ThreadStatus | None = None,
        metadata: str | None = None,
        assistant_id: str | None = None,
        graph_id: str | None = None,
        head: tuple[str, tuple[str, ...], str | None] | None = None,
        error: Failure | None = None,
        ttl: int | None = None,
        breakpoints: str | None = None,
    ) -> None:
        """Changes what is given and sets update_time to `now`.

        `head` is (checkpoint_id, next, values), and makes the thread one for
        `unpruned_threads`. `error` is stored as it is, None included,
        whenever `status` is given.
        """

    def delete_thread(self, thread_id: str) -> bool:
        """Deletes a thread with its runs, events, pauses and checkpoints.

        Returns False if it was not there.
        """

    def put_inheritance(self, thread_id: str, inheritance: Inheritance) -> None:
        """Notes what the next run of a thread inherits, in place of what was noted before."""

    def copy_thread(self, thread_id: str, copy: ThreadRecord, pause_ids: Callable[[], str]) -> None:
        """Adds a thread with all that another one has but its runs, events and open pauses.

        Those are its values, all its checkpoints, the tasks that breakpoints have let pass, and
        its resolved pauses, for each of which `pause_ids` gives a new id. The answers that stand
        for the one stand for the other, whatever becomes of the runs.
        """

    def mark_pruned(self, thread_id: str) -> None:
        """Notes that a thread has no checkpoints but what belongs to where it stands."""

    def insert_breakpoint_hits(self, thread_id: str, hits: Collection[tuple[str, str]]) -> None:
        """Adds (breakpoint, task) for tasks that were let pass; those that are there stay."""

    def forget_breakpoint_hits(self, thread_id: str, *, keep: Collection[str]) -> None:
        """Deletes what breakpoints of a thread have counted.

        Args:
            thread_id: The thread.
            keep: All but what is counted under ids that begin with one of these and a "/".
        """
