"""What is kept, as plain records. Times are integers: microseconds since 1970, UTC.

JSON is kept as text, exactly as it will be sent; nothing here parses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from graphwire_server.storage.access import ALL, Access, Belonging


class ThreadStatus(StrEnum):
    """What a thread is doing; the contract's `ThreadStatus` without its prefix."""

    IDLE = "IDLE"
    BUSY = "BUSY"
    INTERRUPTED = "INTERRUPTED"
    ERROR = "ERROR"


class RunStatus(StrEnum):
    """Where a run is in its life; the contract's `RunStatus` without its prefix."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def ended(self) -> bool:
        """Whether this status is final."""
        return not TRANSITIONS[self]


#: Which status may follow which. The storage refuses every other change.
TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.FAILED}),
    RunStatus.RUNNING: frozenset(
        {
            RunStatus.INTERRUPTED,
            RunStatus.SUCCEEDED,
            RunStatus.FAILED,
            RunStatus.CANCELLED,
            RunStatus.TIMED_OUT,
        }
    ),
    RunStatus.INTERRUPTED: frozenset(),
    RunStatus.SUCCEEDED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
    RunStatus.TIMED_OUT: frozenset(),
}

#: The statuses of a run that is queued or executing.
ACTIVE = (RunStatus.PENDING, RunStatus.RUNNING)


class PauseKind(StrEnum):
    """Why a thread is paused; the contract's `PauseKind` without its prefix."""

    BREAKPOINT_BEFORE = "BREAKPOINT_BEFORE"
    BREAKPOINT_AFTER = "BREAKPOINT_AFTER"
    INTERRUPT = "INTERRUPT"
    PAUSE = "PAUSE"


