"""The string enums to the contract's numbers and back."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from graphwire import enums
from graphwire.errors import InvalidFieldError
from graphwire.v1 import (
    assistants_pb2,
    breakpoint_pb2,
    pause_pb2,
    run_event_pb2,
    run_pb2,
    runs_pb2,
    threads_pb2,
)

E = TypeVar("E", bound=StrEnum)


class _WireEnum(Protocol):
    def Name(self, number: Any) -> str: ...
    def Value(self, name: str) -> Any: ...


class Codec(Generic[E]):
    """Reads and writes one enum of the contract."""

    def __init__(self, kind: type[E], wire: _WireEnum) -> None:
        """Pairs the members with the values of the same name."""
        prefix = wire.Name(0).removesuffix("UNSPECIFIED")
        self._kind = kind
        self._numbers = {
            member: wire.Value(prefix + name)
            for name, member in kind.__members__.items()
            if name != "UNKNOWN"
        }
        self._members = {number: member for member, number in self._numbers.items()}
        self._unknown = kind.__members__.get("UNKNOWN")

    def read(self, number: int) -> E:
        """Returns the member for a number; UNKNOWN for one that has no name here."""
        member = self._members.get(number, self._unknown)
        if member is None:
            raise ValueError(f"{number} is no {self._kind.__name__}")
        return member

    def write(self, value: E | str, field: str) -> Any:
        """Returns the number for a member or its name.

        Raises:
            InvalidFieldError: There is none; `field` names the field.
        """
        try:
            return self._numbers[self._kind(value)]
        except (KeyError, ValueError):
            known = ", ".join(self._numbers)
            raise InvalidFieldError(f"{value!r} is none of {known}", field=field) from None

    def write_if_set(self, value: E | str | None, field: str) -> Any:
        """Returns the number, or None for None."""
        return None if value is None else self.write(value, field)

    def write_all(self, values: E | str | Iterable[E | str], field: str) -> list[Any]:
        """Returns the numbers of one value or of several."""
        if isinstance(values, str):
            return [self.write(values, field)]
        return [self.write(value, f"{field}[{i}]") for i, value in enumerate(values)]


RUN_STATUS = Codec(enums.RunStatus, run_pb2.RunStatus)
STREAM_MODE = Codec(enums.StreamMode, run_pb2.StreamMode)
DURABILITY = Codec(enums.Durability, run_pb2.Durability)
MULTITASK_STRATEGY = Codec(enums.MultitaskStrategy, run_pb2.MultitaskStrategy)
RECOVERY_POLICY = Codec(enums.RecoveryPolicy, run_pb2.RecoveryPolicy)
ON_PAUSE = Codec(enums.OnPause, run_pb2.OnPause)
ON_DISCONNECT = Codec(enums.OnDisconnect, run_pb2.OnDisconnect)
ON_COMPLETION = Codec(enums.OnCompletion, run_pb2.OnCompletion)
CANCEL_ACTION = Codec(enums.CancelAction, runs_pb2.CancelAction)
IF_NOT_EXISTS = Codec(enums.IfNotExists, run_pb2.IfNotExists)
THREAD_STATUS = Codec(enums.ThreadStatus, threads_pb2.ThreadStatus)
THREAD_ORDER = Codec(enums.ThreadOrder, threads_pb2.ThreadOrder)
SORT_DIRECTION = Codec(enums.SortDirection, threads_pb2.SortDirection)
PRUNE_STRATEGY = Codec(enums.PruneStrategy, threads_pb2.PruneStrategy)
IF_EXISTS = Codec(enums.IfExists, threads_pb2.IfExists)
ASSISTANT_ORDER = Codec(enums.AssistantOrder, assistants_pb2.AssistantOrder)
IF_ASSISTANT_EXISTS = Codec(enums.IfAssistantExists, assistants_pb2.IfAssistantExists)
BREAKPOINT_POSITION = Codec(enums.BreakpointPosition, breakpoint_pb2.BreakpointPosition)
BREAKPOINT_SOURCE = Codec(enums.BreakpointSource, breakpoint_pb2.BreakpointSource)
ON_EXPIRY = Codec(enums.OnExpiry, breakpoint_pb2.OnExpiry)
STEP_MODE = Codec(enums.StepMode, run_pb2.StepMode)
PAUSE_STATUS = Codec(enums.PauseStatus, pause_pb2.PauseStatus)
WEBHOOK_STATUS = Codec(enums.WebhookStatus, run_pb2.WebhookStatus)
THREAD_CHANGE_KIND = Codec(enums.ThreadChangeKind, threads_pb2.ThreadChangeKind)
PAUSE_KIND = Codec(enums.PauseKind, pause_pb2.PauseKind)
MESSAGE_ROLE = Codec(enums.MessageRole, run_event_pb2.MessageRole)
