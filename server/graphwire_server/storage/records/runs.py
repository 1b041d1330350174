"""Runs, and their events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


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

#: The statuses of a run that has ended other than by itself.
MAY_LEAVE_NOTHING = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT)


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
        losses: How often a server that executed it was lost, or lost the database, since its
            last step. Being handed back by a server that stops is none.
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
        return self.rolled_back or (self.status in MAY_LEAVE_NOTHING and not self.absorbed)


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A run that was executing elsewhere, and is a server's now.

    Attributes:
        run: The run, under its new lease.
        handed_back: Whether whoever had it gave it up in order; else its server was lost.
    """

    run: RunRecord
    handed_back: bool


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
class Position:
    """A place in a list that is sorted newest first: the last row already seen."""

    create_time: int
    key: str


@dataclass(frozen=True, slots=True)
class Place:
    """A run in the order of its thread's runs.

    Attributes:
        number: 1 for the one that began first, to execute or, without that, to have ended.
        run: The run.
    """

    number: int
    run: RunRecord
