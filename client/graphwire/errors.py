"""The exceptions of Graphwire, the same on both sides of the wire.

The server raises them, one interceptor turns them into a `google.rpc.Status`, and
the client raises the same class again. Branch on the class, or on `reason`.

    GraphwireError
    ├── InvalidArgumentError        INVALID_ARGUMENT
    │   ├── InvalidFieldError, MissingFieldError, UnknownFieldError, InvalidPayloadError,
    │   ├── ReservedKeyError, UnknownNodeError, InvalidPageTokenError, AmbiguousAnswerError,
    │   └── AnswerRequiredError, AnswerMismatchError, AmbiguousNodeError, InvalidUpdateError
    ├── NotFoundError               NOT_FOUND
    │   ├── ThreadNotFoundError, RunNotFoundError,
    │   └── AssistantNotFoundError, CheckpointNotFoundError
    ├── AlreadyExistsError          ALREADY_EXISTS
    │   └── ThreadExistsError, RequestIdReusedError
    ├── FailedPreconditionError     FAILED_PRECONDITION
    │   ├── ThreadBusyError, ThreadInterruptedError, NothingToResumeError, PauseNotOpenError,
    │   ├── CheckpointMismatchError, RunEndedError, RunActiveError,
    │   ├── AssistantMismatchError, AssistantRequiredError, UnsupportedBreakpointError,
    │   └── GraphChangedError
    ├── UnauthenticatedError        UNAUTHENTICATED
    ├── PermissionDeniedError       PERMISSION_DENIED
    ├── SequenceOutOfRangeError     OUT_OF_RANGE
    ├── BeyondLimitError            OUT_OF_RANGE
    ├── LimitReachedError           RESOURCE_EXHAUSTED
    ├── ShuttingDownError           UNAVAILABLE
    ├── KeysUnavailableError        UNAVAILABLE
    ├── StreamExpiredError          UNAVAILABLE
    ├── GraphUnavailableError       INTERNAL
    ├── InternalError               INTERNAL
    ├── TransportError              any status that is not the server's own (client only)
    │   ├── ConnectionLostError     UNAVAILABLE
    │   ├── DeadlineExceededError   DEADLINE_EXCEEDED
    │   └── CallCancelledError      CANCELLED
    └── RunFailedError              a run ended as FAILED, CANCELLED or TIMED_OUT (client only)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

#: The domain of every `google.rpc.ErrorInfo` that a Graphwire server writes.
DOMAIN = "graphwire.dev"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request.

    Attributes:
        field: The path from the request, such as `input.json` or
            `interrupt_before[0]`.
        description: What is wrong, and what would be right.
    """

    field: str
    description: str


