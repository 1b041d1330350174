"""Threads: what is kept of one, and which are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.records.runs import Failure


class ThreadStatus(StrEnum):
    """What a thread is doing; the contract's `ThreadStatus` without its prefix."""

    IDLE = "IDLE"
    BUSY = "BUSY"
    INTERRUPTED = "INTERRUPTED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """A thread.

    Attributes:
        thread_id: Its id.
        status: What it is doing.
        metadata: A JSON object, as text.
        assistant_id: The assistant that its state belongs to; empty before the first run.
        checkpoint_id: Its head checkpoint; empty before the first.
        next: The nodes that come next at the root.
        values: The state at the head as JSON text; None before there is one.
        error: How the last run failed; None unless the status is ERROR.
        create_time: When it was created.
        update_time: When status, state or metadata last changed.
        stateless: Whether it belongs to a stateless run and goes with its end.
        ttl: How long it is kept after its last change, in microseconds; 0: for ever; None: as
            long as the server says.
        breakpoints: Those for all of its runs: a JSON array as text, see `graphs.breakpoints`.
        state_update_time: When its state last changed; None if nothing has run yet.
        graph_id: The graph that its state belongs to. Empty: that of its assistant.
        owner: To whom it belongs; empty: made where nobody has to say who he is.
    """

    thread_id: str
    status: ThreadStatus
    metadata: str
    create_time: int
    update_time: int
    assistant_id: str = ""
    checkpoint_id: str = ""
    next: tuple[str, ...] = ()
    values: str | None = None
    error: Failure | None = None
    stateless: bool = False
    ttl: int | None = None
    breakpoints: str = "[]"
    state_update_time: int | None = None
    graph_id: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What the next run of a thread inherits from the one that began last.

    Attributes:
        start_time: When that run began.
        spec: How it was asked to run: JSON text, see `runs.request.RunSpec`.
        breakpoints: Those in force on it: a JSON array as text, see `graphs.breakpoints`.
        assistant_id: Its assistant.
        run_id: That run; empty if it is not there any more, or is one of another thread.
    """

    start_time: int
    spec: str
    breakpoints: str
    assistant_id: str
    run_id: str = ""

    @property
    def key(self) -> str:
        """Returns by what it is told apart from what was inherited before, or is afterwards."""
        return self.run_id or f"kept {self.start_time}"


@dataclass(frozen=True, slots=True)
class ThreadFilter:
    """Which threads; what is given must all be true.

    Attributes:
        statuses: One of these; empty for any.
        assistant_id: This assistant; empty for any.
        metadata: Metadata that contains this JSON object (text); None for any.
        values: State that contains this JSON object (text); None for any.
        thread_ids: One of these; empty for any.
        access: Those that the caller may see.

    To contain is meant as Postgres' `jsonb @>` means it for objects: each key is
    there with an equal value, objects in it likewise; lists are equal, element by
    element. Threads of stateless runs never match.
    """

    statuses: tuple[ThreadStatus, ...] = ()
    assistant_id: str = ""
    metadata: str | None = None
    values: str | None = None
    thread_ids: tuple[str, ...] = ()
    access: Access = ALL


class ThreadOrder(StrEnum):
    """What threads are sorted by; the contract's `ThreadOrder` without its prefix.

    Where that is equal it is their id that counts; of one status, before that, when they were
    created.
    """

    CREATE_TIME = "CREATE_TIME"
    UPDATE_TIME = "UPDATE_TIME"
    STATE_UPDATE_TIME = "STATE_UPDATE_TIME"
    THREAD_ID = "THREAD_ID"
    STATUS = "STATUS"


@dataclass(frozen=True, slots=True)
class ThreadSort:
    """How a list of threads is sorted. Those without a state_update_time come last in any case.

    Attributes:
        order: By what.
        ascending: The oldest, or the first of the alphabet, first.
    """

    order: ThreadOrder = ThreadOrder.CREATE_TIME
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class ThreadPosition:
    """A place in a list of threads: the last one already seen, as far as its order goes.

    Attributes:
        thread_id: Its id.
        time: The time that it is sorted by; None if it has none, or is not sorted by one.
        status: Its status, if it is sorted by that.
    """

    thread_id: str
    time: int | None = None
    status: str = ""


class ThreadsKept(StrEnum):
    """By what it is decided how long a thread is kept."""

    #: By the ttl of its own.
    OWN = "OWN"
    #: By the server, for threads without one.
    DEFAULT = "DEFAULT"
    #: By the server, for threads of stateless runs without one.
    STATELESS = "STATELESS"


@dataclass(frozen=True, slots=True)
class Expiry:
    """Which threads have had their time, of those that neither work nor are paused.

    Attributes:
        kept: Of which kind.
        before: For OWN: those whose time was over before this. Otherwise: those that were
            last changed before this.
    """

    kept: ThreadsKept
    before: int


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of something.

    Attributes:
        threads: How many threads.
        runs: How many runs.
        events: How many events.
        checkpoints: How many checkpoints, those of subgraphs included.
    """

    threads: int = 0
    runs: int = 0
    events: int = 0
    checkpoints: int = 0

    def __add__(self, other: Extent) -> Extent:
        """Returns how much there is of both."""
        return Extent(
            self.threads + other.threads,
            self.runs + other.runs,
            self.events + other.events,
            self.checkpoints + other.checkpoints,
        )


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is of something: rows, and the bytes of what they hold, as it is stored."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class ThreadStorage:
    """How much a thread keeps in the database.

    Attributes:
        checkpoints: Its checkpoints, those of subgraphs included, and what is left of those that
            were pruned.
        channels: The values of its channels, by channel.
        writes: What tasks have written.
        events: The events of its runs.
        runs: How many runs there are.
    """

    checkpoints: Amount
    channels: Mapping[str, Amount]
    writes: Amount
    events: Amount
    runs: int
