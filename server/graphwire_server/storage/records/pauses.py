"""Pauses: what is kept of one, and which are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from graphwire_server.storage.access import ALL, Access


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