class PauseStatus(StrEnum):
    """What became of a pause; the contract's `PauseStatus` without its prefix."""

    OPEN = "OPEN"
    RESUMED = "RESUMED"
    SUPERSEDED = "SUPERSEDED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run or task failed.

    Attributes:
        type: The exception's class name, or the server's own word for it.
        message: Its text.
        node: The node that raised; empty if it was none.
        namespace: Where the node is: the subgraph path from the root.
    """

    type: str
    message: str
    node: str = ""
    namespace: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to execute a run, and to write what comes of it.

    A server that goes silent loses its runs to others. Each time a run changes hands its
    epoch rises, so that whoever had it before can write nothing more.

    Attributes:
        server_id: The server that executes the run; it keeps a lease of its own alive.
        epoch: How often the run has changed hands, from 1.
    """

    server_id: str
    epoch: int


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
class RunRecord:
    """A run.

    Attributes:
        run_id: Its id.
        thread_id: Its thread.
        assistant_id: Its assistant.
        status: Where it is in its life.
        spec: How it was asked to run: JSON text, see `runs.spec.RunSpec`.
        metadata: The caller's JSON object, as text.
        create_time: When it was accepted.
        due_time: Not to be started before this (create_time plus the start delay).
        start_time: When it began to execute; None before.
        end_time: When it ended; None before.
        error: Why it failed; None unless FAILED or TIMED_OUT.
        resumed_run_id: The run that it continues; empty if none.
        resumed_by_run_id: The run that continued it; empty if none.
        last_sequence: The sequence of its last committed event; 0 before the first.
        oldest_sequence: Its events below this sequence were removed.
        cancel_requested: Whether somebody asked to cancel it.
        checkpoint_id: The thread's head at its end; empty before, and if there was none.
        lease: Who executes it; None while nobody does.
        attempt: How often it was begun to be executed; 0 before the first time.
        losses: How often a server was lost that executed it. Being handed back is none.
        absorbed: Whether what it was started with (input, update, goto) is in a commit of its
            own, so that it must not be applied again.
        breakpoints: Those given to it, inherited, or added while it executes: a JSON array as
            text, see `graphs.breakpoints`.
        pause_requested: Whether somebody asked to pause it.
        steering: Rises with each change of what is asked of it while it executes.
        rolled_back: Whether the thread was put back to where it stood before it.
        discards: Whether it begins on a paused thread too, and gives up what waits there.
        principal: Who started it; empty: the server, as a pause had expired.
    """

    run_id: str
    thread_id: str
    assistant_id: str
    status: RunStatus
    spec: str
    metadata: str
    create_time: int
    due_time: int
    start_time: int | None = None
    end_time: int | None = None
    error: Failure | None = None
    resumed_run_id: str = ""
    resumed_by_run_id: str = ""
    last_sequence: int = 0
    cancel_requested: bool = False
    checkpoint_id: str = ""
    lease: Lease | None = None
    attempt: int = 0
    losses: int = 0
    absorbed: bool = False
    oldest_sequence: int = 1
    breakpoints: str = "[]"
    pause_requested: bool = False
    steering: int = 0
    rolled_back: bool = False
    discards: bool = False
    principal: str = ""

    @property
    def left_nothing(self) -> bool:
        """Whether its thread stands where it stood before it.

        It was rolled back; or it has ended, other than by itself, before anything of what it
        was started with was kept. What goes on there goes on from the run before.
        """
        failed = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT)
        return self.rolled_back or (self.status in failed and not self.absorbed)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits in a database.

    Attributes:
        queued_runs: Runs that are PENDING, those included that are not due yet.
        open_pauses: Pauses that are OPEN.
        oldest_pause: When the oldest of them was made; None if there is none.
        now: The database's time.
    """

    queued_runs: int
    open_pauses: int
    oldest_pause: int | None
    now: int


@dataclass(frozen=True, slots=True)
class StorageLoad:
    """How busy a server's storage is.

    Attributes:
        writes_waiting: Writes that wait for the next transaction.
        readers: Connections for reading.
        readers_busy: Those of them in use.
        file_bytes: The size of each of its files, by what it is; of a server's own files alone.
    """

    writes_waiting: int
    readers: int
    readers_busy: int
    file_bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PauseRecord:
    """One reason for which a thread is, or was, paused.

    Attributes:
        pause_id: Its id, never used again.
        thread_id: The thread.
        run_id: The run that stopped here.
        kind: Why.
        node: The node that is about to run, has run, or asks.
        namespace: Where the node is: the subgraph path from the root.
        interrupt_id: LangGraph's id, for INTERRUPT; else empty.
        value: What the node asks, as JSON text; None unless INTERRUPT.
        response_schema: The JSON Schema of an answer, as JSON text; None if there is none.
        checkpoint_id: The root checkpoint of the pause.
        task_id: The task that waits. For BREAKPOINT_AFTER the checkpoint, in its namespace,
            that the node has led to.
        create_time: When it paused.
        status: What became of it.
        resolved_by_run_id: The run that resumed it, or that left it behind; empty if none did.
        resolve_time: When it was resumed or superseded; None while open.
        answer: With what it was resumed, as JSON text; None if with nothing.
        assistant_id: The assistant of the run.
        breakpoints: Those that hold the node here: a JSON array as text, see
            `graphs.breakpoints.Met`.
        tool_calls: Those that wait here: a JSON array as text, of {"id", "name", "args"}.
        expire_time: When its time is over; None: never.
        on_expiry: What happens then: RESUME, REJECT or CANCEL; empty: nothing.
        expiry_message: For REJECT: what each tool call is answered; empty: the server's words.
        principal: Who resolved it, by his credentials; empty if nobody did.
        answered_by: For whom, as the caller said.
        expired: Whether it was resolved since its time was over.
        review: The decisions on its tool calls: a JSON array as text; None if there are none.
        task_input: What was sent to the task, as JSON text; None if it gets the state, or if
            `tool_calls` has it.
    """

    pause_id: str
    thread_id: str
    run_id: str
    kind: PauseKind
    node: str
    namespace: tuple[str, ...]
    checkpoint_id: str
    create_time: int
    interrupt_id: str = ""
    value: str | None = None
    response_schema: str | None = None
    task_id: str = ""
    status: PauseStatus = PauseStatus.OPEN
    resolved_by_run_id: str = ""
    resolve_time: int | None = None
    answer: str | None = None
    assistant_id: str = ""
    breakpoints: str = "[]"
    tool_calls: str = "[]"
    expire_time: int | None = None
    on_expiry: str = ""
    expiry_message: str = ""
    principal: str = ""
    answered_by: str = ""
    expired: bool = False
    review: str | None = None
    task_input: str | None = None


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
class AssistantRecord:
    """One version of an assistant.

    Attributes:
        assistant_id: The assistant's id.
        graph_id: The graph that it runs.
        version: The version, from 1.
        name: For people.
        description: What it is for.
        metadata: A JSON object, as text.
        config: For its runs: a JSON object as text, of `recursion_limit`, `tags` and
            `configurable`.
        context: For its runs: a JSON object as text; None for none.
        breakpoints: For its runs: a JSON array as text, see `graphs.breakpoints`.
        create_time: When the assistant was created.
        update_time: When this version was made.
        built_in: Whether it is a graph of langgraph.json. Version 1 of it is what that says,
            and is not kept.
    """

    assistant_id: str
    graph_id: str
    version: int
    name: str
    create_time: int
    update_time: int
    description: str = ""
    metadata: str = "{}"
    config: str = "{}"
    context: str | None = None
    breakpoints: str = "[]"
    built_in: bool = False


@dataclass(frozen=True, slots=True)
class AssistantHead:
    """What is kept of an assistant besides its versions.

    Attributes:
        assistant_id: Its id.
        version: The version that new runs get.
        newest: The last version that was made.
        built_in: Whether it was a graph of langgraph.json when this was kept.
        create_time: When it was created.
    """

    assistant_id: str
    version: int
    newest: int
    built_in: bool
    create_time: int


class AssistantOrder(StrEnum):
    """What assistants are sorted by; the contract's `AssistantOrder` without its prefix.

    What is equal is sorted by id, in the same direction.
    """

    NAME = "NAME"
    ASSISTANT_ID = "ASSISTANT_ID"
    CREATE_TIME = "CREATE_TIME"
    UPDATE_TIME = "UPDATE_TIME"
    GRAPH_ID = "GRAPH_ID"


@dataclass(frozen=True, slots=True)
class AssistantFilter:
    """Which assistants; what is given must all be true.

    Attributes:
        graph_id: Of this graph; empty for any.
        name: Whose name contains this text, in upper or lower case; empty for any.
        metadata: Metadata that contains this JSON object (text), as in `ThreadFilter`; None
            for any.
        access: Those that the caller may see. The first versions of built-in ones are for all.
    """

    graph_id: str = ""
    name: str = ""
    metadata: str | None = None
    access: Access = ALL


@dataclass(frozen=True, slots=True)
class AssistantPosition:
    """A place in a sorted list of assistants: the last one already seen.

    Attributes:
        value: What it is sorted by: a text or a time.
        assistant_id: Its id.
    """

    value: str | int
    assistant_id: str


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event of a run, as it goes over the wire.

    Attributes:
        run_id: The run.
        sequence: Its number in the run, from 1.
        data: The serialized `graphwire.v1.RunEvent`, payloads in `json` form.
    """

    run_id: str
    sequence: int
    data: bytes


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request_id that was used, and what came of it.

    Attributes:
        principal: Who called.
        method: The full name of the RPC.
        request_id: The caller's id.
        fingerprint: A digest of the request's meaning.
        subject: The id of what it made or changed: a thread or a run.
        create_time: When it was used.
    """

    principal: str
    method: str
    request_id: str
    fingerprint: str
    subject: str
    create_time: int


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


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list that is sorted newest first: the last row already seen."""

    create_time: int
    key: str


