"""The storage as the rest of the server sees it. The docstrings are the contract; the
suite in tests/storage holds every implementation to it.

Work on the database is a plain function that gets a `Reader` or a `Transaction` and
runs, from its first statement to its last, on the database's own thread:

    run = await storage.write(lambda tx: accept(tx, spec))

So a piece of work is one hop, sees one state of the database, and can be committed
together with others in one flush to the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from graphwire_server.storage.access import ALL, Access, Belonging
from graphwire_server.storage.checkpoints.interface import CheckpointKeeper, CheckpointReader
from graphwire_server.storage.records import (
    AssistantFilter,
    AssistantHead,
    AssistantOrder,
    AssistantPosition,
    AssistantRecord,
    Backlog,
    ChangePage,
    ChangePlace,
    EventRecord,
    Expiry,
    Extent,
    Failure,
    Inheritance,
    Lease,
    LogEnd,
    PauseFilter,
    PausePosition,
    PauseRecord,
    PauseStatus,
    Place,
    Position,
    RequestRecord,
    RunRecord,
    RunStatus,
    StorageLoad,
    ThreadFilter,
    ThreadPosition,
    ThreadRecord,
    ThreadSort,
    ThreadStatus,
    ThreadStorage,
)
from graphwire_server.storage.webhooks import WebhookKeeper, WebhookReader

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from graphwire_server.storage.checkpoints.saver import Saver

T = TypeVar("T")

NEWEST_FIRST = ThreadSort()
#: What is announced when changes were added to their log, see `Reader.changes`.
CHANGES = "changes"


_THREAD = "thread/"


def thread_topic(thread_id: str) -> str:
    """Returns what is announced when a run of a thread gets its place, or the thread goes."""
    return f"{_THREAD}{thread_id}"


def thread_of(topic: str) -> str:
    """Returns the thread that a topic is about; empty if it is about none."""
    return topic.removeprefix(_THREAD) if topic.startswith(_THREAD) else ""


class StorageError(Exception):
    """The database can't be used: its text says which file or server, and why."""


class StorageUnavailable(StorageError):
    """The database can't be reached at present; what was asked of it may well be right."""


class IntegrityError(Exception):
    """A write breaks a rule of the database, so that none of its work is kept.

    An id that must be new is not; a row names a thread or run that is not there; or a
    thread would have two RUNNING runs.
    """


class LeaseLostError(Exception):
    """A run, or the server itself, is not held any more, so that none of the work is kept."""