class GraphwireError(Exception):
    """Anything that Graphwire raises.

    Attributes:
        code: The name of the gRPC status code, such as `"NOT_FOUND"`.
        reason: The name in the contract's `ErrorReason`, without its prefix; empty for
            errors that are not the server's own.
        message: The text, without field paths.
        violations: The fields that are wrong, for INVALID_ARGUMENT.
        metadata: Details by name, such as `nodes` or `run_id`; all text.
        resource: Kind and name of what was not found or exists already.
        retry_after: After how many seconds it may be tried again; None if not known.
    """

    code: ClassVar[str] = "UNKNOWN"
    reason: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        resource: tuple[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Makes the error; `field` is short for a single violation with the same text."""
        super().__init__(message)
        self.message = message
        self.violations = (
            (FieldViolation(field, message),) if field is not None else tuple(violations)
        )
        self.metadata = dict(metadata or {})
        self.resource = resource
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Returns the text, with the path of the field if there is one."""
        fields = ", ".join(v.field for v in self.violations if v.field)
        return f"{fields}: {self.message}" if fields else self.message


class InvalidArgumentError(GraphwireError):
    """The request is wrong in itself; nothing was changed."""

    code = "INVALID_ARGUMENT"


class InvalidFieldError(InvalidArgumentError):
    """A field has a value that it can't have."""

    reason = "INVALID_FIELD"


class MissingFieldError(InvalidArgumentError):
    """A required field is missing."""

    reason = "MISSING_FIELD"


class UnknownFieldError(InvalidArgumentError):
    """The request carries fields or enum values that the server does not know."""

    reason = "UNKNOWN_FIELD"


class InvalidPayloadError(InvalidArgumentError):
    """A payload can't be read."""

    reason = "INVALID_PAYLOAD"


class ReservedKeyError(InvalidArgumentError):
    """Config, metadata or context uses a key that steers LangGraph from inside."""

    reason = "RESERVED_KEY"


class UnknownNodeError(InvalidArgumentError):
    """A node is named that the graph does not have; `metadata["nodes"]` lists its nodes."""

    reason = "UNKNOWN_NODE"


class InvalidPageTokenError(InvalidArgumentError):
    """The page token is not one of this method and filter."""

    reason = "INVALID_PAGE_TOKEN"


class AmbiguousAnswerError(InvalidArgumentError):
    """A plain answer, but several interrupts wait."""

    reason = "AMBIGUOUS_ANSWER"


class AnswerRequiredError(InvalidArgumentError):
    """The thread waits at an interrupt(), and the resume brings no answer."""

    reason = "ANSWER_REQUIRED"


class AnswerMismatchError(InvalidArgumentError):
    """The answer does not fit the interrupt's response schema."""

    reason = "ANSWER_MISMATCH"


class AmbiguousNodeError(InvalidArgumentError):
    """`as_node` was left out and can't be inferred."""

    reason = "AMBIGUOUS_NODE"


class InvalidUpdateError(InvalidArgumentError):
    """The graph refused the state update."""

    reason = "INVALID_UPDATE"


class InvalidConditionError(InvalidArgumentError):
    """A breakpoint's condition can't be used; `metadata` has its `line` and `column`, from 1."""

    reason = "INVALID_CONDITION"


class ReviewMismatchError(InvalidArgumentError):
    """A review does not fit its pause; `metadata["tool_calls"]` lists the calls that wait."""

    reason = "REVIEW_MISMATCH"


class NotFoundError(GraphwireError):
    """Something named in the request does not exist."""

    code = "NOT_FOUND"


class ThreadNotFoundError(NotFoundError):
    """There is no such thread."""

    reason = "THREAD_NOT_FOUND"


class RunNotFoundError(NotFoundError):
    """There is no such run."""

    reason = "RUN_NOT_FOUND"


class AssistantNotFoundError(NotFoundError):
    """There is no such assistant; `metadata["assistants"]` lists those there are."""

    reason = "ASSISTANT_NOT_FOUND"


class CheckpointNotFoundError(NotFoundError):
    """The thread has no such checkpoint."""

    reason = "CHECKPOINT_NOT_FOUND"


class PauseNotFoundError(NotFoundError):
    """There is no such pause."""

    reason = "PAUSE_NOT_FOUND"


class BreakpointNotFoundError(NotFoundError):
    """The run has no such breakpoint that can be removed."""

    reason = "BREAKPOINT_NOT_FOUND"


class AlreadyExistsError(GraphwireError):
    """Something with this id exists."""

    code = "ALREADY_EXISTS"


class ThreadExistsError(AlreadyExistsError):
    """A thread with this id exists."""

    reason = "THREAD_EXISTS"


class RequestIdReusedError(AlreadyExistsError):
    """The request_id was used for another request."""

    reason = "REQUEST_ID_REUSED"


class AssistantExistsError(AlreadyExistsError):
    """An assistant with this id exists."""

    reason = "ASSISTANT_EXISTS"


class BreakpointExistsError(AlreadyExistsError):
    """The run has a breakpoint with this id."""

    reason = "BREAKPOINT_EXISTS"


class FailedPreconditionError(GraphwireError):
    """The request is right in itself, but not in the present state; nothing was changed."""

    code = "FAILED_PRECONDITION"


class ThreadBusyError(FailedPreconditionError):
    """The thread has a run that is queued or running; `metadata["run_id"]` names it.

    To whoever wants to resume the thread, `metadata` also says what became of its last pause:
    `pause_id`, `status`, `time`, `resolved_by_run_id`, `principal` and `answered_by`.
    """

    reason = "THREAD_BUSY"


class ThreadInterruptedError(FailedPreconditionError):
    """New input for a thread that is paused."""

    reason = "THREAD_INTERRUPTED"


class NothingToResumeError(FailedPreconditionError):
    """A resume, but the thread has nothing to go on with.

    If it had, `metadata` says what became of its last pause, as that of `PauseNotOpenError`.
    """

    reason = "NOTHING_TO_RESUME"


class PauseNotOpenError(FailedPreconditionError):
    """The pause or interrupt that a resume is about is not open on this thread.

    Of one that was, `metadata` says what became of it: `status`, `time`, `run_id`, `principal`
    and `answered_by`.
    """

    reason = "PAUSE_NOT_OPEN"


class CheckpointMismatchError(FailedPreconditionError):
    """The thread has moved on from the expected checkpoint.

    For a resume, `metadata` says what became of the thread's last pause, as that of
    `PauseNotOpenError`.
    """

    reason = "CHECKPOINT_MISMATCH"


class RunEndedError(FailedPreconditionError):
    """The run has ended, so it can't be cancelled."""

    reason = "RUN_ENDED"


class RunActiveError(FailedPreconditionError):
    """The run has not ended, so it can't be deleted."""

    reason = "RUN_ACTIVE"


class AssistantMismatchError(FailedPreconditionError):
    """The thread's state belongs to another assistant's graph."""

    reason = "ASSISTANT_MISMATCH"


class AssistantRequiredError(FailedPreconditionError):
    """The thread has no assistant yet, so its state can't be edited; name one."""

    reason = "ASSISTANT_REQUIRED"


class UnsupportedBreakpointError(FailedPreconditionError):
    """A breakpoint is where nobody could resume it; `metadata["path"]` says where."""

    reason = "UNSUPPORTED_BREAKPOINT"


class AssistantBuiltInError(FailedPreconditionError):
    """The assistant is a graph of langgraph.json, which can't be deleted."""

    reason = "ASSISTANT_BUILT_IN"


class AssistantInUseError(FailedPreconditionError):
    """Threads of the assistant are BUSY or INTERRUPTED, or a run of it is queued."""

    reason = "ASSISTANT_IN_USE"


class GraphChangedError(FailedPreconditionError):
    """The thread waits in a node, or has a breakpoint at one, that the graph lost since."""

    reason = "GRAPH_CHANGED"


class UnauthenticatedError(GraphwireError):
    """The server wants to know who calls, and the call's credentials are missing or do not hold."""

    code = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"


class PermissionDeniedError(GraphwireError):
    """The caller is known, and may not do this. Threads of others are ThreadNotFoundError."""

    code = "PERMISSION_DENIED"
    reason = "PERMISSION_DENIED"


class KeysUnavailableError(GraphwireError):
    """The server can't get the keys now that tell whether a token holds; try again."""

    code = "UNAVAILABLE"
    reason = "KEYS_UNAVAILABLE"


class SequenceOutOfRangeError(GraphwireError):
    """`after_sequence` lies beyond the run's last event, or before the oldest that is kept.

    In the second case events were removed, the run having ended long enough ago: `metadata` has
    the `oldest_sequence` and the `last_sequence` that are kept, and the `after_sequence` with
    which to join to get them.
    """

    code = "OUT_OF_RANGE"
    reason = "SEQUENCE_OUT_OF_RANGE"


class CursorExpiredError(GraphwireError):
    """What comes after the cursor is kept no more; begin again without one."""

    code = "OUT_OF_RANGE"
    reason = "CURSOR_EXPIRED"


class BeyondLimitError(GraphwireError):
    """A number is past what a setting of this server allows.

    `metadata` has the setting (`limit`), what it allows (`maximum`) and the `value` given.
    """

    code = "OUT_OF_RANGE"
    reason = "BEYOND_LIMIT"


class LimitReachedError(GraphwireError):
    """A limit of the server is reached; with `retry_after` it may be tried again then.

    `metadata` has the setting (`limit`), the limit itself (`maximum`) and what was reached
    (`value`).
    """

    code = "RESOURCE_EXHAUSTED"
    reason = "LIMIT_REACHED"


class ShuttingDownError(GraphwireError):
    """The server is shutting down; retry, or join the stream again, on another one."""

    code = "UNAVAILABLE"
    reason = "SHUTTING_DOWN"


class StreamExpiredError(GraphwireError):
    """The stream, or the wait, is as old as one may become on this server; join or wait again."""

    code = "UNAVAILABLE"
    reason = "STREAM_EXPIRED"


class UnconfirmedError(GraphwireError):
    """A change was recorded, but it is not known yet to be in force where the run executes."""

    code = "UNAVAILABLE"
    reason = "UNCONFIRMED"


class DatabaseUnavailableError(GraphwireError):
    """The server can't reach its database at present; retry, with the same request id.

    Of a call that changes something it may not be known whether it did.
    """

    code = "UNAVAILABLE"
    reason = "DATABASE_UNAVAILABLE"


class GraphUnavailableError(GraphwireError):
    """The graph could not be built for this request, or its stored state can't be read."""

    code = "INTERNAL"
    reason = "GRAPH_UNAVAILABLE"


class InternalError(GraphwireError):
    """A fault of the server; `metadata["request_id"]` finds it in the log."""

    code = "INTERNAL"
    reason = "INTERNAL"


class TransportError(GraphwireError):
    """A status that does not come from a Graphwire server's own errors.

    Attributes:
        code: Here an attribute of the instance: the status that was received.
    """

    def __init__(self, message: str, *, code: str = "UNKNOWN") -> None:
        """Makes the error for a status name."""
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # narrower on this class: per instance


class ConnectionLostError(TransportError):
    """The server can't be reached, or the connection broke."""


class DeadlineExceededError(TransportError):
    """The call took longer than its timeout. A run that it started goes on."""


class CallCancelledError(TransportError):
    """The call was cancelled."""


class RunFailedError(GraphwireError):
    """A run that was waited for ended as FAILED, CANCELLED or TIMED_OUT.

    Attributes:
        run_id: The run.
        status: Its final status: `"FAILED"`, `"CANCELLED"` or `"TIMED_OUT"`.
        error_type: The class of the exception that ended it; empty if there was none.
        node: The node that raised it; empty if it was none.
    """

    def __init__(
        self, message: str, *, run_id: str, status: str, error_type: str = "", node: str = ""
    ) -> None:
        """Makes the error for a run that has ended."""
        super().__init__(message)
        self.run_id = run_id
        self.status = status
        self.error_type = error_type
        self.node = node


def _leaves(root: type[GraphwireError]) -> list[type[GraphwireError]]:
    found = [root] if "reason" in root.__dict__ and root.reason else []
    for child in root.__subclasses__():
        found.extend(_leaves(child))
    return found


#: The class of each reason of the contract's `ErrorReason`.
BY_REASON: Mapping[str, type[GraphwireError]] = {c.reason: c for c in _leaves(GraphwireError)}