@dataclass(frozen=True, slots=True)
class PauseFilter:
    """Which pauses; what is given must all be true.

    Attributes:
        statuses: One of these; empty for any.
        kinds: One of these; empty for any.
        thread_id: Of this thread; empty for any.
        assistant_id: Of this assistant; empty for any.
        node: At this node; empty for any.
        label: At a breakpoint with this label, among others; empty for any.
        tool_name: With a call of this tool, among others; empty for any.
        thread_metadata: Of a thread whose metadata contains this JSON object (text); None for
            any. See `ThreadFilter`.
        expires_before: Those that expire before this; None for any.
        access: Of threads that the caller may see.
    """

    statuses: tuple[PauseStatus, ...] = (PauseStatus.OPEN,)
    kinds: tuple[PauseKind, ...] = ()
    thread_id: str = ""
    assistant_id: str = ""
    node: str = ""
    label: str = ""
    tool_name: str = ""
    thread_metadata: str | None = None
    expires_before: int | None = None
    access: Access = ALL


@dataclass(frozen=True, slots=True)
class PausePosition:
    """A place in a list of pauses by time: the last one already seen.

    Attributes:
        create_time: When it was made.
        number: Its number, which rises in the order of making.
    """

    create_time: int
    number: int


class ChangeKind(StrEnum):
    """What has happened; the contract's `ThreadChangeKind` without its prefix."""

    PAUSED = "PAUSED"
    PAUSE_RESOLVED = "PAUSE_RESOLVED"
    RUN_STARTED = "RUN_STARTED"
    RUN_ENDED = "RUN_ENDED"
    PAUSES_DELETED = "PAUSES_DELETED"

    @property
    def of_pause(self) -> bool:
        """Whether it has happened to one pause."""
        return self in (ChangeKind.PAUSED, ChangeKind.PAUSE_RESOLVED)

    @property
    def of_run(self) -> bool:
        """Whether it has happened to a run."""
        return self in (ChangeKind.RUN_STARTED, ChangeKind.RUN_ENDED)


@dataclass(frozen=True, slots=True, order=True)
class ChangePlace:
    """A place in the log of changes, in the order in which it is read.

    Attributes:
        xid: The number of the transaction, by which readers know what may still come before;
            0 where one transaction at a time writes.
        number: The number of the change.
    """

    xid: int
    number: int


#: Before the first change.
LOG_START = ChangePlace(0, 0)


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """Something that has happened to a pause or to a run, or to a thread with its pauses.

    Attributes:
        place: Where it is in the log.
        kind: What has happened.
        time: When.
        subject: The id of the pause, run or thread.
        belonged: Of a thread that is gone: whose it was.
    """

    place: ChangePlace
    kind: ChangeKind
    time: int
    subject: str
    belonged: Belonging | None = None


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A part of the log of changes.

    Attributes:
        changes: The changes, in their order.
        removed: The place of the last one that was removed, as it was kept long enough.
        more_soon: Whether there are changes that can't be read yet, as a transaction is under
            way that may add some before them.
    """

    changes: tuple[ChangeRecord, ...]
    removed: ChangePlace
    more_soon: bool


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where the log of changes ends for who reads it now.

    Attributes:
        place: The last change that can be read.
        ahead: The numbers of those after it that were committed already.
    """

    place: ChangePlace
    ahead: frozenset[int]


@dataclass(frozen=True, slots=True)
class Place:
    """A run in the order of its thread's runs.

    Attributes:
        number: 1 for the one that began first, to execute or, without that, to have ended.
        run: The run.
    """

    number: int
    run: RunRecord