class Reader(CheckpointReader, WebhookReader, Protocol):
    """Reads, all of one state of the database. Those of checkpoints are in `CheckpointReader`."""

    def now(self) -> int:
        """Returns the database's time, in microseconds since 1970, UTC.

        All leases are measured by it, whatever the clocks of the servers say.
        """

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

    def run(self, run_id: str) -> RunRecord | None:
        """Returns a run, or None."""

    def runs(
        self,
        thread_id: str,
        *,
        statuses: Sequence[RunStatus] = (),
        limit: int,
        after: Position | None = None,
    ) -> list[RunRecord]:
        """Returns at most `limit` runs of a thread, newest first (create_time, then id)."""

    def active_runs(self, thread_id: str) -> list[RunRecord]:
        """Returns a thread's PENDING and RUNNING runs in the order of their acceptance."""

    def has_active_run(self, thread_id: str) -> bool:
        """Returns whether a thread has a PENDING or RUNNING run."""

    def last_run(self, thread_id: str, *, but: str = "") -> RunRecord | None:
        """Returns the thread's run that began to execute last, or None.

        Those that have left nothing don't count; see `RunRecord.left_nothing`. Nor does the one
        whose id is `but`.
        """

    def active_run_ids(self, status: RunStatus, access: Access = ALL) -> list[str]:
        """Returns the runs that are PENDING, or those that are RUNNING, the latest first."""

    def rollback_requested(self, run_id: str) -> bool:
        """Returns whether somebody asked to roll a run back."""

    def inheritance(self, thread_id: str) -> Inheritance | None:
        """Returns what `put_inheritance` has noted on a thread, or None."""

    def cancelled_runs(self, server_id: str) -> dict[str, bool]:
        """Returns the RUNNING runs under a server's lease that somebody asked to cancel.

        The value says whether somebody asked not to wait for the run's nodes.
        """

    def held_runs(self, server_id: str) -> dict[str, Lease]:
        """Returns all RUNNING runs under a server's lease, by id."""

    def has_lost_run(self) -> bool:
        """Returns whether there is a run for `Transaction.claim_lost`."""

    def has_due_run(self) -> bool:
        """Returns whether `Transaction.claim_due` has something to do.

        That is a run that may start, or one whose time has come and whose thread is to be asked.
        """

    def queued_runs(self, principal: str | None = None, *, most: int) -> int:
        """Returns how many runs are PENDING, of a principal or in all; `most` if there are more."""

    def running_runs(self, principal: str) -> int:
        """Returns how many runs of a principal are RUNNING, on all servers."""

    def next_due_time(self, *, now: int) -> int | None:
        """Returns the earliest due_time after `now` of a PENDING run, or None."""

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

    def untrimmed_runs(self, *, before: int, limit: int, skip: int = 0) -> list[RunRecord]:
        """Returns runs that ended before a time, and of which more events are there than needed.

        Those that ended first come first. Locks and `skip` are as in `expired_threads`.
        """

    def extent(self, thread_id: str) -> Extent:
        """Returns how much there is of a thread: itself, its runs, events and checkpoints."""

    def thread_storage(self, thread_id: str) -> ThreadStorage:
        """Returns how much a thread keeps in the database."""

    def open_pauses(self, thread_id: str) -> list[PauseRecord]:
        """Returns a thread's OPEN pauses in the order of their making."""

    def pauses(self, thread_ids: Sequence[str]) -> dict[str, list[PauseRecord]]:
        """Returns the OPEN pauses of several threads, by thread; threads without are left out."""

    def pauses_of_tasks(self, thread_id: str, task_ids: Collection[str]) -> list[PauseRecord]:
        """Returns all pauses, open or not, of some of a thread's tasks, oldest first."""

    def resumed_pauses(self, thread_id: str, checkpoint_id: str) -> list[PauseRecord]:
        """Returns the pauses at a checkpoint of a thread that were resumed, oldest first."""

    def standing_answers(self, thread_id: str, checkpoint_id: str) -> list[tuple[str, str]]:
        """Returns the answers to questions asked at a checkpoint of a thread, oldest first.

        Each is (LangGraph's interrupt id, the answer as JSON text). Only those are returned that
        were given to a run which went on to its next pause.
        """

    def pauses_resolved_by(self, thread_id: str, run_id: str) -> list[PauseRecord]:
        """Returns a thread's pauses that a run has resumed, or left behind."""

    def pauses_of_run(self, run_id: str) -> list[PauseRecord]:
        """Returns all pauses, open or not, that a run stopped at."""

    def pause(self, pause_id: str) -> PauseRecord | None:
        """Returns a pause, open or not, or None."""

    def pause_called(self, thread_id: str, key: str) -> PauseRecord | None:
        """Returns the thread's last pause with this pause id or interrupt id, or None."""

    def pauses_resumed_by(self, thread_id: str, run_id: str) -> list[PauseRecord]:
        """Returns the pauses of a thread that a run went on from, oldest first."""

    def last_resolved_pause(self, thread_id: str) -> PauseRecord | None:
        """Returns the pause of a thread that was resolved last, in whatever way, or None."""

    def list_pauses(
        self,
        which: PauseFilter,
        *,
        limit: int,
        after: PausePosition | None = None,
        ascending: bool = False,
    ) -> list[tuple[PausePosition, PauseRecord]]:
        """Returns at most `limit` pauses by the time of their making, newest first.

        `ascending`: oldest first. `after` is the last one of the page before.
        """

    def changes(self, *, after: ChangePlace, limit: int) -> ChangePage:
        """Returns at most `limit` changes after a place in the log.

        None of them is ever added before one that was read.
        """

    def end_of_changes(self) -> LogEnd:
        """Returns where the log of changes ends now."""

    def pauses_by_id(self, pause_ids: Sequence[str]) -> dict[str, PauseRecord]:
        """Returns those of some pauses that are there, by id."""

    def runs_by_id(self, run_ids: Sequence[str]) -> dict[str, RunRecord]:
        """Returns those of some runs that are there, by id."""

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

    def next_run(self, thread_id: str, *, after: int) -> Place | None:
        """Returns the run of a thread with the lowest place above `after`, or None."""

    def last_place(self, thread_id: str) -> int:
        """Returns the highest place that a run of a thread has or had; 0 if none did."""

    def place_of(self, run_id: str) -> int:
        """Returns the place of a run in its thread; 0 if it has none yet, or is not there."""

    def last_trimmed_place(self, thread_id: str) -> int:
        """Returns the highest place of a run of a thread of which events were removed, or 0."""

    def run_at(self, thread_id: str, place: int) -> RunRecord | None:
        """Returns the run of a thread at a place, or None if there is none any more."""

    def expired_pauses(self, *, now: int, limit: int, skip: int = 0) -> list[PauseRecord]:
        """Returns OPEN pauses whose time was over by `now`, of threads that are not BUSY.

        Those whose time was over first come first; so many of them are skipped.
        """

    def backlog(self) -> Backlog:
        """Returns how much waits: for a server, and for somebody to answer."""

    def next_expiry(self, *, now: int) -> int | None:
        """Returns the earliest time after `now` at which the time of an OPEN pause is over."""

    def breakpoint_hits(self, thread_id: str) -> dict[str, set[str]]:
        """Returns, by breakpoint, the tasks of a thread that it has let pass: see skip_first."""

    def unsteered_runs(self, server_id: str) -> list[RunRecord]:
        """Returns the RUNNING runs under a server's lease that it has not steered yet.

        Their `steering` was raised, and what is asked of them is not confirmed.
        """

    def is_steered(self, run_id: str) -> bool:
        """Returns whether what is asked of a run is in force: nobody executes it, or knows."""

    def events(
        self, run_id: str, *, after: int, limit: int, max_bytes: int | None = None
    ) -> list[EventRecord]:
        """Returns at most `limit` events of a run with a sequence above `after`, in order.

        With `max_bytes` it stops before the event whose data would be above that, but for the
        first one.
        """

    def request(self, principal: str, method: str, request_id: str) -> RequestRecord | None:
        """Returns what is known of a request_id, or None."""

    def assistant(self, assistant_id: str, version: int = 0) -> AssistantRecord | None:
        """Returns a version of an assistant, or None; 0: the one that new runs get."""

    def assistant_head(self, assistant_id: str) -> AssistantHead | None:
        """Returns what is kept of an assistant besides its versions, or None."""

    def assistants(
        self,
        which: AssistantFilter,
        *,
        limit: int,
        order: AssistantOrder = AssistantOrder.NAME,
        descending: bool = False,
        after: AssistantPosition | None = None,
        graphs: Sequence[AssistantRecord] = (),
    ) -> list[AssistantRecord]:
        """Returns at most `limit` assistants, in the version that new runs get, in order.

        Args:
            which: Which.
            limit: How many.
            order: What to sort by.
            descending: Whether the last comes first.
            after: The last one of the page before.
            graphs: Those that are there without being kept: the first versions of built-in
                ones. What is kept of the same id comes in their place.
        """

    def count_assistants(
        self, which: AssistantFilter, *, graphs: Sequence[AssistantRecord] = ()
    ) -> int:
        """Returns how many assistants match; `graphs` as in `assistants`."""

    def assistant_versions(
        self,
        assistant_id: str,
        *,
        limit: int,
        metadata: str | None = None,
        below: int = 0,
        first: AssistantRecord | None = None,
    ) -> list[AssistantRecord]:
        """Returns at most `limit` versions of an assistant, the newest first.

        Args:
            assistant_id: The assistant.
            limit: How many.
            metadata: Only those whose metadata contains this JSON object (text); None: all.
            below: Only versions below this one; 0: all.
            first: Of a built-in one, the first version, which is there without being kept.
        """

    def threads_of_assistant(
        self, assistant_id: str, *, statuses: Sequence[ThreadStatus] = ()
    ) -> list[str]:
        """Returns the ids of an assistant's threads, those of stateless runs included.

        They have one of the statuses; (): any.
        """


