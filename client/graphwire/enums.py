"""The enums of the contract, as strings.

A member's value is its name in the contract without the prefix, such as
`RunStatus.SUCCEEDED == "SUCCEEDED"`. Wherever the client takes one it also takes the
plain string, in any case: `stream_modes=["updates"]`.

`UNKNOWN`, where an enum has it, is what a newer server sent and this client does not
know; it can't be sent.
"""

from __future__ import annotations

from enum import StrEnum


class _Name(StrEnum):
    """A string enum whose members are found by name in any case."""

    @classmethod
    def _missing_(cls, value: object) -> _Name | None:
        return cls.__members__.get(value.upper()) if isinstance(value, str) else None


class RunStatus(_Name):
    """Where a run is in its life. PENDING and RUNNING are active, the others final."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    UNKNOWN = "UNKNOWN"


class ThreadStatus(_Name):
    """What a thread is doing."""

    IDLE = "IDLE"
    BUSY = "BUSY"
    INTERRUPTED = "INTERRUPTED"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


class ThreadOrder(_Name):
    """What threads are sorted by."""

    CREATE_TIME = "CREATE_TIME"
    UPDATE_TIME = "UPDATE_TIME"
    STATE_UPDATE_TIME = "STATE_UPDATE_TIME"
    THREAD_ID = "THREAD_ID"
    STATUS = "STATUS"


class SortDirection(_Name):
    """In which direction: the newest, or the last of the alphabet, first; or the other way."""

    DESCENDING = "DESCENDING"
    ASCENDING = "ASCENDING"


class PruneStrategy(_Name):
    """What to prune of a thread: all of it, or all checkpoints but those at which it stands."""

    DELETE = "DELETE"
    KEEP_LATEST = "KEEP_LATEST"


class PauseKind(_Name):
    """Why a thread is paused: before a node, after one, in one that asks, or on request.

    PAUSE is on request, by PauseRun or a step; or where an edit of the state of a paused thread
    has left a node waiting that no breakpoint or question holds.
    """

    BREAKPOINT_BEFORE = "BREAKPOINT_BEFORE"
    BREAKPOINT_AFTER = "BREAKPOINT_AFTER"
    INTERRUPT = "INTERRUPT"
    PAUSE = "PAUSE"
    UNKNOWN = "UNKNOWN"


class BreakpointPosition(_Name):
    """On which side of a node a breakpoint is."""

    BEFORE = "BEFORE"
    AFTER = "AFTER"
    UNKNOWN = "UNKNOWN"


class BreakpointSource(_Name):
    """Who has set a breakpoint. They add up: none switches another one off."""

    RUN = "RUN"
    THREAD = "THREAD"
    ASSISTANT = "ASSISTANT"
    COMPILED = "COMPILED"
    UNKNOWN = "UNKNOWN"


class OnExpiry(_Name):
    """When nobody answers in time: the node runs, its tool calls are rejected, or all is off."""

    RESUME = "RESUME"
    REJECT = "REJECT"
    CANCEL = "CANCEL"
    UNKNOWN = "UNKNOWN"


class StepMode(_Name):
    """How far a resume goes: one step into subgraphs, over them, or out of the one it is in."""

    INTO = "INTO"
    OVER = "OVER"
    OUT = "OUT"


class PauseStatus(_Name):
    """What has become of a pause."""

    OPEN = "OPEN"
    RESUMED = "RESUMED"
    SUPERSEDED = "SUPERSEDED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class WebhookStatus(_Name):
    """What became of a webhook."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class ThreadChangeKind(_Name):
    """What has happened on a thread: a pause was made or resolved, a run has begun or ended.

    PAUSES_DELETED: it was deleted while it was paused.
    """

    PAUSED = "PAUSED"
    PAUSE_RESOLVED = "PAUSE_RESOLVED"
    RUN_STARTED = "RUN_STARTED"
    RUN_ENDED = "RUN_ENDED"
    PAUSES_DELETED = "PAUSES_DELETED"
    UNKNOWN = "UNKNOWN"


