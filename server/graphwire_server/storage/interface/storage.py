"""The storage as a whole, and what a piece of work on it gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from graphwire_server.storage.checkpoints.interface import CheckpointKeeper, CheckpointReader
from graphwire_server.storage.interface.assistants import AssistantKeeper, AssistantReader
from graphwire_server.storage.interface.changes import ChangeKeeper, ChangeReader
from graphwire_server.storage.interface.leases import LeaseKeeper, LeaseReader
from graphwire_server.storage.interface.pauses import PauseKeeper, PauseReader
from graphwire_server.storage.interface.runs import RunKeeper, RunReader
from graphwire_server.storage.interface.threads import ThreadKeeper, ThreadReader
from graphwire_server.storage.records import Backlog, RequestRecord, StorageLoad
from graphwire_server.storage.webhooks import WebhookKeeper, WebhookReader

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from graphwire_server.storage.checkpoints.saver import Saver

T = TypeVar("T")


class Reader(
    ThreadReader,
    RunReader,
    LeaseReader,
    PauseReader,
    ChangeReader,
    AssistantReader,
    CheckpointReader,
    WebhookReader,
    Protocol,
):
    """Reads, all of one state of the database. Each subject has a protocol of its own."""

    def now(self) -> int:
        """Returns the database's time, in microseconds since 1970, UTC.

        All leases are measured by it, whatever the clocks of the servers say.
        """

    def backlog(self) -> Backlog:
        """Returns how much waits: for a server, and for somebody to answer."""

    def request(self, principal: str, method: str, request_id: str) -> RequestRecord | None:
        """Returns what is known of a request_id, or None."""


class Transaction(
    Reader,
    ThreadKeeper,
    RunKeeper,
    LeaseKeeper,
    PauseKeeper,
    ChangeKeeper,
    AssistantKeeper,
    CheckpointKeeper,
    WebhookKeeper,
    Protocol,
):
    """Reads and writes that are committed together, or not at all.

    Each subject has a protocol of its own, such as `ThreadKeeper`.

    `thread`, `run` and `assistant_head` keep what they have read from being changed by others
    until the end of the transaction, so that what is decided from it holds. Work may be run
    again from its start where the database asks for that (two that waited for each other): it
    must have no effect but on the transaction, and return the same kind of thing.

    Rows that break a rule of the database end in `IntegrityError`: let it pass through.
    To change what is not there changes nothing.

    What happens to pauses and runs (`ChangeKind`) is added to the log of changes in the same
    commit, and CHANGES and `thread_topic` are announced after it, whichever method makes it
    happen.
    """

    def insert_request(self, request: RequestRecord) -> None:
        """Adds a request_id. It must be new."""

    def forget_requests(self, *, before: int) -> int:
        """Deletes the request_ids used before a time; returns how many."""


class Storage(Protocol):
    """One database: threads, runs, events, pauses, checkpoints and the graphs' store."""

    @property
    def checkpointer(self) -> Saver:
        """Keeps LangGraph's checkpoints."""

    @property
    def store(self) -> BaseStore:
        """Keeps what nodes put into their runtime's store."""

    async def read(self, work: Callable[[Reader], T], *, short: bool = False) -> T:
        """Runs `work` on one state of the database that includes every finished write.

        `short` says that it reads some rows by their keys, and no more: it may then run on the
        event loop itself, where a hop to another thread would cost more than the work.
        """

    async def write(self, work: Callable[[Transaction], T], *, long: bool = False) -> T:
        """Runs `work` in a transaction, and returns when it is safely on the disk.

        It may run on the event loop itself; `long` says that it may take more than some
        milliseconds, and must not.

        Writes run one after another; several may share a flush. If `work` raises, none of
        its changes are kept, those of the others are, and what it raised is raised here.
        If the caller is cancelled, `work` is done wholly or not at all.
        """

    async def answer(self) -> None:
        """Has the database answer something, whatever the reads are busy with.

        Raises:
            StorageError: The database can't be used, now or any more.
        """

    def renew_server(self, server_id: str, *, ttl: int) -> bool:
        """Renews a server's lease, as `Transaction.renew_server` does, without the event loop.

        For a thread of the caller's own, which it blocks until it is on the disk: a node that
        keeps the event loop from running must not cost the server its lease.

        Raises:
            StorageError: The database can't be used, now or any more.
        """

    def announce(self, *topics: str) -> None:
        """Tells every server on this database, this one too, that something has changed.

        Returns at once; what is announced in quick succession is sent together. A topic that
        does not arrive is no error: whoever listens looks by itself now and then.
        """

    def listen(self, callback: Callable[[Sequence[str]], None]) -> None:
        """Has a function called, on the event loop, with topics that were announced.

        An empty sequence means that some may have been missed: look at everything.
        """

    @property
    def refused_at(self) -> float | None:
        """When the database last refused to take a write now; by `time.monotonic`.

        It is full, read-only or locked then, whatever becomes of smaller writes.
        """

    def writing_for(self) -> float:
        """Returns for how many seconds the write under way has been so; 0: there is none.

        It may wait for a lock of somebody else's, and all others for it.
        """

    def load(self) -> StorageLoad:
        """Returns how busy this server's storage is, at once."""

    async def close(self) -> None:
        """Waits for writes under way, and closes the database."""