class Transaction(Reader, CheckpointKeeper, WebhookKeeper, Protocol):
    """Reads and writes that are committed together, or not at all.

    Those of checkpoints are in `CheckpointKeeper`, those of webhooks in `WebhookKeeper`.

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

    def join_servers(self, server_id: str, *, ttl: int) -> None:
        """Adds a server, whose lease is valid for `ttl` microseconds. The id must be new.

        Where one server at a time can use the database, nobody else holds anything by then.
        """

    def renew_server(self, server_id: str, *, ttl: int) -> bool:
        """Makes a server's lease valid for `ttl` microseconds from now.

        Returns False, and changes nothing, if it has lapsed: it never comes back.
        """

    def leave_servers(self, server_id: str) -> None:
        """Ends a server's lease: its runs are free to be claimed at once."""

    def claim_due(
        self, server_id: str, *, limit: int, most_of_one: int = 0, after: str = ""
    ) -> list[RunRecord]:
        """Takes at most `limit` PENDING runs that may start, and makes them RUNNING.

        First those of whoever has the fewest RUNNING, was served least recently, and has
        waited longest. Of nobody so many that he has more than `most_of_one` (0: no limit).
        Where very many have runs in the queue, those are looked at that follow on the
        principal `after`.

        Such a run is due, the oldest of its thread's PENDING runs, its thread has no
        RUNNING run and is not INTERRUPTED, unless the run discards what waits there. Of two
        servers that claim at once each gets others; runs of threads that another transaction is
        deciding on may be left for the next time.
        Each gets a lease of the server's with the next epoch, its next attempt, and if it is
        the first one, its start_time.

        Raises:
            LeaseLostError: The server's own lease has lapsed.
        """

    @property
    def claim_is_open(self) -> bool:
        """Whether the last `claim_due` left runs of somebody on whom another server decides.

        That takes as long as its transaction: it is worth while to claim again soon.
        """

    def may_run(self, principal: str, *, most: int) -> bool:
        """Returns whether one more run of a principal may be RUNNING, of `most` on all servers.

        If so, no other server decides on that until the transaction ends. Where another one does
        at this moment, the answer is no: whoever asks goes into the queue.
        """

    def claim_lost(self, server_id: str, *, limit: int) -> list[RunRecord]:
        """Takes at most `limit` RUNNING runs that nobody holds, oldest first.

        Nobody holds a run that was handed back, or whose server's lease has lapsed. Each gets
        a lease of the server's with the next epoch, and its next attempt; one whose server
        was lost, and did not hand it back, one more of its `losses`.

        Raises:
            LeaseLostError: The server's own lease has lapsed.
        """

    def hold(
        self,
        run_id: str,
        lease: Lease,
        *,
        events: Sequence[EventRecord] = (),
        absorbs: bool = False,
    ) -> None:
        """Makes sure that a run is RUNNING under a lease, to the end of the transaction.

        Adds what has come of the run: its next events, in their order, and with `absorbs` that
        what it was started with is applied.

        Raises:
            LeaseLostError: It has ended, changed hands or is gone, or the server's own lease
                has lapsed.
        """

    def hand_back(self, run_id: str, lease: Lease) -> bool:
        """Gives a RUNNING run up, for whoever claims it next. False if it is not held so."""

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

    def insert_run(self, run: RunRecord, events: Sequence[EventRecord] = ()) -> None:
        """Adds a run, and its events up to last_sequence.

        A thread has one RUNNING run at the most: the database sees to it. To add a PENDING one to
        a thread that is there, one must have read the thread in this transaction.
        """

    def change_run(
        self,
        run_id: str,
        to: RunStatus,
        *,
        now: int,
        error: Failure | None = None,
        checkpoint_id: str = "",
        rolled_back: bool = False,
    ) -> bool:
        """Moves a run to a status if `TRANSITIONS` allows it from where it is.

        Sets start_time for RUNNING, end_time and no lease for final statuses, and error,
        checkpoint_id and rolled_back as given. Returns False, and changes nothing, if it is not
        allowed or there is no run.
        """

    def request_cancel(self, run_id: str, *, abandon: bool = False, rollback: bool = False) -> None:
        """Sets a run's cancel_requested.

        `abandon`: its nodes are not to be waited for; `rollback`: it is to be rolled back.
        What was asked once stays asked.
        """

    def let_discard(self, run_id: str) -> None:
        """Sets that a run begins on a paused thread too."""

    def change_spec(self, run_id: str, spec: str) -> None:
        """Changes how a run that has not begun is to run."""

    def request_pause(self, run_id: str) -> None:
        """Sets a run's pause_requested, and raises its `steering`."""

    def set_run_breakpoints(self, run_id: str, breakpoints: str) -> None:
        """Sets a run's breakpoints, and raises its `steering`."""

    def confirm_steering(self, run_id: str, steering: int) -> None:
        """Notes that what was asked of a run, up to a `steering`, is in force."""

    def insert_breakpoint_hits(self, thread_id: str, hits: Collection[tuple[str, str]]) -> None:
        """Adds (breakpoint, task) for tasks that were let pass; those that are there stay."""

    def forget_breakpoint_hits(self, thread_id: str, *, keep: Collection[str]) -> None:
        """Deletes what breakpoints of a thread have counted.

        Args:
            thread_id: The thread.
            keep: All but what is counted under ids that begin with one of these and a "/".
        """

    def link_resume(self, run_id: str, *, resumed_by_run_id: str) -> None:
        """Notes on a run which run continued it."""

    def delete_run(self, run_id: str) -> bool:
        """Deletes a run with its events; its pauses stay. False if it was not there.

        The answers that stand after it go on to stand.
        """

    def insert_pauses(self, pauses: Sequence[PauseRecord], *, now: int | None = None) -> None:
        """Adds pauses.

        `now`: when that happens, for the log of changes; None: at their create_time.
        """

    def resolve_pause(
        self,
        pause_id: str,
        to: PauseStatus,
        *,
        now: int,
        by_run_id: str = "",
        answer: str | None = None,
        principal: str = "",
        answered_by: str = "",
        expired: bool = False,
        review: str | None = None,
    ) -> bool:
        """Resolves an OPEN pause; see `PauseRecord` for what is noted of that.

        Returns False, and changes nothing, if it is not open.
        """

    def remove_changes(self, *, before: int, limit: int) -> int:
        """Removes the oldest changes, those before a time, but for the last of all.

        Looks at no more than `limit`; returns how many have gone.
        """

    def take_back_resumed(self, thread_id: str, run_id: str) -> None:
        """Makes a thread's pauses that a run has resumed SUPERSEDED: its approvals never count."""

    def append_events(self, events: Sequence[EventRecord]) -> None:
        """Adds events and raises their runs' last_sequence. Sequences must be new."""

    def remove_events(self, run_id: str, *, below: int, trimmed: bool) -> None:
        """Deletes a run's events below a sequence, and notes on the run which one is the oldest.

        `trimmed` says that the others stay, so that `untrimmed_runs` names it no more.
        """

    def insert_request(self, request: RequestRecord) -> None:
        """Adds a request_id. It must be new."""

    def insert_assistant(self, assistant: AssistantRecord) -> None:
        """Adds an assistant with one version, which new runs get. The id must be new."""

    def add_assistant_version(self, assistant: AssistantRecord) -> None:
        """Adds a version of an assistant, which must be its newest; new runs get it."""

    def set_assistant_version(self, assistant_id: str, version: int) -> None:
        """Says which version of an assistant new runs get."""

    def keep_assistant(self, assistant_id: str) -> bool:
        """Keeps an assistant from being deleted, to the end of the transaction.

        Returns False if it is not there.
        """

    def delete_assistant(self, assistant_id: str) -> bool:
        """Deletes an assistant with its versions. Returns False if it was not there."""

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

    def load(self) -> StorageLoad:
        """Returns how busy this server's storage is, at once."""

    async def close(self) -> None:
        """Waits for writes under way, and closes the database."""