class StreamMode(_Name):
    """Which events a run records and streams; Metadata, Interrupted and End always come.

    VALUES: `Values`. UPDATES: `Updates`. MESSAGES: `Message`. TASKS: `TaskStarted` and
    `TaskFinished`. CHECKPOINTS: `Checkpoint`. CUSTOM: `Custom`. DEBUG: TASKS and
    CHECKPOINTS together.
    """

    VALUES = "VALUES"
    UPDATES = "UPDATES"
    MESSAGES = "MESSAGES"
    TASKS = "TASKS"
    CHECKPOINTS = "CHECKPOINTS"
    CUSTOM = "CUSTOM"
    DEBUG = "DEBUG"
    UNKNOWN = "UNKNOWN"


class Durability(_Name):
    """When checkpoints reach the disk: before the next step, during it, at the end."""

    SYNC = "SYNC"
    ASYNC = "ASYNC"
    EXIT = "EXIT"
    UNKNOWN = "UNKNOWN"


class MultitaskStrategy(_Name):
    """What to do when the thread already has an active run.

    REJECT: refuse. ENQUEUE: wait in order. INTERRUPT: cancel the active runs, and go on from
    what their finished steps have led to. ROLLBACK: the same, and put the thread back to where
    it stood before the one that was executing.
    """

    REJECT = "REJECT"
    ENQUEUE = "ENQUEUE"
    INTERRUPT = "INTERRUPT"
    ROLLBACK = "ROLLBACK"
    UNKNOWN = "UNKNOWN"


class CancelAction(_Name):
    """What becomes of what a cancelled run has done: it stays, or the thread is put back."""

    KEEP = "KEEP"
    ROLLBACK = "ROLLBACK"


class OnCompletion(_Name):
    """What becomes of the thread of a stateless run: deleted a while after its end, or kept."""

    DELETE = "DELETE"
    KEEP = "KEEP"


class RecoveryPolicy(_Name):
    """What happens to a run whose server is lost: it goes on, or FAILED it waits for somebody."""

    CONTINUE = "CONTINUE"
    MANUAL = "MANUAL"
    UNKNOWN = "UNKNOWN"


class OnPause(_Name):
    """What new input does on a paused thread: is refused, or gives up what waits."""

    REJECT = "REJECT"
    DISCARD = "DISCARD"


class OnDisconnect(_Name):
    """What happens to a run when the client that streams it, or waits for it, goes away."""

    CONTINUE = "CONTINUE"
    CANCEL = "CANCEL"


class IfExists(_Name):
    """What to do when the thread to create exists: refuse, or return it as it is."""

    REJECT = "REJECT"
    RETURN = "RETURN"


class AssistantOrder(_Name):
    """What assistants are sorted by; what is equal, by id."""

    NAME = "NAME"
    ASSISTANT_ID = "ASSISTANT_ID"
    CREATE_TIME = "CREATE_TIME"
    UPDATE_TIME = "UPDATE_TIME"
    GRAPH_ID = "GRAPH_ID"


class IfAssistantExists(_Name):
    """What to do when the assistant to create exists: refuse, or return it as it is."""

    REJECT = "REJECT"
    RETURN = "RETURN"


class IfNotExists(_Name):
    """What to do when the thread to run on does not exist: refuse, or create it."""

    REJECT = "REJECT"
    CREATE = "CREATE"


class MessageRole(_Name):
    """Who speaks. UNKNOWN: a role without a name here, see `Message.type`."""

    ASSISTANT = "ASSISTANT"
    USER = "USER"
    SYSTEM = "SYSTEM"
    TOOL = "TOOL"
    UNKNOWN = "UNKNOWN"


class HealthStatus(_Name):
    """What the standard health service says about a server."""

    SERVING = "SERVING"
    NOT_SERVING = "NOT_SERVING"
    UNKNOWN = "UNKNOWN"
